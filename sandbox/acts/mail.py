"""Acts 7 and 10: mail from a known contact stands beside the call, and is gone everywhere, on time and on request."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis

from sandbox.acts import connecting
from sandbox.acts.calls import NEXT_DOOR_ID
from sandbox.browser import Browser
from sandbox.cast import ALICE, ALICE_LTD
from sandbox.people import LEAVER, MOVER, ZOE, Books
from sandbox.scene import ASK_AGAIN_SECONDS, Scene, expect
from store.auditor import Finding, scan
from store.certificates import signed

SUBJECT, BODY = "Två limpor till lördag, tack", "Kardemumma i den ena, saffran i den andra. Porten är blå."
STRANGERS = ("You have won a yacht", "Claim your yacht before Sunday noon, kind stranger.")
LATER = ("Glöm inte limporna", "Vi ses klockan nio vid bakdörren.")
MESSAGE = r"/console/messages/[^/]+"
PEOPLE = tuple(value for who in (ZOE, MOVER, LEAVER) for value in (who.name, who.email, who.number.e164))
NEEDLES = (SUBJECT, BODY, *STRANGERS, *PEOPLE)  # none of it may lie anywhere in the clear


def arrives(scene: Scene) -> Iterator[str]:
    """Gmail tells us, signed, that something came; what a known contact wrote is shown, a stranger's is not kept."""
    scene.until(lambda: scene.google.get("pubsub")["watches"].get(ALICE), "Gmail was not asked to tell us")
    _write(scene, "Nobody <nobody@strangers.example>", *STRANGERS)
    came = time.monotonic()
    address = _receive(scene, SUBJECT, BODY)
    there = time.monotonic()
    took = there - came
    opened = scene.bob.get(address)
    expect(opened.status == 200 and opened.says(BODY), f"the message does not open: {opened.text[:200]}")
    [pushed] = scene.google.get("pubsub")["subscriptions"]
    expect(pushed["delivered"] >= 1 and not pushed["refused"], "Gmail's pushes were not taken in")
    yield f"{ZOE.name} writes: {took:.1f} s after Gmail's signed push it stands beside her, and its body opens"
    expect(_cached(scene.alice) == 1, f"1 message should be cached, not {_cached(scene.alice)}")
    seen = scene.charlie.get(address).status
    expect(seen == 404, f"Charlie opened Alice's message and got {seen}")
    scene.noted["message"] = address
    threading.Thread(target=_watch, args=(scene, there), name="watches-mail-go", daemon=True).start()
    yield "a stranger's message is kept nowhere; Charlie opens Zoë's by id: 404"


def goes(scene: Scene) -> Iterator[str]:
    """Gone on time, and nowhere left to be found."""
    promised = scene.house.settings.mail_cache_seconds
    scene.until(lambda: "gone" in scene.noted, "the cached mail should be gone", seconds=promised + 5)
    stayed, gone = float(scene.noted["seen"]), float(scene.noted["gone"])
    expect(stayed <= promised, f"the mail was still there after {stayed:.1f} s; promised were {promised} s")
    expect(scene.bob.get(scene.noted["message"]).status == 404, "the message still opens")
    yield f"Zoë's message was seen to be gone {gone:.1f} s after it stood there; promised were {promised} s at most"
    control = f"control {secrets.token_hex(12)}"
    started = time.monotonic()
    planted = _plant(scene, control)
    try:
        found = _scan(scene, *NEEDLES, NEXT_DOOR_ID, control)
    finally:
        _pull_out(scene, control)
    lost = {finding.where for finding in found if finding.needle_index < len(NEEDLES)}
    expect(not lost, f"what should be gone or sealed lies in the clear in {', '.join(sorted(lost)[:3])}")
    delivery, seen = (
        {finding.where for finding in found if finding.needle_index == len(NEEDLES) + at} for at in (0, 1)
    )
    blind = [place for place in planted if not any(where.startswith(place) for where in seen)]
    expect(not blind, f"the auditor did not see the needle planted in {', '.join(blind)}")
    expect(delivery, "the auditor did not see what PostgreSQL keeps in the clear (the id of a delivery)")
    scene.until(lambda: not _scan(scene, control), "the planted needle should have been gone again")
    files, size = _size(scene.house.data_dir)
    yield (
        f"the auditor searched {files:,} files ({size // 2**20} MB, WAL and logs too) and both Valkeys in"
        f" {time.monotonic() - started:.1f} s:"
    )
    yield "subject and body 0 times, and no caller's name, number or address in the clear"
    yield f"the same eyes saw {len(planted)} of {len(planted)} planted needles (pulled out again) and a delivery's id"


def disconnect(scene: Scene) -> Iterator[str]:
    """Disconnecting destroys what is left at once, withdraws at Google and certifies it."""
    address = _receive(scene, *LATER)
    held = scene.google.get("tokens", user=ALICE)
    expect(held["refresh_tokens"] >= 1, "Google should hold a living token of Alice's before")
    page = scene.alice.get(scene.noted["google"])
    done = scene.alice.submit(page, page.form(action="/disconnect"))
    expect(done.says("is disconnected"), f"the console did not disconnect: {done.text[:200]}")
    expect(scene.bob.get(address).status == 404 and _cached(scene.alice) == 0, "mail outlived its consent")
    left = scene.google.get("tokens", user=ALICE)
    expect(
        not left["refresh_tokens"] and not left["access_tokens"] and not any(left["granted"].values()),
        "Google still holds living tokens",
    )
    certificate = _document(done.text)
    expect(signed(certificate), "the certificate's signature does not fit")
    expect(not signed(certificate | {"counts": {"messages": 0}}), "a changed certificate passes as genuine")
    counts = ", ".join(f"{what} {many}" for what, many in certificate["counts"].items() if many)
    yield f"Google disconnected: new mail gone at once, 0 tokens live there; signed certificate ({counts})"
    expected = Books.with_number - (Books.only_in_google - (Books.people - Books.with_number)) - 1
    scene.until(
        lambda: len(scene.phonebook(ALICE_LTD)) == expected,
        f"the phonebook should have shrunk to the {expected} people of Zoho",
        every=0.3,
    )
    yield f"who was in Google only has left the phonebook: {Books.with_number - 1} → {expected} people"


def _write(scene: Scene, sender: str, subject: str, body: str) -> None:
    scene.google.post("mail", user=ALICE, **{"from": sender}, subject=subject, text=body)


def _receive(scene: Scene, subject: str, body: str) -> str:
    """Have Zoë write to Alice; return the address of the message in the console once it stands beside her."""
    _write(scene, f"{ZOE.name} <{ZOE.email}>", subject, body)
    scene.until(lambda: _cached(scene.alice), "the message should have been cached")
    beside = scene.bob.get(scene.noted["zoe"])
    expect(beside.says(subject), f"the message is not shown beside {ZOE.name}")
    return beside.links_to(MESSAGE)[0]


def _watch(scene: Scene, there: float) -> None:
    """Note when the console was last asked for a message it still held, and when it held it no longer.

    What an answer says was true at some moment after the question, so the question's moment is what it proves.
    """
    browser = Browser(scene.house.origin)
    connecting.sign_in(browser, ALICE)
    seen = there
    while not scene.stop.wait(ASK_AGAIN_SECONDS):
        asked = time.monotonic()
        if not _cached(browser):
            break
        seen = asked
    scene.noted["seen"] = f"{seen - there:.2f}"
    scene.noted["gone"] = f"{time.monotonic() - there:.2f}"


def _cached(browser: Browser) -> int:
    """How many messages the console says are cached."""
    page = browser.get("/console/holdings")
    found = re.search(r"Messages (\d+)", page.text)
    expect(found, f"the console does not say how many messages are cached: {page.text[:200]}")
    return int(found[1]) if found else 0


def _scan(scene: Scene, *needles: str) -> list[Finding]:
    house = scene.house
    files = {house.data_dir, house.database_files, house.log_dir}
    apart = [one for one in files if not any(other in one.parents for other in files)]
    return scan(needles, files=apart, redis_urls=house.redis_urls)


def _plant(scene: Scene, needle: str) -> list[str]:
    """Put a needle where nothing may be: beside the database's files, in a log, in both Valkeys; return where."""
    for path, spelt in _plots(scene, needle):
        path.write_bytes(spelt)
    for url in scene.house.redis_urls:
        with redis.Redis.from_url(url) as valkey:
            valkey.set("control", needle, ex=60)
    valkeys = [
        f"{urlsplit(url).scheme}://{urlsplit(url).hostname or ''}{urlsplit(url).path}" for url in scene.house.redis_urls
    ]
    return [*(str(path) for path, _ in _plots(scene, needle)), *valkeys]


def _pull_out(scene: Scene, needle: str) -> None:
    """Take it away again, out of an append-only file too."""
    for path, _ in _plots(scene, needle):
        path.unlink(missing_ok=True)
    for url in scene.house.redis_urls:
        with redis.Redis.from_url(url) as valkey:
            valkey.delete("control")
            if dict(valkey.config_get("appendonly")).get("appendonly") == "yes":
                valkey.bgrewriteaof()


def _plots(scene: Scene, needle: str) -> list[tuple[Path, bytes]]:
    house = scene.house
    return [
        (house.database_files / "control-needle", needle.encode()),
        (house.log_dir / "control-needle.log", needle.encode("utf-16-le")),
    ]


def _size(folder: Path) -> tuple[int, int]:
    """How many files lie below, and their bytes; a server may remove one meanwhile."""
    files, size = 0, 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                files, size = files + 1, size + path.stat().st_size
        except OSError:
            continue
    return files, size


def _document(text: str) -> dict[str, Any]:
    """The certificate as the page shows it."""
    start = text.find('{ "')
    start = start if start >= 0 else text.find('{"')
    expect(start >= 0, "the page shows no certificate as a document")
    document: dict[str, Any] = json.JSONDecoder().raw_decode(text[start:])[0]
    return document
