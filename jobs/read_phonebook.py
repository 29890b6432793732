"""The phone system's phonebook as a source: what people typed in there names callers, and joins whom we know already.

What we put there ourselves (`jobs.phonebook`) is left out, whoever it is about by now. All of it is read each time, for
a phonebook tells nobody what changed. Its ids are kept as fingerprints: a platform may well use a number for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import structlog

from domain.besides import TYPED_IN
from domain.contact import Record
from domain.errors import NotAllowed
from domain.ports import Card, in_batches
from domain.sharing import Sharing
from jobs import sync_contacts
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie

log = structlog.get_logger()

CHORE = "read.phonebook"
NONE = "phonebook.none"  # the platform only lets us write
AT_ONCE = 1_000  # entries looked at together


def read_phonebook(services: Services, tie: Tie, chore: Chore, *, go_on: bool = False) -> dict[str, int]:
    """Read all of it and take over what is not ours. Raises Held when too many vanished at once."""
    if Sharing.from_facts(tie.facts).paused:
        return {}
    try:
        cards = services.phone_system(tie).phonebook(services.tenants.get(tie.tenant).region)
    except NotAllowed as error:
        if error.code != NONE:
            raise
        return {}
    skipped: list[Card] = []
    told = _typed_in(services, tie, cards, skipped)
    counts = sync_contacts.take(services, tie, told, complete=True, go_on=go_on, modules=(TYPED_IN,))
    if skipped:
        log.info("entries_skipped", tenant=str(tie.tenant), connection=str(tie.id), count=len(skipped))
    return counts | {"skipped": len(skipped)}


def _typed_in(services: Services, tie: Tie, cards: Iterable[Card], skipped: list[Card]) -> Iterator[Record]:
    """Yield who was typed in there. Who cannot be read any more stays as we knew them; who never could is skipped."""
    fingerprint = services.vault.of(tie.tenant).fingerprinting(f"{TYPED_IN} {tie.id}")
    for batch in in_batches(cards, AT_ONCE):
        lost: dict[str, Card] = {}
        for card in _not_ours(services, tie, batch):
            person = card.read() if card.remote_id else None
            id = fingerprint(card.remote_id).hex()
            if person is not None:
                yield Record(module=TYPED_IN, remote_id=id, person=person)
            else:
                skipped.append(card)
                lost |= {id: card} if card.remote_id else {}
        known = services.hub.links(tie.tenant, tie.id, {(TYPED_IN, id) for id in lost}) if lost else {}
        yield from (Record(module=TYPED_IN, remote_id=id, person=link.mark) for (_, id), link in known.items())


def _not_ours(services: Services, tie: Tie, batch: Sequence[Card]) -> list[Card]:
    ours = services.hub.own_ids(tie.tenant, {card.remote_id for card in batch})
    return [card for card in batch if card.remote_id not in ours]
