"""Keeping consent: tokens sealed, renewed ahead of expiry by one process at a time, and withdrawn for good.

Renewal is single-flight across all processes: a lease on the grant's row, by the database's clock, with a fence so
that a process which slept through its lease changes nothing. A renewal that will never work again ends the grant:
the connection says so, the ledger records it once, work waits.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import uniform
from typing import Any
from uuid import UUID

import requests
from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from domain.consent import Token
from domain.errors import ConsentLost, TryLater, Upstream
from domain.ports import Tokens
from oauth import answer
from oauth.answer import Answer
from oauth.provider import OAuthProvider
from store.connections import Connections
from store.database import Database, TenantId
from store.ledger import Ledger
from store.tables import connections, grants
from store.vault import Vault

LEASE = timedelta(seconds=30)
USUAL_LIFE = 3600  # seconds
HELD_SECONDS = 1.0
WAIT_SECONDS = 25.0  # how long a caller waits for another process's renewal
POLL_SECONDS = 0.05
TRIALS = 2  # one consent that dies at that age may have been withdrawn; two in a row were not
TRIAL_EARLY, TRIAL_LATE = timedelta(hours=-1), timedelta(hours=12)  # clocks differ; a renewal notices within the hour
SHORT_LIVES = "short_lives"  # the fact of a connection that counts them
ACTIVE = select(
    grants,
    func.clock_timestamp().label("now"),
    func.coalesce(grants.c.extra["life"].as_integer(), USUAL_LIFE).label("life_seconds"),
).where(
    grants.c.tenant_id == bindparam("tenant"), grants.c.connection_id == bindparam("tie"), grants.c.state == "active"
)
STANDING = (
    select(connections.c.id, grants.c.scopes)
    .outerjoin(
        grants,
        (grants.c.tenant_id == connections.c.tenant_id)
        & (grants.c.connection_id == connections.c.id)
        & (grants.c.state == "active")
        & (connections.c.state == "active"),
    )
    .where(
        connections.c.tenant_id == bindparam("tenant"),
        connections.c.vendor == bindparam("vendor"),
        connections.c.state != "disconnected",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A consent as it stands. Tokens stay in the vault."""

    id: UUID
    connection: UUID
    scopes: frozenset[str]
    extra: Mapping[str, str]
    created_at: datetime
    access_until: datetime | None
    refresh_until: datetime | None
    granted_by: UUID | None  # the user who consented
    policy_version: str  # of the privacy profile they consented under


class Grants:
    """Keep, use, renew and end consents."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        ledger: Ledger,
        connections: Connections,
        providers: Mapping[str, OAuthProvider],
        http: requests.Session,
        *,
        timeout: float,
        on_lost: Callable[[TenantId, UUID], None] = lambda tenant, tie: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._db = db
        self._vault = vault
        self._ledger = ledger
        self._connections = connections
        self._providers = providers
        self._http = http
        self._timeout = timeout
        self._on_lost = on_lost
        self._sleep = sleep

    # -- keeping

    def keep(
        self,
        tenant: TenantId,
        tie: UUID,
        provider: OAuthProvider,
        got: Answer,
        *,
        home: str,
        location: str,
        granted_by: UUID | None,
        purposes: Sequence[str],
        policy_version: str,
        at_install: bool = False,
    ) -> None:
        """Seal the tokens of a new consent; the one before it is withdrawn at the provider. Writes the receipt.

        `at_install`: it was given when the application was installed, so the receipt says that nobody was asked here.

        Raises ConsentLost when neither this answer nor the grant before it holds a refresh token: such a connection
        would die within the hour.
        """
        row = uuid.uuid4()
        vault = self._vault.of(tenant)
        old = self._row(tenant, tie)
        refresh = got.refresh or (vault.open("grants", old.id, "refresh", old.refresh) if old is not None else "")
        if not refresh:
            raise ConsentLost("The provider gave no lasting permission. Please connect again.", code="consent.brief")
        with self._db.tenant(tenant) as database:
            database.execute(
                update(grants)
                .where(grants.c.tenant_id == tenant, grants.c.connection_id == tie, grants.c.state == "active")
                .values(state="replaced", ended_at=func.now(), refresh=None, access=None)
            )
            database.execute(
                insert(grants).values(
                    id=row,
                    tenant_id=tenant,
                    connection_id=tie,
                    scopes=sorted(got.scopes),
                    policy_version=policy_version,
                    refresh=vault.seal("grants", row, "refresh", refresh),
                    access=vault.seal("grants", row, "access", got.access),
                    access_until=func.now() + timedelta(seconds=got.life),
                    refresh_until=func.now() + timedelta(seconds=got.refresh_life) if got.refresh_life else None,
                    extra={**got.extra, "home": home, "location": location, "life": got.life},
                    granted_by=granted_by,
                )
            )
            self._connections.turn(database, tenant, tie, "active")
            self._ledger.write(
                database,
                tenant,
                "consent.given",
                actor=f"user:{granted_by}" if granted_by else "system",
                subject=f"connections:{tie}",
                provider=provider.slug,
                scopes=sorted(got.scopes),
                purposes=list(purposes),
                policy=policy_version,
                **({"at_install": True} if at_install else {}),
            )
        if old is not None and got.refresh and old.refresh is not None:
            before = vault.open("grants", old.id, "refresh", old.refresh)
            if before != got.refresh and provider.revoke_in_query:  # elsewhere revoking one token revokes them all
                self._revoke(provider, str(old.extra.get("home", "")), before)

    def get(self, tenant: TenantId, tie: UUID) -> Grant | None:
        """The consent a connection stands on now, if any."""
        row = self._row(tenant, tie)
        if row is None:
            return None
        return Grant(
            id=row.id,
            connection=tie,
            scopes=frozenset(row.scopes),
            extra=row.extra,
            created_at=row.created_at,
            access_until=row.access_until,
            refresh_until=row.refresh_until,
            granted_by=row.granted_by,
            policy_version=row.policy_version,
        )

    def standing(self, tenant: TenantId, vendor: str) -> dict[UUID, frozenset[str]]:
        """The connections to a provider that are not ended, and what consent each stands on: none, if it is lost."""
        with self._db.tenant(tenant) as database:
            rows = database.execute(STANDING, {"tenant": tenant, "vendor": vendor}).all()
        return {row.id: frozenset(row.scopes or ()) for row in rows}

    def _row(self, tenant: TenantId, tie: UUID) -> Any:
        with self._db.tenant(tenant) as database:
            return database.execute(ACTIVE, {"tenant": tenant, "tie": tie}).one_or_none()

    def giver(self, tenant: TenantId, tie: UUID) -> UUID | None:
        """Who gave the latest consent of a connection, whatever became of it."""
        with self._db.tenant(tenant) as database:
            found: UUID | None = database.execute(
                select(grants.c.granted_by)
                .where(grants.c.tenant_id == tenant, grants.c.connection_id == tie)
                .order_by(grants.c.created_at.desc())
                .limit(1)
            ).scalar()
        return found

    def refresh(self, tenant: TenantId, tie: UUID) -> str:
        """The refresh token that stands, "" for none: to compare it with one the provider names."""
        row = self._row(tenant, tie)
        return "" if row is None else self._vault.of(tenant).open("grants", row.id, "refresh", row.refresh)

    # -- using

    def tokens(self, tenant: TenantId, tie: UUID, provider: OAuthProvider) -> Tokens:
        """What an adapter is given: its tokens, and a renewal only of the one that was just refused.

        A token is good for a second of requests before it is read again: a batch asks once, not once a request.
        """
        last = ("", -HELD_SECONDS)

        def token(*, renew: bool = False) -> str:
            nonlocal last
            value, read_at = last
            if renew or time.monotonic() - read_at >= HELD_SECONDS:
                value = self.token(tenant, tie, provider, refused=value if renew else "").value
                last = (value, time.monotonic())
            return value

        return token

    def token(self, tenant: TenantId, tie: UUID, provider: OAuthProvider, *, refused: str = "") -> Token:
        """Return an access token that will last; renew it first if this is the one that was `refused`, or it is old.

        Raises ConsentLost, or TryLater when it cannot be renewed now and the old one is used up.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            row = self._row(tenant, tie)
            if row is None:
                raise ConsentLost("This connection has no permission any more. Connect it again.")
            access = self._vault.of(tenant).open("grants", row.id, "access", row.access)
            left = (row.access_until - row.now).total_seconds() if row.access_until and access else 0.0
            ready = Token(value=access, scopes=frozenset(row.scopes), extra=row.extra)
            fresh = min(provider.fresh_seconds + uniform(-60, 60), row.life_seconds / 2)
            if access != refused and left > fresh:
                return ready
            fence = self._lease(tenant, row)
            if fence is not None:
                try:
                    return self._renew(tenant, tie, provider, row, fence)
                except TryLater:
                    if left > 0 and access != refused:
                        return ready
                    raise
            if left > 30 and access != refused:
                return ready  # somebody else renews; this one still works
            if time.monotonic() > deadline:
                raise TryLater("Another process is renewing this permission and has not finished.", wait=5.0)
            self._sleep(POLL_SECONDS)

    def _lease(self, tenant: TenantId, row: Any) -> int | None:
        with self._db.tenant(tenant) as database:
            return database.execute(
                update(grants)
                .where(
                    grants.c.tenant_id == tenant,
                    grants.c.id == row.id,
                    grants.c.state == "active",
                    grants.c.version == row.version,
                    or_(grants.c.lease_until.is_(None), grants.c.lease_until < func.clock_timestamp()),
                )
                .values(fence=grants.c.fence + 1, lease_until=func.clock_timestamp() + LEASE)
                .returning(grants.c.fence)
            ).scalar_one_or_none()

    def _renew(self, tenant: TenantId, tie: UUID, provider: OAuthProvider, row: Any, fence: int) -> Token:
        vault = self._vault.of(tenant)
        home, location = str(row.extra.get("home", "")), str(row.extra.get("location", ""))
        mine = (grants.c.tenant_id == tenant, grants.c.id == row.id, grants.c.fence == fence)
        try:
            got = self._ask(provider, home, location, vault.open("grants", row.id, "refresh", row.refresh))
        except ConsentLost as lost:
            tried_out = lost.code == ConsentLost.code and self._of_trial(tenant, tie, provider, row)
            code = "consent.testing_mode" if tried_out else lost.code
            self._lose(tenant, tie, mine, code)
            raise ConsentLost(str(lost), code=code) from None
        except Upstream:
            with self._db.tenant(tenant) as database:
                database.execute(update(grants).where(*mine).values(lease_until=None))
            raise
        values: dict[str, Any] = {
            "access": vault.seal("grants", row.id, "access", got.access),
            "access_until": func.clock_timestamp() + timedelta(seconds=got.life),
            "extra": grants.c.extra.concat({"life": got.life}),
            "version": grants.c.version + 1,
            "lease_until": None,
        }
        if got.refresh:  # most answers hold none: the old one stays
            values["refresh"] = vault.seal("grants", row.id, "refresh", got.refresh)
        if got.scopes:
            values["scopes"] = sorted(got.scopes)
        with self._db.tenant(tenant) as database:
            database.execute(update(grants).where(*mine).values(**values))
        return Token(value=got.access, scopes=got.scopes or frozenset(row.scopes), extra=row.extra)

    def _of_trial(self, tenant: TenantId, tie: UUID, provider: OAuthProvider, row: Any) -> bool:
        """Say whether this connection dies of our client being tried out: for the second time in a row at that age."""
        age = row.now - row.created_at
        short = provider.trial is not None and TRIAL_EARLY <= age - provider.trial <= TRIAL_LATE
        times = int(self._connections.get(tenant, tie).facts.get(SHORT_LIVES, 0)) + 1 if short else 0
        self._connections.set_facts(tenant, tie, **{SHORT_LIVES: times})
        return times >= TRIALS

    def _ask(self, provider: OAuthProvider, home: str, location: str, refresh: str) -> Answer:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh,
            "client_id": provider.client.id,
            "client_secret": provider.client.secret_for(location),
        }
        try:
            response = self._http.post(provider.token_url.format(home=home), data=form, timeout=self._timeout)
            data = response.json()
        except requests.JSONDecodeError:
            raise TryLater("The token endpoint's answer was not JSON.", code="oauth.bad_answer") from None
        except requests.RequestException:
            raise TryLater("The provider could not be reached.") from None
        got = answer.read(provider, data)
        for value in got.extra.values():
            if not provider.trusted_api(location, value):
                raise TryLater("The provider's answer named an address that is not its own.", code="oauth.host")
        return got

    def _lose(self, tenant: TenantId, tie: UUID, mine: Sequence[Any], code: str) -> None:
        """Commit the end of a grant before anybody hears of it; tell the ledger once."""
        with self._db.tenant(tenant) as database:
            ended = database.execute(
                update(grants).where(*mine).values(state="dead", ended_at=func.now(), refresh=None, access=None)
            ).rowcount
            if ended and self._connections.turn(database, tenant, tie, "needs_consent", code):
                self._ledger.write(database, tenant, "consent.lost", subject=f"connections:{tie}", code=code)
        if ended:
            self._on_lost(tenant, tie)

    # -- ending

    def stop(self, tenant: TenantId, tie: UUID, code: str, *, given_before: datetime) -> bool:
        """The provider says that a consent is over: what was read under it goes first, then the tokens, at once.

        One that was given after `given_before` is another consent and stays. False when none stood.
        """
        row = self._row(tenant, tie)
        if row is None or row.created_at > given_before:
            return False
        self._on_lost(tenant, tie)
        mine = (grants.c.tenant_id == tenant, grants.c.id == row.id, grants.c.state == "active")
        self._lose(tenant, tie, mine, code)
        return True

    def end(self, database: Connection, tenant: TenantId, tie: UUID) -> tuple[str, str] | None:
        """Forget a connection's tokens in the caller's transaction; return (home, refresh token) to revoke there."""
        row = database.execute(
            select(grants)
            .where(grants.c.tenant_id == tenant, grants.c.connection_id == tie, grants.c.state == "active")
            .with_for_update()
        ).one_or_none()
        if row is None:
            return None
        refresh = self._vault.of(tenant).open("grants", row.id, "refresh", row.refresh)
        database.execute(
            update(grants)
            .where(grants.c.tenant_id == tenant, grants.c.id == row.id)
            .values(state="revoked", ended_at=func.now(), refresh=None, access=None, fence=grants.c.fence + 1)
        )
        return str(row.extra.get("home", "")), refresh

    def _revoke(self, provider: OAuthProvider, home: str, token: str) -> bool:
        """Withdraw a token at the provider; True when it says so (or knows it no more)."""
        token_field = {"token": token}
        in_query = provider.revoke_in_query
        try:
            response = self._http.post(
                provider.revoke_url.format(home=home),
                params=token_field if in_query else None,
                data=None if in_query else token_field,
                timeout=self._timeout,
            )
        except requests.RequestException:
            return False
        return response.status_code in (200, 400)  # 400: it is not (or no longer) a token there

    def revoke(self, provider: OAuthProvider, home: str, token: str, tries: int = 3) -> bool:
        """Withdraw at the provider, a few times if need be."""
        for attempt in range(tries):
            if self._revoke(provider, home, token):
                return True
            self._sleep(0.5 * 2**attempt)
        return False
