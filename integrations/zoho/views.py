"""Reading a module through one of the organisation's custom views: whoever it does not show is not read.

A list through a view takes no order of ours, and it tells who changed, not who left. So a sweep also asks who changed
at all, by id and time only, and whoever changed and is not shown takes no part (any more). A view whose criterion
moves with time loses people nobody edited: those are found by reading it whole, and comparing with who was known.
https://www.zoho.com/crm/developer/docs/api/v8/custom-view-meta.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from domain.contact import Gone, Record
from domain.errors import NotAllowed, Refused, TryLater
from integrations.zoho.client import CRM, SCOPE_MISSING, Body, ZohoClient, info_of, rows_of
from integrations.zoho.listing import OVERLAP, PAGE, TOO_FAR, changed, pages
from integrations.zoho.people import People

VIEW = re.compile(r"[0-9]{1,20}")  # what Zoho calls a view by
MOST_PAGES = 10
NAME_CHARACTERS = 120
LOST = "zoho.expired_value"  # a page token lives a day
NO_SCOPE = f"zoho.{SCOPE_MISSING.lower()}"


class ViewGone(Refused):
    """A view cannot be read: nothing else is read in its place, and nobody leaves for it."""

    code = "zoho.view_gone"

    def __init__(self, module: str) -> None:
        super().__init__(f"The view chosen for {module} was deleted in Zoho, or cannot be read any more.")


class Views:
    """The views of one organisation, and its people as a view shows them."""

    def __init__(self, client: ZohoClient, people: People) -> None:
        self._client = client
        self._people = people

    def of(self, module: str) -> dict[str, str]:
        """Id -> name of a module's views, in the organisation's order. Raises NotAllowed."""
        found: dict[str, str] = {}
        for page in range(1, MOST_PAGES + 1):
            params = {"module": module, "page": str(page), "per_page": str(PAGE)}
            answer = self._client.read(f"{CRM}/settings/custom_views", params)
            for told in rows_of(answer, "custom_views"):
                name = _text(told.get("display_value")) or _text(told.get("name"))
                if VIEW.fullmatch(_text(told.get("id"))) and name:
                    found[_text(told["id"])] = name[:NAME_CHARACTERS]
            if not info_of(answer or {}).get("more_records"):
                break
        return found

    def read(
        self, module: str, view: str, since: datetime | None, known: Collection[str] | None = None
    ) -> Iterator[Record | Gone]:
        """Yield who is in the view and changed since then, and whoever changed and is not in it, as left out.

        `known`: the view is read whole, and whoever of these it does not show is left out. Raises ViewGone.
        """
        moved = self._moved(module, since) if since else {}  # first: who moves meanwhile is then in the view's list
        shown: set[str] = set()
        left: dict[str, Gone] = {}
        for row in self._rows(module, view, since if known is None else None):
            told = self._people.read(module, row)
            if told.remote_id in shown:  # a page may begin with the last one's end
                continue
            shown.add(told.remote_id)
            if isinstance(told, Gone):
                left[told.remote_id] = told
            else:
                yield told
        if since:
            left |= {one.remote_id: one for one in self._people.gone(module, since) if one.remote_id not in shown}
        for remote_id, converted in moved.items():
            if remote_id not in shown and remote_id not in left:
                left[remote_id] = Gone(module=module, remote_id=remote_id, apart=not converted, converted=converted)
        for remote_id in known or ():
            if remote_id not in shown and remote_id not in left:
                left[remote_id] = Gone(module=module, remote_id=remote_id, apart=True)
        yield from left.values()

    def _moved(self, module: str, since: datetime) -> dict[str, bool]:
        """Who changed since then, and whether they are leads no more; nothing else is asked of them."""
        params = {"fields": "id,Modified_Time"}
        if module == "Leads":
            params = {"fields": "id,Modified_Time,Converted__s", "converted": "both"}
        rows = changed(self._client, module, lambda _: params, since)
        return {str(row.get("id")): row.get("Converted__s") is True or row.get("$converted") is True for row in rows}

    def _rows(self, module: str, view: str, since: datetime | None) -> Iterator[Body]:
        """Yield the rows a view shows, of those that changed since then."""
        if not VIEW.fullmatch(view):
            raise ViewGone(module)
        asked = {**self._people.listing(module), "cvid": view}
        try:
            for page in pages(self._client, module, asked, since - OVERLAP if since else None):
                yield from page
        except NotAllowed as error:
            if error.code == NO_SCOPE:  # of the module itself: no word on the view
                raise
            raise ViewGone(module) from None
        except Refused as error:
            if error.code == LOST:
                raise TryLater("Zoho lost our place in a view: it is read again from its beginning.") from None
            if error.code in TOO_FAR or not error.code.startswith("zoho."):
                raise
            raise ViewGone(module) from None


def _text(value: Any) -> str:
    return str(value).strip() if isinstance(value, str | int) else ""
