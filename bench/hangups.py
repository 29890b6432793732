"""From the hang-up to the activity: hundreds of calls end every second, and the CRM takes its time to answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from sqlalchemy import text

from bench.house import House
from bench.measure import Row, percentile
from bench.office import Office, counts, ended, office
from sandbox.cast import NEXT_DOOR
from store.database import TenantId

A_SECOND, SECONDS = 300, 20
CRM_SECONDS = 0.05
LINES = 8
PATIENCE_SECONDS = 120.0
TIMES = text(
    "SELECT EXTRACT(epoch FROM e.done_at - d.received_at) FROM effects e"
    " JOIN calls c ON (c.tenant_id, c.id) = (e.tenant_id, e.call_id)"
    " JOIN deliveries d ON (d.tenant_id, d.connection_id) = (c.tenant_id, c.connection_id)"
    " AND d.event_id = :prefix || c.ref"
    " WHERE e.tenant_id = :tenant AND e.kind = 'activity.record' AND e.state = 'done'"
)


def measure(_: House) -> Iterator[Row]:
    """Let them end; the database's clock says when each was heard of and when the CRM had it."""
    calls = A_SECOND * SECONDS
    with office() as here:
        here.scene.zoho.post("knobs", latency=CRM_SECONDS)
        tenant = here.tenant("records")
        here.scene.zoho.delete("requests")
        sent = here.send(NEXT_DOOR.org, ended(calls), a_second=A_SECOND, lines=LINES)
        took = sent[-1].at - sent[0].at
        times = _times(here, tenant, calls)
        asked = sum(counts(here.scene).values())
    for part in (50, 95):
        yield Row(
            measure=f"hang-up to activity, {calls / took:.0f} calls/s for {took:.0f} s, p{part}",
            figure=percentile(times, part) * 1_000,
            unit="ms",
            baseline=CRM_SECONDS * 1_000,
            against="the time this CRM takes to answer",
            wanted="<= 1,000" if part == 95 else "",
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
        figure=median(one.took for one in sent) * 1_000,
        unit="ms",
        baseline=CRM_SECONDS * 1_000,
        against="the time this CRM takes to answer",
    )


def _times(here: Office, tenant: TenantId, calls: int) -> list[float]:
    """Seconds from hang-up to activity for each call, once all are written."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while here.services.effects.counts(tenant).get(("activity.record", "done"), 0) < calls:
        if time.monotonic() > ends:
            raise RuntimeError(f"not all of {calls} calls were written: {here.services.effects.counts(tenant)}")
        time.sleep(0.5)
    with here.services.db.tenant(tenant) as database:
        return [float(seconds) for seconds in database.execute(TIMES, {"tenant": tenant, "prefix": "e-"}).scalars()]
