"""Vendor `asterisk`: a PBX of the tenant's own. We listen to its manager interface, dial over it, fetch recordings.

It knocks at no door: `listen` keeps a connection to it, in the process of `linekeeper listen`. What its owner has to
set, and why each right is asked for, is in `doc.md`.
"""

from __future__ import annotations

import secrets as randomness
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from domain.call import CallEvent
from domain.errors import Unauthentic
from domain.ports import AccountField, Http, Knock, ListeningVendor, PhoneSystem, Traits
from integrations.telephony.asterisk import account as accounts
from integrations.telephony.asterisk import listener
from integrations.telephony.asterisk.client import Pbx
from integrations.telephony.asterisk.schemas import read_event
from integrations.telephony.asterisk.steps import STEPS

GOING_ON = "going_on"  # beside the account: the calls, by their refs, that are not known to have ended


class Asterisk:
    """How an Asterisk is listened to, read and asked. `reach` and `clock` are for tests to replace."""

    slug = "asterisk"
    title = "Asterisk"
    traits = Traits(dial=True, shows=True, control=frozenset(STEPS), recordings=True, listens=True)
    account: tuple[AccountField, ...] = accounts.FIELDS

    def __init__(self, *, reach: accounts.Reach = accounts.reach, clock: Callable[[], float] = time.time) -> None:
        self._reach = reach
        self._clock = clock

    def new_secret(self) -> str:
        """Make a secret nobody is told: no knock of an Asterisk is ever believed."""
        return randomness.token_urlsafe(32)

    def verify(self, knock: Knock, secrets: Sequence[str], now: datetime) -> str:
        """Raise Unauthentic: events are fetched, and whoever knocks is somebody else."""
        raise Unauthentic("Nothing is delivered to this door.", code="webhook.unsigned")

    def parse(self, body: bytes, event_id: str) -> CallEvent | None:
        """Understand what `listen` yielded; None for the word that we are connected. Raises Malformed."""
        return read_event(body, event_id)

    def open(self, account: Mapping[str, str], http: Http) -> PhoneSystem:
        """Open a PBX. Raises NotAllowed for an account nothing can be done with."""
        return Pbx(accounts.read_account(account), self._reach, http)

    def listen(self, account: Mapping[str, str], stop: Callable[[], bool]) -> Iterator[tuple[str, bytes]]:
        """Yield (event id, body) until `stop()`. `account["going_on"]` names calls whose end may have been missed."""
        going_on = set(account.get(GOING_ON, "").split())
        filled = {name: value for name, value in account.items() if name != GOING_ON}
        return listener.listen(accounts.read_account(filled), stop, going_on, reach=self._reach, clock=self._clock)


VENDOR: ListeningVendor = Asterisk()
