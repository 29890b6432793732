"""The envelopes Google opens: a card to show, one to put in its place, a word in passing, a question for permission.

A trigger and a press are answered in different envelopes, Chat in a third
(https://developers.google.com/workspace/add-ons/guides/alternate-runtimes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from integrations.google.cards.pieces import Card, Json

Place = Literal["pushCard", "updateCard"]
EDITORS = frozenset({"DOCS", "SHEETS", "SLIDES"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """How this call is answered: where our buttons lead, and what was asked."""

    door: str
    pressed: bool = False  # somebody pressed something; else a host opened a card
    chat: bool = False
    again: bool = False  # it was asked for once more, from the bones of this card
    viewer: str = ""  # in a conversation others read: who alone may see the answer

    def show(self, card: Card, *, place: Place = "pushCard", notice: str = "") -> Json:
        """Show a card; `notice`: a line that goes away by itself."""
        if self.chat:
            return self.say(notice, card)
        action: Json = {"navigations": [{"updateCard" if self.again else place: card.json(self.door)}]}
        return self._action(action | ({"notification": {"text": notice}} if notice else {}))

    def notify(self, notice: str) -> Json:
        """A line that goes away by itself, and the card stays."""
        return self.say(notice) if self.chat else self._action({"notification": {"text": notice}})

    def home(self, notice: str) -> Json:
        """Back to where somebody came from, with a line that goes away by itself."""
        if self.chat:
            return self.say(notice)
        return self._action({"navigations": [{"pop": True}], "notification": {"text": notice}})

    def _action(self, action: Json) -> Json:
        return {"renderActions": {"action": action}} if self.pressed else {"action": action}

    def say(self, text: str = "", card: Card | None = None) -> Json:
        """A message in Chat, for one pair of eyes where others read along."""
        made = self.message(text, card)
        return {"hostAppDataAction": {"chatDataAction": {"createMessageAction": {"message": made}}}}

    def message(self, text: str = "", card: Card | None = None) -> Json:
        """The message alone, as it is also sent without having been asked for."""
        message: Json = {"text": text} if text else {}
        if card is not None:
            message["cardsV2"] = [{"cardId": card.name, "card": card.json(self.door, foot=False)}]
        if self.viewer:
            message["privateMessageViewer"] = {"name": self.viewer}
        return message


def permission(scopes: Sequence[str]) -> Json:
    """Have Google ask the user for these; it then makes the same call again."""
    return {"requesting_google_scopes": {"scopes": sorted(scopes)}}


def sign_in(card: Card, door: str) -> Json:
    """Say that an account has to be connected first, with our own card around the button."""
    return {"custom_authorization_prompt": {"action": {"navigations": [{"pushCard": card.json(door)}]}}}


def sign_in_chat(url: str) -> Json:
    """The same in Chat, which draws the button itself."""
    return {"basicAuthorizationPrompt": {"authorizationUrl": url, "resource": "Linekeeper"}}


def insert(text: str) -> Json:
    """Write into the message somebody is composing, where the cursor is."""
    body = {"type": "IN_PLACE_INSERT", "insertContents": [{"content": text, "contentType": "TEXT"}]}
    return {"renderActions": {"hostAppAction": {"gmailAction": {"updateDraftActionMarkup": {"updateBody": body}}}}}


def ask_for_file(host: str, file: str) -> Json:
    """Have the host ask the user whether we may see this one file."""
    asked: dict[str, Any] = (
        {"editorAction": {"requestFileScopeForActiveDocument": {}}}
        if host in EDITORS
        else {"driveAction": {"requestFileScope": {"itemId": file}}}
    )
    return {"renderActions": {"hostAppAction": asked}}
