"""The phone system's phonebook: told who changed since it was last told, and nobody else.

A mark says how far that was, and how the gate stood then. Without one, or with another gate, everybody is looked at.
Telling twice does no harm, so the mark moves last: whatever was cut short is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from uuid import UUID

import structlog

from domain.besides import GOOGLE, PHONES
from domain.limited_use import exit_named
from domain.plan import ContactId, Link, write_plan
from domain.ports import in_batches
from domain.sharing import Sharing
from jobs import passages
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie
from store.finding import Contact
from store.merging import PHONEBOOK
from store.vault import as_json

log = structlog.get_logger()

EXIT = "phonebook"  # the gate's name for it (`domain.limited_use`)
MARK = "write.phonebook"  # the cursor that keeps the mark
TOLD_AT_ONCE = 500  # contacts a request
LOOKED_AT_AT_ONCE = 1_000  # contacts held in memory


def write_phonebook(services: Services, tie: Tie, chore: Chore, *, go_on: bool = False) -> dict[str, int]:
    """Tell the phone system who changed since it was last told; nothing when nobody did.

    Who has to be removed comes last, and only if so many may: else it raises Held.
    """
    if Sharing.from_facts(tie.facts).paused:
        return {}
    tenant, gate = tie.tenant, _gate(services, tie)
    then, _, since = services.connections.cursor(tenant, tie.id, MARK).partition(" ")
    changed, mark = services.changes.after(tenant, "contacts", since if then == gate else "")
    gone: dict[ContactId, Link] = {}
    counts = {"put": 0, "remove": 0}
    for batch in in_batches(_news(services, tie, changed, gone), TOLD_AT_ONCE):
        _tell(services, tie, put=batch)
        counts["put"] += len(batch)
    known = services.hub.known(tenant, tie.id, [PHONEBOOK]) if gone else 0
    for batch in in_batches(write_plan({}, gone, go_on=go_on, known=known), TOLD_AT_ONCE):
        _tell(services, tie, removed=[step.contact for step in batch])
        counts["remove"] += len(batch)
    if changed is None or changed:
        services.connections.set_cursor(tenant, tie.id, MARK, f"{gate} {mark}")
    if not any(counts.values()):
        return counts
    services.ledger.note(
        tenant, "contacts.written", subject=f"connections:{tie.id}", sink="tenant's own phone system", counts=counts
    )
    services.connections.ok(tenant, tie.id)
    log.info("phonebook_written", tenant=str(tenant), connection=str(tie.id), **counts)
    return counts


def _gate(services: Services, tie: Tie) -> str:
    """What decides, besides the people themselves, who is told what: while it is the same only they are looked at."""
    stands = services.grants.standing(tie.tenant, GOOGLE)
    scopes = sorted((str(account), sorted(scopes)) for account, scopes in stands.items())
    told = [sorted(exit_named(EXIT).kinds), scopes, sorted(tie.account.items())]
    return services.vault.of(tie.tenant).fingerprint(MARK, as_json(told)).hex()


def pages(
    services: Services, tie: Tie, changed: Sequence[UUID] | None
) -> Iterator[tuple[dict[ContactId, Contact], dict[ContactId, Link]]]:
    """Yield, of these people or of everybody, who shall stand in the phonebook and who of them stands there.

    What people typed in there is not told back: it stands there. Who is not in the hub any more is not among them:
    their removal is owed since they went (`store.merging`).
    """
    own = {(tie.id, PHONES)}
    if changed is None:
        people: Iterable[Contact] = services.hub.everybody(tie.tenant)
    else:
        batches = in_batches(changed, LOOKED_AT_AT_ONCE)
        people = chain.from_iterable(services.hub.people(tie.tenant, batch).values() for batch in batches)
    for page in in_batches(people, LOOKED_AT_AT_ONCE):
        written = services.hub.written(tie.tenant, tie.id, [one.id for one in page])
        others = passages.untold(services, tie.tenant, page, own)
        every = passages.fitting(services, tie.tenant, EXIT, others, without=own)
        free = passages.allowed(services, tie.tenant, EXIT, every, without=own)
        yield _standing(every, free, written), written


def _standing(
    every: Sequence[Contact], free: Sequence[Contact], written: Mapping[ContactId, Link]
) -> dict[ContactId, Contact]:
    """Those with a number, as far as they may go there. Of whoever may not now, what is written already stays."""
    found = {contact.id: contact for contact in free}
    for contact in every:
        before = written.get(str(contact.id))
        if before is not None and found.get(contact.id) is not contact:
            found[contact.id] = replace(contact, person=before.mark)
    return {str(id): one for id, one in found.items() if any(line.e164 for line in one.person.lines)}


def _news(
    services: Services, tie: Tie, changed: Sequence[UUID] | None, gone: dict[ContactId, Link]
) -> Iterator[Contact]:
    """Yield whom the phone system does not know as they are, and gather who has no place there any more."""
    for people, written in pages(services, tie, changed):
        for step in write_plan({id: one.person for id, one in people.items()}, written, go_on=True):
            if step.do == "put":
                yield people[step.contact]
            else:
                gone[step.contact] = written[step.contact]


def _tell(services: Services, tie: Tie, *, put: Sequence[Contact] = (), removed: Sequence[ContactId] = ()) -> None:
    people = [(str(contact.id), contact.person) for contact in put]
    services.phone_system(tie).put_contacts(people, removed)  # safe to tell twice, so it may come before our commit
    with services.db.tenant(tie.tenant) as database:
        services.hub.unlink_written(database, tie.tenant, tie.id, removed)
        services.hub.mark_written(database, tie.tenant, tie.id, people)
        subject = f"connections:{tie.id}"
        passages.note(services, tie.tenant, EXIT, put, subject=subject, database=database)
