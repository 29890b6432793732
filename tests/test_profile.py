"""Privacy policies as data: what is shipped can be used, what cannot is refused in plain sentences, all at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.errors import Missing
from domain.profile import POLICIES, BadProfile, Profiles, read

STRICT = (POLICIES / "strict.toml").read_text(encoding="utf-8")
NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("name", Profiles().names())
def test_every_shipped_profile_can_be_read(name: str) -> None:
    assert Profiles().get(name).id == name


def test_strict_is_as_strict_as_the_strictest() -> None:
    """The numbers of the five policies, point by point; a longer one would break somebody's promise."""
    strict = Profiles().get("strict")
    days = {kind: keep.period.total_seconds() / 86_400 for kind, keep in strict.retention.items() if keep.period}

    assert days["mail"] <= 1
    assert days["calls"] <= 30
    assert days["recordings"] <= 30
    assert days["deliveries"] <= 7
    assert days["effects"] <= 30
    assert days["ledger"] <= 366
    assert days["consent_requests"] * 1_440 <= 10
    assert days["sessions"] * 24 <= 12
    assert (strict.rights.ack_hours, strict.rights.due_days, strict.rights.extend_days) == (48, 30, 30)
    assert (strict.incident.notify_hours, strict.change.notice_days) == (72, 30)
    assert (strict.google.aggregate_use, strict.google.ai_use, strict.google.advertising) == ("none", "off", False)
    assert strict.staff_access.grant_required
    assert strict.name == "strict 1"


def test_a_period_counts_back_from_now_and_a_state_does_not() -> None:
    strict = Profiles().get("strict")

    assert strict.keeps("calls").due_before(NOON) == NOON - timedelta(days=30)
    assert strict.keeps("contacts").due_before(NOON) is None
    with pytest.raises(Missing, match="says nothing about 'fax'"):
        strict.keeps("fax")


def test_an_unknown_profile_is_missing_and_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "strict.toml").write_text(STRICT)
    folder = tmp_path / "inner"
    folder.mkdir()
    for name in ("lax", "../strict", ""):
        with pytest.raises(Missing):
            Profiles(folder).get(name)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('id = "strict"', 'id = "other"', "id is 'other', but the file is called strict.toml"),
        ('version = "1"', "version = 1", "version must be a text"),
        ('languages = ["en"]', "languages = [1]", "languages must be a list of texts"),
        ('title = "The strictest of all"', "", "title is missing"),
        ("hours = 24", "hours = 25", "retention.mail must end within 24 hours"),
        ('clock = "fetched"', 'clock = "tenant"', "retention.mail lasts as long as 'tenant' does, so it has no period"),
        ('clock = "seen"\ndays = 30', 'clock = "seen"', "retention.users needs exactly one of"),
        ('clock = "seen"', "clock = [1]", "retention.users counts from '[1]'; use one of"),
        ("days = 30", "days = 0", "retention.calls.days must be a whole number above zero"),
        ("days = 30", "days = 30\nweeks = 1", "retention.calls.weeks is not a field of a retention"),
        ('then = "empty"', 'then = "sell"', "says then = 'sell'; use one of"),
        ('basis = "consent"', 'basis = "A"', "purposes.mail_beside_calls has the basis 'A'; use one of"),
        ('google = "processor"', 'google = "owner"', "role_by_class must name a role"),
        ("ack_hours = 48", "ack_hours = -1", "rights.ack_hours must not be negative"),
        ("advertising = false", 'advertising = "no"', "google.advertising must be true or false"),
        ("[change]", "[change]\nsilent = true", "change.silent is not a field of a profile"),
        ('id = "strict"', "id = ", "is not TOML"),
    ],
)
def test_a_fault_is_named_in_one_sentence(old: str, new: str, sentence: str) -> None:
    assert old in STRICT
    with pytest.raises(BadProfile) as refused:
        read("strict", STRICT.replace(old, new, 1))

    assert any(sentence in problem for problem in refused.value.problems), refused.value.problems


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(BadProfile) as refused:
        read("strict", STRICT.replace("hours = 24", "hours = 25").replace("ack_hours = 48", ""))

    assert len(refused.value.problems) == 2
