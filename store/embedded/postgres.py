"""Our own PostgreSQL: a cluster on a unix socket with three roles, none of which can bypass row-level security.

`linekeeper_owner` owns the database and runs migrations; `linekeeper_app` serves; `linekeeper_auditor` reads what the
owner made. What the application may touch is granted table by table in the migrations, not here.
"""

import json
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from store.embedded.binaries import Binary
from store.embedded.processes import (
    Account,
    EmbeddedError,
    Process,
    Running,
    last_lines,
    open_log,
    server_environment,
    sole_use,
    spawn,
)

ADMIN, OWNER, APP, AUDITOR = "postgres", "linekeeper_owner", "linekeeper_app", "linekeeper_auditor"
ROLES = (ADMIN, OWNER, APP, AUDITOR)
DATABASE = "linekeeper"
TITLE, SETTING = "PostgreSQL", "DATABASE_URL"
PORT = 5432  # names the socket file; no TCP port is opened
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_wal_size": "512MB",
    "jit": "off",  # our queries are short
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
    # Statements, and errors that quote values, hold people's data: the log tells about the server only.
    "log_statement": "none",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# The change of the schema's owner doubles as the mark that the rest was done too.
PRIVILEGES = f"""
REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE {DATABASE} TO {APP}, {AUDITOR};
ALTER ROLE {AUDITOR} SET default_transaction_read_only = on;
ALTER SCHEMA public OWNER TO {OWNER};
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO {APP}, {AUDITOR};
ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} GRANT SELECT ON TABLES TO {AUDITOR};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A name for a folder, good for any process that holds these descriptors."""

    name: str
    descriptors: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres(Running):
    """A PostgreSQL that answered; `url` is the application's. SQLAlchemy URLs for psycopg 3."""

    owner_url: str = field(repr=False)
    app_url: str = field(repr=False)
    auditor_url: str = field(repr=False)
    admin_url: str = field(repr=False)  # the superuser, for backups only: row-level security does not bind it
    data: Path


def server_account(cluster: Path) -> Account | None:
    """Choose who runs PostgreSQL, which refuses root: the owner of the cluster, else nobody; None is ourselves."""
    if os.geteuid() != 0:
        return None
    owner = cluster.stat().st_uid if cluster.exists() else 0
    try:
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError as error:
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root and this system has no user 'nobody' to run {cluster}; "
            f"run as an ordinary user, or set DATABASE_URL to use a server of your own."
        ) from error
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def major_version(cluster: Path) -> str | None:
    """Say which major version made this cluster."""
    path = cluster / "data" / "PG_VERSION"
    return path.read_text().strip() if path.exists() else None


class PostgresServer:
    """One cluster in one folder, its socket in another, both closed (0700) to everybody but its account and root."""

    def __init__(
        self,
        *,
        binary: Binary,
        account: Account | None,
        cluster: Path,
        sockets: Path,
        passwords: Path,
        log: Path,
        lock: Path,
    ) -> None:
        self.process: Process | None = None
        self._binary, self._account = binary, account
        self._cluster, self._data, self._sockets = cluster, cluster / "data", sockets
        self._passwords_file, self._log, self._lock = passwords, log, lock

    def start(self) -> Postgres:
        """Make the cluster if there is none, start it, make the roles and the database if they are not there."""
        for folder in (self._cluster, self._sockets):
            folder.mkdir(mode=0o700, exist_ok=True)
            if self._account and folder.stat().st_uid != self._account.uid:
                os.chown(folder, self._account.uid, self._account.gid)
        passwords = self._passwords()
        with (
            sole_use(self._lock, TITLE, self._data) as lock,
            self._within_reach(self._cluster) as cluster,
            self._within_reach(self._sockets) as sockets,
        ):
            if not self._data.exists():
                self._initdb(passwords[ADMIN], cluster, lock)
            # Left by a kill -9 it names a process number that may be anybody's by now. We have proof (`sole_use`) that
            # no server is left, and PostgreSQL itself still looks for another one on the same shared memory.
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            settings = {**SETTINGS, "unix_socket_directories": sockets.name}
            self.process = Process(
                TITLE,
                [self._binary.path, "-D", f"{cluster.name}/data", *_options(settings)],
                folder=self._data,
                lock=lock,
                log=self._log,
                setting=SETTING,
                # Orphaned: nobody is left to wait for, and what was committed is in the write-ahead log already.
                when_orphaned=signal.SIGQUIT,
                stop_signals=[signal.SIGINT, signal.SIGQUIT],  # fast shutdown, then immediate
                account=self._account,
                pass_fds=[*cluster.descriptors, *sockets.descriptors],
            )
        self.process.wait_until(self._answers)
        try:
            self._make_roles_and_database(passwords)
        except psycopg.Error as error:
            raise self.process.error(f"could not be given its roles and database ({error})") from error
        urls = {role: self._url(role, passwords[role]) for role in ROLES}
        return Postgres(
            name="postgres",
            pid=self.process.pid,
            url=urls[APP],
            chosen=self._binary.chosen,
            owner_url=urls[OWNER],
            app_url=urls[APP],
            auditor_url=urls[AUDITOR],
            admin_url=urls[ADMIN],
            data=self._data,
        )

    def _passwords(self) -> dict[str, str]:
        """Read the passwords, or make them before there is a cluster that needs them."""
        if self._passwords_file.exists():
            kept: dict[str, str] = json.loads(self._passwords_file.read_text())
            return kept
        if self._data.exists():
            raise EmbeddedError(
                f"The passwords of the database in {self._data} are missing: put {self._passwords_file} back, "
                f"set DATA_DIR to another folder, or set {SETTING} to use a server of your own."
            )
        made = {role: secrets.token_urlsafe(32) for role in ROLES}
        unfinished = self._passwords_file.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        _write_private(unfinished, json.dumps(made))
        unfinished.replace(self._passwords_file)
        return made

    @contextmanager
    def _within_reach(self, folder: Path) -> Iterator[Reach]:
        """Name a folder so that the server's account can enter it, without opening any parent of it to anybody.

        As root, the folder may sit under /root, which the account cannot cross. The kernel resolves /proc/self/fd/N
        straight to the opened folder (proc(5)), asking nothing of its parents. The server and all it forks inherit the
        descriptor, so the name stays good for its lifetime.
        """
        if self._account is None or not Path("/proc/self/fd").is_dir():
            yield Reach(name=os.fspath(folder), descriptors=())
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield Reach(name=f"/proc/self/fd/{descriptor}", descriptors=(descriptor,))
        finally:
            os.close(descriptor)

    def _initdb(self, password: str, cluster: Reach, lock: int) -> None:
        """Make a cluster beside its place and move it there whole: a kill -9 leaves either none or a good one."""
        unfinished, pwfile = self._cluster / "data.new", self._cluster / "pwfile"
        shutil.rmtree(unfinished, ignore_errors=True)
        pwfile.unlink(missing_ok=True)
        _write_private(pwfile, f"{password}\n", self._account)
        output = open_log(self._log)
        start = os.fstat(output).st_size
        try:
            child = spawn(
                [
                    *(self._binary.path.with_name("initdb"), "-D", f"{cluster.name}/data.new", "-U", ADMIN),
                    *("--auth=scram-sha-256", f"--pwfile={cluster.name}/pwfile", "--encoding=UTF8", "--locale=C"),
                ],
                when_orphaned=signal.SIGKILL,
                log=output,
                env=server_environment(),
                cwd="/",
                account=self._account,
                pass_fds=[*cluster.descriptors, lock],
            )
            try:
                status = child.wait()
            except BaseException:  # Ctrl-C
                child.kill()
                child.wait()
                raise
        finally:
            os.close(output)
            pwfile.unlink(missing_ok=True)
        if status != 0:
            raise EmbeddedError(
                f"PostgreSQL could not make a database in {self._data}; initdb says: {last_lines(self._log, start)}. "
                f"Set DATA_DIR to another folder, or {SETTING} to use a server of your own."
            )
        unfinished.replace(self._data)

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        password = json.loads(self._passwords_file.read_text())[ADMIN]
        return psycopg.connect(
            host=os.fspath(self._sockets),
            port=PORT,
            user=ADMIN,
            password=password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def _answers(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error) and self.process:
                self.process.stop()
                raise self.process.error(f"does not accept the passwords kept in {self._passwords_file}") from error
            return False
        return True

    def _make_roles_and_database(self, passwords: dict[str, str]) -> None:
        """Make what is missing; each part is one transaction, so the next start repairs a kill -9 in between."""
        with self._connect("postgres") as connection:
            roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for role in (OWNER, APP, AUDITOR):
                if role not in roles:
                    create = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD {}")
                    connection.execute(create.format(sql.Identifier(role), sql.Literal(passwords[role])))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
        with self._connect(DATABASE) as connection:
            owner = "SELECT 1 FROM pg_namespace WHERE nspname = 'public' AND nspowner = %s::regrole"
            if not connection.execute(owner, [OWNER]).fetchone():
                connection.execute(PRIVILEGES)  # several statements in one message are one transaction

    def _url(self, role: str, password: str) -> str:
        # The port is named because PGPORT in somebody's environment would otherwise choose another socket.
        return f"postgresql+psycopg://{role}:{password}@/{DATABASE}?host={quote(os.fspath(self._sockets))}&port={PORT}"


def _options(settings: dict[str, str]) -> list[str]:
    return [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]


def _write_private(path: Path, text: str, account: Account | None = None) -> None:
    """Write a new file that only its owner can read, from its first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if account:
            os.fchown(file.fileno(), account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
