"""What would die silently is announced before: once, to who can mend it, and again when it is mended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from domain.alarm import Signs, alarms
from jobs import alarms as announcing
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from store.tables import connections, deliveries
from tests import house
from tests.console_desk import Office, furnish

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("signs", "found"),
    [
        (Signs(), []),
        (Signs(watched_until=NOW + 48 * HOUR), ["watch"]),
        (Signs(watched_until=NOW + 49 * HOUR), []),
        (Signs(watched_until=NOW - HOUR), ["watch"]),
        (Signs(consented_until=NOW + 72 * HOUR), ["consent"]),
        (Signs(consented_until=NOW + 73 * HOUR), []),
        (Signs(heard_at=NOW - 6 * HOUR), ["silence"]),
        (Signs(heard_at=NOW - 5 * HOUR), []),
        (Signs(consented_until=NOW, watched_until=NOW, heard_at=NOW - 6 * HOUR), ["consent", "watch", "silence"]),
    ],
)
def test_what_is_announced(signs: Signs, found: list[str]) -> None:
    assert found == [one.what for one in alarms(signs, NOW, 6 * HOUR)]


@pytest.fixture(scope="module")
def tools(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    with house.services(db_urls, work_url, mail_url) as opened:
        yield opened


@pytest.fixture
def office(tools: Services, tenant: TenantId) -> Office:
    """Alice, with a phone system that was heard of an hour ago."""
    made = furnish(tools, tenant)
    house.phone_system(tools, made.alice)
    return made


def phone(tools: Services, office: Office) -> Tie:
    tie = tools.connections.first(office.tenant, "telephony")
    assert tie is not None
    return tie


def hear(tools: Services, office: Office, ago: timedelta) -> None:
    """Have the phone system's last news be so old."""
    tie, at = phone(tools, office), tools.db.now() - ago
    with tools.db.tenant(office.tenant) as database:
        mine = (deliveries.c.tenant_id == office.tenant, deliveries.c.connection_id == tie.id)
        database.execute(update(deliveries).where(*mine).values(received_at=at))
        database.execute(
            update(connections).where(connections.c.tenant_id == office.tenant).values(created_at=at - HOUR)
        )


def rows(tools: Services, office: Office) -> list[tuple[str, str]]:
    found = tools.ledger.rows(office.tenant, action="alarm.")
    return [(row.action, row.facts["what"]) for row in reversed(found)]


def test_a_phone_system_nobody_hears_of_is_announced_once_and_when_it_is_over(tools: Services, office: Office) -> None:
    """From the moment it was connected on, whether or not it ever told anything."""
    tie = phone(tools, office)
    announcing.look(tools)
    assert [] == rows(tools, office)

    hear(tools, office, 72 * HOUR)
    for _ in range(2):
        announcing.look(tools)
    assert [("alarm.raised", "silence")] == rows(tools, office)
    assert 'linekeeper_alarms{kind="silence"} 1.0' in house.front(tools).get("/metrics").text

    tools.inbox.write_once(office.tenant, tie.id, "e1", kind="telephony", lane="calls", body=b"{}")
    announcing.look(tools)
    assert [("alarm.raised", "silence"), ("alarm.over", "silence")] == rows(tools, office)
    assert 'linekeeper_alarms{kind="silence"} 0.0' in house.front(tools).get("/metrics").text


def test_how_long_is_the_operators_to_say(tools: Services, office: Office) -> None:
    hear(tools, office, 8 * HOUR)
    strict = replace(tools, settings=replace(tools.settings, alarm_silence_hours=8))

    assert [] == announcing.of(tools, phone(tools, office))
    assert ["silence"] == [one.what for one in announcing.of(strict, phone(tools, office))]
