"""Act 4: Zoho's Contacts and Leads and Google's contacts meet in the hub and reach the phonebook; changes follow."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sandbox.cast import ALICE_LTD, NEXT_DOOR
from sandbox.people import LEAVER, MOVED_TO, MOVER, ZOE, Books
from sandbox.scene import Scene, expect, in_words, people_known


def meet(scene: Scene) -> Iterator[str]:
    """800 records become people, matched by number and address."""
    scene.until(
        lambda: people_known(scene.alice.get("/console/")) == Books.people,
        f"the hub should hold {Books.people} people",
        every=0.2,
    )
    scene.until(
        lambda: len(scene.phonebook(ALICE_LTD)) == Books.with_number,
        f"the phonebook should hold {Books.with_number} people",
        every=0.3,
    )
    found = scene.find(scene.alice, ZOE.email)
    expect(len(found) == 1, f"{ZOE.name} should be one contact in the hub, not {len(found)}")
    scene.noted["zoe"] = found[0]
    page = scene.alice.get(found[0])
    expect(page.says("Zoho") and page.says("Google"), f"{ZOE.name} is not shown as known from Zoho and Google")
    yield (
        f"500 records of Zoho and 300 of Google are {Books.people} people; the phonebook has {Books.with_number}"
        f" ({Books.people - Books.with_number} have no number)"
    )
    scene.until(lambda: len(scene.phonebook(NEXT_DOOR)) == 12, "Charlie's phonebook should hold his own 12 people")


def again(scene: Scene) -> Iterator[str]:
    """The next reading of everything changes nothing."""
    before = _writes(scene), _sweeps(scene)
    scene.until(
        lambda: all(now > then for now, then in zip(_sweeps(scene), before[1], strict=True)),
        "Zoho and Google should have been read a second time",
    )
    scene.until(lambda: _sweeps(scene)[0] > before[1][0] + 1, "Zoho should have been read once more")
    expect(_writes(scene) == before[0], "reading the same contacts again wrote to the phonebook")
    yield "everything is read again: 0 writes"


def change(scene: Scene) -> Iterator[str]:
    """A changed number arrives by notification; a deletion, its notification lost, by the sweep."""
    row = scene.record(ALICE_LTD, "Contacts", Email=MOVER.email)
    scene.until(lambda: scene.zoho.get("channels", org="alice")["channels"], "Zoho was not asked for notifications")
    told = _delivered(scene)
    started = time.monotonic()
    scene.zoho.post("edit", org="alice", module="Contacts", id=row["id"], values={"Phone": MOVED_TO.spelt(1)})
    scene.until(lambda: MOVED_TO.e164 in _numbers(scene), f"{MOVER.name}'s new number should be in the phonebook")
    took = in_words(time.monotonic() - started)
    scene.until(lambda: _delivered(scene) > told, "the notification of the change should have been taken in")
    yield f"a number changes in Zoho: its notification brings it into the phonebook in {took}"
    scene.zoho.post("knobs", notify_drop_every=1)
    gone = scene.record(ALICE_LTD, "Contacts", Email=LEAVER.email)
    started = time.monotonic()
    scene.zoho.post("delete", org="alice", module="Contacts", id=gone["id"])
    scene.until(lambda: LEAVER.number.e164 not in _numbers(scene), f"{LEAVER.name} should have left the phonebook")
    scene.zoho.post("knobs", notify_drop_every=0)
    took = in_words(time.monotonic() - started)
    yield f"a contact is deleted in Zoho, the notification is lost: the sweep finds it in {took}"


def _numbers(scene: Scene) -> set[str]:
    return {line["number"] for card in scene.phonebook(ALICE_LTD) for line in card["numbers"]}


def _writes(scene: Scene) -> int:
    return int(scene.pbx.get("requests")["counts"].get("PUT /contacts", 0))


def _sweeps(scene: Scene) -> tuple[int, int]:
    """How often Zoho's Contacts and Google's contacts were read."""
    zoho, google = (each.get("requests")["counts"] for each in (scene.zoho, scene.google))
    return zoho.get("GET /crm/v8/Contacts", 0), sum(many for name, many in google.items() if "/connections" in name)


def _delivered(scene: Scene) -> int:
    """How many notifications our door has taken in."""
    return sum(1 for sent in scene.zoho.get("notifications")["sent"] if sent.get("status") in (200, 202, 204))
