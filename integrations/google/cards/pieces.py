"""The pieces Google's cards are made of, as far as we use them: frozen values that write themselves as Google's JSON.

Names and fields are Google's own (https://developers.google.com/workspace/add-ons/reference/rpc/google.apps.card.v1).
What customers and callers wrote is text, never markup: where Google reads a little HTML it is escaped, elsewhere its
angle brackets are set apart. `limits` says what a whole card may hold.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

Json = dict[str, Any]
Look = Literal["OUTLINED", "FILLED", "FILLED_TONAL", "BORDERLESS"]
ANGLES = str.maketrans({"<": "‹", ">": "›"})
MOST_CHARACTERS = 500  # of a line: a name or a title longer than this is nobody's


class Piece(Protocol):
    """Anything that stands on a card."""

    def json(self, door: str) -> Json:
        """Write it the way Google reads it; `door` is the address its buttons lead to."""


def marked(text: str) -> str:
    """Text where Google reads a little HTML."""
    return html.escape(text, quote=False)


def plain(text: str) -> str:
    """Text where it is not said whether Google does: right either way."""
    return text.translate(ANGLES)[:MOST_CHARACTERS]


# ---- what happens when something is pressed -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Press:
    """Asks us: `do` says what, `told` with which words; `needs` are fields that have to be filled in first."""

    do: str
    told: Mapping[str, str] = field(default_factory=dict)
    needs: Sequence[str] = ()

    def json(self, door: str) -> Json:
        words = {"do": self.do, **{name: value for name, value in self.told.items() if value}}
        action: Json = {
            "function": door,
            "parameters": [{"key": name, "value": value} for name, value in words.items()],
            "loadIndicator": "SPINNER",
        }
        if self.needs:
            action["requiredWidgets"] = list(self.needs)
        return {"action": action}


@dataclass(frozen=True, slots=True)
class Open:
    """Opens an address; `back` reads the card again once that window closes."""

    url: str
    back: bool = False

    def json(self, door: str) -> Json:
        link: Json = {"url": self.url}
        return {"openLink": link | ({"openAs": "OVERLAY", "onClose": "RELOAD"} if self.back else {})}


Click = Press | Open


# ---- widgets --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str
    soft: bool = False  # beside the point

    def json(self, door: str) -> Json:
        said = marked(self.text)
        return {"textParagraph": {"text": f'<font color="#5f6368">{said}</font>' if self.soft else said}}


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press, with a word or, where there is no room, a picture of it."""

    text: str
    click: Click
    icon: str = ""  # of Google's Material set
    look: Look | None = None
    bare: bool = False  # only the picture; the word is for those who cannot see it

    def json(self, door: str) -> Json:
        made: Json = {} if self.bare else {"text": plain(self.text)}
        if self.icon:
            made["icon"] = {"materialIcon": {"name": self.icon}}
        if self.bare:
            made["altText"] = plain(self.text)
        if self.look:
            made["type"] = self.look
        return made | {"onClick": self.click.json(door)}


@dataclass(frozen=True, slots=True)
class Row:
    """A line with a small one above and below, and one thing to press."""

    text: str
    above: str = ""
    below: str = ""
    icon: str = ""
    button: Button | None = None
    click: Click | None = None
    strong: bool = False

    def json(self, door: str) -> Json:
        said = marked(self.text)
        made: Json = {"text": f"<b>{said}</b>" if self.strong else said, "wrapText": True}
        if self.above:
            made["topLabel"] = plain(self.above)
        if self.below:
            made["bottomLabel"] = plain(self.below)
        if self.icon:
            made["startIcon"] = {"materialIcon": {"name": self.icon}}
        if self.button is not None:
            made["button"] = self.button.json(door)
        if self.click is not None:
            made["onClick"] = self.click.json(door)
        return {"decoratedText": made}


@dataclass(frozen=True, slots=True)
class Buttons:
    """Some buttons in a row."""

    buttons: Sequence[Button]

    def json(self, door: str) -> Json:
        return {"buttonList": {"buttons": [button.json(door) for button in self.buttons]}}


@dataclass(frozen=True, slots=True)
class Field:
    """A field to write in."""

    name: str
    label: str
    value: str = ""
    hint: str = ""
    long: bool = False
    most: int = 0  # characters

    def json(self, door: str) -> Json:
        made: Json = {
            "name": self.name,
            "label": plain(self.label),
            "type": "MULTIPLE_LINE" if self.long else "SINGLE_LINE",
        }
        if self.value:
            made["value"] = self.value
        if self.hint:
            made["hintText"] = plain(self.hint)
        if self.most:
            made["validation"] = {"characterLimit": self.most}
        return {"textInput": made}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few, from a list that drops down: (value, words)."""

    name: str
    label: str
    items: Sequence[tuple[str, str]]
    chosen: str = ""

    def json(self, door: str) -> Json:
        items = [
            {"text": plain(words), "value": value, "selected": value == self.chosen} for value, words in self.items
        ]
        return {"selectionInput": {"name": self.name, "label": plain(self.label), "type": "DROPDOWN", "items": items}}


@dataclass(frozen=True, slots=True)
class Moment:
    """A day and a time, as the clock on the wall shows it there."""

    name: str
    label: str
    at: datetime  # local: Google shows the milliseconds as if they were UTC

    def json(self, door: str) -> Json:
        wall = int((self.at.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds() * 1000)
        made = {"name": self.name, "label": plain(self.label), "type": "DATE_AND_TIME", "valueMsEpoch": str(wall)}
        return {"dateTimePicker": made}


# ---- the card -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Section:
    """Widgets that belong together."""

    widgets: Sequence[Piece]
    header: str = ""
    shown: int = 0  # so many before the rest has to be unfolded; 0: all

    def json(self, door: str) -> Json:
        made: Json = {"header": plain(self.header)} if self.header else {}
        if 0 < self.shown < len(self.widgets):
            made |= {"collapsible": True, "uncollapsibleWidgetsCount": self.shown}
        return made | {"widgets": [widget.json(door) for widget in self.widgets]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A whole card. Sections without anything in them are left out."""

    name: str
    title: str
    sections: Sequence[Section]
    subtitle: str = ""
    foot: Sequence[Button] = ()  # one or two, always in sight

    def json(self, door: str, *, foot: bool = True) -> Json:
        """Write the card; `foot`: whether the host has a place for it below, or it stands last on the card."""
        header = {"title": plain(self.title)} | ({"subtitle": plain(self.subtitle)} if self.subtitle else {})
        sections = [section for section in self.sections if section.widgets]
        if self.foot and not foot:
            sections.append(Section([Buttons(self.foot)]))
        made: Json = {"name": self.name, "header": header, "sections": [each.json(door) for each in sections]}
        if self.foot and foot:
            names = ("primaryButton", "secondaryButton")
            made["fixedFooter"] = {name: button.json(door) for name, button in zip(names, self.foot, strict=False)}
        return made
