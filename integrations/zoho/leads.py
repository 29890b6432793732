"""A lead made from a call: looked for by its number before it is written, made once, refused in words.

Zoho's search index is late, so the number is looked for with COQL, which reads the rows themselves
(https://www.zoho.com/crm/developer/docs/api/v8/Get-Records-through-COQL-Query.html).
"""

from __future__ import annotations

from typing import Any

from domain import phone
from domain.errors import FieldRefused, Refused, Unanswered
from domain.ports import NewLead
from integrations.zoho.client import CRM, Body, ZohoClient, code_of, literal, refusal

WHERE = ("Contacts", "Leads")
NUMBERS = ("Phone", "Mobile")
LENGTHS = {"First_Name": 40, "Last_Name": 80, "Company": 200}
ALSO_ASKED = {"MANDATORY_NOT_FOUND", "DEPENDENT_FIELD_MISSING"}


class Leads:
    """The leads of one organisation, as far as calls make them."""

    def __init__(self, client: ZohoClient) -> None:
        self._client = client

    def with_number(self, number: str) -> list[tuple[str, str]]:
        """Find the contacts and leads with this number in one of its usual spellings."""
        spelt = ", ".join(map(literal, phone.spellings(number)))
        either = " or ".join(f"{name} in ({spelt})" for name in NUMBERS)
        return [(module, str(row["id"])) for module in WHERE for row in self._client.query("id", module, f"({either})")]

    def create(self, lead: NewLead) -> str:
        """Make a lead; where the organisation forbids a second one with these values, return the first."""
        row: Body = {"First_Name": lead.given, "Last_Name": lead.family, "Company": lead.company}
        row = {name: value[: LENGTHS[name]] for name, value in row.items() if value} | {"Phone": lead.number}
        row = {**lead.fields, **row}
        if lead.owner:
            row["Owner"] = {"id": lead.owner}
        data = {"data": [row], "trigger": ["workflow"]}
        answer = self._client.write("POST", f"{CRM}/Leads", json=data, items="data")
        told = answer.get("data")
        if not isinstance(told, list) or len(told) != 1 or not isinstance(told[0], dict):
            raise Unanswered("Zoho did not say what became of the lead.")
        details: Any = told[0].get("details")
        details = details if isinstance(details, dict) else {}
        if told[0].get("status") == "success" and details.get("id"):
            return str(details["id"])
        field = details.get("api_name")
        code = code_of(told[0])
        if isinstance(field, str) and field in lead.fields:
            raise FieldRefused(f"Zoho refused {field}.", code=refusal(code).code, field=field)
        if known := _known_already(told[0], details):
            return known
        if code in ALSO_ASKED and isinstance(field, str):
            raise Refused(f"Zoho wants more for a lead: the field {field}.", code=f"lead.mandatory.{field.lower()}")
        raise refusal(code)


def _known_already(item: Body, details: Body) -> str:
    """The lead that has these values already; \"\" when it is something else, or was refused for another reason."""
    if code_of(item) != "DUPLICATE_DATA":
        return ""
    known: Any = details.get("duplicate_record")
    known = known if isinstance(known, dict) else details
    module: Any = known.get("module")
    name = module.get("api_name") if isinstance(module, dict) else module
    return str(known.get("id") or "") if name in (None, "Leads") else ""
