"""What comes between: a question first, a wait, a word about what went wrong, and Chat's greeting."""

from __future__ import annotations

from collections.abc import Mapping

from integrations.google.cards.pieces import Button, Buttons, Card, Open, Piece, Press, Row, Section, Text
from integrations.google.cards.words import Words


def sign_in(words: Words, url: str) -> Card:
    """Who this is nobody knows yet: say how that changes, and that Google is not who asks."""
    told: list[Piece] = [
        Text(words("sign.in.why")),
        Text(words("sign.in.how"), soft=True),
        Buttons([Button(words("sign.in.do"), Open(url, back=True), icon="login", look="FILLED")]),
    ]
    return Card(name="sign-in", title=words("sign.in"), subtitle="Linekeeper", sections=[Section(told)])


def late(words: Words, again: Mapping[str, str]) -> Card:
    """The bones of a card: what was asked for takes too long, and one press asks for it again."""
    press = Press(again.get("do", "home"), {name: value for name, value in again.items() if name != "do"})
    told: list[Piece] = [
        Row(words("late.why"), icon="hourglass_top"),
        Buttons([Button(words("late.do"), press, icon="refresh", look="FILLED")]),
    ]
    elsewhere = Buttons([Button(words("home.back"), Press("home"), icon="dialpad", look="BORDERLESS")])
    return Card(name="late", title=words("late"), sections=[Section(told), Section([elsewhere])])


def wrong(words: Words, why: str) -> Card:
    """One plain sentence, and a way on."""
    told: list[Piece] = [
        Row(why, icon="error"),
        Buttons([Button(words("home.back"), Press("home"), icon="dialpad", look="BORDERLESS")]),
    ]
    return Card(name="wrong", title=words("wrong"), sections=[Section(told)])


def help_(words: Words) -> Card:
    """What can be typed in Chat."""
    rows: list[Piece] = [
        Row(words("help.call"), icon="call"),
        Row(words("help.calls"), icon="history"),
        Row(words("help.help"), icon="help"),
    ]
    return Card(name="help", title=words("help"), sections=[Section(rows)])
