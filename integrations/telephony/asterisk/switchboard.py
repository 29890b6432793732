"""Who is on the line: follows a PBX's channels from event to event and says what is worth a delivery.

Asterisk speaks of channels; a call is what shares a Linkedid. Nothing is told of a call before somebody's telephone
rings: only then is it clear whether one inside is calling out, calling a colleague or asking the PBX for the time.
`Local/` and `Snoop/` channels are the PBX talking to itself: they keep a call alive, and are nobody. No I/O here.

What is told is a plain dict, the body of a delivery; `schemas.py` reads it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from domain import phone
from integrations.telephony.asterisk.account import Account
from integrations.telephony.asterisk.ami import Block

Body = dict[str, str]
Told = tuple[str, Body]  # the event's id, the same whoever hears it, and the body

MARK = "linekeeper-"  # begins the Uniqueid of a call we asked for
NUMBER_VARIABLE = "LINEKEEPER_NUMBER"  # and says on its channel whom it is for
SHOWN_VARIABLE = "LINEKEEPER_CALLER_ID"  # and which of our numbers is to be shown
RECORDING_VARIABLE = "MIXMONITOR_FILENAME"
DEVICE = re.compile(r"(?P<kind>[A-Za-z0-9]+)/(?P<endpoint>.+)-[0-9a-f]{8}(<.*>)?")  # PJSIP/202-0000001b
NOBODY = frozenset({"Local", "Snoop", "Message", "CBAnn", "CBRec", "Recorder", "Announcer", "UnicastRTP", "Surrogate"})
EXTENSION = re.compile(r"[0-9*#]{1,6}")
DIALLED = re.compile(r"[A-Za-z0-9]+/(?P<endpoint>[^/@]+)(@.*)?")  # PJSIP/202: how a parker is called back
STORED = re.compile(r"/recording/(?P<name>.+)\.[A-Za-z0-9]{1,8}")  # what the ARI serves lies below spool/recording
NAMELESS = frozenset({"<unknown>", "<null>"})
TEXT = 128  # more characters are no number and no name of a queue
UP = "6"  # ChannelState: somebody took it


@dataclass(slots=True, kw_only=True)
class _Leg:
    """A channel that is alive."""

    id: str
    call: str
    nobody: bool
    trunk: bool
    line: str  # our side's extension, "" for a trunk
    ended: bool = False  # told to be over; what Asterisk still does with it does not matter
    hung_up: bool = False  # whoever is on it put down
    fetching: str = ""  # the parked call it took over: it is told already by whom


@dataclass(slots=True, kw_only=True)
class _Call:
    """What is known of a call while it lives."""

    ref: str
    direction: str = ""
    caller: str = ""
    callee: str = ""
    queue: str = ""
    line: str = ""  # who is calling, when it is one of us
    told: bool = False
    answered: bool = False
    dialled: bool = False
    held: list[Callable[[], Told]] = field(default_factory=list)
    end: Callable[[], Told] | None = None
    bridges: dict[str, set[str]] = field(default_factory=dict)


class Switchboard:
    """The calls of one PBX. `hear` takes each event in the order it came; `look` takes what is going on now."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._legs: dict[str, _Leg] = {}
        self._calls: dict[str, _Call] = {}
        self._hear: dict[str, Callable[[Block, str], Iterator[Told]]] = {
            "Newchannel": self._new_channel,
            "DialBegin": self._dial_begin,
            "DialEnd": self._dial_end,
            "BridgeEnter": self._bridge_enter,
            "BridgeLeave": self._bridge_leave,
            "QueueCallerJoin": self._queue,
            "VarSet": self._variable,
            "CEL": self._cel,
            "ParkedCall": self._parked,
            "UnParkedCall": self._parked,
            "HangupRequest": self._put_down,
            "Hangup": self._hangup,
        }

    def hear(self, event: Block, now: str) -> Iterator[Told]:
        """Yield what an event tells. `now` stands in for the time of a PBX that was not asked to say it."""
        handler = self._hear.get(event.get("Event", ""))
        if handler is not None:
            at = event.get("Timestamp") or now
            yield from self._moved(event, at)
            yield from handler(event, at)

    # -- a call begins

    def _new_channel(self, event: Block, at: str) -> Iterator[Told]:
        leg = self._arrived(event)
        if leg is None or leg.nobody or leg.id != leg.call:
            return
        call = self._calls[leg.call]
        self._begun(call, leg, event)
        call.held.append(self._telling(call, leg, event, at))
        yield from ()

    def _begun(self, call: _Call, leg: _Leg, event: Block) -> None:
        """Learn from its first channel whose call it is."""
        if leg.trunk:
            call.direction = "inbound"
            call.caller, call.callee = self._number(event.get("CallerIDNum")), self._number(event.get("Exten"))
        elif leg.id.startswith(MARK):
            call.direction, call.line, call.caller = "outbound", leg.line, leg.line
        else:
            call.line, call.caller, call.callee = leg.line, leg.line, self._number(event.get("Exten"))

    def _dial_begin(self, event: Block, at: str) -> Iterator[Told]:
        leg = self._arrived(event, "Dest")
        if leg is None or leg.nobody or leg.id == leg.call:  # the agent's own telephone, when we asked for the call
            return
        call = self._calls[leg.call]
        call.direction = call.direction or ("outbound" if leg.trunk else "internal")
        call.dialled = True
        # Whose telephone rings is told first: whoever reads along shows it on that agent's screen.
        yield self._telling(call, leg, event, at)()
        yield from self._release(call)

    @staticmethod
    def _release(call: _Call) -> Iterator[Told]:
        call.told = True
        for telling in call.held:
            yield telling()
        call.held.clear()

    def _variable(self, event: Block, at: str) -> Iterator[Told]:
        call, leg = self._calls.get(event.get("Linkedid", "")), self._legs.get(event.get("Uniqueid", ""))
        if call is None or leg is None:
            return
        if event.get("Variable") == NUMBER_VARIABLE and leg.id.startswith(MARK) and not call.callee:
            call.callee = self._number(event.get("Value"))
            yield from self._release(call)
        elif event.get("Variable") == RECORDING_VARIABLE and self._account.recordings:
            stored = STORED.search(event.get("Value", ""))
            if stored:
                url = f"{self._account.recordings}{quote(stored['name'], safe='')}/file"
                telling = self._telling(call, leg, event, at, recording=url)
                if call.told:
                    yield telling()
                else:
                    call.held.append(telling)

    def _queue(self, event: Block, at: str) -> Iterator[Told]:
        if call := self._calls.get(event.get("Linkedid", "")):
            call.queue = event.get("Queue", "")[:TEXT]
        yield from ()

    # -- somebody takes it, or does not

    def _dial_end(self, event: Block, at: str) -> Iterator[Told]:
        leg = self._legs.get(event.get("DestUniqueid", ""))  # a queue says it twice, the second time of the dead
        status = event.get("DialStatus", "")
        if leg is None or leg.nobody or leg.ended or leg.id == leg.call:
            return
        call = self._calls[leg.call]
        if not call.told:
            return
        if status == "ANSWER":
            call.answered = True
        else:
            leg.ended = True
        yield self._telling(call, leg, event, at, status=status)()

    def _bridge_enter(self, event: Block, at: str) -> Iterator[Told]:
        """Two people in one bridge speak, whatever the dialling said: one may have picked up for another."""
        leg = self._legs.get(event.get("Uniqueid", ""))
        if leg is None or leg.nobody:
            return
        call = self._calls[leg.call]
        together = call.bridges.setdefault(event.get("BridgeUniqueid", ""), set())
        together.add(leg.id)
        if len(together) < 2 or call.answered:
            return
        call.answered = True
        ours = [self._legs[id] for id in sorted(together) if id in self._legs and not self._legs[id].trunk]
        speaker = next((one for one in ours if one.id != call.ref), leg)
        call.direction = call.direction or ("internal" if len(ours) == len(together) else "outbound")
        yield self._telling(call, speaker, event, at)()
        yield from self._release(call)

    def _bridge_leave(self, event: Block, at: str) -> Iterator[Told]:
        if call := self._calls.get(event.get("Linkedid", "")):
            call.bridges.get(event.get("BridgeUniqueid", ""), set()).discard(event.get("Uniqueid", ""))
        yield from ()

    def _parked(self, event: Block, at: str) -> Iterator[Told]:
        """A call waits in a parking space, or somebody fetches it from there.

        https://docs.asterisk.org/Asterisk_20_Documentation/API_Documentation/AMI_Events/UnParkedCall
        """
        parkee = self._legs.get(event.get("ParkeeUniqueid", ""))
        if parkee is None or not self._calls[parkee.call].told:
            return
        side = "Retriever" if event.get("Event") == "UnParkedCall" else "Parker"
        leg = self._legs.get(event.get(f"{side}Uniqueid", ""))
        if leg is not None and side == "Retriever":
            leg.fetching = parkee.call
        id = leg.id if leg is not None else event.get(f"{side}Uniqueid", "")
        device = DEVICE.fullmatch(event.get(f"{side}Channel", "")) or DIALLED.fullmatch(
            event.get("ParkerDialString", "")
        )
        line = leg.line if leg is not None else device["endpoint"][:TEXT] if device else ""
        if side == "Parker" and not id:  # Asterisk 16 names how the parker is called, not the parker's channel
            id = next((one.id for one in self._legs.values() if one.call == parkee.call and one.line == line), "")
        who = _Leg(id=id, call=parkee.call, nobody=False, trunk=False, line=line)
        yield self._telling(self._calls[parkee.call], who, {**event, "Uniqueid": parkee.id}, at)()

    # -- it ends

    def _put_down(self, event: Block, at: str) -> Iterator[Told]:
        """Said of the channel whose own telephone asked for the end, not of the one that is hung up in consequence."""
        if leg := self._legs.get(event.get("Uniqueid", "")):
            leg.hung_up = True
        yield from ()

    def _cel(self, event: Block, at: str) -> Iterator[Told]:
        call = self._calls.get(event.get("LinkedID", ""))
        if call is None:
            return
        if event.get("EventName") == "LINKEDID_END":
            # It may come before the last Hangup, whose cause says how the call went: the end is told after that.
            call.end = self._telling(call, None, event, at)
        elif event.get("EventName") == "APP_START" and event.get("Application", "").lower() == "voicemail":
            leg = self._legs.get(event.get("UniqueID", ""))
            if call.direction == "inbound" and leg is not None:
                yield self._telling(call, leg, event, at)()
                yield from self._release(call)

    def _hangup(self, event: Block, at: str) -> Iterator[Told]:
        leg = self._legs.pop(event.get("Uniqueid", ""), None)
        if leg is None:
            return
        yield from self._gone(leg, event, at)

    def _gone(self, leg: _Leg, event: Block, at: str) -> Iterator[Told]:
        call = self._calls[leg.call]
        for together in call.bridges.values():
            together.discard(leg.id)
        if call.direction and leg.id == call.ref:
            yield from self._release(call)  # nobody's telephone ever rang
        cause = event.get("Cause", "")
        news = not leg.ended or cause == "21"  # "declined" shows only in the cause (measured: DialStatus NOANSWER)
        if call.told and not leg.nobody and news:
            reached = "no" if leg.id.startswith(MARK) and not call.dialled else ""
            yield self._telling(
                call,
                leg,
                event,
                at,
                cause=cause,
                state=event.get("ChannelState", ""),
                reached=reached,
                put_down="yes" if leg.hung_up and event.get("Event") == "Hangup" else "",
            )()
        if not any(other.call == call.ref for other in self._legs.values()):
            del self._calls[call.ref]
            if call.told and call.end is not None:
                yield call.end()

    def _moved(self, event: Block, at: str) -> Iterator[Told]:
        """Of two calls that are bridged together the older one goes on: the channel leaves the other for good."""
        leg, call = self._legs.get(event.get("Uniqueid", "")), event.get("Linkedid", "")
        if leg is None or not call or leg.call == call:
            return
        old = _Leg(id=leg.id, call=leg.call, nobody=leg.nobody, trunk=leg.trunk, line=leg.line, ended=leg.ended)
        leg.call, leg.ended = call, False
        into = self._calls.setdefault(call, _Call(ref=call))
        moment = {"Uniqueid": leg.id, "Timestamp": event.get("Timestamp", "")}
        yield from self._gone(old, {"Event": "Gone", **moment}, at)
        if into.told and not leg.nobody and leg.fetching != call and event.get("Event") != "Hangup":
            yield self._telling(into, leg, {"Event": "Moved", **moment}, at)()

    # -- after a silence

    def look(self, rows: list[Block], going_on: set[str], now: str, since: str) -> Iterator[Told]:
        """Yield what a list of living channels tells: calls we did not know, and the end of those it does not show.

        `going_on` are calls somebody else believes to be alive; what is not was over at `since` at the latest.
        """
        living = {row.get("Linkedid", "") for row in rows}
        for ref in sorted((going_on | {call.ref for call in self._calls.values() if call.told}) - living):
            yield self._lost(ref, since)
        known = going_on | self._calls.keys()
        self._legs = {id: leg for id, leg in self._legs.items() if leg.call in living}
        self._calls = {ref: call for ref, call in self._calls.items() if ref in living}
        alive = {row.get("Uniqueid", "") for row in rows}
        for leg in [leg for leg in self._legs.values() if leg.id not in alive]:
            del self._legs[leg.id]
            yield from self._gone(leg, {"Event": "Gone", "Uniqueid": leg.id}, since)
        for row in sorted(rows, key=lambda row: row.get("Uniqueid", "") != row.get("Linkedid", "")):
            yield from self._seen(
                {**row, "Event": "CoreShowChannel"}, rows, now, new=row.get("Linkedid", "") not in known
            )

    def _seen(self, row: Block, rows: list[Block], now: str, *, new: bool) -> Iterator[Told]:
        leg = self._arrived(row)
        if leg is None or leg.nobody:
            return
        call = self._calls[leg.call]
        if leg.id == leg.call and not call.direction:
            self._begun(call, leg, row)
        others = [other for other in rows if other.get("Linkedid") == leg.call and other.get("Uniqueid") != leg.id]
        people = [known for other in others if (known := self._arrived(other)) is not None and not known.nobody]
        if not call.direction and people:
            call.direction = "outbound" if leg.trunk or any(other.trunk for other in people) else "internal"
        call.dialled = call.dialled or len(people) > 0
        age = row.get("Duration", "") if new else ""
        if not call.direction or not (people or leg.id.startswith(MARK)):
            call.held.append(self._telling(call, leg, row, now, age=age))
            return
        call.told = True
        talks = bool(people) and bool(row.get("BridgeId")) and row.get("ChannelState") == UP
        call.answered = call.answered or talks
        yield self._telling(call, leg, row, now, status="ANSWER" if talks else "", age=age)()

    def _lost(self, ref: str, at: str) -> Told:
        call = self._calls.get(ref) or _Call(ref=ref)
        return self._telling(call, None, {"Event": "Lost", "Linkedid": ref}, at)()

    # -- words

    def _arrived(self, event: Block, prefix: str = "") -> _Leg | None:
        """The leg an event is about, known from now on; None for a channel that is of no call."""
        id, ref, name = (event.get(f"{prefix}{key}", "") for key in ("Uniqueid", "Linkedid", "Channel"))
        if not id or not ref or name.startswith("Snoop/"):
            return None
        if id not in self._legs:
            device = DEVICE.fullmatch(name)
            endpoint = device["endpoint"] if device else ""
            nobody = device is None or device["kind"] in NOBODY or name.startswith("Local/")
            trunk = bool({endpoint, event.get(f"{prefix}Context", "")} & self._account.trunks)
            shown = event.get(f"{prefix}CallerIDNum", "")
            line = endpoint if EXTENSION.fullmatch(endpoint) or not EXTENSION.fullmatch(shown) else shown
            self._legs[id] = _Leg(id=id, call=ref, nobody=nobody, trunk=trunk, line="" if trunk else line[:TEXT])
            self._calls.setdefault(ref, _Call(ref=ref))
        return self._legs[id]

    def _number(self, text: str | None) -> str:
        """A number as the PBX wrote it, or in E.164 where the country of the PBX makes it one."""
        raw = (text or "")[:TEXT]
        if raw in NAMELESS or raw == "s":  # `s`: the dialplan's word for "no number"
            return ""
        read = phone.read(raw, self._account.region) if self._account.region else None
        return read.e164 if read is not None and read.kind == "number" else raw

    @staticmethod
    def _telling(call: _Call, leg: _Leg | None, event: Block, at: str, **more: str) -> Callable[[], Told]:
        """Make what tells of an event, later: until then the call may learn its direction or its queue."""
        kind = event.get("EventName") or event.get("Event", "")
        about = event.get("DestUniqueid") or event.get("Uniqueid") or event.get("UniqueID") or call.ref
        marks = (about, kind, event.get("Variable", ""), event.get("DialStatus", ""), event.get("Timestamp", ""))
        if kind == "CoreShowChannel":
            marks = (about, kind, more.get("status", ""), "", "")
        id = "/".join(mark for mark in marks if mark)

        def tell() -> Told:
            line = (leg.line or call.line) if leg is not None else ""
            body = {
                "event": kind,
                "at": at,
                "call": call.ref,
                "leg": leg.id if leg is not None else "",
                "line": line,
                "direction": call.direction,
                "caller": call.caller,
                "callee": call.callee,
                "queue": call.queue,
                **more,
            }
            return id, {name: value for name, value in body.items() if value}

        return tell
