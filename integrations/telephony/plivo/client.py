"""One Plivo account: dial, steer a call, read its list of calls, open and delete recordings, send text messages.

Status codes end here, by `integrations.telephony.edge`. Plivo's API: https://www.plivo.com/docs/voice/api/overview.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from domain.call import CallEvent
from domain.contact import Person
from domain.errors import Malformed, NotAllowed, Refused, TryLater, Unanswered
from domain.ports import Card, Control, Http, Sent, Sound, Target
from integrations.telephony import edge, legs
from integrations.telephony.legs import Leg
from integrations.telephony.plivo.outbox import Outbox
from integrations.telephony.plivo.schemas import read_row

PAGE = 20  # the most Plivo gives
MOST_LEGS = 1_000_000  # more is a list that goes round in circles
RING_SECONDS = 30
WINDOW = timedelta(days=30)  # a longer one is refused
KEPT = timedelta(days=90)
OVERLAP = timedelta(hours=4)  # a leg may end before its root; four hours is Plivo's own limit for a call
MEDIA_URL = "https://media.plivo.com"  # where recordings are; takes the same key where the account asks for one
RECORDING = re.compile(r"/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?:mp3|wav)")
CLOCK = partial(datetime.now, UTC)
KEYS = re.compile(r"[0-9*#wW]{1,64}")  # w and W wait half a second and a whole one


class Account:
    """What we ask of one Plivo account."""

    def __init__(
        self,
        *,
        auth_id: str,
        token: str,
        caller_id: str,
        agent_address: str,
        answer_url: str,
        zone: tzinfo,
        api_url: str,
        door_url: str,
        http: Http,
        now: Callable[[], datetime] = CLOCK,
    ) -> None:
        self._base_url = f"{api_url}/v1/Account/{auth_id}"
        self._key = {"Authorization": "Basic " + base64.b64encode(f"{auth_id}:{token}".encode()).decode()}
        self._caller_id = caller_id
        self._agent_address = agent_address
        self._answer_url = answer_url
        self._zone = zone
        self._door_url = door_url
        self._http = http
        self._now = now
        self._outbox = Outbox(base_url=self._base_url, key=self._key, usual=caller_id, door_url=door_url, http=http)

    def dial(self, *, agent_extension: str, agent_email: str, number: str, shown: str = "") -> str:
        """Ring the agent; the tenant's own XML connects `number`. Return the call's UUID. Never repeated by itself."""
        ours = shown or self._caller_id
        if not ours or not self._answer_url:
            raise NotAllowed(
                "The connection has no number to call from or no answer address.", code="account.incomplete"
            )
        wanted = legs.dialable(number)
        asked = {"number": wanted} | ({"shown": shown} if shown else {})  # whose XML it is says what the customer sees
        wish: dict[str, Any] = {
            "from": ours,
            "to": legs.agent_address(self._agent_address, extension=agent_extension, email=agent_email),
            "answer_url": self._answer(asked),
            "caller_name": wanted,  # the agent's telephone shows it, and callbacks repeat it
            "ring_timeout": RING_SECONDS,
        }
        if self._door_url and legs.agent(wish["to"]):  # a leg to a plain number would pass for the customer's
            wish |= {"ring_url": self._door_url, "hangup_url": self._door_url}
        answer = self._ask("POST", "/Call/", once=True, json=wish)
        request = answer.get("request_uuid") if isinstance(answer, dict) else None
        if not isinstance(request, str) or not re.fullmatch(r"[!-~]{1,64}", request):
            raise Unanswered("Plivo accepted the call without naming it.", code=edge.BAD_RESPONSE)
        return request  # of a call to one destination it is the CallUUID as well

    def control(
        self, *, call_ref: str, leg_ref: str, action: Control, digits: str = "", to: Target | None = None
    ) -> None:
        """Hang up the whole call, press keys on its first leg, or pass it on. Raises Refused for all else, and when
        it is over.
        """
        where = f"/Call/{quote(call_ref, safe='')}/"
        match action:
            case "hangup":
                self._ask("DELETE", where, answered=False)
            case "dtmf" if KEYS.fullmatch(digits):
                self._ask("POST", f"{where}DTMF/", answered=False, json={"digits": digits, "leg": "aleg"})
            case "transfer" if to is not None:
                self._ask("POST", where, once=True, answered=False, json=self._passed_on(call_ref, leg_ref, to))
            case _:
                raise Refused("Plivo cannot do that to a call.", code="control.unsupported")

    def _passed_on(self, call_ref: str, leg_ref: str, to: Target) -> dict[str, str]:
        """Which leg goes on, and where it is told what to do: at the tenant's own XML, as for click to dial.

        The customer's is the first leg of a call that came in and the other one of a call an agent was rung for first:
        "bleg will transfer the bridged leg" (https://www.plivo.com/docs/voice/api/call/transfer-calls).
        """
        if not self._answer_url:
            raise NotAllowed("The connection has no answer address.", code="account.incomplete")
        if not leg_ref:
            raise Refused("It is not known which leg of this call is the agent's.", code="control.unsupported")
        if to.number:
            asked = {"number": legs.dialable(to.number)}
        else:
            address = legs.agent_address(self._agent_address, extension=to.extension, email=to.email)
            asked = {"agent": address} if legs.agent(address) else {"number": legs.dialable(address)}
        moved = "bleg" if leg_ref == call_ref else "aleg"
        return {"legs": moved, f"{moved}_url": self._answer(asked)}

    def _answer(self, asked: Mapping[str, str]) -> str:
        """The address of the tenant's XML, with what it is asked."""
        return f"{self._answer_url}{'&' if urlsplit(self._answer_url).query else '?'}{urlencode(asked)}"

    def recording(self, url: str) -> Sound:
        """Open a recording where Plivo keeps it; one kept elsewhere is opened without our key."""
        ours = edge.is_below(url, self._base_url) or edge.is_below(url, MEDIA_URL)
        return edge.sound(self._http, url, self._key if ours else None)

    def forget_recording(self, url: str) -> None:
        """Delete a recording at Plivo; gone already is fine. Raises Refused when its address does not name it."""
        if (found := RECORDING.search(urlsplit(url).path)) is None:
            raise Refused("The recording is not kept at Plivo.", code="recording.elsewhere")
        edge.forget_sound(self._http, f"{self._base_url}/Recording/{found[1]}/", self._key)

    def put_contacts(self, put: Sequence[tuple[str, Person]], removed: Sequence[str]) -> None:
        """Refuse: Plivo keeps no phonebook."""
        raise NotAllowed("Plivo has no phonebook.", code="phonebook.none")

    def phonebook(self, region: str) -> Iterator[Card]:
        """Refuse: Plivo keeps no phonebook."""
        raise NotAllowed("Plivo has no phonebook.", code="phonebook.none")

    def calls(self, ended_after: datetime) -> Iterator[CallEvent]:
        """Yield the calls of Plivo's list that ended after that instant, their legs put together, oldest first."""
        yield from legs.calls(self._legs(ended_after.astimezone(UTC)), ended_after)

    def senders(self) -> list[str]:
        """The numbers that can send text messages."""
        return self._outbox.senders()

    def text_from(self, *, sender: str, number: str, words: str) -> str:
        """Send a text message; return its UUID."""
        return self._outbox.text_from(sender=sender, number=number, words=words)

    def sent(self, *, number: str, words: str, since: datetime) -> list[Sent]:
        """What was taken for a number since then and may be this."""
        return self._outbox.sent(number=number, words=words, since=since)

    def _legs(self, ended_after: datetime) -> Iterator[Leg]:
        """Read the list window by window: a wide one is refused, and what is older than ninety days is gone."""
        now = self._now()
        since = max(ended_after - OVERLAP, now - KEPT)
        while since < now:
            yield from self._window(since, since + WINDOW)
            since += WINDOW

    def _window(self, since: datetime, until: datetime) -> Iterator[Leg]:
        asked = {"end_time__gte": f"{since:%Y-%m-%d %H:%M:%S}", "end_time__lt": f"{until:%Y-%m-%d %H:%M:%S}"}
        offset = 0
        while offset < MOST_LEGS:
            page = self._ask("GET", "/Call/", params=asked | {"limit": str(PAGE), "offset": str(offset)})
            if not isinstance(page, dict) or not isinstance(page.get("objects"), list):
                raise edge.bad_response()
            for row in page["objects"]:
                try:
                    yield read_row(row, self._zone)
                except Malformed as error:
                    raise edge.bad_response(str(error)) from None
            offset += len(page["objects"])
            meta = page.get("meta")
            if not page["objects"] or not (isinstance(meta, dict) and meta.get("next")):
                return
        raise edge.bad_response("The list of calls goes round in circles.")

    def _ask(self, method: str, path: str, *, once: bool = False, answered: bool = True, **options: Any) -> Any:
        """Ask, return what the answer holds. `once`: doing it twice would be felt. `answered`: a body is expected."""
        response = edge.send(self._http, method, self._base_url + path, once=once, headers=self._key, **options)
        if once and response.status_code == 403:
            raise TryLater("As many calls are going on as the account may have.")  # not a matter of rights
        if trouble := edge.trouble_in(response.status_code, response.headers, once=once):
            raise trouble
        if not answered:
            return None
        try:
            return response.json()
        except ValueError:
            if once:
                raise Unanswered("Plivo's answer cannot be read.", code=edge.BAD_RESPONSE) from None
            raise edge.bad_response() from None
