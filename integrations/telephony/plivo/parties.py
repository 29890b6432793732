"""Who calls and writes, as Plivo spells it: E.164 without its plus, an address, or a word such as `anonymous`."""

from __future__ import annotations

import re

DIGITS_ONLY = re.compile(r"[1-9][0-9]{6,14}")


def number(party: str | None) -> str:
    """Give a number its plus back; addresses, extensions and `anonymous` stay as they are."""
    return f"+{party}" if party and DIGITS_ONLY.fullmatch(party) else party or ""
