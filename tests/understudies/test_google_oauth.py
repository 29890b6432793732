"""The Google understudy's consent: what is granted, how codes and tokens are born and die, what a scope opens."""

from __future__ import annotations

import base64
import hashlib

import pytest
from werkzeug.test import TestResponse

from .google_cast import (
    ALICE,
    AUTH,
    BOB,
    CALLBACK,
    CONTACTS,
    DAY,
    METADATA,
    MINUTE,
    MODIFY,
    READONLY,
    SEND,
    Stage,
    asking,
    reason,
)


@pytest.fixture
def stage() -> Stage:
    """Set the stage."""
    return Stage()


def test_consent_grants_what_was_ticked_and_says_so(stage: Stage) -> None:
    """The page offers a box per scope; a box left empty is not granted, and `email` comes back by its long name."""
    wanted = f"openid email {CONTACTS} {READONLY}"
    page = stage.client.get("/o/oauth2/v2/auth", query_string=asking(scope=wanted, login_hint=BOB)).text

    back = stage.decide(CONTACTS, scope=wanted)
    tokens = stage.exchange(back["code"]).get_json()

    assert page.count('type="checkbox"') == 2
    assert f'value="{BOB}" required checked' in page
    assert (back["state"], back["hd"]) == ("s1", "alice.example")
    assert f"openid {AUTH}userinfo.email {CONTACTS}" == tokens["scope"] == back["scope"]
    assert {"id_token", "refresh_token"} <= tokens.keys()


def test_consent_refused_or_impossible(stage: Stage) -> None:
    """A refusal travels back; a wrong redirect, a blocked app and an unknown scope strand the user on Google's page."""
    stage.act("users", {"email": BOB, "name": "Bob Jones", "admin_blocks_app": True})

    denied = stage.answer({"deny": "1"})
    nothing = stage.decide()
    silent = stage.client.get("/o/oauth2/v2/auth", query_string=asking(prompt="none", login_hint=ALICE))
    stranded = [
        stage.client.get("/o/oauth2/v2/auth", query_string=asking(redirect_uri=CALLBACK + "/")),
        stage.client.get("/o/oauth2/v2/auth", query_string=asking(scope="contacts")),
        stage.client.get("/o/oauth2/v2/auth", query_string=asking(client_id="other")),
        stage.client.post("/o/oauth2/v2/auth/decide", query_string=asking(), data={"user": BOB, "scope": CONTACTS}),
    ]

    assert (denied, nothing) == ({"error": "access_denied", "state": "s1"},) * 2
    assert "error=consent_required" in silent.location
    expected = ["redirect_uri_mismatch", "invalid_scope", "invalid_client", "admin_policy_enforced"]
    assert expected == [page.text.partition("<title>")[2].split(": ")[1].split("<")[0] for page in stranded]
    assert [page.status_code for page in stranded] == [400, 400, 401, 400]


def test_a_refresh_token_needs_offline_access_and_a_consent_screen(stage: Stage) -> None:
    """The second consent brings none, unless `prompt=consent` shows the screen again."""
    online = stage.connect(CONTACTS, access_type="online", user=BOB)
    first, again, forced = stage.connect(CONTACTS), stage.connect(CONTACTS), stage.connect(CONTACTS, prompt="consent")

    assert ["refresh_token" in tokens for tokens in (online, first, again, forced)] == [False, True, False, True]


def test_later_consents_add_up_when_asked_to(stage: Stage) -> None:
    """`include_granted_scopes` puts what was granted before into the new token; without it the token has its own."""
    stage.connect(CONTACTS)
    alone, together = stage.connect(SEND), stage.connect(MODIFY, include_granted_scopes="true")

    assert alone["scope"] == SEND
    assert {MODIFY, CONTACTS, SEND} == set(together["scope"].split())


def test_a_code_works_once_for_its_own_address_and_verifier(stage: Stage) -> None:
    """Wrong address, missing verifier, second use and the eleventh minute are each refused by name."""
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    pkce = {"code_challenge": challenge, "code_challenge_method": "S256"}
    code, unproven, old = (stage.decide(CONTACTS, **pkce)["code"] for _ in range(3))

    moved = stage.token(grant_type="authorization_code", code=code, redirect_uri=CALLBACK + "?", code_verifier=verifier)
    basic = stage.client.post(
        "/oauth2/token",
        data={
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
        },
        auth=("linekeeper", "s3cret"),
    )
    answers = [moved, basic, stage.exchange(code, code_verifier=verifier), stage.exchange(unproven)]
    stage.advance(10 * MINUTE)
    answers.append(stage.exchange(old, code_verifier=verifier))
    answers.append(stage.token(grant_type="authorization_code", client_secret="wrong"))

    assert [answer.status_code for answer in answers] == [400, 200, 400, 400, 400, 401]
    expected = ["redirect_uri_mismatch", None, "invalid_grant", "invalid_grant", "invalid_grant", "invalid_client"]
    assert expected == [answer.get_json().get("error") for answer in answers]
    assert answers[3].get_json()["error_description"] == "Missing code verifier."


def test_a_refresh_may_narrow_the_scopes_but_not_widen_them(stage: Stage) -> None:
    """Asking for what was never granted is `invalid_scope`; the answer brings no new refresh token."""
    refresh = stage.connect(CONTACTS, READONLY)["refresh_token"]
    whole, narrow, wide = (
        stage.token(grant_type="refresh_token", refresh_token=refresh, **scope).get_json()
        for scope in ({}, {"scope": CONTACTS}, {"scope": f"{CONTACTS} {SEND}"})
    )

    assert f"{CONTACTS} {READONLY}" == whole["scope"]
    assert narrow["scope"] == CONTACTS
    assert wide["error"] == "invalid_scope"
    assert "refresh_token" not in whole


def test_the_hundred_and_first_refresh_token_buries_the_oldest(stage: Stage) -> None:
    """One user and client have a hundred; the least recently used goes silently."""
    tokens = [stage.connect(CONTACTS, prompt="consent")["refresh_token"] for _ in range(100)]
    alive = stage.token(grant_type="refresh_token", refresh_token=tokens[0])  # used now, so the second is the oldest
    stage.connect(CONTACTS, prompt="consent")
    answers = [stage.token(grant_type="refresh_token", refresh_token=token) for token in tokens[:3]]

    assert alive.status_code == 200
    assert [answer.status_code for answer in answers] == [200, 400, 200]
    assert stage.look(f"tokens?user={ALICE}")["refresh_tokens"] == 100


def test_refresh_tokens_die_as_documented(stage: Stage) -> None:
    """Seven days in testing (not for sign-in alone), a password change for Gmail scopes, and when withdrawn."""
    stage.act("knobs", {"testing": True})
    contacts, sign_in = stage.connect(CONTACTS)["refresh_token"], stage.connect("openid", user=BOB)["refresh_token"]

    def renew(token: str) -> int:
        return stage.token(grant_type="refresh_token", refresh_token=token).status_code

    stage.advance(7 * DAY - MINUTE)
    before = renew(contacts)
    stage.advance(2 * MINUTE)
    assert (before, renew(contacts), renew(sign_in)) == (200, 400, 200)

    stage.act("knobs", {"testing": False})
    mail, people = stage.connect(READONLY)["refresh_token"], stage.connect(CONTACTS, prompt="consent")["refresh_token"]
    stage.act("account", {"user": ALICE, "event": "password_changed"})
    assert (renew(mail), renew(people)) == (400, 200)

    stage.act("account", {"user": ALICE, "event": "consent_withdrawn"})
    assert renew(people) == 400


def test_revoking_one_token_withdraws_the_whole_project(stage: Stage) -> None:
    """The other grant of the same user falls too, the API answers 401, and a stranger's token is untouched."""
    mail, people = stage.connect(READONLY), stage.connect(CONTACTS)
    bearer, bob = {"Authorization": f"Bearer {people['access_token']}"}, stage.bearer(READONLY, user=BOB)
    assert stage.client.get("/v1/contactGroups", headers=bearer).status_code == 200

    answers = [stage.client.post("/revoke", data={"token": mail["access_token"]}).status_code for _ in range(2)]

    assert answers == [200, 400]
    assert reason(stage.client.get("/v1/contactGroups", headers=bearer)) == (401, "authError")
    assert stage.look(f"tokens?user={ALICE}") == {"refresh_tokens": 0, "access_tokens": 0, "granted": {}}
    assert stage.client.get("/gmail/v1/users/me/profile", headers=bob).status_code == 200


def test_scopes_are_enforced_method_by_method(stage: Stage) -> None:
    """A contacts token reads no mail, a metadata token neither searches nor opens it, nobody reads another's box."""
    message = stage.mail()
    people, headers = stage.bearer(CONTACTS), stage.bearer(METADATA)
    base = "/gmail/v1/users/me/messages"

    def get(path: str, bearer: dict[str, str]) -> TestResponse:
        return stage.client.get(path, headers=bearer)

    assert reason(get(base, people)) == (403, "insufficientPermissions")
    assert reason(get("/v1/contactGroups", headers)) == (403, "insufficientPermissions")
    assert reason(get(f"{base}?q=hello", headers)) == (403, "forbidden")
    assert reason(get(f"{base}/{message}", headers)) == (403, "forbidden")
    assert reason(get(f"/gmail/v1/users/{BOB}/messages", headers)) == (403, "forbidden")
    assert reason(get(base, {"Authorization": "Bearer made-up"})) == (401, "authError")
    shown = get(f"{base}/{message}?format=metadata&metadataHeaders=From", headers).get_json()
    assert shown["payload"]["headers"] == [{"name": "From", "value": "Carol Diaz <carol@shop.example>"}]
