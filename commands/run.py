"""The processes of the house, one command each: serve, worker, timetable, stage. `linekeeper up` runs them all."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

import click
import structlog
import waitress.server

import settings as configuration
from commands.cli import Parts, cli
from domain.errors import Trouble
from jobs import timetable as timetables
from jobs import worker as workers
from jobs.services import Services, open_services
from store.bell import QUEUES
from store.inbox import LANES

log = structlog.get_logger()
BODY_BYTES = 256 * 1024 + 1


@cli.command()
@click.pass_obj
def serve(parts: Parts) -> None:
    """Serve the doors and the console on PORT. Run as many as you like: they share the port."""
    settings = configuration.read()
    services = open_services(settings, pool_size=settings.web_threads)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening.bind(("127.0.0.1", settings.port))
    except OSError:
        raise click.ClickException(f"Port {settings.port} is taken; set PORT to another one.") from None
    server = waitress.server.create_server(  # it takes in whole requests first, so a slow body stalls nobody
        parts.create_app(services),
        sockets=[listening],
        threads=settings.web_threads,
        ident="",
        max_request_body_size=BODY_BYTES,
        channel_timeout=30,
        clear_untrusted_proxy_headers=True,
    )
    signal.signal(signal.SIGTERM, _interrupt)
    log.info("serving", pid=os.getpid())
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
        services.close()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@cli.command()
@click.argument("queue", type=click.Choice(sorted(set(QUEUES.values()))))
def worker(queue: str) -> None:
    """Work on one queue: `calls`, or `sync` for contacts and mail."""
    from redis import Redis
    from rq import Queue, SimpleWorker
    from rq.serializers import JSONSerializer

    settings = configuration.read()
    services = open_services(settings, pool_size=4)
    workers.open_for(services)
    _catch_up(services, queue)
    connection = Redis.from_url(settings.redis_url)
    log.info("working", name=queue, pid=os.getpid())
    SimpleWorker(  # one queue: RQ then moves a job rather than popping it, so that a crash loses no ring
        [Queue(queue, connection=connection, serializer=JSONSerializer)],
        connection=connection,
        serializer=JSONSerializer,
        log_job_description=False,
        worker_ttl=60,
        maintenance_interval=30,
    ).work(logging_level="WARNING")


def _catch_up(services: Services, queue: str) -> None:
    """Whoever worked here before may have died half-way: look at every lane with work before listening."""
    for tenant, lane in services.lanes.with_work():
        if QUEUES[lane] == queue and lane in LANES:
            services.bell.ring(tenant, lane)


@cli.command()
def timetable() -> None:
    """Find work nobody rang for, purge what is due, keep every promise's clock. One of all running ones acts."""
    settings = configuration.read()
    services = open_services(settings, pool_size=4)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    log.info("timetable", pid=os.getpid())
    try:
        timetables.run(services, stop, clock=time.monotonic)
    finally:
        services.close()


@cli.command()
@click.option("--only", help="One understudy by its folder's name: zoho, google, standard.")
@click.option("--port", type=int, default=9100, show_default=True, help="The first port; the others follow it.")
@click.pass_obj
def stage(parts: Parts, only: str | None, port: int) -> None:
    """Run the understudies of Zoho, Google and the phone systems, for demos, tests and other clients."""
    try:
        parts.serve_stage(port=port, only=only, say=click.echo)
    except Trouble as error:
        raise click.ClickException(str(error)) from None
