"""Every answer Zoho can give is named after its remedy, and a change is never repeated by itself."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConsentLost, NotAllowed, Refused, TryLater, Unanswered, Upstream
from integrations.zoho import client as zoho
from integrations.zoho.client import ZohoClient, literal
from tests.zoho_double import ORIGIN, Line, Purse, answer, cut_off, error, not_reached


def talk(*answers: requests.Response | Exception) -> tuple[ZohoClient, Line, Purse]:
    line, purse = Line(list(answers)), Purse()
    return ZohoClient(http=line, api_domain=ORIGIN, tokens=purse, timeout=3), line, purse


def test_a_request_carries_the_token_and_follows_nobody():
    """The token goes to the one origin, in Zoho's own scheme, and a redirect does not take it elsewhere."""
    client, line, _ = talk(answer(200, {"org": []}))

    assert client.read("/crm/v8/org") == {"org": []}

    (method, url, options) = line.asked[0]
    assert ("GET", f"{ORIGIN}/crm/v8/org") == (method, url)
    assert options["headers"]["Authorization"] == "Zoho-oauthtoken t0"
    assert (options["allow_redirects"], options["timeout"]) == (False, 3)


@pytest.mark.parametrize("status", [204, 304])
def test_nothing_there_is_none(status):
    client, _, _ = talk(answer(status))
    assert client.read("/crm/v8/Contacts") is None


def test_a_refused_token_is_renewed_once_and_the_request_sent_again():
    client, line, purse = talk(error("INVALID_TOKEN", 401), answer(201, {"data": []}))

    client.write("POST", "/crm/v8/Calls", json={"data": []}, items="data")

    assert purse.renewed == 1
    assert [sent[2]["headers"]["Authorization"] for sent in line.asked] == ["Zoho-oauthtoken t0", "Zoho-oauthtoken t1"]


def test_a_token_refused_after_renewal_ends_the_consent():
    client, line, purse = talk(error("INVALID_TOKEN", 401), error("INVALID_TOKEN", 401))

    with pytest.raises(ConsentLost):
        client.read("/crm/v8/org")

    assert (purse.renewed, len(line.asked)) == (1, 2)


READS: dict[str, tuple[requests.Response | Exception, type[Upstream]]] = {
    "503": (answer(503, b"<html>"), TryLater),
    "html with 200": (answer(200, b"<html>"), TryLater),
    "empty with 200": (answer(200, b""), TryLater),
    "cut JSON": (answer(200, b'{"data": ['), TryLater),
    "a list": (answer(200, []), TryLater),
    "deep JSON": (answer(200, b"[" * 100_000), TryLater),
    "redirect": (answer(302, b""), TryLater),
    "html with 403": (answer(403, b"<html>"), TryLater),
    "timeout": (requests.ReadTimeout(), TryLater),
    "not reached": (not_reached(), TryLater),
    "429": (error("TOO_MANY_REQUESTS", 429), TryLater),
    "scope, 401": (error("OAUTH_SCOPE_MISMATCH", 401), NotAllowed),
    "scope, 403": (error("OAUTH_SCOPE_MISMATCH", 403), NotAllowed),
    "scope, wrapped": (answer(401, {"data": [{"code": "OAUTH_SCOPE_MISMATCH", "status": "error"}]}), NotAllowed),
    "profile": (error("NO_PERMISSION", 403), NotAllowed),
    "edition": (error("FEATURE_NOT_SUPPORTED", 400), NotAllowed),
    "bad request": (error("INVALID_MODULE", 400), Refused),
    "error with 200": (error("INVALID_MODULE", 200), Refused),
}


@pytest.mark.parametrize("told", READS.values(), ids=READS.keys())
def test_a_reading_that_fails_is_named_after_its_remedy(told):
    given_answer, expected = told
    client, line, purse = talk(given_answer)

    with pytest.raises(expected) as raised:
        client.read("/crm/v8/Contacts")

    assert type(raised.value) is expected
    assert (len(line.asked), purse.renewed) == (1, 0)


WRITES: dict[str, tuple[requests.Response | Exception, type[Upstream]]] = {
    "503": (answer(503, b"<html>"), Unanswered),
    "html with 200": (answer(200, b"<html>"), Unanswered),
    "cut JSON": (answer(201, b'{"data": ['), Unanswered),
    "timeout": (requests.ReadTimeout(), Unanswered),
    "cut off": (cut_off(), Unanswered),
    "internal error with 200": (error("INTERNAL_ERROR", 200), Unanswered),
    "not reached": (not_reached(), TryLater),
    "connect timeout": (requests.ConnectTimeout(not_reached().args[0]), TryLater),
    "429": (error("TOO_MANY_REQUESTS", 429), TryLater),
    "html with 404": (answer(404, b"<html>"), TryLater),
    "scope": (error("OAUTH_SCOPE_MISMATCH", 401), NotAllowed),
    "refused": (error("INVALID_DATA", 400), Refused),
}


@pytest.mark.parametrize("told", WRITES.values(), ids=WRITES.keys())
def test_a_change_nobody_confirmed_is_unanswered_and_not_sent_again(told):
    """Only what surely was not done may be done again."""
    given_answer, expected = told
    client, line, _ = talk(given_answer)

    with pytest.raises(expected) as raised:
        client.write("POST", "/crm/v8/Calls", json={"data": [{}]}, items="data")

    assert type(raised.value) is expected
    assert len(line.asked) == 1


def test_what_was_cut_off_is_asked_once_more_and_not_more_often():
    """A connection that was kept may have been given up over there just then."""
    client, line, _ = talk(cut_off(), answer(200, {"org": []}))
    assert client.read("/crm/v8/org") == {"org": []}
    assert len(line.asked) == 2

    client, line, _ = talk(cut_off(), cut_off())
    with pytest.raises(TryLater):
        client.write("DELETE", "/crm/v8/actions/watch", repeatable=True)
    assert len(line.asked) == 2


def test_a_change_that_may_be_repeated_is_never_unanswered():
    client, _, _ = talk(requests.ReadTimeout())
    with pytest.raises(TryLater):
        client.write("DELETE", "/crm/v8/actions/watch", repeatable=True)


@pytest.mark.parametrize("status", [200, 201, 202, 207, 400])
def test_answers_record_by_record_come_back_whole(status):
    """Zoho says 400 when every record was refused, and still lists what became of each."""
    body = {"data": [{"code": "INVALID_DATA", "status": "error", "details": {}}]}
    client, _, _ = talk(answer(status, body))
    assert client.write("POST", "/crm/v8/Calls", json={"data": [{}]}, items="data") == body


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("17", 17.0), ("", 0.0), ("soon", 0.0), ("99999999", 3600.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_we_wait_as_long_as_zoho_asks(told, seconds):
    client, _, _ = talk(answer(429, {}, {"Retry-After": told}))
    with pytest.raises(TryLater) as raised:
        client.read("/crm/v8/org")
    assert raised.value.wait == seconds


def test_an_answer_beyond_the_cap_is_not_read(monkeypatch):
    monkeypatch.setattr(zoho, "MAX_BYTES", 1000)
    client, _, _ = talk(answer(200, b" " * 1001))
    with pytest.raises(Refused):
        client.read("/crm/v8/Contacts")


@pytest.mark.parametrize("told", ["+34600111222", {"no": "text"}, "a" * 200, 7, "Bob's number"])
def test_an_error_code_that_is_no_code_never_reaches_a_message(told):
    """What Zoho sends in place of a code may be somebody's data."""
    client, _, _ = talk(answer(400, {"code": told, "status": "error"}))
    with pytest.raises(Refused) as raised:
        client.read("/crm/v8/org")
    assert (str(raised.value), raised.value.code) == ("Zoho refused this (UNKNOWN).", "zoho.unknown")


def test_a_query_follows_its_pages():
    first = {"data": [{"id": "1"}, {"id": "2"}], "info": {"more_records": True}}
    client, line, _ = talk(answer(200, first), answer(200, {"data": [{"id": "3"}], "info": {"more_records": False}}))

    assert [row["id"] for row in client.query("id", "Calls", "id is not null")] == ["1", "2", "3"]

    asked = [sent[2]["json"]["select_query"] for sent in line.asked]
    assert asked == [f"select id from Calls where id is not null limit {offset}, 200" for offset in (0, 200)]


def read_literal(text: str) -> tuple[str, str]:
    """Read a COQL literal the way Zoho does: to the first quote that is not doubled. Return (value, rest)."""
    assert text[0] == "'"
    value, at = "", 1
    while True:
        if text[at : at + 2] == "''":
            value, at = value + "'", at + 2
        elif text[at] == "'":
            return value, text[at + 1 :]
        else:
            value, at = value + text[at], at + 1


@given(st.text(), st.text(alphabet=" )'or1=", max_size=8))
def test_a_literal_holds_exactly_its_value_whatever_follows(value: str, rest: str):
    """Nothing in a value ends the literal early, and nothing we have no documented escape for is sent."""
    unfit = "\\" in value or any(ord(character) < 32 or ord(character) == 127 for character in value)
    if unfit:
        with pytest.raises(ValueError, match="cannot be part"):
            literal(value)
    else:
        assert read_literal(literal(value) + " " + rest) == (value, " " + rest)


@pytest.mark.parametrize("answered", [{"data": None}, {"data": ["x"]}, {}, {"data": {"id": "1"}}])
def test_rows_that_are_not_rows_are_asked_for_again(answered: Any):
    client, _, _ = talk(answer(200, answered))
    with pytest.raises(TryLater):
        list(client.query("id", "Calls", "id is not null"))
