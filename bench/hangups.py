"""From the hang-up to the activity: hundreds of calls end every second, and the CRM takes its time to answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import text

from bench.clients import Result, Task, ask
from bench.house import House
from bench.measure import Row, percentile
from bench.office import Office, counts, office
from sandbox.cast import NEXT_DOOR
from store.database import TenantId

A_SECOND, SECONDS = 300, 20
WARM_UP = 300  # the first call a process ever sees pays for much that no other does
CRM_SECONDS = 0.05
LINES = 8
PATIENCE_SECONDS = 120.0
TIMES = text(  # a call's activity is owed in the transaction it is understood in
    "SELECT EXTRACT(epoch FROM e.done_at - d.received_at) AS whole, EXTRACT(epoch FROM e.created_at - d.received_at) AS"
    " heard, EXTRACT(epoch FROM e.done_at - e.created_at) AS written FROM effects e"
    " JOIN calls c ON (c.tenant_id, c.id) = (e.tenant_id, e.call_id)"
    " JOIN deliveries d ON (d.tenant_id, d.connection_id) = (c.tenant_id, c.connection_id)"
    " AND d.event_id = :prefix || c.ref"
    " WHERE e.tenant_id = :tenant AND e.kind = 'activity.record' AND e.state = 'done'"
    " AND d.received_at >= :since"
)


class Waited(NamedTuple):
    """Seconds of one call."""

    whole: float
    heard: float
    written: float


def measure(_: House) -> Iterator[Row]:
    """Let them end; the database's clock says when each was heard of and when the CRM had it."""
    calls = A_SECOND * SECONDS
    with office() as here:
        here.scene.zoho.post("knobs", latency=CRM_SECONDS)
        tenant = here.tenant("records")
        _send(here, WARM_UP)
        _written(here, tenant, WARM_UP)
        here.scene.zoho.delete("requests")
        since = here.services.db.now()
        sent = _send(here, calls)
        _written(here, tenant, WARM_UP + calls)
        times = _times(here, tenant, since)
        asked = sum(counts(here.scene).values())
    for part in (50, 95):
        yield Row(
            measure=f"hang-up to activity, {calls / sent.took:.0f} calls/s for {sent.took:.0f} s, p{part}",
            figure=percentile([one.whole for one in times], part) * 1_000,
            unit="ms",
            baseline=CRM_SECONDS * 1_000,
            against="the time this CRM takes to answer",
            wanted="<= 1,000" if part == 95 else "",
        )
    for what, waited in (
        ("from the door until it is understood", [one.heard for one in times]),
        ("from there until the CRM has it", [one.written for one in times]),
    ):
        yield Row(
            measure=f"of this {what}, p50",
            figure=median(waited) * 1_000,
            unit="ms",
            baseline=median(one.whole for one in times) * 1_000,
            against="all of it, p50",
        )
    yield Row(
        measure="requests to the CRM for 20 such calls",
        figure=20 * asked / calls,
        unit="requests",
        baseline=20,
        against="a request for each call",
        wanted="<= 1",
    )
    yield Row(
        measure="hang-ups accepted by the door, p50",
        figure=median(sent.times) * 1_000,
        unit="ms",
        baseline=CRM_SECONDS * 1_000,
        against="the time this CRM takes to answer",
    )


def _send(here: Office, calls: int) -> Result:
    """Have so many calls end, at their pace."""
    door = here.doors[NEXT_DOOR.org]
    parts = urlsplit(door.url)
    name = parts.path.rpartition("/")[2]
    return ask(
        Task(port=parts.port or 0, door=name, secret=door.secret, clients=LINES, events=calls, a_second=A_SECOND)
    )


def _written(here: Office, tenant: TenantId, calls: int) -> None:
    """Wait until so many calls are in the CRM."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while here.services.effects.counts(tenant).get(("activity.record", "done"), 0) < calls:
        if time.monotonic() > ends:
            raise RuntimeError(f"not all of {calls} calls were written: {here.services.effects.counts(tenant)}")
        time.sleep(0.5)


def _times(here: Office, tenant: TenantId, since: datetime) -> list[Waited]:
    """Seconds from hang-up to activity for each call we heard of since then."""
    with here.services.db.tenant(tenant) as database:
        rows = database.execute(TIMES, {"tenant": tenant, "prefix": "e-", "since": since})
        return [Waited(*map(float, row)) for row in rows]
