"""Google's Marketplace licences: what was removed there ends here after a grace, never because Google was silent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.errors import Refused, TryLater, Upstream
from integrations.google.licences import Licence
from integrations.google.robot import Robot
from integrations.google.sessions import Sessions
from jobs import licences
from jobs.licences import GRACE, LEAST, Seen
from jobs.services import LICENCE, Services
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from tests import house
from tests.google_stage import BOB, Stage, running
from tests.robot import ROBOT, hired, key_file

APP = "712345678901"
DOMAIN = BOB.partition("@")[2]
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def google() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture(scope="module")
def tools(google: Stage, db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    outside = {
        "GOOGLE_TOKEN_URI": f"{google.origin}/token",
        "GOOGLE_REVOKE_URI": f"{google.origin}/revoke",
        "GOOGLE_API_ROOT": google.origin,
        "GOOGLE_MARKETPLACE_APP_ID": APP,
        "GOOGLE_SERVICE_ACCOUNT_KEY": key_file(),
    }
    with house.services(db_urls, work_url, mail_url, **outside) as opened:
        yield opened


@dataclass
class Account:
    """Bob's Google account, and what the Marketplace has of it."""

    google: Stage
    tools: Services
    tenant: TenantId
    id: UUID

    @property
    def tie(self) -> Tie:
        return self.tools.connections.get(self.tenant, self.id)

    @property
    def seen(self) -> Seen:
        return Seen.of(self.tie)

    def install(self, by: str = "admin", whom: str = DOMAIN, **more: Any) -> None:
        self.google.post("marketplace", application=APP, by=by, whom=whom, **more)

    def look(self, later: timedelta = timedelta()) -> dict[str, int]:
        """What the worker does four times a day, `later` than now."""
        tools = replace(self.tools, now=lambda: datetime.now(UTC) + later)
        return licences.look(tools, self.tie, chore(self.id))

    def actions(self) -> list[str]:
        return [row.action for row in self.tools.ledger.rows(self.tenant)]


def chore(tie: UUID) -> Chore:
    return Chore(
        id=tie, connection=tie, kind=LICENCE, lane="contacts", every_seconds=1, due_at=datetime.now(UTC),
        last_ok_at=None, reason="", failures=0, progress={},
    )  # fmt: skip


@pytest.fixture
def account(google: Stage, tools: Services, tenant: TenantId) -> Account:
    google.fresh()
    hired(google)
    return Account(google, tools, tenant, house.google_account(tools, tenant, label=BOB))


REMOVALS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "from the whole domain": ({}, {"installed": False}),
    "from one unit": ({"whom": BOB}, {"whom": BOB, "installed": False}),
    "by the user": ({"by": "user", "whom": BOB}, {"by": "user", "whom": BOB, "installed": False}),
    "as nobody pays": ({}, {"by": "billing", "whom": BOB, "installed": False}),
}


@pytest.mark.parametrize(("installed", "removed"), REMOVALS.values(), ids=REMOVALS)
def test_what_is_removed_ends_after_a_grace(
    account: Account, installed: dict[str, Any], removed: dict[str, Any]
) -> None:
    """Three days and three answers later, once, with a certificate; a minute before not."""
    account.install(**installed)
    assert {"held": 1} == account.look()
    assert (True, None) == (account.seen.held, account.seen.ends_at)
    account.install(**removed)

    told = [account.look(), account.look(GRACE - HOUR)]

    assert [{"lapsed": 1}] * 2 == told
    assert ("active", 2) == (account.tie.state, account.seen.times)
    assert 1 == account.actions().count("licence.lapsed")
    assert {"lapsed": 1} == account.look(GRACE + HOUR)
    assert ("disconnected", "google.unlicensed") == (account.tie.state, account.tie.reason)
    assert {} == account.look(GRACE + HOUR)  # a second time there is nothing to end
    assert 1 == account.actions().count("certificate.disconnect")


def test_the_time_alone_ends_nothing(account: Account) -> None:
    """After a week of which we slept through six days there are fewer than three answers."""
    account.install()
    account.look()
    account.install(installed=False)
    account.look()
    account.look(timedelta(days=7))

    assert ("active", LEAST - 1) == (account.tie.state, account.seen.times)


def test_who_installs_again_loses_nothing(account: Account) -> None:
    account.install()
    account.look()
    account.install(installed=False)
    account.look()
    account.install()

    assert {"held": 1} == account.look(GRACE + HOUR)
    assert (Seen(held=True), "active") == (account.seen, account.tie.state)
    assert "licence.back" in account.actions()


def test_who_connects_again_meanwhile_wants_it(account: Account) -> None:
    """A consent given since is a wish of its own; from then on the account is one that somebody connected here."""
    account.install()
    account.look()
    account.install(installed=False)
    account.look()
    house.google_account(account.tools, account.tenant, tie=account.id)

    told = [account.look(GRACE + HOUR) for _ in range(LEAST + 1)]

    assert [{"none": 1}] * (LEAST + 1) == told
    assert (Seen(), "active") == (account.seen, account.tie.state)


def test_an_account_that_was_never_installed_has_nothing_to_lose(account: Account) -> None:
    """Bob connected his account in the console; somebody else's organisation installs."""
    account.install(whom="elsewhere.example")

    assert [{"none": 1}] * 5 == [account.look(GRACE * days) for days in range(5)]
    assert (Seen(), "active") == (account.seen, account.tie.state)


FAULTS: dict[str, dict[str, Any]] = {
    "down": {"action": "status", "status": 503},
    "forbidden": {"action": "status", "status": 403, "body": {"error": {"code": 403, "errors": []}}},
    "no such thing": {"action": "status", "status": 404},
    "refused for good": {"action": "status", "status": 401},
    "a page": {"action": "html"},
    "cut short": {"action": "truncated"},
    "without a state": {"action": "status", "status": 200, "body": {"kind": "appsmarket#userLicense"}},
    "with another": {"action": "status", "status": 200, "body": {"state": "PENDING"}},
    "a list": {"action": "status", "status": 200, "body": "[]"},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_silence_and_refusals_count_for_nothing(account: Account, fault: dict[str, Any]) -> None:
    """Not for the account, and not against the connection, which has no part in it."""
    account.install()
    account.look()
    before = account.seen
    account.google.fault("GET /appsmarket/v2/userLicense/*", times=9, **fault)

    told = [account.look(GRACE * days) for days in range(1, 4)]
    account.google.delete("faults")

    assert [{"unknown": 1}] * 3 == told
    assert (before, "active", "") == (account.seen, account.tie.state, account.tie.reason)


def test_a_lost_consent_is_looked_into_at_once(account: Account) -> None:
    """Was it taken back, or were we removed? The chore was far away, and is due now."""
    account.tools.chores.ensure(account.tenant, account.id, LICENCE, lane="contacts", every_seconds=21_600)
    (far,) = account.tools.chores.all(account.tenant)
    account.tools.chores.went_well(account.tenant, far)
    assert [] == account.tools.chores.due(account.tenant, "contacts")
    account.tools.chores.ensure(account.tenant, account.id, LICENCE, lane="contacts", every_seconds=21_600)
    assert [] == account.tools.chores.due(account.tenant, "contacts")

    account.tools.grants.stop(account.tenant, account.id, "google.tokens_revoked", given_before=datetime.now(UTC))

    assert [LICENCE] == [one.kind for one in account.tools.chores.due(account.tenant, "contacts")]


def test_the_domain_says_whether_an_administrator_has_it(account: Account) -> None:
    found = account.tools.licences()
    assert found is not None
    account.install(whom="elsewhere.example")
    assert [False, True] == [found.of_domain(DOMAIN), found.of_domain("elsewhere.example")]
    account.install(whom=BOB)
    assert [Licence(True, True), Licence(True, False)] == [found.of_user(BOB), found.of_user(f"other@{DOMAIN}")]


ROBOTS: dict[str, tuple[str, type[Upstream]]] = {
    "of nobody": (key_file("other@linekeeper.iam.gserviceaccount.com"), Refused),
    "that is none": (json.dumps({"client_email": ROBOT, "private_key": "made up"}), Refused),
}


@pytest.mark.parametrize(("key", "error"), ROBOTS.values(), ids=ROBOTS)
def test_a_key_that_opens_nothing_says_so(google: Stage, account: Account, key: str, error: type[Upstream]) -> None:
    robot = Robot(key, f"{google.origin}/token", Sessions(), lambda: datetime.now(UTC).timestamp(), timeout=20)

    with pytest.raises(error) as refused:
        robot.tokens("made-up")()
    assert refused.value.code in ("google.robot_key", "google.robot_refused")
    with pytest.raises(TryLater):
        Robot(key_file(), "http://127.0.0.1:9/token", Sessions(), lambda: 1.0, timeout=20).tokens("made-up")()


def test_nobody_is_asked_without_an_application(db_urls: Postgres, work_url: str, mail_url: str) -> None:
    with house.services(db_urls, work_url, mail_url, GOOGLE_SERVICE_ACCOUNT_KEY=key_file()) as opened:
        assert opened.licences() is None
