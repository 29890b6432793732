"""A consent is kept sealed, used as long as it lasts, and destroyed when it is withdrawn."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import ConsentLost
from oauth import answer
from oauth.answer import Answer
from store.database import Database, TenantId
from store.vault import Vault
from tests.till import FIRST, HOUR, PROVIDER, Till, renewed


@pytest.fixture
def till(db: Database, vault: Vault, tenant: TenantId) -> Till:
    return Till(db, vault, tenant)


def test_a_token_that_lasts_is_used_as_it_is(till: Till) -> None:
    """Nobody is asked; it is not shown when printed."""
    token = till.grants.token(till.tenant, till.tie, PROVIDER)

    assert ("access-0", frozenset({"calls"})) == (token.value, token.scopes)
    assert [] == till.desk.asked
    assert "access-0" not in f"{token!r}{FIRST!r}{PROVIDER!r}"
    assert "s3cret" not in repr(PROVIDER)


def test_tokens_are_sealed_and_the_receipt_names_the_scopes(till: Till) -> None:
    """No token in the row, none in the ledger."""
    held = till.row()

    assert ("refresh-0", "access-0") == (till.open("refresh"), till.open("access"))
    assert b"refresh-0" not in bytes(held.refresh) + bytes(held.access)
    assert "refresh-0" not in str(held) + str(till.ledger.rows(till.tenant))
    (receipt,) = till.ledger.rows(till.tenant, action="consent.given")
    assert (["calls"], ["calls"], "1") == tuple(receipt.facts[name] for name in ("scopes", "purposes", "policy"))


def test_an_old_one_is_renewed_ahead_of_its_end(till: Till) -> None:
    """With our client's secret; an answer without a refresh token keeps the old one, another one replaces it."""
    till.desk.says = [renewed(1), renewed(2, refresh_token="refresh-2")]
    for number, refresh in ((1, "refresh-0"), (2, "refresh-2")):
        till.age(100)
        assert f"access-{number}" == till.token()
        assert refresh == till.open("refresh")
        assert (number, None) == (till.row().version, till.row().lease_until)

    first = {"grant_type": "refresh_token", "refresh_token": "refresh-0", "client_id": "c", "client_secret": "s3cret"}
    assert [first, first] == till.desk.asked


def test_fewer_scopes_are_what_there_is(till: Till) -> None:
    """Somebody unticked one meanwhile: what the provider says now counts, and no word of it changes nothing."""
    till.desk.says = [renewed(1, scope="a,b"), {"access_token": "access-2"}]
    for number in (1, 2):
        till.age(-1)
        token = till.grants.token(till.tenant, till.tie, PROVIDER)
        assert (f"access-{number}", frozenset({"a", "b"})) == (token.value, token.scopes)


def test_a_token_that_was_just_refused_is_renewed_once(till: Till) -> None:
    """Also if the clock says it is still good; whoever was refused the older one gets the newer without asking."""
    till.desk.says = [renewed(1)]
    one, other = (till.grants.tokens(till.tenant, till.tie, PROVIDER) for _ in range(2))
    assert ("access-0", "access-0") == (one(), other())

    assert ("access-1", "access-1") == (one(renew=True), other(renew=True))
    assert 1 == len(till.desk.asked)


@pytest.mark.parametrize(
    ("expires", "life"),
    [
        ({"expires_in": 3600}, 3600),
        ({"expires_in": "3600"}, 3600),
        ({"expires_in": 3_600_000}, 3600),  # milliseconds
        ({"expires_in": 3_600_000, "expires_in_sec": 3600}, 3600),
        ({}, 300),
        ({"expires_in": None}, 300),
        ({"expires_in": 0}, 300),
        ({"expires_in": -5}, 300),
        ({"expires_in": "soon"}, 300),
        ({"expires_in": [3600]}, 300),
        ({"expires_in": 5}, 60),
        ({"expires_in": 10**10}, 86_400),
        ({"expires_in": 86_400}, 86_400),
        ({"expires_in": float("inf")}, 300),
        ({"expires_in": float("nan")}, 300),
    ],
)
def test_how_long_a_token_lives(expires: dict[str, Any], life: int) -> None:
    """Seconds, milliseconds, text, nothing or nonsense: between a minute and a day, five minutes if nobody knows."""
    assert life == answer.read(PROVIDER, {"access_token": "a"} | expires).life


def test_a_consent_that_would_die_within_the_hour_is_none(till: Till) -> None:
    """No refresh token, now or before: nothing is kept. With one from before, that one stays."""
    made = till.connections.add(till.tenant, "workspace", "google", label="Bob")
    brief = Answer(access="brief", refresh="", scopes=frozenset(), life=HOUR, refresh_life=0, extra={})

    with pytest.raises(ConsentLost) as refused:
        till.keep(brief, tie=made)
    assert "consent.brief" == refused.value.code
    assert till.grants.get(till.tenant, made) is None

    till.keep(brief)
    assert ("brief", "refresh-0") == (till.token(), till.open("refresh"))


def test_a_consent_without_end_is_kept(till: Till) -> None:
    """Whatever number a provider gives for "never"."""
    data = renewed(1, refresh_token="r", refresh_token_expires_in=10**30)
    till.keep(answer.read(PROVIDER, data))

    assert "access-1" == till.token()
    assert till.row().refresh_until.year < 2100


def test_a_withdrawn_consent_gives_no_token(till: Till) -> None:
    """The tokens are destroyed with the commit; what has to be withdrawn there is handed over once."""
    with till.db.tenant(till.tenant) as connection:
        assert ("https://eu", "refresh-0") == till.grants.end(connection, till.tenant, till.tie)
        assert till.grants.end(connection, till.tenant, till.tie) is None

    with pytest.raises(ConsentLost):
        till.token()
    assert ("revoked", None, None) == (till.row().state, till.row().refresh, till.row().access)


def test_a_neighbour_cannot_use_it(till: Till, neighbour: TenantId) -> None:
    """Alice's connection under Charlie's name has no consent."""
    with pytest.raises(ConsentLost):
        till.grants.token(neighbour, till.tie, PROVIDER)
    assert till.grants.get(neighbour, till.tie) is None
