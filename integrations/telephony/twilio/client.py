"""One Twilio account: dial, steer a call, read its list of calls, open and delete recordings, send text messages.

Status codes end here, by `integrations.telephony.edge`. Twilio's API paths: https://www.twilio.com/docs/voice/api.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import quote, urljoin

from domain.call import CallEvent
from domain.contact import Person
from domain.errors import Malformed, NotAllowed, Refused, Unanswered
from domain.ports import Card, Control, Http, Sent, Sound, Target, Words
from integrations.telephony import edge, legs
from integrations.telephony.legs import Leg
from integrations.telephony.messages import MOST_MEDIA
from integrations.telephony.twilio.outbox import Outbox
from integrations.telephony.twilio.schemas import read_row
from integrations.telephony.twilio.texts import read_words

VERSION = "2010-04-01"
PAGE = 1000
MOST_PAGES = 1000  # a million legs; more is a list that goes round in circles
RING_SECONDS = 30
STEPS = ("initiated", "ringing", "answered", "completed")
OVERLAP = timedelta(days=1)  # lists are cut by whole days, and a leg may end on the day before its root
# Try again up to five times, whatever went wrong: by default Twilio repeats only what it could not connect. The
# fragment is Twilio's to read: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
INSIST = "#rc=5&rp=all"
MEDIA = re.compile(r"ME[0-9a-f]{32}")
CALL = re.compile(r"CA[0-9a-f]{32}")
RECORDING = re.compile(r"/Recordings/(RE[0-9a-f]{32})(?:\.(?:mp3|wav|json))?")
# "Twilio.CURRENT" is the recording under way, however it was begun; silence keeps its length true to the call's.
# https://www.twilio.com/docs/voice/api/recording#update-a-recording-resource
RECORDING_STATES: Mapping[Control, Mapping[str, str]] = {
    "pause": {"Status": "paused", "PauseBehavior": "silence"},
    "resume": {"Status": "in-progress"},
}


class Account:
    """What we ask of one Twilio account."""

    def __init__(
        self, *, sid: str, token: str, caller_id: str, agent_address: str, api_url: str, door_url: str, http: Http
    ) -> None:
        self._api_url = api_url
        self._base_url = f"{api_url}/{VERSION}/Accounts/{sid}"
        self._key = {"Authorization": "Basic " + base64.b64encode(f"{sid}:{token}".encode()).decode()}
        self._caller_id = caller_id
        self._agent_address = agent_address
        self._door_url = door_url
        self._http = http
        told = door_url + INSIST if door_url else ""
        self._outbox = Outbox(base_url=self._base_url, key=self._key, usual=caller_id, door_url=told, http=http)

    def dial(self, *, agent_extension: str, agent_email: str, number: str, shown: str = "") -> str:
        """Ring the agent, then connect `number`; return the root leg's SID. Never repeated by itself."""
        ours = shown or self._caller_id
        if not ours:
            raise NotAllowed("The connection has no number to call from.", code="account.incomplete")
        agent = legs.agent_address(self._agent_address, extension=agent_extension, email=agent_email)
        form: dict[str, Any] = {
            "To": agent,
            "From": ours,
            "Twiml": self._connect(legs.dialable(number), ours),
            "Timeout": RING_SECONDS,
        }
        if self._door_url and legs.agent(agent):  # a leg to a plain number would pass for the customer's
            form |= {"StatusCallback": self._door_url + INSIST, "StatusCallbackEvent": ["answered", "completed"]}
        call = self._ask("POST", f"{self._base_url}/Calls.json", once=True, data=form)
        sid = call.get("sid") if isinstance(call, dict) else None
        if not isinstance(sid, str) or not re.fullmatch(r"[!-~]{1,64}", sid):
            raise Unanswered("Twilio accepted the call without naming it.", code=edge.BAD_RESPONSE)
        return sid

    def control(
        self, *, call_ref: str, leg_ref: str, action: Control, digits: str = "", to: Target | None = None
    ) -> None:
        """Hang up, pass on, pause or resume the recording. Raises Refused for all else, and when the call is over."""
        where = f"{self._base_url}/Calls/{quote(call_ref, safe='')}"
        if action == "hangup":  # ending the root ends every leg
            self._ask("POST", f"{where}.json", data={"Status": "completed"})
        elif action in RECORDING_STATES:
            self._ask("POST", f"{where}/Recordings/Twilio.CURRENT.json", data=RECORDING_STATES[action])
        elif action == "transfer" and to is not None:
            self._pass_on(call_ref, leg_ref, to)
        else:
            raise Refused("Twilio cannot do that to a call.", code="control.unsupported")

    def _pass_on(self, call_ref: str, leg_ref: str, to: Target) -> None:
        """Give the customer's leg new TwiML: it leaves the agent's, which has nothing more to do and ends.

        A caller's leg is the root, and whoever is dialled from it next is part of the same call. Of a call we dialled
        the root is the agent's, and what is dialled from the customer's would be told as another call: it is not told.
        """
        if not leg_ref:
            raise Refused("It is not known which leg of this call is the agent's.", code="control.unsupported")
        own = leg_ref == call_ref
        twiml = self._connect_on(to, told=not own)
        agent = self._ask("GET", f"{self._base_url}/Calls/{quote(leg_ref, safe='')}.json")
        if not isinstance(agent, dict) or agent.get("status") != "in-progress":  # passed on already, a moment ago
            raise Refused("The agent is not on this call any more.", code="call.over")
        theirs = self._far_leg(call_ref) if own else call_ref
        self._ask("POST", f"{self._base_url}/Calls/{quote(theirs, safe='')}.json", once=True, data={"Twiml": twiml})

    def _far_leg(self, root: str) -> str:
        """The one leg dialled from a root that is being spoken on. Raises Refused."""
        asked = {"ParentCallSid": root, "Status": "in-progress"}
        page = self._ask("GET", f"{self._base_url}/Calls.json", params=asked)
        rows = page.get("calls") if isinstance(page, dict) else None
        if not isinstance(rows, list):
            raise edge.bad_response()
        found = [row.get("sid") for row in rows if isinstance(row, dict)]
        if len(found) != 1 or not isinstance(found[0], str) or not CALL.fullmatch(found[0]):
            raise Refused("Nobody is on the other end of this call.", code="call.over")
        return found[0]

    def recording(self, url: str) -> Sound:
        """Open a recording, as MP3 where Twilio keeps it; one kept elsewhere is opened without our key."""
        if not edge.is_below(url, self._base_url):
            return edge.sound(self._http, url)
        plain = RECORDING.search(url)
        return edge.sound(self._http, f"{url}.mp3" if plain and url.endswith(plain[1]) else url, self._key)

    def forget_recording(self, url: str) -> None:
        """Delete a recording at Twilio; gone already is fine. Raises Refused for one that is kept elsewhere."""
        found = RECORDING.search(url)
        if found is None or not edge.is_below(url, self._base_url):
            raise Refused("The recording is not kept at Twilio.", code="recording.elsewhere")
        edge.forget_sound(self._http, f"{self._base_url}/Recordings/{found[1]}.json", self._key)

    def put_contacts(self, put: Sequence[tuple[str, Person]], removed: Sequence[str]) -> None:
        """Refuse: Twilio keeps no phonebook."""
        raise NotAllowed("Twilio has no phonebook.", code="phonebook.none")

    def phonebook(self, region: str) -> Iterator[Card]:
        """Refuse: Twilio keeps no phonebook."""
        raise NotAllowed("Twilio has no phonebook.", code="phonebook.none")

    def calls(self, ended_after: datetime) -> Iterator[CallEvent]:
        """Yield the calls of Twilio's list that ended after that instant, their legs put together, oldest first."""
        yield from legs.calls(self._legs(ended_after), ended_after)

    def words(self, message_ref: str) -> Words:
        """Return what a message says that was sent, and where its pictures and files are. Raises Refused when gone."""
        where = f"{self._base_url}/Messages/{quote(message_ref, safe='')}"
        said = read_words(self._ask("GET", f"{where}.json"))
        if said is None:
            raise edge.bad_response()
        text, media = said
        return Words(text, self._media(where) if media else ())

    def senders(self) -> list[str]:
        """The numbers that can send text messages."""
        return self._outbox.senders()

    def text_from(self, *, sender: str, number: str, words: str) -> str:
        """Send a text message; return its SID."""
        return self._outbox.text_from(sender=sender, number=number, words=words)

    def sent(self, *, number: str, words: str, since: datetime) -> list[Sent]:
        """What was taken for a number since then and may be this."""
        return self._outbox.sent(number=number, words=words, since=since)

    def _media(self, message: str) -> tuple[str, ...]:
        page = self._ask("GET", f"{message}/Media.json", params={"PageSize": MOST_MEDIA})
        rows = page.get("media_list") if isinstance(page, dict) else None
        if not isinstance(rows, list):
            raise edge.bad_response()
        names = (row.get("sid") for row in rows[:MOST_MEDIA] if isinstance(row, dict))
        return tuple(f"{message}/Media/{name}" for name in names if isinstance(name, str) and MEDIA.fullmatch(name))

    def _legs(self, ended_after: datetime) -> Iterator[Leg]:
        since = (ended_after.astimezone(UTC) - OVERLAP).date().isoformat()
        url, params = f"{self._base_url}/Calls.json", {"EndTime>": since, "PageSize": PAGE}
        for _ in range(MOST_PAGES):
            page = self._ask("GET", url, params=params)
            if not isinstance(page, dict) or not isinstance(page.get("calls"), list):
                raise edge.bad_response()
            for row in page["calls"]:
                try:
                    leg = read_row(row)
                except Malformed as error:
                    raise edge.bad_response(str(error)) from None
                if leg is not None:
                    yield leg
            if not (following := page.get("next_page_uri")):
                return
            if not isinstance(following, str):
                raise edge.bad_response()
            url, params = urljoin(self._api_url, following), {}
            if not edge.is_below(url, self._base_url):  # our key goes with it
                raise edge.bad_response("The list of calls leads somewhere else.")
        raise edge.bad_response("The list of calls goes round in circles.")

    def _connect(self, number: str, ours: str) -> str:
        """Write what happens once the agent picked up."""
        return self._dialled("Number", number, ours, told=True)

    def _connect_on(self, to: Target, *, told: bool) -> str:
        """Write whom the customer's leg is connected with instead. Raises Refused."""
        if to.number:
            return self._dialled("Number", legs.dialable(to.number), self._caller_id, told=told)
        address = legs.agent_address(self._agent_address, extension=to.extension, email=to.email)
        scheme, _, name = address.partition(":")
        if scheme == "client" and name:
            return self._dialled("Client", name, "", told=told)
        if scheme in ("sip", "sips"):
            return self._dialled("Sip", address, "", told=told)
        return self._dialled("Number", legs.dialable(address), self._caller_id, told=told)

    def _dialled(self, noun: str, whom: str, ours: str, *, told: bool) -> str:
        """Write a <Dial>, which number it shows ("": the caller's own), and where the steps of that leg are told."""
        steps = shown = ""
        if told and self._door_url:
            steps = f' statusCallback="{escape(self._door_url + INSIST)}" statusCallbackEvent="{" ".join(STEPS)}"'
        if ours:
            shown = f' callerId="{escape(ours)}"'
        return f"<Response><Dial{shown}><{noun}{steps}>{escape(whom)}</{noun}></Dial></Response>"

    def _ask(self, method: str, url: str, *, once: bool = False, **options: Any) -> Any:
        response = edge.send(self._http, method, url, once=once, headers=self._key, **options)
        if trouble := edge.trouble_in(response.status_code, response.headers, once=once):
            raise trouble
        try:
            return response.json()
        except ValueError:
            if once:
                raise Unanswered("Twilio's answer cannot be read.", code=edge.BAD_RESPONSE) from None
            raise edge.bad_response() from None
