"""The phone columns an organisation added to its people, or has in modules of its own, as people there call them.

https://www.zoho.com/crm/developer/docs/api/v8/field-meta.html: a column for numbers has the data type `phone`. A
consent that does not reach so far, or an organisation that refuses, leaves the columns every Zoho has.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from domain.errors import NotAllowed, Refused
from integrations.zoho.client import CRM, ZohoClient, rows_of

KEEP_SECONDS = 21_600.0  # a new column is read within a quarter of a day
MOST = 30  # a listing answers at most 50 columns, and the standard ones come first
LABEL_CHARACTERS = 60
TITLES = ("Name", "Deal_Name")  # what a record is called: of every module of one's own, and of a deal
NO_MODULE = "zoho.invalid_module"


class OwnColumns:
    """Asked for each module when it is first listed, and again when that was long ago."""

    def __init__(self, client: ZohoClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = Lock()
        self._known: dict[str, Mapping[str, str]] = {}
        self._titles: dict[str, str] = {}
        self._due: dict[str, float] = {}

    def of(self, module: str, standard: tuple[str, ...]) -> Mapping[str, str]:
        """Name -> label of the phone columns that are not `standard`, in the organisation's order."""
        with self._lock:
            if self._clock() >= self._due.get(module, float("-inf")):
                try:
                    answer = self._client.read(f"{CRM}/settings/fields", {"module": module})
                    described = rows_of(answer, "fields")
                    self._known[module] = dict(_read(described, standard)[:MOST])
                    names = {field.get("api_name") for field in described}
                    self._titles[module] = next((name for name in TITLES if name in names), "")
                except (NotAllowed, Refused) as error:  # a column known once stays known: it is still there to be read
                    known = {} if error.code == NO_MODULE else self._known.get(module, {})
                    self._known[module] = known
                self._due[module] = self._clock() + KEEP_SECONDS
            return self._known[module]

    def title(self, module: str) -> str:
        """The column a record of a module is called by; "" where there is none, or nobody asked for its columns."""
        return self._titles.get(module, "")

    def known(self, module: str) -> Mapping[str, str]:
        """The same as far as it was asked for: a row has no column that no listing named."""
        return self._known.get(module, {})


def _read(described: list[dict[str, Any]], standard: tuple[str, ...]) -> list[tuple[str, str]]:
    found = []
    for field in described:
        name, label = field.get("api_name"), field.get("field_label")
        if field.get("data_type") != "phone" or not isinstance(name, str) or name in standard:
            continue
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}", name):  # it is put into a query
            found.append((name, (label if isinstance(label, str) else name).strip()[:LABEL_CHARACTERS]))
    return found
