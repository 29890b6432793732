"""One account at a `standard` platform: dial, keep its phonebook, read its list of calls.

Status codes end here. What comes out is a domain object or one of the errors named after their remedy; a number that
may have been dialled is `Unanswered`, never tried again by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

from domain.call import CallEvent
from domain.contact import Line, Person
from domain.errors import ConsentLost, Forbidden, Malformed, NotAllowed, Refused, TryLater, Unanswered, Upstream
from domain.ports import Http, in_batches
from integrations.telephony.standard.schemas import (
    ID_CHARACTERS,
    NUMBER_CHARACTERS,
    URL_CHARACTERS,
    read_row,
    strict_json,
)

BATCH = 500  # contacts and removals in one PUT
REPEATS = 2  # a page position that comes back this often is a circle
LONGEST_WAIT_SECONDS = 3600.0
BAD_RESPONSE = "upstream.bad_response"


class Account:
    """What we ask of one platform, with the tenant's key."""

    def __init__(self, base_url: str, key: str, http: Http) -> None:
        self._base_url = base_url
        self._key = key
        self._http = http

    def dial(self, *, agent_extension: str, agent_email: str, number: str) -> str:
        """Ring the agent, then `number`; return the platform's call id. Never repeated by itself."""
        agent = {"extension": agent_extension, "email": agent_email}
        answer = self._ask("POST", "/calls", once=True, json={"agent": agent, "to": number})
        call_id = answer.get("call_id") if isinstance(answer, dict) else None
        if not isinstance(call_id, str) or not 0 < len(call_id) <= ID_CHARACTERS:
            raise Unanswered("The platform accepted the call without naming it.", code=BAD_RESPONSE)
        return call_id

    def put_contacts(self, put: Sequence[tuple[str, Person]], removed: Sequence[str]) -> None:
        """Tell the phonebook who there is and who is gone, 500 at a time. Safe to tell twice."""
        told = [("contacts", card(id, person)) for id, person in put] + [("removed", id) for id in removed]
        for batch in in_batches(told, BATCH):
            body: dict[str, list[Any]] = {"contacts": [], "removed": []}
            for part, entry in batch:
                body[part].append(entry)
            self._ask("PUT", "/contacts", answered=False, json=body)

    def calls(self, ended_after: datetime) -> Iterator[CallEvent]:
        """Yield the platform's record of calls that ended after that instant, in its order: oldest first."""
        params = {"ended_after": ended_after.astimezone(UTC).isoformat().replace("+00:00", "Z")}
        seen: Counter[str] = Counter()
        while True:
            page = self._ask("GET", "/calls", params=params)
            if not isinstance(page, dict) or not isinstance(page.get("calls"), list):
                raise _bad()
            for row in page["calls"]:
                try:
                    yield read_row(row)
                except Malformed as error:
                    raise _bad(str(error)) from None
            cursor = page.get("next_cursor") or ""
            if not cursor:
                return
            if not isinstance(cursor, str) or len(cursor) > URL_CHARACTERS:
                raise _bad()
            seen[cursor] += 1
            if seen[cursor] > REPEATS:
                raise _bad("The list of calls goes round in circles.")
            params["cursor"] = cursor

    def _ask(self, method: str, path: str, *, once: bool = False, answered: bool = True, **options: Any) -> Any:
        """Ask, return what the answer holds. `once`: doing it twice would be felt. `answered`: a body is expected."""
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        try:
            response = self._http.request(method, self._base_url + path, headers=headers, **options)
        except Forbidden as error:  # the guard's word on the tenant's address
            raise Refused(str(error), code=error.code) from None
        except requests.RequestException as error:
            if isinstance(error, ValueError) and not isinstance(error, requests.JSONDecodeError):
                raise Refused("The platform's address cannot be used.", code="url.not_allowed") from None
            if once and not never_left(error):
                raise Unanswered("The platform took the request and did not answer.") from None
            raise TryLater("The platform cannot be reached.", code="upstream.unreachable") from None
        if trouble := trouble_in(response.status_code, response.headers, once=once):
            raise trouble
        if not answered:
            return None
        try:
            return strict_json(response.content)
        except Malformed:
            if once:
                raise Unanswered("The platform's answer cannot be read.", code=BAD_RESPONSE) from None
            raise _bad() from None


def card(id: str, person: Person) -> dict[str, Any]:
    """Write a person the way the phonebook reads them."""
    return {
        "id": id,
        "name": person.name,
        "company": person.company,
        "numbers": [_number(line) for line in person.lines],
        "emails": list(person.emails),
    }


def _number(line: Line) -> dict[str, str]:
    number = {"number": line.e164 or line.raw[:NUMBER_CHARACTERS], "label": line.label}
    return number | {"extension": line.extension} if line.e164 and line.extension else number


def never_left(error: requests.RequestException) -> bool:
    """Say whether the connection failed before a byte of the request can have reached the other side."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return (
        isinstance(error, requests.ConnectTimeout)
        or isinstance(reason, (NewConnectionError, ConnectTimeoutError, ProxyError))
        or (isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error))
    )


def trouble_in(status: int, headers: Mapping[str, str], *, once: bool) -> Upstream | None:
    """Name the remedy a status asks for; None when all is well."""
    match status:
        case _ if 200 <= status < 300:
            return None
        case 401:
            return ConsentLost("The platform no longer accepts the API key.")
        case 403:
            return NotAllowed("The API key may not do this at the platform.")
        case 502 | 504 if once:  # a gateway that lost sight of a request it had passed on
            return Unanswered("The platform's gateway does not know what became of the request.")
        case 408 | 425 | 429:
            return TryLater("The platform asks us to slow down.", wait=wait_asked(headers))
        case _ if status >= 500:
            return TryLater("The platform has trouble of its own.", wait=wait_asked(headers))
        case _ if 300 <= status < 400:
            return Refused("The platform's address leads somewhere else.", code="upstream.redirected")
        case _:
            return Refused(f"The platform refused with {status}.")


def wait_asked(headers: Mapping[str, str]) -> float:
    """Return the seconds `Retry-After` asks for, at most an hour; 0 when it does not say."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked[:9]), LONGEST_WAIT_SECONDS)
    try:  # a date means something only beside the clock of whoever wrote it
        seconds = (parsedate_to_datetime(asked) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def _bad(why: str = "The platform's answer cannot be read.") -> TryLater:
    return TryLater(why, code=BAD_RESPONSE)
