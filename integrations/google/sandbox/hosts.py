"""The add-on hosts' side of a card: the event Gmail, Calendar, Drive, an editor or Chat posts, and what it makes of the
answer.

The stage asks for an event here, signed as Google signs it, posts it itself and brings the answer back: so no lock is
held while a product thinks. Rules: https://developers.google.com/workspace/add-ons/guides/alternate-runtimes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .grants import Client
from .mailbox import Mailbox, Message
from .tokens import KeyRing

Json = dict[str, Any]
ISSUER = "https://accounts.google.com"
CHAT = "chat@system.gserviceaccount.com"
SECONDS = 3_600
MOST_WIDGETS = MOST_SECTIONS = 100
KINDS = frozenset(
    {"textParagraph", "image", "decoratedText", "buttonList", "textInput", "selectionInput", "dateTimePicker"}
    | {"divider", "grid", "columns", "carousel", "chipList"}
)
LOOPBACK = frozenset({"127.0.0.1", "localhost"})


@dataclass(slots=True)
class Hosts:
    """What the hosts remember: the add-on, tokens for single messages, and the answers they were given."""

    client: Client = Client("addon", "", (), "linekeeper")
    account: str = "service-1@gcp-sa-gsuiteaddons.iam.gserviceaccount.com"
    opened: dict[str, tuple[str, str]] = field(default_factory=dict)  # token -> (user, message)
    shown: list[tuple[str, Json]] = field(default_factory=list)

    def open(self, user: str, message: str) -> str:
        """Make the token that reads this one message."""
        token = secrets.token_urlsafe(48)
        self.opened[token] = (user, message)
        return token

    def may_read(self, token: str, user: str, message: str) -> bool:
        return self.opened.get(token) == (user, message)

    def signed(self, keys: KeyRing, now: float, audience: str, **claims: Any) -> str:
        """An ID token as Google's services sign them."""
        issued = int(now)
        usual = {"iss": ISSUER, "aud": audience, "iat": issued, "exp": issued + SECONDS, "email_verified": True}
        return keys.current().sign(usual | claims)


def message_id(given: str) -> str:
    """Events name messages in decimal, the API in hex."""
    number = given.removeprefix("msg-f:")
    return f"{int(number):016x}" if number != given and number.isdigit() else given


def event_id(message: Message) -> str:
    return f"msg-f:{int(message.id, 16)}"


def find(mailbox: Mailbox, given: str) -> Message:
    return mailbox.message(message_id(given))


# ---- what Google would not show -------------------------------------------------------------------------------------


def problems(answer: Json) -> list[str]:
    """Say what is wrong with an answer."""
    found = [problem for card in cards(answer) for problem in _card(card)]
    known = {
        *("action", "renderActions", "hostAppDataAction", "requesting_google_scopes", "custom_authorization_prompt"),
        "basicAuthorizationPrompt",
    }
    return [*found, *(f"{name} is no answer" for name in answer.keys() - known)]


def cards(value: Any) -> Iterator[Json]:
    """Every card in an answer."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("pushCard", "updateCard", "card"):
                yield each
            else:
                yield from cards(each)
    elif isinstance(value, list):
        for each in value:
            yield from cards(each)


def _card(card: Mapping[str, Any]) -> Iterator[str]:
    sections = card.get("sections", [])
    widgets = [widget for section in sections for widget in section.get("widgets", [])]
    if len(widgets) > MOST_WIDGETS or len(sections) > MOST_SECTIONS:
        yield "more than 100 widgets or sections"
    for widget in widgets:
        if len(widget) != 1 or not KINDS.issuperset(widget):
            yield f"a widget is {sorted(widget)}"
    yield from _actions(card)


def _actions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        address = value.get("function")
        if address is not None:
            parts = urlsplit(str(address))
            if parts.scheme != "https" and parts.hostname not in LOOPBACK:
                yield "a function is a full HTTPS URL"
        for each in value.values():
            yield from _actions(each)
    elif isinstance(value, list):
        for each in value:
            yield from _actions(each)
