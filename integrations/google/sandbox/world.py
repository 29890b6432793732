"""The state behind the Google understudy: people, clients, consents, mailboxes and phonebooks, one lock and one clock.

Nothing is kept outside a `World`, so two stages in one process never meet.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from . import scopes as known
from .faults import Faults
from .grants import Access, Client, Grants
from .hosts import Hosts
from .knobs import Knobs
from .mailbox import Change, Mailbox
from .marketplace import Marketplace
from .phonebook import Groups, Register
from .push import Courier
from .quota import Quotas
from .robots import Robots
from .spaces import Spaces
from .spreadsheet import Sheet
from .tokens import KeyRing

ISSUER = "https://accounts.google.com"
ID_TOKEN_SECONDS = 3_600
REQUESTS_REMEMBERED = 500


@dataclass(slots=True)
class Watch:
    """A mailbox's standing order to publish its changes to a topic."""

    topic: str
    project: str
    labels: frozenset[str]
    exclude: bool
    expires_at: float

    def covers(self, change: Change) -> bool:
        """Tell whether a change is worth a notification."""
        touched = self.labels.intersection(change.labels) | self.labels.intersection(change.moved)
        return not self.labels or bool(touched) != self.exclude


@dataclass(slots=True)
class User:
    """A Google account of the cast."""

    email: str
    name: str
    sub: str
    hd: str
    mailbox: Mailbox
    contacts: Register
    others: Register
    groups: Groups
    admin_blocks_app: bool = False
    disabled: bool = False
    watch: Watch | None = None

    def claims(self, scopes: Iterable[str]) -> dict[str, Any]:
        """Tell about the person as much as the scopes allow, in OpenID Connect's words."""
        granted, claims = set(scopes), dict[str, Any]({"sub": self.sub})
        if known.EMAIL in granted:
            claims |= {"email": self.email, "email_verified": True}
        if known.PROFILE in granted:
            given, _, family = self.name.partition(" ")
            claims |= {"name": self.name, "given_name": given, "family_name": family}
        return claims | ({"hd": self.hd} if self.hd else {})


@dataclass(slots=True)
class RequestLog:
    """What was asked of the understudy, counted by method and path template."""

    counts: Counter[str] = field(default_factory=Counter)
    last: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=REQUESTS_REMEMBERED))

    def note(self, what: str, status: int, at: float) -> None:
        """Count one request."""
        self.counts[what] += 1
        self.last.append({"request": what, "status": status, "at": at})


class World:
    """Everything one stage knows about its Google."""

    def __init__(self, origin: str, now: Callable[[], float]) -> None:
        self.origin, self._now, self._offset = origin, now, 0.0
        self.lock = threading.RLock()
        self.keys = KeyRing()
        self.knobs = Knobs()
        self.quotas = Quotas(self.knobs)
        self.faults = Faults()
        self.grants = Grants(self.knobs, self.now, self.write_id_token)
        self.courier = Courier(self.lock, self.knobs, self.now, self.keys, ISSUER)
        self.clients: dict[str, Client] = {}
        self.users: dict[str, User] = {}
        self.directories: dict[str, Register] = {}  # by organisation
        self.requests = RequestLog()
        self.hosts = Hosts()
        self.robots = Robots(self.now)
        self.marketplace = Marketplace()
        self.stream: dict[str, Any] = {}  # of security events
        self.files: dict[tuple[str, str], tuple[str, str]] = {}  # (user, id) -> (kind, text): those they let us see
        self.appointments: dict[str, dict[str, Any]] = {}  # user -> id -> event
        self.busy: dict[str, dict[str, Any]] = {}  # user -> times their calendar is busy, or what is wrong with it
        self.chat = Spaces()
        self.sheets: dict[str, Sheet] = {}

    def reset(self) -> None:
        """Empty the stage; only the signing keys stay, because making new ones takes a second."""
        self._offset = 0.0
        self.knobs.reset()
        self.quotas.reset()
        self.faults.clear()
        self.grants.reset()
        self.courier.reset()
        self.clients.clear()
        self.users.clear()
        self.directories.clear()
        self.requests = RequestLog()
        self.hosts = Hosts()
        self.robots.known.clear()
        self.robots.tokens.clear()
        self.marketplace.shelves.clear()
        self.stream = {}
        self.files.clear()
        self.appointments.clear()
        self.busy.clear()
        self.chat = Spaces()
        self.sheets.clear()

    def now(self) -> float:
        """Tell the stage's time in seconds since 1970."""
        return self._now() + self._offset

    def advance(self, seconds: float) -> None:
        """Turn the clock forward and wake what was waiting for it."""
        self._offset += seconds
        self.courier.wake()

    def add_user(self, email: str, name: str, hd: str = "") -> User:
        """Seat a new account."""
        groups = Groups()
        user = User(
            email=email,
            name=name,
            sub=f"1{secrets.randbelow(10**20):020d}",
            hd=hd,
            mailbox=Mailbox(email, self.now, lambda changes: self.mail_changed(email, changes)),
            contacts=Register("people/c", "CONTACT", self.now),
            others=Register("otherContacts/c", "OTHER_CONTACT", self.now),
            groups=groups,
        )
        self.users[email] = user
        if hd:
            self._enlist(user)
        return user

    def _enlist(self, user: User) -> None:
        """Put an account into its organisation's directory."""
        directory = self.directories.setdefault(user.hd, Register("people/d", "DOMAIN_CONTACT", self.now))
        given, _, family = user.name.partition(" ")
        known = {"names": [{"givenName": given, "familyName": family}], "emailAddresses": [{"value": user.email}]}
        directory.create(known, f"people/{user.sub}", "DOMAIN_PROFILE")

    def find_user(self, hint: str) -> User | None:
        """Find an account by address (in any case) or by `sub`."""
        by_address = self.users.get(hint.lower())
        return by_address or next((user for user in self.users.values() if user.sub == hint), None)

    def bearer(self, header: str) -> Access | None:
        """Find the live access token an Authorization header carries."""
        scheme, _, value = header.partition(" ")
        access = self.grants.access(value.strip()) if scheme.lower() == "bearer" else None
        return access if access and access.user in self.users and not self.users[access.user].disabled else None

    def write_id_token(self, email: str, client: Client, nonce: str, access_token: str) -> str:
        """Sign who somebody is, for one client."""
        user, issued = self.users[email], int(self.now())
        granted = self.grants.access(access_token)
        claims = {"iss": ISSUER, "azp": client.id, "aud": client.id, "iat": issued, "exp": issued + ID_TOKEN_SECONDS}
        claims |= user.claims(granted.scopes if granted else ()) | ({"nonce": nonce} if nonce else {})
        return self.keys.current().sign(claims)

    def mail_changed(self, email: str, changes: list[Change]) -> None:
        """Publish a notification when the mailbox is watched and the change is covered."""
        user = self.users[email]
        watch = user.watch
        if watch and watch.expires_at > self.now() and any(watch.covers(change) for change in changes):
            self.courier.publish(watch.topic, email, user.mailbox.history_id)

    @staticmethod
    def json(value: object) -> str:
        """Write JSON as compactly as Google does on request, in any alphabet."""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
