"""The cards' words in the reader's language, and the few things languages write differently: days, numbers, direction.

English stands in for a language nobody wrote down here, never for a single phrase: a test holds the languages to one
set of phrases with the same gaps in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from integrations.google.cards.languages import ar, de, en, es, fr, hi, pt

LANGUAGES: Mapping[str, Mapping[str, str]] = {
    "en": en.WORDS,
    "es": es.WORDS,
    "fr": fr.WORDS,
    "de": de.WORDS,
    "pt": pt.WORDS,
    "hi": hi.WORDS,
    "ar": ar.WORDS,
}
FROM_THE_RIGHT = frozenset({"ar"})
ISOLATE, END = "\u2066", "\u2069"  # UAX #9: what stands between reads from the left whatever is around it


@dataclass(frozen=True, slots=True)
class Words:
    """One reader: their language, their clock and the time it is."""

    language: str
    zone: tzinfo
    now: datetime

    @classmethod
    def of(cls, locale: str, zone: tzinfo, now: datetime) -> Words:
        """`locale` as Google says it (`es-419`, `pt_BR`); anything else is read in English."""
        language = locale.replace("_", "-").partition("-")[0].casefold()
        return cls(language if language in LANGUAGES else "en", zone, now.astimezone(zone))

    def __call__(self, phrase: str, **gaps: object) -> str:
        said = LANGUAGES[self.language][phrase]
        return said.format(**gaps) if gaps else said

    def number(self, shown: str) -> str:
        """A telephone number, or a date in figures: read from the left in every language."""
        return f"{ISOLATE}{shown}{END}" if shown and self.language in FROM_THE_RIGHT else shown

    def local(self, at: datetime) -> datetime:
        return at.astimezone(self.zone)

    def when(self, at: datetime) -> str:
        """Today's and yesterday's time by name, any other with its date."""
        there = self.local(at)
        clock = f"{there:%H:%M}"
        if there.date() == self.now.date():
            return self("today", time=clock)
        if there.date() == (self.now - timedelta(days=1)).date():
            return self("yesterday", time=clock)
        return self.number(f"{there:%Y-%m-%d} {clock}")

    def lasted(self, seconds: int) -> str:
        minutes, rest = divmod(max(seconds, 0), 60)
        return f"{minutes}:{rest:02d}"
