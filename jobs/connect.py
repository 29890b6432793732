"""Connecting: what happens when a consent comes back, or a phone system is added, until somebody disconnects it.

An install founds a tenant for a Zoho organisation, or finds it again: the same organisation is the same tenant, with
its mappings, cursors and history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import structlog

from domain.consent import Feature, Standing, scopes_for, standing
from domain.errors import ConsentLost, Forbidden, Missing, NotAllowed, Refused, TryLater, Upstream
from domain.ports import SignedIn, Tokens
from domain.sharing import WRITING, Sharing
from integrations import guard
from integrations.google.provider import signed_in as google_signed_in
from integrations.zoho import crm as zoho_crm
from integrations.zoho.provider import signed_in as zoho_signed_in
from jobs import (
    besides,
    busy,
    buttons,
    call_records,
    country,
    google_accounts,
    leaving,
    numbers,
    own_accounts,
    read_phonebook,
    reconcile,
    recordings,
    search_order,
    workspace,
)
from jobs.services import DOOR_URL, Services
from oauth.flow import Granted
from oauth.provider import OAuthProvider
from store.connections import Tie
from store.database import TenantId
from store.installs import PACKAGES
from store.tenants import User

log = structlog.get_logger()

Purpose = Literal["install", "sign_in", "connect", "own", "link"]
GOOGLE_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
DAY = 86_400
RENEW_SECONDS = 1_800
WATCH_SECONDS = 43_200  # half of a day: well inside Gmail's seven days and Zoho's week
SECRET_OVERLAP_SECONDS = DAY  # both door secrets are good while the vendor changes over


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A consent that was taken in. `user` is who may be signed in now."""

    purpose: Purpose
    user: User
    connection: UUID | None
    standings: list[Standing]
    onward: str = ""  # where the browser has to go once more, because what came back does not last


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDoor:
    """A phone system's door and signing secret, shown once. Empty: it signs with its own; we listen to it instead."""

    tie: UUID
    url: str
    secret: str


# ---- asking -----------------------------------------------------------------------------------------------------


def begin(
    services: Services,
    *,
    provider: str,
    purpose: Purpose,
    browser: str,
    features: Sequence[str] = (),
    user: User | None = None,
    connection: UUID | None = None,
    aloud: bool = False,
) -> str:
    """Return the address of the consent page. No `features`: every feature that is not optional, and at Zoho all.

    `own`: an account a user connects for themselves, with no more than their administrator lets them allow.

    Whoever installed us from Google's Marketplace, or whose administrator did, granted scopes with that and is not
    asked for them again, unless `aloud`.
    """
    asked = _provider(services, provider)
    if purpose in ("sign_in", "link"):
        scopes: Sequence[str] = asked.sign_in_scopes
    else:
        wanted = [feature for feature in asked.features if _wanted(feature, features, everything=purpose == "install")]
        extra = asked.sign_in_scopes if purpose in ("connect", "own") else ()  # whose account it is
        scopes = (*extra, *scopes_for(wanted))
    quiet = "" if aloud or purpose != "connect" or user is None else _installed(services, asked, user, connection)
    return services.consent.begin(
        asked,
        scopes,
        browser=browser,
        ticket={
            "purpose": purpose,
            "features": sorted(features),
            "user": str(user.id) if user is not None else "",
            "quiet": bool(quiet),
        },
        tenant=user.tenant if user is not None else None,
        connection=connection,
        params={**asked.quiet_params, "login_hint": quiet}
        if quiet
        else asked.sign_in_params
        if purpose == "link"
        else None,
    )


def _installed(services: Services, provider: OAuthProvider, user: User, connection: UUID | None) -> str:
    """The account that is about to be connected, if we are installed for it; "" if not, or nobody knows."""
    licences = services.licences() if provider.quiet_params else None
    email = services.connections.get(user.tenant, connection).label if connection is not None else user.email
    if licences is None or "@" not in email:
        return ""
    try:
        licence = licences.of_user(email)
    except Upstream as error:
        log.info("licence_unknown", tenant=str(user.tenant), code=error.code)
        return ""
    return email if licence.held and licence.installed else ""


def _wanted(feature: Feature, named: Sequence[str], *, everything: bool) -> bool:
    return feature.slug in named if named else (everything and not feature.by_name) or not feature.optional


def _provider(services: Services, slug: str) -> OAuthProvider:
    if slug not in services.providers:
        raise Forbidden("There is no such provider.", code="not_found")
    return services.providers[slug]


def complete(
    services: Services, *, provider: str, query: Mapping[str, Sequence[str]], browser: str, user: User | None
) -> Completed:
    """Take in what the callback brought. Raises BadConsent, Forbidden, or an Upstream error; nothing is half done."""
    asked = _provider(services, provider)
    granted = services.consent.complete(asked, query, browser=browser)
    purpose: Purpose = granted.ticket["purpose"]
    if purpose == "sign_in":
        return _sign_in(services, asked, granted)
    if purpose == "install":
        return _install(services, asked, granted)
    if user is None or granted.tenant != user.tenant or granted.ticket["user"] != str(user.id):
        raise Forbidden("Whoever began this consent has to finish it.", code="oauth.other_user")
    if purpose == "link":
        return _link_google(services, asked, granted, user)
    if granted.ticket.get("quiet") and not granted.answer.refresh and not _lasting(services, user, granted):
        onward = begin(
            services,
            provider=provider,
            purpose="connect",
            browser=browser,
            features=granted.ticket["features"],
            user=user,
            connection=granted.connection,
            aloud=True,
        )
        return Completed(purpose="connect", user=user, connection=granted.connection, standings=[], onward=onward)
    return _connect_google(services, asked, granted, user)


def _lasting(services: Services, user: User, granted: Granted) -> bool:
    """Does an earlier consent still reach as far? One without a page need not bring a lasting token of its own."""
    stands = services.grants.get(user.tenant, granted.connection) if granted.connection is not None else None
    return stands is not None and stands.scopes >= granted.answer.scopes


def _link_google(services: Services, provider: OAuthProvider, granted: Granted, user: User) -> Completed:
    """Remember that a Google account is this user's, so that Google's applications may show them cards.

    Nothing else of the consent is kept. It is not withdrawn either: at Google that would end all the user allowed us
    (https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke).
    """
    who = _google_account(services, provider, granted)
    workspace.link(services, user, who.subject)
    return Completed(purpose="link", user=user, connection=None, standings=[])


def _google_account(services: Services, provider: OAuthProvider, granted: Granted) -> SignedIn:
    claims = services.google_keys.verify(granted.answer.id_token, audience=provider.client.id, issuers=GOOGLE_ISSUERS)
    return google_signed_in(claims)


def _sign_in(services: Services, provider: OAuthProvider, granted: Granted) -> Completed:
    """Let somebody in whom a tenant knows; nothing of this consent is kept."""
    who = zoho_signed_in(services.http, granted.home, granted.answer.access)
    entry = services.directory.find("login", f"{provider.slug}:{who.subject}")
    user = services.tenants.user(entry.tenant, entry.user) if entry is not None and entry.user is not None else None
    if user is None or not user.active:
        raise Forbidden(
            "Nobody has connected your organisation yet, or you no longer work in it.", code="sign_in.unknown"
        )
    services.ledger.note(user.tenant, "signed_in", actor=f"user:{user.id}")
    return Completed(purpose="sign_in", user=user, connection=None, standings=[])


# ---- Zoho: a tenant -----------------------------------------------------------------------------------------------


def _install(services: Services, provider: OAuthProvider, granted: Granted) -> Completed:
    """Found the tenant of a Zoho organisation, or find it again, and put its duties on the timetable."""
    crm = zoho_crm.open_crm(
        http=services.http,
        api_domain=granted.answer.extra.get("api_domain", ""),
        tokens=_only(granted.answer.access),
        timeout=services.settings.request_timeout_seconds,
    )
    organisation, me = crm.organisation(), crm.me()
    if not me.admin:
        raise Forbidden("Only an administrator of the Zoho organisation can connect it.", code="install.not_admin")
    known = services.directory.find("organisation", f"{provider.slug}:{organisation.remote_id}")
    tenant = known.tenant if known else services.tenants.create(organisation, profile=services.settings.policy_profile)
    tie = services.connections.of_subject(tenant, provider.slug, organisation.remote_id)
    connection = (
        tie.id
        if tie is not None
        else services.connections.add(
            tenant, "crm", provider.slug, label=organisation.name, subject=organisation.remote_id, web=organisation.web
        )
    )
    for name in (organisation.remote_id, organisation.other_id):  # by either the marketplace may name it
        if name:
            services.directory.put("organisation", f"{provider.slug}:{name}", tenant, connection=connection)
        if name and (since := services.installs.take(provider.slug, name)) is not None:
            services.connections.set_facts(tenant, connection, **{PACKAGES: {"crm": since.isoformat("T", "seconds")}})
    country.learn(services, services.connections.get(tenant, connection), organisation)
    learn_users(services, tenant, connection, [*crm.users()])
    user = services.tenants.user_by_remote(tenant, me.remote_id)
    assert user is not None  # the organisation's own list of users names who just consented
    standings = _keep(services, provider, granted, tenant, connection, user)
    on = {item.feature.slug for item in standings if item.on}
    _choose_writer(services, tenant, connection, bridge="phonebridge" in on)
    duties = [("renew", "contacts", RENEW_SECONDS), ("users", "contacts", DAY)]
    if "contacts" in on:
        duties.append(("read.crm", "contacts", services.settings.contacts_sync_seconds))
    if "notifications" in on:
        duties.append(("watch.crm", "contacts", WATCH_SECONDS))
    _put_on_timetable(services, tenant, connection, duties)
    return Completed(purpose="install", user=user, connection=connection, standings=standings)


def learn_users(services: Services, tenant: TenantId, connection: UUID, people: Sequence[Any]) -> int:
    """Take over the CRM's users and let the active ones sign in."""
    count = services.tenants.learn_users(tenant, connection, people)
    for user in services.tenants.users(tenant):
        if user.login_id and user.active:
            services.directory.put("login", f"zoho:{user.login_id}", tenant, connection=connection, user=user.id)
        elif user.login_id:
            services.directory.strike("login", f"zoho:{user.login_id}")
    numbers.learn_users_own(services, tenant, people)
    for tie in own_accounts.left_behind(services, tenant):
        leaving.end(services, tie, actor="system")
    return count


def _choose_writer(services: Services, tenant: TenantId, connection: UUID, *, bridge: bool) -> None:
    """PhoneBridge writes the activities where the organisation has it; elsewhere we do. Never both."""
    tie = services.connections.get(tenant, connection)
    writer, reason = "records", "bridge.not_granted"
    if bridge:
        try:
            services.bridge(tie).integrate()
            buttons.register(services, tie)
            writer, reason = "bridge", ""
        except (NotAllowed, Refused) as error:
            reason = error.code
        except (TryLater, ConsentLost) as error:
            reason = error.code
            log.info("bridge_not_now", tenant=str(tenant), reason=reason)
    services.tenants.set(tenant, call_writer=writer)
    services.connections.set_facts(tenant, connection, bridge=reason or "on")


# ---- Google: a user's contacts and mail ---------------------------------------------------------------------------


def _connect_google(services: Services, provider: OAuthProvider, granted: Granted, user: User) -> Completed:
    """Tie a Google user to the tenant. Which features are on is what was really ticked."""
    own = granted.ticket["purpose"] == "own"
    who = _google_account(services, provider, granted)
    tie = services.connections.of_subject(user.tenant, provider.slug, who.subject)
    if granted.connection is not None and (tie is None or tie.id != granted.connection):
        raise Forbidden("That is another Google account than the one that was connected.", code="oauth.other_account")
    own_accounts.admit(services, user, tie, granted.answer.scopes, own=own)
    connection = (
        tie.id
        if tie is not None
        else services.connections.add(
            user.tenant, "workspace", provider.slug, label=who.email or who.name, subject=who.subject
        )
    )
    if tie is None or tie.state == "disconnected":
        own_accounts.claim(services, user, services.connections.get(user.tenant, connection), own=own)
    on = {item.feature.slug for item in standing(provider.features, granted.answer.scopes) if item.on}
    # first, so that what this consent does not carry any more is gone before the one that carried it
    besides.settle(services, services.connections.get(user.tenant, connection), on)
    busy.settle(services, services.connections.get(user.tenant, connection), user, on)
    standings = _keep(services, provider, granted, user.tenant, connection, user)
    services.mail.mend(user.tenant)
    workspace.learn(services, user, who.subject)
    google_accounts.listen(services, user.tenant, connection, subject=who.subject, refresh=granted.answer.refresh)
    duties = [("renew", "contacts", RENEW_SECONDS)]
    if "contacts" in on:
        duties.append(("read.book", "contacts", services.settings.contacts_sync_seconds))
        if not own:
            duties.append(("exchange", "contacts", services.settings.contacts_sync_seconds))
    if "mailbox" not in on:
        services.mail.disconnect_box(user.tenant, connection)  # unticked: what was read before goes with the consent
    else:
        if who.email:
            services.directory.put("mailbox", who.email.casefold(), user.tenant, connection=connection)
        duties.append(("watch.mail", "mail", WATCH_SECONDS))
        duties.append(("read.mail", "mail", services.settings.contacts_sync_seconds))
    _put_on_timetable(services, user.tenant, connection, duties)
    return Completed(purpose="own" if own else "connect", user=user, connection=connection, standings=standings)


def _keep(
    services: Services, provider: OAuthProvider, granted: Granted, tenant: TenantId, connection: UUID, user: User
) -> list[Standing]:
    standings = standing(provider.features, granted.answer.scopes)
    services.grants.keep(
        tenant,
        connection,
        provider,
        granted.answer,
        home=granted.home,
        location=granted.location,
        granted_by=user.id,
        purposes=[item.feature.slug for item in standings if item.on],
        policy_version=services.profiles.get(services.tenants.get(tenant).profile).version,
        at_install=bool(granted.ticket.get("quiet")),
    )
    services.connections.ok(tenant, connection)
    services.effects.wake(tenant, connection)
    return standings


def _put_on_timetable(
    services: Services, tenant: TenantId, connection: UUID, duties: Sequence[tuple[str, str, int]]
) -> None:
    for kind, lane, seconds in duties:
        services.chores.set_up(tenant, connection, kind, lane=lane, every_seconds=seconds)  # type: ignore[arg-type]
    services.ring(tenant, "contacts", "mail")


def features(services: Services, tenant: TenantId, tie: Tie) -> list[Standing]:
    """Which features of a connection are on, and why the others are not."""
    if tie.vendor not in services.providers:
        return []
    grant = services.grants.get(tenant, tie.id)
    every = standing(services.providers[tie.vendor].features, grant.scopes if grant is not None else ())
    named = {WRITING} if Sharing.from_facts(tie.facts).writes else set()
    if tie.kind == "crm":
        ours = services.tenants.get(tenant)
        named |= search_order.needed(ours) | call_records.needed(ours)
    return [item for item in every if item.on or not item.feature.by_name or item.feature.slug in named]


def _only(token: str) -> Tokens:
    """A token fresh from the exchange, before there is a grant that could renew it."""

    def tokens(*, renew: bool = False) -> str:
        if renew:
            raise ConsentLost("The provider refused the permission it has just given.")
        return token

    return tokens


# ---- a phone system -------------------------------------------------------------------------------------------------


def add_phone_system(services: Services, *, user: User, vendor: str, account: Mapping[str, str]) -> NewDoor:
    """Tie a phone system to the tenant: a door of its own and a secret to sign with. Raises Forbidden for an address
    we will not send to."""
    made = services.telephony.get(vendor)
    if made is None:
        raise Forbidden("There is no such telephony vendor.", code="vendor.unknown")
    for asked in made.account:
        if asked.kind == "url" and account.get(asked.name):
            guard.check_url(account[asked.name], services.settings.allowed_private_hosts)
    tie = services.connections.add(user.tenant, "telephony", vendor, label=made.title, account=dict(account))
    url = secret = ""
    if not made.traits.listens:
        own = account.get(made.traits.secret_field, "") if made.traits.secret_field else ""
        secret = "" if own else made.new_secret()
        services.connections.add_secret(user.tenant, tie, "door", own or secret)
        door = services.directory.new("door", user.tenant, connection=tie)
        url = f"{services.settings.origin}/webhooks/telephony/{door}"
        services.connections.set_cursor(user.tenant, tie, DOOR_URL, url)
    if made.traits.phonebook:
        every = services.settings.contacts_sync_seconds
        for chore in (read_phonebook.CHORE, "write.phonebook"):
            services.chores.set_up(user.tenant, tie, chore, lane="contacts", every_seconds=every)
    if made.traits.control:
        services.chores.hurry(user.tenant, "users")  # which goes on to register what can be pressed in the CRM
    if made.traits.calls:
        reconcile.set_up(services, user.tenant, tie)
    recordings.look_after(services, user.tenant, tie, vendor)
    services.ledger.note(
        user.tenant, "connection.added", actor=f"user:{user.id}", subject=f"connections:{tie}", vendor=vendor
    )
    services.ring(user.tenant, "contacts")
    return NewDoor(tie=tie, url=url, secret=secret)


def rotate_secret(services: Services, *, user: User, tie: UUID) -> str:
    """Give a phone system a new door secret; the old one stays good for a day."""
    connection = services.connections.get(user.tenant, tie)
    secret = services.telephony[connection.vendor].new_secret()
    services.connections.add_secret(user.tenant, tie, "door", secret, overlap_seconds=SECRET_OVERLAP_SECONDS)
    services.ledger.note(user.tenant, "secret.rotated", actor=f"user:{user.id}", subject=f"connections:{tie}")
    return secret


def disconnect(services: Services, *, user: User, tie: UUID) -> dict[str, Any]:
    """End a connection because somebody of the tenant says so; return the certificate. Raises Missing if it ended."""
    certificate = leaving.end(services, services.connections.get(user.tenant, tie), actor=f"user:{user.id}")
    if certificate is None:
        raise Missing("This connection has ended.")
    return certificate
