"""Mail beside calls, against Google's understudy: nothing skipped, nothing doubled, nobody's business kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from domain.errors import Malformed, Missing, NotNow
from domain.urgency import in_background
from integrations.google.units import units
from jobs import privacy, sync_mail
from jobs.erase import erase
from jobs.services import Services
from store.database import TenantId
from store.embedded import Postgres
from store.units import Units
from tests.google_stage import ALICE, BOB, Stage, running
from tests.mail_office import ERIN, Office, connected, opened, tools

DAY = 86_400
HISTORY = "GET /gmail/v1/users/{user_id}/history"


@pytest.fixture(scope="module")
def google() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, google: Stage) -> Iterator[Services]:
    with tools(db_urls, work_url, mail_url, google) as made:
        yield made


@pytest.fixture
def office(services: Services, google: Stage, tenant: TenantId) -> Iterator[Office]:
    with opened(services, google, tenant) as made:
        made.look()
        yield made


def ids(office: Office) -> list[str]:
    return sorted(message.id for message in office.beside(office.dana))


def test_what_happens_elsewhere_is_seen_here(office: Office) -> None:
    """Read, thrown away, taken back; strangers' mail is kept nowhere."""
    first, second = office.mail(), office.mail()
    office.mail("Nobody <nobody@strangers.example>")
    assert {"cached": 2, "removed": 0} == office.look()
    assert all(message.unread for message in office.beside(office.dana))
    gone_at = office.services.mail.gone_at(office.tenant, office.key(first))

    office.google.post("mail/labels", user=ALICE, id=first, remove=["UNREAD"], add=["STARRED"])
    office.google.post("mail/labels", user=ALICE, id=second, add=["TRASH"])
    office.look()
    (kept,) = office.beside(office.dana)
    assert (first, False, {"INBOX", "STARRED"}) == (kept.id, kept.unread, set(kept.labels))
    assert gone_at == office.services.mail.gone_at(office.tenant, kept.key)  # its end is never put off

    office.google.post("mail/labels", user=ALICE, id=second, remove=["TRASH"])
    office.look()
    assert sorted([first, second]) == ids(office)


def test_two_mailboxes_may_have_messages_of_one_id(office: Office) -> None:
    """Google's ids are unique within a mailbox only."""
    other = connected(office.services, office.google, office.bob, BOB, ("mailbox",))
    sync_mail.look(office.services, other)
    mine, theirs = office.mail(), office.mail(user=BOB, subject="To Bob")
    assert mine == theirs
    office.look()
    sync_mail.look(office.services, office.services.connections.get(office.tenant, other.id))

    assert {"Offer", "To Bob"} == {message.subject for message in office.beside(office.dana)}
    opened_one = sync_mail.open_message(office.services, user=office.bob, message_id=sync_mail.key(other, theirs))
    assert opened_one is not None
    assert "To Bob" == opened_one.subject


def test_a_lost_history_heals_without_skipping_or_doubling(office: Office) -> None:
    """What came in between is read, what is there already is not, what went is gone; then the history goes on."""
    before, gone = office.mail(), office.mail()
    office.look()
    office.google.post("mail/delete", user=ALICE, id=gone)
    missed = office.mail()
    office.google.post("mail", user=ALICE, **{"from": ERIN}, subject="Old", date="2020-01-01T00:00:00+00:00")
    office.services.connections.set_cursor(office.tenant, office.tie.id, sync_mail.CURSOR, "1")
    office.google.delete("requests")

    assert {"cached": 1, "removed": 1} == office.look()

    assert sorted([before, missed]) == ids(office)
    assert [] == office.beside(office.erin)  # older than anything is kept
    read = office.google.counts()["GET /gmail/v1/users/{user_id}/messages/{message_id}"]
    assert 1 == read  # the one that was missed
    later = office.mail()
    assert {"cached": 1, "removed": 0} == office.look()
    assert sorted([before, missed, later]) == ids(office)


def test_an_interrupted_look_goes_on_where_it_ended(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sorted(office.mail() for _ in range(60))
    office.google.fault("POST /batch/gmail/v1", "status", status=503, times=None)
    with pytest.raises(Exception, match="503"):
        office.look()
    office.google.delete("faults")
    batches = iter([False, True])
    kept = type(office.services.mail).put

    def stops(cache: Any, *told: Any) -> int:
        if next(batches, False):
            raise NotNow("The minute is used up.", code="mail.budget", wait=1)
        return kept(cache, *told)

    monkeypatch.setattr(type(office.services.mail), "put", stops)
    with pytest.raises(NotNow):
        office.look()
    monkeypatch.undo()
    assert 50 == len(office.services.mail.of_contact(office.tenant, office.dana, 100))

    office.look()
    assert expected == sorted(one.id for one in office.services.mail.of_contact(office.tenant, office.dana, 100))


def test_a_watch_that_is_about_to_end_is_said_and_asked_for_again(office: Office) -> None:
    """Under two days of Gmail's seven; a watch of more than that says nothing."""
    office.work()
    connections, tenant, tie = office.services.connections, office.tenant, office.tie.id
    assert ALICE in office.google.get("pubsub")["watches"]
    assert "" == connections.get(tenant, tie).reason

    soon = office.services.db.now() + timedelta(hours=47)
    connections.set_facts(tenant, tie, watched_until=soon.isoformat())
    office.look()
    assert "mail.watch_ends" == connections.get(tenant, tie).reason

    office.work()  # the chore is due at once
    office.look()
    assert "" == connections.get(tenant, tie).reason
    assert connections.get(tenant, tie).facts["watched_until"] > soon.isoformat()


def test_who_is_kept_out_stays_out_and_goes_at_once(office: Office) -> None:
    """A person or a domain with all below it; in that mailbox alone; its owner's word alone; forgotten with them."""
    services, alice, tie = office.services, office.alice, office.tie.id
    office.mail()
    office.mail(f"Erin <{ERIN}>")
    office.look()
    privacy.keep_out(services, alice, tie, "SOL.example ")
    assert ([], 1) == (office.beside(office.dana), len(office.beside(office.erin)))

    office.mail()
    office.mail("Dana <dana@mail.sol.example>", to=[ALICE, ERIN])
    assert {"cached": 0, "removed": 0} == office.look()
    privacy.keep_out(services, alice, tie, ERIN)
    assert [] == office.beside(office.erin)
    with pytest.raises(Missing):
        privacy.keep_out(services, office.bob, tie, "x.example")
    with pytest.raises(Malformed):
        privacy.keep_out(services, alice, tie, "not a domain")

    erase(services, office.tenant, emails=[ERIN])
    (block,) = privacy.kept_out(services).of(office.tenant, tie)
    assert "sol.example" == block.whom
    privacy.let_in(services, alice, tie, block.id)
    office.mail()
    assert 1 == office.look()["cached"]


def test_a_mailbox_may_be_its_owners_alone(office: Office) -> None:
    id = office.mail()
    office.look()
    services, message = office.services, office.beside(office.dana)

    def opens(user: Any) -> bool:
        return sync_mail.open_message(services, user=user, message_id=office.key(id)) is not None

    assert (message, True) == (privacy.visible(services, office.bob, message), opens(office.bob))
    privacy.show_to(services, office.alice, office.tie.id, owner_only=True)
    assert ([], False) == (privacy.visible(services, office.bob, message), opens(office.bob))
    assert (message, True) == (privacy.visible(services, office.alice, message), opens(office.alice))


# ---- units --------------------------------------------------------------------------------------------------------

ME = "https://gmail.googleapis.com/gmail/v1/users/me"


@pytest.mark.parametrize(
    ("method", "url", "body", "cost"),
    [
        ("GET", f"{ME}/history?startHistoryId=1", None, 2),
        ("GET", f"{ME}/messages?q=after%3A1", None, 5),
        ("GET", f"{ME}/messages/1?format=full", None, 20),
        ("POST", f"{ME}/messages/1/modify", "{}", 5),
        ("POST", f"{ME}/messages/send", "{}", 100),
        ("POST", f"{ME}/watch", "{}", 100),
        ("POST", f"{ME}/drafts", "{}", 20),
        (
            "POST",
            "https://gmail.googleapis.com/batch/gmail/v1",
            "GET /gmail/v1/users/me/messages/1?a=b HTTP/1.1\n" * 3,
            60,
        ),
        ("GET", "https://people.googleapis.com/v1/people/me/connections", None, 0),
    ],
)
def test_every_request_has_its_price(method: str, url: str, body: str | None, cost: int) -> None:
    assert cost == units(method, url, body)


def test_a_minutes_units_come_back_evenly_and_the_last_are_for_people(work_url: str) -> None:
    """All processes share them; without Valkey Google's own count is what is left."""
    one, other = Units(work_url, 6_000), Units(work_url, 6_000)
    try:
        assert 0 == one.take("test", 5_000, 1_000, now=1)
        assert 10 == other.take("test", 1_000, 1_000, now=1)
        assert 0 == other.take("test", 1_000, 0, now=1)  # somebody waits
        assert 0 == one.take("test", 1_000, 1_000, now=20_001)
        assert 0 == one.take("test", 100_000, 1_000, now=200_001)  # more than there ever are: once
        gone = Units("redis://127.0.0.1:1/0", 6_000)
        assert 0 == gone.take("test", 7_000, now=1)
        gone.close()
    finally:
        one.close()
        other.close()


def test_a_look_waits_for_units_and_says_so(services: Services, office: Office) -> None:
    office.mail()
    name = f"google:{office.tie.id}"
    services.units.take(name, 1_000_000)
    with in_background(), pytest.raises(NotNow) as held:
        office.look()
    assert "mail.budget" == held.value.code
    assert 0 < held.value.wait
