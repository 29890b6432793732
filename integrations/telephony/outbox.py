"""Text messages sent through an account that knows no key for them: what such vendors have in common.

A message is posted once. Whatever may mean that it was taken is `Unanswered`, for then the vendor's list is looked
through before anything is sent again. How a message and a list are spelt is each vendor's own business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import requests

from domain.errors import TryLater, Unanswered
from domain.ports import Http
from integrations.telephony import edge

E164 = re.compile(r"\+[0-9]{7,15}")
REF = re.compile(r"[!-~]{1,64}")


class Outbox:
    """What one account sends. `usual`: the number it calls from; `door_url`: where it tells what becomes of it."""

    def __init__(self, *, base_url: str, key: Mapping[str, str], usual: str, door_url: str, http: Http) -> None:
        self._base_url = base_url
        self._key = dict(key)
        self._usual = usual
        self._door_url = door_url
        self._http = http

    def _able(self, numbers: Iterable[Any]) -> list[str]:
        """Those of an account's numbers that are some, the usual one first."""
        found = {number for number in numbers if isinstance(number, str) and E164.fullmatch(number)}
        return sorted(found, key=lambda number: (number != self._usual, number))

    def _post(self, path: str, **options: Any) -> tuple[requests.Response, dict[str, Any]]:
        """Post a message; return the answer and what it holds. Raises Unanswered, TryLater."""
        url = self._base_url + path
        response = edge.send(self._http, "POST", url, once=True, headers=self._key, **options)
        if response.status_code >= 500 or response.status_code == 408:
            raise Unanswered("The platform does not know what became of the message.")
        if response.status_code == 429:
            raise TryLater("The platform asks us to slow down.", wait=edge.wait_asked(response.headers))
        try:
            told = response.json()
        except ValueError:
            told = None
        return response, told if isinstance(told, dict) else {}

    @staticmethod
    def _named(response: requests.Response, ref: Any) -> str:
        """The id of a message that was taken. Raises what a refusal nobody has a word for asks for, Unanswered."""
        if trouble := edge.trouble_in(response.status_code, response.headers, once=True):
            raise trouble
        if not isinstance(ref, str) or not REF.fullmatch(ref):
            raise Unanswered("The platform took the message without naming it.", code=edge.BAD_RESPONSE)
        return ref

    def _listed(self, path: str, name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A page of a list."""
        response = edge.send(self._http, "GET", self._base_url + path, headers=self._key, params=dict(params))
        if trouble := edge.trouble_in(response.status_code, response.headers):
            raise trouble
        try:
            page = response.json()
        except ValueError:
            raise edge.bad_response() from None
        rows = page.get(name) if isinstance(page, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise edge.bad_response()
        return rows
