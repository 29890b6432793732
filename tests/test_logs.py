"""What the log says of a whole call, from consent to disconnecting: ids and counts, and nobody."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import select

from commands import logs
from integrations.telephony.standard.signature import sign
from jobs import connect, worker
from jobs.services import Services
from store.database import TenantId
from store.embedded import Postgres
from store.tables import OF_A_TENANT
from tests import house
from tests.zoho_stage import ALICE, CLIENT, SECRETS, Stage, running

NUMBER, WRITTEN = "+34600111222", "600 111 222"
STRANGER = "+442079460001"
DORA = {"First_Name": "Dora", "Last_Name": "Quincebury", "Phone": WRITTEN, "Email": "dora@quincebury.example"}
CALL = {"direction": "inbound", "to": "+34910000007", "agent": {"email": ALICE, "extension": "2017"}}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with running() as stage:
        stage.fresh()
        yield stage


@pytest.fixture
def house_of_alice(
    stage: Stage, db_urls: Postgres, work_url: str, mail_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Services]:
    """The product beside the stage's Zoho."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    secrets = {f"ZOHO_CLIENT_SECRET_{name.upper()}": secret for name, secret in SECRETS.items()}
    outside = {"ZOHO_CLIENT_ID": CLIENT, "ZOHO_SERVERINFO_URL": f"{stage.us}/oauth/serverinfo"}
    with house.services(db_urls, work_url, mail_url, BASE_URL="http://127.0.0.1:8000", **outside, **secrets) as opened:
        yield opened


class Heard:
    """Everything said: our own events before anything was filtered out, and the lines that were written."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __call__(self, _: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        self.events.append(repr(event))
        return event


@contextmanager
def listening() -> Iterator[Heard]:
    """The product's own logging, turned up to DEBUG, and put back when the block ends."""
    root = logging.getLogger()
    before = root.level, root.handlers[:], {name: logging.getLogger(name).level for name in logs.QUIET}
    structured = structlog.get_config()
    everything = Heard()
    root.handlers.clear()  # they are pytest's, and must not be closed
    try:
        logs.set_up()
        root.setLevel(logging.DEBUG)
        processors = [structlog.contextvars.merge_contextvars, everything, *structlog.get_config()["processors"][1:]]
        structlog.configure(
            processors=processors,
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            logger_factory=structlog.PrintLoggerFactory(),
        )
        yield everything
    finally:
        structlog.configure(**structured)
        root.setLevel(before[0])
        root.handlers[:] = before[1]
        for name, level in before[2].items():
            logging.getLogger(name).setLevel(level)


def event(type: str, call: str, caller: str, at: datetime, **more: Any) -> bytes:
    data = CALL | {"call_id": call, "from": caller, "started_at": at.isoformat()} | more
    return json.dumps({"type": f"call.{type}", "timestamp": at.isoformat(), "data": data}).encode()


@dataclass
class Day:
    """What Alice did, and all that must stay between her and us."""

    tenant: TenantId
    needles: list[str]
    held: str  # what the product knows, unsealed
    rows: list[str]  # the same as it lies in the database


def live(services: Services, stage: Stage) -> Day:
    """Consent, connect a phone system, learn a contact, take four calls, log them, disconnect."""
    stage.post("seed", org="alice", module="Contacts", records=[DORA])
    address = connect.begin(services, provider="zoho", purpose="install", browser="b", features=["calls", "contacts"])
    back = house.decide(stage, address, user=ALICE)
    done = connect.complete(services, provider="zoho", query=back, browser="b", user=None)
    assert done.connection is not None
    tenant, crm = done.user.tenant, done.connection
    pbx = connect.add_phone_system(services, user=done.user, vendor="standard", account={"api_key": "key-of-the-pbx"})
    worker.visit(services, tenant, "contacts", seconds=5)
    knock(services, pbx)
    services.inbox.write_once(tenant, pbx.tie, "dead", kind="telephony", lane="calls", body=NUMBER.encode())
    stage.fault("POST /crm/v8/Calls", "status", status=503, times=1)
    worker.visit(services, tenant, "calls", seconds=5)
    assert services.effects.wake(tenant, crm)
    worker.visit(services, tenant, "calls", seconds=5)
    assert 3 == len(stage.get("records", org="alice", module="Calls")["records"])

    token = services.grants.token(tenant, crm, services.providers["zoho"]).value
    held = [
        services.calls.recent(tenant),
        list(services.hub.everybody(tenant)),
        services.tenants.users(tenant),
        services.tenants.get(tenant),
        services.connections.all(tenant),
        services.connections.secrets(tenant, pbx.tie, "door"),
        [token, pbx.url, dict(services.settings.zoho_client_secrets), back],
    ]
    day = Day(tenant, [*unsealed(pbx, token), back["code"][0], back["state"][0]], repr(held), stored(services, tenant))
    for tie in (crm, pbx.tie):
        connect.disconnect(services, user=done.user, tie=tie)
    return day


def knock(services: Services, pbx: connect.NewDoor) -> None:
    """What the phone system tells of four calls, and somebody who is not it."""
    client, now = house.front(services), datetime.now(UTC)
    told = [
        event("ringing", "c1", NUMBER, now),
        event("ended", "c1", NUMBER, now + timedelta(seconds=65), outcome="answered", queue="quince hotline"),
        event("ended", "c2", STRANGER, now, outcome="no_answer"),
        event("ended", "c3", "anonymous", now, outcome="no_answer"),
        event("ringing", "c4", NUMBER, now, direction="outbound", to=STRANGER),
    ]
    for number, body in enumerate(told):
        signed = sign(pbx.secret, f"e{number}", body, now)
        for headers, status in ((signed, 202), (signed | {"webhook-id": "forged"}, 401)):
            path = house.path_of(pbx)
            assert status == client.post(path, data=body, headers=headers, content_type="application/json").status_code


def test_the_log_of_a_whole_call_names_nobody(
    stage: Stage, house_of_alice: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every number, name, address, token and secret of the cast is known to the product, and is in no line of the
    log and in no row as it lies in the database."""
    with listening() as heard:
        day = live(house_of_alice, stage)
    assert [] == [needle for needle in day.needles if needle not in day.held]  # present before we claim absence

    written = capsys.readouterr()
    lines, said = written.out + written.err, "\n".join(heard.events)
    for name in ("call_heard", "call_logged", "contacts_read", "chore_done", "delivery_dead"):
        assert f"event={name}" in lines
        assert name in said
    assert str(day.tenant) in lines
    assert "unlisted log keys" not in lines
    assert [] == [needle for needle in day.needles if needle.casefold() in (lines + said).casefold()]
    assert 25 < len(day.rows)
    assert [] == [needle for needle in day.needles if len(needle) > 4 and any(needle in row for row in day.rows)]


def unsealed(pbx: connect.NewDoor, token: str) -> list[str]:
    """What must never be said."""
    numbers = [NUMBER, STRANGER, WRITTEN, NUMBER[3:], STRANGER[3:], "+34910000007", "2017"]
    people = ["Dora", "Quincebury", "dora@quincebury.example", "Alice Adler", ALICE, "Alice Ltd", "quince hotline"]
    secrets = [pbx.secret, pbx.url.rpartition("/")[2], token, "key-of-the-pbx", *SECRETS.values()]
    return numbers + people + secrets


def stored(services: Services, tenant: TenantId) -> list[str]:
    """Every row of a tenant as it lies in the database."""
    with services.db.tenant(tenant) as connection:
        return [repr(tuple(row)) for table in OF_A_TENANT for row in connection.execute(select(table))]


def test_a_library_may_name_itself_and_not_what_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    """Its words may quote an address or a token, so they are left out; a key we did not list is left out too."""
    with listening():
        logging.getLogger("some.library").warning("GET /search?phone=%s", NUMBER)
        structlog.get_logger().info("call_heard", tenant="7", customer=NUMBER)

    lines = capsys.readouterr().out
    assert "name=some.library" in lines
    assert "event=call_heard tenant=7" in lines
    assert NUMBER not in lines
