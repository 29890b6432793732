"""The callers of the intake: keep-alive connections that each send a signed event, wait for the answer, send the next.

A process of its own, `python -m bench.clients`, told what to do on standard input and answering there too. One loop
and no library, so that on a machine of two cores as little as possible is taken from whom it measures. They send as
fast as they are answered, or at a steady pace.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter, deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from integrations.telephony.standard.signature import sign

ROOT = Path(__file__).resolve().parents[1]
END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"\r\ncontent-length:"
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to send, where."""

    port: int
    door: str
    secret: str
    clients: int
    events: int
    a_second: float = 0.0  # 0: as fast as they go


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How it went: seconds for everything, seconds of each event, and how often each status was given."""

    took: float
    times: list[float]
    statuses: dict[str, int]


def event(place: int, now: datetime) -> bytes:
    """The last word on a call, as a platform sends it when somebody hangs up."""

    def at(seconds: int) -> str:
        return (now - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    data = {
        "call_id": f"call-{place}-{uuid.uuid4().hex[:8]}",
        "leg_id": "1",
        "direction": "inbound",
        "from": f"+346{place % 100_000_000:08}",
        "to": "+34911222333",
        "agent": {"extension": "201", "email": "bob@alice.example"},
        "queue": "sales",
        "started_at": at(190),
        "answered_at": at(186),
        "ended_at": at(0),
        "outcome": "answered",
    }
    return json.dumps({"type": "call.ended", "timestamp": at(0), "data": data}).encode()


def requests(task: Task, now: datetime) -> list[bytes]:
    """Every request whole and signed, no two alike."""
    made = []
    for place in range(task.events):
        body = event(place, now)
        id = f"e-{json.loads(body)['data']['call_id']}"
        headers = {
            "Host": f"127.0.0.1:{task.port}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **sign(task.secret, id, body, now),
        }
        head = "\r\n".join(f"{name}: {value}" for name, value in headers.items())
        made.append(f"POST /webhooks/telephony/{task.door} HTTP/1.1\r\n{head}\r\n\r\n".encode() + body)
    return made


def run(task: Task) -> Result:
    """Send everything in order; every connection has one event under way at a time."""
    waiting = requests(task, datetime.now(UTC))[::-1]
    pause = 1 / task.a_second if task.a_second else 0.0
    times: list[float] = []
    statuses: Counter[str] = Counter()
    with selectors.DefaultSelector() as selector:
        lines = [socket.create_connection(("127.0.0.1", task.port), PATIENCE_SECONDS) for _ in range(task.clients)]
        sent: dict[socket.socket, float] = {}
        heard = dict.fromkeys(lines, b"")
        by_number = {line.fileno(): line for line in lines}
        for line in lines:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(line, selectors.EVENT_READ)
        began = due = time.perf_counter()
        idle = deque(lines)
        while waiting or sent:
            now = time.perf_counter()
            while waiting and idle and due <= now:
                sent[line := idle.popleft()] = now
                line.sendall(waiting.pop())
                due += pause
            early = bool(waiting and idle)
            ready = selector.select(due - now if early else PATIENCE_SECONDS)
            if not ready and not early:
                raise TimeoutError(f"{len(sent)} events were not answered within {PATIENCE_SECONDS:.0f} seconds")
            for key, _ in ready:
                line = by_number[key.fd]
                came = line.recv(65_536)
                if not came:
                    raise ConnectionError("the server hung up")
                heard[line] += came
                if not whole(heard[line]):
                    continue
                now = time.perf_counter()
                times.append(now - sent.pop(line))
                statuses[heard[line][9:12].decode()] += 1
                heard[line] = b""
                idle.append(line)
        took = time.perf_counter() - began
        for line in lines:
            line.close()
    return Result(took=took, times=times, statuses=dict(statuses))


def ask(task: Task) -> Result:
    """Have a process of its own send everything; every event must be accepted, or there is nothing to measure."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.clients"],
        input=json.dumps(asdict(task)),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if done.returncode:
        raise RuntimeError(f"the clients gave up: {done.stderr.strip().splitlines()[-1]}")
    result = Result(**json.loads(done.stdout))
    if result.statuses != {"202": task.events}:
        raise RuntimeError(f"not every event was accepted: {result.statuses}")
    return result


def whole(answer: bytes) -> bool:
    """Is this a whole answer, its body included?"""
    head, end, body = answer.partition(END_OF_HEAD)
    _, named, rest = head.lower().partition(LENGTH)
    return bool(end) and len(body) >= (int(rest.partition(b"\r\n")[0]) if named else 0)


if __name__ == "__main__":
    json.dump(asdict(run(Task(**json.load(sys.stdin)))), sys.stdout)
