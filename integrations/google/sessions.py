"""The connections to Google, so that no answer meets another user. Light to import: a card may be the first to ask."""

from __future__ import annotations

import os
import threading
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests


class Sessions:
    """An `Http` that is safe to share: each thread of each process has a `requests.Session` to itself.

    It keeps no cookie, so that nothing of one user travels with the next, and follows no redirect with a token.
    """

    def __init__(self) -> None:
        self._mine = threading.local()

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send one request and return its answer, whatever it is."""
        return self._session().request(method, url, **{"allow_redirects": False} | options)

    def _session(self) -> requests.Session:
        if getattr(self._mine, "process", None) != os.getpid():  # a fork must not talk over its parent's connections
            self._mine.process = os.getpid()
            self._mine.session = requests.Session()
            self._mine.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        session: requests.Session = self._mine.session
        return session
