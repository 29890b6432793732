"""How long a text message is: networks carry it in parts, and each part is charged for.

Written in the letters of GSM 03.38 (GSM-7) a part holds 160 of them, otherwise 70 units of UTF-16; of a message in
several parts each gives up a few for its place among them (3GPP TS 23.038 and 23.040).
"""

from __future__ import annotations

from dataclasses import dataclass

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
ESCAPED = frozenset("\f^{}\\[~]|€")  # take two places
MOST_PARTS = 10  # Twilio and Plivo take a little more: 1600 characters, of Unicode 737 at Plivo


@dataclass(frozen=True, slots=True)
class Length:
    """How many characters and parts a message has, and the first character that made it need Unicode."""

    characters: int
    parts: int
    unusual: str = ""


def measure(words: str) -> Length:
    """Say how long a message is.

    >>> measure("See you at four")
    Length(characters=15, parts=1, unusual='')
    >>> measure("Nos vemos a las 4, ¿sí?" + "x" * 60)
    Length(characters=83, parts=2, unusual='í')
    """
    unusual = next((letter for letter in words if letter not in GSM_7 and letter not in ESCAPED), "")
    if unusual:
        sizes, whole, part = [1 + (ord(letter) > 0xFFFF) for letter in words], 70, 67
    else:
        sizes, whole, part = [1 + (letter in ESCAPED) for letter in words], 160, 153
    if sum(sizes) <= whole:
        return Length(len(words), 1 if words else 0, unusual)
    parts, room = 1, part
    for size in sizes:  # a character of two places is never torn apart
        if size > room:
            parts, room = parts + 1, part
        room -= size
    return Length(len(words), parts, unusual)
