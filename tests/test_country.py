"""Numbers without a country code are read where the organisation is, or where an administrator says it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from domain.ports import Organisation
from integrations.zoho.country import country_of
from jobs import country, worker
from jobs.services import Services
from store.embedded import Postgres
from tests.calls_office import opened, tools
from tests.zoho_stage import Stage, running

SPAIN, BRITAIN = "+34600111222", "+44600111222"
EU, INDIA, US = "https://crm.zoho.eu", "https://crm.zoho.in", "https://crm.zoho.com"


@pytest.mark.parametrize(
    ("org", "web", "found"),
    [
        ({"country_code": "es", "phone": "+44 20 7946 0000"}, US, ("ES", "organisation")),
        ({"country_code": None, "country": "GB"}, EU, ("GB", "organisation")),
        ({"country": "United Kingdom", "phone": "+44 20 7946 0000"}, EU, ("GB", "phone")),
        ({"phone": "020 7946 0000", "mobile": "+91 98765 43210"}, US, ("IN", "phone")),
        ({"phone": "+1 416 555 0199"}, US, ("CA", "phone")),
        ({"phone": "+800 1234 5678"}, INDIA, ("IN", "data_centre")),
        ({}, "https://crm.zohocloud.ca", ("CA", "data_centre")),
        ({"country_code": 7}, EU, ("", "")),
        ({}, US, ("", "")),
    ],
)
def test_a_country_is_what_zoho_says_else_what_its_number_or_data_centre_says(org, web, found) -> None:
    assert found == country_of(org, web)


@pytest.fixture(scope="module")
def zoho() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, zoho: Stage) -> Iterator[Services]:
    with tools(db_urls, work_url, mail_url, zoho) as made:
        yield made


def test_another_country_has_everybody_read_again(services: Services, zoho: Stage) -> None:
    """What Zoho said holds until an administrator says otherwise; then Zoho is not believed any more."""
    with opened(services, zoho, ("calls", "contacts")) as office:
        tenant, user = office.tenant, office.user("alice@alice.example")
        assert ("ES", "organisation") == (services.tenants.get(tenant).region, country.because(services, tenant))
        zoho.post("seed", org="alice", module="Contacts", records=[{"Last_Name": "Dune", "Phone": "600 111 222"}])
        worker.visit(services, tenant, "contacts")
        assert services.hub.who(tenant, SPAIN)

        country.choose(services, user=user, country="GB")
        worker.visit(services, tenant, "contacts")

        assert services.hub.who(tenant, BRITAIN)
        assert not services.hub.who(tenant, SPAIN)
        tie = services.connections.first(tenant, "crm")
        assert tie is not None
        country.learn(services, tie, replace(SAID, country="FR"))
        assert ("GB", "chosen") == (services.tenants.get(tenant).region, country.because(services, tenant))


def test_a_country_nobody_named_is_assumed_and_said_to_be(services: Services, zoho: Stage) -> None:
    with opened(services, zoho, ("calls",)) as office:
        tie = services.connections.first(office.tenant, "crm")
        assert tie is not None
        country.learn(services, tie, SAID)
        assert ("ES", "") == (services.tenants.get(office.tenant).region, country.because(services, office.tenant))


SAID = Organisation(remote_id="1", name="Alice Ltd")
