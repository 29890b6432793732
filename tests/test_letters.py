"""Letters written here: in their thread, from one's own address, exactly once, and nowhere but in cached mail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update

from domain.errors import Forbidden, Missing
from domain.mail import Message, address_of, name_of, threads
from jobs import letters
from jobs.erase import erase
from jobs.services import Services
from store.auditor import scan
from store.database import TenantId
from store.embedded import Postgres
from store.tables import effects
from tests.google_stage import ALICE, Stage, running
from tests.mail_office import DANA, Office, opened, tools

SECRET = "Wir nehmen 17 Stück zum alten Preis"
SEND = "POST /gmail/v1/users/{user_id}/messages/send"


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
    with opened(services, google, tenant, ("mailbox", "send-mail", "label-mail")) as made:
        made.look()
        yield made


def came(office: Office, **values: Any) -> Message:
    """A message from Dana, as it stands in the cache."""
    id = office.mail(**values)
    office.look()
    found = office.services.mail.get(office.tenant, office.key(id))
    assert found is not None
    return found


def answer(office: Office, message: Message, token: UUID | None = None) -> UUID:
    token = token or uuid4()
    letters.answer(office.services, office.alice, message, SECRET, token=token)
    return token


def sent(office: Office) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = office.google.get("sent", user=ALICE)["messages"]
    return found


def again(office: Office) -> None:
    """As if the time had come to try again."""
    with office.services.db.tenant(office.tenant) as database:
        past = office.services.db.now().replace(year=2020)
        database.execute(update(effects).values(next_at=past, created_at=past))
    office.work()


def test_an_answer_stands_in_its_thread_and_beside_the_client(office: Office) -> None:
    message = came(office, subject="Offer", message_id="<one@sol.example>")
    token = answer(office, message)

    assert ("done", "") == letters.standing(office.services, office.alice, token)
    (found,) = sent(office)
    assert message.thread == found["threadId"]
    office.look()
    beside = office.beside(office.dana)
    assert ["Re: Offer", "Offer"] == [one.subject for one in beside]
    assert 1 == len(threads(beside))
    assert (message.reference,) == beside[0].references
    whole = office.services.mailbox(office.tie).message(beside[0].id)
    assert whole is not None
    assert SECRET == whole.body


def test_a_form_sent_twice_is_one_letter(office: Office) -> None:
    message = came(office)
    token = answer(office, message)
    answer(office, message, token)

    assert 1 == len(sent(office))


def test_what_it_says_is_in_no_database(office: Office, db_urls: Postgres, mail_url: str) -> None:
    """While it waits it lies sealed among cached mail; a disconnect makes it unreadable, and it is not sent."""
    message = came(office)
    office.google.fault(SEND, "status", status=503, times=None)
    token = answer(office, message)
    assert "due" == letters.standing(office.services, office.alice, token)[0]
    waiting = f"{office.tie.id.hex}.letter-{token}"
    kept = office.services.mail.get(office.tenant, waiting)
    assert kept is not None
    assert SECRET == kept.body
    with office.services.db.tenant(office.tenant) as database:
        rows = database.execute(text("SELECT effects::text FROM effects")).scalars().all()
    assert rows
    assert not any(SECRET in row or DANA in row for row in rows)
    assert [] == scan([SECRET, DANA], files=[], redis_urls=[mail_url])

    office.google.delete("faults")
    office.services.mail.disconnect(office.tenant)
    again(office)
    assert ("dead", letters.GONE) == letters.standing(office.services, office.alice, token)
    assert [] == sent(office)


@pytest.mark.parametrize("fault", [{"action": "drop_after"}, {"action": "status", "status": 500}], ids=["done", "not"])
def test_a_lost_answer_is_read_back_before_anything_is_sent_again(office: Office, fault: dict[str, Any]) -> None:
    """Whether Google had sent it or not: exactly one message. What is not there yet is looked for once more."""
    message = came(office)
    office.google.post("faults", match=SEND, times=1, **fault)
    token = answer(office, message)
    assert "unknown" == letters.standing(office.services, office.alice, token)[0]

    if not sent(office):
        again(office)
        assert ("unknown", letters.LOOKING) == letters.standing(office.services, office.alice, token)
        assert [] == sent(office)
    again(office)
    assert "done" == letters.standing(office.services, office.alice, token)[0]
    assert 1 == len(sent(office))


def test_a_letter_is_found_behind_a_pile_of_later_ones(office: Office) -> None:
    """Alice sent more than a page of others meanwhile."""
    message = came(office)
    office.google.fault(SEND, "drop_after", times=1)
    token = answer(office, message)
    for number in range(55):
        office.google.post(
            "mail", user=ALICE, **{"from": ALICE}, to=DANA, subject=f"Later {number}", text="", labels=["SENT"]
        )

    again(office)

    assert "done" == letters.standing(office.services, office.alice, token)[0]
    assert 56 == len(sent(office))


def test_where_we_may_not_look_nothing_is_sent_again(services: Services, google: Stage, tenant: TenantId) -> None:
    with opened(services, google, tenant, ("send-mail",)) as office:
        office.google.fault(SEND, "drop_after", times=1)
        token = uuid4()
        letters.write(services, office.alice, office.dana, DANA, "Hello", SECRET, token=token)
        again(office)

        assert ("dead", letters.UNSURE) == letters.standing(services, office.alice, token)
        assert 1 == len(sent(office))


def test_only_the_owner_of_a_mailbox_writes_from_it_and_only_to_known_addresses(office: Office) -> None:
    message = came(office)
    for act in (
        lambda: letters.answer(office.services, office.bob, message, "x", token=uuid4()),
        lambda: letters.label(office.services, office.bob, message, add="STARRED"),
        lambda: letters.write(office.services, office.bob, office.dana, DANA, "x", "x", token=uuid4()),
    ):
        with pytest.raises(Forbidden):
            act()
    with pytest.raises(Missing):
        letters.write(office.services, office.alice, office.dana, "other@sol.example", "x", "x", token=uuid4())
    with pytest.raises(Missing):
        letters.standing(office.services, office.bob, answer(office, message))
    assert 1 == len(sent(office))


def test_a_letter_to_somebody_forgotten_is_forgotten(office: Office) -> None:
    office.google.fault(SEND, "status", status=503, times=None)
    token = uuid4()
    letters.write(office.services, office.alice, office.dana, DANA, "Hello", SECRET, token=token)
    erase(office.services, office.tenant, emails=[DANA])
    office.google.delete("faults")
    again(office)

    assert ("dead", letters.GONE) == letters.standing(office.services, office.alice, token)
    assert [] == sent(office)


def test_marks_are_written_back_and_seen_here_at_once(office: Office) -> None:
    message = came(office)
    letters.label(office.services, office.alice, message, remove="UNREAD")
    letters.label(office.services, office.alice, message, add="STARRED")

    (kept,) = office.beside(office.dana)
    assert (False, True) == (kept.unread, "STARRED" in kept.labels)
    (there,) = office.services.mailbox(office.tie).headers([message.id])
    assert (False, True) == (there.unread, "STARRED" in there.labels)

    office.google.post("mail/delete", user=ALICE, id=message.id)
    with pytest.raises(Missing):
        letters.label(office.services, office.alice, message, add="UNREAD")
    assert [] == office.beside(office.dana)


@pytest.mark.parametrize(
    ("shown", "address"),
    [
        ('"Dana, of Sol" <dana@sol.example>', "dana@sol.example"),
        ("dana@sol.example\r\nBcc: all@sol.example", ""),
        ("<dana@sol.example>, eve@sol.example", ""),
        ("dana@sol.example?bcc=eve@sol.example", ""),
        ("nobody", ""),
        ("", ""),
    ],
)
def test_an_address_is_one_address_or_none(shown: str, address: str) -> None:
    assert address == address_of(shown)


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ('"Dana, of Sol" <dana@sol.example>', "Dana, of Sol"),
        ("<dana@sol.example>", "dana@sol.example"),
        ("nobody at all", "nobody at all"),
        ("", ""),
    ],
)
def test_somebody_is_called_as_they_call_themselves(shown: str, name: str) -> None:
    assert name == name_of(shown)
