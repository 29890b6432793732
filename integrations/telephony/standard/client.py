"""One account at a `standard` platform: dial, steer calls, fetch and forget recordings, the phonebook, list calls.

What comes out is a domain object or one of the errors named after their remedy; a number that may have been dialled is
`Unanswered`, never tried again by itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from domain.call import CallEvent
from domain.contact import Line, Person
from domain.errors import Malformed, Refused, Unanswered
from domain.ports import Card, Control, Http, Sound, Target, in_batches
from integrations.telephony.edge import BAD_RESPONSE, bad_response, forget_sound, is_below, send, sound, trouble_in
from integrations.telephony.standard.phonebook import cards
from integrations.telephony.standard.schemas import (
    ID_CHARACTERS,
    NUMBER_CHARACTERS,
    URL_CHARACTERS,
    read_row,
    strict_json,
)

BATCH = 500  # contacts and removals in one PUT
NOT_THERE = (404, 405, 501)
REPEATS = 2  # a page position that comes back this often is a circle
DIGITS = re.compile(r"[0-9A-D*#]{1,32}")  # what a keypad can sound (ITU-T Q.23)
FELT_TWICE: frozenset[Control] = frozenset({"dtmf", "transfer", "park"})  # once gone on, a call can be sent on again


class Account:
    """What we ask of one platform, with the tenant's key."""

    def __init__(self, base_url: str, key: str, http: Http) -> None:
        self._base_url = base_url
        self._key = {"Authorization": f"Bearer {key}"}
        self._http = http

    def dial(self, *, agent_extension: str, agent_email: str, number: str, shown: str = "") -> str:
        """Ring the agent, then `number`; return the platform's call id. Never repeated by itself."""
        agent = {"extension": agent_extension, "email": agent_email}
        wish = {"agent": agent, "to": number} | ({"from": shown} if shown else {})
        answer = self._ask("POST", "/calls", once=True, json=wish)
        call_id = answer.get("call_id") if isinstance(answer, dict) else None
        if not isinstance(call_id, str) or not 0 < len(call_id) <= ID_CHARACTERS:
            raise Unanswered("The platform accepted the call without naming it.", code=BAD_RESPONSE)
        return call_id

    def control(
        self, *, call_ref: str, leg_ref: str, action: Control, digits: str = "", to: Target | None = None
    ) -> None:
        """Do one thing to a live call. `FELT_TWICE` is asked for once; the rest may be asked for again."""
        if call_ref in ("", ".", "..") or (action == "dtmf" and not DIGITS.fullmatch(digits)):
            raise Refused("There is no such call, or those are no digits a telephone has.", code="control.invalid")
        wish = {"leg_id": leg_ref, "digits": digits if action == "dtmf" else ""}
        if action == "transfer":
            if to is None or not (to.number or to.extension):
                raise Refused("Nobody is named whom the call is passed on to.", code="control.invalid")
            wish |= {"to": to.number, "extension": to.extension, "email": to.email}
        self._ask(
            "POST",
            f"/calls/{quote(call_ref, safe='')}/{action}",
            once=action in FELT_TWICE,
            answered=False,
            json={name: value for name, value in wish.items() if value},
        )

    def text(self, *, agent_extension: str, agent_email: str, number: str, words: str, key: str) -> str:
        """Send a text message for an agent; return the platform's id of it. The key makes a repeat harmless."""
        body = {"agent": {"extension": agent_extension, "email": agent_email}, "to": number, "text": words}
        answer = self._ask("POST", "/messages", json=body, key=key)
        message = answer.get("message_id") if isinstance(answer, dict) else None
        if not isinstance(message, str) or not 0 < len(message) <= ID_CHARACTERS:
            raise bad_response("The platform sent a message without naming it.")
        return message

    def recording(self, url: str) -> Sound:
        """Open a recording: with the key when it is a part of the API, without when it is kept somewhere else."""
        return sound(self._http, url, self._key if is_below(url, self._base_url) else None)

    def forget_recording(self, url: str) -> None:
        """Delete a recording of the API. Raises Refused for one kept elsewhere, where the key means nothing."""
        if not is_below(url, self._base_url):
            raise Refused("The recording is not kept at the platform's API.", code="recording.elsewhere")
        forget_sound(self._http, url, self._key)

    def put_contacts(self, put: Sequence[tuple[str, Person]], removed: Sequence[str]) -> None:
        """Tell the phonebook who there is and who is gone, 500 at a time. Safe to tell twice."""
        told = [("contacts", card(id, person)) for id, person in put] + [("removed", id) for id in removed]
        for batch in in_batches(told, BATCH):
            body: dict[str, list[Any]] = {"contacts": [], "removed": []}
            for part, entry in batch:
                body[part].append(entry)
            self._ask("PUT", "/contacts", answered=False, json=body)

    def phonebook(self, region: str) -> Iterator[Card]:
        """Ask for all of the phonebook; its entries are read as they are wanted."""
        return cards(self._http, f"{self._base_url}/contacts", self._key, region)

    def calls(self, ended_after: datetime) -> Iterator[CallEvent]:
        """Yield the platform's record of calls that ended after that instant, in its order: oldest first."""
        params = {"ended_after": ended_after.astimezone(UTC).isoformat().replace("+00:00", "Z")}
        seen: Counter[str] = Counter()
        while True:
            page = self._ask("GET", "/calls", params=params)
            if not isinstance(page, dict) or not isinstance(page.get("calls"), list):
                raise bad_response()
            for row in page["calls"]:
                try:
                    yield read_row(row)
                except Malformed as error:
                    raise bad_response(str(error)) from None
            cursor = page.get("next_cursor") or ""
            if not cursor:
                return
            if not isinstance(cursor, str) or len(cursor) > URL_CHARACTERS:
                raise bad_response()
            seen[cursor] += 1
            if seen[cursor] > REPEATS:
                raise bad_response("The list of calls goes round in circles.")
            params["cursor"] = cursor

    def _ask(
        self,
        method: str,
        path: str,
        *,
        once: bool = False,
        answered: bool = True,
        key: str = "",
        **options: Any,
    ) -> Any:
        """Ask, return what the answer holds. `once`: doing it twice would be felt. `answered`: a body is expected.
        `key`: of a message, asking again with it changes nothing."""
        headers = {**self._key, "Accept": "application/json"} | ({"Idempotency-Key": key} if key else {})
        response = send(self._http, method, self._base_url + path, once=once, headers=headers, **options)
        if key and response.status_code in NOT_THERE:
            raise Refused("The platform sends no text messages.", code="text.unsupported")
        if trouble := trouble_in(response.status_code, response.headers, once=once):
            raise trouble
        if not answered:
            return None
        try:
            return strict_json(response.content)
        except Malformed:
            if once:
                raise Unanswered("The platform's answer cannot be read.", code=BAD_RESPONSE) from None
            raise bad_response() from None


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
