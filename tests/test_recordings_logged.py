"""The link to a recording in the CRM: in the activity, added to it later, replaced when it was revoked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from domain.recording import Rules
from jobs import log_call, recordings
from store.database import TenantId
from store.embedded import Postgres
from tests import house, recording_office
from tests.recording_office import (
    DAY,
    Alice,
    sound_of,
)


@pytest.fixture(scope="module")
def offices(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Callable[[TenantId], Alice]]:
    with recording_office.offices(db_urls, work_url, mail_url) as furnish:
        yield furnish


@pytest.fixture
def alice(offices: Callable[[TenantId], Alice], tenant: TenantId) -> Alice:
    return offices(tenant)


@pytest.mark.parametrize("writer", ["records", "bridge"])
def test_an_activity_carries_the_link(alice: Alice, writer: str) -> None:
    """Whoever writes it, and the CRM plays it without credentials until the recording's time is over."""
    alice.tools.tenants.set(alice.tenant, call_writer=writer)
    call = alice.call()
    log_call.act(alice.tools, alice.tenant)

    (activity,) = alice.crm.logged if writer == "records" else alice.crm.finished
    path = activity.recording_url.removeprefix(house.ORIGIN)
    assert len(activity.recording_url) <= 450  # what Zoho's field holds
    assert sound_of(alice, call) == alice.at(29 * DAY).get(path).data
    assert [f"door:{alice.office.crm}"] == alice.listens()
    assert 404 == alice.at(30 * DAY).get(path).status_code
    assert [] == alice.owed("activity.update")


def test_without_a_basis_the_activity_has_no_link(alice: Alice) -> None:
    alice.rule(Rules())
    alice.call()
    log_call.act(alice.tools, alice.tenant)

    assert [""] == [activity.recording_url for activity in alice.crm.logged]


@pytest.mark.parametrize(("writer", "row"), [("records", "row-0"), ("bridge", "row-of-zoho")])
def test_a_recording_that_comes_late_is_added(alice: Alice, writer: str, row: str) -> None:
    """Once, to the very row, and nothing else in it is touched."""
    alice.tools.tenants.set(alice.tenant, call_writer=writer)
    call = alice.call(late=True)
    told = alice.crm.logged if writer == "records" else alice.crm.finished
    assert [""] == [activity.recording_url for activity in told]

    for _ in range(2):
        log_call.act(alice.tools, alice.tenant)

    ((there, url),) = alice.crm.amended
    assert row == there
    assert sound_of(alice, call) == alice.client.get(url.removeprefix(house.ORIGIN)).data
    assert (1, ["done"]) == (len(told), [effect.state for effect in alice.owed("activity.update")])


def test_an_activity_the_crm_has_not_written_yet_is_waited_for(alice: Alice) -> None:
    alice.tools.tenants.set(alice.tenant, call_writer="bridge")
    alice.crm.there = ""
    alice.call(late=True)

    log_call.act(alice.tools, alice.tenant)

    assert [("due", "activity.waits")] == [(effect.state, effect.reason) for effect in alice.owed("activity.update")]
    assert [] == alice.crm.amended


def test_revoking_gives_the_crm_another_link(alice: Alice) -> None:
    """The old one is worthless at once, the new one plays."""
    call = alice.call()
    log_call.act(alice.tools, alice.tenant)
    old = alice.crm.logged[0].recording_url.removeprefix(house.ORIGIN)
    assert 200 == alice.client.head(old).status_code

    recordings.revoke(alice.tools, alice.tenant, call, actor=f"user:{alice.office.alice.id}")
    assert 404 == alice.client.head(old).status_code
    log_call.act(alice.tools, alice.tenant)

    ((_, new),) = alice.crm.amended
    assert 200 == alice.client.head(new.removeprefix(house.ORIGIN)).status_code
