"""Zoho's marketplace says that our extension came or went: one waits for consent, the other ends all, once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.errors import Malformed
from integrations.zoho.lifecycle import read_lifecycle
from jobs import connect, leaving, purge, worker
from jobs.erase import erase_tenant
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from tests import house
from tests.google_stage import serving
from tests.zoho_stage import ALICE, CLIENT, SECRETS, Stage, running

SECRET = "a-secret-of-the-marketplace-0123456789"
DOOR = "/webhooks/zoho/lifecycle"
ORIGIN = "http://127.0.0.1:8000"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def zoho() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture(scope="module")
def tools(zoho: Stage, db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    outside = {
        "BASE_URL": ORIGIN,
        "ZOHO_CLIENT_ID": CLIENT,
        **{f"ZOHO_CLIENT_SECRET_{code.upper()}": secret for code, secret in SECRETS.items()},
        "ZOHO_SERVERINFO_URL": f"{zoho.us}/oauth/serverinfo",
        "ZOHO_LIFECYCLE_SECRET": SECRET,
    }
    with house.services(db_urls, work_url, mail_url, **outside) as opened:
        yield opened


@dataclass
class Shop:
    """Alice's organisation in Zoho, and the marketplace there."""

    zoho: Stage
    tools: Services
    door: str
    made: set[TenantId]

    def says(self, what: str, package: str = "crm", **told: Any) -> list[int]:
        """The marketplace tells our door."""
        sent = {"org": "alice", "package": package, "event": what, "endpoint": self.door, "secret": SECRET} | told
        answers: list[int] = self.zoho.post("marketplace", **sent)["answers"]
        return answers

    def consent(self) -> tuple[TenantId, UUID]:
        """Alice connects Zoho."""
        asked = connect.begin(
            self.tools, provider="zoho", purpose="install", browser="b", features=("calls", "contacts")
        )
        back = house.decide(self.zoho, asked, user=ALICE)
        done = connect.complete(self.tools, provider="zoho", query=back, browser="b", user=None)
        assert done.connection is not None
        self.made.add(done.user.tenant)
        return done.user.tenant, done.connection

    def tie(self, tenant: TenantId, tie: UUID) -> Tie:
        return self.tools.connections.get(tenant, tie)

    def actions(self, tenant: TenantId) -> list[str]:
        return [row.action for row in self.tools.ledger.rows(tenant)]


@pytest.fixture
def shop(zoho: Stage, tools: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    zoho.fresh()
    zoho.post("clients", client_id=CLIENT, secrets=SECRETS, redirect_uris=[f"{ORIGIN}/oauth/zoho/callback"])
    client = house.front(tools)
    made: set[TenantId] = set()
    with serving(client.application) as origin:
        yield Shop(zoho, tools, f"{origin}{DOOR}", made)
    for tenant in made:
        erase_tenant(tools, tenant)
    with tools.db.anyone() as database:
        database.exec_driver_sql("DELETE FROM installs")


def test_the_whole_life_of_an_extension(shop: Shop) -> None:
    """Installed it waits; Alice consents; removed, everything ends as if she had disconnected; and it may come back."""
    assert [202, 202] == shop.says("installed", times=2)
    assert 1 == shop.tools.installs.waiting()
    assert "linekeeper_installs_waiting 1.0" in house.front(shop.tools).get("/metrics").text

    tenant, tie = shop.consent()
    assert (0, {"crm"}) == (shop.tools.installs.waiting(), shop.tie(tenant, tie).facts["packages"].keys())
    assert [202] == shop.says("updated")
    assert "active" == shop.tie(tenant, tie).state
    held = shop.zoho.get("tokens", org="alice")["refresh"]

    assert [202, 202, 202] == shop.says("removed", times=3)

    gone = shop.tie(tenant, tie)
    assert ("disconnected", "extension.removed") == (gone.state, gone.reason)
    assert (1, 0) == (held, shop.zoho.get("tokens", org="alice")["refresh"])  # withdrawn there
    actions = shop.actions(tenant)
    assert [1, 1] == [actions.count(one) for one in ("consent.withdrawn", "certificate.disconnect")]
    assert "extension.removed" in actions
    assert [] == shop.tools.chores.all(tenant)

    assert [202] == shop.says("installed")
    assert 1 == shop.tools.installs.waiting()
    assert (tenant, tie) == shop.consent()  # the same organisation is the same tenant
    assert "active" == shop.tie(tenant, tie).state


def test_a_late_removal_is_about_an_earlier_installation(shop: Shop) -> None:
    """It was said before the consent that stands: a retry of yesterday ends nothing."""
    tenant, tie = shop.consent()
    earlier = int((datetime.now(UTC) - HOUR).timestamp() * 1000)

    assert [202] == shop.says("removed", at=earlier)
    assert [202] == shop.says("removed", at=str(earlier // 1000 - 7), form=True)  # in seconds, as a form

    assert ("active", "") == (shop.tie(tenant, tie).state, shop.tie(tenant, tie).reason)
    assert "certificate.disconnect" not in shop.actions(tenant)


@pytest.mark.parametrize("spelling", ["hex", "base64"])
def test_desk_goes_without_the_crm(shop: Shop, spelling: str) -> None:
    """Believed by its hash in either spelling. Beside the CRM's extension its removal ends nothing; alone it does."""
    assert [202] == shop.says("installed")
    tenant, tie = shop.consent()
    assert [202] == shop.says("installed", "desk", spelling=spelling)
    assert {"crm", "desk"} == shop.tie(tenant, tie).facts["packages"].keys()
    assert [202] == shop.says("removed", "desk", spelling=spelling)
    assert "active" == shop.tie(tenant, tie).state

    shop.tools.connections.set_facts(tenant, tie, packages={"desk": datetime.now(UTC).isoformat()})
    assert [202] == shop.says("removed", "desk", spelling=spelling, installation=2)

    assert "disconnected" == shop.tie(tenant, tie).state


def test_whoever_says_it_first_ends_it_and_nobody_else(shop: Shop) -> None:
    """An administrator and the marketplace at once: one teardown, one certificate, one withdrawal."""
    tenant, tie = shop.consent()
    found = shop.tie(tenant, tie)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: leaving.end(shop.tools, found, actor="zoho"), range(4)))

    assert 1 == len([one for one in done if one is not None])
    actions = shop.actions(tenant)
    assert [1, 1] == [actions.count(one) for one in ("consent.withdrawn", "certificate.disconnect")]


def test_the_lane_does_what_the_door_could_not(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database faltered after the removal was written down; Zoho need not say it again."""
    tenant, tie = shop.consent()
    with monkeypatch.context() as patch:
        patch.setattr("jobs.installing.act", lambda *_: 1 / 0)
        assert [202] == shop.says("removed")
    assert ("active", {"pending": 1}) == (shop.tie(tenant, tie).state, shop.tools.inbox.counts(tenant))

    worker.visit(shop.tools, tenant, "contacts", seconds=5)

    assert "disconnected" == shop.tie(tenant, tie).state


def test_nobody_waits_for_ever(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without a consent is forgotten after a month, one that was taken back at once."""
    monkeypatch.setattr(shop.tools.db, "tenants", list[TenantId])  # whoever else is in this database is not purged
    assert [202] == shop.says("installed")
    with shop.tools.db.anyone() as database:
        database.exec_driver_sql("UPDATE installs SET expires_at = now() - interval '1 minute'")
    assert 1 == purge.purge(shop.tools).installs

    assert [202] == shop.says("installed")
    assert [202] == shop.says("removed")
    assert 0 == shop.tools.installs.waiting()


BODY = json.dumps({"event": "removed", "organizationId": "20071000001"}).encode()
RIGHT = hmac.digest(SECRET.encode(), BODY, hashlib.sha256)
KNOCKS: dict[str, tuple[str, dict[str, str], bytes, int]] = {
    "without a secret": (DOOR, {}, BODY, 401),
    "with another": (DOOR, {"X-Linekeeper-Secret": SECRET[:-1] + "8"}, BODY, 401),
    "with an empty one": (f"{DOOR}?door=", {"X-Linekeeper-Secret": "", "HASH": ""}, BODY, 401),
    "two in the address": (f"{DOOR}?door={SECRET}&door={SECRET}", {}, BODY, 401),
    "a hash of another body": (DOOR, {"HASH": RIGHT.hex()}, BODY + b" ", 401),
    "in the address": (f"{DOOR}?door={SECRET}", {}, BODY, 202),
    "a hash": (DOOR, {"HASH": base64.b64encode(RIGHT).decode()}, BODY, 202),
    "nothing said": (f"{DOOR}?door={SECRET}", {}, b"", 400),
    "no event": (f"{DOOR}?door={SECRET}", {}, b'{"organizationId": "20071000001"}', 400),
    "no organisation": (f"{DOOR}?door={SECRET}", {}, b'{"event": "removed"}', 400),
    "an organisation that is none": (f"{DOOR}?door={SECRET}", {}, b'{"event": "removed", "orgId": "1 OR 1"}', 400),
    "a list": (f"{DOOR}?door={SECRET}", {}, b"[]", 400),
    "broken": (f"{DOOR}?door={SECRET}", {}, b'{"event": ', 400),
    "deep": (f"{DOOR}?door={SECRET}", {}, b'{"a":' * 20_000, 400),
    "huge": (f"{DOOR}?door={SECRET}", {}, b"{" + b" " * 300_000, 413),
    "after the year 9999": (
        f"{DOOR}?door={SECRET}",
        {},
        b'{"event": "removed", "organizationId": 5, "at": 999999999999999}',
        202,
    ),
    "none of our business": (f"{DOOR}?door={SECRET}", {}, b'{"event": "onConfigParamAdd", "orgId": 5}', 202),
}


@pytest.mark.parametrize(("address", "headers", "body", "status"), KNOCKS.values(), ids=KNOCKS)
def test_only_the_marketplace_is_believed(
    tools: Services, address: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    """And of an organisation nobody connected nothing is written."""
    answer = house.front(tools).post(address, data=body, headers=headers, content_type="application/json")

    assert status == answer.status_code, answer.text
    assert 0 == tools.installs.waiting()


def test_nobody_is_believed_while_there_is_no_secret(db_urls: Postgres, work_url: str, mail_url: str) -> None:
    with house.services(db_urls, work_url, mail_url) as opened:
        answer = house.front(opened).post(f"{DOOR}?door=", data=BODY, headers={"HASH": ""})
        assert 401 == answer.status_code


SAID: dict[str, tuple[dict[str, Any], tuple[str, str, str] | None]] = {
    "as its address has it": ({"event": "removed", "organizationId": "org77"}, ("crm", "removed", "77")),
    "a number": ({"event": "onUninstall", "orgId": 77}, ("desk", "removed", "77")),
    "an upgrade": ({"event": "installed", "organizationId": "77", "isInstall": False}, ("crm", "updated", "77")),
    "an upgrade, in words": (
        {"event": "installed", "organizationId": "77", "isInstall": "false"},
        ("crm", "updated", "77"),
    ),
    "unknown": ({"event": "onTomorrow", "orgId": 77}, None),
}


@pytest.mark.parametrize(("told", "expected"), SAID.values(), ids=SAID)
def test_what_is_said_is_understood(told: dict[str, Any], expected: tuple[str, str, str] | None) -> None:
    news = read_lifecycle(json.dumps(told).encode())

    assert expected == (news and (news.package, news.what, news.organisation))


@pytest.mark.parametrize("at", ["", "soon", "-5", "9" * 16, None, [1]])
def test_a_time_that_is_none_is_left_out(at: Any) -> None:
    news = read_lifecycle(json.dumps({"event": "removed", "orgId": "1", "at": at}).encode())

    assert news is not None
    assert news.at is None
    with pytest.raises(Malformed):
        read_lifecycle(b"event")
