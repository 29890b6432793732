"""Gmail's search box: the part of its language the product relies on, compiled into a test for one message.

Understood: from: to: cc: bcc: subject: label: in: is: has:attachment rfc822msgid: newer_than: older_than: after:
before: (and newer:, older:), bare words, "phrases", -not, OR, (groups) and {either or}. Dates are read in UTC; Gmail
reads them in Pacific time unless they are given in seconds. https://support.google.com/mail/answer/7190
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from .mime import Mail, words

TOKEN = re.compile(r'-?(?:[a-z0-9_]+:)?"[^"]*"|-?[a-z0-9_]+:(?=[({])|-(?=[({])|[(){}]|[^\s(){}]+', re.IGNORECASE)
SPAN = re.compile(r"^(\d+)([hdmy])$")
SPAN_SECONDS = {"h": 3_600, "d": 86_400, "m": 30 * 86_400, "y": 365 * 86_400}
DATE_FORMATS = ("%Y/%m/%d", "%Y-%m-%d", "%m/%d/%Y")
IS_LABELS = {"unread": "UNREAD", "starred": "STARRED", "important": "IMPORTANT"}
IN_LABELS = {"drafts": "DRAFT", "draft": "DRAFT"}
HIDDEN = frozenset({"SPAM", "TRASH"})


class Searchable(Protocol):
    """What a search looks at."""

    @property
    def mail(self) -> Mail: ...
    @property
    def labels(self) -> list[str]: ...
    @property
    def date_ms(self) -> int: ...


Test: TypeAlias = Callable[[Searchable], bool]


class Query:
    """A compiled search; `reaches_hidden` tells that it names spam, trash or anywhere itself."""

    def __init__(self, text: str, now: float, label_ids: dict[str, str]) -> None:
        """Compile; `label_ids` leads from the names of the user's labels, in lower case, to their ids."""
        self._now, self._label_ids = now, label_ids
        self.reaches_hidden = False
        self._tokens: list[str] = TOKEN.findall(text)
        self._at = 0
        self.matches: Test = self._all_of(until="", operator="")

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _all_of(self, until: str, operator: str) -> Test:
        """Read terms up to a closing bracket; OR ties its neighbours closer than standing side by side does."""
        groups: list[list[Test]] = []
        either = False
        while (token := self._peek()) and token not in (")", "}"):
            if token in ("OR", "|"):
                either = self._next() != ""
                continue
            if token == "AND":
                self._next()
                continue
            test = self._term(operator)
            if either and groups:
                groups[-1].append(test)
            else:
                groups.append([test])
            either = False
        if until and self._peek():
            self._next()
        if until == "}":
            return any_of([test for group in groups for test in group])
        return all_of([any_of(group) for group in groups])

    def _term(self, operator: str) -> Test:
        token = self._next()
        if token.startswith("-") and len(token) > 1:
            self._tokens.insert(self._at, token[1:])
            return negated(self._term(operator))
        if token == "-":
            return negated(self._term(operator)) if self._peek() else all_of([])
        if token in ("(", "{"):
            return self._all_of(until=")" if token == "(" else "}", operator=operator)
        name, colon, value = token.partition(":")
        if colon and re.fullmatch(r"\w+", name):
            if not value and self._peek() in ("(", "{"):
                return self._term(name.lower())
            return self._operator(name.lower(), value.strip('"'))
        return self._operator(operator, token.strip('"'))

    def _operator(self, name: str, value: str) -> Test:  # one branch per operator
        low = value.lower()
        match name:
            case "from" | "to" | "cc" | "bcc":
                return addressed(name.capitalize(), low)
            case "subject":
                return lambda found: has_phrase(words(found.mail.header("Subject")), words(value))
            case "rfc822msgid":
                wanted = value.strip("<>")
                return lambda found: found.mail.message_id.strip("<>") == wanted
            case "label":
                return self._labelled(self._label_ids.get(low, low.upper()))
            case "in" if low == "anywhere":
                self.reaches_hidden = True
                return all_of([])
            case "in":
                return self._labelled(IN_LABELS.get(low, self._label_ids.get(low, low.upper())))
            case "is" if low == "read":
                return lambda found: "UNREAD" not in found.labels
            case "is":
                return self._labelled(IS_LABELS.get(low, low.upper()))
            case "has" if low == "attachment":
                return lambda found: bool(found.mail.filenames)
            case "newer_than" | "older_than" if span := SPAN.match(low):
                edge = self._now - int(span[1]) * SPAN_SECONDS[span[2]]
                return newer(edge) if name == "newer_than" else negated(newer(edge))
            case "after" | "newer" if (moment := read_date(value)) is not None:
                return newer(moment)
            case "before" | "older" if (moment := read_date(value)) is not None:
                return negated(newer(moment))
            case _:  # Gmail takes an operator it does not know for words
                phrase = words(f"{name} {value}")
                return lambda found: has_phrase(found.mail.all_words, phrase)

    def _labelled(self, label: str) -> Test:
        self.reaches_hidden = self.reaches_hidden or label in HIDDEN
        return lambda found: label in found.labels


def addressed(header: str, value: str) -> Test:
    """Match a whole address, or words of names and addresses."""
    headers = ("To", "Cc", "Bcc") if header == "To" else (header,)
    if "@" in value and not value.startswith("@"):
        return lambda found: value in found.mail.addresses(*headers)
    phrase = words(value)
    return lambda found: any(has_phrase(words(found.mail.header(name)), phrase) for name in headers)


def newer(moment: float) -> Test:
    """Match what arrived at or after a moment."""
    return lambda found: found.date_ms >= moment * 1000


def negated(test: Test) -> Test:
    """Match what does not."""
    return lambda found: not test(found)


def all_of(tests: list[Test]) -> Test:
    """Match what passes every test."""
    return tests[0] if len(tests) == 1 else lambda found: all(test(found) for test in tests)


def any_of(tests: list[Test]) -> Test:
    """Match what passes one of the tests."""
    return tests[0] if len(tests) == 1 else lambda found: any(test(found) for test in tests)


def has_phrase(among: list[str], phrase: list[str]) -> bool:
    """Tell whether whole words stand side by side."""
    if not phrase:
        return True
    size = len(phrase)
    return any(among[at : at + size] == phrase for at, word in enumerate(among) if word == phrase[0])


def read_date(text: str) -> float | None:
    """Read a date as the start of its day, or seconds since 1970."""
    if text.isdigit() and len(text) > 4:
        return float(text)
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None
