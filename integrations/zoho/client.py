"""One authorised conversation with a Zoho data centre: send, read the answer, name what went wrong after its remedy.

Every status code and error code of Zoho is understood here and nowhere else. A body is never logged, a redirect never
followed (it would carry the token to another host) and nothing is repeated, save once after a renewed token, and once
what may be repeated when the connection was cut. What a record means is not known here.
"""

from __future__ import annotations

import json as jsons
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import urllib3

from domain.errors import ConsentLost, NotAllowed, Refused, TryLater, Unanswered, Upstream
from domain.ports import Http, Tokens
from integrations.guard import dropped

CRM = "/crm/v8"
BULK = "/crm/bulk/v8"
MAX_BYTES = 10 * 1024 * 1024
MAX_WAIT_SECONDS = 3600.0
COQL_ROWS = 200  # a query may get 200 rows by every version of the documentation, more by some
COQL_REACH = 10_000  # rows an offset can skip, https://www.zoho.com/crm/developer/docs/api/v7/COQL-Overview.html

SCOPE_MISSING = "OAUTH_SCOPE_MISMATCH"  # 401 by the documentation, 403 in the field
OFF = frozenset(
    {SCOPE_MISSING, "NO_PERMISSION", "NOT_SUPPORTED", "FEATURE_NOT_SUPPORTED", "API_NOT_SUPPORTED"}
    | {"AUTHORIZATION_FAILED", "PBX_NOT_INTEGRATED"}
)
BUSY = frozenset({"TOO_MANY_REQUESTS", "RATE_LIMIT_EXCEEDED"})
BROKEN = frozenset({"INTERNAL_ERROR", "SC_INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "BAD_GATEWAY"})

Body = dict[str, Any]


class ZohoClient:
    """Zoho as one grant sees it. Safe to share between threads if `http` and `tokens` are."""

    def __init__(self, *, http: Http, api_domain: str, tokens: Tokens, timeout: float = 20.0) -> None:
        self._http = http
        self._origin = api_domain.rstrip("/")
        self._tokens = tokens
        self._timeout = timeout

    def read(self, path: str, params: Mapping[str, str] | None = None, *, since: datetime | None = None) -> Body | None:
        """Get `path`; None when nothing is there (204) or nothing changed `since` then (304)."""
        headers = {"If-Modified-Since": stamp(since)} if since else {}
        return self._send("GET", path, params=dict(params or {}), headers=headers)

    def write(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        unmodified_since: datetime | None = None,
        repeatable: bool = False,
        items: str = "",
    ) -> Body:
        """Send a change. Raises Unanswered when nobody knows whether it was done, unless it is `repeatable`.

        `items` names the list of an answer that says for each record what became of it: such an answer comes back
        whole, also when every record was refused. `unmodified_since`: not where somebody wrote after that.
        """
        headers = {"If-Unmodified-Since": stamp(unmodified_since)} if unmodified_since else {}
        options = {"params": dict(params or {}), "json": json, "data": form, "headers": headers}
        return self._send(method, path, repeatable=repeatable, items=items, **options) or {}

    def query(self, columns: str, module: str, where: str) -> Iterator[Body]:
        """Yield the rows of a COQL query. Values in `where` are written by `literal`; there are no bind parameters."""
        for offset in range(0, COQL_REACH, COQL_ROWS):
            select = f"select {columns} from {module} where {where} limit {offset}, {COQL_ROWS}"  # noqa: S608 - see above
            answer = self._send("POST", f"{CRM}/coql", json={"select_query": select})
            yield from rows_of(answer, "data")
            if not answer or not info_of(answer).get("more_records"):
                return

    def download(self, path: str, most: int) -> bytes:
        """Get a file into memory, never onto disk; empty when there is none. Raises Refused for one beyond `most`."""
        status, headers, raw = self._answer("GET", path, TryLater, {}, most)
        if status < 300 and not raw.startswith(b"{"):
            return raw
        _understand(status, headers, _body(raw), TryLater, "")
        raise Refused("Zoho sent no file.")

    def _send(self, method: str, path: str, *, repeatable: bool = True, items: str = "", **options: Any) -> Body | None:
        unknown: type[Upstream] = TryLater if repeatable else Unanswered
        status, headers, raw = self._answer(method, path, unknown, options, MAX_BYTES)
        return _understand(status, headers, _body(raw), unknown, items)

    def _answer(
        self, method: str, path: str, unknown: type[Upstream], options: Mapping[str, Any], most: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send; once more with a renewed token when the one we had is refused."""
        status, headers, raw = self._exchange(method, path, self._tokens(), unknown, options, most)
        if status == 401 and code_of(_body(raw)) != SCOPE_MISSING:
            status, headers, raw = self._exchange(method, path, self._tokens(renew=True), unknown, options, most)
            if status == 401 and code_of(_body(raw)) != SCOPE_MISSING:
                raise ConsentLost("Zoho refuses our access even after renewing it.")
        return status, headers, raw

    def _exchange(
        self, method: str, path: str, token: str, unknown: type[Upstream], options: Mapping[str, Any], most: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send and read the answer to its end; a second time only what may be repeated and was cut off."""
        headers = {**options.get("headers", {}), "Authorization": f"Zoho-oauthtoken {token}"}  # never "Bearer": 1.4
        sent = {**options, "headers": headers, "timeout": self._timeout, "stream": True, "allow_redirects": False}
        try:
            try:
                response = self._http.request(method, self._origin + path, **sent)
            except requests.RequestException as error:
                if unknown is Unanswered or not dropped(error):
                    raise
                response = self._http.request(method, self._origin + path, **sent)
            with closing(response):
                return response.status_code, response.headers, _raw(response, unknown, most)
        except requests.RequestException as error:
            if _nothing_sent(error):
                raise TryLater("Zoho could not be reached.") from None
            raise unknown("Zoho did not answer.") from None  # the cause may name an address with numbers in it


def _raw(response: Any, unknown: type[Upstream], most: int) -> bytes:
    """Read an answer to its end, if that comes soon enough."""
    raw = bytearray()
    for chunk in response.iter_content(65_536):
        raw += chunk
        if len(raw) > most:
            raise (Refused if unknown is TryLater else unknown)("Zoho's answer is larger than we read.")
    return bytes(raw)


def _body(raw: bytes) -> Body | None:
    """Read an answer's JSON object; None when it is empty or something else, such as a gateway's HTML page."""
    try:
        body = jsons.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _understand(
    status: int, headers: Mapping[str, str], body: Body | None, unknown: type[Upstream], items: str
) -> Body | None:
    """Return what an answer holds, or raise what it means."""
    if status in (204, 304):
        return None
    code = code_of(body)
    if status == 429 or code in BUSY:
        raise TryLater("Zoho asks us to slow down.", wait=_wait(headers.get("Retry-After", "")))
    if status >= 500:
        raise unknown("Zoho failed to answer.")
    if body is None:
        raise (TryLater if status >= 400 else unknown)("Zoho's answer cannot be read.")
    if items and status in (200, 201, 202, 207, 400) and isinstance(body.get(items), list):
        return body
    if status < 300 and body.get("status") != "error":
        return body
    if code in BROKEN and status < 400:
        raise unknown("Zoho failed to answer.")
    raise refusal(code, status)


def refusal(code: str, status: int = 400) -> NotAllowed | Refused:
    """Name an error code of Zoho after its remedy."""
    ours = f"zoho.{code.lower()}"
    if code == SCOPE_MISSING:
        return NotAllowed("The permission this needs was not given in Zoho.", code=ours)
    if code in OFF or status == 403:
        return NotAllowed(f"Zoho does not allow this for the connected user or organisation ({code}).", code=ours)
    return Refused(f"Zoho refused this ({code}).", code=ours)


def code_of(body: Body | None) -> str:
    """Read the error code of an answer; some versions wrap it in `data`. Only shapes fit for a log come out."""
    told: Any = (body or {}).get("code")
    if told is None and isinstance(wrapped := (body or {}).get("data"), list) and wrapped and _is_error(wrapped[0]):
        told = wrapped[0].get("code")
    return told if isinstance(told, str) and re.fullmatch(r"[A-Z][A-Z0-9_]{1,63}", told) else "UNKNOWN"


def _is_error(item: Any) -> bool:
    return isinstance(item, dict) and item.get("status") == "error"


def rows_of(body: Body | None, name: str) -> list[Body]:
    """Return the rows of an answer. Raises TryLater when it has none where they belong."""
    if body is None:
        return []
    rows = body.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TryLater("Zoho's answer cannot be read.")
    return rows


def info_of(body: Body) -> Body:
    """Return what an answer says of its page."""
    info = body.get("info")
    return info if isinstance(info, dict) else {}


def stamp(when: datetime) -> str:
    """Write an instant as Zoho wants it: offset, no fraction of a second."""
    return when.astimezone(UTC).isoformat(timespec="seconds")


def literal(value: str) -> str:
    """Write a COQL text literal: a quote inside is doubled.

    Zoho documents no escape for a backslash or a control character, so none is sent. Raises ValueError.
    """
    if "\\" in value or any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("this text cannot be part of a COQL query")
    return "'" + value.replace("'", "''") + "'"


def _nothing_sent(error: requests.RequestException) -> bool:
    """Say whether a request failed before a byte of it left: only then is it surely not done."""
    unsent = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    cause: Any = error
    for _ in range(8):  # requests wraps urllib3, which wraps the socket's own error
        if isinstance(cause, (*unsent, ssl.SSLCertVerificationError)):
            return True
        inner = getattr(cause, "reason", None) or (cause.args[0] if getattr(cause, "args", ()) else None)
        if not isinstance(inner, BaseException):
            return False
        cause = inner
    return False


def _wait(told: str) -> float:
    """Read Retry-After: seconds or a date. Zoho documents none; 0 when it did not say."""
    if told.strip().isdigit():
        return min(float(told), MAX_WAIT_SECONDS)
    try:
        ends = parsedate_to_datetime(told)
    except ValueError:
        return 0.0
    return min(max((ends.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0), MAX_WAIT_SECONDS)
