"""The open deals of the people and companies we know, in step with the CRM, where a tenant's search order has deals.

Read with its people, after them: as they change, and whole once a day, for a customer may become known later than their
deal. A deal that was closed or deleted is forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import structlog

from domain.deal import DEALS, KEPT_AS, Deal
from domain.errors import NotAllowed, Refused
from domain.ports import Crm, in_batches
from jobs.services import Services
from store.connections import Tie
from store.deals import OpenDeals

log = structlog.get_logger()

LAST, WHOLE = "read.deals", "read.deals.whole"  # the cursors: how far they were read, and when last from the beginning
A_DAY = timedelta(days=1)
AT_ONCE = 1_000
NO_DEALS = "zoho.invalid_module"  # an organisation may have put its deals away


def kept(services: Services) -> OpenDeals:
    """Where open deals are kept."""
    return OpenDeals(services.db, services.vault)


def read(services: Services, tie: Tie, crm: Crm) -> None:
    """Take over what changed; a consent that does not reach so far has nothing to tell."""
    cursors, tenant, now = services.connections, tie.tenant, services.db.now()
    last, whole = (cursors.cursor(tenant, tie.id, name) for name in (LAST, WHOLE))
    if DEALS not in crm.modules:
        if last:
            kept(services).drop_unseen(tenant, tie.id)
            cursors.set_cursor(tenant, tie.id, LAST, "")
        return
    since = datetime.fromisoformat(last) if last else None
    if since is None or not whole or datetime.fromisoformat(whole) < now - A_DAY:
        since = None
    try:
        count = _take(services, tie, crm.deals(since))
        if since is not None:
            kept(services).drop(tenant, tie.id, [*crm.deals_gone(since)])
    except NotAllowed:
        return
    except Refused as error:
        if error.code != NO_DEALS:
            raise
        return
    if since is None:
        kept(services).drop_unseen(tenant, tie.id, now)
        cursors.set_cursor(tenant, tie.id, WHOLE, now.isoformat())
    cursors.set_cursor(tenant, tie.id, LAST, now.isoformat())
    if count:
        log.info("deals_read", tenant=str(tenant), connection=str(tie.id), count=count)


def hear(services: Services, tie: Tie, crm: Crm, ids: Collection[str]) -> None:
    """Take over what the CRM named; one that is not there any more goes."""
    if DEALS not in crm.modules or not ids:
        return
    try:
        told = [*crm.some_deals(sorted(ids))]
    except NotAllowed:
        return
    _take(services, tie, told)
    kept(services).drop(tie.tenant, tie.id, {*ids} - {deal.remote_id for deal in told})


def _take(services: Services, tie: Tie, deals: Iterable[Deal]) -> int:
    count = 0
    for batch in in_batches(deals, AT_ONCE):
        named = {"Contacts": {deal.contact for deal in batch}, "Accounts": {deal.account for deal in batch}}
        customers = {
            (module, remote_id): contact
            for module in KEPT_AS
            for remote_id, contact in services.hub.behind(tie.tenant, tie.id, module, named[module] - {""}).items()
        }
        count += kept(services).keep(tie.tenant, tie.id, batch, customers)
    return count
