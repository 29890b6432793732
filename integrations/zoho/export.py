"""A whole module written into files by Zoho (bulk read), for organisations too large to be listed page by page.

https://www.zoho.com/crm/developer/docs/api/v8/bulk-read/overview.html. A job is begun, looked at until it is done, and
its file fetched into memory, never onto disk: a zip with one CSV in it, unpacked and understood row by row. How that
file spells things is known from samples only, so it is read kindly; one that may have lost somebody is not read at all.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TextIO

from domain.contact import Record
from domain.errors import Refused, TryLater
from domain.ports import Export
from integrations.zoho.client import BULK, CRM, Body, ZohoClient, code_of, refusal, rows_of
from integrations.zoho.people import LINES, People

READ = f"{BULK}/read"
MOST_PACKED = 128 * 1024 * 1024  # bytes of a file as it comes; 200,000 people are about twenty million
MOST_CHARACTERS = 1024 * 1024 * 1024  # in a file unpacked
LONGEST_ROW = 64 * 1024  # characters
FAILED = frozenset({"FAILURE", "FAILED", "DELETED"})
COMPANY = "Account_Name.Account_Name"  # a lookup is written as an id; its name is a column of its own
SPELT: Mapping[str, str] = {"owner.id": "Owner", "account_name.id": "Account_Name", "account_name.name": COMPANY}
PAGE = "page:"  # the next part by number, where Zoho gave no word for it


class ZohoExports:
    """The files of one organisation."""

    def __init__(self, client: ZohoClient, people: People) -> None:
        self._client = client
        self._people = people

    def count(self, module: str) -> int:
        """How many records a module has; 0 when Zoho does not say, or nothing of it is read."""
        if not self._people.is_there(module):
            return 0
        return _number((self._client.read(f"{CRM}/{module}/actions/count") or {}).get("count")) or 0

    def begin(self, module: str, part: str = "") -> str:
        """Have a module, or its next part, written out; return the job's id."""
        query: Body = {"module": {"api_name": module}, "fields": self._columns(module)}
        if part.startswith(PAGE):
            query["page"] = int(part.removeprefix(PAGE))
        elif part:
            query["page_token"] = part
        answer = self._client.write(
            "POST", READ, json={"query": query, "file_type": "csv"}, repeatable=True, items="data"
        )
        (told, *_) = rows_of(answer, "data") or [{}]
        if told.get("status") == "error":
            raise refusal(code_of(told))
        details: Any = told.get("details")
        job = str(details.get("id")) if isinstance(details, dict) else ""
        if not re.fullmatch(r"[0-9]{1,20}", job):
            raise TryLater("Zoho's answer cannot be read.")
        return job

    def look(self, job: str) -> Export:
        """Say how far a job is. Raises Refused when Zoho knows it no more, which is after a day."""
        (told, *_) = rows_of(self._client.read(f"{READ}/{job}"), "data") or [{}]
        state, result = told.get("state"), told.get("result")
        if state in FAILED:
            return Export(state="failed")
        if state != "COMPLETED":
            return Export(state="waiting")
        count = _number(result.get("count")) if isinstance(result, dict) else None
        if not isinstance(result, dict) or count is None:
            return Export(state="failed")
        more = result.get("more_records") is True
        return Export(state="ready", rows=count, more=_next(result) if more else "")

    def people(self, module: str, job: str, rows: int) -> Iterator[Record]:
        """Yield everybody in a file, which has to hold so many `rows`. Raises Refused when it cannot be read."""
        if not rows:
            return
        columns, numbers = self._columns(module), LINES.keys() | self._people.own(module).keys()
        packed = self._client.download(f"{READ}/{job}/result", MOST_PACKED)
        found = 0
        for row in _rows(packed, module, columns, numbers):
            found += 1
            told = self._people.read(module, row)
            if isinstance(told, Record):
                yield told
        if found < rows:
            raise _unreadable("is not complete")

    def _columns(self, module: str) -> list[str]:
        company = [COMPANY] if module == "Contacts" else []
        return [*self._people.columns(module), *company]


def _next(result: Body) -> str:
    """Name the part after this one."""
    token = result.get("next_page_token")
    return str(token) if token else f"{PAGE}{(_number(result.get('page')) or 1) + 1}"


def _rows(packed: bytes, module: str, columns: Sequence[str], numbers: Collection[str]) -> Iterator[Body]:
    """Yield the rows of a file as a listing would have answered them."""
    lines = _unpacked(packed)
    spelt = {**SPELT, **{name.lower(): name for name in ("id", *columns)}}
    header = [spelt.get(cell.strip().lower(), "") for cell in next(lines, [])]
    nameless = module == "Contacts" and "Account_Name" in header and COMPANY not in header
    if "id" not in header or set(numbers).isdisjoint(header) or nameless:
        raise _unreadable("lacks columns we asked for")
    for line in lines:
        row: Body = {}
        for name, cell in zip(header, line, strict=False):
            row.setdefault(name, cell.strip() or None)
        yield _as_listed(module, row)


def _as_listed(module: str, row: Body) -> Body:
    """Give a row the shape it has in a listing: lookups with id and name, booleans."""
    row["id"] = _id(row.get("id"))
    if not row["id"]:
        raise _unreadable("has a record without an id")
    row["Owner"] = {"id": _id(row.get("Owner"))}
    row["Converted__s"] = str(row.get("Converted__s")).lower() in ("true", "1", "yes")
    if module == "Contacts":
        there, name = row.get("Account_Name"), row.pop(COMPANY, None)
        row["Account_Name"] = {"id": _id(there), "name": name} if there or name else None
    return row


def _id(value: str | None) -> str | None:
    """Read an id; files people export by hand write `zcrm_` before it."""
    told = (value or "").removeprefix("zcrm_")
    return told if re.fullmatch(r"[0-9]{1,20}", told) else None


def _number(value: Any) -> int | None:
    told = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return int(told) if re.fullmatch(r"[0-9]{1,12}", told) else None


def _unpacked(packed: bytes) -> Iterator[list[str]]:
    """Yield the lines of the one CSV in a zip, unpacked as they are asked for."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            (file,) = (one for one in archive.infolist() if not one.is_dir())
            with archive.open(file) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
                lines = _Lines(text)
                for line in csv.reader(lines, strict=True):
                    lines.row = 0
                    if line:
                        yield line
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, csv.Error):
        raise _unreadable("is no zip with one CSV in it, or not to its end") from None  # the cause quotes people


class _Lines:
    """The lines of a file, none of which makes a row too long, nor all of them too many."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._left = MOST_CHARACTERS
        self.row = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST_ROW + 1)
        self.row += len(line)
        self._left -= len(line)
        if self.row > LONGEST_ROW or self._left < 0:
            raise csv.Error("larger than we read")
        if not line:
            raise StopIteration
        return line


def _unreadable(why: str) -> Refused:
    return Refused(f"Zoho's file {why}.", code="export.unreadable")
