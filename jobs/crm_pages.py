"""Where a record's page is in the CRM, as far as the organisation's own address is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from domain.matching import MODULES
from settings import LOOPBACK
from store.connections import Tie
from store.finding import Whereabouts

FURTHER = "modules"  # the fact of a CRM connection


def page_of(ties: Collection[Tie], connection: UUID, module: str, remote_id: str) -> str:
    """The address of a record's page; "" where we do not know where its pages are."""
    tie = next((tie for tie in ties if tie.id == connection), None)
    web = str(tie.facts.get("web", "")).rstrip("/") if tie is not None else ""
    parts = urlsplit(web)
    if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
        return ""
    tab = str(further(tie.facts).get(module, {}).get("tab") or module) if tie is not None else module
    return f"{web}/tab/{quote(tab, safe='')}/{quote(remote_id, safe='')}"


def further(facts: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """What a CRM connection knows of the modules beside people and companies: each one's label and tab."""
    return facts.get(FURTHER) or {}


def likeliest(places: Sequence[Whereabouts], order: Sequence[str] = MODULES) -> list[Whereabouts]:
    """A person's records where people are kept, in the order they are looked for."""
    known = [place for place in places if place.module in order]
    return sorted(known, key=lambda place: (order.index(place.module), place.remote_id))
