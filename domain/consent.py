"""What a tenant may be asked for, and what it gets: features, the scopes each needs, and the sentence for each.

A feature is on when every scope it needs was really granted. A missing one leaves a named, degraded feature with a
sentence why, never an error. Which scopes a feature needs at a provider is that provider's data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """Something an administrator can switch on. `purpose` is the sentence they read before they consent."""

    slug: str
    title: str
    purpose: str
    scopes: frozenset[str]
    without: str  # what is missing while it is off, in the user's words
    optional: bool = False  # asked for only when somebody switches it on
    by_name: bool = False  # never asked for, nor offered in a list, unless what it is for is switched on
    wider: frozenset[str] = frozenset()  # of another feature: granted, they carry this one too


@dataclass(frozen=True, slots=True)
class Standing:
    """How one feature of one connection stands."""

    feature: Feature
    missing: frozenset[str]

    @property
    def on(self) -> bool:
        return not self.missing

    @property
    def why(self) -> str:
        """One sentence for the console."""
        return self.feature.purpose if self.on else f"{self.feature.without} Permission was not given."


def standing(features: Iterable[Feature], granted: Iterable[str]) -> list[Standing]:
    """Say of each feature whether the scopes really granted carry it."""
    have = frozenset(granted)
    return [
        Standing(feature, frozenset() if feature.wider and feature.wider <= have else feature.scopes - have)
        for feature in features
    ]


def scopes_for(features: Iterable[Feature]) -> tuple[str, ...]:
    """The scopes to ask for, each once, in a stable order; of a wider and a narrower one only the wider."""
    asked = list(features)
    every = {scope for feature in asked for scope in feature.scopes}
    carried = [feature for feature in asked if feature.wider and feature.wider <= every]
    return tuple(sorted({scope for feature in asked if feature not in carried for scope in feature.scopes}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token ready for use, and what its issuer said goes with it (Zoho: api_domain)."""

    value: str
    scopes: frozenset[str]
    extra: Mapping[str, str]

    def __repr__(self) -> str:
        return "Token(…)"  # a token never reaches a log, not even by accident
