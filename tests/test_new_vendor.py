"""The vendor that docs/new-vendor.md builds is a vendor: its code is taken from the page and held to the contract."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from domain.call import CallEvent, fold
from domain.errors import ConsentLost, Malformed, NotAllowed, Refused, TryLater, Unanswered
from domain.journey import journey
from domain.ports import PhoneSystem, TelephonyVendor, Traits
from integrations import telephony
from tests.contracts import test_telephony_vendors as contract
from tests.readme_tables import page

BLOCKS = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", page("docs/new-vendor.md"), re.MULTILINE | re.DOTALL)
(FIXTURE,) = re.findall(r"^```json\n(.*?)^```$", page("docs/new-vendor.md"), re.MULTILINE | re.DOTALL)
HOME = "integrations.telephony.ringline"
VALUES: tuple[Any, ...] = (None, [], {}, "\0", -1, 1e400, True, "x" * 500)
STRANGE = (b"", b"{", b"[]", b"null", b"\xff", b'{"event": []}', b'{"event": "hangup"}', b"[" * 100_000, b"1" * 5_000)


@pytest.fixture
def ringline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TelephonyVendor]:
    """Ringline, unpacked where vendors live, for as long as a test lasts."""
    folder = tmp_path / "ringline"
    folder.mkdir()
    for name, code in BLOCKS:
        (folder / name).write_text(code, encoding="utf-8")
    monkeypatch.setattr(telephony, "__path__", [*telephony.__path__, str(tmp_path)])
    yield importlib.import_module(HOME).VENDOR
    for name in [name for name in sys.modules if name.partition(f"{HOME}.")[0] in ("", HOME)]:
        del sys.modules[name]
    del telephony.ringline  # type: ignore[attr-defined]  # importing a submodule puts it there


def test_it_is_one_folder_of_less_than_two_hundred_lines() -> None:
    """What the page claims; blank lines are not counted."""
    assert ["__init__.py", "signature.py", "schemas.py", "client.py", "sandbox.py"] == [name for name, _ in BLOCKS]
    assert sum(1 for _, code in BLOCKS for line in code.splitlines() if line.strip()) < 200


def test_it_believes_what_was_signed_and_nothing_else(ringline: TelephonyVendor) -> None:
    """The contract suite's own checks."""
    contract.test_a_genuine_knock_is_believed_and_every_spoiled_one_is_not(ringline)
    contract.test_two_secrets_are_believed_while_one_replaces_the_other(ringline)


def test_it_understands_the_pages_fixture(ringline: TelephonyVendor) -> None:
    contract.test_a_body_is_understood_as_its_fixture_says(ringline, json.loads(FIXTURE))


def test_it_has_an_answer_to_everything(ringline: TelephonyVendor) -> None:
    """An event of tomorrow is left aside, whatever else is in it; garbage is malformed and nothing worse."""
    assert ringline.parse(b'{"event": "transfer"}', "msg_1") is None
    for body in STRANGE:
        with pytest.raises(Malformed):
            ringline.parse(body, "msg_1")
    sent = json.loads(FIXTURE)["sent"]
    for name in sent:
        for value in VALUES:
            try:
                event = ringline.parse(json.dumps(sent | {name: value}).encode(), "msg_1")
            except Malformed:
                continue
            assert event is None or event == CallEvent.from_data(event.as_data())


def test_it_has_everything_an_account_offers(ringline: TelephonyVendor) -> None:
    """Each method of the protocol, with its own parameters: whoever asks for more of it is refused with a name."""
    http: Any = None
    account = ringline.open({"base_url": "https://api.ringline.example", "api_key": "k"}, http)
    asked = {name: method for name, method in vars(PhoneSystem).items() if callable(method) and name[0] != "_"}

    assert {"dial", "control", "recording", "calls"} <= asked.keys()
    for name, method in asked.items():
        wanted = list(inspect.signature(method).parameters.values())[1:]
        given = list(inspect.signature(getattr(account, name)).parameters.values())
        assert [(one.name, one.kind) for one in wanted] == [(one.name, one.kind) for one in given], name
    assert Traits(dial=True) == ringline.traits
    with pytest.raises(NotAllowed):
        account.control(call_ref="rl-1", leg_ref="", action="hold")
    with pytest.raises(NotAllowed):
        account.recording("https://api.ringline.example/recordings/1")


def test_its_events_add_up_to_a_call_and_its_way(ringline: TelephonyVendor) -> None:
    """Ring, answer, hang-up, in any order."""
    sent = json.loads(FIXTURE)["sent"]
    events = []
    for place, (kind, status) in enumerate((("hangup", "ok"), ("ring", ""), ("answer", ""))):
        body = sent | {"event": kind, "status": status, "at": sent["at"] - 60 * place}
        event = ringline.parse(json.dumps(body).encode(), f"msg_{place}")
        assert isinstance(event, CallEvent)
        events.append(event)
    call = fold(events)

    assert ("ended", "answered", "201", "+447700900123") == (
        call.state,
        call.outcome,
        call.agent_extension,
        call.customer,
    )
    assert ["began", "answered", "ended"] == [step.what for step in journey(events) if step.what != "rang"]


def test_what_the_page_names_is_there() -> None:
    """Its shell block runs modules and folders of this house; its fields are a call event's."""
    told = page("docs/new-vendor.md")
    (shell,) = re.findall(r"^```sh\n(.*?)^```$", told, re.MULTILINE | re.DOTALL)
    lines = [line.split() for line in shell.strip().splitlines()]

    assert [".venv/bin/python"] * 2 == [line[0] for line in lines]
    assert ["pytest", "tests.readme_tables"] == [line[2] for line in lines]
    assert all((Path(__file__).parent.parent / path).exists() for path in lines[0][3:])
    rows = [row.split("|")[1] for row in told.splitlines() if row.startswith("| `")]
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)} - {"parked", "retrieved"}
    assert {"leg_ref", "hung_up"} <= names <= {field.name for field in fields(CallEvent)}


@pytest.mark.parametrize(
    ("status", "error"), [(401, ConsentLost), (403, NotAllowed), (429, TryLater), (502, Unanswered), (422, Refused)]
)
def test_it_names_each_status_after_its_remedy(ringline: TelephonyVendor, status: int, error: type[Exception]) -> None:
    http: Any = SimpleNamespace(request=lambda *args, **options: SimpleNamespace(status_code=status))
    account = ringline.open({"base_url": "https://api.ringline.example", "api_key": "k"}, http)

    with pytest.raises(error):
        account.dial(agent_extension="201", agent_email="", number="+447700900123")


def test_its_understudy_dials_and_shares_nothing_with_it(ringline: TelephonyVendor) -> None:
    """The adapter and the understudy agree, though neither knows the other."""
    understudy = importlib.import_module(f"{HOME}.sandbox")
    pbx = understudy.create_apps({})["ringline"].test_client()

    def request(method: str, url: str, **options: Any) -> Any:
        answer = pbx.open(url.removeprefix("https://pbx"), method=method, **options)
        return SimpleNamespace(status_code=answer.status_code, json=answer.get_json)

    http: Any = SimpleNamespace(request=request)
    account = ringline.open({"base_url": "https://pbx/", "api_key": "stage-ringline"}, http)

    assert "rl-1" == account.dial(agent_extension="201", agent_email="", number="+447700900123")
    assert [{"ext": "201", "to": "+447700900123"}] == pbx.get("/_stage/dialled").get_json()
    (code,) = (code for name, code in BLOCKS if name == "sandbox.py")
    imported = {part.module for part in ast.walk(ast.parse(code)) if isinstance(part, ast.ImportFrom)}
    assert {"flask", "flask.typing"} == {name for name in imported if (name or "").partition(".")[0] == "flask"}
    assert not any((name or "").startswith(("domain", "integrations")) for name in imported)
