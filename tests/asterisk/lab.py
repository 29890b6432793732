"""A PBX with three telephones and a carrier, all on loopback, in a network of its own where the system lends one.

`Lab` starts Asterisk from the templates in `conf/`; `answers`, `refuses` and `calls` play a telephone each with sipp.
Its own network keeps what Asterisk binds without asking off this machine's; where there is none, loopback must do.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from store.embedded.processes import spawn

HERE = Path(__file__).parent
FOLDERS = "etc db keys varlib run spool/recording spool/monitor spool/outgoing spool/tmp log"
PORTS = ("SIP", "AMI", "HTTP", "UA201", "UA202", "UA203", "CARRIER")
LINES = {"201": "UA201", "202": "UA202", "203": "UA203", "carrier": "CARRIER"}  # who answers at which port
NEVER = 600_000  # milliseconds
TONE = bytes((0x80 if place % 16 < 8 else 0x00) for place in range(8000))  # a second of 500 Hz, in mu-law
PLAYED = '<action><exec rtp_stream="{tone},-1,0"/></action>'


@cache
def own_network() -> tuple[str, ...]:
    """How this system lends a process a network of its own; () where it does not."""
    for how in (("-n",), ("-r", "-n")):
        if subprocess.run(["unshare", *how, "true"], capture_output=True, check=False).returncode == 0:
            return how
    return ()


def eventually(check: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    """Wait for something to become true and return it; fail by its name."""
    until = time.monotonic() + seconds
    while not (value := check()):
        if time.monotonic() > until:
            raise AssertionError(f"it never came to this: {what}")
        time.sleep(0.02)
    return value


class Lab:
    """A running PBX. A context manager: what it starts, it stops."""

    def __init__(self, folder: Path) -> None:
        self.run = folder
        self.secret = secrets.token_hex(16)
        self._stack = ExitStack()
        self._inside: tuple[str, ...] = ()
        self._door = ""
        self.ports = _free_ports()
        self._players = 0

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _open(self) -> None:
        for name in FOLDERS.split():
            (self.run / name).mkdir(parents=True, exist_ok=True)
        filled = {"RUN": str(self.run), "SECRET": self.secret, **{name: str(port) for name, port in self.ports.items()}}
        for path in (HERE / "conf").iterdir():
            (self.run / "etc" / path.name).write_text(_fill(path.read_text(encoding="utf-8"), filled), "utf-8")
        (self.run / "tone.ulaw").write_bytes(TONE)
        if how := own_network():
            self._door = str(self.run / "d")
            holder = self.start(["unshare", *how, sys.executable, str(HERE / "inside.py"), self._door])
            eventually(lambda: Path(self._door).exists() or holder.poll() is not None, "the lab has a network")
            user = ("--user", "--preserve-credentials") if "-r" in how else ()
            self._inside = ("nsenter", "--target", str(holder.pid), *user, "--net")
        self.power_on()

    # -- the PBX

    def power_on(self) -> None:
        """Start Asterisk and wait until it takes calls."""
        self._asterisk = self.start([*self._inside, "asterisk", "-C", str(self.run / "etc/asterisk.conf"), "-f", "-n"])
        eventually(lambda: "fully booted" in self.console("core waitfullybooted"), "Asterisk is up")

    def power_off(self) -> None:
        """Pull the plug: no goodbye to anybody."""
        self._asterisk.kill()
        self._asterisk.wait()
        (self.run / "run/asterisk.ctl").unlink(missing_ok=True)

    def console(self, command: str) -> str:
        """Type a command at the PBX."""
        done = subprocess.run(
            [*self._inside, "asterisk", "-C", str(self.run / "etc/asterisk.conf"), "-rx", command],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        return done.stdout

    def live(self) -> list[str]:
        """The name of every channel there is now."""
        return [line.split("!")[0] for line in self.console("core show channels concise").splitlines() if "!" in line]

    def connect(self, address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        """Stand in for `create_connection` for whoever is not in the lab's network."""
        if not self._door:
            return socket.create_connection(address, 5)
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(self._door)
            asking.sendall(str(address[1]).encode())
            handles = socket.recv_fds(asking, 1, 1)[1]
        if not handles:
            raise ConnectionRefusedError("nobody listens at that port of the lab")
        return socket.socket(fileno=handles[0])

    # -- who calls and who is called

    @contextmanager
    def answers(
        self, line: str, *, ring: float = 0.3, talk: float = NEVER / 1000, sound: bool = False
    ) -> Iterator[None]:
        """Have a line ring, then be taken, and be hung up after `talk` seconds."""
        with self._played("answers", line, RING=_ms(ring), TALK=_ms(talk), sound=sound):
            yield

    @contextmanager
    def refuses(self, line: str, status: str) -> Iterator[None]:
        """Have a line answer with a refusal: "486 Busy Here", "603 Decline"."""
        with self._played("refuses", line, STATUS=status):
            yield

    @contextmanager
    def silent(self, line: str) -> Iterator[None]:
        """Have a line ring and nobody take it."""
        with self.answers(line, ring=NEVER / 1000):
            yield

    def calls(
        self,
        to: str,
        *,
        caller: str = "+14155550101",
        name: str = "Jane Caller",
        line: str = "carrier",
        talk: float = 1.0,
        gives_up: bool = False,
        sound: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Call a number from outside, or from the telephone `line`; the process ends with the call, 0 if as played."""
        here = "127.0.0.2" if line == "carrier" else "127.0.0.1"
        script = self._script("gives_up" if gives_up else "calls", TALK=_ms(talk), sound=sound)
        keys = ["-key", "caller", caller if line == "carrier" else line, "-key", "callername", name, "-s", to]
        return self._sipp(script, here, self._port(), *keys, "-m", "1")

    def ended(self, caller: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
        """Wait for a call to have gone as its caller meant it, and for the PBX to be quiet."""
        assert 0 == caller.wait(seconds), [path.read_text() for path in self.run.glob("sipp-*.err")]
        eventually(lambda: not self.live(), "every channel is gone")

    @contextmanager
    def _played(self, scene: str, line: str, *, sound: bool = False, **filled: str) -> Iterator[None]:
        here = "127.0.0.2" if line == "carrier" else "127.0.0.1"
        player = self._sipp(self._script(scene, sound=sound, **filled), here, self.ports[LINES[line]])
        time.sleep(0.15)  # sipp says nothing when it is ready
        assert player.poll() is None, "sipp did not start"
        try:
            yield
        finally:
            player.kill()
            player.wait()

    def _script(self, scene: str, *, sound: bool = False, **filled: str) -> Path:
        self._players += 1
        path = self.run / f"{scene}-{self._players}.xml"
        words = {
            "SOUND": PLAYED.format(tone=self.run / "tone.ulaw") if sound else "",
            "PORT": "[rtpstream_audio_port]" if sound else "[media_port]",
            **filled,
        }
        path.write_text(_fill((HERE / "phones" / f"{scene}.xml").read_text("utf-8"), words), "utf-8")
        return path

    def _sipp(self, script: Path, here: str, port: int, *words: str) -> subprocess.Popen[bytes]:
        about = ["-i", here, "-mi", here, "-ci", "127.0.0.1", "-p", str(port), "-mp", str(21_000 + 4 * self._players)]
        errors = ["-trace_err", "-error_file", str(self.run / f"sipp-{self._players}.err"), "-nostdin"]
        return self.start(
            [*self._inside, "sipp", "-sf", str(script), *about, *errors, *words, f"127.0.0.1:{self.ports['SIP']}"]
        )

    def _port(self) -> int:
        return 15_000 + 10 * self._players if self._inside else _free_ports()["SIP"]

    # -- processes

    def start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process that does not outlive us, whatever happens."""
        log = os.open(self.run / "log/processes.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            process = spawn(argv, when_orphaned=signal.SIGKILL, log=log, env=os.environ, cwd=str(self.run))
        finally:
            os.close(log)
        self._stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


def _fill(text: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        text = text.replace(f"@{name}@", value)
    return text


def _free_ports() -> dict[str, int]:
    with ExitStack() as held:
        taken = [held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) for _ in PORTS]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in zip(PORTS, taken, strict=True)}
