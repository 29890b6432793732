"""The `standard` client and its understudy, over a real socket: what is asked, what comes back, how it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import responses

from domain.call import CallEvent, fold
from domain.contact import Line, Person
from domain.errors import ConsentLost, NotAllowed, Refused, TryLater, Unanswered, Upstream
from integrations import guard
from integrations.telephony.standard.sandbox import create_apps
from tests.phone_stage import CALL, NOON, VENDOR, Platform, playing, soon

DAY_AGO = NOON - timedelta(days=1)
API = "https://pbx.alice.example/api"
WHERE = Path(__file__).parents[1] / "integrations/telephony/standard"


@pytest.fixture(scope="module")
def play() -> Iterator[Platform]:
    with playing() as platform:
        yield platform


@pytest.fixture
def platform(play: Platform) -> Platform:
    play.fresh()
    return play


def test_a_click_rings_the_agent_and_the_event_names_the_same_call(platform: Platform) -> None:
    """`dial` returns the id under which the door hears of the call."""
    shown = "+34911222333"
    call_id = platform.account.dial(agent_extension="201", agent_email="", number="+4915112345678", shown=shown)
    soon(lambda: platform.heard)

    [event] = platform.heard
    assert (event.call_ref, event.type, event.direction) == (call_id, "ringing", "outbound")
    assert (event.caller, event.callee, event.agent_email) == (shown, "+4915112345678", "bob@alice.example")


def test_an_agent_may_be_known_by_address_only(platform: Platform) -> None:
    """A user without an extension on file can dial; a stranger cannot, and that is final."""
    assert platform.account.dial(agent_extension="", agent_email="bob@alice.example", number="+34911222333")
    with pytest.raises(Refused):
        platform.account.dial(agent_extension="666", agent_email="charlie@next.example", number="+34911222333")


def test_the_phonebook_is_put_in_batches_and_twice_is_once(platform: Platform) -> None:
    """500 a request, names and numbers as the display wants them, and who is gone is gone."""
    people = [
        (f"c{n}", Person(given="Ana", family=str(n), lines=(Line(raw="x", e164=f"+3460{n:07}"),))) for n in range(1001)
    ]
    platform.account.put_contacts(people, [])
    platform.account.put_contacts(people, [])
    assert len(platform.shown("phonebook")["phonebook"]) == 1001
    assert platform.shown("requests")["counts"] == {"PUT /contacts": 6}

    platform.account.put_contacts([], [id for id, _ in people[1:]])

    [left] = platform.shown("phonebook")["phonebook"]
    assert left == {
        "id": "c0",
        "name": "Ana 0",
        "company": "",
        "numbers": [{"number": "+34600000000", "label": ""}],
        "emails": [],
    }


def test_nothing_to_tell_is_not_told(platform: Platform) -> None:
    """An empty plan costs no request."""
    platform.account.put_contacts([], [])

    assert platform.shown("requests")["counts"] == {}


def test_a_line_keeps_its_raw_text_or_its_extension(platform: Platform) -> None:
    """A number we could not read is shown as written; one with an extension says so."""
    lines = (Line(raw="ask Eva"), Line(raw="+34 911 222 333 ext 4", e164="+34911222333", extension="4", label="work"))
    platform.account.put_contacts([("c0", Person(company="Alice Ltd", lines=lines, emails=("ana@x.example",)))], [])

    [card] = platform.shown("phonebook")["phonebook"]
    assert card["name"] == "Alice Ltd"
    assert card["emails"] == ["ana@x.example"]
    assert card["numbers"] == [
        {"number": "ask Eva", "label": ""},
        {"number": "+34911222333", "label": "work", "extension": "4"},
    ]


def test_the_list_of_calls_is_read_to_the_end_and_agrees_with_the_events(platform: Platform) -> None:
    """Page by page, oldest first, and the same call comes of the list as of the events, doubled and shuffled."""
    for number in range(5):
        began = (NOON - timedelta(hours=6 - number)).isoformat()
        platform.stage(
            "call", key="alices-key", call_id=f"listed-{number}", started_at=began, shuffle=number, copies=3, **CALL
        )

    listed = list(platform.account.calls(DAY_AGO))

    assert [f"listed-{number}" for number in range(5)] == [event.call_ref for event in listed]
    assert platform.shown("requests")["counts"]["GET /calls"] == 3
    assert len(platform.heard) == 45
    for event in listed:
        assert fold([event]) == fold(each for each in platform.heard if each.call_ref == event.call_ref)
    assert listed == list(platform.account.calls(DAY_AGO))  # ids too: reading twice tells nothing new
    assert [event.call_ref for event in platform.account.calls(listed[3].at)] == ["listed-4"]


def test_dropped_events_are_in_the_list_all_the_same(platform: Platform) -> None:
    """What webhooks lose, reconciliation finds."""
    told = platform.stage("call", key="alices-key", call_id="lost", drop=1, shuffle=1, **CALL)

    assert told["dropped"] == ["call.ringing", "call.answered", "call.ended"]
    assert platform.heard == []
    assert "lost" in {event.call_ref for event in platform.account.calls(DAY_AGO)}


@pytest.mark.parametrize("tamper", ["signature", "body", "stale", "secret"])
def test_what_is_tampered_with_is_turned_away(platform: Platform, tamper: str) -> None:
    """The understudy signs on its own: the untouched event is believed, each spoiled one is not."""
    event = {"type": "call.ringing", "data": {"call_id": "forged", "direction": "inbound"}}

    assert platform.stage("send", key="alices-key", event=event)["statuses"] == [202]
    assert platform.stage("send", key="alices-key", event=event, tamper=tamper, times=2)["statuses"] == [401, 401]
    assert len(platform.heard) == 1


def test_what_the_door_could_not_take_comes_again_with_the_same_id(
    platform: Platform,
) -> None:
    """A sender repeats after 503, and only what was not taken."""
    platform.busy = True
    sent = platform.stage("call", key="alices-key", **CALL)["sent"]
    assert [one["status"] for one in sent] == [503, 503, 503]
    platform.busy = False

    assert platform.stage("retry", key="alices-key") == {"statuses": [202, 202, 202]}
    assert [one["id"] for one in sent] == [event.id for event in platform.heard]
    assert platform.stage("retry", key="alices-key") == {"statuses": []}


def test_a_key_the_platform_does_not_know_is_lost_consent(platform: Platform) -> None:
    """The administrator gets a button; nothing is tried again."""
    with pytest.raises(ConsentLost):
        next(platform.opened("charlies-key").calls(DAY_AGO))


@pytest.mark.parametrize(
    ("action", "more", "dial", "put"),
    [
        ("status", {"status": 503}, TryLater, TryLater),
        ("status", {"status": 500}, TryLater, TryLater),
        ("status", {"status": 504}, Unanswered, TryLater),
        ("status", {"status": 429, "retry_after": 7}, TryLater, TryLater),
        ("status", {"status": 401}, ConsentLost, ConsentLost),
        ("status", {"status": 403}, NotAllowed, NotAllowed),
        ("status", {"status": 404}, Refused, Refused),
        ("status", {"status": 409}, Refused, Refused),
        ("status", {"status": 302}, Refused, Refused),
        ("html", {}, Unanswered, None),
        ("html", {"status": 502}, Unanswered, TryLater),
        ("drop_after", {}, Unanswered, TryLater),
        ("hang_after", {"seconds": 30}, Unanswered, TryLater),
    ],
    ids=lambda value: str(value) if isinstance(value, (str, dict)) else "",
)
def test_each_fault_has_its_remedy(
    platform: Platform, action: str, more: dict[str, Any], dial: type[Upstream], put: type[Upstream] | None
) -> None:
    """What may have rung is never `TryLater`; what can safely be told twice always is."""
    platform.fault("POST /calls", action, **more)
    platform.fault("PUT /contacts", action, **more)
    with guard.session(timeout=0.3, allowed_private_hosts={"127.0.0.1"}) as hasty:
        account = VENDOR.open({"base_url": platform.origin, "api_key": "alices-key"}, hasty)

        with pytest.raises(dial) as caught:
            account.dial(agent_extension="201", agent_email="", number="+34911222333")
        assert (caught.value.wait if isinstance(caught.value, TryLater) else 0) == more.get("retry_after", 0)
        if put is None:
            account.put_contacts([], ["c0"])
        else:
            with pytest.raises(put):
                account.put_contacts([], ["c0"])


def test_a_platform_that_is_not_there_was_never_asked() -> None:
    """No connection, no doubt: even a dial may be tried again."""
    with guard.session(timeout=1, allowed_private_hosts={"127.0.0.1"}) as http:
        account = VENDOR.open({"base_url": "http://127.0.0.1:1", "api_key": "k"}, http)
        with pytest.raises(TryLater) as caught:
            account.dial(agent_extension="201", agent_email="", number="+34911222333")
    assert caught.value.code == "upstream.unreachable"


def test_an_address_the_guard_refuses_is_refused_for_good() -> None:
    """Only what the ports name leaves the adapter, with the guard's code kept."""
    with guard.session(timeout=1) as http, pytest.raises(Refused) as caught:
        VENDOR.open({"base_url": "https://169.254.169.254/api", "api_key": "k"}, http).put_contacts([], ["c0"])
    assert caught.value.code == "url.not_allowed"


@pytest.mark.parametrize(
    "account",
    [
        {},
        {"base_url": API},
        {"base_url": "", "api_key": "k"},
        {"base_url": API, "api_key": "k\r\nX: y"},
        {"base_url": API, "api_key": "ключ"},
    ],
    ids=["nothing", "no key", "no address", "a key with a line break", "a key that is no header"],
)
def test_an_unfinished_account_cannot_be_opened(account: dict[str, str]) -> None:
    """It says so before anything is sent."""
    with pytest.raises(NotAllowed):
        VENDOR.open(account, guard.pooled(1.0))


ROW = {"call_id": "c1", "direction": "inbound", "ended_at": "2026-03-29T09:18:10Z", "outcome": "missed"}


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b'{"calls": null}',
        b'{"calls": [null]}',
        b'{"calls": [], "calls": []}',
        b'{"calls": [], "next_cursor": 7}',
        json.dumps({"calls": [{**ROW, "ended_at": None}]}).encode(),
        json.dumps({"calls": [{**ROW, "ended_at": "yesterday"}]}).encode(),
        b"[" * 100_000,
    ],
    ids=lambda body: body[:60].decode(),
)
@responses.activate
def test_a_list_that_cannot_be_read_says_so(body: bytes) -> None:
    """HTML, null, a list for an object, a row without its end: asked again later, under a code of its own."""
    responses.get(f"{API}/calls", body=body)
    with pytest.raises(TryLater) as caught:
        list(VENDOR.open({"base_url": API, "api_key": "k"}, guard.pooled(1.0)).calls(DAY_AGO))
    assert caught.value.code == "upstream.bad_response"


@responses.activate
def test_a_list_that_goes_in_circles_ends() -> None:
    """A position that comes back twice stops the reading, and what was read so far was handed on."""
    for cursor in ("a", "b") * 4:
        responses.get(f"{API}/calls", json={"calls": [ROW], "next_cursor": cursor})
    reading = VENDOR.open({"base_url": f"{API}/", "api_key": "k"}, guard.pooled(1.0)).calls(DAY_AGO)

    read: list[CallEvent] = []
    with pytest.raises(TryLater, match="circles"):
        read.extend(reading)

    assert len(read) == 5
    assert len({event.id for event in read}) == 1
    first = responses.calls[0].request
    assert first.headers["Authorization"] == "Bearer k"
    assert str(first.url).endswith("/api/calls?ended_after=2026-03-28T12%3A00%3A00Z")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, 0),
        ({"Retry-After": "12"}, 12),
        ({"Retry-After": "9" * 400}, 3600),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "Sun, 29 Mar 2026 12:01:00 GMT", "Date": "Sun, 29 Mar 2026 12:00:00 GMT"}, 60),
        ({"Retry-After": "Sun, 29 Mar 2026 11:01:00 GMT", "Date": "Sun, 29 Mar 2026 12:00:00 GMT"}, 0),
        ({"Retry-After": "Sun, 29 Mar 2026 12:01:00 GMT"}, 0),
    ],
    ids=lambda value: str(value)[:50],
)
@responses.activate
def test_the_wait_a_platform_asks_for_is_believed_up_to_an_hour(headers: dict[str, str], wait: float) -> None:
    """Seconds or a date beside the platform's own clock; anything else is no wish."""
    responses.put(f"{API}/contacts", status=429, headers=headers)
    with pytest.raises(TryLater) as caught:
        VENDOR.open({"base_url": API, "api_key": "k"}, guard.pooled(1.0)).put_contacts([], ["c0"])
    assert caught.value.wait == wait


def test_a_message_is_sent_once_for_each_key(platform: Platform) -> None:
    """Asked again it has the same id; a platform without that address sends none, and says so for good."""
    told = {"agent_extension": "201", "agent_email": "", "number": "+34600111222", "words": "Hello"}
    platform.stage("faults", match="POST /messages", times=1, action="drop_after")

    with pytest.raises(TryLater):  # it was sent; nobody answered
        platform.account.text(**told, key="k1")
    first = platform.account.text(**told, key="k1")
    assert first == platform.account.text(**told, key="k1")
    assert first != platform.account.text(**told, key="k2")
    platform.stage("faults", match="POST /messages", times=1, action="status", status=404)
    with pytest.raises(Refused) as refused:
        platform.account.text(**told, key="k3")
    assert "text.unsupported" == refused.value.code


def schema(name: str) -> Any:
    document = json.loads((WHERE / "openapi.json").read_text())
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    )


@pytest.mark.parametrize("path", sorted((WHERE / "fixtures").glob("*.json")), ids=lambda path: path.stem)
def test_the_published_contract_and_the_schemas_agree(path: Path) -> None:
    """What we understand is what `openapi.json` allows; what we refuse it forbids, as far as a JSON Schema can say."""
    fixture = json.loads(path.read_text())
    if isinstance(fixture["sent"], str) or path.stem == "malformed-nul":  # beyond what a JSON Schema sees
        return
    assert schema("Event").is_valid(fixture["sent"]) is (fixture["understood"] != {"malformed": True})


def test_the_understudy_keeps_to_the_published_contract(platform: Platform) -> None:
    """Its list, and the phonebook as we put it, are what the contract describes."""
    platform.stage("call", key="alices-key", recording_url="https://pbx.alice.example/r/1.wav", **CALL)
    platform.account.put_contacts([("c0", Person(given="Ana", lines=(Line(raw="1"),)))], [])

    page = platform.http.get(
        f"{platform.origin}/calls",
        params={"ended_after": DAY_AGO.isoformat()},
        headers={"Authorization": "Bearer alices-key"},
    ).json()

    assert page["calls"]
    schema("CallPage").validate(page)
    for card in platform.shown("phonebook")["phonebook"]:
        schema("Contact").validate(card)
    assert "recording" in {event.type for event in platform.heard}


def test_the_understudy_answers_every_path_of_the_contract_and_no_other() -> None:
    """A path that only one of the two knows is a mistake in one of the two."""
    document = json.loads((WHERE / "openapi.json").read_text())
    published = {
        (method.upper(), path.replace("{call_id}", "call-1"))
        for path, item in document["paths"].items()
        for method in item
    }
    actions = sorted(VENDOR.traits.control)
    adapter = create_apps({"pbx": ""})["pbx"].url_map.bind("pbx")

    for method, path in published:
        adapter.match(path, method)  # raises NotFound or MethodNotAllowed
    played = {
        (method, rule.rule.replace("<call_id>", "call-1"))
        for rule in adapter.map.iter_rules()
        if not rule.rule.startswith(("/_stage/", "/static/"))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    [steering] = [rule for _, rule in played if "<any" in rule]
    spelled = {("POST", f"/calls/call-1/{action}") for action in actions}
    assert published == (played - {("POST", steering)}) | spelled
