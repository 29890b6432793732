"""Contacts, Leads and Accounts as people, and what an organisation keeps beside them that has telephone numbers.

Every number, every address, whoever owns them. Of deals and modules of the organisation's own no more is read than
what a record is called, its numbers and its owner; a module that was deleted there is empty. Read in the order they
changed, so that a reading can be taken up again from the last one seen. Nothing is written here: `writing` does that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from domain.contact import Gone, Line, Person, Record
from domain.errors import Refused
from domain.ports import in_batches
from integrations.zoho.client import CRM, Body, ZohoClient, rows_of
from integrations.zoho.columns import NO_MODULE, OwnColumns
from integrations.zoho.listing import changed, deleted

IDS = 100
EVER = datetime.min.replace(tzinfo=UTC)  # whatever became of a row since

LINES: Mapping[str, str] = {
    "Phone": "work",
    "Mobile": "mobile",
    "Home_Phone": "home",
    "Other_Phone": "other",
    "Asst_Phone": "assistant",
    "Fax": "fax",
}
EMAILS = ("Email", "Secondary_Email")
SHARED = ("First_Name", "Last_Name", *EMAILS, "Owner", "Modified_Time")
FIELDS: Mapping[str, tuple[str, ...]] = {  # a list answers at most 50 fields, and none that was not asked for
    "Contacts": (*SHARED, *LINES, "Title", "Account_Name"),
    "Leads": (*SHARED, "Phone", "Mobile", "Fax", "Designation", "Company", "Converted__s"),
    "Accounts": ("Account_Name", "Phone", "Fax", "Owner", "Modified_Time"),
}
MODULES = tuple(FIELDS)
SPARE = frozenset({"Accounts"})  # read where the consent reaches so far
RECORD = ("Owner", "Modified_Time")  # of a record that is no person's, beside what it is called and its numbers


class People:
    """The people of one organisation. Numbers without a country are read as dialled from `region`.

    `besides`: further modules whose records have numbers.
    """

    def __init__(self, client: ZohoClient, region: str, besides: tuple[str, ...] = ()) -> None:
        self._client = client
        self._region = region
        self._besides = tuple(module for module in besides if module not in FIELDS)
        self._own = OwnColumns(client)
        self._left: dict[str, Gone] = {}

    def reading(self) -> str:
        """How numbers are read here: the region, and the columns beyond the standard ones."""
        columns = (f"{module}.{name}" for module in (*MODULES, *self._besides) for name in sorted(self.own(module)))
        return " ".join((self._region, *columns))

    def own(self, module: str) -> Mapping[str, str]:
        """Name -> label of the phone columns the organisation added to a module."""
        return self._own.of(module, FIELDS.get(module, ()))

    def is_there(self, module: str) -> bool:
        """Whether there is something to read: of a module beside people, only if it has numbers."""
        return module not in self._besides or bool(self.own(module))

    def columns(self, module: str) -> tuple[str, ...]:
        """What is read of a module's records."""
        own = self.own(module)
        standard = FIELDS.get(module) or (*filter(None, (self._own.title(module),)), *RECORD)
        return (*standard, *own)

    def changed(self, module: str, since: datetime | None) -> Iterator[Record]:
        """Yield what changed since then, or everything."""
        if not self.is_there(module):
            return
        asked = partial(self.listing, module)
        try:
            for row in changed(self._client, module, asked, since):
                told = self.read(module, row)
                if isinstance(told, Gone):
                    self._left[told.remote_id] = told
                else:
                    yield told
        except Refused as error:
            if error.code != NO_MODULE or module not in self._besides:
                raise

    def gone(self, module: str, since: datetime | None) -> Iterator[Gone]:
        """Yield what was deleted since then, and what `changed` has met that nobody has to know any more (`read`)."""
        for gone in list(self._left.values()):
            if gone.module == module:
                yield self._left.pop(gone.remote_id)
        if not self.is_there(module):
            return
        try:
            for remote_id in deleted(self._client, module, since):
                yield Gone(module=module, remote_id=remote_id)
        except Refused as error:
            if error.code != NO_MODULE or module not in self._besides:
                raise

    def some(self, module: str, ids: Sequence[str]) -> Iterator[Record | Gone]:
        """Read these records again; one that is not there any more is Gone."""
        known = dict.fromkeys(id for id in ids if re.fullmatch(r"[0-9]{1,20}", id))
        for batch in in_batches(known, IDS):
            there = {id: self.read(module, row) for id, row in self.rows(module, batch).items()}
            yield from (there.get(id) or Gone(module=module, remote_id=id) for id in batch)

    def rows(self, module: str, ids: Sequence[str]) -> dict[str, Body]:
        """The rows with these ids as Zoho keeps them, at most a hundred; one that is not there is left out."""
        if not self.is_there(module):
            return {}
        params = self.listing(module, EVER) | {"ids": ",".join(ids)}
        return {str(row.get("id")): row for row in rows_of(self._client.read(f"{CRM}/{module}", params), "data")}

    def read(self, module: str, row: Body, known: Mapping[str, Line] = MappingProxyType({})) -> Record | Gone:
        """Understand one row. A converted lead lives on as a contact, so as a lead it is gone.

        A company, a deal or a machine without a number says nothing of who is calling: we have no purpose for it.
        `known`: numbers by how they are written, where the caller has understood them already.
        """
        remote_id = str(row.get("id"))
        besides = module in self._besides
        columns = {**({} if besides else LINES), **self._own.known(module)}
        nobody = module not in ("Contacts", "Leads") and not any(row.get(column) for column in columns)
        converted = row.get("Converted__s") is True or row.get("$converted") is True
        if nobody or converted:
            return Gone(module=module, remote_id=remote_id, converted=converted)
        lead = module == "Leads"
        account: Any = row.get("Account_Name")  # of a contact the lookup, of an account its own name
        company = row.get("Company") if lead else account if isinstance(account, str) else _part(account, "name")
        company = row.get(self._own.title(module)) if besides else company
        person = Person(
            given=_text(row.get("First_Name")),
            family=_text(row.get("Last_Name")),
            company=_text(company),
            title=_text(row.get("Designation" if lead else "Title")),
            lines=tuple(
                known[raw].called(label) if raw in known else Line.read(raw, label, self._region)
                for field, label in columns.items()
                if (raw := _text(row.get(field)))
            ),
            emails=tuple(address for field in EMAILS if (address := _text(row.get(field)))),
        )
        owner = _text(_part(row.get("Owner"), "id"))
        return Record(
            module=module,
            remote_id=remote_id,
            person=person,
            etag=_text(row.get("Modified_Time")),
            owner=owner,
            account=_text(_part(account, "id")),
            changed_at=_moment(row.get("Modified_Time")),
        )

    def listing(self, module: str, since: datetime | None = None) -> dict[str, str]:
        """What a listing asks for; converted leads stay out of it unless it is to show what became of them."""
        params = {"fields": ",".join(self.columns(module))}
        return params | {"converted": "both"} if since is not None and module == "Leads" else params


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(_text(value)).astimezone(UTC)
    except ValueError:
        return None


def _part(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
