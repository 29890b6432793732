"""The fields of Zoho's calls and people, as the organisation set them up: what each holds, and which a layout demands.

https://www.zoho.com/crm/developer/docs/api/v8/field-meta.html and .../layouts-meta.html. Which fields are mandatory is
a layout's word; a consent that does not reach so far leaves those every Zoho demands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from domain.errors import NotAllowed, Refused
from domain.mapping import CrmField
from domain.matching import MODULE_NAME
from integrations.zoho.client import CRM, Body, ZohoClient, rows_of
from integrations.zoho.rows import COLUMNS

CALLS = "Calls"
KINDS = {  # Zoho's data types that hold the same
    "currency": "double",
    "percent": "double",
    "decimal": "double",
    "bigint": "integer",
    "richtext": "textarea",
}
OURS: Mapping[str, frozenset[str]] = {
    # `calls.as_row` writes these, and telephony alone the last three
    CALLS: frozenset(
        {"Call_Type", "Call_Start_Time", "Call_Duration", "Call_Duration_in_seconds", "Who_Id", "What_Id", "Owner"}
        | {"Description", "Voice_Recording__s", "Outgoing_Call_Status", "Outbound_Call_Status"}
        | {"CTI_Entry", "Caller_ID", "Dialled_Number"}
    ),
    # what somebody's details are kept in: it would be read back as a change of theirs
    "Contacts": COLUMNS | {"Owner"},
    # a lead is made of a call, of a name, a number and the company an agent may have typed
    "Leads": COLUMNS - {"Company", "Designation"} | {"Owner"},
}
OF_RECORDS = frozenset({"Owner"})  # whose call it was
ASKED = frozenset({("Calls", "Subject"), ("Leads", "Company")})  # there is one of ours, or an agent is asked for it


def call_fields(client: ZohoClient) -> list[CrmField]:
    """Every field of a call that is shown, in the organisation's order. Raises NotAllowed."""
    return _fields(client, CALLS)


def person_fields(client: ZohoClient, module: str) -> list[CrmField]:
    """The same of somebody new in Contacts or Leads."""
    return _fields(client, module)


def record_fields(client: ZohoClient, module: str) -> list[CrmField]:
    """The same of a record in a module of the organisation's own, or of a deal."""
    return _fields(client, module)


def _fields(client: ZohoClient, module: str) -> list[CrmField]:
    described = rows_of(client.read(f"{CRM}/settings/fields", {"module": module}), "fields")
    demanded = _demanded(client, module)
    shown = [one for one in described if one.get("visible") is not False and isinstance(one.get("api_name"), str)]
    return [_field(one, module, one["api_name"] in demanded) for one in shown]


def _demanded(client: ZohoClient, module: str) -> set[str]:
    """What any layout in use demands."""
    try:
        layouts = rows_of(client.read(f"{CRM}/settings/layouts", {"module": module}), "layouts")
    except (NotAllowed, Refused):
        return set()
    active = [one for one in layouts if one.get("status") in (None, "active", 0)]
    sections = [section for one in active for section in _dicts(one.get("sections"))]
    fields = [field for section in sections for field in _dicts(section.get("fields"))]
    return {str(field.get("api_name")) for field in fields if field.get("required") is True}


def _field(told: Body, module: str, demanded: bool) -> CrmField:
    name = str(told["api_name"])
    kind = str(told.get("data_type") or "")
    operations = told.get("operation_type")
    creates = operations.get("api_create") if isinstance(operations, dict) else None
    length, picks = told.get("length"), _dicts(told.get("pick_list_values"))
    return CrmField(
        name=name,
        label=str(told.get("display_label") or told.get("field_label") or name),
        kind=KINDS.get(kind, kind),
        length=length if isinstance(length, int) and length > 0 else 255,
        choices=tuple(str(one["actual_value"]) for one in picks if one.get("actual_value")),
        mandatory=(module, name) not in ASKED and (demanded or told.get("system_mandatory") is True),
        writable=creates is not False and told.get("read_only") is not True,
        ours=name in OURS.get(module, OF_RECORDS),
        points_to=_target(told),
    )


def _target(told: Body) -> str:
    """The module a look-up leads to; newer answers name it in an object, older ones as a word."""
    lookup = told.get("lookup")
    module = lookup.get("module") if isinstance(lookup, dict) else None
    name = module.get("api_name") if isinstance(module, dict) else module
    return name if isinstance(name, str) and MODULE_NAME.fullmatch(name) else ""


def _dicts(value: Any) -> Iterable[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
