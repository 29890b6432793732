"""What an agent says of a call, during it or afterwards: a note, and how it went in one of the tenant's own words.

Nothing is stored or sent here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

NOTE_CHARACTERS = 4_000
DISPOSITION_CHARACTERS = 60
DISPOSITIONS = 30
ASKED_FOR = timedelta(hours=12)  # how long after a call its agent is asked how it went: a working day


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a tenant wants to hear after a call. `required`: agents are asked until they say how it went."""

    dispositions: tuple[str, ...] = ()
    required: bool = False
    transcripts: bool = True  # a voicemail's transcript goes into the CRM

    def as_data(self) -> dict[str, Any]:
        return {
            "dispositions": list(self.dispositions),
            "required": self.required,
            "transcripts": self.transcripts,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Wishes:
        """Undo `as_data`; what is not there is as it is before anybody decided."""
        told = data.get("dispositions")
        return cls(
            dispositions=tuple(str(word) for word in told) if isinstance(told, list) else (),
            required=data.get("required") is True,
            transcripts=data.get("transcripts") is not False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A note and a disposition, either of which may be empty; who said so last, and when."""

    note: str = ""
    disposition: str = ""
    by: UUID
    at: datetime

    def as_data(self) -> dict[str, Any]:
        return {"note": self.note, "disposition": self.disposition, "by": str(self.by), "at": self.at.isoformat()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Remark:
        return cls(
            note=str(data.get("note", "")),
            disposition=str(data.get("disposition", "")),
            by=UUID(data["by"]),
            at=datetime.fromisoformat(data["at"]),
        )


def is_missing(wishes: Wishes, remark: Remark | None) -> bool:
    """Say whether an agent still has to say how a call of theirs went."""
    return wishes.required and bool(wishes.dispositions) and not (remark and remark.disposition)


def may_remark(*, admin: bool, took_part: bool) -> bool:
    """Administrators may remark on every call, agents on those that are theirs."""
    return admin or took_part
