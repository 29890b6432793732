"""Writing in a hurry: one statement names its tenant, writes and commits, in one journey to the server.

Whoever comes while a journey is under way waits for it to come back and then travels together with all who waited: a
crowd shares one statement and one commit, and who comes alone waits for nobody. For a single prepared statement
SQLAlchemy's way there and back costs as much as the statement itself (`make bench`), so the connections are psycopg's
own. Everything that is not the door's one INSERT goes through `Database.tenant`.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

GUIDES = 4  # journeys for tenants nobody's thread waits for, at one time; their rows may be many
AS_TENANT = "WITH me AS MATERIALIZED (SELECT set_config('app.tenant_id', %(tenant)s::text, true)) "


@dataclass(slots=True, eq=False)
class _Traveller:
    """A row on its way. `call` is called when there is an answer, or else a journey to make with this company."""

    make: Callable[[], Mapping[str, Any]]
    call: Callable[[], None]
    company: Sequence[_Traveller] = ()
    new: bool = False
    error: BaseException | None = None

    def outcome(self, statement: str) -> bool:
        if isinstance(self.error, psycopg.OperationalError):
            raise OperationalError(statement, None, self.error, hide_parameters=True) from self.error
        if self.error is not None:
            raise self.error
        return self.new


class Writers:
    """Rows that are committed when `write` returns; one journey at a time for each tenant and statement."""

    def __init__(self, url: URL, **options: Any) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._options = options
        self._idle: list[psycopg.Connection[Any]] = []  # appending and popping are atomic; the last one used is next
        self._guides = ThreadPoolExecutor(GUIDES, thread_name_prefix="writer")
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
        called = threading.Lock()
        called.acquire()
        mine = _Traveller(lambda: row, called.release)
        if not self._goes_first(tenant, statement, mine):
            called.acquire()
        if mine.company:
            self._travel(tenant, statement, mine)
        return mine.outcome(statement)

    def write_soon(self, tenant: uuid.UUID, statement: str, make: Callable[[], Mapping[str, Any]]) -> Future[bool]:
        """The same for who cannot wait: whoever travels next, or a thread kept for this, makes the row and takes it.

        Making it may take a journey of its own (a key to seal with), so the one who asks must not.
        """
        told: Future[bool] = Future()

        def call() -> None:
            if mine.company:
                self._guides.submit(guide)
            else:
                settle()

        def guide() -> None:
            self._travel(tenant, statement, mine)
            settle()

        def settle() -> None:
            try:
                told.set_result(mine.outcome(statement))
            except BaseException as error:
                told.set_exception(error)

        mine = _Traveller(make, call)
        if self._goes_first(tenant, statement, mine):
            call()
        return told

    def _goes_first(self, tenant: uuid.UUID, statement: str, mine: _Traveller) -> bool:
        with self._lock:
            waiting = self._waiting.get((tenant, statement))
            if waiting is None:
                self._waiting[tenant, statement] = []
                mine.company = [mine]
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
                following[0].call()
            for traveller in guide.company:
                if traveller is not guide:
                    traveller.call()

    def _write(self, tenant: uuid.UUID, statement: str, company: Sequence[_Traveller]) -> None:
        try:
            rows = [traveller.make() for traveller in company]
            new = self._send(tenant, statement, rows)
        except BaseException as error:
            if len(company) > 1 and not isinstance(error, (psycopg.OperationalError, OperationalError)):
                for traveller in company:  # what is wrong with one is none of the others'
                    self._write(tenant, statement, [traveller])
                return
            for traveller in company:
                traveller.error = error
        else:
            for traveller, row in zip(company, rows, strict=True):
                traveller.new = row["id"] in new

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
