"""Zoho's understudy tells us what changed, and plays PhoneBridge: gate, clicks, buttons, call states, call log."""

import json
from collections.abc import Iterator
from urllib.parse import parse_qsl

import pytest

from tests.understudies.zoho_cast import Json, Sink, Stage, listening


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def sink() -> Iterator[Sink]:
    with listening() as server:
        yield server


def test_a_channel_is_told_what_changed_until_it_expires(stage: Stage, sink: Sink) -> None:
    """Fields, values, token and operation arrive; edits by a person count; after the hour there is silence."""
    api = stage.connect()
    watch: Json = {"channel_id": "1000000068001", "events": ["Contacts.all"], "token": "t1"}
    watch |= {"notify_url": f"{sink.url}/n"} | {"return_affected_field_values": True}
    fraction = api("POST", "/crm/v8/actions/watch", {"watch": [{**watch, "channel_expiry": "2026-03-28T13:00:00.5Z"}]})
    assert (fraction.status_code, (fraction.json or {})["watch"][0]["code"]) == (400, "INVALID_DATA")
    too_long = {**watch, "channel_expiry": "2026-04-28T13:00:00Z"}
    opened = api("POST", "/crm/v8/actions/watch", {"watch": [too_long]})
    assert opened.status_code == 201
    assert (opened.json or {})["watch"][0]["details"]["events"][0]["channel_expiry"] == "2026-03-28T14:00:00+01:00"

    item = (api("POST", "/crm/v8/Contacts", {"data": [{"Last_Name": "Ann"}]}).json or {})["data"][0]
    row = item["details"]["id"]
    stage.do("edit", org="Alice Ltd", module="Contacts", id=row, values={"Phone": "600"}, by="bob@alice.example")
    assert stage.world.notifier.settle(5)
    told = [json.loads(body) for _, _, body in sink.heard]
    assert [each["operation"] for each in told] == ["insert", "update"]
    assert (told[1]["ids"], told[1]["token"], told[1]["module"]) == ([row], "t1", "Contacts")
    assert told[1]["affected_fields"] == [{row: ["Phone"]}]
    assert told[1]["affected_values"] == [{"record_id": row, "values": {"Phone": "600"}}]

    stage.do("clock", advance=3600)
    stage.do("delete", org="Alice Ltd", module="Contacts", id=row)
    assert stage.world.notifier.settle(5)
    assert len(sink.heard) == 2
    gone = stage.connect()("DELETE", "/crm/v8/actions/watch?channel_ids=1000000068001")
    assert (gone.json or {})["watch"][0]["code"] == "NOT_SUBSCRIBED"


def test_notifications_can_be_lost_doubled_and_late(stage: Stage, sink: Sink) -> None:
    """Every second one is lost, the rest come twice, and not before the stage's clock says so."""
    api = stage.connect()
    watch = {"channel_id": 7, "events": ["Leads.create"], "notify_url": sink.url}
    assert api("POST", "/crm/v8/actions/watch", {"watch": [watch]}).status_code == 201
    stage.do("knobs", notify_copies=2, notify_drop_every=2, notify_delay=60)
    for name in ("Ann", "Ben", "Cid"):
        api("POST", "/crm/v8/Leads", {"data": [{"Last_Name": name, "Company": "C"}]})
    assert stage.see("notifications") == {"sent": [], "waiting": 4}

    stage.do("clock", advance=60)

    assert stage.world.notifier.settle(5)
    assert (len(sink.heard), len({body for _, _, body in sink.heard})) == (4, 2)


def notify(**more: str) -> dict[str, str]:
    """Write a callnotify for Bob's incoming call."""
    form = {"type": "received", "state": "ringing", "id": "c7f1a2", "from": "+34600111222", "to": "201"}
    return {**form, **more}


def ended(**more: str) -> dict[str, str]:
    """Write the end of Bob's incoming call."""
    return notify(
        state="ended", start_time="2026-03-28 11:58:00", duration="65", voiceuri="https://pbx.example/r/1", **more
    )


def test_phonebridge_is_closed_until_integrated_and_then_writes_the_activity_itself(stage: Stage) -> None:
    """One row, owned by Bob, tied to the contact with that number however it is spelt; a repeat makes a second."""
    stage.do("seed", org="Alice Ltd", module="Contacts", records=[{"Last_Name": "Ann", "Mobile": "600 111 222"}])
    api, bob = stage.connect(), stage.alice_ltd["users"]["bob@alice.example"]
    path = "/phonebridge/v3/callnotify"
    assert (api("POST", path, form=notify()).json or {})["code"] == "PBX_NOT_INTEGRATED"
    assert api("POST", "/phonebridge/v3/integrate").status_code == 200

    for form in (notify(), notify(state="answered"), ended()):
        assert api("POST", path, form={**form, "zohouser": bob["zuid"]}).json == {
            "status": "success",
            "code": "SUCCESS",
        }

    (row,) = api.rows(
        "select Subject, Owner, Who_Id, CTI_Entry, Call_Duration_in_seconds from Calls where CTI_Entry = true"
    )
    assert (row["Owner"]["id"], row["Call_Duration_in_seconds"], row["CTI_Entry"]) == (bob["id"], 65, True)
    (shown,) = stage.see("records", org="Alice Ltd", module="Calls")["records"]
    assert (shown["Who_Id"]["name"], shown["Call_Start_Time"]) == ("Ann", "2026-03-28T11:58:00+00:00")
    assert [form["state"] for form in stage.see("callnotify", org="Alice Ltd")["accepted"]] == [
        "ringing",
        "answered",
        "ended",
    ]

    api("POST", path, form={**ended(), "zohouser": bob["zuid"]})
    assert len(stage.see("records", org="Alice Ltd", module="Calls")["records"]) == 2
    stage.do("knobs", repeat_ended="ignore")
    api("POST", path, form={**ended(), "zohouser": bob["zuid"]})
    assert len(stage.see("records", org="Alice Ltd", module="Calls")["records"]) == 2


@pytest.mark.parametrize(
    ("form", "details"),
    [
        pytest.param({**ended(), "start_time": "2026-03-28T11:58:00+00:00"}, {"param": "start_time"}, id="iso time"),
        pytest.param({**ended(), "start_time": ""}, {"param": "start_time"}, id="no time"),
        pytest.param(notify(id=""), {"param": "id"}, id="no id"),
        pytest.param(notify(state="busy"), {"param": "state"}, id="a dialler's state"),
        pytest.param(notify(zohouser="1"), {"param": "zohouser"}, id="nobody's screen"),
    ],
)
def test_phonebridge_refuses_what_is_not_a_notification(stage: Stage, form: dict[str, str], details: Json) -> None:
    """Missing and misspelt parameters are named."""
    api = stage.connect()
    api("POST", "/phonebridge/v3/integrate")

    answer = api("POST", "/phonebridge/v3/callnotify", form=form)

    assert (answer.status_code, (answer.json or {})["details"]) == (400, details)


def test_phonebridge_takes_missed_by_the_book_and_refuses_it_in_the_field(stage: Stage) -> None:
    """A live provider saw `missed` refused; `ended` with no duration then does for it. Calls never ring again."""
    api, path = stage.connect(), "/phonebridge/v3/callnotify"
    api("POST", "/phonebridge/v3/integrate")
    missed = {**notify(state="missed"), "start_time": "2026-03-28 11:58:00"}
    assert api("POST", path, form=missed).status_code == 200
    assert api("POST", path, form=notify()).status_code == 400
    stage.do("knobs", phonebridge_mode="field")
    assert api("POST", path, form={**missed, "id": "other"}).status_code == 400
    assert api("POST", path, form={**ended(), "id": "other", "duration": "0"}).status_code == 200

    rows = stage.see("records", org="Alice Ltd", module="Calls")["records"]
    assert [row["Call_Type"] for row in rows] == ["Missed", "Missed"]


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [("other_provider", 403, "DIFFERENT_PROVIDER_ALREADY_ENABLED"), ("not_registered", 400, "PROVIDER_NOT_REGISTERED")],
)
def test_phonebridge_may_not_be_had(stage: Stage, state: str, status: int, code: str) -> None:
    """Another provider is there first, or Zoho never registered us."""
    stage.do("knobs", org="Alice Ltd", phonebridge=state)

    answer = stage.connect()("POST", "/phonebridge/v3/integrate")

    assert (answer.status_code, (answer.json or {})["code"]) == (status, code)


def test_a_click_and_a_button_reach_whoever_registered_for_them(stage: Stage, sink: Sink) -> None:
    """Loose JSON is understood, `{to}` is filled in, and the authorization comes back as a header."""
    api, zuid = stage.connect(), stage.alice_ltd["users"]["bob@alice.example"]["zuid"]
    api("POST", "/phonebridge/v3/integrate")
    registration = {
        "clicktodialuri": f"{sink.url}/dial",
        "zohouser": zuid,
        "authorizationparam": "{name:Authorization,value:Bearer s3cret}",
        "clicktodialparam": "[{name:pbxuserid,value:42},{name:callee,value:'{to}'}]",
    }
    assert api("POST", "/phonebridge/v3/clicktodial", form=registration).status_code == 200
    control = {"hungupuri": f"{sink.url}/hangup", "callcontrolparam": "[{name:pbxuserid,value:42}]"}
    assert api("POST", "/phonebridge/v3/callcontrol", form=control).status_code == 200

    clicked = stage.do("click-to-dial", org="Alice Ltd", user="bob@alice.example", number="(600) 111-222")
    stage.do("call-control", org="Alice Ltd", user="bob@alice.example", action="hangup", callrefid="c7f1a2")

    assert clicked == {"status": 200, "body": "success"}
    (dial, headers, form), (hangup, _, button) = sink.heard
    assert (dial, headers["Authorization"], hangup) == ("/dial", "Bearer s3cret", "/hangup")
    assert dict(parse_qsl(form.decode())) == {"tonumber": "(600) 111-222", "pbxuserid": "42", "callee": "(600) 111-222"}
    assert dict(parse_qsl(button.decode())) == {"callrefid": "c7f1a2", "pbxuserid": "42"}
    stage.do("knobs", loose_json="loose")
    strict = {**registration, "clicktodialparam": '[{"name":"pbxuserid","value":"42"}]'}
    assert api("POST", "/phonebridge/v3/clicktodial", form=strict).status_code == 400
