"""Where one looks for somebody."""

from __future__ import annotations

from integrations.google.cards.pieces import Button, Buttons, Field, Piece, Press
from integrations.google.cards.words import Words

MOST_CHARACTERS = 200


def field(words: Words, what: str = "") -> list[Piece]:
    """A field for a name, a number or an address, and its button."""
    find = Button(words("find.do"), Press("find", needs=["what"]), icon="search", look="OUTLINED")
    return [
        Field("what", words("find"), value=what, hint=words("find.hint"), most=MOST_CHARACTERS),
        Buttons([find]),
    ]
