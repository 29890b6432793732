"""What a card may hold, by Google's own rules: a card that breaks one is not shown at all, so none may leave.

https://developers.google.com/workspace/add-ons/concepts/workspace-restrictions and the reference of cards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from settings import LOOPBACK

MOST_WIDGETS = 100
MOST_SECTIONS = 100
MOST_BUTTONS = 6  # in a row of a phone's width; Google names no number
WIDGETS = frozenset(
    {"textParagraph", "decoratedText", "buttonList", "textInput", "selectionInput", "dateTimePicker", "divider"}
)
INPUTS = frozenset({"textInput", "selectionInput", "dateTimePicker"})
SCHEMES = frozenset({"https", "mailto", "tel"})  # what `openLink` may lead to; https below a prefix of the manifest


def problems(card: Mapping[str, Any]) -> list[str]:
    """Say in words what Google would refuse; nothing for a good card."""
    return [*_problems(card)]


def _problems(card: Mapping[str, Any]) -> Iterator[str]:
    sections = card.get("sections", [])
    widgets = [widget for section in sections for widget in section.get("widgets", [])]
    if not card.get("header", {}).get("title"):
        yield "the card has no title"
    if not 0 < len(sections) <= MOST_SECTIONS:
        yield f"{len(sections)} sections: there are 1 to {MOST_SECTIONS}"
    if len(widgets) > MOST_WIDGETS:
        yield f"{len(widgets)} widgets: there are at most {MOST_WIDGETS}"
    yield from ("a section is empty" for section in sections if not section.get("widgets"))
    for widget in widgets:
        yield from _widget(widget)
    names = [widget[kind]["name"] for widget in widgets for kind in INPUTS & widget.keys()]
    yield from (f"two fields are called {name}" for name in {name for name in names if names.count(name) > 1})
    footer = card.get("fixedFooter")
    if footer is not None:
        if "primaryButton" not in footer:
            yield "a footer has no primary button"
        for button in footer.values():
            yield from _button(button)
    for action in _actions(card):
        yield from (
            f"{name} is needed and not there" for name in action.get("requiredWidgets", []) if name not in names
        )


def _widget(widget: Mapping[str, Any]) -> Iterator[str]:
    kinds = list(widget)
    if len(kinds) != 1 or kinds[0] not in WIDGETS:
        yield f"a widget is {' and '.join(kinds) or 'nothing'}: it is one of those we know"
        return
    (kind,) = kinds
    told = widget[kind]
    if kind in ("textParagraph", "decoratedText") and not told.get("text"):
        yield f"a {kind} says nothing"
    if kind in INPUTS and not (told.get("name") and told.get("label")):
        yield f"a {kind} has no name or no label"
    if kind == "selectionInput" and not told.get("items"):
        yield "there is nothing to choose from"
    if kind == "buttonList":
        if not 0 < len(told["buttons"]) <= MOST_BUTTONS:
            yield f"{len(told['buttons'])} buttons in a row: there are 1 to {MOST_BUTTONS}"
        for button in told["buttons"]:
            yield from _button(button)
    if kind == "decoratedText":
        if "button" in told:
            yield from _button(told["button"])
        if "onClick" in told:
            yield from _click(told["onClick"])


def _button(button: Mapping[str, Any]) -> Iterator[str]:
    if not button.get("text") and not (button.get("icon") and button.get("altText")):
        yield "a button has neither a word nor a picture with one"
    yield from _click(button.get("onClick", {}))


def _click(click: Mapping[str, Any]) -> Iterator[str]:
    if len(click) != 1:
        yield "what is pressed does one thing"
    elif "action" in click:
        action = click["action"]
        if not _address(action.get("function", ""), frozenset({"https"})):
            yield "an action leads to a whole https address"
        for pair in action.get("parameters", []):
            if not all(isinstance(pair.get(part), str) for part in ("key", "value")):
                yield "a parameter is two texts"
    elif "openLink" in click:
        if not _address(click["openLink"].get("url", ""), SCHEMES):
            yield "a link is https, mailto or tel"
    else:
        yield f"nothing happens on {', '.join(click)}"


def _address(url: str, schemes: frozenset[str]) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname in LOOPBACK:  # settings accept it there: the stage
        return True
    return parts.scheme in schemes and bool(parts.netloc if parts.scheme == "https" else parts.path)


def _actions(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every action anywhere in a card."""
    if isinstance(value, Mapping):
        if "function" in value and "parameters" in value:
            yield value
        for each in value.values():
            yield from _actions(each)
    elif isinstance(value, list):
        for each in value:
            yield from _actions(each)
