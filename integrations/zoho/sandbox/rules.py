"""What a record must look like to be written: types, lengths, mandatory fields, and what Zoho wants of a call.

One broken rule is one refused item, named by its field and its place in the body.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from integrations.zoho.sandbox.answers import ItemRefused
from integrations.zoho.sandbox.clock import parse_time
from integrations.zoho.sandbox.metadata import Field, Module
from integrations.zoho.sandbox.orgs import Knobs, Org
from integrations.zoho.sandbox.tables import Row

EMAIL = re.compile(r"[^@\s,;:<>()\[\]\\\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
PHONE = re.compile(r"[+]?[0-9a-zA-Z\s\-().;,#*/]+")
PATTERNS = {"email": EMAIL, "phone": PHONE}
CLOSED_CHOICES = {"Call_Type"}  # other pick lists take any text unless a knob closes them
DURATION = re.compile(r"(\d{1,3}):(\d\d)")


def clean(org: Org, module: Module, sent: Any, path: str, knobs: Knobs, row: Row | None = None) -> dict[str, Any]:
    """Turn what was sent into the values a row will hold, or refuse it; Zoho ignores fields it does not know."""
    if not isinstance(sent, Mapping):
        raise ItemRefused("INVALID_DATA", "invalid data", {"expected_data_type": "jsonobject", "json_path": path})
    if module.api_name == "Calls" and "Outbound_Call_Status" in sent:
        # Zoho's insert sample spells it so, its metadata and answers the other way; both are accepted.
        sent = {"Outgoing_Call_Status": sent["Outbound_Call_Status"], **sent}
    values = dict(row.values) if row else {}
    for name, value in sent.items():
        if name == "$se_module" and "What_Id" in module.fields:
            values[name] = value
        elif (column := module.fields.get(name)) and org.may_write(column, knobs):
            closed = name in CLOSED_CHOICES or name in knobs.closed_choices.get(module.api_name, ())
            values[name] = None if value is None else _value(org, column, value, f"{path}.{name}", closed)

    def concerns(*names: str) -> bool:
        return row is None or any(name in sent for name in names)

    required = [name for name, column in module.fields.items() if column.mandatory]
    for name in filter(concerns, [*required, *knobs.mandatory.get(module.api_name, ())]):
        waived = name == "Call_Duration" and values.get("Outgoing_Call_Status") == "Scheduled"
        if values.get(name) in (None, "") and not waived:
            raise ItemRefused("MANDATORY_NOT_FOUND", "required field not found", _where(name, path))
    unique = [name for name, column in module.fields.items() if column.unique]
    for name in (*unique, *knobs.unique.get(module.api_name, ())):
        twin = next((t for t in org.tables[module.api_name].find(name, values.get(name)) if t is not row), None)
        if values.get(name) is not None and twin:
            existing = {"id": twin.id, "module": {"api_name": module.api_name}, "Owner": twin.values.get("Owner")}
            details = _where(name, path) | {"id": twin.id, "duplicate_record": existing}
            raise ItemRefused("DUPLICATE_DATA", "duplicate data", details)
    if concerns("What_Id", "$se_module", "Parent_Id"):
        _relations(org, module, values, path)
    if module.api_name == "Calls" and concerns("Call_Type", "Call_Duration", "Call_Duration_in_seconds"):
        if "Call_Duration_in_seconds" not in sent:
            values["Call_Duration_in_seconds"] = None  # the other spelling is the newer one
        _call(values, path)
    if "Full_Name" in module.fields:
        values["Full_Name"] = " ".join(filter(None, (values.get("First_Name"), values.get("Last_Name"))))
    return values


def _where(name: str, path: str) -> dict[str, Any]:
    return {"api_name": name, "json_path": f"{path}.{name}"}


def _value(org: Org, column: Field, value: Any, path: str, closed: bool) -> Any:
    def refuse(**details: Any) -> ItemRefused:
        return ItemRefused("INVALID_DATA", "invalid data", {"api_name": column.api_name, "json_path": path, **details})

    match column.data_type:
        case "boolean":
            if not isinstance(value, bool):
                raise refuse(expected_data_type="boolean")
        case "integer":
            if isinstance(value, bool) or not isinstance(value, int):
                raise refuse(expected_data_type="integer")
        case "double":
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise refuse(expected_data_type="double")
        case "datetime":
            if (moment := parse_time(value)) is None:
                raise refuse(expected_data_type="datetime")
            return moment
        case "date":
            try:
                return date.fromisoformat(value).isoformat()
            except (TypeError, ValueError):
                raise refuse(expected_data_type="date") from None
        case "lookup" | "ownerlookup":
            return _lookup(org, column, value, refuse)
        case kind:
            if not isinstance(value, str):
                raise refuse(expected_data_type="string")
            if len(value) > column.length:
                raise refuse(maximum_length=column.length)
            if value and kind in PATTERNS and not PATTERNS[kind].fullmatch(value):
                raise refuse(expected_data_type=kind)
            if closed and value not in column.choices:
                raise refuse(supported_values=list(column.choices))
    return value


def _lookup(org: Org, column: Field, value: Any, refuse: Any) -> dict[str, Any]:
    target = value.get("id") if isinstance(value, Mapping) else value
    if not isinstance(target, str | int):
        raise refuse(expected_data_type="bigint")
    kept: dict[str, Any] = {"id": str(target)}
    if column.data_type == "ownerlookup":
        if kept["id"] not in org.users:
            raise refuse(id=kept["id"])
        return kept
    if column.lookup != "se_module":
        if org.find(kept["id"], column.lookup) is None:
            raise refuse(id=kept["id"])
    elif isinstance(value, Mapping) and isinstance(value.get("module"), Mapping | str):
        named = value["module"]
        kept["module"] = {"api_name": named if isinstance(named, str) else named.get("api_name")}
    return kept


def _relations(org: Org, module: Module, values: dict[str, Any], path: str) -> None:
    """Check the lookups that may point anywhere: they must say where, and the record must be there."""
    if what := values.get("What_Id"):
        where = values.get("$se_module")
        if not where:
            details = _where("What_Id", path) | {
                "dependee": {"api_name": "$se_module", "json_path": f"{path}.$se_module"}
            }
            raise ItemRefused("DEPENDENT_FIELD_MISSING", "dependent field missing", details)
        if str(where) not in org.tables or where == "Contacts" or org.find(what["id"], where) is None:
            raise ItemRefused("INVALID_DATA", "the related id given seems to be invalid", _where("What_Id", path))
    if parent := values.get("Parent_Id"):
        where = parent.get("module", {}).get("api_name")
        if str(where) not in org.tables or org.find(parent["id"], where) is None:
            raise ItemRefused("INVALID_DATA", "the related id given seems to be invalid", _where("Parent_Id", path))


def _call(values: dict[str, Any], path: str) -> None:
    """Apply the rules of the Calls module: https://www.zoho.com/crm/developer/docs/api/v8/insert-records.html."""
    if values.get("Outgoing_Call_Status") == "Scheduled":
        if not values.get("Who_Id") and not values.get("What_Id"):
            raise ItemRefused("MANDATORY_NOT_FOUND", "required field not found", _where("Who_Id", path))
        return
    spelt = DURATION.fullmatch(values["Call_Duration"])
    if not spelt:
        raise ItemRefused(
            "INVALID_DATA", "invalid data", _where("Call_Duration", path) | {"expected_data_type": "time"}
        )
    seconds = values.get("Call_Duration_in_seconds")
    if seconds is None:
        seconds = int(spelt[1]) * 60 + int(spelt[2])
    if not seconds and values["Call_Type"] != "Missed":
        details = _where("Call_Duration", path) | {"dependee": _where("Call_Type", path)}
        raise ItemRefused("DEPENDENT_MISMATCH", "Call Duration can not be zero.", details)
    values["Call_Duration_in_seconds"] = seconds
    values["Call_Duration"] = f"{seconds // 60:02d}:{seconds % 60:02d}"
