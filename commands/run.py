"""The processes of the house, one command each: serve, worker, timetable. `linekeeper up` runs them all."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable

import click
import structlog
import waitress.server

from commands.cli import Parts, cli, settings_of_house
from commands.supervise import CannotStart
from domain.errors import Trouble
from jobs import timetable as timetables
from jobs import worker as workers
from jobs.services import Services, open_services
from settings import Settings
from store.bell import QUEUES
from store.embedded.processes import die_with_parent
from store.inbox import LANES

log = structlog.get_logger()
BODY_BYTES = 256 * 1024 + 1
AGAIN_SECONDS = 0.2  # before a web process that ended is started again


@cli.command()
@click.pass_obj
def serve(parts: Parts) -> None:
    """Serve the doors and the console on PORT, with WEB_PROCESSES processes that share it."""
    parts.warm_up()  # import once, before there are several of us
    settings = settings_of_house()
    signal.signal(signal.SIGTERM, _interrupt)
    if settings.web_processes == 1:
        _serve(parts, settings)
        return
    crew: set[int] = set()
    try:
        while True:
            while len(crew) < settings.web_processes:
                crew.add(_fork(lambda: _serve(parts, settings)))
            ended, _ = os.wait()
            crew.discard(ended)
            log.warning("web_process_ended", pid=ended)
            time.sleep(AGAIN_SECONDS)
    except KeyboardInterrupt:
        pass
    finally:
        for pid in crew:
            os.kill(pid, signal.SIGTERM)
        for pid in crew:
            os.waitpid(pid, 0)


def _serve(parts: Parts, settings: Settings) -> None:
    services = open_services(settings, pool_size=settings.web_threads)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening.bind(("127.0.0.1", settings.port))
    except OSError:
        raise CannotStart(f"Port {settings.port} is taken; set PORT to another one.") from None
    server = waitress.server.create_server(  # it takes in whole requests first, so a slow body stalls nobody
        parts.create_app(services),
        sockets=[listening],
        threads=settings.web_threads,
        ident="",
        max_request_body_size=BODY_BYTES,
        channel_timeout=30,
        clear_untrusted_proxy_headers=True,
    )
    log.info("serving", pid=os.getpid())
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
        services.close()


def _fork(work: Callable[[], None]) -> int:
    """Do `work` in a process of its own, which ends with us however we end; return its number."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        die_with_parent(parent)
        work()
        status = 0
    except Trouble as error:
        click.echo(str(error), err=True)
    except Exception:
        traceback.print_exc()  # before any request was taken in, so it quotes nobody
    finally:
        sys.stderr.flush()
        os._exit(status)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@cli.command()
@click.argument("queue", type=click.Choice(sorted(set(QUEUES.values()))))
def worker(queue: str) -> None:
    """Work on one queue: `calls`, or `sync` for contacts and mail."""
    from redis import Redis
    from rq import Queue, SimpleWorker
    from rq.serializers import JSONSerializer

    settings = settings_of_house()
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
    settings = settings_of_house()
    services = open_services(settings, pool_size=4)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    log.info("timetable", pid=os.getpid())
    try:
        timetables.run(services, stop, clock=time.monotonic)
    finally:
        services.close()
