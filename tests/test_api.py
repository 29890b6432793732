"""The doors of a tenant's own programs: believed by a key, good for what it was made for, the same on every device."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, update
from werkzeug.test import TestResponse

from domain.api_key import SCOPES
from domain.errors import Malformed, Missing
from jobs.services import Services
from store.database import TenantId
from store.embedded import Postgres
from store.tables import api_keys, calls, contacts, directory
from tests import house
from tests.console_desk import Office, furnish, meet, person, ring

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
DANA = "+34600111222"
ONES = ("dial", "calls", "contacts", "lookup", "route")
REFUSED = {"code", "status", "title", "type"}


@pytest.fixture(scope="module")
def tools(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    """The product, with a clock that stands."""
    with house.services(db_urls, work_url, mail_url) as opened:
        yield replace(opened, now=lambda: NOON)


@pytest.fixture
def client(tools: Services) -> Iterator[FlaskClient]:
    made = house.front(tools)
    yield made
    house.settled(made)


@pytest.fixture
def office(tools: Services, tenant: TenantId) -> Office:
    """Alice and Bob, with a phone system that can dial."""
    made = furnish(tools, tenant)
    house.phone_system(tools, made.alice)
    return made


def key_of(tools: Services, tenant: TenantId, *scopes: str) -> dict[str, str]:
    """The header of a fresh key."""
    _, value = tools.api_keys.create(tenant, label="Softphone", scopes=scopes or SCOPES)
    return {"Authorization": f"Bearer {value}"}


@pytest.fixture
def key(tools: Services, office: Office) -> dict[str, str]:
    return key_of(tools, office.tenant)


def call_of(tools: Services, office: Office, ref: str = "c1", **more: Any) -> UUID:
    tie = tools.connections.first(office.tenant, "telephony")
    assert tie is not None
    return ring(tools, office.tenant, tie.id, ref, NOON - timedelta(minutes=1), number=DANA, user=office.bob, **more)


# ---- keys ---------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_nowhere_kept(tools: Services, office: Office) -> None:
    """What stays is a digest, and how it begins."""
    made, value = tools.api_keys.create(office.tenant, label="Softphone", scopes=["hints"], created_by=office.alice.id)

    assert len(made.prefix) < 12 < 40 < len(value)
    assert value.startswith(made.prefix)
    assert ("hints",) == made.scopes
    with tools.db.tenant(office.tenant) as database:
        (row,) = database.execute(select(api_keys).where(api_keys.c.tenant_id == office.tenant)).mappings()
    with tools.db.anyone() as database:
        entries = database.execute(select(directory).where(directory.c.tenant_id == office.tenant)).all()
    assert value not in str(dict(row)) + str(entries)
    assert made == tools.api_keys.find(value)
    assert "Softphone" == made.label


def test_a_key_that_could_do_nothing_is_not_made(tools: Services, office: Office) -> None:
    for scopes in ([], ["everything"], ["hints", "everything"]):
        with pytest.raises(Malformed):
            tools.api_keys.create(office.tenant, label="x", scopes=scopes)


def test_a_key_of_next_door_can_be_neither_seen_nor_revoked(
    tools: Services, office: Office, neighbour: TenantId
) -> None:
    made, value = tools.api_keys.create(office.tenant, label="Softphone", scopes=["hints"])

    with pytest.raises(Missing):
        tools.api_keys.revoke(neighbour, made.id)
    assert [] == tools.api_keys.all(neighbour)
    assert office.tenant == tools.api_keys.find(value).tenant


def test_when_a_key_was_last_used_is_known(client: FlaskClient, tools: Services, office: Office) -> None:
    made, value = tools.api_keys.create(office.tenant, label="Softphone", scopes=["calls.read"])
    assert made.last_used_at is None

    assert 200 == client.get("/api/v1/calls", headers={"Authorization": f"Bearer {value}"}).status_code
    assert tools.api_keys.get(office.tenant, made.id).last_used_at is not None


# ---- strangers x routes -------------------------------------------------------------------------------------------

ROUTES = {  # door -> what it needs
    ("POST", "/api/v1/dial"): "dial",
    ("POST", f"/api/v1/calls/{uuid4()}/hangup"): "dial",
    ("GET", "/api/v1/calls"): "calls.read",
    ("GET", "/api/v1/contacts"): "contacts.read",
    ("GET", "/api/v1/lookup?number=600111222"): "hints",
    ("GET", "/api/v1/route?number=600111222"): "hints",
}
DIAL = {"agent": "bob@a.example", "number": DANA}


def knock(client: FlaskClient, method: str, path: str, headers: dict[str, str]) -> TestResponse:
    more: dict[str, Any] = {"json": DIAL} if path.endswith("/dial") else {}
    return client.open(path, method=method, headers={"Idempotency-Key": "k1"} | headers, **more)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route[1].partition("?")[0][:14])
def test_strangers_are_refused_at_every_door(
    route: tuple[str, str], client: FlaskClient, tools: Services, office: Office
) -> None:
    """No key, a made-up one, a session's word, a revoked one: one answer. One made for all else: 403."""
    made, value = tools.api_keys.create(office.tenant, label="old", scopes=SCOPES)
    assert knock(client, *route, {"Authorization": f"Bearer {value}"}).status_code in (200, 202, 404)
    tools.api_keys.revoke(office.tenant, made.id)
    words = [
        "",
        "Bearer",
        "Bearer x",
        f"Bearer {value}",
        f"Basic {value}",
        "Bearer lk_" + "x" * 43,
        "Bearer " + "é" * 9,
    ]
    words += ["Bearer " + "l" * 5000, value]
    before = len(tools.ledger.rows(office.tenant))

    answers = [knock(client, *route, {"Authorization": word} if word else {}) for word in words]

    assert {(401, "This request could not be authenticated.")} == {
        (answer.status_code, (answer.json or {}).get("title")) for answer in answers
    }
    others = [scope for scope in SCOPES if scope != ROUTES[route]]
    answer = knock(client, *route, key_of(tools, office.tenant, *others))
    assert (403, "key.scope") == (answer.status_code, (answer.json or {})["code"])
    assert before == len(tools.ledger.rows(office.tenant))


def test_a_key_opens_nothing_of_an_erased_tenant(client: FlaskClient, tools: Services, office: Office) -> None:
    key = key_of(tools, office.tenant)
    assert 200 == client.get("/api/v1/calls", headers=key).status_code
    tools.tenants.set(office.tenant, state="erasing")

    assert 401 == client.get("/api/v1/calls", headers=key).status_code


# ---- dialling -----------------------------------------------------------------------------------------------------


def dial(client: FlaskClient, key: dict[str, str], once: str = "k1", **told: Any) -> TestResponse:
    return client.post("/api/v1/dial", json=DIAL | told, headers={"Idempotency-Key": once} | key)


def test_a_dial_is_owed_once_for_each_name(
    client: FlaskClient, tools: Services, office: Office, key: dict[str, str]
) -> None:
    answers = [dial(client, key, once) for once in ("k1", "k1", "k2")]

    assert [(202, False), (202, True), (202, False)] == [
        (answer.status_code, (answer.json or {})["repeated"]) for answer in answers
    ]
    assert {"dialled": DANA, "then": "", "extension": "", "repeated": False} == answers[0].json
    owed = tools.effects.waiting(office.tenant, "calls")
    assert [("dial", DANA, "Bob@a.example")] * 2 == [
        (effect.kind, effect.payload["number"], effect.payload["email"]) for effect in owed
    ]
    assert all(row.actor.startswith("key:") for row in tools.ledger.rows(office.tenant) if row.action == "call.dialled")


@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        ({"number": "112"}, 403, "dial.emergency"),
        ({"number": "0034 112"}, 403, "dial.emergency"),
        ({"number": "call me"}, 400, "dial.impossible"),
        ({"number": ""}, 400, "dial.impossible"),
        ({"number": "9" * 201}, 400, "field.invalid"),
        ({"number": 34600111222}, 400, "field.invalid"),
        ({"number": None}, 400, "field.invalid"),
        ({"agent": "charlie@a.example"}, 400, "agent.unknown"),
        ({"agent": "299"}, 400, "agent.unknown"),
        ({"extension": "299"}, 400, "dial.not_their_line"),
        ({"mood": "sunny"}, 400, "field.invalid"),
    ],
)
def test_what_cannot_be_dialled_is_refused_and_leaves_nothing(
    told: dict[str, Any],
    status: int,
    code: str,
    client: FlaskClient,
    tools: Services,
    office: Office,
    key: dict[str, str],
) -> None:
    answer = dial(client, key, **told)

    assert (status, code, REFUSED) == (answer.status_code, (answer.json or {})["code"], (answer.json or {}).keys())
    assert [] == tools.effects.waiting(office.tenant, "calls")


@pytest.mark.parametrize("once", ["", " ", "k" * 129, "a b"])
def test_a_dial_without_a_name_is_refused(once: str, client: FlaskClient, key: dict[str, str]) -> None:
    answer = dial(client, key, once)

    assert (400, "idempotency.key") == (answer.status_code, (answer.json or {})["code"])


BODIES = {
    "nothing": (b"", 400),
    "not JSON": (b"{", 400),
    "a list": (b"[]", 400),
    "a depth of 10,000": (b'{"a":' * 10_000, 400),
    "not UTF-8": (b'{"agent": "\xff"}', 400),
    "half a character": (b'{"agent": "\\ud800", "number": "1"}', 400),
    "a NUL": (b'{"agent": "b\\u0000b", "number": "600111222"}', 400),
    "huge": (b" " * (256 * 1024 + 1), 413),
}


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_none_is_refused(
    body: bytes, status: int, client: FlaskClient, tools: Services, office: Office, key: dict[str, str]
) -> None:
    headers = {"Idempotency-Key": "k1"} | key
    answer = client.post("/api/v1/dial", data=body, headers=headers, content_type="application/json")

    assert status == answer.status_code
    assert 415 == client.post("/api/v1/dial", data=b"a=b", headers=headers, content_type="text/plain").status_code
    assert [] == tools.effects.waiting(office.tenant, "calls")


def test_the_chosen_telephone_rings(client: FlaskClient, tools: Services, office: Office, key: dict[str, str]) -> None:
    """Where the last call rang, until the user says where; a program may name another of theirs."""
    with tools.db.tenant(office.tenant) as database:
        for line in ("201", "31", "201"):
            tools.devices.learn(database, office.tenant, office.bob.id, line)
            tools.tenants.learn_extension(database, office.tenant, office.bob.id, line)

    def rung(once: str, **told: str) -> str:
        return str((dial(client, key, once, **told).json or {})["extension"])

    assert "201" == rung("k1")
    assert "31" == rung("k2", extension="31")
    tools.devices.choose(office.tenant, office.bob.id, "31")
    assert "31" == rung("k3")
    assert ["31", "201"] == [device.extension for device in tools.devices.of(office.tenant, office.bob.id)]
    with pytest.raises(Missing):
        tools.devices.choose(office.tenant, office.alice.id, "31")
    tools.devices.choose(office.tenant, office.bob.id, "")
    assert "201" == rung("k4")
    found = tools.tenants.agent(office.tenant, extension="31")
    assert found is not None
    assert office.bob.id == found.id  # his other telephone is his
    named = {(office.alice.email.upper(), "201"), ("", "31"), ("nobody@alice.example", "201"), ("", "999"), ("", "")}
    whose = {names: user and user.id for names, user in tools.tenants.agents(office.tenant, named).items()}
    assert whose == dict.fromkeys(named) | {
        (office.alice.email.upper(), "201"): office.alice.id,
        ("", "31"): office.bob.id,
        ("nobody@alice.example", "201"): office.bob.id,
    }


# ---- steering -----------------------------------------------------------------------------------------------------


def test_a_live_call_is_steered_once_for_each_name(
    client: FlaskClient, tools: Services, office: Office, key: dict[str, str]
) -> None:
    call = call_of(tools, office, over=False)

    def press(action: str, once: str = "", **body: Any) -> TestResponse:
        return client.post(f"/api/v1/calls/{call}/{action}", headers={"Idempotency-Key": once} | key, **body)

    answers = [press("hold", "k1"), press("hold", "k1"), press("dtmf", json={"digits": "5#"}), press("hangup")]

    assert [False, True, False, False] == [(answer.json or {})["repeated"] for answer in answers]
    owed = tools.effects.waiting(office.tenant, "calls")
    assert [("hold", ""), ("dtmf", "5#"), ("hangup", "")] == [
        (effect.payload["action"], effect.payload["digits"]) for effect in owed
    ]
    assert {("control", call, "c1")} == {(effect.kind, effect.call, effect.payload["ref"]) for effect in owed}
    for action, body in (
        ("dtmf", {}),
        ("dtmf", {"json": {"digits": "x"}}),
        ("hold", {"json": {"digits": "5"}}),
        ("hold", {"json": {"to": "201"}}),
        ("transfer", {}),
        ("transfer", {"json": {"to": "call me"}}),
    ):
        assert 400 == press(action, **body).status_code
    assert 403 == press("transfer", json={"to": "112"}).status_code
    assert 202 == press("transfer", "k2", json={"to": "+34 911 222 333"}).status_code
    assert {"number": "+34911222333"} == tools.effects.waiting(office.tenant, "calls")[-1].payload["to"]
    assert 404 == press("explode").status_code


def test_only_a_live_call_of_this_tenant_is_steered(
    client: FlaskClient, tools: Services, office: Office, key: dict[str, str], neighbour: TenantId
) -> None:
    over, live = call_of(tools, office, "c1"), call_of(tools, office, "c2", over=False)
    charlies = key_of(tools, neighbour)

    def status(call: object, who: dict[str, str]) -> int:
        return client.post(f"/api/v1/calls/{call}/hangup", headers=who).status_code

    assert [404, 404, 404, 404] == [status(over, key), status(uuid4(), key), status("x", key), status(live, charlies)]
    assert [] == tools.effects.waiting(office.tenant, "calls")


# ---- the same on every device -------------------------------------------------------------------------------------


def read(client: FlaskClient, key: dict[str, str], kind: str, token: str = "", **asked: Any) -> Any:
    query = {"since": token} | asked if token else asked
    answer = client.get(f"/api/v1/{kind}", query_string=query, headers=key)
    assert 200 == answer.status_code, answer.data
    return answer.json


def test_a_device_keeps_the_same_contacts(
    client: FlaskClient, tools: Services, office: Office, key: dict[str, str]
) -> None:
    """Page by page to the end; then what changed, then what went, then nothing."""
    people = [person(f"P{place}", "Quince", "Quince Ltd", f"+3460011100{place}", "") for place in range(5)]
    ids = {str(id) for id in meet(tools, office.tenant, office.crm, people)}
    known: dict[str, Any] = {}
    token, pages = "", 0
    while True:
        page = read(client, key, "contacts", token, limit=2)
        known |= {row["id"]: row for row in page["changed"]}
        token, pages = page["next"], pages + 1
        if not page["more"]:
            break

    assert (ids, 3) == (known.keys(), pages)
    assert {"P0 Quince": "+34600111000"} == {
        row["name"]: row["numbers"][0]["number"] for row in known.values() if row["name"] == "P0 Quince"
    }
    page = read(client, key, "contacts", token)
    assert ([], [], False) == (page["changed"], page["gone"], page["more"])
    went = sorted(ids)[0]
    with tools.db.tenant(office.tenant) as database:
        database.execute(update(contacts).where(contacts.c.id == UUID(sorted(ids)[1])).values(updated_at=func.now()))
        database.execute(delete(contacts).where(contacts.c.tenant_id == office.tenant, contacts.c.id == UUID(went)))
    page = read(client, key, "contacts", page["next"])
    assert ([sorted(ids)[1]], [went]) == ([row["id"] for row in page["changed"]], page["gone"])
    assert [] == read(client, key, "contacts")["gone"]  # who begins has nothing to remove


def test_a_device_keeps_the_same_calls(
    client: FlaskClient, tools: Services, office: Office, key: dict[str, str]
) -> None:
    """While it rings, when it is over, and when it is erased."""
    call = call_of(tools, office, outcome="answered", over=False)
    page = read(client, key, "calls")
    (row,) = page["changed"]
    assert (str(call), "answered", DANA, "201") == (row["id"], row["state"], row["number"], row["agent"]["extension"])
    assert {"changed", "gone", "next", "more"} == page.keys()

    assert call == call_of(tools, office, talk=90)
    page = read(client, key, "calls", page["next"])
    assert [("ended", "answered", 90)] == [
        (row["state"], row["outcome"], row["talk_seconds"]) for row in page["changed"]
    ]
    with tools.db.tenant(office.tenant) as database:
        database.execute(delete(calls).where(calls.c.tenant_id == office.tenant))
    assert [str(call)] == read(client, key, "calls", page["next"])["gone"]


def test_what_commits_late_is_not_skipped(
    client: FlaskClient, tools: Services, office: Office, key: dict[str, str]
) -> None:
    """Somebody's transaction is open while others commit after it: whoever reads meanwhile still sees it later."""
    late, early = uuid4(), uuid4()
    with tools.db.tenant(office.tenant) as slow:
        slow.execute(insert(contacts).values(id=late, tenant_id=office.tenant))
        with tools.db.tenant(office.tenant) as quick:
            quick.execute(insert(contacts).values(id=early, tenant_id=office.tenant))
        page = read(client, key, "contacts")
        assert str(late) not in str(page)
    page = read(client, key, "contacts", page["next"])

    assert {str(late), str(early)} == {row["id"] for row in page["changed"]}


def test_a_token_is_good_for_one_tenant_one_list_and_a_month(
    client: FlaskClient, tools: Services, office: Office, key: dict[str, str], neighbour: TenantId
) -> None:
    token = read(client, key, "calls")["next"]
    charlies = key_of(tools, neighbour)

    def answer(kind: str, who: dict[str, str], since: str) -> tuple[int, str]:
        told = client.get(f"/api/v1/{kind}", query_string={"since": since}, headers=who)
        return told.status_code, (told.json or {}).get("code", "")

    wrong = (400, "token.invalid")
    assert wrong == answer("calls", charlies, token)
    assert wrong == answer("contacts", key, token)
    for since in ("x", "é", "A" * 64, token[:-2], token[2:], "A" * 201, "\0"):
        assert wrong == answer("calls", key, since)
    month = replace(tools, now=lambda: NOON + timedelta(days=29, seconds=1))
    told = house.front(month).get("/api/v1/calls", query_string={"since": token}, headers=key)
    assert (410, "token.too_old") == (told.status_code, (told.json or {})["code"])


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=-1", "limit=x", "limit=1&limit=2", "page=2", "limit="]
)
def test_a_question_this_list_does_not_answer_is_refused(query: str, client: FlaskClient, key: dict[str, str]) -> None:
    assert 400 == client.get(f"/api/v1/calls?{query}", headers=key).status_code


# ---- whatever /openapi.json allows --------------------------------------------------------------------------------

TEXTS = st.text(max_size=60)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.dictionaries(st.sampled_from(["agent", "number", "extension", "x"]), TEXTS | st.none() | st.integers()),
    since=TEXTS,
    limit=TEXTS,
    number=TEXTS,
    action=st.sampled_from(["hangup", "dtmf", "x", ""]),
)
def test_no_question_upsets_a_door(
    told: dict[str, Any],
    since: str,
    limit: str,
    number: str,
    action: str,
    client: FlaskClient,
    key: dict[str, str],
) -> None:
    """A clear answer, never a 5xx."""
    answers = [
        client.post("/api/v1/dial", data=json.dumps(told), headers=key, content_type="application/json"),
        client.get("/api/v1/calls", query_string={"since": since, "limit": limit}, headers=key),
        client.get("/api/v1/contacts", query_string={"since": since}, headers=key),
        client.get("/api/v1/lookup", query_string={"number": number, "form": "text"}, headers=key),
        client.get("/api/v1/route", query_string={"number": number, "line": since}, headers=key),
        client.post(f"/api/v1/calls/{uuid4()}/{action}", headers=key),
    ]
    assert all(answer.status_code < 500 for answer in answers)


def test_the_doors_are_described(client: FlaskClient) -> None:
    """With what each takes and the key they want."""
    told = client.get("/openapi.json").json or {}
    paths = {path for path in told["paths"] if path.startswith("/api/v1/")}

    assert {f"/api/v1/{name}" for name in (*ONES, "calls/{call}/{action}", "contacts/{contact}")} == paths
    assert all(
        [{"bearer": []}] == operation["security"]
        for path in paths
        for method, operation in told["paths"][path].items()
        if method in ("get", "post", "patch")
    )
    assert "http" == told["components"]["securitySchemes"]["bearer"]["type"]
