"""A person in the hub: what every side says of them, and the one view that comes of it.

`merge` is pure: it adds up what the sides say, field by field, keeping who said it (provenance). `keys` are what two
records must share to be the same person. Nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain import phone

Side = str  # "zoho", "google", "google:directory" (`domain.besides`), ...: which side said it
NAMES = ("given", "family", "company", "title")
LONGEST_PREFIX = 8  # letters of a name's beginning that people are found by


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One telephone number of a person: as written, as meant, and what it is called there."""

    raw: str = ""
    e164: str = ""
    extension: str = ""
    label: str = ""

    def as_data(self) -> dict[str, str]:
        """Plain JSON values: what there is to say."""
        said = {"raw": self.raw, "e164": self.e164}
        if self.extension:
            said["extension"] = self.extension
        if self.label:
            said["label"] = self.label
        return said if self.raw and self.e164 else {key: value for key, value in said.items() if value}

    def called(self, label: str) -> Line:
        """The same number under another label."""
        return Line(raw=self.raw, e164=self.e164, extension=self.extension, label=label)

    @classmethod
    def read(cls, raw: str, label: str = "", region: str = "US") -> Line:
        """Understand a number written by hand in `region`."""
        number = phone.read(raw, region)
        return cls(raw=raw, e164=number.e164, extension=number.extension, label=label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What one side says of a person, or what all of them together say."""

    given: str = ""
    family: str = ""
    company: str = ""
    title: str = ""
    lines: tuple[Line, ...] = ()
    emails: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What to call them on a screen: the name, else the company, else nothing."""
        return " ".join(filter(None, (self.given, self.family))) or self.company

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values, for sealing."""
        data: dict[str, Any] = {}
        if self.given:
            data["given"] = self.given
        if self.family:
            data["family"] = self.family
        if self.company:
            data["company"] = self.company
        if self.title:
            data["title"] = self.title
        if self.lines:
            data["lines"] = [line.as_data() for line in self.lines]
        if self.emails:
            data["emails"] = list(self.emails)
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Person:
        """Undo `as_data`."""
        said = data.get
        return cls(
            given=said("given", ""),
            family=said("family", ""),
            company=said("company", ""),
            title=said("title", ""),
            lines=tuple([Line(**line) for line in said("lines", ())]),
            emails=tuple(said("emails", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A person as one side keeps them: `module` and `remote_id` name the record there."""

    module: str
    remote_id: str
    person: Person
    etag: str = ""
    owner: str = ""  # the other side's id of the user who owns the record
    account: str = ""  # the other side's id of the company the person belongs to
    formerly: tuple[str, ...] = ()  # what the same record was called before, where the side says so
    changed_at: datetime | None = field(default=None, compare=False)  # by the other side's clock, where it says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A record the other side no longer has; `apart`: it has it, and it takes no part by choice. `converted`: it lives
    on there as a record of another module."""

    module: str
    remote_id: str
    apart: bool = False
    converted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The hub's view of a person and which side each field came from."""

    person: Person
    source: Mapping[str, tuple[Side, ...]] = field(default_factory=dict)


def keys(person: Person) -> frozenset[tuple[str, str]]:
    """What makes two records the same person: ("number", E.164) and ("email", address)."""
    numbers = {("number", line.e164) for line in person.lines if line.e164}
    emails = {("email", folded) for address in person.emails if (folded := fold_email(address))}
    return frozenset(numbers | emails)


def one_person(one: Person, other: Person) -> bool:
    """Say whether two who share a number or an address are the same person, as far as their names tell.

    An address is somebody's own. A number may be a switchboard's: colleagues share it, and so does their company.
    """
    if set(map(fold_email, one.emails)) & set(map(fold_email, other.emails)):
        return True
    if _is_company(one) != _is_company(other):
        return not (one.name and other.name)
    if _is_company(one):
        return one.company.casefold() == other.company.casefold()
    if one.name.casefold() == other.name.casefold():  # a phonebook leaves names in one piece
        return True
    return _may_be(one.family, other.family) and _may_be_short(one.given, other.given)


def _is_company(person: Person) -> bool:
    return bool(person.company) and not (person.given or person.family)


def _may_be(one: str, other: str) -> bool:
    return not (one and other) or one.casefold() == other.casefold()


def _may_be_short(one: str, other: str) -> bool:
    """A first name may be written as a letter, with or without a full stop."""
    short, long = sorted((one.casefold().rstrip("."), other.casefold().rstrip(".")), key=len)
    return long.startswith(short)


def fold_email(address: str) -> str:
    """Spell an address the one way we compare it: trimmed and without capitals."""
    return address.strip().casefold()


def prefixes(person: Person, longest: int = LONGEST_PREFIX) -> frozenset[str]:
    """The beginnings of a person's names, for search as one types: two letters up to `longest`."""
    return frozenset(word[:size] for word in words(person) for size in range(2, min(len(word), longest) + 1))


def words(person: Person) -> list[str]:
    """What a person is searched by: the words of name and company, without capitals."""
    return " ".join(getattr(person, name) for name in NAMES[:3]).casefold().split()


def merge(said: Sequence[tuple[Side, Person]], first: Iterable[Side] = ("zoho", "google")) -> Merged:
    """Add up what the sides say. Names come whole from the first side in `first` that has one; lines and addresses
    from everybody, each once. The order of `said` does not matter."""
    rank = {side: place for place, side in enumerate(first)}
    ordered = sorted(said, key=lambda pair: (rank.get(pair[0], len(rank)), pair[0])) if len(said) > 1 else said
    if len({side for side, _ in said}) < len(said):  # two of one side: something has to come first, always the same
        ordered = sorted(ordered, key=lambda pair: (rank.get(pair[0], len(rank)), pair[0], repr(pair[1])))
    view: dict[str, Any] = {}
    source: dict[str, tuple[Side, ...]] = {}
    lines: dict[str, Line] = {}
    emails: dict[str, str] = {}
    for side, person in ordered:
        if not ("given" in view or "family" in view):  # half a name from each side would be nobody's name
            for name in NAMES[:2]:
                if value := getattr(person, name):
                    view[name], source[name] = value, (side,)
        for name in NAMES[2:]:
            if name not in view and (value := getattr(person, name)):
                view[name], source[name] = value, (side,)
        for line in person.lines:
            lines.setdefault(line.e164 or line.raw, line)
        for address in person.emails:
            emails.setdefault(fold_email(address), address)
    for name in ("lines", "emails"):
        if sides := [side for side, person in ordered if getattr(person, name)]:
            source[name] = tuple(dict.fromkeys(sides))
    return Merged(person=Person(**view, lines=tuple(lines.values()), emails=tuple(emails.values())), source=source)
