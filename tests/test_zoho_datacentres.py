"""A secret goes to Zoho's own data centres only, and a tenant is met in the one it lives in."""

from __future__ import annotations

import re

import pytest
import requests

from domain.errors import ConsentLost, TryLater
from integrations.zoho.crm import open_crm
from integrations.zoho.datacentres import ACCOUNTS, DataCentres, api_of, crm_web
from integrations.zoho.provider import FEATURES, provider, signed_in
from settings import Settings
from tests.zoho_double import Line, Purse, answer, error, not_reached
from tests.zoho_stage import BOB, CLIENT, SECRETS, running

REAL = "https://accounts.zoho.com/oauth/serverinfo"
LISTED = {"us": "https://accounts.zoho.com", "eu": "https://accounts.zoho.eu", "ae": "https://accounts.zoho.ae"}
STAGED = {"us": "http://127.0.0.1:9101", "eu": "http://127.0.0.1:9102"}


def told(locations):
    return answer(200, {"result": "success", "locations": locations})


def test_the_list_is_read_once_an_hour():
    now = [0.0]
    line = Line([told(LISTED), told(LISTED | {"sg": "https://accounts.zoho.sg"})])
    centres = DataCentres(REAL, line, clock=lambda: now[0])

    assert "sg" not in centres.homes()
    now[0] = 3599
    assert "sg" not in centres.homes()
    now[0] = 3600
    assert centres.homes()["sg"] == "https://accounts.zoho.sg"
    assert len(line.asked) == 2


BROKEN = {
    "not reached": not_reached(),
    "503": answer(503, b"<html>"),
    "no json": answer(200, b"<html>"),
    "other shape": answer(200, {"locations": ["us"]}),
    "redirect": answer(302, b"", {"Location": "https://accounts.zoho.com.evil.example/"}),
    "timeout": requests.ReadTimeout(),
}


@pytest.mark.parametrize("failed", BROKEN.values(), ids=BROKEN.keys())
def test_the_table_stands_in_while_the_list_cannot_be_had(failed):
    now = [0.0]
    line = Line([failed, told(LISTED)])
    centres = DataCentres(REAL, line, clock=lambda: now[0])

    assert centres.homes() == ACCOUNTS
    now[0] = 59
    assert centres.homes() == ACCOUNTS  # and Zoho is not asked again at once
    now[0] = 60
    assert centres.homes()["ae"] == "https://accounts.zoho.ae"


def test_a_list_that_fails_later_is_kept():
    now = [0.0]
    centres = DataCentres(REAL, Line([told(LISTED), not_reached()]), clock=lambda: now[0])
    assert "ae" in centres.homes()
    now[0] = 4000
    assert "ae" in centres.homes()


def test_only_plain_https_origins_are_taken_from_the_list():
    wrong = {
        "a1": "https://accounts.zoho.eu",  # no location
        "ab": "http://accounts.zoho.ab",
        "ac": "https://accounts.zoho.ac/path",
        "ad": "https://me@accounts.zoho.ad",
        "af": "http://127.0.0.1:9101",
        "ag": 7,
    }
    assert DataCentres(REAL, Line([told(LISTED | wrong)])).homes() == ACCOUNTS | LISTED


@pytest.mark.parametrize(
    ("location", "api", "trusted"),
    [
        ("eu", "https://www.zohoapis.eu", True),
        ("ca", "https://www.zohoapis.ca", True),
        ("au", "https://www.zohoapis.com.au", True),
        ("ae", "https://www.zohoapis.ae", True),
        ("", "https://www.zohoapis.jp", True),
        ("us", "https://www.zohoapis.eu", False),
        ("eu", "https://www.zohoapis.eu.evil.example", False),
        ("eu", "https://www.zohoapis.eu:8443", False),
        ("eu", "https://www.zohoapis.eu/", False),
        ("eu", "http://www.zohoapis.eu", False),
        ("eu", "https://evil.example", False),
        ("eu", "http://127.0.0.1:9102", False),
        ("xx", "https://www.zohoapis.eu", False),
        ("", "", False),
    ],
)
def test_tokens_go_to_the_api_of_their_own_data_centre(location, api, trusted):
    assert DataCentres(REAL, Line([told(LISTED)])).trusts(location, api) is trusted


def test_a_stage_on_this_machine_is_its_own_and_only_data_centre():
    """A list served on loopback names loopback origins only; the real Zoho is not among them."""
    centres = DataCentres(STAGED["us"] + "/oauth/serverinfo", Line([told(STAGED | {"jp": "https://accounts.zoho.jp"})]))

    assert centres.first == STAGED["us"]
    assert centres.homes() == STAGED
    assert centres.trusts("eu", STAGED["eu"])
    assert not centres.trusts("eu", STAGED["us"])
    assert not centres.trusts("eu", "https://www.zohoapis.eu")


def test_a_stage_that_is_down_does_not_become_the_real_zoho():
    centres = DataCentres(STAGED["us"] + "/oauth/serverinfo", Line([not_reached()]))
    assert centres.homes() == {"us": STAGED["us"]}


@pytest.mark.parametrize("home", ACCOUNTS.values())
def test_every_data_centre_has_its_addresses(home):
    assert re.fullmatch(r"https://www\.zohoapis\.[a-z.]+", api_of(home))
    assert re.fullmatch(r"https://crm\.zoho(cloud)?\.[a-z.]+", crm_web(api_of(home)))


def test_the_canadian_brand_differs():
    assert crm_web(api_of("https://accounts.zohocloud.ca")) == "https://crm.zohocloud.ca"
    assert crm_web("http://127.0.0.1:9101") == "http://127.0.0.1:9101"


# ---- the provider -------------------------------------------------------------------------------------------------


def test_the_provider_is_described_without_asking_anybody():
    line = Line([])
    settings = Settings(zoho_client_id="1000.X", zoho_client_secret="s", zoho_client_secrets={"eu": "s-eu"})

    zoho = provider(settings, line)

    assert line.asked == []
    assert zoho.home == "https://accounts.zoho.com"
    assert zoho.client.secret_for("eu") == "s-eu"
    assert zoho.client.secret_for("us") == "s"
    assert zoho.token_url.format(home=zoho.home) == "https://accounts.zoho.com/oauth/v2/token"
    assert zoho.authorize_params == {"access_type": "offline", "prompt": "consent"}


def test_every_feature_says_what_it_is_for_and_what_is_missing_without_it():
    read = ["calls", "repair", "follow-ups", "call-fields", "contacts", "export", "accounts", "views"]
    by_name = ["deals", "own-modules", "own-records", "deal-records"]
    written = ["leads", "contacts-write", "notifications", "texts", "notes", "phonebridge"]
    assert [feature.slug for feature in FEATURES] == [*read, *by_name, *written]
    for feature in FEATURES:
        assert feature.purpose.endswith(".")
        assert feature.without.endswith(".")
        assert all(re.fullmatch(r"(ZohoCRM|PhoneBridge)(\.[A-Za-z_]+){2,3}", scope) for scope in feature.scopes)
        assert not any("modules.ALL" in scope for scope in feature.scopes)
    optional = ["call-fields", "export", "views", *by_name, "contacts-write", "texts", "notes", "phonebridge"]
    assert [feature.slug for feature in FEATURES if feature.optional] == optional


def test_who_signed_in_is_zohos_word():
    person = {"sub": "60001", "email": "bob@alice.example", "first_name": "Bob", "last_name": "Baker"}
    line = Line([answer(200, person)])

    who = signed_in(line, "https://accounts.zoho.eu", "secret-token")

    assert (who.subject, who.email, who.name) == ("60001", "bob@alice.example", "Bob Baker")
    assert line.asked[0][1] == "https://accounts.zoho.eu/oauth/v2/userinfo"


@pytest.mark.parametrize(
    ("failed", "expected"),
    [(error("INVALID_TOKEN", 401), ConsentLost), (answer(200, {}), TryLater), (answer(503, b""), TryLater)],
    ids=["token refused", "nobody named", "busy"],
)
def test_nobody_is_signed_in_without_zohos_word(failed, expected):
    with pytest.raises(expected):
        signed_in(Line([failed]), "https://accounts.zoho.eu", "secret-token")


def test_consent_begun_in_one_data_centre_ends_in_the_tenants_own():
    """Bob lives in the EU: the callback says so, the list confirms it, and the US does not know his token."""
    with running() as stage:
        stage.fresh()
        settings = Settings(
            zoho_client_id=CLIENT, zoho_client_secrets=SECRETS, zoho_serverinfo_url=f"{stage.us}/oauth/serverinfo"
        )
        zoho = provider(settings, stage.http)

        told = stage.consent(BOB, zoho.sign_in_scopes)

        assert zoho.home == stage.us
        assert (told["location"], told["home"]) == ("eu", zoho.homes()["eu"])
        assert zoho.trusted_api(told["location"], told["api_domain"])
        assert not zoho.trusted_api("us", told["api_domain"])
        who = signed_in(stage.http, told["home"], told["access_token"])
        assert (who.email, who.name) == (BOB, "Bob Baker")
        with pytest.raises(ConsentLost):
            signed_in(stage.http, stage.us, told["access_token"])
        with pytest.raises(ConsentLost):
            open_crm(http=stage.http, api_domain=stage.us, tokens=Purse(told["access_token"])).me()
        crm, _ = stage.crm()
        assert who.subject in {user.login_id for user in crm.users()}
