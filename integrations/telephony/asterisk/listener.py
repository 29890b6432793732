"""Listening to one PBX: log in, look who is on the line, then take events as they come, until told to stop.

A connection that breaks is made again a few times; a PBX that stays away is `TryLater`, and whoever asked decides when
to listen again. AMI replays nothing, so each connection begins with a look at what is going on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from integrations.telephony.asterisk.account import Account, Reach, log_in
from integrations.telephony.asterisk.ami import Block, Lost, Session
from integrations.telephony.asterisk.switchboard import Switchboard, Told

STEP_SECONDS = 0.5  # how soon we notice that we are to stop
SILENCE_SECONDS = 15.0  # then the PBX is asked whether it is there
PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)  # between attempts to connect again

Delivery = tuple[str, bytes]


def listen(
    account: Account, stop: Callable[[], bool], going_on: set[str], *, reach: Reach, clock: Callable[[], float]
) -> Iterator[Delivery]:
    """Yield deliveries until `stop()`. Raises Lost when the PBX stays out of reach, ConsentLost, Refused."""
    switchboard = Switchboard(account)
    last = ""  # the time of the last thing we heard: what ended while we were away had ended by then, or soon after
    attempt = 0
    while not stop():
        try:
            with log_in(account, reach, events=True) as session:
                first = True
                for told, at in _heard(session, switchboard, stop, going_on, last, clock):
                    attempt = 0 if not first else attempt
                    first, last = False, at or last
                    if told is not None:
                        yield told[0], json.dumps(told[1], ensure_ascii=False).encode()
        except Lost:
            if attempt >= len(PAUSES_SECONDS):
                raise
            _wait(PAUSES_SECONDS[attempt], stop)
            attempt += 1


def _heard(
    session: Session,
    switchboard: Switchboard,
    stop: Callable[[], bool],
    going_on: set[str],
    last: str,
    clock: Callable[[], float],
) -> Iterator[tuple[Told | None, str]]:
    """Yield what is told and when, and a None now and then as a sign of life."""
    now = _now(session, clock)
    rows = session.rows("CoreShowChannels")
    yield (f"connected/{now}", {"event": "Connected", "at": now, "call": "-"}), now
    for told in switchboard.look(rows, going_on, now, last or now):
        yield told, now
    going_on.clear()
    heard_at = time.monotonic()
    while not stop():
        event = session.event(STEP_SECONDS)
        if event is not None:
            heard_at = time.monotonic()
            at = event.get("Timestamp") or f"{clock():.6f}"
            for told in switchboard.hear(event, at):
                yield told, at
            if event.get("Event") == "Shutdown":
                raise Lost("The PBX is shutting down.")
        elif time.monotonic() - heard_at > SILENCE_SECONDS:
            yield None, _now(session, clock)
            heard_at = time.monotonic()


def _now(session: Session, clock: Callable[[], float]) -> str:
    """The PBX's own clock, which its events go by, as far as it says."""
    pong: Block = session.ask("Ping")
    return pong.get("Timestamp") or f"{clock():.6f}"


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stop() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, STEP_SECONDS / 5))
