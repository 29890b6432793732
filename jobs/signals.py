"""What Google says of an account we have a consent of: the consent stops at once, and the connection says why.

A signal is written down once for each connection it is about and done at the door; if that fails, the tenant's lane
does it again. It speaks of what was consented to before it was written: a consent given since is another one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from domain.errors import Malformed
from integrations.google.risc import SecurityEvent, SecurityNews, read_news, token_marks
from jobs import leaving
from jobs.at_once import at_once
from jobs.google_accounts import concerned
from jobs.leaving import SKEW
from store.connections import Tie
from store.inbox import Delivery, Inbox

if TYPE_CHECKING:
    from jobs.services import Services

log = structlog.get_logger()

KIND = "risc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """What an event makes us do. `code`: why the connection stopped; "" where it goes on."""

    code: str = ""
    ends_sessions: bool = False  # of whoever gave the consent
    ends_all: bool = False  # the account will never come back, so neither does what it brought


REACTIONS = {  # the required ones of https://developers.google.com/identity/protocols/risc#supported_event_types
    "tokens-revoked": Reaction(code="google.tokens_revoked"),
    "token-revoked": Reaction(code="google.token_revoked"),
    "account-disabled": Reaction(code="google.account_disabled"),
    "account-purged": Reaction(code="google.account_purged", ends_all=True),
    "sessions-revoked": Reaction(ends_sessions=True),
    "credential-change-required": Reaction(),
    "account-enabled": Reaction(),
}
HIJACKED = Reaction(code="google.account_hijacked", ends_sessions=True)
ENABLED = Reaction(code="google.account_enabled")


def take_in(services: Services, claims: dict[str, Any], news: SecurityNews) -> bool:
    """Write each signal down once and act on it now; say whether there was anything new."""
    fresh = False
    for event in news.events:
        if event.kind == "verification":
            log.info("risc_verified")
        for entry in concerned(services, event):
            assert entry.connection is not None
            body = json.dumps(claims).encode()
            new = services.inbox.write_once(
                entry.tenant, entry.connection, f"{news.id}:{event.kind}", kind=KIND, lane="contacts", body=body
            )
            if new:
                fresh = True
                do = partial(_do, services, event, news)
                at_once(services, entry.tenant, entry.connection, f"{news.id}:{event.kind}", do)
    return fresh


def _do(services: Services, event: SecurityEvent, news: SecurityNews, tie: Tie) -> None:
    act(services, tie, event, news)


def catch_up(services: Services, tie: Tie, deliveries: list[Delivery]) -> None:
    """Do what could not be done at the door."""
    for delivery in deliveries:
        try:
            news = read_news(json.loads(delivery.body), services.now())
        except Malformed as error:
            services.inbox.failed(tie.tenant, delivery, error.code)
            continue
        for event in news.events:
            if delivery.event_id == f"{news.id}:{event.kind}":
                act(services, tie, event, news)
        with services.db.tenant(tie.tenant) as database:
            Inbox.done(database, tie.tenant, [delivery.id])


def act(services: Services, tie: Tie, event: SecurityEvent, news: SecurityNews) -> None:
    """Stop what has to stop. Doing it twice changes nothing the second time."""
    reaction = REACTIONS[event.kind] if event.reason != "hijacking" else HIJACKED
    stopped, ended = False, 0
    if reaction.code and _is_about(services, tie, event):
        stopped = services.grants.stop(tie.tenant, tie.id, reaction.code, given_before=news.at + SKEW)
        if not stopped and tie.state == "needs_consent" and tie.reason == "consent.lost":
            services.connections.trouble(tie.tenant, tie.id, reaction.code)  # it had died already; now we know of what
    if reaction.ends_sessions and (user := services.grants.giver(tie.tenant, tie.id)) is not None:
        ended = services.directory.strike_sessions(tie.tenant, user)
    if event.kind == "account-enabled" and tie.state == "needs_consent" and tie.reason.startswith("google.account_"):
        services.connections.trouble(tie.tenant, tie.id, ENABLED.code)
    services.ledger.note(
        tie.tenant,
        "google.signal",
        actor="google",
        subject=f"connections:{tie.id}",
        event=event.kind,
        because=event.reason,
        stopped=stopped,
        sessions=ended,
    )
    if reaction.ends_all and services.grants.get(tie.tenant, tie.id) is None:
        leaving.removed(services, tie, leaving.PURGED, said_at=news.at)
    log.info("signal_heard", tenant=str(tie.tenant), connection=str(tie.id), name=event.kind, count=int(stopped))


def _is_about(services: Services, tie: Tie, event: SecurityEvent) -> bool:
    """Is the consent that stands the one that is meant? A token of an earlier one may be named late."""
    return not event.token or event.token in token_marks(services.grants.refresh(tie.tenant, tie.id))
