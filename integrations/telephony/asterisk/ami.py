"""The Asterisk Manager Interface on the wire: blocks of `Key: Value` lines, actions and their answers, login.

Nothing here knows what a call is. Whatever goes wrong comes out as one of the errors named after their remedy.
Source of the rules: docs.asterisk.org, AMI v2 Specification.
"""

from __future__ import annotations

import hashlib
import itertools
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from domain.errors import ConsentLost, NotAllowed, Refused, TryLater, Upstream

Block = Mapping[str, str]

GREETING = b"Asterisk Call Manager/"
ANSWER_SECONDS = 10.0
SEND_SECONDS = 10.0
CHUNK_BYTES = 65_536
BLOCK_BYTES = 256 * 1024  # no event is near that long: it is no AMI then
EVENTS_KEPT = 50_000  # that came while an answer was awaited
UNREACHABLE = "upstream.unreachable"


class Lost(TryLater):
    """The connection to the PBX broke, or never came to be."""

    code = UNREACHABLE


class Session:
    """One logged-in connection. A context manager; not for several threads at once."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._buffer = bytearray()
        self._events: deque[Block] = deque()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def login(self, user: str, secret: str, *, events: bool) -> None:
        """Say who we are without sending the secret. Raises ConsentLost when the PBX does not believe it."""
        greeting = self._until(b"\n", time.monotonic() + ANSWER_SECONDS)
        if greeting is None or not greeting.startswith(GREETING):
            raise Refused("What answers there is not the manager interface of an Asterisk.", code="upstream.not_ami")
        try:
            challenge = self.ask("Challenge", AuthType="MD5").get("Challenge", "")
            key = hashlib.md5(f"{challenge}{secret}".encode(), usedforsecurity=False).hexdigest()  # AMI knows no other
            self.ask("Login", AuthType="MD5", Username=user, Key=key, Events="on" if events else "off")
        except (Refused, NotAllowed):
            raise ConsentLost("The PBX refuses this manager name and secret.") from None

    def ask(self, action: str, *, action_id: str = "", **fields: str) -> Block:
        """Send an action, return its answer. Raises NotAllowed without the right, Refused for any other error."""
        answer, _ = self._ask(action, action_id, fields, listed=False)
        return answer

    def rows(self, action: str, **fields: str) -> list[Block]:
        """Send an action that is answered with a list; return its rows."""
        _, rows = self._ask(action, "", fields, listed=True)
        return rows

    def event(self, seconds: float) -> Block | None:
        """Return the next event, None when none came in that time. Raises Lost."""
        if self._events:
            return self._events.popleft()
        until = time.monotonic() + seconds
        while (block := self._block(until)) is not None:
            if "Event" in block:
                return block
        return None

    def _ask(
        self, action: str, action_id: str, fields: Mapping[str, str], *, listed: bool
    ) -> tuple[Block, list[Block]]:
        action_id = action_id or f"linekeeper-{next(self._numbers)}"
        self._send([("Action", action), ("ActionID", action_id), *fields.items()])
        until = time.monotonic() + ANSWER_SECONDS
        answer: Block | None = None
        rows: list[Block] = []
        while (block := self._block(until)) is not None:
            ours = block.get("ActionID") == action_id
            if ours and "Response" in block and "Event" not in block:
                if trouble := trouble_in(block):
                    raise trouble
                answer = block
                if not listed:
                    return answer, rows
            elif ours and listed and answer is not None:
                if block.get("EventList", "").lower() == "complete":
                    return answer, rows
                rows.append(block)
            elif "Event" in block:
                if len(self._events) >= EVENTS_KEPT:
                    raise Lost("The PBX sends events faster than it answers.")
                self._events.append(block)
        raise Lost("The PBX did not answer in time.")

    def _send(self, pairs: list[tuple[str, str]]) -> None:
        for _, value in pairs:
            if "\r" in value or "\n" in value or "\0" in value:  # it would start a header of its own choice
                raise Refused("A line break cannot be part of what is asked of a PBX.", code="field.invalid")
        text = "".join(f"{key}: {value}\r\n" for key, value in pairs) + "\r\n"
        try:
            self._socket.settimeout(SEND_SECONDS)
            self._socket.sendall(text.encode())
        except OSError:
            raise Lost("The connection to the PBX broke.") from None

    def _block(self, until: float) -> Block | None:
        raw = self._until(b"\r\n\r\n", until)
        return None if raw is None else read_block(raw)

    def _until(self, mark: bytes, until: float) -> bytes | None:
        """Return what comes before `mark`, None when it has not come by then; what came stays for the next time."""
        searched = 0
        while (found := self._buffer.find(mark, searched)) < 0:
            if len(self._buffer) > BLOCK_BYTES:
                raise Lost("What the PBX sends has no end.")
            searched = max(0, len(self._buffer) - len(mark) + 1)
            left = until - time.monotonic()
            if left <= 0:
                return None
            try:
                self._socket.settimeout(left)
                chunk = self._socket.recv(CHUNK_BYTES)
            except TimeoutError:
                return None
            except OSError:
                chunk = b""
            if not chunk:
                raise Lost("The PBX closed the connection.")
            self._buffer += chunk
        raw = bytes(self._buffer[:found])
        del self._buffer[: found + len(mark)]
        return raw


def read_block(raw: bytes) -> Block:
    """Read the lines of one block; of a key that is repeated the first value counts."""
    block: dict[str, str] = {}
    for key, value in _pairs(raw):
        block.setdefault(key, value)
    return block


def _pairs(raw: bytes) -> Iterator[tuple[str, str]]:
    for line in raw.decode("utf-8", "replace").replace("\0", "").split("\r\n"):
        key, colon, value = line.partition(":")
        if colon:
            yield key.strip(), value.strip()


def trouble_in(answer: Block) -> Upstream | None:
    """Name the remedy an answer asks for; None when all is well."""
    if answer.get("Response", "") in ("Success", "Goodbye"):
        return None
    said = answer.get("Message", "")
    if said.startswith("Permission denied"):
        return NotAllowed("The manager account of the PBX has no right to do this.")
    return Refused("The PBX refused.", code="upstream.refused")
