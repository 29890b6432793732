"""Who stands in a phone system's phonebook travels to nobody's Zoho and nobody's Google, kept in step or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from domain.besides import TYPED_IN
from jobs import worker
from jobs.connect import add_phone_system
from jobs.phonebook import write_phonebook
from jobs.read_phonebook import CHORE
from store.embedded import Postgres
from tests import contacts_office, house
from tests.contacts_office import Office
from tests.phone_stage import Platform, playing

ANA, BEN, EVA = "+34600111001", "+34600111002", "+34600111003"


@pytest.fixture(scope="module")
def office(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[tuple[Office, Platform]]:
    with contacts_office.outside() as stages, playing() as platform:
        environment = contacts_office.environment(*stages) | {"ALLOWED_PRIVATE_HOSTS": "127.0.0.1"}
        with (
            house.services(db_urls, work_url, mail_url, **environment) as services,
            contacts_office.moved_in(services, *stages) as moved_in,
        ):
            moved_in.both_ways()
            yield moved_in, platform


def test_they_travel_to_nobody(office: tuple[Office, Platform]) -> None:
    """Ben is known from there only, and Ana in Zoho and Google has a number more there: neither is news to them."""
    here, platform = office
    services, tenant = here.services, here.tenant
    here.seed({"First_Name": "Ana", "Last_Name": "Ruiz", "Mobile": ANA})
    here.work()
    assert 1 == len(here.people()) == len(here.rows())
    account = {"base_url": platform.origin, "api_key": "alices-key"}
    tie = add_phone_system(services, user=here.alice, vendor="standard", account=account).tie
    numbers: Any = [{"number": one, "label": ""} for one in (ANA, EVA)]
    platform.stage(
        "entries",
        key="alices-key",
        entries=[
            {"name": "Ana Ruiz", "company": "", "numbers": numbers, "emails": []},
            {"name": "Ben", "company": "", "numbers": [{"number": BEN, "label": ""}], "emails": []},
        ],
    )
    before = here.rows(), here.people()
    here.written()

    for _ in range(2):
        services.chores.hurry(tenant, CHORE)
        worker.visit(services, tenant, "contacts", seconds=60)
        here.work()
    assert 2 == services.hub.known(tenant, tie, [TYPED_IN])
    assert [1, 1] == [len(services.hub.who(tenant, one)) for one in (BEN, EVA)]
    assert services.hub.who(tenant, ANA) == services.hub.who(tenant, EVA)
    assert {} == here.written()
    assert before == (here.rows(), here.people())

    ours = [
        (card["name"], [line["number"] for line in card["numbers"]])
        for card in platform.shown("phonebook")["phonebook"]
    ]
    assert [("Ana Ruiz", [ANA])] == ours
    again: Any = None
    assert {"put": 0, "remove": 0} == write_phonebook(services, services.connections.get(tenant, tie), again)
