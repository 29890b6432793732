"""Writing in a hurry from a loop: who asks goes on with other things, and a crowd shares one statement and one commit.

Rows for the same tenant that come while a crossing is under way wait for the next and then cross together; who comes
alone waits for nobody. No thread is woken for any of it. The statement and what it promises: `store/writers.py`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from store.writers import AS_TENANT, in_columns, refused

BOATS = 4  # crossings at one time, each for another tenant; their rows may be many


class Freight(NamedTuple):
    """A row, and who waits to hear that it is there."""

    row: Mapping[str, Any]
    told: asyncio.Future[bool]


class Ferry:
    """Rows that are committed when `write` has been awaited; one crossing at a time for each tenant and statement."""

    def __init__(self, url: URL, **options: Any) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._options = options
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._waiting: dict[tuple[uuid.UUID, str], list[Freight]] = {}  # in the order they came
        self._crossing: set[tuple[uuid.UUID, str]] = set()
        self._boats: set[asyncio.Task[Any] | None] = set()

    async def write(self, tenant: uuid.UUID, statement: str, row: Mapping[str, Any]) -> bool:
        """Write a row as `tenant`; False when it was there before. Raises as `Writers.write` does."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[bool] = loop.create_future()
        self._waiting.setdefault((tenant, statement), []).append(Freight(row, told))
        if (tenant, statement) not in self._crossing and len(self._boats) < BOATS:
            self._boats.add(loop.create_task(self._cross()))
        return await told

    async def _cross(self) -> None:
        """Take everybody over who waits, a tenant's together, until nobody does."""
        try:
            while shore := next((one for one in self._waiting if one not in self._crossing), None):
                freight = self._waiting.pop(shore)
                self._crossing.add(shore)
                try:
                    await self._carry(*shore, freight)
                finally:
                    self._crossing.discard(shore)
        finally:  # in the same step as the last look: whoever comes now sends a boat of their own
            self._boats -= {asyncio.current_task()}

    async def _carry(self, tenant: uuid.UUID, statement: str, freight: Sequence[Freight]) -> None:
        try:
            new = await self._send(tenant, statement, [one.row for one in freight])
        except Exception as error:
            if len(freight) > 1 and not isinstance(error, OperationalError):
                for one in freight:  # what is wrong with one is none of the others'
                    await self._carry(tenant, statement, [one])
                return
            for one in freight:
                if not one.told.done():
                    one.told.set_exception(error)
        else:
            for one in freight:
                if not one.told.done():
                    one.told.set_result(one.row["id"] in new)

    async def _send(self, tenant: uuid.UUID, statement: str, rows: Sequence[Mapping[str, Any]]) -> set[uuid.UUID]:
        """Write rows in one statement; return the ids of those that were not there yet."""
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                written = await connection.execute(
                    AS_TENANT + statement, {**in_columns(rows), "tenant": tenant}, prepare=True
                )
                new = {row_id for (row_id,) in await written.fetchall()}
            except BaseException:
                await connection.close()  # whatever state it is in
                raise
        except psycopg.OperationalError as error:
            self.close()  # when the server went away, the others are no better
            raise refused(statement, error) from error
        self._idle.append(connection)
        return new

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._address, autocommit=True, **self._options)

    def close(self) -> None:
        """Let go of every connection nobody is writing on; no loop is needed."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.pgconn.finish()
