"""What a spreadsheet is to the understudy: an owner, a title, a tab and its rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Sheet:
    """One spreadsheet with one tab."""

    user: str
    title: str
    tab: str
    rows: list[list[Any]] = field(default_factory=list)
    trashed: bool = False
    shared: bool = True  # the application may still open it
