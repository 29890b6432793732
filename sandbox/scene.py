"""What every act of the story works with: the house it is told in, the stage's controls, three browsers, and patience.

Waiting is asking again and again until a deadline; what did not come in time is a reason in words.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sandbox.browser import Browser, Page
from sandbox.cast import Company, Controls
from settings import Settings

ASK_AGAIN_SECONDS = 0.1
PATIENCE_SECONDS = 30.0  # slow machines included
Found = TypeVar("Found")


class House(Protocol):
    """A running Linekeeper: real processes, real servers."""

    @property
    def settings(self) -> Settings: ...
    @property
    def origin(self) -> str: ...
    @property
    def stage(self) -> Mapping[str, str]: ...
    @property
    def data_dir(self) -> Path: ...
    @property
    def database_files(self) -> Path: ...
    @property
    def redis_urls(self) -> list[str]: ...
    @property
    def log_dir(self) -> Path: ...
    def pids(self) -> dict[str, int]:
        """Every process that is up, by its role."""


class Amiss(Exception):
    """Something did not happen as promised; the message says what, for people."""


def expect(condition: object, otherwise: str) -> None:
    """Go on only if it is so."""
    if not condition:
        raise Amiss(otherwise)


@dataclass(slots=True)
class Scene:
    """The story so far."""

    house: House
    stop: threading.Event
    alice: Browser
    bob: Browser
    charlie: Browser
    zoho: Controls
    google: Controls
    pbx: Controls
    noted: dict[str, str] = field(default_factory=dict)  # ids and addresses that later acts need

    @classmethod
    def open(cls, house: House, stop: threading.Event) -> Scene:
        """Give everybody a browser and find the stage's controls."""
        alice, bob, charlie = (Browser(house.origin) for _ in range(3))
        zoho, google, pbx = (Controls(house.stage[name]) for name in ("zoho-us", "google", "pbx"))
        return cls(house, stop, alice, bob, charlie, zoho, google, pbx)

    def until(
        self, ask: Callable[[], Found], otherwise: str, *, seconds: float = PATIENCE_SECONDS, every: float = 0.0
    ) -> Found:
        """Ask until the answer is something, and return it; `otherwise` is the reason when time is up."""
        ends = time.monotonic() + seconds
        while not (found := ask()):
            if self.stop.wait(every or ASK_AGAIN_SECONDS):
                raise Amiss("the story was stopped")
            if time.monotonic() > ends:
                raise Amiss(f"{otherwise} (waited {seconds:.0f} s)")
        return found

    # -- what the stage and the console know

    def activities(self, company: Company) -> list[dict[str, Any]]:
        """The calls in a company's Zoho."""
        return list(self.zoho.get("records", org=company.org, module="Calls")["records"])

    def record(self, company: Company, module: str, **values: str) -> dict[str, Any]:
        """The record of a company's Zoho with these values."""
        rows = self.zoho.get("records", org=company.org, module=module)["records"]
        found = [row for row in rows if all(row.get(name) == value for name, value in values.items())]
        expect(found, f"the stage has no such record in {module}")
        return dict(found[0])

    def phonebook(self, company: Company) -> list[dict[str, Any]]:
        """What the phone system of a company knows."""
        return list(self.pbx.get("phonebook", key=company.pbx_key)["phonebook"])

    def find(self, browser: Browser, wanted: str) -> list[str]:
        """Search the console's contacts; return the address of each one found."""
        page = browser.get("/console/contacts")
        form = page.form("q")
        form.fill(q=wanted)
        return browser.submit(page, form).links_to(r"/console/contacts/[0-9a-f-]{36}")


def people_known(overview: Page) -> int:
    """How many people the console's first page counts; 0 before the first reading."""
    found = re.search(r"([\d,]+) contacts can be recognised", overview.text)
    return int(found[1].replace(",", "")) if found else 0


def in_words(seconds: float) -> str:
    """A duration for the reader: milliseconds below a second."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def moment(at: datetime) -> str:
    """A moment as vendors write it."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
