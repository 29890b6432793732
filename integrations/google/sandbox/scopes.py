"""What may be asked for and what it opens: Google's scopes and the sets of them that API methods accept.

The sets are the `scopes` arrays of the discovery documents gmail.v1 (20261005) and people.v1 (20251117). The
`gmail.addons.current.*` scopes stand apart: they work only together with the token an add-on host hands out.
"""

from __future__ import annotations

from collections.abc import Iterable

PREFIX = "https://www.googleapis.com/auth/"
FULL_MAIL = "https://mail.google.com/"
EMAIL, PROFILE = PREFIX + "userinfo.email", PREFIX + "userinfo.profile"
SIGN_IN = frozenset({"openid", EMAIL, PROFILE})
METADATA = PREFIX + "gmail.metadata"
RENAMED = {"email": EMAIL, "profile": PROFILE}  # short OpenID names come back as the long ones


def scopes(*names: str) -> frozenset[str]:
    """Spell out scopes given by the part after the common prefix."""
    return frozenset(name if ":" in name or name == "openid" else PREFIX + name for name in names)


MODIFY_MAIL = scopes("gmail.modify", FULL_MAIL)
READ_BODIES = MODIFY_MAIL | scopes("gmail.readonly")
READ_MAIL = READ_BODIES | scopes("gmail.metadata")
OPEN_METADATA = scopes("gmail.addons.current.message.metadata")
OPEN_BODIES = scopes("gmail.addons.current.message.readonly", "gmail.addons.current.message.action")
READ_OPEN = OPEN_METADATA | OPEN_BODIES  # with the token of the open message, and for that message alone
READ_PROFILE = READ_MAIL | scopes("gmail.compose")
READ_LABELS = READ_MAIL | scopes("gmail.labels")
MODIFY_LABELS = MODIFY_MAIL | scopes("gmail.labels")
SEND_MAIL = MODIFY_MAIL | scopes("gmail.send", "gmail.compose")
WRITE_CONTACTS = scopes("contacts")
READ_CONTACTS = WRITE_CONTACTS | scopes("contacts.readonly")
READ_OTHERS = scopes("contacts.other.readonly")
READ_DIRECTORY = scopes("directory.readonly")
READ_PERSON = READ_CONTACTS | READ_OTHERS | READ_DIRECTORY | scopes("userinfo.email", "userinfo.profile")


def normalise(asked: Iterable[str]) -> tuple[str, ...]:
    """Give scopes their long names, once each, and add `openid` to any sign-in scope as Google does."""
    named = dict.fromkeys(RENAMED.get(scope, scope) for scope in asked)
    if SIGN_IN & named.keys():
        named.setdefault("openid")
    return tuple(named)


def is_known(scope: str) -> bool:
    """Tell a scope Google could have from a spelling mistake."""
    return scope in SIGN_IN or scope == FULL_MAIL or (scope.startswith(PREFIX) and scope != PREFIX)


def dies_with_password(granted: Iterable[str]) -> bool:
    """Tell whether a password change kills the token: it does as soon as it holds any Gmail scope."""
    return any(scope == FULL_MAIL or scope.startswith(PREFIX + "gmail.") for scope in granted)
