"""Many values in one parameter: whatever they say, they are found and nothing else is."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import pytest
from sqlalchemy import LargeBinary, Text, Uuid, column, select, values

from store.database import Database, among

ODD = ["", "plain", 'say "no"', "back\\slash", "a,b", "{}", "NULL", "null", " ", "Łukasz", "line\nbreak", "'; --"]
IDS = [uuid.UUID(int=one) for one in (1, 2, 3)]
PRINTS = [b"", b"\x00\xff", b"\\x00", b'"']


@pytest.mark.parametrize(("sort", "told"), [(Text, ODD), (Uuid, IDS), (LargeBinary, PRINTS)])
def test_each_is_found_as_itself(db: Database, sort: type, told: Iterable[object]) -> None:
    every = list(told)
    rows = values(column("one", sort), name="rows").data([(one,) for one in every]).alias()
    with db.anyone() as connection:
        for one in every:
            found = connection.execute(select(rows.c.one).where(among(rows.c.one, [one]))).scalars().all()
            assert [one] == [bytes(each) if isinstance(each, memoryview) else each for each in found]
        assert len(every) == len(connection.execute(select(rows.c.one).where(among(rows.c.one, every))).all())
        assert [] == connection.execute(select(rows.c.one).where(among(rows.c.one, []))).all()
