"""The processes of the house, one command each: serve, worker, timetable; `crew` is all of them at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import click
import structlog

from commands import front
from commands.calm import settle
from commands.cli import Parts, cli, settings_of_house
from commands.crew import Crew, interrupt
from commands.listen import keep_listening
from commands.supervise import CannotStart
from jobs import timetable as timetables
from jobs import worker as workers
from jobs.services import Services, open_services
from settings import Settings
from store.bell import QUEUES
from store.inbox import LANES

log = structlog.get_logger()
BACKLOG = 1024  # who waits at the port to be let in


@cli.command()
@click.pass_obj
def crew(parts: Parts) -> None:
    """Do everything that serves and works on this machine: web, workers, timetable, listener, a process each."""
    parts.warm_up()
    import rq  # noqa: F401 - imported once here, used by every worker

    settings = settings_of_house()
    roles = _web(parts, settings)
    for place in range(settings.call_workers):
        roles[f"worker-calls-{place + 1}"] = lambda: _work(settings, "calls")
    roles["worker-sync"] = lambda: _work(settings, "sync")
    roles["timetable"] = lambda: _keep_time(settings)
    roles["listener"] = lambda: keep_listening(settings)
    Crew(roles, folder=settings.data_dir).run()


@cli.command()
@click.pass_obj
def serve(parts: Parts) -> None:
    """Serve the doors and the console on PORT, with WEB_PROCESSES processes that share it."""
    parts.warm_up()
    Crew(_web(parts, settings_of_house())).run()


@cli.command()
@click.argument("queue", type=click.Choice(sorted(set(QUEUES.values()))))
def worker(queue: str) -> None:
    """Work on one queue: `calls`, or `sync` for contacts and mail."""
    _work(settings_of_house(), queue)


@cli.command()
def timetable() -> None:
    """Find work nobody rang for, purge what is due, keep every promise's clock. One of all running ones acts."""
    _keep_time(settings_of_house())


def _web(parts: Parts, settings: Settings) -> dict[str, Callable[[], None]]:
    return {f"web-{number + 1}": lambda: _serve(parts, settings) for number in range(settings.web_processes)}


def _serve(parts: Parts, settings: Settings) -> None:
    signal.signal(signal.SIGTERM, interrupt)
    services = open_services(settings, pool_size=settings.web_threads)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening.bind(("127.0.0.1", settings.port))
    except OSError:
        raise CannotStart(f"Port {settings.port} is taken; set PORT to another one.") from None
    app = parts.create_app(services)
    listening.listen(BACKLOG)
    settle()
    log.info("serving", pid=os.getpid())
    try:
        front.serve(app, listening, threads=settings.web_threads, at_once=app.extensions["linekeeper.at_once"])
    except KeyboardInterrupt:
        pass
    finally:
        services.close()


def _work(settings: Settings, queue: str) -> None:
    from redis import Redis
    from rq import Queue, SimpleWorker
    from rq.serializers import JSONSerializer

    services = open_services(settings, pool_size=4)
    workers.open_for(services)
    _catch_up(services, queue)
    connection = Redis.from_url(settings.redis_url)
    settle()
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


def _keep_time(settings: Settings) -> None:
    services = open_services(settings, pool_size=4)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    log.info("timetable", pid=os.getpid())
    try:
        timetables.run(services, stop, clock=time.monotonic)
    finally:
        services.close()
