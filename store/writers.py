"""Writing in a hurry: one statement names its tenant, writes and commits, in one journey to the server.

For a single prepared statement SQLAlchemy's way there and back costs as much as the statement itself (`make bench`), so
the connections are psycopg's own. Everything that is not the door's one INSERT goes through `Database.tenant`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

AS_TENANT = "WITH me AS MATERIALIZED (SELECT set_config('app.tenant_id', %(tenant)s::text, true)) "


class Writers:
    """Connections that commit each statement: as many as ever wrote at one moment, which is a thread each at most."""

    def __init__(self, url: URL, **options: Any) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._options = options
        self._idle: list[psycopg.Connection[Any]] = []  # appending and popping are atomic; the last one used is next

    def write(self, tenant: uuid.UUID, statement: str, values: Mapping[str, Any]) -> int:
        """Run an `INSERT ... SELECT ... FROM me` as `tenant`, committed when this returns; say how many rows it wrote.

        A statement alone is a transaction of its own. `me` names the tenant until that transaction ends, before
        row-level security looks at the row; a statement that does not read `me` writes for nobody and is refused.
        Raises SQLAlchemy's OperationalError, as every other way into PostgreSQL does.
        """
        try:
            connection = self._take()
            try:
                written = connection.execute(AS_TENANT + statement, {**values, "tenant": tenant}, prepare=True).rowcount
            except BaseException:
                connection.close()  # whatever state it is in
                raise
        except psycopg.OperationalError as error:
            self.close()  # when the server went away, the others are no better
            raise OperationalError(statement, None, error, hide_parameters=True) from error
        self._idle.append(connection)
        return written

    def _take(self) -> psycopg.Connection[Any]:
        try:
            return self._idle.pop()
        except IndexError:
            return psycopg.connect(self._address, autocommit=True, **self._options)

    def close(self) -> None:
        """Let go of every connection nobody is writing on."""
        while self._idle:
            self._idle.pop().close()
