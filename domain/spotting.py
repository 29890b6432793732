"""Telephone numbers in running text: a signature, a document, the cells of a sheet. Nothing is fetched or kept here."""

from __future__ import annotations

import csv
import io

import phonenumbers
from phonenumbers import PhoneNumberFormat

MOST_CHARACTERS = 500_000  # a longer text is read so far
MOST_TRIES = 500  # the library's own guard against digits without end


def spot(text: str, region: str, most: int = 20) -> list[str]:
    """Every valid number in a text, in E.164, in the order they stand there, each once.

    >>> spot("Dana, +34 600 111 222 (mobile) or 911 222 333", "ES")
    ['+34600111222', '+34911222333']
    """
    found: dict[str, None] = {}
    matcher = phonenumbers.PhoneNumberMatcher(text[:MOST_CHARACTERS], region, max_tries=MOST_TRIES)
    for match in matcher:
        found[phonenumbers.format_number(match.number, PhoneNumberFormat.E164)] = None
        if len(found) == most:
            break
    return list(found)


def cells(table: str) -> str:
    """A table in commas, cell by cell: two cells beside each other are never one number."""
    try:
        return "\n".join(cell for row in csv.reader(io.StringIO(table[:MOST_CHARACTERS])) for cell in row if cell)
    except csv.Error:
        return table
