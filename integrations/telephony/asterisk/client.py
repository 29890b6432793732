"""What we ask of one PBX: ring an agent and then a number, steer a call (`steps.py`), fetch a recording.

Dialling and controlling go over AMI, one short session each; recordings over the ARI with an account of its own.
"""

from __future__ import annotations

import base64
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime

from domain.call import CallEvent
from domain.contact import Person
from domain.errors import NotAllowed, Refused, Unanswered
from domain.ports import Card, Control, Http, Sound, Target
from integrations.telephony.asterisk import steps
from integrations.telephony.asterisk.account import PLACE, Account, Reach, log_in
from integrations.telephony.asterisk.ami import Lost, Session
from integrations.telephony.asterisk.steps import DIALLED
from integrations.telephony.asterisk.switchboard import MARK, NUMBER_VARIABLE, SHOWN_VARIABLE
from integrations.telephony.edge import forget_sound, is_below, sound

EXTENSION = re.compile(r"[A-Za-z0-9_.-]{1,40}")
RING_MS = 30_000  # how long the agent's telephone rings
FAIRLY_SURE_SECONDS = 2.0  # a telephone that does not exist is known within milliseconds


class Pbx:
    """One PBX. Every method opens what it needs and leaves nothing open."""

    def __init__(self, account: Account, reach: Reach, http: Http) -> None:
        self._account = account
        self._reach = reach
        self._http = http

    def dial(self, *, agent_extension: str, agent_email: str, number: str, shown: str = "") -> str:
        """Ring the agent's telephone, then the number from the agreed context; return the call's Linkedid to be."""
        wanted = re.sub(r"[\s()./-]", "", number)
        if not self._account.dial_context:
            raise NotAllowed("No context for click to dial is set for this PBX.", code="account.incomplete")
        if not DIALLED.fullmatch(wanted) or not EXTENSION.fullmatch(agent_extension):
            raise Refused("This number or extension cannot be dialled.", code="number.invalid")
        told = f"{NUMBER_VARIABLE}={wanted}"
        if shown:
            if not DIALLED.fullmatch(shown):
                raise Refused("This number cannot be shown.", code="number.invalid")
            told += f",{SHOWN_VARIABLE}={shown}"  # for the dialplan: a CallerID here would be the agent's
        ref = f"{MARK}{uuid.uuid4().hex}"
        with log_in(self._account, self._reach, events=True) as session:
            try:
                session.ask(
                    "Originate",
                    action_id=ref,
                    Channel=self._account.agent_channel.replace(PLACE, agent_extension),
                    Context=self._account.dial_context,
                    Exten=wanted,
                    Priority="1",
                    Timeout=str(RING_MS),
                    CallerID=f"<{agent_extension}>",
                    Variable=told,
                    Async="true",
                    ChannelId=ref,
                )
                self._rings(session, ref)
            except Lost:
                raise Unanswered("The connection broke while the PBX was dialling.") from None
        return ref

    @staticmethod
    def _rings(session: Session, ref: str) -> None:
        """Wait for a sign that the agent's telephone is being rung. Raises Refused when the PBX gave up at once."""
        until = time.monotonic() + FAIRLY_SURE_SECONDS
        while (left := until - time.monotonic()) > 0 and (event := session.event(left)) is not None:
            if event.get("Event") == "Newchannel" and event.get("Uniqueid") == ref:
                return
            ours = event.get("Event") == "OriginateResponse" and event.get("ActionID") == ref
            if ours and event.get("Response") == "Failure":
                raise Refused("The agent's telephone cannot be rung.", code="agent.unreachable")

    def control(
        self, *, call_ref: str, leg_ref: str, action: Control, digits: str = "", to: Target | None = None
    ) -> None:
        """Do one of `steps.STEPS` to a live call; hanging up ends the leg named, or the whole call when none is."""
        if action not in steps.STEPS:
            raise NotAllowed("This PBX lets us do nothing of the kind to a call.", code="control.unsupported")
        steps.check(self._account, action, digits, to)
        with log_in(self._account, self._reach, events=False) as session:
            steps.STEPS[action](steps.Live(session, self._account, call_ref, leg_ref), digits, to or Target())

    def recording(self, url: str) -> Sound:
        """Open a recording over the ARI."""
        return sound(self._http, url, self._key_for(url))

    def forget_recording(self, url: str) -> None:
        """Delete a recording over the ARI. Raises NotAllowed when its account there is read-only."""
        forget_sound(self._http, url.removesuffix("/file"), self._key_for(url))

    def put_contacts(self, put: Sequence[tuple[str, Person]], removed: Sequence[str]) -> None:
        raise NotAllowed("Asterisk has no phonebook.", code="phonebook.none")

    def phonebook(self, region: str) -> Iterator[Card]:
        raise NotAllowed("Asterisk has no phonebook.", code="phonebook.none")

    def calls(self, ended_after: datetime) -> Iterator[CallEvent]:
        raise NotAllowed("Asterisk keeps its call records where its manager interface does not reach.")

    def _key_for(self, url: str) -> dict[str, str]:
        """The ARI's password, for the address the administrator gave and no other. Raises Refused."""
        if not self._account.recordings or not is_below(url, self._account.recordings):
            raise Refused("This recording is not at the PBX.", code="recording.gone")
        pair = f"{self._account.ari_username}:{self._account.ari_secret}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
