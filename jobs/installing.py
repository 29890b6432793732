"""What Zoho's marketplace says of an organisation: an installation waits for its consent, a removal ends it.

Nobody founds a tenant by installing: the consent of an administrator does. What comes twice, late or of an organisation
we do not know changes nothing that it should not.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from domain.errors import Malformed
from integrations.zoho.lifecycle import LifecycleNews, read_lifecycle
from jobs import leaving
from jobs.at_once import at_once
from store.connections import Tie
from store.inbox import Delivery, Inbox
from store.installs import PACKAGES

if TYPE_CHECKING:
    from jobs.services import Services

log = structlog.get_logger()

KIND = "lifecycle"
VENDOR = "zoho"


def take_in(services: Services, body: bytes, news: LifecycleNews) -> bool:
    """Write the news down once and act on it now; say whether there was anything new. Of an organisation that has not
    consented we only remember that it installed."""
    entry = services.directory.find("organisation", f"{VENDOR}:{news.organisation}")
    if entry is None or entry.connection is None:
        _not_ours_yet(services, news)
        return True
    tenant, tie, event = entry.tenant, entry.connection, f"{KIND}:{hashlib.sha256(body).hexdigest()}"
    if not services.inbox.write_once(tenant, tie, event, kind=KIND, lane="contacts", body=body):
        return False
    at_once(services, tenant, tie, event, lambda found: act(services, found, news, services.now()))
    return True


def catch_up(services: Services, tie: Tie, deliveries: list[Delivery]) -> None:
    """Do what could not be done at the door."""
    for delivery in deliveries:
        try:
            news = read_lifecycle(delivery.body)
        except Malformed as error:
            services.inbox.failed(tie.tenant, delivery, error.code)
            continue
        if news is not None:
            act(services, services.connections.get(tie.tenant, tie.id), news, delivery.received_at)
        with services.db.tenant(tie.tenant) as database:
            Inbox.done(database, tie.tenant, [delivery.id])


def act(services: Services, tie: Tie, news: LifecycleNews, heard_at: datetime) -> None:
    """Take over what happened to one extension. Doing it twice, or late, changes nothing that it should not."""
    at = min(news.at or heard_at, heard_at)
    packages: dict[str, str] = dict(tie.facts.get(PACKAGES, {}))
    since = packages.get(news.package, "")
    late = bool(since) and at < datetime.fromisoformat(since)
    ended = False
    if news.what != "removed":
        packages.setdefault(news.package, at.isoformat(timespec="seconds"))
    elif not late:
        packages.pop(news.package, None)
        # the CRM's extension stands for the connection; Desk's does where it is all that was installed
        stands = news.package == "crm" or (bool(since) and not packages)
        ended = stands and leaving.removed(services, tie, leaving.ZOHO, said_at=at)
    services.connections.set_facts(tie.tenant, tie.id, **{PACKAGES: packages})
    if news.what == "installed" and tie.state == "disconnected":
        services.installs.heard(VENDOR, news.organisation)
    services.ledger.note(
        tie.tenant,
        f"extension.{news.what}",
        actor=VENDOR,
        subject=f"connections:{tie.id}",
        package=news.package,
        ended=ended,
    )
    log.info("lifecycle_heard", tenant=str(tie.tenant), connection=str(tie.id), name=news.what, count=int(ended))


def _not_ours_yet(services: Services, news: LifecycleNews) -> None:
    if news.what == "removed":
        services.installs.take(VENDOR, news.organisation)
    else:
        services.installs.heard(VENDOR, news.organisation)
    log.info("lifecycle_heard", name=news.what, count=0)
