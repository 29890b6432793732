"""What a screen can do to a live call: hang up, send tones, pass on, park, stop recording for a while and go on.

All of it over AMI with the right `call`, and `reporting` to look first: Asterisk takes a transfer to a number that its
dialplan does not have for a success, and hangs up on the caller. Hold and mute would need the right `system`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from domain.errors import NotAllowed, Refused
from domain.ports import Control, Target
from integrations.telephony.asterisk.account import Account
from integrations.telephony.asterisk.ami import Block, Session

TONES = re.compile(r"[0-9A-D*#]{1,32}")
DIALLED = re.compile(r"\+?[0-9*#]{1,32}")  # nothing that means something to a dialplan: no comma, no ampersand
TONE_SECONDS = 0.12  # one after the other, or they run together


class Live:
    """A live call as the PBX shows it now. Raises Refused when it is over, or has no such leg."""

    def __init__(self, session: Session, account: Account, call_ref: str, leg_ref: str) -> None:
        rows = [row for row in session.rows("CoreShowChannels") if row.get("Linkedid") == call_ref]
        self.session = session
        self.account = account
        self.people = [row for row in rows if not row.get("Channel", "").startswith(("Local/", "Snoop/"))]
        self.legs = [row for row in self.people if row.get("Uniqueid") == leg_ref]
        if not self.people or (leg_ref and not self.legs):
            raise Refused("The call is over.", code="call.over")

    def is_outside(self, row: Block) -> bool:
        """Whether this is the trunks' side."""
        return row["Channel"].partition("/")[2].rpartition("-")[0] in self.account.trunks

    def near_end(self) -> Block:
        """Our agent. Raises Refused when nobody says who of several that is."""
        inside = self.legs or [row for row in self.people if not self.is_outside(row)]
        if len(inside) != 1:
            raise Refused("It is not known which telephone of this call is the agent's.", code="control.unsupported")
        return inside[0]

    def far_end(self, near: Block | None = None) -> list[Block]:
        """Whoever our agent speaks with: the trunks' side, else everybody but them."""
        mine = near["Uniqueid"] if near is not None else self.legs[0]["Uniqueid"] if self.legs else ""
        outside = [row for row in self.people if self.is_outside(row) and row.get("Uniqueid") != mine]
        return outside or [row for row in self.people if row.get("Uniqueid") != mine]


def check(account: Account, action: Control, digits: str, to: Target | None) -> None:
    """Refuse what cannot be meant before anything is asked. Raises Refused, NotAllowed."""
    if action == "dtmf" and not TONES.fullmatch(digits):
        raise Refused("These are no tones.", code="field.invalid")
    if action == "transfer":
        if to is None or not DIALLED.fullmatch(to.number or to.extension):
            raise Refused("This number or extension cannot be dialled.", code="number.invalid")
        if not account.dial_context:
            raise NotAllowed("No context for click to dial is set for this PBX.", code="account.incomplete")


def _hang_up(call: Live, digits: str, to: Target) -> None:
    """End the leg named, or the whole call."""
    for row in call.legs or call.people:
        try:
            call.session.ask("Hangup", Channel=row["Channel"], Cause="16")
        except Refused:
            continue  # it went by itself, often because the one before it did


def _tones(call: Live, digits: str, to: Target) -> None:
    for row in call.far_end():
        for digit in digits:
            call.session.ask("PlayDTMF", Channel=row["Channel"], Digit=digit)
            time.sleep(TONE_SECONDS)


def _transfer(call: Live, digits: str, to: Target) -> None:
    """Have the far end go on to a number in the context for click to dial; it has to be there."""
    context, wanted = call.account.dial_context, to.number or to.extension
    near = call.near_end()
    try:
        known = call.session.rows("ShowDialPlan", Context=context, Extension=wanted)
    except Refused:
        known = []
    if not any(row.get("Priority") == "1" for row in known):
        raise Refused("The PBX has no such number where calls may be passed on to.", code="number.invalid")
    call.session.ask("BlindTransfer", Channel=near["Channel"], Context=context, Exten=wanted)


def _park(call: Live, digits: str, to: Target) -> None:
    """Park the far end; our agent hears where, and is rung when nobody fetches it."""
    near = call.near_end()
    far = call.far_end(near)
    if len(far) != 1:
        raise Refused("More than two people are on this call.", code="control.unsupported")
    ours = near["Channel"]
    call.session.ask("Park", Channel=far[0]["Channel"], AnnounceChannel=ours, TimeoutChannel=ours)


def _record(call: Live, state: str) -> None:
    """Silence the recording, or go on with it, on whichever channel the dialplan began it."""
    done = 0
    for row in call.people:
        try:
            call.session.ask("MixMonitorMute", Channel=row["Channel"], Direction="both", State=state)
            done += 1
        except Refused:
            continue  # this one is not recorded
    if not done:
        raise Refused("This call is not recorded.", code="recording.none")


def _pause(call: Live, digits: str, to: Target) -> None:
    _record(call, "1")


def _resume(call: Live, digits: str, to: Target) -> None:
    _record(call, "0")


STEPS: Final[Mapping[Control, Callable[[Live, str, Target], None]]] = {
    "hangup": _hang_up,
    "dtmf": _tones,
    "transfer": _transfer,
    "park": _park,
    "pause": _pause,
    "resume": _resume,
}
