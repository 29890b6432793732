"""Telling Google where to send security events: registered, looked at, tried out and stopped by a service account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import pytest
from click.testing import CliRunner

from app import COMMANDS, PARTS
from commands.cli import cli
from integrations.google.risc import KNOWN, TYPES
from integrations.google.streams import ROLE
from store.embedded import Postgres
from tests import house
from tests.google_stage import CLIENT, Stage, running, serving
from tests.robot import hired, key_file

DOOR = "/webhooks/google/risc"
PURGED = f"{TYPES}risc/event-type/account-purged"  # not on Google's list
STRANGER = key_file("x@y.iam.gserviceaccount.com")


@pytest.fixture(scope="module")
def google() -> Iterator[Stage]:
    with running() as stage:
        yield stage


class Operator:
    """Somebody at a shell, whose settings lead to the understudy."""

    def __init__(self, google: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.google, self._patch = google, monkeypatch
        self.set(
            GOOGLE_API_ROOT=google.origin, GOOGLE_SERVICE_ACCOUNT_KEY=key_file(), DATABASE_URL="postgresql://nobody"
        )
        self.set(BASE_URL="http://127.0.0.1:8000")

    def set(self, **settings: str) -> None:
        for name, value in settings.items():
            self._patch.setenv(name, value)

    def types(self, *words: str) -> tuple[int, str]:
        cli.rooms = COMMANDS
        done = CliRunner().invoke(cli, ["risc", *words], obj=PARTS)
        return done.exit_code, done.output

    def stream(self) -> dict[str, Any]:
        return self.google.get("stream")


@pytest.fixture
def operator(google: Stage, monkeypatch: pytest.MonkeyPatch) -> Operator:
    google.fresh()
    hired(google, ROLE)
    return Operator(google, monkeypatch)


def test_a_stream_is_registered_looked_at_and_stopped(operator: Operator) -> None:
    """Every event we understand, to our own door; stopped it says so, and registering again has it sent again."""
    url = f"http://127.0.0.1:8000{DOOR}"
    assert (1, True) == (operator.types("status")[0], "No stream" in operator.types("status")[1])

    code, said = operator.types("register", "--json")

    assert (0, {"url": url}) == (code, json.loads(said))
    assert (url, "enabled") == (operator.stream()["delivery"]["url"], operator.stream()["status"])
    assert {TYPES + kind for kind in KNOWN} - set(operator.stream()["events_requested"]) == {PURGED}
    code, said = operator.types("status", "--json")
    assert (0, url, []) == (code, json.loads(said)["url"], json.loads(said)["missing"])
    assert 2 == operator.types("remove")[0]
    assert 0 == operator.types("remove", "--yes")[0]
    assert (1, "disabled") == (operator.types("status")[0], operator.stream()["status"])
    assert 0 == operator.types("register")[0]
    assert 0 == operator.types("status")[0]


def test_a_stream_that_leads_elsewhere_is_seen(operator: Operator) -> None:
    operator.set(BASE_URL="http://127.0.0.1:8001")
    assert 0 == operator.types("register")[0]
    operator.set(BASE_URL="http://127.0.0.1:8000")

    code, said = operator.types("status")

    assert (1, True) == (code, f"They do not all come to http://127.0.0.1:8000{DOOR}" in said)


def test_a_test_event_is_taken_in(
    operator: Operator, db_urls: Postgres, work_url: str, mail_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way: registered here, sent by Google, believed by the door."""
    outside = {
        "GOOGLE_CLIENT_ID": CLIENT,
        "GOOGLE_RISC_CONFIGURATION_URI": f"{operator.google.origin}/.well-known/risc-configuration",
    }
    with (
        house.services(db_urls, work_url, mail_url, **outside) as tools,
        serving(house.front(tools).application) as origin,
    ):
        operator.set(BASE_URL=origin)
        assert 0 == operator.types("register")[0]
        assert 0 == operator.types("verify")[0]
        deadline = monotonic() + 30
        while not operator.stream().get("answers"):
            assert monotonic() < deadline, "nothing was sent"
            sleep(0.01)

    assert [202] == operator.stream()["answers"]
    assert "risc_verified" in capsys.readouterr().out


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "without a key": ({"settings": {"GOOGLE_SERVICE_ACCOUNT_KEY": ""}}, "Set GOOGLE_SERVICE_ACCOUNT_KEY"),
    "with somebody else's": ({"settings": {"GOOGLE_SERVICE_ACCOUNT_KEY": STRANGER}}, "does not know"),
    "without the role": ({"roles": ()}, f"needs the role {ROLE}"),
    "for an address Google refuses": ({"settings": {"BASE_URL": "https://calls.alice.example"}}, "Google refused it"),
    "while Google is busy": ({"fault": 503}, "is busy"),
    "while Google is out of reach": ({"settings": {"GOOGLE_API_ROOT": "http://127.0.0.1:9"}}, "could not be reached"),
}  # fmt: skip


@pytest.mark.parametrize(("told", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_what_goes_wrong_is_one_sentence(operator: Operator, told: dict[str, Any], sentence: str) -> None:
    """And nothing is registered."""
    operator.set(**told.get("settings", {}))
    if "roles" in told:
        hired(operator.google, *told["roles"])
    if "fault" in told:
        operator.google.fault("POST /v1beta/*", "status", status=told["fault"])

    code, said = operator.types("register")
    operator.google.delete("faults")

    assert (1, True) == (code, sentence in said), said
    assert {} == operator.stream()
