"""The conversations Google Chat has with the app: who it may write to, and what it said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Spaces:
    """Direct messages with the app."""

    members: dict[str, str] = field(default_factory=dict)  # space -> user; those the app is in
    known: set[str] = field(default_factory=set)  # and those it was in
    messages: dict[str, list[Json]] = field(default_factory=dict)
    requests: dict[str, Json] = field(default_factory=dict)
