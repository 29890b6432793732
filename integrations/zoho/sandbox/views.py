"""An organisation's custom views: how `/settings/custom_views` tells them, and whom a list shows that asks for `cvid`.

A view's criterion is looked at anew for every list, as Zoho does: whoever is in it may leave it without being edited.
https://www.zoho.com/crm/developer/docs/api/v8/custom-view-meta.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import request

from integrations.zoho.sandbox.answers import Json, Refused
from integrations.zoho.sandbox.tables import Row, Table

COMPARATORS: Mapping[str, Callable[[Any, Any, datetime], bool]] = {
    "equal": lambda value, told, _: value == told,
    "starts_with": lambda value, told, _: isinstance(value, str) and value.lower().startswith(str(told).lower()),
    "in_last_days": lambda value, told, now: isinstance(value, datetime) and value > now - timedelta(days=float(told)),
}


@dataclass(frozen=True, slots=True)
class View:
    """One saved view of a module."""

    id: str
    module: str
    name: str
    field: str
    comparator: str
    value: Any

    def shows(self, row: Row, now: datetime) -> bool:
        """Say whether a row is in it, as of now."""
        return COMPARATORS[self.comparator](row.get(self.field), self.value, now)


def view_of(views: Mapping[str, View], table: Table) -> View | None:
    """Read `cvid`: one of this module's views, and never together with an order of one's own."""
    asked = request.args.get("cvid")
    if asked is None:
        return None
    if "sort_by" in request.args:
        details = {"ambiguity_due_to": [{"param_name": "cvid"}, {"param_name": "sort_by"}]}
        raise Refused(400, "AMBIGUITY_DURING_PROCESSING", "ambiguity while processing the request", details)
    found = views.get(asked)
    if found is None or found.module != table.module.api_name:
        raise Refused(400, "INVALID_DATA", "the given data is not valid", {"param_name": "cvid"})
    return found


def describe_view(view: View) -> Json:
    """Write a view as its list does: what it is called, and not what it looks for."""
    return {
        "id": view.id,
        "name": view.name,
        "display_value": view.name,
        "system_name": None,
        "system_defined": False,
        "category": "created_by_me",
        "access_type": "public",
        "shared_to": None,
        "default": False,
        "favorite": None,
        "locked": False,
        "offline": False,
    }
