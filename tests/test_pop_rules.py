"""When a call comes up by itself: the tenant's word, the agent's own, and the lock."""

from __future__ import annotations

import pytest

from domain.call import Direction
from domain.pop import PopRules, When, Wish, shows
from domain.seats import SeatState

OPEN = PopRules(inbound="ring", outbound="never")
LOCKED = PopRules(inbound="answer", outbound="never", locked=True)
MINE = Wish(inbound="never", outbound="answer")


@pytest.mark.parametrize(
    ("rules", "wish", "direction", "expected"),
    [
        (PopRules(), Wish(), "inbound", "ring"),
        (PopRules(), Wish(), "outbound", "ring"),
        (OPEN, Wish(), "inbound", "ring"),
        (OPEN, Wish(), "outbound", "never"),
        (OPEN, MINE, "inbound", "never"),
        (OPEN, MINE, "outbound", "answer"),
        (OPEN, Wish(inbound="answer"), "outbound", "never"),
        (LOCKED, MINE, "inbound", "answer"),
        (LOCKED, MINE, "outbound", "never"),
        (PopRules(), Wish(), "internal", "never"),
        (LOCKED, MINE, "internal", "never"),
    ],
)
def test_who_decides_when(rules: PopRules, wish: Wish, direction: Direction, expected: When) -> None:
    """An agent's wish counts for its direction, unless the administrator locked it; colleagues' calls never pop."""
    assert expected == rules.when(direction, wish)


@pytest.mark.parametrize(
    ("when", "state", "expected"),
    [
        ("ring", "ringing", True),
        ("ring", "answered", True),
        ("answer", "ringing", False),
        ("answer", "answered", True),
        ("never", "ringing", False),
        ("never", "answered", False),
    ],
)
def test_what_each_word_means(when: When, state: SeatState, expected: bool) -> None:
    assert expected == shows(when, state)


@pytest.mark.parametrize("rules", [PopRules(), OPEN, LOCKED])
def test_rules_are_kept_as_data(rules: PopRules) -> None:
    assert rules == PopRules.from_data(rules.as_data())
    assert MINE == Wish.from_data(MINE.as_data())


def test_a_word_of_a_later_version_is_as_by_default() -> None:
    """Nothing breaks, and nothing is locked by a guess."""
    assert PopRules() == PopRules.from_data({"inbound": "whisper", "locked": "yes", "colour": 3})
    assert Wish() == Wish.from_data({"inbound": ["ring"]})
