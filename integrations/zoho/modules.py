"""The modules of an organisation beside people and companies: deals, and those its administrators made.

https://www.zoho.com/crm/developer/docs/api/v8/modules-api.html: one that somebody made has the generated type
`custom`, and `module_name` is what its pages' addresses call it (`CustomModule3`); a deal's still say `Potentials`.
Which columns hold telephone numbers is asked of each, and remembered as long as the columns of people are.
"""

from __future__ import annotations

from typing import Any

from domain.deal import DEALS
from domain.matching import MODULE_NAME
from domain.ports import CrmModule
from integrations.zoho.client import CRM, Body, ZohoClient, rows_of
from integrations.zoho.columns import LABEL_CHARACTERS, OwnColumns

TABS = {DEALS: "Potentials"}
MOST = 40  # modules of their own that are looked at: each is a request, a few times a day


class Modules:
    """The modules of one organisation."""

    def __init__(self, client: ZohoClient) -> None:
        self._client = client
        self._columns = OwnColumns(client)

    def further(self) -> list[CrmModule]:
        """Deals first, then what administrators made, in the organisation's order. Raises NotAllowed."""
        told = rows_of(self._client.read(f"{CRM}/settings/modules"), "modules")
        wanted = [
            one for one in told if one.get("api_supported") is True and MODULE_NAME.fullmatch(_text(one, "api_name"))
        ]
        deals = [one for one in wanted if one["api_name"] == DEALS]
        made = [one for one in wanted if one.get("generated_type") == "custom"]
        return [self._module(one) for one in (*deals, *made[:MOST])]

    def _module(self, told: Body) -> CrmModule:
        name = _text(told, "api_name")
        label = _text(told, "plural_label") or name
        return CrmModule(
            name=name,
            label=label[:LABEL_CHARACTERS],
            tab=TABS.get(name) or _text(told, "module_name") or name,
            phones=tuple(self._columns.of(name, ()).values()),
        )


def _text(told: Body, name: str) -> str:
    value: Any = told.get(name)
    return value.strip() if isinstance(value, str) else ""
