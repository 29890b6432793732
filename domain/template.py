"""A short text with names in braces, `{caller} – {queue|no queue}`: a closed set of names, and no code.

What stands behind the bar is used where the name has nothing to say. Values are filled in as they are; what a field can
hold is `mapping`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal

MOST_CHARACTERS = 500
Value = str | int | datetime | None
Kind = Literal["text", "number", "moment"]
BRACES = re.compile(r"\{([^{}|]*)(?:\|([^{}|]*))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """Something of a call, or of a person, that can be named. `among`: all it can say, where that is known."""

    sentence: str
    kind: Kind = "text"
    always: bool = False  # every call, every person has it
    among: tuple[str, ...] = ()


DIRECTIONS = {"inbound": "Inbound", "outbound": "Outbound", "internal": "Internal"}
RESULTS = {
    "answered": "Answered",
    "missed": "Missed",
    "voicemail": "Voicemail",
    "busy": "Busy",
    "no_answer": "No answer",
    "rejected": "Rejected",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
NAMES: Mapping[str, Name] = {
    "caller": Name(sentence="Who it was with: the name, or the number where there is none", always=True),
    "number": Name(sentence="The customer’s number"),
    "line": Name(sentence="Your own number it came in on or went out from"),
    "direction": Name(sentence="Inbound or Outbound", always=True, among=("Inbound", "Outbound")),
    "result": Name(sentence="How it went: Answered, Missed, Voicemail …", always=True, among=tuple(RESULTS.values())),
    "queue": Name(sentence="The queue, as your telephone system calls it"),
    "agent": Name(sentence="Who took or made it, by name"),
    "agent_email": Name(sentence="Their address"),
    "extension": Name(sentence="Their extension"),
    "started": Name(sentence="When it began", kind="moment", always=True),
    "answered": Name(sentence="When it was answered", kind="moment"),
    "ended": Name(sentence="When it was over", kind="moment"),
    "seconds": Name(sentence="Seconds spoken", kind="number", always=True),
    "minutes": Name(sentence="Minutes spoken, begun ones counted", kind="number", always=True),
    "waited": Name(sentence="Seconds until it was answered", kind="number"),
    "disposition": Name(sentence="How the agent said it went"),
    "note": Name(sentence="The agent’s note"),
    "recording": Name(sentence="A link to the recording"),
    "call_id": Name(sentence="The call’s id in your telephone system", always=True),
}


@dataclass(frozen=True, slots=True)
class Slot:
    """A name in a template, and what stands for it where it has nothing to say."""

    name: str
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """A template that can be read: text and slots in their order."""

    parts: tuple[str | Slot, ...]

    @property
    def slots(self) -> list[Slot]:
        return [part for part in self.parts if isinstance(part, Slot)]

    @property
    def fixed(self) -> str | None:
        """The text, where no name is in it."""
        return None if self.slots else "".join(part for part in self.parts if isinstance(part, str))

    @property
    def only(self) -> Slot | None:
        """The one slot there is, where nothing stands beside it."""
        return self.slots[0] if len(self.parts) == 1 and self.slots else None

    def may_be_empty(self, names: Mapping[str, Name]) -> bool:
        written = any(part.strip() for part in self.parts if isinstance(part, str))
        return not (written or any(names[slot.name].always or slot.otherwise.strip() for slot in self.slots))

    def filled(self, values: Mapping[str, Value], zone: tzinfo) -> str:
        """Fill it in; times by the clock of `zone`."""
        return "".join(
            part if isinstance(part, str) else shown(values.get(part.name), zone) or part.otherwise
            for part in self.parts
        )


def read(text: str, names: Collection[str] = NAMES) -> Template | str:
    """Understand a template of these names, or say in a sentence why that cannot be."""
    if len(text) > MOST_CHARACTERS:
        return f"At most {MOST_CHARACTERS} characters."
    parts: list[str | Slot] = []
    end = 0
    for found in BRACES.finditer(text):
        if between := text[end : found.start()]:
            parts.append(between)
        name = found[1].strip()
        if name not in names:
            return f"There is no {{{name[:40]}}}."
        parts.append(Slot(name, (found[2] or "").strip()))
        end = found.end()
    if rest := text[end:]:
        parts.append(rest)
    if any(brace in part for part in parts if isinstance(part, str) for brace in "{}"):
        return "A brace is open: a name stands between { and }."
    return Template(tuple(parts))


def shown(value: Value, zone: tzinfo) -> str:
    """A value as text."""
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime("%Y-%m-%d %H:%M")
    return "" if value is None else str(value)


def named(names: Sequence[str]) -> str:
    """Names as they stand in a sentence."""
    return ", ".join(f"{{{name}}}" for name in names)
