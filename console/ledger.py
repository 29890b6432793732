"""The ledger as a page: who did or read what, newest first, and whether the chain still holds."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from console.desk import Here, desk, here, page
from console.forms import LedgerRows, Rows, asked
from store.ledger import Row

ROWS = 100
PREFIXES = {  # the beginnings of actions an administrator looks for
    "": "Everything",
    "read.": "Who read what",
    "google.": "Where Google’s data went",
    "signed": "Sign-ins",
    "consent": "Consent",
    "connection": "Connections",
    "call": "Calls",
    "recording": "Recordings",
    "contacts": "Contacts",
    "mail": "Mail",
    "certificate": "Certificates",
}

bp = Blueprint("ledger", __name__, url_prefix="/console/ledger")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show rows of the ledger; the newest page proves the chain from its first row."""
    wanted: Rows = asked(LedgerRows())
    services, at = desk().services, here()
    found = services.ledger.rows(at.tenant.id, before=wanted.before, limit=ROWS + 1, action=wanted.action)
    rows = found[:ROWS]
    return page(
        "ledger.html",
        rows=rows,
        actor=_actors(at),
        subject=_subject,
        facts=_facts,
        wanted=wanted,
        prefixes=PREFIXES,
        older=rows[-1].seq if len(found) > ROWS else None,
        verdict=services.ledger.verify(at.tenant.id) if wanted.before is None else None,
    )


class _actors:
    """Names for the users of this tenant; anybody else is shown as the ledger has them."""

    def __init__(self, at: Here) -> None:
        self._names = {str(user.id): user.name or user.email for user in desk().services.tenants.users(at.tenant.id)}

    def __call__(self, row: Row) -> str:
        kind, _, name = row.actor.partition(":")
        if kind == "user":
            return self._names.get(name, "A former user")
        return {"system": "Linekeeper", "door": "A connected system", "key": "A program of yours"}.get(kind, row.actor)


def _subject(row: Row) -> str:
    """What it was about: our own table and id, shortened."""
    kind, _, name = row.subject.partition(":")
    return f"{kind} {_short(name)}".strip()


def _facts(row: Row) -> str:
    """Ids are shortened: they are for looking up, not for reading."""
    return ", ".join(f"{name} {_short(value)}" for name, value in row.facts.items())


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)}" if len(value) > 3 else ", ".join(map(_short, value)) or "none"
    text = str(value)
    try:
        return str(UUID(text))[:8]
    except ValueError:
        return text
