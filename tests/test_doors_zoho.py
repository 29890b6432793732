"""Zoho's doors: a notification is believed by its channel's token, a click by its secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from store.tenants import User
from tests import house

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
TOKEN, SECRET = "the channel's token", "the-secret-of-clicks"


@pytest.fixture(scope="module")
def tools(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    """The product, with a clock that stands."""
    with house.services(db_urls, work_url, mail_url) as opened:
        yield replace(opened, now=lambda: NOW)


@pytest.fixture
def client(tools: Services) -> FlaskClient:
    return house.front(tools)


@pytest.fixture
def alice(tools: Services, tenant: TenantId) -> User:
    return house.administrator(tools, tenant)


@pytest.fixture
def zoho(tools: Services, alice: User) -> Tie:
    tie = tools.connections.first(alice.tenant, "crm")
    assert tie is not None
    return tie


# ---- notifications ------------------------------------------------------------------------------------------------


@pytest.fixture
def watch(tools: Services, zoho: Tie) -> str:
    """The address Zoho tells changes to, once it was asked to."""
    tools.connections.set_cursor(zoho.tenant, zoho.id, "watch.token", TOKEN)
    return "/webhooks/zoho/notifications/" + tools.directory.new("door", zoho.tenant, connection=zoho.id)


def notice(**told: Any) -> bytes:
    body = {"channel_id": "77", "module": "Contacts", "ids": ["1"], "operation": "update", "token": TOKEN} | told
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/json;charset=UTF-8"])
def test_a_notification_with_the_channels_token_is_written_down_once(
    content_type: str, client: FlaskClient, tools: Services, zoho: Tie, watch: str
) -> None:
    """For the contacts' lane; a repeat is answered the same."""
    answers = [client.post(watch, data=notice(), content_type=content_type).status_code for _ in range(2)]

    assert [202, 202] == answers
    (waiting,) = tools.inbox.pending(zoho.tenant, "contacts")
    assert (zoho.id, "crm", notice()) == (waiting.connection, waiting.kind, waiting.body)


def test_ten_thousand_records_at_once_are_one_delivery(
    client: FlaskClient, tools: Services, zoho: Tie, watch: str
) -> None:
    """They are read again in batches, later."""
    many = notice(ids=[str(number) for number in range(10**17, 10**17 + 10_000)])

    assert 202 == client.post(watch, data=many, content_type="application/json").status_code
    assert {"pending": 1} == tools.inbox.counts(zoho.tenant)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (notice(token="another"), 401),
        (notice(token=TOKEN + " "), 401),
        (notice(token="nobody's token"), 401),
        (notice(token=""), 401),
        (notice(token=None), 401),
        (notice(token=["the channel's token"]), 401),
        (notice(ids="1"), 400),
        (notice(ids=["1'; DROP"]), 400),
        (notice(ids=[str(number) for number in range(10_001)]), 400),
        (notice(module="../Contacts"), 400),
        (notice(operation="explode"), 400),
        (b"<xml/>", 400),
        (b'{"a":' * 10_000, 400),
        (b"", 400),
    ],
)
def test_a_notification_without_it_is_refused(
    body: bytes, status: int, client: FlaskClient, tools: Services, zoho: Tie, watch: str
) -> None:
    """Nothing is looked up by what stands in it, and nothing is written."""
    answer = client.post(watch, data=body, content_type="application/json")

    assert (status, {"code", "status", "title", "type"}) == (answer.status_code, (answer.json or {}).keys())
    assert {} == tools.inbox.counts(zoho.tenant)


@pytest.mark.parametrize("token", [TOKEN, "nobody's token"])
def test_a_door_that_was_not_made_for_notifications_takes_none(
    token: str, client: FlaskClient, tools: Services, alice: User
) -> None:
    """Whoever knows the phone system's door cannot speak for Zoho there, nor through one nobody made."""
    door = house.path_of(house.phone_system(tools, alice)).rpartition("/")[2]

    for name in (door, "A" * 43):
        path = f"/webhooks/zoho/notifications/{name}"
        assert 401 == client.post(path, data=notice(token=token), content_type="application/json").status_code
    assert {} == tools.inbox.counts(alice.tenant)


# ---- clicks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def dial(tools: Services, alice: User, zoho: Tie) -> str:
    """The address Zoho sends clicks to, with a phone system behind it."""
    house.phone_system(tools, alice)
    tools.connections.add_secret(zoho.tenant, zoho.id, "dial", SECRET)
    return "/webhooks/zoho/dial/" + tools.directory.new("door", zoho.tenant, connection=zoho.id)


def click(client: FlaskClient, path: str, login: str, number: str = "600 111 222", secret: str = SECRET) -> int:
    form = {"zohouser": login, "tonumber": number}
    return client.post(path, data=form, headers={"Authorization": f"Bearer {secret}"}).status_code


def test_a_click_is_one_dialling(client: FlaskClient, tools: Services, alice: User, dial: str) -> None:
    """A second click on the same number within three seconds is the same click, however it is spelled."""
    assert [200, 200] == [click(client, dial, alice.login_id, number) for number in ("600 111 222", "+34600111222")]

    (effect,) = tools.effects.waiting(alice.tenant, "calls")
    assert ("dial", "+34600111222", "alice@alice.example") == (
        effect.kind,
        effect.payload["number"],
        effect.payload["email"],
    )
    assert "600111222" not in effect.key


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"secret": "another"}, 401),
        ({"secret": ""}, 401),
        ({"secret": "nobody's secret"}, 401),
        ({"login": "4711"}, 400),
        ({"login": "' OR 1=1"}, 400),
        ({"number": ""}, 400),
        ({"number": "call me"}, 400),
        ({"number": "9" * 65}, 400),
        ({"number": "anonymous"}, 400),
        ({"path": "/webhooks/zoho/dial/" + "A" * 43}, 401),
    ],
)
def test_a_click_nobody_made_rings_nowhere(
    change: dict[str, str], status: int, client: FlaskClient, tools: Services, alice: User, dial: str
) -> None:
    """No secret, no user of this organisation, no number: no call, and no trace."""
    before = len(tools.ledger.rows(alice.tenant))

    assert status == click(client, **{"path": dial, "login": alice.login_id} | change)
    assert [] == tools.effects.waiting(alice.tenant, "calls")
    assert before == len(tools.ledger.rows(alice.tenant))
