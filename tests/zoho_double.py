"""A Zoho that answers what it was told to: for the shapes an understudy would have to be broken to produce."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3

ORIGIN = "https://www.zohoapis.eu"


def answer(status: int = 200, body: Any = None, headers: Mapping[str, str] | None = None) -> requests.Response:
    """Make the answer requests would have made; `body` is JSON unless it is bytes already."""
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers or {})
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    response.raw = io.BytesIO(raw)
    return response


def error(code: str, status: int = 400) -> requests.Response:
    """Make an error as Zoho writes it."""
    return answer(status, {"code": code, "details": {}, "message": "…", "status": "error"})


def not_reached() -> requests.ConnectionError:
    """The connection could not even be made."""
    pool = urllib3.HTTPSConnectionPool("www.zohoapis.eu")
    refused = urllib3.exceptions.NewConnectionError(urllib3.connection.HTTPSConnection("www.zohoapis.eu"), "refused")
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", refused))


def cut_off() -> requests.ConnectionError:
    """The connection broke after the request had left."""
    return requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted."))


@dataclass
class Line:
    """The `Http` of these tests: gives the answers in order and keeps what was asked."""

    answers: list[requests.Response | Exception]
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        self.asked.append((method, url, options))
        told = self.answers.pop(0)
        if isinstance(told, Exception):
            raise told
        return told


@dataclass
class Purse:
    """The `Tokens` of these tests: counts how often it had to renew."""

    value: str = "t0"
    renewed: int = 0

    def __call__(self, *, renew: bool = False) -> str:
        if renew:
            self.renewed += 1
            self.value = f"t{self.renewed}"
        return self.value
