"""Zoho's data centres: where each asks for consent, answers requests and shows its records.

A tenant lives in exactly one. The address a callback names arrives in a query string and would receive our secret, so
only origins on Zoho's own list count, compared whole. What is asked there is not known here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import requests

from domain.ports import Http
from settings import LOOPBACK

KEEP_SECONDS = 3600.0
RETRY_SECONDS = 60.0  # how long a failed reading is not repeated
MAX_BYTES = 65_536

# https://www.zoho.com/accounts/protocol/oauth/multi-dc.html. China is not on the list: it needs a client of its own.
ACCOUNTS: Mapping[str, str] = {
    "us": "https://accounts.zoho.com",
    "eu": "https://accounts.zoho.eu",
    "in": "https://accounts.zoho.in",
    "au": "https://accounts.zoho.com.au",
    "jp": "https://accounts.zoho.jp",
    "ca": "https://accounts.zohocloud.ca",
    "sa": "https://accounts.zoho.sa",
    "uk": "https://accounts.zoho.uk",
    "cn": "https://accounts.zoho.com.cn",
}


class DataCentres:
    """Zoho's own list, read at most once an hour; the built-in table stands in while it cannot be had."""

    def __init__(
        self, url: str, http: Http, *, timeout: float = 20.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._http = http
        self._timeout = timeout
        self._clock = clock
        self._lock = Lock()
        self._homes: Mapping[str, str] = {}
        self._due = float("-inf")

    @property
    def first(self) -> str:
        """The origin consent starts from: the one that serves the list."""
        return origin(self._url)

    @property
    def local(self) -> bool:
        """Whether the list is served on this very machine, which only a stage does."""
        return is_loopback(self.first)

    def homes(self) -> Mapping[str, str]:
        """Return location -> accounts origin."""
        with self._lock:
            if self._clock() >= self._due:
                told = self._read()
                self._homes = told or self._homes or self._built_in()
                self._due = self._clock() + (KEEP_SECONDS if told else RETRY_SECONDS)
            return self._homes

    def trusts(self, location: str, api: str) -> bool:
        """Say whether tokens of that data centre may be sent to this API origin (of any, when none is named)."""
        homes = self.homes()
        asked = [homes[location]] if location in homes else [] if location else list(homes.values())
        return api in {api_of(home) for home in asked}

    def _built_in(self) -> Mapping[str, str]:
        return {"us": self.first} if self.local else ACCOUNTS

    def _read(self) -> Mapping[str, str]:
        """Read the list; nothing at all when it cannot be had or is not what it should be."""
        try:
            answer = self._http.request("GET", self._url, timeout=self._timeout, allow_redirects=False)
            told: Any = answer.json() if answer.status_code == 200 and len(answer.content) <= MAX_BYTES else None
        except (requests.RequestException, ValueError):
            return {}
        listed = told.get("locations") if isinstance(told, dict) else None
        if not isinstance(listed, dict):
            return {}
        homes = {
            location: home
            for location, home in listed.items()
            if re.fullmatch(r"[a-z]{2,8}", location) and isinstance(home, str) and self._fits(home)
        }
        return homes if self.local or not homes else {**ACCOUNTS, **homes}

    def _fits(self, home: str) -> bool:
        return (
            home == origin(home)
            and "@" not in home
            and (is_loopback(home) if self.local else home.startswith("https://"))
        )


def origin(url: str) -> str:
    """Return scheme, host and port of an address, nothing else."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(address: str) -> bool:
    return urlsplit(address).hostname in LOOPBACK


def api_of(home: str) -> str:
    """Return the API origin beside an accounts origin; a stage answers both on one.

    The rule gives every row of Zoho's table, and names the newest centres (ae, sg), whose API hosts no page lists yet.
    """
    return home if is_loopback(home) else re.sub(r"^https://accounts\.zoho(cloud)?\.", "https://www.zohoapis.", home)


def crm_web(api_domain: str) -> str:
    """Return the origin people see the CRM at."""
    if is_loopback(api_domain):
        return api_domain
    region = api_domain.rpartition("zohoapis.")[2]
    return "https://crm.zohocloud.ca" if region == "ca" else f"https://crm.zoho.{region}"
