"""The way into PostgreSQL: one transaction, one tenant, and row-level security told so before the first statement.

`Database.tenant(id)` opens a transaction that sees that tenant's rows and no others, `Database.reading(id)` one that
many look-ups share; `Database.write` does the same for one INSERT in a hurry; `Database.anyone()` sees none of any
tenant's, only what is read before we know whose it is.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
import psycopg
from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    Connection,
    Engine,
    LargeBinary,
    Table,
    TableValuedAlias,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    column,
    create_engine,
    func,
    literal_column,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.types import TypeEngine, UserDefinedType

from domain.errors import Trouble
from store.ferry import Ferry
from store.writers import Writers

TenantId = uuid.UUID
_BEGIN = "BEGIN"
_BEGIN_AS = "BEGIN; SELECT set_config('app.tenant_id', '{tenant}', true)"  # two statements, one journey
_LOOK_AS = "BEGIN READ ONLY; SELECT set_config('app.tenant_id', '{tenant}', true)"
_OPTIONS = {"options": "-c lock_timeout=5s -c statement_timeout=60s -c timezone=UTC", "connect_timeout": 5}


def handed(table: Table, rows: Sequence[Mapping[str, Any]]) -> TableValuedAlias:
    """Rows for a table, all with the same columns, as a table: many are written or changed in one short statement.

    They travel as one JSON text, which PostgreSQL reads by the table's own types: of all ways there, the one that
    costs least on both sides, and one statement however many they are.
    """
    like: ColumnElement[Any] = literal_column(f"NULL::{table.name}")
    told = bindparam(None, as_rows(rows), Text)
    columns = [column(name, table.c[name].type) for name in rows[0]]
    return func.json_populate_recordset(like, cast(told, JSON)).table_valued(*columns, name="handed")


def _plain(value: Any) -> str:
    """A value JSON has no word for, as PostgreSQL reads it."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def among(column: ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Whether `column` is one of these: one parameter, however many they are, so that it is one statement for ever.

    They travel as one text: the driver makes a list value by value.
    """
    spell = _SPELT.get(type(column.type))
    told = list(values) if spell is None else f"{{{','.join(map(spell, values))}}}"
    return column == any_(bindparam(None, told, _Many(column.type) if spell else ARRAY(column.type)))


class _Many(UserDefinedType[str]):
    """Values of one type as one text, which PostgreSQL reads when it is handed over and not at each row."""

    cache_ok = True
    render_bind_cast = True

    def __init__(self, of: TypeEngine[Any]) -> None:
        self.of = of

    def get_col_spec(self, **_: Any) -> str:
        return f"{_NAMED[type(self.of)]}[]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_NAMED: Mapping[type[TypeEngine[Any]], str] = {Uuid: "UUID", LargeBinary: "BYTEA", Text: "TEXT"}
_SPELT: Mapping[type[TypeEngine[Any]], Callable[[Any], str]] = {
    Uuid: lambda value: value.hex if isinstance(value, uuid.UUID) else str(value),
    LargeBinary: lambda value: f'"\\\\x{value.hex()}"',
    Text: _quoted,
}


def rowset(*columns: Column[Any]) -> TableValuedAlias:
    """A table with such columns, whose rows travel as one text (`as_rows`, the parameter `rows`).

    A thousand rows as a thousand lists of parameters cost more than all that is done with them.
    """
    told = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
    return told.table_valued(*(column(one.name, one.type) for one in columns)).render_derived(with_types=True)


def as_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as `rowset` reads them."""
    return orjson.dumps(rows, default=_plain).decode()


class UnsafeRole(Trouble):
    """The database role could look past row-level security, so nothing is opened with it."""

    code = "database.unsafe_role"


class Database:
    """A pool of connections for the application's role."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        address = make_url(url).set(drivername="postgresql+psycopg")
        self.engine: Engine = create_engine(
            address,
            pool_size=pool_size,
            max_overflow=pool_size,
            isolation_level="AUTOCOMMIT",  # every transaction is begun below, in the journey that names its tenant
            hide_parameters=True,  # an error's text may reach a log; what was being written must not
            connect_args=_OPTIONS,
        )
        self._writers = Writers(address, **_OPTIONS)
        self._ferry = Ferry(address, **_OPTIONS)
        self.write = self._writers.write
        self.write_soon = self._ferry.write
        self._mine = threading.local()  # each thread's own look, if it is having one

    @contextmanager
    def tenant(self, tenant: TenantId) -> Iterator[Connection]:
        """Open a transaction as `tenant`; commit at the end, roll back on an exception."""
        look: tuple[TenantId, Connection] | None = getattr(self._mine, "look", None)
        if look is not None and look[0] == tenant:
            yield look[1]
            return
        with self.apart(tenant) as connection:
            yield connection

    @contextmanager
    def apart(self, tenant: TenantId) -> Iterator[Connection]:
        """The same in a transaction of its own, also while this thread is having a look."""
        with self._begun(_BEGIN_AS.format(tenant=uuid.UUID(str(tenant)))) as connection:
            yield connection

    @contextmanager
    def reading(self, tenant: TenantId) -> Iterator[None]:
        """Whatever this thread reads of a tenant inside comes through one transaction, in which nothing can be written.

        A look-up by itself is three journeys to the server, of which this leaves one.
        """
        with self._begun(_LOOK_AS.format(tenant=uuid.UUID(str(tenant)))) as connection:
            self._mine.look = (tenant, connection)
            try:
                yield
            finally:
                self._mine.look = None

    @contextmanager
    def anyone(self) -> Iterator[Connection]:
        """Open a transaction that sees no tenant's rows."""
        with self._begun(_BEGIN) as connection:
            yield connection

    @contextmanager
    def _begun(self, words: str) -> Iterator[Connection]:
        """Begin with these words; commit at the end, roll back on an exception.

        Said by the driver itself: SQLAlchemy's way there costs as much as the journey.
        """
        with self.engine.begin() as connection:
            driver: Any = connection.connection.driver_connection
            try:
                driver.execute(words)
            except psycopg.OperationalError as error:
                connection.invalidate(error)
                self.engine.dispose()  # when the server went away, the other connections are no better
                raise OperationalError(words, None, error, hide_parameters=True) from error
            yield connection

    def now(self) -> datetime:
        """The database's clock: one for all processes on all machines."""
        with self.anyone() as connection:
            moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return moment

    def check_role(self) -> None:
        """Refuse a role that owns our tables, is a superuser or may bypass row-level security."""
        with self.anyone() as connection:
            row = connection.execute(
                text(
                    "SELECT rolsuper OR rolbypassrls OR EXISTS (SELECT FROM pg_class WHERE relname = 'tenants'"
                    " AND pg_has_role(current_user, relowner, 'MEMBER')) AS unsafe, current_user AS role"
                    " FROM pg_roles WHERE rolname = current_user"
                )
            ).one()
        if row.unsafe:
            raise UnsafeRole(
                f"The database role {row.role} owns the tables or may bypass row-level security. "
                "Give DATABASE_URL a role that does neither; DATABASE_OWNER_URL is for the owner."
            )

    def tenants(self) -> list[TenantId]:
        """Every tenant that is not erased: ids only, for the timetable."""
        with self.anyone() as connection:
            return list(connection.execute(text("SELECT id FROM linekeeper_tenants()")).scalars())

    def close(self) -> None:
        self.engine.dispose()
        self._writers.close()
        self._ferry.close()
