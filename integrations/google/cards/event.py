"""What Google's add-on hosts tell us when somebody opens a card or presses something on it, understood.

One object for Gmail, Calendar, Drive, the editors and Chat
(https://developers.google.com/workspace/add-ons/guides/alternate-runtimes,
https://developers.google.com/workspace/add-ons/chat/convert). Nothing in it is believed yet: the tokens are `tokens`'
business. Fields we have no use for are passed over; what we use and cannot read is Malformed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from domain.errors import Malformed

Kind = Literal["home", "message", "compose", "meeting", "file", "press", "chat"]
ON = ("compose", "granted")  # what a trigger's address may say after `?on=`, where its body does not tell it apart
HOSTS = frozenset({"GMAIL", "CALENDAR", "DRIVE", "DOCS", "SHEETS", "SLIDES", "CHAT"})
EDITORS = ("docs", "sheets", "slides")
MOST_TEXT = 8_000  # characters of one field
MOST_TOKEN = 8_192
MOST_FIELDS = 50
MOST_PEOPLE = 50  # attendees that are looked up
ID = re.compile(r"[\w.:@+=/-]{1,256}")
SPACE = re.compile(r"spaces/[\w-]{1,128}")
MOST_MS = 4_102_444_800_000  # the year 2100


@dataclass(frozen=True, slots=True)
class Message:
    """The message somebody has open, and the token that reads this one alone."""

    id: str
    token: str


@dataclass(frozen=True, slots=True)
class File:
    """A file somebody has open or chose; `granted`: they let us see it."""

    id: str
    title: str
    granted: bool
    kind: str = ""  # its media type, where the host says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """What happened in Chat. `what`: added, removed, message, command or pressed."""

    what: str
    user: str  # Google's id of whoever did it
    command: int = 0
    text: str = ""
    alone: bool = True  # nobody but them reads the conversation
    space: str = ""  # the conversation: spaces/...
    at: str = ""  # when, as Chat wrote it: the same when it tells us again


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One call of a host. `told`: a button's words and what was written into fields."""

    kind: Kind
    host: str
    locale: str = "en"
    zone: str = ""
    told: Mapping[str, str] = field(default_factory=dict)
    moments: Mapping[str, datetime] = field(default_factory=dict)  # without a zone: what the picker showed
    scopes: frozenset[str] | None = None  # None: the host did not say
    token: str = field(default="", repr=False)
    user_id_token: str = field(default="", repr=False)
    system_id_token: str = field(default="", repr=False)
    message: Message | None = field(default=None, repr=False)
    people: tuple[str, ...] = ()
    file: File | None = None
    chat: Chat | None = None

    def may(self, *scopes: str) -> bool:
        """Whether the user granted one of these, as far as the host says."""
        return self.scopes is None or not self.scopes.isdisjoint(scopes)

    @property
    def again(self) -> dict[str, str]:
        """What a button has to say so that the same is asked once more."""
        return {**self.told, **{name: at.isoformat() for name, at in self.moments.items()}}

    def moment(self, name: str) -> datetime | None:
        """A day and a time from a picker, or as `again` says it."""
        if name in self.moments:
            return self.moments[name]
        try:
            return datetime.fromisoformat(self.told.get(name, "")).replace(tzinfo=None)
        except ValueError:
            return None


def read(body: bytes, on: str = "") -> Event:
    """Understand what a host posted. Raises Malformed."""
    told = _object(body)
    common = _part(told, "commonEventObject")
    access = _part(told, "authorizationEventObject")
    chat = _chat(told["chat"]) if "chat" in told else None
    host = "CHAT" if chat is not None else _text(common, "hostApp", 32)
    if host not in HOSTS:
        raise Malformed("The event names no host we know.")
    words = {**_parameters(common), **_fields(common)}
    message, file, people = _message(told), _file(told), _people(told)
    if on not in ("", *ON):
        raise Malformed("There is no such trigger.")
    kind: Kind = "home"
    if chat is not None:
        kind = "chat"
    elif words.get("do"):
        kind = "press"
    elif on == "compose":
        kind = "compose"
    elif message is not None:
        kind = "message"
    elif _part(told, "calendar").get("id") or people:
        kind = "meeting"
    elif file is not None:
        kind = "file"
    zone = _part(common, "timeZone")
    return Event(
        kind=kind,
        host=host,
        locale=_text(common, "userLocale", 35) or "en",
        zone=_text(zone, "id", 64),
        told=words,
        moments=_moments(common),
        scopes=_scopes(access),
        token=_text(access, "userOAuthToken", MOST_TOKEN) or _text(access, "userOauthToken", MOST_TOKEN),
        user_id_token=_text(access, "userIdToken", MOST_TOKEN),
        system_id_token=_text(access, "systemIdToken", MOST_TOKEN),
        message=message,
        people=people,
        file=file,
        chat=chat,
    )


# ---- the parts ------------------------------------------------------------------------------------------------------


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("The event is not JSON.") from None
    if not isinstance(value, dict):
        raise Malformed("The event is not a JSON object.")
    return value


def _part(of: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = of.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"The event's {name} is not an object.")
    return value


def _text(of: Mapping[str, Any], name: str, most: int = MOST_TEXT) -> str:
    value = of.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most or any("\ud800" <= one <= "\udfff" for one in value):
        raise Malformed(f"The event's {name} is not a text of at most {most} characters.")
    return value.replace("\x00", "")


def _id(of: Mapping[str, Any], name: str) -> str:
    value = _text(of, name, 256)
    if value and not ID.fullmatch(value):
        raise Malformed(f"The event's {name} is no id.")
    return value


def _list(of: Mapping[str, Any], name: str) -> list[Any]:
    value = of.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"The event's {name} is not a list.")
    return value


def _scopes(access: Mapping[str, Any]) -> frozenset[str] | None:
    scopes = _list(access, "authorizedScopes")
    return frozenset(scope for scope in scopes if isinstance(scope, str)) if "authorizedScopes" in access else None


def _parameters(common: Mapping[str, Any]) -> dict[str, str]:
    named = _part(common, "parameters")
    if len(named) > MOST_FIELDS:
        raise Malformed("The event has too many parameters.")
    return {name: _text(named, name) for name in named}


def _inputs(common: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    given = _part(common, "formInputs")
    if len(given) > MOST_FIELDS:
        raise Malformed("The event has too many fields.")
    for name in given:
        yield name, _part(given, name)


def _fields(common: Mapping[str, Any]) -> dict[str, str]:
    """What was written or chosen; of several values the first."""
    found = {}
    for name, given in _inputs(common):
        if name != "do" and "stringInputs" in given:
            values = _list(_part(given, "stringInputs"), "value")
            found[name] = _text({name: values[0]}, name) if values else ""
    return found


def _moments(common: Mapping[str, Any]) -> dict[str, datetime]:
    found = {}
    for name, given in _inputs(common):
        if "dateTimeInput" in given:
            said = _part(given, "dateTimeInput").get("msSinceEpoch")
            ms = int(said) if isinstance(said, str) and re.fullmatch(r"\d{1,13}", said) else said
            if isinstance(ms, bool) or not isinstance(ms, int) or not 0 <= ms <= MOST_MS:
                raise Malformed(f"The event's {name} is no moment.")
            found[name] = datetime(1970, 1, 1) + timedelta(milliseconds=ms)
    return found


def _message(told: Mapping[str, Any]) -> Message | None:
    gmail = _part(told, "gmail")
    message, token = _id(gmail, "messageId"), _text(gmail, "accessToken", MOST_TOKEN)
    return Message(message, token) if message else None


def _people(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Who else is in the meeting: addresses, whoever organises it first."""
    meeting = _part(told, "calendar")
    named = [_part(meeting, "organizer"), *(one for one in _list(meeting, "attendees") if isinstance(one, dict))]
    addresses = [_text(one, "email", 320) for one in named]
    return tuple(dict.fromkeys(one.casefold() for one in addresses if "@" in one))[:MOST_PEOPLE]


def _file(told: Mapping[str, Any]) -> File | None:
    drive = _part(told, "drive")
    chosen = [one for one in _list(drive, "selectedItems") if isinstance(one, dict)]
    candidates = [_part(told, editor) for editor in EDITORS] + [_part(drive, "activeCursorItem"), *chosen[:1]]
    for one in candidates:
        if file := _id(one, "id"):
            granted = one.get("addonHasFileScopePermission") is True
            return File(file, _text(one, "title", 1_000), granted, _text(one, "mimeType", 128))
    return None


# ---- Chat -----------------------------------------------------------------------------------------------------------

PAYLOADS = {
    "addedToSpacePayload": "added",
    "removedFromSpacePayload": "removed",
    "appCommandPayload": "command",
    "messagePayload": "message",
    "buttonClickedPayload": "pressed",
}


def _chat(told: Any) -> Chat:
    if not isinstance(told, dict):
        raise Malformed("The event's chat is not an object.")
    name, what = next(((name, what) for name, what in PAYLOADS.items() if name in told), ("", "other"))
    payload = _part(told, name) if name else {}
    message, space = _part(payload, "message"), _part(payload, "space")
    number = _part(payload, "appCommandMetadata").get("appCommandId", 0)
    if isinstance(number, str) and re.fullmatch(r"\d{1,4}", number):
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 1_000:
        raise Malformed("The event's appCommandId is no number of a command.")
    user = _text(_part(told, "user"), "name", 128)
    name = _text(space, "name", 200)
    kind = _text(space, "spaceType", 64) or _text(space, "type", 64)
    return Chat(
        what=what,
        user=user.removeprefix("users/") if re.fullmatch(r"users/\d{1,64}", user) else "",
        command=number,
        text=(_text(message, "argumentText") or _text(message, "text")).strip(),
        alone=kind in ("DM", "DIRECT_MESSAGE"),
        space=name if SPACE.fullmatch(name) else "",
        at=_text(told, "eventTime", 64),
    )
