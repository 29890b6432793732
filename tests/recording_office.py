"""Alice's office with a phone system that records, the door to its recordings, and others to put in their places."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from domain.call import CallEvent
from domain.ports import Activity, Sound, Written
from domain.recording import Rules
from jobs import log_call, recordings
from jobs.archive import archive
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from store.tables import calls, effects, recording_chunks
from store.tenants import User
from tests import house
from tests.console_desk import Office, furnish
from tests.phone_stage import Platform, playing

DANA = "+34600111222"
ANNOUNCED = Rules(inbound="announced", outbound="announced")
DAY = timedelta(days=1)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "


class Player(FlaskClient):
    """A client that reads what it is given to the end and hangs up, unless it is told not to."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        return super().open(*args, **{"buffered": True, **options})


def door(tools: Services) -> FlaskClient:
    """The door to recordings, and a player in front of it."""
    app = house.front(tools).application
    app.test_client_class = Player
    return app.test_client()


class Crm:
    """Zoho's Calls module and PhoneBridge in one, which remember what they were told."""

    def __init__(self) -> None:
        self.logged: list[Activity] = []
        self.finished: list[Activity] = []
        self.amended: list[tuple[str, str]] = []
        self.there = "row-of-zoho"

    def log_calls(self, activities: list[Activity]) -> list[Written]:
        self.logged += activities
        return [Written(remote_id=f"row-{place}") for place in range(len(activities))]

    def find_call(self, activity: Activity, beside: Collection[Activity] = ()) -> str:
        return self.there

    def find_calls(self, activities: Sequence[Activity]) -> dict[str, str]:
        return {activity.marker: self.there for activity in activities if self.there}

    def finish(self, activity: Activity) -> None:
        self.finished.append(activity)

    def ring(self, ring: object) -> None:
        pass

    def amend_call(
        self,
        remote_id: str,
        activity: Activity,
        *,
        said: Sequence[str] | None = None,
        wrote: Mapping[str, Sequence[Any]] | None = None,
        whole: bool = False,
    ) -> bool:
        assert not whole
        self.amended.append((remote_id, activity.recording_url))
        return True


class Vendor:
    """A telephony vendor whose recordings are what the test wants."""

    title = "The test's telephone system"

    def __init__(self, *pieces: bytes, form: str = "audio/wav", length: int | None = None) -> None:
        self.pieces, self.form, self.length = pieces, form, length
        self.trouble: Exception | None = None
        self.closed = 0

    def open(self, account: Mapping[str, str], http: object) -> Vendor:
        return self

    def recording(self, url: str) -> Sound:
        if self.trouble is not None:
            raise self.trouble
        return Sound(content_type=self.form, length=self.length, chunks=self._chunks())

    def forget_recording(self, url: str) -> None:
        if self.trouble is not None:
            raise self.trouble

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield from self.pieces
        finally:
            self.closed += 1


class WithCrm(Services):
    """The real tools, with a CRM that needs no consent."""

    def crm(self, tie: Tie) -> Any:
        return self.opened.setdefault("test crm", Crm())

    bridge = crm


@dataclass
class Alice:
    """Alice's office with a phone system that records, and the door to its recordings."""

    tools: Services
    platform: Platform
    office: Office
    pbx: Tie
    client: FlaskClient
    crm: Crm
    made: list[str] = field(default_factory=list)

    @property
    def tenant(self) -> TenantId:
        return self.office.tenant

    @property
    def tie(self) -> Tie:
        return self.tools.connections.get(self.tenant, self.pbx.id)

    def call(self, *, seconds: int = 1, url: str = "", late: bool = False, ago: timedelta = timedelta(0)) -> UUID:
        """Bob spoke with Dana and it was recorded; `late`: we hear of the recording after the call was logged."""
        ref = f"c-{uuid4().hex[:12]}"
        self.made.append(ref)
        url = url or str(
            self.platform.stage("recordings", key="alices-key", call_id=ref, seconds=seconds)["recording_url"]
        )
        at = self.tools.db.now() - timedelta(minutes=5) - ago
        told: dict[str, Any] = {
            "call_ref": ref,
            "caller": DANA,
            "callee": "+34911222333",
            "agent_email": self.office.bob.email,
        }
        end = CallEvent(
            id=f"{ref}-e",
            type="ended",
            at=at + timedelta(minutes=1),
            started_at=at,
            answered_at=at,
            outcome="answered",
            **told,
        )
        recorded = CallEvent(id=f"{ref}-r", type="recording", at=at + timedelta(minutes=2), recording_url=url, **told)
        self.hear(end, *([] if late else [recorded]))
        if late:
            log_call.act(self.tools, self.tenant)
            self.hear(recorded)
        with self.tools.db.tenant(self.tenant) as database:
            id: UUID = database.execute(select(calls.c.id).where(calls.c.ref == ref)).scalar_one()
        return id

    def hear(self, *told: CallEvent) -> None:
        log_call.take_over(self.tools, self.tie, self.tools.calls.hear(self.tenant, self.pbx.id, told))

    def rule(self, rules: Rules) -> None:
        self.tools.tenants.set(self.tenant, recordings=rules.as_data())

    def link(self, call: UUID, who: User | None = None, seconds: int = 600) -> str:
        """The path of a link for Alice, or for somebody else."""
        listener = f"user:{(who or self.office.alice).id}"
        url = recordings.link(self.tools, self.tenant, call, for_whom=listener, seconds=seconds)
        assert url.startswith(f"{house.ORIGIN}/recordings/")
        return url.removeprefix(house.ORIGIN)

    def archive(self) -> dict[str, Any]:
        return archive(self.tools, self.tie, _chore(self.pbx.id))

    def actions(self) -> list[str]:
        return [row.action for row in self.tools.ledger.rows(self.tenant, limit=500)][::-1]

    def listens(self) -> list[str]:
        return [row.actor for row in self.tools.ledger.rows(self.tenant, action="read.recording")][::-1]

    def owed(self, kind: str) -> list[Any]:
        with self.tools.db.tenant(self.tenant) as database:
            return [
                *database.execute(select(effects).where(effects.c.tenant_id == self.tenant, effects.c.kind == kind))
            ]

    def over_there(self) -> set[str]:
        """Which of our calls the platform still has recordings of."""
        return {row["call_id"] for row in self.platform.shown("recordings")["recordings"]} & set(self.made)

    def asked(self) -> list[str]:
        """What the platform was asked for."""
        asked = self.platform.http.get(f"{self.platform.origin}/_stage/requests").json()["last"]
        return [row["line"] for row in asked]

    def at(self, later: timedelta) -> FlaskClient:
        """The same door, later."""
        moment = self.tools.now() + later
        return door(replace(self.tools, now=lambda: moment))

    def through(self, vendor: Vendor) -> Alice:
        """The same office, with another phone system behind the connection."""
        stands_in: Any = vendor
        tools = replace(self.tools, telephony={"standard": stands_in})
        return replace(self, tools=tools, client=door(tools))


def _chore(tie: UUID) -> Chore:
    return Chore(
        id=uuid4(), connection=tie, kind="archive.recordings", lane="contacts", every_seconds=300,
        due_at=datetime.max, last_ok_at=None, reason="", failures=0, progress={},
    )  # fmt: skip


@contextmanager
def offices(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Callable[[TenantId], Alice]]:
    """A platform that records, and real tools that may reach it: what furnishes a tenant's office."""
    with (
        playing() as platform,
        house.services(db_urls, work_url, mail_url, ALLOWED_PRIVATE_HOSTS="127.0.0.1") as opened,
    ):
        yield lambda tenant: _furnished(opened, platform, tenant)


def _furnished(opened: Services, platform: Platform, tenant: TenantId) -> Alice:
    platform.fresh()
    crm = Crm()
    kept = {one.name: getattr(opened, one.name) for one in fields(opened)}
    tools = WithCrm(**{**kept, "opened": {"test crm": crm}})
    office = furnish(tools, tenant)
    account = {"base_url": platform.origin, "api_key": "alices-key"}
    tie = tools.connections.add(tenant, "telephony", "standard", label="PBX", account=account)
    made = Alice(tools, platform, office, tools.connections.get(tenant, tie), door(tools), crm)
    made.rule(ANNOUNCED)
    return made


def sound_of(alice: Alice, call: UUID) -> bytes:
    kept = alice.tools.calls.get(alice.tenant, call)
    assert kept is not None
    return b"".join(alice.platform.account.recording(kept.call.recording_url).chunks)


def state_of(alice: Alice, call: UUID) -> tuple[str, str]:
    found = recordings.kept(alice.tools).get(alice.tenant, call)
    assert found is not None
    return found.state, found.reason


def chunks_of(alice: Alice) -> int:
    with alice.tools.db.tenant(alice.tenant) as database:
        total: int = database.execute(select(func.count()).select_from(recording_chunks)).scalar_one()
    return total
