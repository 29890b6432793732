"""Who is +34 600 111 222? The answer may not take longer because more people are known."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from functools import partial

from sqlalchemy import text

from bench.house import House
from bench.measure import Row, percentile, timed
from domain.ports import in_batches
from store.database import TenantId

FEW, SIZES = 1_000, (100_000, 1_000_000)
LOOKUPS = 1_500
BATCH = 10_000
FIRST_NUMBER = 34_600_000_000

PEOPLE = text("INSERT INTO contacts (id, tenant_id) SELECT id, :tenant FROM unnest(CAST(:ids AS uuid[])) AS id")
NUMBERS = text(
    "INSERT INTO contact_keys (tenant_id, kind, fingerprint, contact_id) SELECT :tenant, 'number', f, c"
    " FROM unnest(CAST(:fingerprints AS bytea[]), CAST(:ids AS uuid[])) AS t(f, c)"
)


def measure(house: House) -> Iterator[Row]:
    """Ask for numbers that are known and numbers that are not, in every tenant in turn."""
    tenants = {known: house.tenant() for known in (FEW, *SIZES)}
    for known, tenant in tenants.items():
        fill(house, tenant, known)
    house.settle()
    chosen = random.Random(7)
    times: dict[int, list[float]] = {known: [] for known in tenants}
    for known, tenant in [*tenants.items()] * 2:
        assert len(house.services.hub.who(tenant, number(known - 1))) == 1
        assert house.services.hub.who(tenant, number(known)) == []
    for _ in range(LOOKUPS):
        for known, tenant in tenants.items():
            wanted = number(chosen.randrange(known * 5 // 4))
            times[known] += timed(partial(house.services.hub.who, tenant, wanted), 1)
    for known in SIZES:
        for part in (50, 95):
            yield Row(
                measure=f"who is this, {known:,} numbers, p{part}",
                figure=percentile(times[known], part) * 1_000,
                unit="ms",
                baseline=percentile(times[FEW], part) * 1_000,
                against=f"the same among {FEW:,} numbers",
                wanted="<= 10" if part == 95 else "ratio <= 1.5",
            )


def number(place: int) -> str:
    return f"+{FIRST_NUMBER + place}"


def fill(house: House, tenant: TenantId, count: int) -> None:
    """Know `count` people with one number each."""
    vault = house.services.vault.of(tenant)
    for places in in_batches(range(count), BATCH):
        ids = [uuid.uuid4() for _ in places]
        fingerprints = [vault.fingerprint("number", number(place)) for place in places]
        with house.services.db.tenant(tenant) as database:
            database.execute(PEOPLE, {"tenant": tenant, "ids": ids})
            database.execute(NUMBERS, {"tenant": tenant, "ids": ids, "fingerprints": fingerprints})
