"""Writing in a hurry: one statement names its tenant, writes and commits, in one journey to the server.

For a single prepared statement SQLAlchemy's way there and back costs as much as the statement itself (`make bench`),
so the connections are psycopg's own. Everything that is not the door's one INSERT goes through `Database.tenant`; who
works on a loop crosses with `store/ferry.py`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

AS_TENANT = "WITH me AS MATERIALIZED (SELECT set_config('app.tenant_id', %(tenant)s::text, true)) "


def in_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as one array for each of their values."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def refused(statement: str, error: psycopg.OperationalError) -> OperationalError:
    """The server's trouble as every other way into PostgreSQL says it: without what was being written."""
    return OperationalError(statement, None, error, hide_parameters=True)


class Writers:
    """Rows that are committed when `write` returns. A thread that finds no idle connection opens one."""

    def __init__(self, url: URL, **options: Any) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._options = options
        self._idle: list[psycopg.Connection[Any]] = []  # appending and popping are atomic; the last one used is next

    def write(self, tenant: uuid.UUID, statement: str, row: Mapping[str, Any]) -> bool:
        """Write a row as `tenant`, committed when this returns; False when it was there before.

        The statement is an `INSERT ... SELECT ... FROM me, unnest(...) ... RETURNING id` over one array for each of
        the row's values, `id` among them. A statement alone is a transaction of its own. `me` names the tenant until
        that transaction ends, before row-level security looks at the rows; a statement that does not read `me` writes
        for nobody and is refused. Raises SQLAlchemy's OperationalError, as every other way into PostgreSQL does.
        """
        try:
            connection = self._take()
            try:
                parameters = {**in_columns([row]), "tenant": tenant}
                new = connection.execute(AS_TENANT + statement, parameters, prepare=True).fetchone()
            except BaseException:
                connection.close()  # whatever state it is in
                raise
        except psycopg.OperationalError as error:
            self.close()  # when the server went away, the others are no better
            raise refused(statement, error) from error
        self._idle.append(connection)
        return new is not None

    def _take(self) -> psycopg.Connection[Any]:
        try:
            return self._idle.pop()
        except IndexError:
            return psycopg.connect(self._address, autocommit=True, **self._options)

    def close(self) -> None:
        """Let go of every connection nobody is writing on."""
        while self._idle:
            self._idle.pop().close()
