"""How rows change: created, edited, matched by upsert, deleted; one result for each, and word to subscribers.

Shared by the API, by PhoneBridge writing its own call log, and by the person at Zoho's screen whom the stage plays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from integrations.zoho.sandbox.answers import ItemRefused, Json, done
from integrations.zoho.sandbox.clock import parse_time, show_time
from integrations.zoho.sandbox.metadata import MODULES
from integrations.zoho.sandbox.orgs import Org, User
from integrations.zoho.sandbox.rules import clean
from integrations.zoho.sandbox.tables import Row, Tombstone
from integrations.zoho.sandbox.world import World

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Change:
    """A row to make (none yet) or to edit, and the values it will then hold."""

    row: Row | None
    values: dict[str, Any]


@dataclass(slots=True)
class Desk:
    """One user at work in one module."""

    world: World
    org: Org
    user: User
    module: str

    def insert(self, items: Sequence[Any]) -> list[Json]:
        """Create records."""
        return self._each(items, lambda sent, path: (None, None))

    def update(self, items: Sequence[Any], unmodified_since: str | None = None) -> list[Json]:
        """Edit records by id."""

        def by_id(sent: Any, path: str) -> tuple[Row | None, None]:
            row_id = str(sent.get("id") or "") if isinstance(sent, dict) else ""
            if not row_id:
                raise ItemRefused("MANDATORY_NOT_FOUND", "required field not found", _at("id", path))
            row = self.org.tables[self.module].rows.get(row_id)
            if row is None:
                raise ItemRefused("INVALID_DATA", "the id given seems to be invalid", _at("id", path) | {"id": row_id})
            limit = parse_time(unmodified_since)
            if limit and row.modified_at > limit:
                seen = {"Modified_Time": show_time(row.modified_at, self.user.zone), "id": row_id}
                raise ItemRefused("ALREADY_MODIFIED", "record has been already modified", seen)
            return row, None

        return self._each(items, by_id)

    def upsert(self, items: Sequence[Any], check: Sequence[str]) -> list[Json]:
        """Edit the record that agrees in one of the duplicate-check fields, in their order; create it if none does."""
        fields = list(dict.fromkeys([*check, MODULES[self.module].duplicate_field]))

        def by_value(sent: Any, path: str) -> tuple[Row | None, str | None]:
            table = self.org.tables[self.module]
            for name in fields if isinstance(sent, dict) else ():
                if isinstance(sent.get(name), str | int) and sent[name] and (found := table.find(name, sent[name])):
                    return found[0], name
            return None, None

        return self._each(items, by_value, upsert=True)

    def delete(self, ids: Sequence[str]) -> list[Json]:
        """Move records to the recycle bin."""
        table, results, gone = self.org.tables[self.module], [], {}
        for row_id in ids:
            row = table.rows.get(row_id)
            if row is None:
                refused = ItemRefused("INVALID_DATA", "the id given seems to be invalid", {"id": row_id})
                results.append(refused.body)
                continue
            name = self.org.name_of(table.module, row) or ""
            table.drop(row, Tombstone(row_id, name, row.created_by, self.user.id, self.world.clock.second()))
            gone[row_id] = dict[str, Any]()
            results.append(done("record deleted", {"id": row_id}))
        if gone:
            self.world.notifier.tell(self.org, self.module, "delete", gone)
        return results

    def _each(self, items: Sequence[Any], match: Any, *, upsert: bool = False) -> list[Json]:
        table, results, written = self.org.tables[self.module], list[Json](), list[tuple[bool, Row, dict[str, Any]]]()
        for index, sent in enumerate(items):
            path = f"$.data[{index}]"
            try:
                row, duplicate = match(sent, path)
                before = row.values if row else {}
                values = clean(self.org, table.module, sent, path, self.world.knobs, row)
            except ItemRefused as refused:
                results.append(refused.body)
                continue
            values.setdefault("Owner", {"id": self.user.id})
            known = row is not None
            row = write_row(self.world, self.org, self.user, self.module, Change(row, values))
            changed = {name: value for name, value in values.items() if value != before.get(name)}
            written.append((known, row, changed))
            beside = {"action": "update" if known else "insert", "duplicate_field": duplicate} if upsert else {}
            results.append(done("record updated" if known else "record added", self._details(row), **beside))
        for kind, edited in (("insert", False), ("update", True)):
            if told := {row.id: changed for known, row, changed in written if known is edited}:
                self.world.notifier.tell(self.org, self.module, kind, told)
        return results

    def _details(self, row: Row) -> Json:
        users = self.org.users
        return {
            "Modified_Time": show_time(row.modified_at, self.user.zone),
            "Modified_By": {"name": users[row.modified_by].full_name, "id": row.modified_by},
            "Created_Time": show_time(row.created_at, self.user.zone),
            "id": row.id,
            "Created_By": {"name": users[row.created_by].full_name, "id": row.created_by},
            "$approval_state": "approved",
        }


def write_row(world: World, org: Org, user: User, module: str, change: Change) -> Row:
    """Put one row in place, checked or not; its Modified_Time moves forward by a second at least."""
    now = world.clock.second()
    row = change.row
    if row is None:
        row = Row(org.new_id(), {}, now, now, user.id, user.id)
    else:
        row.modified_at, row.modified_by = max(now, row.modified_at + SECOND), user.id
    org.tables[module].put(row, change.values, world.clock.now(), world.knobs.search_lag)
    return row


def write_rows(world: World, org: Org, user: User, module: str, changes: Sequence[Change]) -> list[Row]:
    """Create rows as Zoho itself does, and tell whoever subscribed."""
    rows = [write_row(world, org, user, module, change) for change in changes]
    world.notifier.tell(org, module, "insert", {row.id: row.values for row in rows})
    return rows


def _at(name: str, path: str) -> dict[str, Any]:
    return {"api_name": name, "json_path": f"{path}.{name}"}
