"""PhoneBridge: Zoho's own call bar. We say what a call does, Zoho shows it and writes the activity itself.

Only organisations for which Zoho has registered us as a telephony provider have it. Facts and their limits:
https://www.zoho.com/phonebridge/developer/v3/. What Zoho asks of us when somebody clicks a number is read by
`read_dial`, when somebody presses a button by `read_press`; nothing is dialled or steered here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.call import Direction, Outcome
from domain.errors import Malformed, NotAllowed, Refused
from domain.ports import Activity, Control, LoggedCall, Ring
from domain.statement import nearest
from integrations.zoho.client import Body, ZohoClient, literal, stamp

PATH = "/phonebridge/v3"
NEAR = timedelta(seconds=60)  # Zoho's row may start that far from where our call did
TAIL_DIGITS = 7  # spellings of one number agree at least in these
NOBODY = "anonymous"  # `from` and `to` are mandatory, also where a caller shows no number

TYPES: Mapping[Direction, str] = {"inbound": "received", "outbound": "dialed", "internal": "dialed"}
UNATTENDED: Mapping[Outcome, str] = {  # of a call we dialled; an inbound one nobody took is "missed"
    "busy": "busy",
    "no_answer": "noanswer",
    "cancelled": "noanswer",
    "missed": "noanswer",
    "voicemail": "notavailable",
    "rejected": "rejected",
    "failed": "invalid",
}
BUTTONS: Mapping[
    Control, str
] = {  # what Zoho calls the address of each; it documents none to pass a call on or park it
    "hangup": "hungupuri",
    "hold": "holduri",
    "unhold": "unholduri",
    "mute": "muteuri",
    "unmute": "unmuteuri",
    "dtmf": "keypressuri",
}
DIAL_ERRORS = frozenset({"busy", "invalid", "blocked", "notavailable", "noanswer", "rejected"})
CALL_TYPES: Mapping[str, frozenset[str]] = {
    "received": frozenset({"Inbound", "Missed"}),
    "dialed": frozenset({"Outbound"}),
}
WHY_NOT: Mapping[str, str] = {
    "zoho.different_provider_already_enabled": "Another telephone provider is switched on in this Zoho organisation; "
    "an administrator has to switch it off there first.",
    "zoho.provider_not_registered": "Zoho has not registered this installation as a telephone provider.",
    "zoho.sc_bad_request": "Zoho has not registered this installation as a telephone provider.",
}
NO_PRIVILEGE = "The connected Zoho user may not switch on telephony; an administrator of the organisation has to."


class ZohoPhoneBridge:
    """PhoneBridge of one organisation. A user is named there by the id they sign in with (`zohouser`)."""

    def __init__(self, client: ZohoClient) -> None:
        self._client = client
        self.attended_only = False  # learned: this organisation takes "ended" alone, unattended calls as 0 seconds

    def integrate(self) -> None:
        """Switch it on. Zoho refuses everything else until this was called, even where its page says "installed"."""
        try:
            self._send("POST", "integrate", repeatable=True)
        except (NotAllowed, Refused) as error:
            raise NotAllowed(WHY_NOT.get(error.code, NO_PRIVILEGE), code=error.code) from None

    def leave(self) -> None:
        """Switch it off; off already is fine."""
        try:
            self._send("DELETE", "integrate", repeatable=True)
        except NotAllowed as error:
            if error.code != "zoho.pbx_not_integrated":
                raise

    def register_dial(self, *, url: str, secret: str, login: str) -> None:
        """Register where a user's clicks on numbers go, with the secret that proves they come from Zoho."""
        _plain(secret, login)  # Zoho's parameter notation has no quoting to hide anything in
        form = {
            "clicktodialuri": url,
            "zohouser": login,
            "authorizationparam": f"{{name:Authorization,value:Bearer {secret}}}",
            "clicktodialparam": f"[{{name:zohouser,value:{login}}}]",
        }
        self._send("POST", "clicktodial", form, repeatable=True)

    def register_controls(self, *, urls: Mapping[Control, str], secret: str, login: str) -> None:
        """Register where the buttons of a user's call bar go; Zoho shows what it knows and has an address for."""
        _plain(secret, login)
        known = {BUTTONS[control]: url for control, url in urls.items() if control in BUTTONS}
        if not known:
            self._send("DELETE", "callcontrol", {"zohouser": login}, repeatable=True)
            return
        form = {
            **known,
            "zohouser": login,
            "authorizationparam": f"{{name:Authorization,value:Bearer {secret}}}",
            "callcontrolparam": f"[{{name:zohouser,value:{login}}}]",
        }
        self._send("POST", "callcontrol", form, repeatable=True)

    def ring(self, ring: Ring) -> None:
        """Show the call on the user's screen.

        What takes a card from the screen of whoever had it is not documented; what is, for a call that is transferred
        to a new agent, is its id as `transferredcallid` of that agent's ringing
        (https://www.zoho.com/phonebridge/developer/v3/incoming-ringing.html). A refusal of it changes nothing else.
        """
        form = _parties(ring.direction, ring.call, ring.customer, ring.agent, ring.owner_login)
        if ring.moved and form["type"] == "received":
            handed = {**form, "state": "ringing", "transferredcallid": form["id"]}
            try:
                self._send("POST", "callnotify", handed, repeatable=True)
                if ring.state == "ringing":
                    return
            except Refused:
                pass
        self._send("POST", "callnotify", {**form, "state": ring.state}, repeatable=True)

    def finish(self, activity: Activity) -> None:
        """Tell it the call is over; Zoho then writes the activity. Raises Unanswered when nobody knows.

        The documentation has a state for every unattended call; the live service was seen to answer 400 to all of
        them and to take "ended" with no seconds (https://www.vobiz.ai/docs). The second form follows a refusal only.
        """
        form = _parties(
            activity.direction, activity.marker, activity.customer, activity.agent, activity.owner_login
        ) | {"start_time": activity.started_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")}
        if activity.recording_url:
            form["voiceuri"] = activity.recording_url
        ended = {**form, "state": "ended", "duration": str(activity.talk_seconds)}
        if activity.outcome == "answered":
            return self._send("POST", "callnotify", ended)
        if not self.attended_only:
            state = "missed" if activity.direction == "inbound" else UNATTENDED[activity.outcome]
            try:
                return self._send("POST", "callnotify", {**form, "state": state})
            except Refused:
                pass
        self._send("POST", "callnotify", {**ended, "duration": "0"})
        self.attended_only = True
        return None

    def find_call(self, activity: Activity, beside: Collection[Activity] = ()) -> str:
        """Return the id of the row Zoho wrote for this call, else "".

        Zoho keeps our call id to itself, so owner, time, direction and the customer's number have to tell. Who rings
        twice in a minute has two rows: one nearer to a call `beside` this one is that call's.
        """
        begin, end = (literal(stamp(activity.started_at + span)) for span in (-NEAR, NEAR))
        where = f"Call_Start_Time between {begin} and {end}"
        owned = f"(CTI_Entry = true and Owner = {literal(activity.owner)})" if activity.owner else "CTI_Entry = true"
        columns = "id, Subject, Call_Type, Call_Start_Time, Caller_ID, Dialled_Number"
        rows = list(self._client.query(columns, "Calls", f"({owned} and {where})"))
        return nearest(
            (_distance(row, one.started_at), place, str(row["id"]))
            for place, one in enumerate((activity, *beside))
            for row in rows
            if row.get("Call_Type") in CALL_TYPES[TYPES[one.direction]] and _speaks_of(_parties_of(row), one.customer)
        ).get(0, "")

    def wrote(self, activity: Activity, logged: LoggedCall) -> bool:
        """Say whether a row can be the one Zoho wrote for this call: same person, number and way, near in time."""
        return (
            logged.bridged
            and (not activity.owner or logged.owner == activity.owner)
            and (logged.direction == "inbound") == (activity.direction == "inbound")
            and abs(logged.started_at - activity.started_at) <= NEAR
            and _speaks_of(logged.customer, activity.customer)
        )

    def dial_failed(self, *, reason: str, agent: str, number: str, login: str) -> None:
        """Tell the user who clicked why nothing rings. `reason` is Zoho's word or the outcome of a call."""
        known = {str(outcome): code for outcome, code in UNATTENDED.items()}
        code = reason if reason in DIAL_ERRORS else known.get(reason, "notavailable")
        form = {"code": code, "from": agent or NOBODY, "to": number or NOBODY, "zohouser": login}
        self._send("POST", "clicktodialerror", form, repeatable=True)

    def _send(self, method: str, name: str, form: Mapping[str, str] | None = None, *, repeatable: bool = False) -> None:
        self._client.write(method, f"{PATH}/{name}", form=form, repeatable=repeatable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """What Zoho asks for when a user clicked a number; believed once its `secret` is that user's."""

    login: str
    number: str  # raw, as the record has it
    secret: str


def read_dial(headers: Mapping[str, str], form: Mapping[str, str]) -> Dial:
    """Understand a click. Header names are lower case. Raises Malformed."""
    told = headers.get("authorization") or form.get("Authorization", "")  # which of the two is Zoho's choice
    login, number = form.get("zohouser", ""), form.get("tonumber", "").strip()
    if not number or len(number) > 64 or not re.fullmatch(r"[0-9]{1,32}", login):
        raise Malformed("This is not a click on a number.")
    return Dial(login=login, number=number, secret=told.removeprefix("Bearer ").strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """What Zoho asks for when a user pressed a button of the call bar; believed once its `secret` is that user's."""

    login: str
    call: str  # as `call_id` names it
    digit: str
    secret: str


def read_press(headers: Mapping[str, str], form: Mapping[str, str]) -> Press:
    """Understand a pressed button. Header names are lower case. Raises Malformed."""
    told = headers.get("authorization") or form.get("Authorization", "")
    login, call, digit = form.get("zohouser", ""), form.get("callrefid", ""), form.get("digit", "").strip()
    if not re.fullmatch(r"[A-Za-z0-9]{1,64}", call) or not re.fullmatch(r"[0-9]{1,32}", login) or len(digit) > 32:
        raise Malformed("This is not a button of a call.")
    return Press(login=login, call=call, digit=digit, secret=told.removeprefix("Bearer ").strip())


def call_id(marker: str) -> str:
    """Return the id PhoneBridge knows a call by: letters and digits only, the same for all its events."""
    if re.fullmatch(r"[A-Za-z0-9]{1,64}", marker):
        return marker
    return hashlib.sha256(marker.encode()).hexdigest()[:32]


def _parties(direction: Direction, marker: str, customer: str, agent: str, login: str) -> dict[str, str]:
    """Say who calls whom, from PhoneBridge's point of view."""
    kind = TYPES[direction]
    far, near = customer or NOBODY, agent or NOBODY
    caller, callee = (far, near) if kind == "received" else (near, far)
    form = {"type": kind, "id": call_id(marker), "from": caller, "to": callee}
    return form | {"zohouser": login} if login else form


def _plain(*values: str) -> None:
    if not all(re.fullmatch(r"[A-Za-z0-9._~-]+", value) for value in values):
        raise ValueError("only letters, digits and ._~- survive Zoho's parameter notation")


def _parties_of(row: Body) -> str:
    return " ; ".join(str(row.get(field) or "") for field in ("Caller_ID", "Dialled_Number", "Subject"))


def _speaks_of(said: str, customer: str) -> bool:
    """Say whether a row names this number, however it is spelled; a hidden one fits a row that names none."""
    runs = [re.sub(r"\D", "", run) for run in re.findall(r"\+?\d[\d\s().\-/]*", said)]
    wanted = re.sub(r"\D", "", customer)
    if not wanted:
        return not any(len(run) >= TAIL_DIGITS for run in runs)
    return any(_same(run, wanted) for run in runs)


def _same(one: str, other: str) -> bool:
    """Compare digits from the end: one spelling may lack the country code or begin with its own prefix."""
    short, long = sorted((one, other), key=len)
    if len(short) < TAIL_DIGITS:
        return short == long
    bare = short.lstrip("0")  # dialled within the country
    return long.endswith(short) or (len(bare) >= TAIL_DIGITS and long.endswith(bare))


def _distance(row: Body, started: datetime) -> timedelta:
    try:
        return abs(datetime.fromisoformat(str(row.get("Call_Start_Time"))) - started)
    except (TypeError, ValueError):
        return timedelta.max
