"""A privacy policy as data: what a profile in `policies/` promises, read and checked before anybody relies on it.

A profile says how long each class of data is kept and from which moment that counts. It decides nothing itself:
holdings read it, the purge obeys it, the console shows it. `strict` is the strictest of every policy we know.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from domain.errors import Missing, Trouble

POLICIES = Path(__file__).parent.parent / "policies"
MOMENTS = frozenset({"created", "received", "started", "ended", "done", "seen", "fetched", "written"})  # then it counts
STATES = frozenset({"source", "connected", "tenant"})  # as long as that lasts: no period
THEN = frozenset({"delete", "empty", "destroy_key"})
BASES = frozenset({"contract", "consent", "legitimate_interest", "legal_duty"})
UNITS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
DAY = timedelta(days=1)


class BadProfile(Trouble):
    """A policy file cannot be used; `problems` holds a sentence for each fault."""

    code = "profile.bad"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long a class of data is kept: a period after a moment, or as long as a state lasts (no period)."""

    clock: str
    period: timedelta | None
    then: str

    def due_before(self, now: datetime) -> datetime | None:
        """What began before this moment is due; None while there is no period."""
        return None if self.period is None else now - self.period


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """Something data may be used for, and the legal basis by its name (never by a letter)."""

    id: str
    basis: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleRules:
    """What holds for data from Google, whatever the rest of the policy says."""

    human_read: tuple[str, ...]  # the only reasons for which a person may read it
    aggregate_use: str
    ai_use: str
    advertising: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What people may ask for, and how soon they are answered."""

    may: tuple[str, ...]
    ack_hours: int
    due_days: int
    extend_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """How soon a breach is told, and how long its record is kept."""

    notify_hours: int
    record_years: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffAccess:
    """Under which conditions the operator's staff may look at customer data."""

    grant_required: bool
    max_hours: int
    log_visible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a new version of the policy is announced."""

    notice_days: int
    ack_required: bool
    archive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One privacy policy, one version of it."""

    id: str
    version: str
    title: str
    languages: tuple[str, ...]
    role_by_class: Mapping[str, str]
    purposes: tuple[Purpose, ...]
    retention: Mapping[str, Retention]
    google: GoogleRules
    rights: Rights
    incident: Incident
    staff_access: StaffAccess
    change: Change

    @property
    def name(self) -> str:
        """How certificates and receipts cite it."""
        return f"{self.id} {self.version}"

    def keeps(self, kind: str) -> Retention:
        """Raise Missing for a class this profile says nothing about: silence is no permission to keep."""
        if kind not in self.retention:
            raise Missing(f"The profile {self.name} says nothing about {kind!r}.")
        return self.retention[kind]


class Profiles:
    """The profiles of a folder, each read when first asked for."""

    def __init__(self, folder: Path = POLICIES) -> None:
        self._folder = folder
        self._read: dict[str, Profile] = {}

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.toml"))

    def get(self, name: str) -> Profile:
        """Raise Missing for a profile that is not there, BadProfile for one that cannot be used."""
        if name not in self._read:
            if name not in self.names():
                known = ", ".join(self.names()) or "none"
                raise Missing(f"There is no privacy profile {name!r}. There is: {known}.")
            self._read[name] = read(name, (self._folder / f"{name}.toml").read_text(encoding="utf-8"))
        return self._read[name]


def read(name: str, text: str) -> Profile:
    """Understand a policy file; raise BadProfile with one sentence for each thing that is wrong."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadProfile([f"{name}.toml is not TOML: {error}"]) from None
    reader = _Reader(name)
    profile = reader.profile(data)
    if reader.problems or profile is None:
        raise BadProfile(reader.problems)
    return profile


class _Reader:
    """Reads one file to its end, so that all its faults are named at once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.problems: list[str] = []

    def profile(self, data: dict[str, Any]) -> Profile | None:
        special: dict[str, Callable[[Any], Any]] = {
            "role_by_class": self._roles,
            "purposes": self._purposes,
            "retention": self._retention,
            "google": lambda value: self._table(GoogleRules, "google", value),
            "rights": lambda value: self._table(Rights, "rights", value),
            "incident": lambda value: self._table(Incident, "incident", value),
            "staff_access": lambda value: self._table(StaffAccess, "staff_access", value),
            "change": lambda value: self._table(Change, "change", value),
        }
        profile: Profile | None = self._table(Profile, "", data, special)
        if profile is not None and profile.id != self._name:
            self._say("id", f"is {profile.id!r}, but the file is called {self._name}.toml")
        return profile

    def _table(
        self, kind: type[Any], where: str, data: Any, special: Mapping[str, Callable[[Any], Any]] | None = None
    ) -> Any:
        """Read a table into `kind`: every field there, of its type, and nothing else."""
        if not isinstance(data, dict):
            return self._say(where, "must be a table")
        before = len(self.problems)
        wanted = {field.name: field.type for field in fields(kind)}
        for extra in data.keys() - wanted.keys():
            self._say(f"{where}.{extra}".lstrip("."), "is not a field of a profile")
        values: dict[str, Any] = {}
        for name, hint in wanted.items():
            place = f"{where}.{name}".lstrip(".")
            if name not in data:
                self._say(place, "is missing")
            elif special and name in special:
                values[name] = special[name](data[name])
            else:
                values[name] = self._value(place, str(hint), data[name])
        return kind(**values) if len(self.problems) == before else None

    def _value(self, where: str, hint: str, value: Any) -> Any:
        if hint.startswith("tuple["):
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                return tuple(value)
            return self._say(where, "must be a list of texts")
        kind, called = {"str": (str, "a text"), "int": (int, "a whole number"), "bool": (bool, "true or false")}[hint]
        if type(value) is not kind:
            return self._say(where, f"must be {called}")
        if type(value) is int and value < 0:
            return self._say(where, "must not be negative")
        return value

    def _roles(self, data: Any) -> Any:
        if isinstance(data, dict) and all(role in ("processor", "controller") for role in data.values()):
            return dict(data)
        return self._say("role_by_class", "must name a role (processor or controller) for each class")

    def _purposes(self, data: Any) -> Any:
        if not isinstance(data, list):
            return self._say("purposes", "must be a list of tables")
        purposes = tuple(self._table(Purpose, f"purposes.{place}", item) for place, item in enumerate(data, start=1))
        for purpose in purposes:
            if purpose is not None and purpose.basis not in BASES:
                self._say(f"purposes.{purpose.id}", f"has the basis {purpose.basis!r}; use one of {sorted(BASES)}")
        return purposes

    def _retention(self, data: Any) -> Any:
        if not isinstance(data, dict):
            return self._say("retention", "must be a table")
        return {kind: self._keep(f"retention.{kind}", item) for kind, item in data.items()}

    def _keep(self, where: str, data: Any) -> Any:
        if not isinstance(data, dict):
            return self._say(where, "must be a table")
        clock, then = str(data.get("clock", "nothing")), str(data.get("then", "nothing"))
        periods = {unit: data[unit] for unit in UNITS if unit in data}
        for extra in data.keys() - {"clock", "then"} - UNITS.keys():
            self._say(f"{where}.{extra}", "is not a field of a retention")
        if then not in THEN:
            self._say(where, f"says then = {then!r}; use one of {sorted(THEN)}")
        if clock in STATES and periods:
            self._say(where, f"lasts as long as {clock!r} does, so it has no period")
        elif clock in MOMENTS and len(periods) != 1:
            self._say(where, f"needs exactly one of {', '.join(UNITS)}")
        elif clock not in MOMENTS | STATES:
            self._say(where, f"counts from {clock!r}; use one of {sorted(MOMENTS | STATES)}")
        for unit, number in periods.items():
            if type(number) is not int or number <= 0:
                self._say(f"{where}.{unit}", "must be a whole number above zero")
                return None
        period = next((timedelta(seconds=UNITS[unit] * number) for unit, number in periods.items()), None)
        if where == "retention.mail" and (period is None or period > DAY):
            self._say(where, "must end within 24 hours: no profile may promise less about cached mail")
        return Retention(clock=clock, period=period, then=then)

    def _say(self, where: str, what: str) -> None:
        self.problems.append(f"{self._name}.toml: {where or 'the file'} {what}")
