"""Contacts in step through bad days: a page and a position are lost, consents run out, a worker is killed with -9 in
the middle of a batch, two in five vanish. What stands on both sides is the truth, and a second run writes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from integrations.google import synced
from jobs import holding
from jobs.services import Services
from store.embedded import Postgres
from tests import house
from tests.contacts_office import Office, environment, moved_in, outside
from tests.google_stage import ALICE
from tests.stories.test_first_story import ROOT

AT_GOOGLE, AT_ZOHO, ON_BOTH = 100, 20, 10
EVERYBODY = AT_GOOGLE + AT_ZOHO - ON_BOTH
LIST = "GET /v1/people/me/connections"
WEEK_SECONDS = 7 * 86_400
WORKER = """
import sys, uuid
import settings
from jobs import worker
from jobs.services import open_services
worker.visit(open_services(settings.read()), uuid.UUID(sys.argv[1]), "contacts", seconds=60)
"""


def google_person(number: int) -> dict[str, Any]:
    return {
        "names": [{"givenName": "Person", "familyName": f"N{number:03}"}],
        "phoneNumbers": [{"value": f"+34 600 333 {number:03}"}],
    }


def zoho_row(number: int) -> dict[str, str]:
    return {"First_Name": "Person", "Last_Name": f"N{number:03}", "Phone": f"+34600333{number:03}"}


@pytest.fixture(scope="module")
def told(db_urls: Postgres, work_url: str, mail_url: str) -> dict[str, str]:
    """Where a process of this house finds its servers."""
    named = {"DATABASE_URL": db_urls.app_url, "REDIS_URL": work_url, "MAIL_REDIS_URL": mail_url}
    return named | {"KEYRING": house.KEYRING}


@pytest.fixture(scope="module")
def office(db_urls: Postgres, work_url: str, mail_url: str, told: dict[str, str]) -> Iterator[Office]:
    """Alice's house, with the pages Google gives made small."""
    with outside() as (zoho, google), pytest.MonkeyPatch.context() as patch:
        patch.setattr(synced, "PAGE_SIZE", 40)
        world = environment(zoho, google)
        told |= world
        opened: Services
        with house.services(db_urls, work_url, mail_url, **world) as opened, moved_in(opened, zoho, google) as moved:
            yield moved


def families(office: Office) -> list[list[str]]:
    """Who stands at Zoho and at Google, by family name."""
    zoho = sorted(str(row["Last_Name"]) for row in office.rows())
    return [zoho, sorted(one["names"][0]["familyName"] for one in office.people().values())]


def truth(numbers: Any) -> list[list[str]]:
    return [[f"N{number:03}" for number in numbers]] * 2


def test_a_killed_worker_leaves_everybody_once(office: Office, told: dict[str, str]) -> None:
    """A page is lost, a token runs out, and whoever writes dies after Zoho did it and before it could say so."""
    office.add(*(google_person(number) for number in range(AT_GOOGLE)))
    office.seed(*(zoho_row(number) for number in range(AT_GOOGLE - ON_BOTH, EVERYBODY)))
    office.google.fault(LIST, "slow", seconds=0)
    office.google.fault(LIST, "status", status=400)  # the second page's place is forgotten
    office.work()
    assert EVERYBODY == office.services.hub.count(office.tenant)
    assert not office.google.get("faults")["planted"]  # both were met
    office.google.post("account", user=ALICE, event="access_expired")
    office.both_ways()
    office.services.chores.hurry(office.tenant, "exchange")
    office.zoho.fault("POST /crm/v8/Contacts", "hang_after", seconds=60, times=1)
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(office.tenant)], cwd=ROOT, env=os.environ | told, stdout=subprocess.DEVNULL
    )
    ends = time.monotonic() + 60
    while len(office.rows()) == AT_ZOHO:
        assert time.monotonic() < ends, "nothing was written"
        assert process.poll() is None, "the worker ended by itself"
        time.sleep(0.05)
    process.kill()
    process.wait()
    office.zoho.delete("faults")

    office.work()

    assert truth(range(EVERYBODY)) == families(office)
    assert EVERYBODY == office.services.hub.count(office.tenant)
    office.written()
    office.work()
    assert {} == office.written()


def test_two_in_five_vanish_while_the_position_is_lost(office: Office) -> None:
    """The full reading that heals finds 44 of 110 gone: nothing goes until somebody says so, and then exactly they."""
    by_name = {one["names"][0]["familyName"]: name for name, one in office.people().items()}
    vanished = [by_name[f"N{number:03}"] for number in range(44)]
    office.drop(*vanished)
    office.google.post("clock", advance=WEEK_SECONDS + 60)

    office.work()

    held = office.chore("read.book").held
    assert (44, EVERYBODY) == (held["removing"], held["known"])
    assert (EVERYBODY, EVERYBODY) == (len(office.rows()), office.services.hub.count(office.tenant))
    holding.decide(office.services, office.book, "read.book", go_on=True, actor="user:alice")
    office.go_on()
    assert truth(range(44, EVERYBODY)) == families(office)
    office.written()
    office.work()
    assert {} == office.written()
