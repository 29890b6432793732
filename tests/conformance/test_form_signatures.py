"""Signed forms, held against the vendors' own libraries.

`twilio.json` and `plivo.json` were made by the packages they name, so that this runs without them; where the packages
are installed, they sign and judge forms made up on the spot as well.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from domain.errors import Unauthentic
from domain.ports import Knock
from integrations import telephony_vendors
from integrations.telephony.plivo import signature as plivo
from integrations.telephony.twilio import signature as twilio

HERE = Path(__file__).parent
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
TOKEN = "lab-auth-token"
URL = "https://cti.example.org/webhooks/telephony/d1"
NONCE = "12345678901234567890"
TWILIO, PLIVO = (json.loads((HERE / f"{name}.json").read_text()) for name in ("twilio", "plivo"))
vendors = telephony_vendors()
texts = some.text(some.characters(exclude_categories=["Cs"]), max_size=12)
forms = some.dictionaries(texts.filter(bool), texts, min_size=1, max_size=6)
fuzzed = settings(max_examples=50, deadline=None, database=None)


def names(made: dict[str, Any]) -> list[str]:
    return [vector["name"] for vector in made["vectors"]]


def believed(vendor: str, knock: Knock, token: str = TOKEN) -> bool:
    try:
        return bool(vendors[vendor].verify(knock, [token], NOON))
    except Unauthentic:
        return False


@pytest.mark.parametrize("vector", TWILIO["vectors"], ids=names(TWILIO))
def test_twilios_own_signatures_are_believed(vector: dict[str, Any]) -> None:
    """With the port and without: for our address both are right, and neither is for another token or form."""
    body = vector["body"].encode()
    for signature in vector["signatures"]:
        knock = Knock(headers={twilio.HEADER: signature}, body=body, url=vector["url"])
        assert believed("twilio", knock, TWILIO["token"])
        assert not believed("twilio", knock, "another-token")
        assert not believed("twilio", Knock(headers=knock.headers, body=body + b"1", url=knock.url), TWILIO["token"])


@pytest.mark.parametrize("vector", PLIVO["vectors"], ids=names(PLIVO))
def test_plivos_own_signatures_are_believed(vector: dict[str, Any]) -> None:
    """And for no other token, form or nonce."""
    body, headers = vector["body"].encode(), {plivo.HEADERS[0]: vector["signature"], plivo.NONCE: vector["nonce"]}

    assert believed("plivo", Knock(headers=headers, body=body, url=vector["url"]), PLIVO["token"])
    assert not believed("plivo", Knock(headers=headers, body=body, url=vector["url"]), "another-token")
    assert not believed("plivo", Knock(headers=headers, body=body + b"&a=1", url=vector["url"]), PLIVO["token"])
    renamed = headers | {plivo.NONCE: vector["nonce"] + "1"}
    assert not believed("plivo", Knock(headers=renamed, body=body, url=vector["url"]), PLIVO["token"])


@fuzzed
@given(form=forms)
def test_the_twilio_package_agrees(form: dict[str, str]) -> None:
    """What we sign it accepts, and what it signs we believe."""
    library = pytest.importorskip("twilio.request_validator").RequestValidator(TOKEN)
    body = urlencode(form).encode()
    theirs = Knock(headers={twilio.HEADER: library.compute_signature(URL, form)}, body=body, url=URL)

    assert library.validate(URL, form, twilio.sign(TOKEN, "", body, NOON, URL)[twilio.HEADER])
    assert believed("twilio", theirs)


@fuzzed
@given(form=forms)
def test_the_plivo_package_agrees(form: dict[str, str]) -> None:
    """What we sign it accepts, and what it signs we believe."""
    library = pytest.importorskip("plivo.utils.signature_v3")
    body = urlencode(form).encode()
    ours = plivo.sign(TOKEN, "", body, NOON, URL)
    text = library.construct_post_url(URL, dict(form)).decode()
    signature = library.get_signature_v3(TOKEN.encode(), text, NONCE.encode()).decode()
    theirs = Knock(headers={plivo.HEADERS[0]: signature, plivo.NONCE: NONCE}, body=body, url=URL)

    assert library.validate_v3_signature("POST", URL, ours[plivo.NONCE], TOKEN, ours[plivo.HEADERS[0]], dict(form))
    assert believed("plivo", theirs)
