"""The supervisor with real processes: children come back, go in order, and never outlive it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands import supervise
from commands.supervise import CannotStart, Child, Supervisor, free_port_or_explain

ROOT = Path(__file__).parent.parent
SLEEPER = ["/bin/sh", "-c", "exec sleep 60"]


def test_a_killed_child_comes_back_and_the_others_stay(tmp_path: Path) -> None:
    """kill -9 of one worker costs that worker's process and nobody else's."""
    said: list[str] = []
    with supervised(tmp_path, [Child(name=name, argv=SLEEPER) for name in ("web", "worker-calls")], said) as supervisor:
        before = supervisor.pids()
        assert {"web", "worker-calls"} == before.keys()

        os.kill(before["worker-calls"], signal.SIGKILL)
        eventually(lambda: supervisor.restart_dead() == ["worker-calls"])

        after = supervisor.pids()
        assert before["web"] == after["web"]
        assert before["worker-calls"] != after["worker-calls"]
        assert said == ["worker-calls ended (signal 9, Killed); starting it again in 0.2 s"]


def test_it_works_from_a_thread_until_told_to_stop(tmp_path: Path) -> None:
    """A story kills a process while another thread supervises, and after the stop nothing runs."""
    supervisor = Supervisor([Child(name="web", argv=SLEEPER)], log_dir=tmp_path, say=ignore)
    supervisor.start()
    stop = threading.Event()
    thread = threading.Thread(target=supervisor.run_forever, args=[stop])
    thread.start()
    try:
        killed = supervisor.pids()["web"]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: supervisor.pids().get("web", killed) != killed)
        returned = supervisor.pids()["web"]
        assert alive(returned)
    finally:
        stop.set()
        thread.join(5)

    assert supervisor.pids() == {}
    assert not alive(returned)


def test_backoff_grows_and_a_hopeless_child_is_reported_once(tmp_path: Path) -> None:
    """0.2, 0.4, 0.8, 1.6 s; at the fifth death one report with its last words, then ten seconds each time."""
    clock, said = Clock(), list[str]()
    failing = Child(name="listen", argv=["/bin/sh", "-c", "echo no such topic; exit 3"])
    with supervised(tmp_path, [failing], said, clock) as supervisor:
        waits = []
        for _ in range(7):
            eventually(lambda: not supervisor.pids())
            assert supervisor.restart_dead() == []  # sees the death, waits
            died_at, tenths = clock.now, 0
            while not supervisor.restart_dead():
                tenths += 1
                clock.now = died_at + tenths / 10
            waits.append(tenths / 10)

    assert waits == [0.2, 0.4, 0.8, 1.6, 10.0, 10.0, 10.0]
    reports = [line for line in said if "no such topic" in line]
    assert len(reports) == 1
    assert "listen ended 5 times within 10 s (last: status 3); trying again every 10 s" in reports[0]
    assert len(said) == 5  # four plain deaths, one report, then silence


def test_a_child_that_stays_up_is_forgiven(tmp_path: Path) -> None:
    """Ten seconds up, and the next death is a first death again."""
    clock, said = Clock(), list[str]()
    with supervised(tmp_path, [Child(name="web", argv=SLEEPER)], said, clock) as supervisor:
        for up, expected in ((1.0, "0.2 s"), (1.0, "0.4 s"), (11.0, "0.2 s")):
            clock.now += up
            supervisor.restart_dead()
            os.kill(supervisor.pids()["web"], signal.SIGKILL)
            eventually(lambda: not supervisor.pids())
            supervisor.restart_dead()
            assert said[-1].endswith(expected)
            clock.now += 1
            assert supervisor.restart_dead() == ["web"]


def test_children_stop_in_reverse_order_and_a_stubborn_one_is_killed(tmp_path: Path) -> None:
    """The last started goes first; who ignores SIGTERM is killed and named."""
    order = tmp_path / "order"
    said: list[str] = []
    polite = 'trap "echo $NAME >> $ORDER; exit" TERM; echo up; while :; do sleep 0.02; done'
    stubborn = 'trap "" TERM; echo up; while :; do sleep 0.02; done'
    children = [
        Child(
            name=name,
            argv=["/bin/sh", "-c", script],
            env={"NAME": name, "ORDER": str(order)},
            ready=lambda name=name: "up" in (tmp_path / f"{name}.log").read_text(),  # type: ignore[misc]  # a default
        )
        for name, script in (("stage", polite), ("web", polite), ("worker", stubborn), ("timetable", polite))
    ]
    with supervised(tmp_path, children, said) as supervisor:
        pids = supervisor.pids()
        supervisor.stop(timeout=0.3)

        assert order.read_text().split() == ["timetable", "web", "stage"]
        assert said == ["worker did not end when asked and was killed"]
        assert supervisor.pids() == {}
        assert [pid for pid in pids.values() if alive(pid)] == []
        assert supervisor.restart_dead() == []  # a stopped supervisor starts nothing


def test_what_a_dead_child_had_started_ends_with_it(tmp_path: Path) -> None:
    """A worker killed with -9 leaves no helper behind that would work on beside its successor."""
    helper = Child(
        name="worker",
        argv=["/bin/sh", "-c", "sleep 60 & echo helper $!; wait"],
        ready=lambda: "helper" in (tmp_path / "worker.log").read_text(),
    )
    with supervised(tmp_path, [helper], []) as supervisor:
        grandchild = int((tmp_path / "worker.log").read_text().split()[1])
        assert alive(grandchild)

        os.kill(supervisor.pids()["worker"], signal.SIGKILL)
        eventually(lambda: supervisor.restart_dead() == ["worker"])

        eventually(lambda: not alive(grandchild))


def test_children_have_sessions_and_private_logs_of_their_own(tmp_path: Path) -> None:
    """Ctrl-C reaches only the supervisor; what a child prints is appended where only its owner reads it."""
    (tmp_path / "web.log").write_text("earlier\n")
    (tmp_path / "web.log").chmod(0o600)
    children = [
        Child(
            name=name,
            argv=["/bin/sh", "-c", "echo out $WHO; echo err >&2; exec sleep 60"],
            env={"WHO": name},
            ready=lambda name=name: "err" in (tmp_path / f"{name}.log").read_text(),  # type: ignore[misc]  # a default
        )
        for name in ("web", "worker")
    ]
    with supervised(tmp_path, children, []) as supervisor:
        for name, pid in supervisor.pids().items():
            assert pid == os.getsid(pid)
            assert (tmp_path / f"{name}.log").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "web.log").read_text().splitlines() == ["earlier", "out web", "err"]


def test_who_never_gets_ready_is_quoted_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start either succeeds as a whole or leaves nothing running."""
    monkeypatch.setattr(supervise, "READY_SECONDS", 3.0)
    pid_file = tmp_path / "pid"
    children = [
        Child(name="stage", argv=["/bin/sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"], ready=pid_file.exists),
        Child(name="web", argv=["/bin/sh", "-c", "echo KEYRING is empty; exit 78"], ready=lambda: False),
    ]
    supervisor = Supervisor(children, log_dir=tmp_path, say=ignore, clock=lambda: time.monotonic() * 10)

    with pytest.raises(CannotStart, match=r"^web did not get ready; .*web\.log ends: KEYRING is empty$"):
        supervisor.start()

    assert supervisor.pids() == {}
    assert not alive(int(pid_file.read_text()))


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The sentence names the child, not only the file."""
    supervisor = Supervisor([Child(name="web", argv=["/no/such/program"])], log_dir=tmp_path, say=ignore)

    with pytest.raises(CannotStart, match=r"^web cannot be started: .*/no/such/program"):
        supervisor.start()


def test_a_killed_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    """Even kill -9 of the parent ends the children, read from their state in /proc."""
    script = f"""
import time
from pathlib import Path
from commands.supervise import Child, Supervisor
supervisor = Supervisor([Child(name=n, argv={SLEEPER}) for n in "ab"], log_dir=Path({str(tmp_path)!r}), say=print)
supervisor.start()
print(*supervisor.pids().values(), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert [alive(pid) for pid in pids] == [True, True]

        parent.kill()

    eventually(lambda: not any(alive(pid) for pid in pids))


def test_a_taken_port_is_explained() -> None:
    """The sentence says what to set."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"^Port {port} is taken; set PORT to another one$"):
            free_port_or_explain(port, "PORT")

    assert port == free_port_or_explain(port, "PORT")
    assert free_port_or_explain(0, "PORT") > 0
    with pytest.raises(CannotStart, match=r"^There is no port 70000; set PORT to one between"):
        free_port_or_explain(70000, "PORT")


class Clock:
    """A clock that moves when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def supervised(
    folder: Path, children: list[Child], said: list[str], clock: Callable[[], float] = time.monotonic
) -> Iterator[Supervisor]:
    supervisor = Supervisor(children, log_dir=folder, say=said.append, clock=clock)
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop(timeout=1)


def alive(pid: int) -> bool:
    """Read the state letter: a zombie still answers signal 0."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def eventually(happened: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    """Wait for something that is bound to happen."""
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def ignore(_line: str) -> None:
    """Say nothing."""
