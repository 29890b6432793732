"""The tools a story takes: what is kept, what is outside, and how one leads to the other.

`open_services` is called once a process; nothing is opened on import. A test passes its own tools instead.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import requests
import structlog
from sqlalchemy.exc import SQLAlchemyError

import integrations
from domain.besides import Source
from domain.busy import CURSOR as BUSY_TIMES
from domain.errors import ConsentLost
from domain.gate import Limits, Turn
from domain.ports import AddressBook, CallBridge, Crm, Http, Mailbox, PeopleListing, PhoneSystem, TelephonyVendor
from domain.profile import Profiles
from domain.sharing import Sharing
from domain.telling import PeopleWriter
from integrations import google, guard
from integrations.gated import Gated, one_credit
from integrations.google.lent import Lent
from integrations.google.licences import Licences
from integrations.google.provider import provider as google_provider
from integrations.google.risc import SecurityEvents
from integrations.google.robot import Robot
from integrations.google.tokens import GoogleKeys
from integrations.google.units import Budgeted
from integrations.zoho import crm as zoho_crm
from integrations.zoho.credits import credits
from integrations.zoho.crm import open_people_writer
from integrations.zoho.provider import provider as zoho
from oauth.flow import Consent
from oauth.grants import Grant, Grants
from oauth.provider import OAuthProvider
from settings import BadSettings, Settings
from store.apart import SetApart
from store.api_keys import ApiKeys
from store.bell import Bell
from store.callbacks import Callbacks
from store.calls import Calls
from store.certificates import Certificates
from store.changes import Changes
from store.chores import Chores
from store.connections import Connections, Tie
from store.database import Database, TenantId
from store.devices import Devices
from store.directory import Directory
from store.effects import Effects
from store.gate import Gates, Standing
from store.hub import Hub
from store.inbox import Inbox
from store.installs import Installs
from store.journal import Journal
from store.lanes import Lanes
from store.ledger import Ledger
from store.mailbox import MailCache
from store.pairs import Pairs
from store.routes import Routes
from store.tenants import Tenants
from store.units import Units
from store.vault import KeyRing, Vault

if TYPE_CHECKING:
    from integrations.google.calendar import GoogleCalendar
    from integrations.google.chat import GoogleChat
    from integrations.google.sheets import GoogleSheets

CHAT_SCOPE = "https://www.googleapis.com/auth/chat.bot"
CHAT_SECONDS = 5.0  # calls wait behind this, so a slow Chat is asked again later
LICENCE_SECONDS = 5  # somebody may be waiting for a consent page
LICENCE = "licence"  # the chore that asks whether our application is still installed
DOOR_URL = "door.url"  # the cursor that keeps where a connection's vendor reports to
KEPT_SLOTS = 1  # of an organisation's places, for pops and clicks
KEPT_CREDITS = 10  # a tenth of a day's credits
LEASE_TIMEOUTS = 3  # connecting, waiting and reading may each take one
NO_LIMITS = Limits()
T = TypeVar("T")
Cost = Callable[[str, str, Mapping[str, Any]], int]

log = structlog.get_logger()


def upstream(vendor: str, tie: UUID) -> str:
    """The name of the gate before a connection's other side: its own organisation, user or account there."""
    return f"{vendor}:{tie}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a story, a door or a page may use."""

    settings: Settings
    db: Database
    vault: Vault
    directory: Directory
    installs: Installs
    tenants: Tenants
    connections: Connections
    inbox: Inbox
    effects: Effects
    lanes: Lanes
    chores: Chores
    calls: Calls
    apart: SetApart
    callbacks: Callbacks
    hub: Hub
    pairs: Pairs
    journal: Journal
    changes: Changes
    devices: Devices
    routes: Routes
    api_keys: ApiKeys
    ledger: Ledger
    certificates: Certificates
    profiles: Profiles
    mail: MailCache
    bell: Bell
    gates: Gates
    units: Units
    grants: Grants
    consent: Consent
    providers: Mapping[str, OAuthProvider]
    telephony: Mapping[str, TelephonyVendor]
    google_keys: GoogleKeys
    security_events: SecurityEvents
    http: requests.Session  # to Zoho and Google: pooled
    guarded: requests.Session  # to addresses a tenant supplied
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    opened: dict[Any, Any] = field(default_factory=dict)  # adapters worth keeping: they learn about their organisation

    # -- outside systems, opened with a connection's consent

    def crm(self, tie: Tie) -> Crm:
        """The CRM organisation behind a connection. Raises ConsentLost."""
        grant = self._grant(tie)
        tenant = self.tenants.get(tie.tenant)
        region, besides = tenant.region, tenant.matching.besides
        return self._kept(
            ("crm", tie.tenant, grant.id, region, besides),
            lambda: zoho_crm.open_crm(
                http=self._zoho(tie),
                api_domain=grant.extra.get("api_domain", ""),
                tokens=self.grants.tokens(tie.tenant, tie.id, self.providers[tie.vendor]),
                region=region,
                besides=besides,
                timeout=self.settings.request_timeout_seconds,
            ),
        )

    def bridge(self, tie: Tie) -> CallBridge:
        """The CRM's own telephony screen."""
        grant = self._grant(tie)
        return self._kept(
            ("bridge", tie.tenant, grant.id),
            lambda: zoho_crm.open_bridge(
                http=self._zoho(tie),
                api_domain=grant.extra.get("api_domain", ""),
                tokens=self.grants.tokens(tie.tenant, tie.id, self.providers[tie.vendor]),
                timeout=self.settings.request_timeout_seconds,
            ),
        )

    def address_book(self, tie: Tie) -> AddressBook:
        """A Google user's contacts, as far as they take part."""
        return google.open_contacts(
            only=Sharing.from_facts(tie.facts).only,
            http=self._gated(tie, self._kept("google sessions", google.open_sessions)),
            tokens=self.grants.tokens(tie.tenant, tie.id, self.providers[tie.vendor]),
            root=self.settings.google_api_root,
            region=self.tenants.get(tie.tenant).region,
            timeout=self.settings.request_timeout_seconds,
        )

    def beside(self, tie: Tie, source: Source) -> PeopleListing:
        """A Google user's other contacts, or the directory of their organisation."""
        return google.open_beside(
            source,
            http=self._gated(tie, self._kept("google sessions", google.open_sessions)),
            tokens=self.grants.tokens(tie.tenant, tie.id, self.providers[tie.vendor]),
            root=self.settings.google_api_root,
            region=self.tenants.get(tie.tenant).region,
            timeout=self.settings.request_timeout_seconds,
        )

    def people_writer(self, tie: Tie) -> PeopleWriter:
        """The people a CRM or a Google user keeps, to be written. Raises ConsentLost."""
        grant = self._grant(tie)
        tokens = self.grants.tokens(tie.tenant, tie.id, self.providers[tie.vendor])
        region, timeout = self.tenants.get(tie.tenant).region, self.settings.request_timeout_seconds
        if tie.kind == "crm":
            return self._kept(  # it learns which columns an organisation added
                ("people writer", tie.tenant, grant.id, region),
                lambda: open_people_writer(
                    http=self._zoho(tie),
                    api_domain=grant.extra.get("api_domain", ""),
                    tokens=tokens,
                    region=region,
                    timeout=timeout,
                ),
            )
        only = Sharing.from_facts(tie.facts).only
        return google.open_contacts_writer(
            label=only[0] if only else "",
            http=self._gated(tie, self._kept("google sessions", google.open_sessions)),
            tokens=tokens,
            root=self.settings.google_api_root,
            region=region,
            timeout=timeout,
        )

    def mailbox(self, tie: Tie) -> Mailbox:
        """A Google user's mailbox."""
        way = self._gated(tie, self._kept("google sessions", google.open_sessions))
        name = upstream(tie.vendor, tie.id)
        return google.open_mailbox(
            http=Budgeted(way, lambda units, kept: self.units.take(name, units, kept)),
            tokens=self.grants.tokens(tie.tenant, tie.id, self.providers[tie.vendor]),
            root=self.settings.google_api_root,
            timeout=self.settings.request_timeout_seconds,
        )

    def sheets(self, tie: Tie) -> GoogleSheets:
        """The spreadsheets we made for a Google user."""
        return google.open_sheets(
            http=self._gated(tie, self._kept("google sessions", google.open_sessions)),
            tokens=self.grants.tokens(tie.tenant, tie.id, self.providers[tie.vendor]),
            root=self.settings.google_api_root,
            timeout=self.settings.request_timeout_seconds,
        )

    def calendar(self, tie: Tie) -> GoogleCalendar:
        """A Google user's own calendar, as far as it says busy."""
        return google.open_calendar(
            http=self._gated(tie, self._kept("google sessions", google.open_sessions)),
            tokens=self.grants.tokens(tie.tenant, tie.id, self.providers[tie.vendor]),
            root=self.settings.google_api_root,
            timeout=self.settings.request_timeout_seconds,
        )

    def lent(self, token: str, timeout: float) -> Lent:
        """Google, asked with a token that one of its hosts lent us for this one call."""
        return Lent(
            http=self._kept("google sessions", google.open_sessions),
            token=token,
            root=self.settings.google_api_root,
            timeout=timeout,
        )

    def robot(self) -> Robot | None:
        """Our service account at Google, if the operator gave us one."""
        settings = self.settings
        if not settings.google_service_account_key:
            return None
        return self._kept(
            "google robot",
            lambda: Robot(
                settings.google_service_account_key,
                settings.google_token_uri,
                self._kept("google sessions", google.open_sessions),
                lambda: self.now().timestamp(),
                timeout=settings.request_timeout_seconds,
            ),
        )

    def licences(self) -> Licences | None:
        """The Marketplace's licences of our application, if it is listed there and we may ask."""
        settings, robot = self.settings, self.robot()
        if robot is None or not settings.google_marketplace_app_id:
            return None
        return self._kept(
            "google licences",
            lambda: Licences(
                robot,
                settings.google_marketplace_app_id,
                self._kept("google sessions", google.open_sessions),
                root=settings.google_api_root,
                timeout=min(settings.request_timeout_seconds, LICENCE_SECONDS),
            ),
        )

    def chat(self) -> GoogleChat | None:
        """Google Chat as our own app; None where nobody gave us its service account."""
        robot = self.robot()
        if robot is None:
            return None
        way = Gated(
            http=self._kept("google sessions", google.open_sessions),
            gate=self.gates,
            upstream="google-chat",  # one app for everybody: when Chat is silent it is silent to all
            title="Google Chat",
            lease_seconds=LEASE_TIMEOUTS * CHAT_SECONDS,
        )
        root = self.settings.google_api_root
        return google.open_chat(http=way, tokens=robot.tokens(CHAT_SCOPE), root=root, timeout=CHAT_SECONDS)

    def phone_system(self, tie: Tie) -> PhoneSystem:
        """An account at a telephony vendor."""
        door = self.connections.cursor(tie.tenant, tie.id, DOOR_URL)  # who dials for us is told where to report
        return self.telephony[tie.vendor].open({**tie.account, "door_url": door}, self._gated(tie, self.guarded))

    # -- the gates before them

    def standing(self, tie: Tie) -> Standing:
        """How the other side of a connection answers now."""
        return self.gates.standing(upstream(tie.vendor, tie.id))

    def _zoho(self, tie: Tie) -> Http:
        """To one organisation, for whom Zoho counts what is under way and what a day costs."""
        settings = self.settings
        slots, budget = settings.zoho_concurrency, settings.zoho_daily_credits
        kept = Limits(slots=slots, kept_slots=KEPT_SLOTS, credits=budget, kept_credits=budget // KEPT_CREDITS)
        return self._gated(tie, self.http, kept, credits)

    def _gated(self, tie: Tie, http: Http, limits: Limits = NO_LIMITS, cost: Cost = one_credit) -> Http:
        return Gated(
            http=http,
            gate=self.gates,
            upstream=upstream(tie.vendor, tie.id),
            title=self.title(tie.vendor),
            lease_seconds=LEASE_TIMEOUTS * self.settings.request_timeout_seconds,
            limits=limits,
            cost=cost,
            turned=lambda turn, since: self._turned(tie, turn, since),
        )

    def title(self, vendor: str) -> str:
        """What an outside system is called."""
        known = self.telephony.get(vendor)
        return known.title if known is not None else vendor.capitalize()

    def _turned(self, tie: Tie, turn: Turn, since: int) -> None:
        """A circuit opened or closed: say so once, in the log and in the tenant's ledger."""
        began = datetime.fromtimestamp(since / 1000, UTC).isoformat(timespec="seconds")
        log.warning(f"circuit_{turn}", tenant=str(tie.tenant), connection=str(tie.id), name=tie.vendor)
        try:
            self.ledger.note(tie.tenant, f"circuit.{turn}", subject=f"connections:{tie.id}", silent_since=began)
        except SQLAlchemyError as error:  # an answer that came must not be lost over this
            log.error("circuit_not_noted", tenant=str(tie.tenant), error=type(error).__name__)

    def _grant(self, tie: Tie) -> Grant:
        grant = self.grants.get(tie.tenant, tie.id)
        if grant is None:
            raise ConsentLost("This connection has no permission any more. Connect it again.")
        return grant

    def _kept(self, key: Hashable, open_: Callable[[], T]) -> T:
        """One adapter for a grant in a process, so that what it learned is not learned again."""
        if len(self.opened) > 1_000:
            self.opened.clear()
        if key not in self.opened:
            self.opened[key] = open_()
        kept: T = self.opened[key]
        return kept

    def ring(self, tenant: TenantId, *lanes: str) -> None:
        """Wake workers for lanes, best effort: the sweep finds what nobody heard."""
        for lane in lanes:
            self.bell.ring(tenant, lane)  # type: ignore[arg-type]  # lanes come from store.inbox.LANES

    def close(self) -> None:
        self.gates.close()
        self.units.close()
        self.db.close()


def open_services(settings: Settings, *, pool_size: int = 10) -> Services:
    """Open every tool. Raises BadSettings for what is missing, UnsafeRole for a database role that may too much."""
    missing = [
        f"{name} is not set. `linekeeper up` starts embedded servers and sets it for its processes."
        for name, value in {
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "MAIL_REDIS_URL": settings.mail_redis_url,
            "KEYRING": settings.keyring,
        }.items()
        if not value
    ]
    if missing:
        raise BadSettings(missing)
    _prepare_oauthlib(settings)
    timeout = float(settings.request_timeout_seconds)
    db = Database(settings.database_url, pool_size=pool_size)
    db.check_role()
    vault = Vault(db, KeyRing(settings.keyring))
    ledger = Ledger(db)
    directory = Directory(db, vault)
    connections = Connections(db, vault)
    chores = Chores(db)
    mail = MailCache(db, vault, settings.mail_redis_url, cache_seconds=settings.mail_cache_seconds)
    http = guard.pooled(timeout)
    providers = {"zoho": zoho(settings, http), "google": google_provider(settings)}

    def on_lost(tenant: TenantId, tie: UUID) -> None:
        if connections.get(tenant, tie).kind == "workspace":
            mail.disconnect_box(tenant, tie)  # mail does not outlive the consent it was read under
            connections.drop_cursor(tenant, tie, BUSY_TIMES)  # nor does when a calendar is busy
            chores.hurry(tenant, LICENCE, tie)  # was it taken back, or were we removed?

    return Services(
        settings=settings,
        db=db,
        vault=vault,
        directory=directory,
        installs=Installs(db, vault),
        tenants=Tenants(db, vault),
        connections=connections,
        inbox=Inbox(db, vault),
        effects=Effects(db, vault),
        lanes=Lanes(db),
        chores=chores,
        calls=Calls(db, vault),
        apart=SetApart(db, vault),
        callbacks=Callbacks(db),
        hub=Hub(db, vault),
        pairs=Pairs(db, vault),
        journal=Journal(db, vault),
        changes=Changes(db, vault),
        devices=Devices(db, vault),
        routes=Routes(db, vault),
        api_keys=ApiKeys(db, vault, directory),
        ledger=ledger,
        certificates=Certificates(db, vault, ledger),
        profiles=Profiles(),
        mail=mail,
        bell=Bell(settings.redis_url),
        gates=Gates(settings.redis_url),
        units=Units(settings.redis_url, settings.gmail_units_per_minute),
        grants=Grants(db, vault, ledger, connections, providers, http, timeout=timeout, on_lost=on_lost),
        consent=Consent(db, vault, providers, origin=settings.origin, timeout=timeout),
        providers=providers,
        telephony=integrations.telephony_vendors(),
        google_keys=GoogleKeys(settings.google_certs_uri, http, lambda: datetime.now(UTC).timestamp()),
        security_events=SecurityEvents(
            settings.google_risc_configuration_uri,
            http,
            lambda: datetime.now(UTC).timestamp(),
            (settings.google_client_id, settings.google_addon_client_id),
        ),
        http=http,
        guarded=guard.session(timeout=timeout, allowed_private_hosts=settings.allowed_private_hosts),
    )


def _prepare_oauthlib(settings: Settings) -> None:
    """Tell oauthlib what it can only be told through the environment."""
    os.environ["OAUTHLIB_RELAX_TOKEN_SCOPE"] = "1"  # noqa: S105 - a switch: fewer scopes than asked is an answer
    addresses = (settings.zoho_serverinfo_url, settings.google_token_uri)
    if any(address.startswith("http://") for address in addresses):  # settings accept http on loopback only
        os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
        logging.getLogger(__name__).debug("token endpoints on loopback")
