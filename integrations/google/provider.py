"""Google as an OAuth provider: its addresses, what may be asked for and the sentence an administrator reads for each.

Only `contacts` is asked for when a user connects. Everything else, other contacts and the directory, the mailbox (a
restricted scope) and sending, is asked for when somebody switches it on, never before. Google lets the user untick any
of them (granular consent); what is left decides which features are on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from domain.consent import Feature
from domain.errors import Unauthentic
from domain.ports import SignedIn
from integrations.google.scopes import AUTH as AUTH
from oauth.provider import Client, OAuthProvider
from settings import Settings

# Google answers `email` and `profile` under their long names; asked for under those, the granted list compares equal.
# https://developers.google.com/identity/protocols/oauth2/scopes
SIGN_IN = ("openid", AUTH + "userinfo.email", AUTH + "userinfo.profile")

WRITE_CONTACTS = frozenset({AUTH + "contacts"})  # reads too, so it is asked for instead of contacts.readonly

FEATURES = (
    Feature(
        slug="contacts",
        title="Google contacts",
        purpose="Reads your Google contacts so that you see who is calling.",
        scopes=frozenset({AUTH + "contacts.readonly"}),
        without="Callers who are only in your Google contacts stay unknown.",
        wider=WRITE_CONTACTS,
    ),
    Feature(
        slug="contacts-write",
        title="Keep Google contacts up to date",
        purpose="Adds, changes and deletes Google contacts where your other sides changed, as you chose.",
        scopes=WRITE_CONTACTS,
        without="Your Google contacts are read and never changed.",
        optional=True,
        by_name=True,
    ),
    Feature(
        slug="other-contacts",
        title="Other contacts",
        purpose="Reads people Gmail collected beside your contacts, those with a number, so that you see who calls;"
        " they are written nowhere.",
        scopes=frozenset({AUTH + "contacts.other.readonly"}),
        without="Callers whom only Gmail collected stay unknown.",
        optional=True,
    ),
    Feature(
        slug="directory",
        title="Workspace directory",
        purpose="Reads who works in your organisation, those with a number, so that you see which colleague is calling;"
        " they are written nowhere.",
        scopes=frozenset({AUTH + "directory.readonly"}),
        without="Colleagues whose number only your Workspace directory has stay unknown.",
        optional=True,
    ),
    Feature(
        slug="mailbox",
        title="Mail beside calls",
        purpose="Reads messages you exchanged with a caller and shows them beside the call; none stays over 24 hours.",
        scopes=frozenset({AUTH + "gmail.readonly"}),
        without="Messages you exchanged with a caller are not shown beside the call.",
        optional=True,
    ),
    Feature(
        slug="send-mail",
        title="Send mail",
        purpose="Sends a message from your address when you write one to a caller; it reads none.",
        scopes=frozenset({AUTH + "gmail.send"}),
        without="Writing to a caller opens your own mail program instead.",
        optional=True,
    ),
    Feature(
        slug="label-mail",
        title="Mark mail",
        purpose="Marks a message read or unread and changes its labels when you press the button for it.",
        scopes=frozenset({AUTH + "gmail.modify"}),
        without="Messages are marked and labelled in Gmail itself.",
        optional=True,
    ),
    Feature(
        slug="sheet",
        title="Call log in a spreadsheet",
        purpose="Adds your organisation's calls to a spreadsheet it makes in your Drive: times, names, numbers. It"
        " reaches no other file.",
        scopes=frozenset({AUTH + "drive.file"}),
        without="Calls are written into no spreadsheet.",
        optional=True,
    ),
    Feature(
        slug="busy",
        title="Do not disturb while busy",
        purpose="Sees at what times your calendar says busy, and nothing else of it, so that calls do not come up on"
        " your screen then, if you switch that on.",
        scopes=frozenset({AUTH + "calendar.freebusy"}),
        without="Calls come up on your screen whatever your calendar says.",
        optional=True,
    ),
)


def provider(settings: Settings) -> OAuthProvider:
    """Describe Google to the consent flow."""
    return OAuthProvider(
        slug="google",
        title="Google",
        client=Client(id=settings.google_client_id, secret=settings.google_client_secret),
        authorize_url=settings.google_auth_uri,
        token_url=settings.google_token_uri,
        revoke_url=settings.google_revoke_uri,
        features=FEATURES,
        sign_in_scopes=SIGN_IN,
        # Without prompt=consent a second connection of the same user brings no refresh token. include_granted_scopes is
        # left out on purpose: it would pour scopes of other grants into this one.
        # https://developers.google.com/identity/protocols/oauth2/web-server
        authorize_params={"access_type": "offline", "prompt": "consent"},
        # Who installed us for a whole domain granted the Marketplace's scopes for everybody in it, and nobody is to be
        # asked for them again (https://developers.google.com/workspace/marketplace/about-app-review). The account is
        # still chosen: it need not be the one the browser is signed in to.
        quiet_params={"access_type": "offline", "prompt": "select_account"},
        sign_in_params={"access_type": "online", "prompt": "select_account"},
        # The second: the user's administrator switched off a service we have a scope for. The third: a scope of this
        # consent is none (any more), and a renewal asks for what was granted, so it would be refused for ever.
        errors_that_end=frozenset({"invalid_grant", "admin_policy_enforced", "invalid_scope"}),
        # While the consent screen is External and in Testing: https://developers.google.com/identity/protocols/oauth2
        trial=timedelta(days=7),
    )


def signed_in(claims: Mapping[str, Any]) -> SignedIn:
    """Say who the verified claims of an ID token speak of.

    `sub` is the person, for ever; an address can be given to somebody else, and one that Google did not verify is left
    out. `hd`, the Workspace domain, is there only for members of one.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise Unauthentic("The ID token names nobody.")
    verified = claims.get("email_verified") is True
    return SignedIn(
        subject=subject,
        email=_text(claims, "email") if verified else "",
        name=_text(claims, "name"),
        extra={"hd": domain} if (domain := _text(claims, "hd")) else {},
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""
