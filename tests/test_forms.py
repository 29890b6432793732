"""Forms that vendors post: one meaning or none, whatever is in them; and what the legs of a call may be."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from domain.call import CallEvent, TextNews
from domain.errors import Malformed, Refused, Unauthentic
from domain.ports import Knock
from integrations import telephony_vendors
from integrations.telephony import form, legs
from integrations.telephony.plivo import signature as plivo
from integrations.telephony.twilio import signature as twilio

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
HOME = Path(form.__file__).parent
VENDORS = {slug: telephony_vendors()[slug] for slug in ("twilio", "plivo")}
SIGN: dict[str, Callable[..., dict[str, str]]] = {"twilio": twilio.sign, "plivo": plivo.sign}
FORMS = [
    (slug, path.stem, json.loads(path.read_text())["sent"])
    for slug in VENDORS
    for path in sorted((HOME / slug / "fixtures").glob("*.json"))
]
fuzzed = settings(max_examples=100, deadline=None, database=None)
either = pytest.mark.parametrize("vendor", VENDORS)


def test_blank_fields_are_left_out() -> None:
    """Vendors send dozens of them."""
    assert {"a": "1 2", "ü": "é"} == form.read_form(b"a=1+2&b=&%C3%BC=%c3%a9&")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"&&",
        b"a",
        b"=1",
        b"a=1&a=1",
        b"a=1&%61=2",
        b"a=%00",
        b"%00=a",
        b"a=%E9",
        b"a=\xe9",
        b"a=%",
        b"a=%zz",
        b"a=%ed%a0%80",
        b"a=" + b"x" * form.FORM_BYTES,
        b"&".join(b"a%d=1" % number for number in range(form.FORM_FIELDS + 1)),
        b"x" * 200 + b"=1",
        b'{"a": 1}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_form_with_no_one_meaning_is_malformed(body: bytes) -> None:
    """Empty, nameless, doubled (however it is escaped), not text, in another charset, broken, huge, or no form."""
    with pytest.raises(Malformed):
        form.read_form(body)


@pytest.mark.parametrize(("vendor", "name", "sent"), FORMS, ids=[f"{slug}-{name}" for slug, name, _ in FORMS])
def test_every_form_of_the_fixtures_can_be_signed_and_spoiled(vendor: str, name: str, sent: str) -> None:
    """Not one byte of what was signed can change, and each form has one name."""
    body = sent.encode()
    headers = SIGN[vendor]("a-token", "", body, NOON, "https://door")
    knock = Knock(headers=headers, body=body, url="https://door")

    assert VENDORS[vendor].verify(knock, ["another", "a-token"], NOON)
    for place in range(0, len(body), 7):
        spoiled = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises(Unauthentic):
            VENDORS[vendor].verify(Knock(headers=headers, body=spoiled, url="https://door"), ["a-token"], NOON)


@either
@fuzzed
@given(data=some.data())
def test_a_form_that_is_nearly_right_is_understood_or_malformed(vendor: str, data: some.DataObject) -> None:
    """Any field holding anything raises nothing but Malformed, and what comes out can be written down."""
    sent = data.draw(some.sampled_from([sent for slug, _, sent in FORMS if slug == vendor]))
    fields = dict(parse_qsl(sent, keep_blank_values=True))
    names = some.sampled_from(sorted(fields)) | some.text(some.characters(exclude_categories=["Cs"]), max_size=5)
    values = some.text(some.characters(exclude_categories=["Cs"]), max_size=30) | some.sampled_from(
        ["-1", "9" * 30, "1e400", "0001-01-01 00:00:00", "2026-03-28 09:15:01+23:59", "Sun, 29 Mar 0001 09:15:00 +0000"]
    )
    fields |= data.draw(some.dictionaries(names, values, min_size=1, max_size=3))
    try:
        event = VENDORS[vendor].parse(urlencode(fields).encode(), "e")
    except Malformed:
        return
    if isinstance(event, TextNews):
        assert "\x00" not in repr(event)
    elif event is not None:
        assert "\x00" not in json.dumps(event.as_data(), ensure_ascii=False)
        assert event == CallEvent.from_data(event.as_data())


@either
@fuzzed
@given(
    names=some.dictionaries(
        some.sampled_from([twilio.HEADER, *plivo.HEADERS, plivo.NONCE]), some.text() | some.text("ab=,+/")
    ),
    body=some.binary(),
    url=some.sampled_from(["", "https://door/x", "https://door:8443/x?y=1", "http://[::1]:80/"]),
)
def test_no_header_breaks_the_door(vendor: str, names: dict[str, str], body: bytes, url: str) -> None:
    with pytest.raises(Unauthentic):
        VENDORS[vendor].verify(Knock(headers=names, body=body, url=url), ["a-token"], NOON)


@pytest.mark.parametrize(
    ("party", "expected"),
    [
        ("client:201", "201"),
        ("client:bob@alice.example", "bob@alice.example"),
        ("sip:201@alice.sip.twilio.com", "201"),
        ("sips:201@alice.sip.twilio.com:5061;transport=tls", "201"),
        ("+34600111222", ""),
        ("anonymous", ""),
        ("", ""),
        ("sip:", ""),
    ],
)
def test_an_address_names_a_user_of_ours(party: str, expected: str) -> None:
    assert expected == legs.agent(party)


@pytest.mark.parametrize(
    ("template", "expected"),
    [("client:{extension}", "client:201"), ("sip:{email}", "sip:bob@alice.example"), ("+4411", "+4411")],
)
def test_an_agents_address_is_filled_in(template: str, expected: str) -> None:
    assert expected == legs.agent_address(template, extension="201", email="bob@alice.example")


def test_an_agents_address_is_one_address() -> None:
    """Nothing an extension holds can add a destination, a header or a line."""
    for extension in ("", " ", "1<2", "1>2", "1\n2", "é", "x" * 300):
        with pytest.raises(Refused):
            legs.agent_address("sip:{extension}@alice.example", extension=extension, email="")
