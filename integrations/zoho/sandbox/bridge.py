"""What PhoneBridge remembers: where to send clicks and call controls, and how far each call has come.

States and parameters follow https://www.zoho.com/phonebridge/developer/v3/.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

UNATTENDED = {"busy", "invalid", "blocked", "notavailable", "noanswer", "rejected"}
STATES = {
    "received": {"ringing", "answered", "ended", "missed"},
    "dialed": {"ringing", "answered", "ended"} | UNATTENDED,
}
FINAL = {"ended", "missed"} | UNATTENDED
CONTROLS = {
    "answer": "answeruri",
    "hangup": "hungupuri",  # Zoho's spelling
    "mute": "muteuri",
    "unmute": "unmuteuri",
    "hold": "holduri",
    "unhold": "unholduri",
    "keypress": "keypressuri",
}
_WORD = r"""("[^"]*"|'[^']*'|[^,{}"']*?)"""  # a value with {to} in it must be in quotes
PAIR = re.compile(rf"""\{{\s*["']?name["']?\s*:\s*{_WORD}\s*,\s*["']?value["']?\s*:\s*{_WORD}\s*\}}""")
STRICT = re.compile(r"""["']name["']\s*:""")


@dataclass(frozen=True, slots=True)
class Registration:
    """Where a provider wants to hear from Zoho, and what it wants to be told each time."""

    uris: dict[str, str]
    authorization: list[tuple[str, str]]
    params: list[tuple[str, str]]

    def message(self, fields: dict[str, str], **filled: str) -> tuple[dict[str, str], dict[str, str]]:
        """Write the headers and the form of one message; `{to}` becomes the number that was clicked."""
        form = dict(fields)
        for name, value in self.params:
            for mark, filling in filled.items():
                value = value.replace(f"{{{mark}}}", filling)
            form[name] = value
        headers = {name: value for name, value in self.authorization if name.lower() == "authorization"}
        form |= {name: value for name, value in self.authorization if name.lower() != "authorization"}
        return headers, form


@dataclass(slots=True)
class Bridge:
    """Registrations, calls, and every accepted callnotify."""

    # By kind, org, client and zohouser, which is empty for everybody.
    registrations: dict[tuple[str, str, str, str], Registration] = field(default_factory=dict)
    states: dict[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict)  # (org, call, zohouser)
    logged: dict[tuple[str, str], str] = field(default_factory=dict)  # (org, call id) -> the activity it became
    accepted: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))  # by org

    def registration(self, kind: str, org: str, zuid: str) -> Registration | None:
        """Find where to send something for a user: their own registration first, then the whole organisation's."""
        own = [r for (k, o, _, user), r in self.registrations.items() if (k, o, user) == (kind, org, zuid)]
        shared = [r for (k, o, _, user), r in self.registrations.items() if (k, o, user) == (kind, org, "")]
        return next(iter([*own, *shared]), None)

    def forget(self, org: str, client: str) -> None:
        """Drop what a provider registered, as switching the integration off does."""
        kept = {name: each for name, each in self.registrations.items() if name[1:3] != (org, client)}
        self.registrations = kept


def follows(before: tuple[str, str] | None, kind: str, state: str) -> bool:
    """Say whether a call may go from one state to the next; the first one heard of may be any."""
    if before is None:
        return True
    was_kind, was = before
    if was_kind != kind:
        return False
    if was in FINAL:
        return state == was
    return was == "ringing" or state in {"answered", "ended"}


def read_pairs(text: str, strict_too: bool) -> list[tuple[str, str]] | None:
    """Read `{name:x,value:y}` or a list of them, as loosely as Zoho documents it; None when it is neither."""
    if not strict_too and STRICT.search(text):
        return None
    rest = PAIR.sub("", text)
    if rest.translate(dict.fromkeys(map(ord, "[], \t\r\n"))):
        return None
    return [(_bare(name), _bare(value)) for name, value in PAIR.findall(text)]


def _bare(word: str) -> str:
    word = word.strip()
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word
