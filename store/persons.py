"""A person as text: how they are written down wherever they are sealed."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from domain.contact import Person
from domain.telling import utterance
from store.vault import TenantVault, as_json

LOOK = "look"  # the kind of a fingerprint of all a person says


def spell(person: Person) -> str:
    return as_json(person.as_data())


def read(text: str) -> Person:
    """Undo `spell`; an empty text says nothing."""
    return Person.from_data(orjson.loads(text)) if text else Person()


def looks(vault: TenantVault, people: Iterable[Person]) -> list[bytes]:
    """A fingerprint of all that each of them says: equal exactly for people who agree."""
    fingerprint = vault.fingerprinting(LOOK)
    return [fingerprint(as_json(utterance(person))) for person in people]
