"""Acts 5 and 8: the phone rings, the agent sees who it is, one activity stands in Zoho; then a worker dies half-way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.acts import connecting
from sandbox.browser import Browser
from sandbox.cast import ALICE_LTD, BOB, NEXT_DOOR, ZOE_NEXT_DOOR, Company
from sandbox.people import ZOE
from sandbox.scene import Scene, expect, in_words, moment

RANG_SECONDS, TALKED_SECONDS = 6, 83
NEXT_DOOR_ID = "delivery-of-the-first-call"  # ids of deliveries are kept in the clear: the auditor looks for this one
FORGERIES = ("signature", "body", "secret", "stale")
CALL = r"/console/calls/[0-9a-f-]{36}"
HANG_SECONDS = 60  # longer than it takes to kill the worker; let go of right after


@dataclass(frozen=True, slots=True)
class Story:
    """A call as the phone system tells it: a minute and a half ago it began to ring."""

    company: Company
    id: str
    started: datetime
    caller: str = ZOE.number.e164

    @classmethod
    def now(cls, company: Company, id: str, *, seconds_ago: int = RANG_SECONDS + TALKED_SECONDS) -> Story:
        return cls(company, id, datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=seconds_ago))

    def event(self, kind: str) -> dict[str, Any]:
        """One of its events."""
        answered = self.started + timedelta(seconds=RANG_SECONDS)
        ended = answered + timedelta(seconds=TALKED_SECONDS)
        data: dict[str, Any] = {
            "call_id": self.id,
            "leg_id": "1",
            "direction": "inbound",
            "from": self.caller,
            "to": self.company.line,
            "agent": {"extension": self.company.extension, "email": self.company.agent},
            "queue": "orders",
            "started_at": moment(self.started),
        }
        if kind != "ringing":
            data["answered_at"] = moment(answered)
        if kind == "ended":
            data |= {"ended_at": moment(ended), "outcome": "answered"}
        at = {"ringing": self.started, "answered": answered, "ended": ended}[kind]
        return {"type": f"call.{kind}", "timestamp": moment(at), "data": data}


def ring(scene: Scene) -> Iterator[str]:
    """It rings: the panel and Zoho's call bar say who."""
    page = connecting.sign_in(scene.bob, BOB)
    expect("/console/panel" in page.url, f"Bob should have come to his panel, not to {page.url}")
    call = Story.now(ALICE_LTD, "zoe-rings")
    started = time.monotonic()
    _tell(scene, call, "ringing")
    live = scene.until(lambda: scene.bob.json("/console/panel/state")["live"], "Bob's panel should show the call")
    panel = in_words(time.monotonic() - started)
    expect(live[0]["who"] == ZOE.name, f"Bob's panel should say {ZOE.name}")
    popped = scene.until(lambda: _popped(scene, "ringing"), "PhoneBridge should have been told that it rings")
    popup = in_words(time.monotonic() - started)
    expect(popped[0]["from"] == call.caller and popped[0].get("zohouser"), "PhoneBridge was told of another caller")
    yield f"{call.caller} rings: Bob's panel says {ZOE.name} after {panel}, PhoneBridge after {popup}"
    for kind, times in (("ended", 2), ("answered", 3), ("ringing", 2)):
        _tell(scene, call, kind, times=times)
    written = scene.until(lambda: scene.activities(ALICE_LTD), "Zoho should hold the call")
    scene.until(lambda: not scene.bob.json("/console/panel/state")["live"], "the call should have left Bob's panel")
    contact = scene.record(ALICE_LTD, "Contacts", Email=ZOE.email)
    _right(written, call, contact, BOB)
    yield (
        "8 deliveries of 3 events, out of order: 1 activity (by PhoneBridge), on her record, Bob's, "
        f"{call.started:%H:%M:%S} UTC, {TALKED_SECONDS} s"
    )


def next_door(scene: Scene) -> Iterator[str]:
    """The company next door, where another provider has PhoneBridge: we write to the Calls module."""
    call = Story.now(NEXT_DOOR, "zoe-rings-next-door")
    _tell(scene, call, "ended", id=NEXT_DOOR_ID, times=3)
    _tell(scene, call, "ringing", times=2)
    _tell(scene, call, "answered")
    written = scene.until(lambda: scene.activities(NEXT_DOOR), "Charlie's Zoho should hold the call")
    given, family = ZOE_NEXT_DOOR
    contact = scene.record(NEXT_DOOR, "Contacts", First_Name=given, Last_Name=family)
    _right(written, call, contact, NEXT_DOOR.admin)
    expect("[linekeeper:" in str(written[0].get("Description")), "the activity does not carry our marker")
    expect(not scene.zoho.get("callnotify", org="charlie")["accepted"], "Charlie's PhoneBridge was told of calls")
    yield f"she rings Charlie, who knows her as {given} {family}: 1 activity (by us, in the Calls module)"


def forged(scene: Scene) -> Iterator[str]:
    """Forged knocks are refused and leave nothing."""
    before = scene.alice.get("/console/calls").links_to(CALL)
    call = Story.now(ALICE_LTD, "never-happened")
    statuses = [_tell(scene, call, "ended", tamper=kind)[0] for kind in FORGERIES]
    expect(statuses == [401] * len(FORGERIES), f"forged events were answered {statuses}")
    after = scene.alice.get("/console/calls").links_to(CALL)
    expect(after == before, "a forged event left a call in the console")
    expect(len(scene.activities(ALICE_LTD)) == 1, "a forged event left an activity in Zoho")
    scene.noted["call"] = before[0]
    yield f"forged ({', '.join(FORGERIES)}): {', '.join(map(str, statuses))}; no trace in console or Zoho"
    addresses = [before[0], scene.noted["zoe"], scene.noted["phone"]]
    seen = [scene.charlie.get(address).status for address in addresses]
    expect(seen == [404, 404, 404], f"Charlie opened what is Alice's and got {seen}")
    yield "Charlie opens Alice's call, contact and connection by id: 404, 404, 404"


def crash(scene: Scene) -> Iterator[str]:
    """SIGKILL between Zoho's yes and our commit, for both ways of writing."""
    yield from _cut_short(scene, NEXT_DOOR, scene.charlie, "POST /crm/v8/Calls", "Calls module")
    yield from _cut_short(scene, ALICE_LTD, scene.alice, "POST /phonebridge/v3/callnotify", "PhoneBridge")


def _cut_short(scene: Scene, company: Company, browser: Browser, path: str, way: str) -> Iterator[str]:
    before, read_back = len(scene.activities(company)), _read_back(browser)
    scene.zoho.post("faults", match=path, action="hang_after", seconds=HANG_SECONDS, server=f"zoho-{company.dc}")
    _tell(scene, Story.now(company, f"cut-short-{company.org}", seconds_ago=600), "ended")
    scene.until(lambda: len(scene.activities(company)) > before, "Zoho should have accepted the call")
    killed = _kill_workers(scene)
    scene.zoho.delete("faults")
    started = time.monotonic()
    scene.until(lambda: _workers(scene).keys() == killed.keys(), "the worker should have been started again")
    scene.until(lambda: _read_back(browser) == read_back + 1, "the call should have been read back")
    many = len(scene.activities(company)) - before
    expect(many == 1, f"there are {many} activities of one call")
    took = in_words(time.monotonic() - started)
    yield f"{way}: Zoho accepts, SIGKILL before our commit; read back in {took}: still 1"


def _tell(scene: Scene, call: Story, kind: str, *, times: int = 1, id: str = "", tamper: str = "") -> list[int]:
    """Have the phone system deliver an event; return how the door answered."""
    statuses: list[int] = scene.pbx.post(
        "send",
        key=call.company.pbx_key,
        event=call.event(kind),
        id=id or f"{call.id}-{kind}",
        times=times,
        tamper=tamper,
    )["statuses"]
    expect(tamper or statuses == [202] * times, f"a signed call.{kind} was answered {statuses}")
    return statuses


def _popped(scene: Scene, state: str) -> list[dict[str, Any]]:
    return [told for told in scene.zoho.get("callnotify", org="alice")["accepted"] if told.get("state") == state]


def _right(written: list[dict[str, Any]], call: Story, contact: dict[str, Any], owner: str) -> None:
    """One activity, on the right record, of the right user, with the right times."""
    expect(len(written) == 1, f"there are {len(written)} activities of one call")
    row = written[0]
    expect((row["Who_Id"] or {}).get("id") == contact["id"], "the activity is on another record than the caller's")
    expect(row["Owner"]["email"] == owner, f"the activity belongs to {row['Owner']['email']}, not to {owner}")
    began = datetime.fromisoformat(row["Call_Start_Time"])
    expect(began == call.started, f"the activity begins at {began}, the call at {call.started}")
    seconds = row["Call_Duration_in_seconds"]
    expect(seconds == TALKED_SECONDS, f"the activity lasts {seconds} s, the call {TALKED_SECONDS} s")


def _read_back(browser: Browser) -> int:
    """How often the ledger says that a call was found in Zoho when it was read back."""
    return browser.get("/console/ledger", action="calls.logged").text.count("read_back True")


def _workers(scene: Scene) -> dict[str, int]:
    return {name: pid for name, pid in scene.house.pids().items() if name.startswith("worker-calls")}


def _kill_workers(scene: Scene) -> dict[str, int]:
    killed = _workers(scene)
    expect(killed, "there is no worker for calls to kill")
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    scene.until(lambda: set(killed.values()).isdisjoint(_workers(scene).values()), "the worker should be dead")
    return killed
