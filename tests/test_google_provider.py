"""Google as the consent flow sees it: data, checked like data."""

from __future__ import annotations

from urllib.parse import urlsplit

from domain.consent import scopes_for, standing
from integrations.google import hosts
from integrations.google.provider import FEATURES, SIGN_IN, provider
from integrations.google.scopes import AUTH, SCOPES
from settings import Settings
from tests.google_stage import ALICE, READ_CONTACTS, READ_MAIL, running


def test_every_address_is_googles_own_over_https() -> None:
    """A code or a secret goes nowhere else by default."""
    google = provider(Settings())
    for address in (google.authorize_url, google.token_url, google.revoke_url):
        parts = urlsplit(address)
        assert parts.scheme == "https"
        assert (parts.hostname or "").endswith((".google.com", ".googleapis.com"))


def test_settings_replace_every_address() -> None:
    """So that the product runs against a stand-in."""
    here = "http://127.0.0.1:9103"
    google = provider(Settings(google_auth_uri=here, google_token_uri=here, google_revoke_uri=here))
    assert {here} == {google.authorize_url, google.token_url, google.revoke_url}


def test_only_contacts_are_asked_for_unless_somebody_wants_more() -> None:
    """No restricted scope by default, and never the merging of earlier grants."""
    google = provider(Settings())
    assert scopes_for(feature for feature in FEATURES if not feature.optional) == (READ_CONTACTS,)
    assert google.authorize_params == {"access_type": "offline", "prompt": "consent"}


def test_every_feature_says_what_for_and_what_without() -> None:
    """Whole sentences, a name of its own, a scope of its own."""
    for feature in FEATURES:
        assert feature.scopes
        assert feature.purpose.endswith(".")
        assert feature.without.endswith(".")
    assert len({feature.slug for feature in FEATURES}) == len(FEATURES)


def test_what_google_grants_compares_equal_to_what_we_asked() -> None:
    """Google renames `email` and `profile`; asked for under their long names nothing seems missing."""
    with running() as stage:
        stage.fresh()
        asked = (*SIGN_IN, READ_CONTACTS, READ_MAIL)
        granted = stage.consent(*asked, user=ALICE)["scope"].split()
    assert set(asked) == set(granted)
    on = {one.feature.slug for one in standing(FEATURES, granted) if one.on}
    assert on == {"contacts", "mailbox"}


def test_the_wider_scope_is_asked_for_instead_of_the_narrow_one() -> None:
    """Whoever may write contacts may read them, so nobody is asked twice; and nothing offers it unasked."""
    both = [feature for feature in FEATURES if feature.slug.startswith("contacts")]
    assert scopes_for(both) == (AUTH + "contacts",)
    on = {one.feature.slug for one in standing(FEATURES, [AUTH + "contacts"]) if one.on}
    assert on == {"contacts", "contacts-write"}
    assert [feature.slug for feature in FEATURES if feature.by_name] == ["contacts-write"]


def test_every_scope_has_its_reasons() -> None:
    """What is asked for is what is explained to reviewers, and nothing else is."""
    asked = {scope for feature in (*FEATURES, *hosts.FEATURES) for scope in feature.scopes} | set(SIGN_IN)

    assert asked == {one.name for one in SCOPES}
