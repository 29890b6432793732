"""What every telephony vendor promises, run for each folder that exists.

A vendor's `signature.sign(secret, event_id, body, now)` returns the headers the vendor would send; its `fixtures/` hold
what was `sent` (a JSON body, or a string that is no JSON) and what we `understood` of it: a call event, a text message
(its `kind` is "text"), null for what we have no use for, or `{"malformed": true}`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from domain import undelivered
from domain.call import CallEvent, TextEvent, TextNews
from domain.errors import Malformed, Unauthentic
from domain.ports import Knock, TelephonyVendor
from integrations import telephony_vendors

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
VENDORS = telephony_vendors()
BODY = '{"type": "call.ended", "text": "Grüezi"}'.encode()
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)
every_vendor = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS.keys())
KNOCKING = [vendor for vendor in VENDORS.values() if not vendor.traits.listens]
every_knocking_vendor = pytest.mark.parametrize("vendor", KNOCKING, ids=[vendor.slug for vendor in KNOCKING])
TEXTERS = {False: ["text"], True: ["senders", "text_from", "sent"]}  # by `traits.senders`
fuzzed = settings(max_examples=60, deadline=None, database=None)


def folder(vendor: TelephonyVendor) -> Path:
    return Path(importlib.import_module(type(vendor).__module__).__file__ or "").parent


def fixtures() -> Iterator[Any]:
    for vendor in VENDORS.values():
        for path in sorted((folder(vendor) / "fixtures").glob("*.json")):
            yield pytest.param(vendor, json.loads(path.read_text()), id=f"{vendor.slug}-{path.stem}")


def genuine(vendor: TelephonyVendor) -> tuple[bytes, str]:
    """A body and the id of its event: a fixture's, where the vendor's ids are part of what it says."""
    found = [json.loads(path.read_text()) for path in sorted((folder(vendor) / "fixtures").glob("*.json"))]
    named = next((fixture for fixture in found if "event_id" in fixture), {"sent": BODY.decode(), "event_id": "msg_1"})
    return named["sent"].encode(), named["event_id"]


def signed(vendor: TelephonyVendor, secret: str) -> Knock:
    body, event_id = genuine(vendor)
    sign: Callable[..., dict[str, str]] = importlib.import_module(f"{type(vendor).__module__}.signature").sign
    return Knock(headers=sign(secret, event_id, body, NOON), body=body)


def written(event: CallEvent | TextNews | None) -> dict[str, Any] | None:
    """An event as a fixture writes it: plain JSON values, nothing empty, and its kind where it is no call's."""
    if event is None:
        return None
    if isinstance(event, CallEvent):
        return event.as_data()
    plain: dict[str, Any] = json.loads(json.dumps(asdict(event), default=datetime.isoformat))
    return {"kind": "text"} | {name: value for name, value in plain.items() if value}


def read(understood: dict[str, Any] | None) -> CallEvent | TextNews | None:
    """Undo `written`."""
    if understood is None:
        return None
    if understood.get("kind") != "text":
        return CallEvent.from_data(understood)
    told: dict[str, Any] = {"sender": "", "receiver": ""} | understood
    del told["kind"]
    told["media"] = tuple(told.get("media", ()))
    return TextEvent(**told | {"at": datetime.fromisoformat(told["at"])}) if "at" in told else TextNews(**told)


def spoiled(knock: Knock) -> Iterator[Knock]:
    """Yield the knock with each byte of its body changed, each character of its headers, and each header missing."""
    for place, byte in enumerate(knock.body):
        yield replace(knock, body=knock.body[:place] + bytes([byte ^ 1]) + knock.body[place + 1 :])
    yield replace(knock, body=knock.body + b" ")
    yield replace(knock, body=knock.body[:-1])
    for name, value in knock.headers.items():
        yield replace(knock, headers={other: text for other, text in knock.headers.items() if other != name})
        for place, letter in enumerate(value):
            changed = value[:place] + chr(ord(letter) ^ 1) + value[place + 1 :]
            yield replace(knock, headers={**knock.headers, name: changed})


def test_there_are_vendors() -> None:
    """The registry finds the folders; the rest of this file would pass if it found none."""
    assert "standard" in VENDORS
    assert telephony_vendors() is VENDORS


@every_vendor
def test_a_folder_is_whole(vendor: TelephonyVendor) -> None:
    """What pages and docs are made of is there, and the slug is the folder's name."""
    home = folder(vendor)

    assert home.name == vendor.slug
    assert [name for name in ("doc.md", "logo.svg") if not (home / name).is_file()] == []
    assert vendor.title
    assert len({field.name for field in vendor.account}) == len(vendor.account) > 0
    assert len(list((home / "fixtures").glob("*.json"))) >= 5


@every_vendor
def test_texts_are_as_the_traits_say(vendor: TelephonyVendor) -> None:
    """Who tells of them has a fixture each way; who sends them has what the traits promise, and reads replies."""
    told = [param.values[1]["understood"] or {} for param in fixtures() if param.values[0] is vendor]
    directions = {one.get("direction") for one in told if one.get("kind") == "text" and not one.get("fax")}
    assert vendor.traits.texts == ({"inbound", "outbound"} <= directions)
    for trait, methods in {"writes": TEXTERS[vendor.traits.senders], "words": ["words"]}.items():
        if getattr(vendor.traits, trait):
            home = importlib.import_module(f"{type(vendor).__module__}.client").Account
            assert [] == [name for name in methods if not callable(getattr(home, name, None))]
            assert vendor.traits.texts
    for one in told:
        if one.get("stage"):
            assert (one["stage"] == "failed") == (one.get("failed") in undelivered.WHY)


@pytest.mark.parametrize(("vendor", "fixture"), [*fixtures()])
def test_a_body_is_understood_as_its_fixture_says(vendor: TelephonyVendor, fixture: dict[str, Any]) -> None:
    """A fixture is a test."""
    sent, understood = fixture["sent"], fixture["understood"]
    body = (sent if isinstance(sent, str) else json.dumps(sent)).encode()

    if understood == {"malformed": True}:
        with pytest.raises(Malformed):
            vendor.parse(body, "msg_1")
        return
    event = vendor.parse(body, "msg_1")

    assert understood == written(event)
    assert read(understood) == event


@every_knocking_vendor
def test_a_genuine_knock_is_believed_and_every_spoiled_one_is_not(vendor: TelephonyVendor) -> None:
    """Not one byte of the body and not one character of the headers can change."""
    secret = vendor.new_secret()
    knock = signed(vendor, secret)
    assert vendor.verify(knock, [secret], NOON) == genuine(vendor)[1]

    for wrong in spoiled(knock):
        with pytest.raises(Unauthentic):
            vendor.verify(wrong, [secret], NOON)


@every_knocking_vendor
def test_two_secrets_are_believed_while_one_replaces_the_other(vendor: TelephonyVendor) -> None:
    """During a rotation either may have signed; a stranger's never has, and without a secret nobody has."""
    old, new, charlies = vendor.new_secret(), vendor.new_secret(), vendor.new_secret()
    assert len({old, new, charlies}) == 3

    for secret in (old, new):
        assert vendor.verify(signed(vendor, secret), [new, old], NOON) == genuine(vendor)[1]
    for secrets in ([new, old], []):
        with pytest.raises(Unauthentic):
            vendor.verify(signed(vendor, charlies), secrets, NOON)


@every_vendor
@fuzzed
@given(body=some.binary() | some.text().map(str.encode) | JSON.map(json.dumps).map(str.encode))
def test_garbage_is_malformed_and_nothing_worse(vendor: TelephonyVendor, body: bytes) -> None:
    """Whatever a believed sender sends, the door has an answer."""
    understood_or_malformed(vendor, body)


@every_vendor
@fuzzed
@given(data=some.data())
def test_a_spoiled_fixture_is_understood_or_malformed(vendor: TelephonyVendor, data: some.DataObject) -> None:
    """A body that is nearly right, with one value replaced by anything, raises nothing but Malformed."""
    paths = sorted((folder(vendor) / "fixtures").glob("*.json"))
    sent = json.loads(data.draw(some.sampled_from(paths)).read_text())["sent"]
    if isinstance(sent, dict):
        where = sent
        while isinstance(where[name := data.draw(some.sampled_from(sorted(where)))], dict) and data.draw(
            some.booleans()
        ):
            where = where[name]
        where[name] = data.draw(JSON)
    understood_or_malformed(vendor, json.dumps(sent).encode())


def understood_or_malformed(vendor: TelephonyVendor, body: bytes) -> None:
    try:
        event = vendor.parse(body, "msg_1")
    except Malformed:
        return
    assert json.dumps(written(event)).encode().isascii()
    if isinstance(event, TextNews):  # a page offers only what the traits say
        assert vendor.traits.faxes if event.fax else vendor.traits.texts


@every_vendor
@fuzzed
@given(
    headers=some.dictionaries(
        some.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "authorization"]),
        some.text() | some.from_regex(r"\A[0-9]{1,20}\Z") | some.from_regex(r"\A(v1a?,[A-Za-z0-9+/=]{0,44} ?){0,9}\Z"),
    ),
    body=some.binary(),
)
def test_no_header_breaks_the_door(vendor: TelephonyVendor, headers: dict[str, str], body: bytes) -> None:
    """A forger gets Unauthentic, whatever the headers hold."""
    with pytest.raises(Unauthentic):
        vendor.verify(Knock(headers=headers, body=body), [vendor.new_secret()], NOON)
