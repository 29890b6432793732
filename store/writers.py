"""Writing in a hurry: one statement names its tenant, writes and commits, in one journey to the server.

Whoever comes while a journey is under way waits for it to come back and then travels together with all who waited: a
crowd shares one statement and one commit, and who comes alone waits for nobody. For a single prepared statement
SQLAlchemy's way there and back costs as much as the statement itself (`make bench`), so the connections are psycopg's
own. Everything that is not the door's one INSERT goes through `Database.tenant`.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

AS_TENANT = "WITH me AS MATERIALIZED (SELECT set_config('app.tenant_id', %(tenant)s::text, true)) "


def _closed() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Traveller:
    """A row on its way: what became of it, and whom its thread is to take along should it be called to travel."""

    row: Mapping[str, Any]
    called: threading.Lock = field(default_factory=_closed)  # opens when there is an answer, or a journey to make
    company: Sequence[_Traveller] = ()
    new: bool = False
    error: BaseException | None = None


class Writers:
    """Rows that are committed when `write` returns; one journey at a time for each tenant and statement."""

    def __init__(self, url: URL, **options: Any) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._options = options
        self._idle: list[psycopg.Connection[Any]] = []  # appending and popping are atomic; the last one used is next
        self._lock = threading.Lock()
        self._waiting: dict[tuple[uuid.UUID, str], list[_Traveller]] = {}  # who waits for the journey under way

    def write(self, tenant: uuid.UUID, statement: str, row: Mapping[str, Any]) -> bool:
        """Write a row as `tenant`, committed when this returns; False when it was there before.

        The statement is an `INSERT ... SELECT ... FROM me, unnest(...) ... RETURNING id` over one array for each of
        the row's values, `id` among them. A statement alone is a transaction of its own. `me` names the tenant until
        that transaction ends, before row-level security looks at the rows; a statement that does not read `me` writes
        for nobody and is refused. What is wrong with one row is said to its own caller only.
        Raises SQLAlchemy's OperationalError, as every other way into PostgreSQL does.
        """
        mine = _Traveller(row)
        if self._goes_first(tenant, statement, mine):
            mine.company = [mine]
        else:
            mine.called.acquire()
        if mine.company:
            self._travel(tenant, statement, mine)
        if isinstance(mine.error, psycopg.OperationalError):
            raise OperationalError(statement, None, mine.error, hide_parameters=True) from mine.error
        if mine.error is not None:
            raise mine.error
        return mine.new

    def _goes_first(self, tenant: uuid.UUID, statement: str, mine: _Traveller) -> bool:
        with self._lock:
            waiting = self._waiting.get((tenant, statement))
            if waiting is None:
                self._waiting[tenant, statement] = []
                return True
            waiting.append(mine)
            return False

    def _travel(self, tenant: uuid.UUID, statement: str, guide: _Traveller) -> None:
        """Make one journey with everybody in the guide's company, send the next one off, then tell them."""
        try:
            self._write(tenant, statement, guide.company)
        finally:
            with self._lock:
                following = self._waiting.pop((tenant, statement))
                if following:
                    self._waiting[tenant, statement] = []
            if following:
                following[0].company = following
                following[0].called.release()
            for traveller in guide.company:
                if traveller is not guide:
                    traveller.called.release()

    def _write(self, tenant: uuid.UUID, statement: str, company: Sequence[_Traveller]) -> None:
        try:
            new = self._send(tenant, statement, [traveller.row for traveller in company])
        except psycopg.Error as error:
            if len(company) > 1 and not isinstance(error, psycopg.OperationalError):
                for traveller in company:
                    self._write(tenant, statement, [traveller])
                return
            for traveller in company:
                traveller.error = error
        except BaseException as error:
            for traveller in company:
                traveller.error = error
        else:
            for traveller in company:
                traveller.new = traveller.row["id"] in new

    def _send(self, tenant: uuid.UUID, statement: str, rows: Sequence[Mapping[str, Any]]) -> set[uuid.UUID]:
        """Write rows in one statement; return the ids of those that were not there yet."""
        values = {name: [row[name] for row in rows] for name in rows[0]}
        try:
            connection = self._take()
            try:
                written = connection.execute(AS_TENANT + statement, {**values, "tenant": tenant}, prepare=True)
                new = {row_id for (row_id,) in written}
            except BaseException:
                connection.close()  # whatever state it is in
                raise
        except psycopg.OperationalError:
            self.close()  # when the server went away, the others are no better
            raise
        self._idle.append(connection)
        return new

    def _take(self) -> psycopg.Connection[Any]:
        try:
            return self._idle.pop()
        except IndexError:
            return psycopg.connect(self._address, autocommit=True, **self._options)

    def close(self) -> None:
        """Let go of every connection nobody is writing on."""
        while self._idle:
            self._idle.pop().close()
