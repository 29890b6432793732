"""Mail on the console: threads beside calls, answers and marks by whose mailbox it is, bad forms refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from jobs.letters import own_mailbox
from store.database import TenantId
from store.embedded import Postgres
from tests.console_desk import Stage, letter, meet, person, post, ring, running

DANA = "dana@sol.example"


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        yield stage


def dana(stage: Stage) -> UUID:
    """Dana, with two messages of one thread and one of another."""
    services, office = stage.services, stage.office
    meet(services, office.tenant, office.crm, [person("Dana", "Sol", "Sol Ltd", "+34600111222", DANA)])
    (contact,) = services.hub.by_email(office.tenant, [DANA])[DANA]
    now = services.db.now()
    told = [replace(letter(f"m{n}", DANA, subject, now), thread=thread) for n, subject, thread in THREADS]
    services.mail.put(office.tenant, [(message, [contact]) for message in told])
    return contact


THREADS = ((1, "Offer", "t1"), (2, "Re: Offer", "t1"), (3, "Lunch", "t2"))


def test_threads_stand_beside_the_contact_and_their_calls(stage: Stage) -> None:
    contact, services, office = dana(stage), stage.services, stage.office
    bob = stage.browser("bob")

    page = bob.get(f"/console/contacts/{contact}").get_data(as_text=True)
    assert (1, 1) == (page.count("2 messages"), page.count(">Lunch<"))
    call = ring(services, office.tenant, office.crm, "c1", services.db.now(), number="+34600111222", user=office.bob)
    kept = services.calls.recent(office.tenant)[0]
    with services.db.tenant(office.tenant) as database:
        database.exec_driver_sql("UPDATE calls SET contact_id = %s WHERE id = %s", (contact, kept.id))
    assert "2 messages" in bob.get(f"/console/calls/{kept.id}").get_data(as_text=True), call
    opened = bob.get("/console/messages/m2").get_data(as_text=True)
    assert "In the same conversation" in opened
    assert "/console/messages/m1" in opened
    assert "in this conversation" not in opened  # it is nobody's own mailbox


def test_whose_mailbox_it_is_not_may_neither_answer_nor_mark(stage: Stage) -> None:
    contact = dana(stage)
    assert own_mailbox(stage.services, stage.office.bob, "send-mail") is None
    bob, token = stage.browser("bob"), str(uuid4())
    said = {"text": "Yes", "token": token}

    assert 403 == post(bob, "/console/messages/m1/answer", **said).status_code
    assert 400 == post(bob, "/console/messages/m1/labels", add="Label_1").status_code
    assert 403 == post(bob, "/console/messages/m1/labels", add="STARRED").status_code
    assert "Connect your own" in bob.get(f"/console/contacts/{contact}/write").get_data(as_text=True)
    assert 403 == post(bob, f"/console/contacts/{contact}/write", to=DANA, subject="x", **said).status_code
    assert 404 == bob.get(f"/console/letters/{token}").status_code


@pytest.mark.parametrize(
    ("where", "form"),
    [
        ("messages/m1/answer", {"text": "Yes", "token": "none"}),
        ("messages/m1/answer", {"text": "", "token": str(UUID(int=1))}),
        ("messages/m1/answer", {"text": "x" * 20_001, "token": str(UUID(int=1))}),
        ("messages/m1/answer", {"text": "a\x00b", "token": str(UUID(int=1))}),
        ("messages/m1/answer", {"text": "Yes", "token": str(UUID(int=1)), "to": "eve@sol.example"}),
        ("messages/m1/labels", {}),
        ("messages/m1/labels", {"add": "STARRED", "remove": "UNREAD"}),
        ("contacts/{contact}/write", {"to": DANA, "subject": "a\r\nBcc: eve@sol.example", "text": "x"}),
    ],
)
def test_bad_forms_are_refused(stage: Stage, where: str, form: dict[str, str]) -> None:
    address = "/console/" + where.format(contact=dana(stage))
    assert 400 == post(stage.browser("alice"), address, **form).status_code


def test_charlie_next_door_sees_none_of_it(stage: Stage) -> None:
    contact, charlie = dana(stage), stage.browser("charlie")
    said = {"text": "Yes", "token": str(uuid4())}
    answers = [
        post(charlie, "/console/messages/m1/answer", **said),
        post(charlie, "/console/messages/m1/labels", add="STARRED"),
        charlie.get(f"/console/contacts/{contact}/write"),
    ]
    assert [404] * 3 == [answer.status_code for answer in answers]
