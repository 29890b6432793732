"""Zoho's understudy lets in whom Zoho would: consent, data centres, tokens, scopes, limits; and fails when told to."""

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from waitress.server import TcpWSGIServer, create_server

from tests.understudies.zoho_cast import BACK, CHALLENGE, EU, SCOPES, VERIFIER, Api, Stage, call


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_consent_started_in_the_us_comes_home_to_the_eu_and_only_there_is_worth_anything(stage: Stage) -> None:
    """The callback names Alice's data centre; the other one refuses her code and her token as if they were made up."""
    back = stage.consent("alice@alice.example", code_challenge=CHALLENGE, code_challenge_method="S256")

    assert (back["location"], back["accounts-server"], back["state"]) == ("eu", EU, "s1")
    assert stage.exchange(back["code"], "us", code_verifier=VERIFIER) == {"error": "invalid_code"}
    assert stage.token("eu", grant_type="refresh_token", client_secret="secret-us") == {
        "error": "invalid_client_secret"
    }

    granted = stage.exchange(back["code"], code_verifier=VERIFIER)
    assert granted["api_domain"] == EU
    assert granted["scope"].split() == SCOPES.split(",")
    there = Api(stage.eu, granted["access_token"])("GET", "/crm/v8/org")
    assert (there.json or {})["org"][0]["zgid"] == stage.alice_ltd["zgid"]
    elsewhere = Api(stage.us, granted["access_token"])("GET", "/crm/v8/org")
    assert (elsewhere.status_code, (elsewhere.json or {})["code"]) == (401, "INVALID_TOKEN")


def test_a_code_is_good_once_for_a_minute_and_for_whoever_knows_the_verifier(stage: Stage) -> None:
    """A second use, a late use and a use without the PKCE verifier are all the same error."""
    code = stage.consent("alice@alice.example")["code"]
    assert "access_token" in stage.exchange(code)
    assert stage.exchange(code) == {"error": "invalid_code"}

    late = stage.consent("alice@alice.example")["code"]
    stage.do("clock", advance=61)
    assert stage.exchange(late) == {"error": "invalid_code"}

    guarded = stage.consent("alice@alice.example", code_challenge=CHALLENGE, code_challenge_method="S256")["code"]
    assert stage.exchange(guarded, code_verifier="x" * 43) == {"error": "invalid_code"}


def test_a_refresh_token_comes_with_the_first_offline_consent_or_with_prompt_consent(stage: Stage) -> None:
    """Otherwise the application gets an access token and nothing to renew it with."""
    online = stage.exchange(stage.consent("bob@alice.example", access_type="")["code"])
    again = stage.exchange(stage.consent("bob@alice.example", prompt="")["code"])
    asked = stage.exchange(stage.consent("bob@alice.example")["code"])

    assert ["refresh_token" in granted for granted in (online, again, asked)] == [False, False, True]
    renewed = stage.token(grant_type="refresh_token", refresh_token=asked["refresh_token"])
    assert "refresh_token" not in renewed


def test_renewing_too_often_is_access_denied_for_ten_minutes(stage: Stage) -> None:
    """Ten access tokens in ten minutes, the first one included; the refresh token itself stays good."""
    refresh = stage.exchange(stage.consent("alice@alice.example")["code"])["refresh_token"]
    answers = [stage.token(grant_type="refresh_token", refresh_token=refresh) for _ in range(10)]

    assert ["access_token" in answer for answer in answers] == [True] * 9 + [False]
    assert answers[-1]["error"] == "Access Denied"
    stage.do("clock", advance=601)
    assert "access_token" in stage.token(grant_type="refresh_token", refresh_token=refresh)


def test_the_twenty_first_refresh_token_silently_deletes_the_oldest(stage: Stage) -> None:
    """With its access tokens; nobody is told."""
    first = stage.exchange(stage.consent("alice@alice.example")["code"])
    oldest = Api(stage.eu, first["access_token"])
    for _ in range(19):
        stage.exchange(stage.consent("alice@alice.example")["code"])
    assert oldest("GET", "/crm/v8/org").status_code == 200
    assert stage.see("tokens", org="Alice Ltd")["refresh"] == 20

    stage.exchange(stage.consent("alice@alice.example")["code"])

    assert stage.see("tokens", org="Alice Ltd")["refresh"] == 20
    assert oldest("GET", "/crm/v8/org").status_code == 401
    lost = stage.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert lost == {"error": "invalid_code"}


def test_revoking_either_way_ends_it_and_a_bad_token_is_a_page(stage: Stage) -> None:
    """Revoking a refresh token takes its access tokens; what is not a token is a 400 in HTML."""
    granted = stage.exchange(stage.consent("alice@alice.example")["code"])
    api = Api(stage.eu, granted["access_token"])
    assert api("GET", "/crm/v8/org").status_code == 200

    assert stage.us.post(f"/oauth/v2/token/revoke?token={granted['refresh_token']}").status_code == 400
    revoked = stage.eu.post(f"/oauth/v2/token/revoke?token={granted['refresh_token']}")

    assert revoked.json == {"status": "success"}
    assert api("GET", "/crm/v8/org").status_code == 401
    assert stage.eu.post("/oauth/v2/token/revoke?token=made-up").mimetype == "text/html"
    basic = base64.b64encode(b"1000.LINE:secret-eu").decode()
    again = stage.exchange(stage.consent("alice@alice.example")["code"])["refresh_token"]
    form = {"token": again, "token_type": "refresh_token"}
    answer = stage.eu.post("/oauth/v2/revoke/token", data=form, headers={"Authorization": f"Basic {basic}"})
    assert answer.json == {"status": "success"}


def test_openid_says_who_somebody_is_and_signs_it(stage: Stage) -> None:
    """The ID token verifies against the published key and agrees with userinfo."""
    scope = "openid,email,profile,AaaServer.profile.READ"
    granted = stage.exchange(stage.consent("bob@alice.example", scope, nonce="n1")["code"])
    key = jwt.PyJWKSet.from_dict(dict(stage.eu.get("/oauth/v2/keys").json or {})).keys[0]
    claims = jwt.decode(
        granted["id_token"], key, ["RS256"], audience="1000.LINE", options={"verify_exp": False, "verify_iat": False}
    )
    api = Api(stage.eu, granted["access_token"])
    user, info = api("GET", "/oauth/v2/userinfo").json or {}, api("GET", "/oauth/user/info").json or {}

    assert (claims["iss"], claims["nonce"], claims["sub"]) == (EU, "n1", user["sub"])
    assert (user["email"], user["name"], info["Email"]) == ("bob@alice.example", "Bob Baker", "bob@alice.example")
    assert api("GET", "/crm/v8/org").status_code == 401  # signing in is no permission to read a CRM


def test_whoever_refuses_or_asks_wrongly_gets_nothing(stage: Stage) -> None:
    """Refusal goes back as an error; a wrong client, redirect or scope never leaves the page."""
    good = {"response_type": "code", "client_id": "1000.LINE", "redirect_uri": BACK, "scope": "ZohoCRM.org.READ"}
    answer = stage.us.post("/oauth/v2/auth/decide", query_string=good | {"state": "s"}, data={"deny": "yes"})
    assert parse_qs(urlsplit(answer.headers["Location"]).query) == {"error": ["access_denied"], "state": ["s"]}

    for wrong in ({"client_id": "x"}, {"redirect_uri": BACK + "/"}, {"response_type": "token"}, {"scope": "All.of.it"}):
        assert stage.us.get("/oauth/v2/auth", query_string=good | wrong).status_code == 400


def test_the_api_wants_its_own_header_and_the_right_scope(stage: Stage) -> None:
    """No header, Bearer, and a scope too few are three refusals; READ on one module opens that one."""
    api = stage.connect(scope="ZohoCRM.modules.contacts.READ")
    path = "/crm/v8/Contacts?fields=Last_Name"
    bearer = {"Authorization": api.headers["Authorization"].replace("Zoho-oauthtoken", "Bearer")}

    assert (stage.eu.get(path).json or {})["code"] == "AUTHENTICATION_FAILURE"
    assert stage.eu.get(path, headers=bearer).status_code == 401
    assert api("GET", path).status_code == 204
    for method, refused in (("GET", "/crm/v8/Leads?fields=id"), ("POST", "/crm/v8/Contacts"), ("GET", "/crm/v8/org")):
        answer = api(method, refused, {"data": [{}]} if method == "POST" else None)
        assert (answer.status_code, (answer.json or {})["code"]) == (401, "OAUTH_SCOPE_MISMATCH")
    assert (api("GET", "/crm/v8/Contacts/search?email=a@b.example").json or {})["code"] == "OAUTH_SCOPE_MISMATCH"
    stage.do("knobs", bearer="lenient")
    assert stage.eu.get(path, headers=bearer).status_code == 204


def test_credits_run_out_over_a_rolling_day_and_say_so_from_half(stage: Stage) -> None:
    """Each row batch of ten costs one; the header appears at half; a day later all is well."""
    stage.do("knobs", credits=10)
    api = stage.connect()
    insert = {"data": [{"Last_Name": f"Row {n}"} for n in range(40)]}

    first = api("POST", "/crm/v8/Contacts", insert)  # four credits
    second = api("GET", "/crm/v8/org")  # the fifth
    assert ["X-API-CREDITS-REMAINING" in answer.headers for answer in (first, second)] == [False, True]
    assert second.headers["X-API-CREDITS-REMAINING"] == "5"
    for _ in range(5):
        assert api("GET", "/crm/v8/org").status_code == 200
    refused = api("GET", "/crm/v8/org")
    assert (refused.status_code, (refused.json or {})["code"]) == (429, "TOO_MANY_REQUESTS")
    stage.do("clock", advance=24 * 3600)
    fresh = stage.connect()
    assert fresh("GET", "/crm/v8/org").status_code == 200


@pytest.fixture
def served(stage: Stage) -> Iterator[tuple[Stage, str]]:
    """Serve the European data centre on loopback."""
    server = create_server(stage.apps["zoho-eu"], host="127.0.0.1", port=0, threads=6)
    assert isinstance(server, TcpWSGIServer)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.socket
    yield stage, f"http://127.0.0.1:{server.socket.getsockname()[1]}"
    stage.us.delete("/_stage/faults")
    server.close()
    thread.join()


def test_a_request_that_got_no_answer_may_have_been_applied(served: tuple[Stage, str]) -> None:
    """hang_after and drop_after write the row and keep the answer; hang_before and status do neither."""
    stage, origin = served
    headers = stage.connect().headers
    body = json.dumps({"data": [call()]})

    def misfortune(**fault: Any) -> tuple[object, int]:
        before = len(stage.see("records", org="Alice Ltd", module="Calls")["records"])
        stage.do("faults", match="POST /crm/v8/Calls", **fault)
        try:
            answer = requests.post(f"{origin}/crm/v8/Calls", body, headers=headers, timeout=0.5)
            outcome: object = answer.status_code if answer.headers["Content-Type"] == "application/json" else "page"
            if fault["action"] == "truncated":
                outcome = answer.json()
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            outcome = "died"
        except requests.Timeout:
            outcome = "silence"
        stage.us.delete("/_stage/faults")
        return outcome, len(stage.see("records", org="Alice Ltd", module="Calls")["records"]) - before

    assert misfortune(action="status", status=503) == (503, 0)
    assert misfortune(action="status_after", status=502) == (502, 1)
    assert misfortune(action="html") == ("page", 0)
    assert misfortune(action="hang_before", seconds=30) == ("silence", 0)
    assert misfortune(action="hang_after", seconds=30) == ("silence", 1)
    assert misfortune(action="drop_after") == ("died", 1)
    assert misfortune(action="truncated") == ("died", 1)
    assert misfortune(action="slow", seconds=0.01) == (201, 1)
    counts = stage.see("requests")["counts"]
    assert counts["POST /crm/v8/Calls"] == 8


def test_too_many_at_once_are_turned_away(served: tuple[Stage, str]) -> None:
    """A request that hangs counts; the next one beyond the limit is a 429, and room comes back when it leaves."""
    stage, origin = served
    stage.do("knobs", concurrency=1)
    headers = stage.connect().headers
    stage.do("faults", match="GET /crm/v8/org", action="hang_after", seconds=30)
    hanging = threading.Thread(
        target=requests.get, args=(f"{origin}/crm/v8/org",), kwargs={"headers": headers, "timeout": 30}
    )
    hanging.start()
    while not stage.world.in_flight.total():
        hanging.join(0.005)
    codes = {requests.get(f"{origin}/crm/v8/org", headers=headers, timeout=5).status_code for _ in range(3)}
    stage.us.delete("/_stage/faults")
    hanging.join()

    assert 429 in codes
    assert requests.get(f"{origin}/crm/v8/org", headers=headers, timeout=5).status_code == 200


def test_the_request_log_holds_no_secrets_and_reset_forgets_everything(stage: Stage) -> None:
    """Paths are counted without ids and query strings; after a reset nobody is known."""
    api = stage.connect()
    row = (api("POST", "/crm/v8/Contacts", {"data": [{"Last_Name": "Ann"}]}).json or {})["data"][0]["details"]["id"]
    api("GET", f"/crm/v8/Contacts/{row}?fields=Last_Name")
    stage.eu.post("/oauth/v2/token/revoke?token=tell-nobody")
    seen = stage.see("requests")
    assert seen["counts"]["GET /crm/v8/Contacts/{id}"] == 1
    assert "tell-nobody" not in json.dumps(seen)

    stage.do("reset")

    assert stage.see("requests")["counts"] == {}
    assert api("GET", "/crm/v8/org").status_code == 401
    assert stage.us.get("/oauth/v2/auth?client_id=1000.LINE").status_code == 400
