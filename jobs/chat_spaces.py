"""Where a user and the app write to each other in Google Chat: learned when they add it or write to it, then forgotten.

Only one name of a conversation is kept for each user, and only where somebody gave us the app's account.
"""

from __future__ import annotations

from typing import Any

from jobs.services import Services
from store.chat_spaces import ChatSpaces
from store.tenants import User


def spaces(services: Services) -> ChatSpaces:
    """Where every user and the app write to each other."""
    return ChatSpaces(services.db, services.vault)


def learn(services: Services, user: User, name: str, language: str) -> bool:
    """The user and the app write to each other there; say whether they are told of missed calls."""
    if not services.settings.google_service_account_key or not name:
        return False
    known = spaces(services).of(user.tenant, user.id)
    if known is None or (known.name, known.language) != (name, language):
        spaces(services).learn(user.tenant, user.id, name, language)
        if known is None:
            _note(services, user, "chat.learned")
    return known is None or known.on


def left(services: Services, user: User, name: str) -> None:
    """The app was taken out of a conversation; if it was this user's, nothing is told there any more."""
    known = spaces(services).of(user.tenant, user.id)
    if known is not None and known.name == name and spaces(services).forget(user.tenant, user.id):
        _note(services, user, "chat.left")


def switch(services: Services, user: User, *, on: bool) -> None:
    """Tell this user of missed calls in Chat from now on, or do not."""
    if spaces(services).switch(user.tenant, user.id, on=on):
        _note(services, user, "chat.switched", on=on)


def _note(services: Services, user: User, action: str, **facts: Any) -> None:
    services.ledger.note(user.tenant, action, actor=f"user:{user.id}", subject=f"users:{user.id}", **facts)
