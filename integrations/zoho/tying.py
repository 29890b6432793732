"""Tying an activity to another record, and to nothing else than what it was tied to by us or by the number."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from integrations.zoho.client import CRM, Body, ZohoClient, refusal, rows_of
from integrations.zoho.rewriting import GONE, refused

TIES = ("Who_Id", "What_Id")  # to a contact, to anything else
Key = tuple[str, str]


def belongs_to(record: Key | None, beside: Key | None = None) -> Body:
    """Tie an activity to a record: a contact is its Who, anything else its What. `beside`: whose deal it is."""
    if record is None:
        return {}
    module, remote_id = record
    if module == "Contacts":
        return {"Who_Id": {"id": remote_id}}
    return {"What_Id": {"id": remote_id}, "$se_module": module} | belongs_to(beside)


def tie(
    client: ZohoClient,
    module: str,
    remote_id: str,
    record: Key | None,
    among: Collection[Key],
    beside: Key | None = None,
) -> bool:
    """Tie a row to another record and change nothing else; False when a person has tied it to something of theirs.

    Only what points at nothing, or at one of `among`, is moved: a deal somebody put there stays. No workflow runs.
    """
    rows = rows_of(client.read(f"{CRM}/{module}", {"ids": remote_id, "fields": ",".join(TIES)}), "data")
    if not rows:
        raise refusal(GONE)
    row = rows[0]
    wanted = belongs_to(record, beside)
    ours = {known for _, known in among} | {key[1] for key in (record, beside) if key} | {""}
    theirs = [name for name in TIES if _id(row.get(name)) not in ours]
    if "Who_Id" in theirs or (theirs and "What_Id" in wanted):
        return False
    change: Body = {name: None for name in TIES if name not in theirs and _id(row.get(name))} | wanted
    if all(_id(row.get(name)) == _id(change[name]) for name in TIES if name in change):
        return True
    data = {"data": [change | {"id": remote_id}], "trigger": []}
    answer = client.write("PUT", f"{CRM}/{module}", json=data, repeatable=True, items="data")
    if (code := refused(answer)) is not None:
        raise refusal(code)
    return True


def _id(lookup: Any) -> str:
    return str(lookup.get("id") or "") if isinstance(lookup, dict) else ""
