"""The rows of one module of one organisation: what they hold, what search has seen of them, what was deleted.

Values are kept in JSON's own types, except that a time is a `datetime` in UTC and a lookup is `{"id": ...}`.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from integrations.zoho.sandbox.metadata import Module

PHONES = "#phones"  # an index over every phone column at once, by the last digits of the number
TAIL_DIGITS = 9  # how much of two numbers must agree when one has a country code and the other has none
NOT_DIGITS = {code: None for code in range(128) if not chr(code).isdigit()}


def digits(number: object) -> str:
    """Reduce a number as somebody typed it to its digits."""
    return str(number).translate(NOT_DIGITS)


def key(value: Any) -> Hashable:
    """Reduce a value to what `=` compares: text without case, a lookup by its id."""
    if isinstance(value, str):
        return value.lower()
    return value.get("id") if isinstance(value, dict) else value


@dataclass(slots=True)
class Row:
    """One record."""

    id: str
    values: dict[str, Any]  # replaced whole on every edit, so that a reader's copy stays as it was
    created_at: datetime
    modified_at: datetime
    created_by: str
    modified_by: str
    shown: dict[str, Any] | None = None  # what the search index knows; None: not there yet
    unseen: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def get(self, name: str) -> Any:
        """Read a field, system fields included."""
        match name:
            case "id":
                return self.id
            case "Created_Time":
                return self.created_at
            case "Modified_Time" | "Last_Activity_Time":
                return self.modified_at
            case "Created_By":
                return {"id": self.created_by}
            case "Modified_By":
                return {"id": self.modified_by}
            case "Record_Status__s":
                return "Available"
            case _:
                return self.values.get(name)

    def index_at(self, now: float) -> dict[str, Any] | None:
        """Say what a search at this moment would see of the row."""
        while self.unseen and self.unseen[0][0] <= now:
            self.shown = self.unseen.pop(0)[1]
        return self.shown


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What `/deleted` says of a row that is gone."""

    id: str
    name: str
    created_by: str
    deleted_by: str
    deleted_at: datetime


class Table:
    """The rows of one module, oldest first, with an index for each field anybody asked about."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.rows: dict[str, Row] = {}
        self.gone: dict[str, Tombstone] = {}
        self._indexes: dict[str, dict[Hashable, dict[str, None]]] = {}

    def put(self, row: Row, values: dict[str, Any], now: float, lag: float) -> None:
        """Give a row new values; the search index learns of them `lag` seconds later."""
        known = row.id in self.rows
        for name, index in self._indexes.items():
            for old in self._keys(row, name) if known else ():
                index.get(old, {}).pop(row.id, None)
        row.values = values
        self.rows[row.id] = row
        for name, index in self._indexes.items():
            for new in self._keys(row, name):
                index.setdefault(new, {})[row.id] = None
        if lag or row.unseen:
            row.unseen.append((now + lag, values))
        else:
            row.shown = values

    def drop(self, row: Row, tombstone: Tombstone) -> None:
        """Take a row away and remember that it was there."""
        for name, index in self._indexes.items():
            for old in self._keys(row, name):
                index.get(old, {}).pop(row.id, None)
        del self.rows[row.id]
        self.gone[row.id] = tombstone

    def find(self, name: str, value: Any) -> list[Row]:
        """Find the rows whose field equals a value, oldest first."""
        if name == "id":
            return [self.rows[str(value)]] if str(value) in self.rows else []
        if name not in self._indexes:
            index = self._indexes[name] = {}
            for row in self.rows.values():
                for each in self._keys(row, name):
                    index.setdefault(each, {})[row.id] = None
        return [self.rows[row_id] for row_id in self._indexes[name].get(key(value), {})]

    def dialled(self, number: str) -> Row | None:
        """Find whose number this is: the same digits first, else the same last digits."""
        wanted = digits(number)
        found = self.find(PHONES, wanted[-TAIL_DIGITS:]) if wanted else []
        exact = [row for row in found if wanted in {digits(row.values.get(name)) for name in self.module.phones}]
        return next(iter(exact or found), None)

    def _keys(self, row: Row, name: str) -> Iterator[Hashable]:
        if name != PHONES:
            yield key(row.get(name))
            return
        yield from {digits(number)[-TAIL_DIGITS:] for field in self.module.phones if (number := row.values.get(field))}
