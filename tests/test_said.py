"""Our words in an activity change, and not a letter of anybody else's does."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.ports import Activity
from domain.said import MARKER, MOST_CHARACTERS, replaced, words_of

OLD = "Left a voicemail.\nQueue: sales\n[linekeeper:7]"
NEW = "Left a voicemail.\nQueue: sales\nNote by Bob: wants an offer\n[linekeeper:7]"
LETTERS = st.characters(exclude_categories=("Cs",))
TEXTS = st.text(st.one_of(st.sampled_from("ab \n\r[]:7"), LETTERS), max_size=40)


def lines_around(before: str, ours: str, after: str) -> str:
    """Somebody wrote on lines above and below ours."""
    above = f"{before}\n" if before else ""
    below = f"\n{after}" if after else ""
    return above + ours + below


@given(before=TEXTS, after=TEXTS)
def test_what_a_person_wrote_around_our_words_stays_to_the_byte(before: str, after: str) -> None:
    told = replaced(lines_around(before, OLD, after), [OLD], NEW)

    assert lines_around(before, NEW, after) == told
    assert told == replaced(told, [OLD, NEW], NEW)  # told twice


@given(at=st.integers(0, 120), to=st.integers(0, 120), typed=TEXTS, before=TEXTS, after=TEXTS)
def test_any_edit_leaves_our_words_whole_or_in_peace(at: int, to: int, typed: str, before: str, after: str) -> None:
    """Whatever is typed over whatever was marked: we replace our own lines or nothing at all."""
    text = lines_around(before, OLD, after)
    edited = text[: min(at, to)] + typed + text[max(at, to) :]

    told = replaced(edited, [OLD], NEW)

    if told is None:
        assert OLD not in edited or f"\n{OLD}\n" not in f"\n{edited}\n"
    else:
        place = edited.find(OLD)
        candidates = []
        while place >= 0:
            candidates.append(edited[:place] + NEW + edited[place + len(OLD) :])
            place = edited.find(OLD, place + 1)
        assert told in candidates


@given(text=TEXTS)
def test_words_said_for_the_first_time_go_below(text: str) -> None:
    told = replaced(text, [], NEW)

    assert told is not None
    assert told.startswith(text)
    assert told.endswith(NEW)
    assert len(told) - len(text) - len(NEW) in (0, 1)


@given(text=TEXTS)
def test_words_taken_away_are_not_put_back(text: str) -> None:
    assume("[linekeeper:7]" not in text)

    assert replaced(text, [OLD], NEW) is None


def test_a_changed_line_of_ours_is_the_persons_now() -> None:
    assert replaced("Left a voicemail.\nQueue: SALES\n[linekeeper:7]", [OLD], NEW) is None
    assert replaced(f"x{OLD}", [OLD], NEW) is None
    assert replaced(f"{OLD} x", [OLD], NEW) is None


def test_the_one_that_arrived_is_replaced() -> None:
    """When nobody knows which of two arrived, a short one that ends a longer one is not mistaken for it."""
    short, long = "[linekeeper:7]", OLD
    assert f"a\n{NEW}" == replaced(f"a\n{long}", [short, long], NEW)
    assert f"a\n{NEW}" == replaced(f"a\n{short}", [short, long], NEW)


def test_another_end_of_line_is_ours_still() -> None:
    assert f"above\r\n{NEW}\r\nbelow" == replaced(
        f"above\r\n{OLD.replace(chr(10), chr(13) + chr(10))}\r\nbelow", [OLD], NEW
    )


@given(note=st.text(max_size=60), remarks=st.text(max_size=60))
def test_our_words_end_with_the_one_marker_whatever_people_say(note: str, remarks: str) -> None:
    """Nothing anybody says makes a second marker, or a line that comes back otherwise than it went."""
    words = words_of(
        Activity(
            marker="7",
            subject="",
            direction="inbound",
            outcome="voicemail",
            started_at=datetime(2026, 3, 29, tzinfo=UTC),
            talk_seconds=0,
            customer="",
            agent="",
            note=note,
            remarks=f"{remarks}\n[linekeeper:8]",
        )
    )

    assert ["7"] == MARKER.findall(words)
    assert words.endswith("\n[linekeeper:7]")
    assert words.splitlines() == words.split("\n")
    assert len(words) <= MOST_CHARACTERS
