"""Listing a module of Zoho in the order its rows changed, past where one listing ends, and what was deleted there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from domain.errors import Refused
from integrations.zoho.client import CRM, Body, ZohoClient, info_of, rows_of

OVERLAP = timedelta(seconds=120)  # changes may appear a little after the time they carry
PAGE = 200
TOO_FAR = frozenset(  # 100,000 rows by page token, 2,000 by page number, and a token lives a day
    {"zoho.pagination_limit_exceeded", "zoho.discrete_pagination_limit_exceeded", "zoho.expired_value"}
)
ORDER = {"sort_by": "Modified_Time", "sort_order": "asc"}
Asked = Callable[[datetime | None], Mapping[str, str]]  # what is asked for beside order and place; None: of everything


def changed(client: ZohoClient, module: str, asked: Asked, since: datetime | None) -> Iterator[Body]:
    """Yield the rows that changed since then, or all of them, each once."""
    before: set[tuple[str, str]] = set()
    start = since - OVERLAP if since else None
    while True:
        newest = ""
        try:
            for page in pages(client, module, {**asked(start), **ORDER}, start):
                for row in page:
                    newest = str(row.get("Modified_Time") or newest)
                    if _mark(row) not in before:  # a page may begin with the last one's end
                        yield row
                before = {_mark(row) for row in page}
            return
        except Refused as error:
            # This is as far as one listing goes; the next one starts where it ended.
            further = datetime.fromisoformat(newest) - timedelta(seconds=1) if newest else None
            if error.code not in TOO_FAR or further is None or (start and further <= start):
                raise
            start = further


def deleted(client: ZohoClient, module: str, since: datetime | None) -> Iterator[str]:
    """Yield the ids of what was deleted since then."""
    start = since - OVERLAP if since else None
    params = {"type": "all", "per_page": str(PAGE)}
    number = 1
    while True:
        answer = client.read(f"{CRM}/{module}/deleted", {**params, "page": str(number)}, since=start)
        yield from (str(row.get("id")) for row in rows_of(answer, "data"))
        if not answer or not info_of(answer).get("more_records"):
            return
        number += 1


def _mark(row: Body) -> tuple[str, str]:
    return str(row.get("id")), str(row.get("Modified_Time"))


def pages(client: ZohoClient, module: str, params: Mapping[str, str], start: datetime | None) -> Iterator[list[Body]]:
    """Yield page after page. A page token keeps its place while people edit; a page number would not."""
    params = {**params, "per_page": str(PAGE)}
    place: dict[str, str] = {}
    number = 1
    while True:
        answer = client.read(f"{CRM}/{module}", {**params, **place}, since=start)
        yield rows_of(answer, "data")
        info = info_of(answer or {})
        if not info.get("more_records"):
            return
        number += 1
        token = info.get("next_page_token")
        place = {"page_token": str(token)} if token else {"page": str(number)}
