"""Our secret goes to the provider's own data centres and tokens to its own API, whatever a callback says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from store.database import Database
from store.vault import Vault
from tests.consenting import BROWSER, Errand, refused
from tests.zoho_stage import Stage, running


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def errand(stage: Stage, db: Database, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Errand:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # as open_services does for a stage on loopback
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    return Errand.start(stage, db, vault)


FORGED = [
    "https://evil.example",
    "https://accounts.zoho.eu.evil.example",
    "https://evil.example/accounts.zoho.eu",
    "https://accounts.zoho.eu@evil.example",
    "https://evil.example#accounts.zoho.eu",
    "https://evil.example?accounts.zoho.eu",
    "https://evil.example\\.zoho.eu",
    "https://xn--zoho-1ra.eu",
    "https://accounts.zoho.eu",  # Zoho's own, but not on this installation's list
    "http://accounts.zoho.eu",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://[::1]:1",
    "http://169.254.169.254",
    "file:///etc/passwd",
    "//evil.example",
    "javascript:alert(1)",
    "{eu}/",  # a path on the right host is another address too, except for the last slash
    "{eu}.evil.example",
    "{eu}@evil.example",
    "{eu}/../evil",
    "{EU}",
    "{us}",  # on the list, but another data centre's
]


@pytest.mark.parametrize("address", FORGED)
def test_our_secret_goes_to_the_data_centre_on_the_list_or_nowhere(address: str, errand: Errand) -> None:
    """A callback can name any address; only the listed one of that very data centre is believed."""
    back = errand.decide()
    forged = (
        address.replace("{eu}", errand.stage.eu)
        .replace("{us}", errand.stage.us)
        .replace("{EU}", errand.stage.eu.upper())
    )

    if address == "{eu}/":
        assert errand.stage.eu == errand.complete(back | {"accounts-server": [forged]}).home
    else:
        assert "oauth.host" == refused(lambda: errand.complete(back | {"accounts-server": [forged]}))
        assert 0 == errand.asked()


@pytest.mark.parametrize("location", ["us", "", "xx", "EU", "__class__"])
def test_a_data_centre_by_another_name_is_refused(location: str, errand: Errand) -> None:
    """The name decides whose secret is sent, so it has to fit the address."""
    back = errand.decide()

    assert "oauth.host" == refused(lambda: errand.complete(back | {"location": [location]}))
    assert 0 == errand.asked()


def test_an_api_that_is_not_the_providers_is_refused(errand: Errand) -> None:
    """Tokens would be sent there with every request."""
    strict = replace(errand.zoho, trusted_api=lambda location, origin: False)

    assert "oauth.host" == refused(lambda: errand.consent.complete(strict, errand.decide(), browser=BROWSER))
