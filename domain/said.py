"""Our words in an activity's text: what they say of a call, and how they change without touching what people wrote.

Ours are whole lines, the last of which is a marker that finds the activity again. Whoever writes an activity remembers
them; `replaced` puts new ones exactly where those stand. Words a person changed or took away are the person's now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from domain.call import Outcome
from domain.ports import Activity

MOST_CHARACTERS = 32_000
OUTCOMES: Mapping[Outcome, str] = {  # what the CRM's kinds of call cannot say
    "voicemail": "Left a voicemail.",
    "busy": "The line was busy.",
    "no_answer": "Nobody answered.",
    "rejected": "The call was rejected.",
    "failed": "The call could not be connected.",
    "cancelled": "The caller gave up.",
}
MARKER = re.compile(r"^\[linekeeper:([^\]\n]+)\]$", re.MULTILINE)
NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")  # and what some take for an end of line


def tag(marker: str) -> str:
    """Return the line that finds an activity again."""
    if not marker or not marker.isprintable() or "]" in marker:
        raise ValueError("a marker is printable and holds no bracket")
    return f"[linekeeper:{marker}]"


def words_of(activity: Activity) -> str:
    """What happened, what was noted and, on a line of its own that no note can imitate, our marker."""
    happened = "" if activity.outcome == "answered" else OUTCOMES.get(activity.outcome, "")
    return marked((happened, activity.note, activity.remarks), activity.marker)


def marked(parts: Iterable[str], marker: str) -> str:
    """Our words and the marker under them, never longer than a text may be."""
    line = tag(marker)
    text = "\n".join(filter(None, (_plain(part) for part in parts)))
    return "\n".join(filter(None, (text[: MOST_CHARACTERS - len(line) - 1].rstrip("\n"), line)))


def replaced(text: str, said: Sequence[str], words: str) -> str | None:
    """Put our new words in place of the ones we said; None when a person changed them or took them away.

    `said`: what may stand there, as more than one when we do not know which of them arrived; none: we said nothing
    yet, and our words go below whatever stands there. Everything else stays as it is, to the byte.

    >>> replaced("Call back!\\n[linekeeper:1]\\nTuesday", ["[linekeeper:1]"], "Left a voicemail.\\n[linekeeper:1]")
    'Call back!\\nLeft a voicemail.\\n[linekeeper:1]\\nTuesday'
    """
    if not said:
        gap = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{gap}{words}"
    for ours in sorted({*said, words}, key=len, reverse=True):  # a shorter one may be the end of a longer one
        if (found := _lines(ours).search(text)) is not None:
            return f"{text[: found.start()]}{words}{text[found.end() :]}" if ours != words else text
    return None


def _lines(words: str) -> re.Pattern[str]:
    """Find these whole lines, however the other side ends a line."""
    return re.compile(r"(?:\A|(?<=\n))" + r"\r?\n".join(map(re.escape, words.split("\n"))) + r"(?=\r?\n|\Z)")


def _plain(text: str) -> str:
    """What people and vendors wrote, as lines that cannot be taken for a marker."""
    lines = NOT_TEXT.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    return lines.replace("[linekeeper:", "(linekeeper:").strip("\n")
