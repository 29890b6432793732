"""Zoho's own Python SDK takes the understudy for Zoho: it signs in, lists, searches, writes and subscribes.

`zohocrmsdk8-0` keeps one global state and writes files and logs, so it starts once, in a temporary folder, in UTC.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from waitress.server import create_server

from tests.understudies.zoho_cast import SCOPES, Stage

# The SDK's own habits; it is imported late, so that this filter already holds.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
API = "zohocrmsdk.src.com.zoho.crm.api"
STARTED = datetime(2026, 3, 28, 11, 58, tzinfo=UTC)


class Sdk:
    """The SDK, signed in as Alice; `stage` is what it talks to."""

    def __init__(self, stage: Stage, origin: str, folder: Path) -> None:
        self.stage = stage
        refresh = stage.exchange(stage.consent("alice@alice.example", f"{SCOPES},ZohoCRM.bulk.READ")["code"])[
            "refresh_token"
        ]
        part, store = self.part, import_module("zohocrmsdk.src.com.zoho.api.authenticator.store")
        logger = import_module("zohocrmsdk.src.com.zoho.api.logger").Logger
        token = import_module("zohocrmsdk.src.com.zoho.api.authenticator.oauth_token").OAuthToken
        (folder / "resources").mkdir()
        part("initializer").Initializer.initialize(
            environment=part("dc").DataCenter.Environment(origin, f"{origin}/oauth/v2/token", origin),
            token=token(client_id="1000.LINE", client_secret="secret-eu", refresh_token=refresh, find_user=True),
            store=store.FileStore(str(folder / "tokens.csv")),
            sdk_config=part("sdk_config").SDKConfig(
                auto_refresh_fields=False, pick_list_validation=False, update_api_domain=False
            ),
            resource_path=str(folder),
            logger=logger.get_instance(level=logger.Levels.ERROR, file_path=str(folder / "sdk.log")),
        )
        self.tokens = (folder / "tokens.csv").read_text()

    @staticmethod
    def part(name: str) -> Any:
        """Import one part of the SDK, for the first time under this module's warning filter."""
        return import_module(f"{API}.{name}")

    def record(self, **values: Any) -> Any:
        """Make a record as the SDK wants it."""
        record = self.part("record").Record()
        for name, value in values.items():
            record.add_key_value(name, value)
        return record

    def body(self, **values: Any) -> Any:
        """Make a body of one record."""
        body = self.part("record").BodyWrapper()
        body.set_data([self.record(**values)])
        return body

    def module(self, name: str) -> Any:
        """Open a module."""
        return self.part("record").RecordOperations(name)

    def params(self, **values: Any) -> Any:
        """Make a parameter map."""
        params = self.part("parameter_map").ParameterMap()
        known = self.part("record")
        for name, value in values.items():
            holder = known.SearchRecordsParam if name == "phone" else known.GetRecordsParam
            params.add(getattr(holder, name), value)
        return params


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sdk]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        stage = Stage(eu=origin)
        server = create_server(stage.apps["zoho-eu"], sockets=[listener])
        thread = threading.Thread(target=server.run)
        thread.start()
        yield Sdk(stage, origin, tmp_path_factory.mktemp("sdk"))
        server.close()
        thread.join()
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def test_it_signs_in_and_finds_its_user(sdk: Sdk) -> None:
    """With find_user the SDK reads the current user and the organisation, and files the token under both."""
    assert f"alice@alice.example:{sdk.stage.alice_ltd['zgid']}" in sdk.tokens


def test_it_creates_lists_and_finds_a_contact(sdk: Sdk) -> None:
    """A contact it made comes back in a list since this morning and in a search by number."""
    created = sdk.module("Contacts").create_records(sdk.body(Last_Name="Ann", Phone="+34600111222"))
    (item,) = created.get_object().get_data()
    assert (created.get_status_code(), item.get_code().get_value()) == (201, "SUCCESS")
    row = item.get_details()["id"]

    headers = sdk.part("header_map").HeaderMap()
    headers.add(sdk.part("record").GetRecordsHeader.if_modified_since, datetime(2026, 3, 28, tzinfo=UTC))
    listed = sdk.module("Contacts").get_records(sdk.params(fields="Last_Name,Phone,Owner"), headers)
    found = sdk.module("Contacts").search_records(sdk.params(phone="+34600111222"))

    for answer in (listed, found):
        (record,) = answer.get_object().get_data()
        assert (str(record.get_id()), record.get_key_value("Phone")) == (str(row), "+34600111222")
    late = sdk.part("header_map").HeaderMap()
    late.add(sdk.part("record").GetRecordsHeader.if_modified_since, datetime(2026, 4, 28, tzinfo=UTC))
    assert sdk.module("Contacts").get_records(sdk.params(fields="Last_Name"), late).get_status_code() == 304


def test_it_upserts(sdk: Sdk) -> None:
    """The second time it is an update."""
    body = sdk.body(Last_Name="Up", Email="up@x.example")
    body.set_duplicate_check_fields(["Email"])
    items = [sdk.module("Contacts").upsert_records(body).get_object().get_data()[0] for _ in range(2)]

    assert [item.get_action().get_value() for item in items] == ["insert", "update"]


def test_it_logs_a_call_and_reads_it_by_coql(sdk: Sdk) -> None:
    """A call with a picklist, a time and a duration; a zero duration comes back as that item's error."""
    choice = sdk.part("util").Choice
    call = {"Subject": "By SDK", "Call_Type": choice("Outbound"), "Call_Start_Time": STARTED}
    whole = sdk.module("Calls").create_records(sdk.body(**call, Call_Duration="02:05", Call_Duration_in_seconds=125))
    zero = sdk.module("Calls").create_records(sdk.body(**call, Call_Duration="00:00", Call_Duration_in_seconds=0))
    query = sdk.part("coql").BodyWrapper()
    query.set_select_query("select Subject, Call_Start_Time from Calls where Subject = 'By SDK' limit 0, 200")
    rows = sdk.part("coql").CoqlOperations().get_records(query).get_object().get_data()

    assert whole.get_status_code() == 201
    assert [item.get_code().get_value() for item in zero.get_object().get_data()] == ["DEPENDENT_MISMATCH"]
    (row,) = rows
    assert datetime.fromisoformat(row.get_key_value("Call_Start_Time")) == STARTED  # to COQL the SDK knows no types


def test_it_subscribes(sdk: Sdk) -> None:
    """A channel is opened and can be read back."""
    part = sdk.part("notifications")
    channel = part.Notification()
    channel.set_channel_id("1000000068001")
    channel.set_events(["Contacts.all"])
    channel.set_notify_url("https://linekeeper.example/webhooks/zoho/notifications/door")
    channel.set_token("t1")
    body = part.BodyWrapper()
    body.set_watch([channel])

    enabled = part.NotificationsOperations().enable_notifications(body)

    (item,) = enabled.get_object().get_watch()
    assert (enabled.get_status_code(), item.get_code().get_value()) == (201, "SUCCESS")
    assert [each["events"] for each in sdk.stage.see("channels", org="Alice Ltd")["channels"]] == [["Contacts.all"]]


def test_it_has_a_module_written_into_a_file(sdk: Sdk) -> None:
    """It makes the job, reads how far it is, and fetches a zip."""
    part = sdk.part("bulk_read")
    sdk.stage.do("knobs", bulk_looks=1)
    query, body = part.Query(), part.BodyWrapper()
    module = sdk.part("modules").MinifiedModule()
    module.set_api_name("Contacts")
    query.set_module(module)
    query.set_fields(["Last_Name", "Phone"])
    body.set_query(query)
    body.set_file_type("csv")
    jobs = part.BulkReadOperations()

    (made,) = jobs.create_bulk_read_job(body).get_object().get_data()
    job = int(made.get_details()["id"])
    (told,) = jobs.get_bulk_read_job_details(job).get_object().get_data()
    file = jobs.download_result(job).get_object().get_file()

    assert (made.get_code().get_value(), told.get_state().get_value()) == ("ADDED_SUCCESSFULLY", "COMPLETED")
    assert told.get_result().get_more_records() is False
    assert b"PK" == b"".join(file.get_stream())[:2]


def test_it_says_so_when_consent_is_gone(sdk: Sdk) -> None:
    """An administrator disconnects the application: the next call is a 401 the SDK can read."""

    def listed() -> Any:
        return sdk.module("Contacts").get_records(sdk.params(fields="Last_Name"), sdk.part("header_map").HeaderMap())

    assert listed().get_status_code() in (
        200,
        204,
    )  # it knows the module's fields now: not to get them is a fault to it
    sdk.stage.do("revoke", org="Alice Ltd")
    answer = listed()

    assert (answer.get_status_code(), answer.get_object().get_code().get_value()) == (401, "INVALID_TOKEN")
