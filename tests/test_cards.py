"""Google's cards as drawn: to the letter for every host and event, within the limits, whole in every language."""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Malformed
from integrations.google.cards import event
from integrations.google.cards.event import ON, Event
from integrations.google.cards.limits import MOST_WIDGETS, problems
from integrations.google.cards.pages import forms
from integrations.google.cards.pieces import Row
from integrations.google.cards.words import END, ISOLATE, LANGUAGES, Words
from sandbox.cards import DANA, DOOR, NOW, ZONE, pages, words
from tests import card_views
from tests.card_views import GOLDEN

HOUSE = Path(__file__).parent.parent


def test_every_answer_is_as_it_was() -> None:
    """What changed on a card shows in the golden files: `python -m tests.card_views` writes them anew."""
    made = card_views.golden()
    assert sorted(made) == sorted(path.name for path in GOLDEN.iterdir())
    assert [] == [name for name, text in made.items() if text != (GOLDEN / name).read_text(encoding="utf-8")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_card_breaks_a_limit(language: str) -> None:
    """In whatever language it is read, for cards and for messages."""
    for card in pages(words(language)).values():
        assert [] == problems(card.json(DOOR))
        assert [] == problems(card.json(DOOR, foot=False))


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no title": (lambda card: card["header"].clear(), "no title"),
    "no sections": (lambda card: card["sections"].clear(), "0 sections"),
    "an empty section": (lambda card: card["sections"].append({"widgets": []}), "a section is empty"),
    "101 widgets": (
        lambda card: card["sections"][0]["widgets"].extend([{"textParagraph": {"text": "a"}}] * MOST_WIDGETS),
        "at most 100",
    ),
    "two kinds in a widget": (
        lambda card: card["sections"][0]["widgets"][0].update(textParagraph={"text": "a"}),
        "one of those we know",
    ),
    "a widget of tomorrow": (
        lambda card: card["sections"][0]["widgets"].append({"hologram": {}}),
        "one of those we know",
    ),
    "nothing said": (
        lambda card: card["sections"][0]["widgets"].append({"textParagraph": {"text": ""}}),
        "says nothing",
    ),
    "two fields of one name": (
        lambda card: card["sections"][0]["widgets"].append(copy.deepcopy(card["sections"][0]["widgets"][0])),
        "two fields are called note",
    ),
    "a field that is needed and gone": (
        lambda card: card["fixedFooter"]["primaryButton"]["onClick"]["action"].update(requiredWidgets=["what"]),
        "what is needed",
    ),
    "a relative address": (
        lambda card: card["fixedFooter"]["primaryButton"]["onClick"]["action"].update(function="/addon/google"),
        "whole https address",
    ),
    "a link that is a script": (
        lambda card: card["fixedFooter"]["primaryButton"].update(onClick={"openLink": {"url": "javascript:alert(1)"}}),
        "https, mailto or tel",
    ),
    "a mute button": (lambda card: card["fixedFooter"]["primaryButton"].pop("text"), "neither a word nor a picture"),
    "a footer without its first": (lambda card: card["fixedFooter"].pop("primaryButton"), "no primary button"),
    "a parameter that is a number": (
        lambda card: card["fixedFooter"]["primaryButton"]["onClick"]["action"]["parameters"][0].update(value=1),
        "two texts",
    ),
}


@pytest.mark.parametrize(("spoil", "said"), BROKEN.values(), ids=BROKEN)
def test_what_google_would_refuse_is_named(spoil: Callable[[dict[str, Any]], Any], said: str) -> None:
    card = pages(words())["note"].json(DOOR)
    assert [] == problems(card)

    spoil(card)

    assert any(said in problem for problem in problems(card)), problems(card)


def test_what_people_wrote_is_text() -> None:
    """A name with markup in it is shown as it is, wherever Google reads a little HTML and wherever it may."""
    row = Row("<b>Eve</b> & Co", above="<i>", below="a < b").json(DOOR)["decoratedText"]

    assert ("&lt;b&gt;Eve&lt;/b&gt; &amp; Co", "‹i›", "a ‹ b") == (row["text"], row["topLabel"], row["bottomLabel"])


# ---- words ----------------------------------------------------------------------------------------------------------


def gaps(phrase: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(phrase) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_phrase_is_missing(language: str) -> None:
    """The same phrases in every language, none empty, each with the same gaps."""
    english, said = LANGUAGES["en"], LANGUAGES[language]
    assert english.keys() == said.keys()
    assert [] == [name for name in english if not said[name].strip() or gaps(english[name]) != gaps(said[name])]


def test_every_phrase_is_said_somewhere() -> None:
    """What nobody says any more is not translated on and on."""
    folders = (HOUSE / "integrations/google/cards/pages", HOUSE / "jobs/cards")
    sources = "".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.glob("*.py"))
    sources += (HOUSE / "integrations/google/cards/words.py").read_text(encoding="utf-8")
    built = {f"{way}.{outcome}" for way in ("inbound", "outbound") for outcome in ("answered", "missed", "voicemail")}

    assert [] == [name for name in LANGUAGES["en"] if f'"{name}"' not in sources and name not in built]


@pytest.mark.parametrize(
    ("locale", "language"),
    [("en-US", "en"), ("es-419", "es"), ("pt_BR", "pt"), ("AR", "ar"), ("hi-IN", "hi"), ("tlh", "en"), ("", "en")],
)
def test_the_readers_language(locale: str, language: str) -> None:
    assert language == Words.of(locale, ZONE, NOW).language


def test_days_and_numbers_read_as_people_read_them() -> None:
    """Today and yesterday where the reader is; numbers from the left, also among words that are not."""
    say = words()
    told = [say.when(NOW - timedelta(hours=hours)) for hours in (1, 13, 60)]

    assert ["Today 11:00", "Yesterday 23:00", "2026-03-28 00:00"][:2] == told[:2]
    assert told[2].startswith("2026-03-2")
    assert ("+34 600", f"{ISOLATE}+34 600{END}") == (say.number("+34 600"), words("ar").number("+34 600"))
    assert ("0:07", "3:35", "75:00") == (say.lasted(7), say.lasted(215), say.lasted(4500))


def test_a_summary_says_whom_when_and_what() -> None:
    text = forms.summary_text(DANA.calls[1], words())
    assert "Call with Dana Quince (Yesterday 12:00, 3:35 min).\nNotes: Wants the offer by Friday <& soon>\n" == text


# ---- events ---------------------------------------------------------------------------------------------------------


def told(host: str = "GMAIL", **more: Any) -> dict[str, Any]:
    common = {"hostApp": host, "platform": "WEB", "userLocale": "de", "timeZone": {"id": "Europe/Berlin", "offset": 1}}
    return {"commonEventObject": common | more.pop("common", {}), **more}


def understood(value: Any, on: str = "") -> Event:
    return event.read(json.dumps(value).encode(), on)


KINDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a homepage": (told(), "", "home"),
    "an open message": (told(gmail={"messageId": "msg-f:1", "accessToken": "t"}), "", "message"),
    "a message being written": (told(gmail={"toRecipients": []}), "compose", "compose"),
    "a meeting": (
        told("CALENDAR", calendar={"id": "e1", "attendees": [{"email": "Dana@quince.example"}]}),
        "",
        "meeting",
    ),
    "a chosen file": (told("DRIVE", drive={"selectedItems": [{"id": "f1", "title": "List"}]}), "", "file"),
    "a granted document": (told("DOCS", docs={"id": "f1", "addonHasFileScopePermission": True}), "granted", "file"),
    "a press": (told(common={"parameters": {"do": "home"}}), "", "press"),
    "Chat": ({"chat": {"user": {"name": "users/7"}, "messagePayload": {}}}, "", "chat"),
}


@pytest.mark.parametrize(("value", "on", "kind"), KINDS.values(), ids=KINDS)
def test_what_a_host_tells_us_is_understood(value: dict[str, Any], on: str, kind: str) -> None:
    assert kind == understood(value, on).kind


def test_words_fields_and_moments_arrive() -> None:
    """Under either spelling of the token; a press asked again says all it said."""
    one = understood(
        told(
            common={
                "parameters": {"do": "later.keep", "key": "k"},
                "formInputs": {
                    "title": {"stringInputs": {"value": ["Call Dana"]}},
                    "at": {"dateTimeInput": {"msSinceEpoch": "1774864800000", "hasDate": True, "hasTime": True}},
                    "do": {"stringInputs": {"value": ["dial"]}},
                },
            },
            authorizationEventObject={"userOauthToken": "u", "authorizedScopes": ["a", 7]},
        )
    )

    assert {"do": "later.keep", "key": "k", "title": "Call Dana"} == one.told
    assert datetime(2026, 3, 30, 10, 0) == one.moment("at")
    again = understood(told(common={"parameters": one.again}))
    assert (datetime(2026, 3, 30, 10, 0), "Call Dana") == (again.moment("at"), again.told["title"])
    assert ("u", "Europe/Berlin", "de") == (one.token, one.zone, one.locale)
    assert (frozenset({"a"}), True, False) == (one.scopes, one.may("b", "a"), one.may("b"))
    assert understood(told()).may("whatever"), "a host that does not say is asked"
    assert "u'" not in repr(one)


def test_who_is_in_a_meeting() -> None:
    """Whoever organises it first, each once, whatever the capitals."""
    meeting = {
        "id": "e",
        "organizer": {"email": "Bob@alice.example"},
        "attendees": [{"email": "DANA@quince.example"}, {}, 7],
    }
    assert ("bob@alice.example", "dana@quince.example") == understood(told("CALENDAR", calendar=meeting)).people


def test_chat_says_who_and_where() -> None:
    """The command's number as text or number; a space others read is not alone."""
    payload = {
        "appCommandMetadata": {"appCommandId": "1"},
        "message": {"text": "/call Dana", "argumentText": " Dana "},
        "space": {"spaceType": "SPACE"},
    }
    one = understood({"chat": {"user": {"name": "users/123"}, "eventTime": "t", "appCommandPayload": payload}}).chat
    assert one is not None
    assert ("command", "123", 1, "Dana", False, "t") == (one.what, one.user, one.command, one.text, one.alone, one.at)


MALFORMED: dict[str, Any] = {
    "nothing": b"",
    "a list": b"[]",
    "a depth of 10,000": b'{"a":' * 10_000,
    "no host": b"{}",
    "a host of tomorrow": told("FRIDGE"),
    "a common object that is none": {"commonEventObject": 7},
    "a message id that is a path": told(gmail={"messageId": "../../drafts?x"}),
    "a message id that is a number": told(gmail={"messageId": 7}),
    "half a character": told(common={"parameters": {"do": "\ud800"}}),
    "a parameter of 9,000 letters": told(common={"parameters": {"do": "a" * 9_000}}),
    "51 parameters": told(common={"parameters": {str(number): "" for number in range(51)}}),
    "a moment that is none": told(common={"formInputs": {"at": {"dateTimeInput": {"msSinceEpoch": "soon"}}}}),
    "a moment before time": told(common={"formInputs": {"at": {"dateTimeInput": {"msSinceEpoch": -1}}}}),
    "scopes that are no list": told(authorizationEventObject={"authorizedScopes": "all"}),
    "a chat that is none": {"chat": []},
    "a command with a name": {"chat": {"appCommandPayload": {"appCommandMetadata": {"appCommandId": "call"}}}},
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_what_cannot_be_understood_is_said_so(value: Any) -> None:
    with pytest.raises(Malformed):
        event.read(value if isinstance(value, bytes) else json.dumps(value).encode())


def test_a_trigger_of_their_own_is_none() -> None:
    assert ("compose", "granted") == ON
    with pytest.raises(Malformed):
        understood(told(), "fire")
