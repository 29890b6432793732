"""README.md and docs/ say what the code does: every table is compared with its source, every command and file exists.

What fails here is put right by `python -m tests.readme_tables` where a table writes itself, by hand elsewhere.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

import settings
from store import schema
from store.database import Database
from store.embedded import Postgres
from tests import readme_tables
from tests.readme_tables import HOUSE, PAGES, first_cells, page, section

README = page("README.md")
OPERATING = page("docs/operating.md")
TESTS = Path(__file__).parent
SHELL = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SQL = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(HOUSE).as_posix())


def commands_in(text: str) -> Iterator[str]:
    """Every line of a shell block, every inline piece of code."""
    for block in SHELL.findall(text):
        yield from (line.strip() for line in block.splitlines() if line.strip())
    yield from SPAN.findall(re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL))


# ---- tables -----------------------------------------------------------------------------------------------------


@every_page
def test_what_writes_itself_is_fresh(path: Path) -> None:
    """Settings, commands, holdings, permissions and vendors stand in the README as the code has them."""
    text = path.read_text(encoding="utf-8")

    assert text == readme_tables.fresh(text), "run: python -m tests.readme_tables"


def test_every_table_that_writes_itself_stands_somewhere() -> None:
    """Google's in the page for reviewers, the others in the README."""
    for text, mine in ((README, False), (page("docs/limited-use.md"), True)):
        assert {name for name in readme_tables.WRITTEN if name.startswith("google_") == mine} == {
            name for _, name, _ in readme_tables.BETWEEN.findall(text)
        }
    assert {name for name, _, _ in settings.describe()} <= set(first_cells(section(README, "Settings")))
    assert set(readme_tables.commands()) == {
        name.removeprefix("linekeeper ") for name in first_cells(section(README, "Commands"))
    }


def test_every_door_is_described() -> None:
    """Method and path of each, and no door that is not there."""
    assert sorted(readme_tables.doors()) == sorted(first_cells(section(README, "Doors")))


def test_every_dependency_earns_its_place() -> None:
    """In pyproject.toml's order, those to run and those to check."""
    named = readme_tables.dependencies()

    assert [*named["run"], *named["check"]] == first_cells(section(README, "What it stands on"))


def test_every_room_is_on_the_map() -> None:
    rooms = {f"{path.parent.name}/" for path in HOUSE.glob("*/__init__.py")} - {"tests/", "bench/"}

    assert sorted(rooms | {"app.py", "settings.py"}) == sorted(first_cells_of_map())


def first_cells_of_map() -> list[str]:
    rows = re.findall(r"^\| \d \| `([^`]+)` \|", section(README, "The map"), re.MULTILINE)
    assert rows, "the map has rows"
    return rows


def test_every_code_in_the_source_is_explained() -> None:
    """And none is explained that nobody says. One that ends with a dot has the other side's own word behind it."""
    explained = first_cells(section(OPERATING, "Codes"))
    seen = readme_tables.codes()
    assert {"consent.lost", "oauth.denied", "url.not_allowed", "interrupted", "http."} <= seen.keys()

    assert {} == {code: place for code, place in seen.items() if code not in explained}
    assert set() == set(explained) - seen.keys()
    assert len(explained) == len(set(explained))


def test_every_metric_is_explained() -> None:
    assert readme_tables.metrics() == set(first_cells(section(OPERATING, "Health and metrics")))


def test_every_promise_names_a_test_there_is() -> None:
    """A promise without a test is not in that table."""
    promises = section(page("docs/privacy.md"), "Promises the profile `strict` keeps")
    named = [cell.split("::") for cell in re.findall(r"\| `(\S+::\S+)` \|", promises)]
    rows = first_cells(promises)
    assert len(rows) == len(named) > 20

    missing = [f"{file}::{name}" for file, name in named if name not in _functions(TESTS / file)]
    assert [] == missing
    assert all(re.fullmatch(r"(D[GRA]|CC|CO)-\d\d(, (D[GRA]|CC|CO)-\d\d)*", ids) for ids in rows)


def _functions(path: Path) -> set[str]:
    if not path.exists():
        return set()
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


# ---- what is named exists ---------------------------------------------------------------------------------------


@every_page
def test_every_link_leads_somewhere(path: Path) -> None:
    """To a file of ours, and to a heading in it."""
    lost = []
    for target, anchor in LINK.findall(path.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        there = (path.parent / target) if target else path
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            lost.append(f"{target}#{anchor}")

    assert [] == lost


def _anchors(path: Path) -> set[str]:
    """The names a page's headings are linked by."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@every_page
def test_every_command_named_is_a_command(path: Path) -> None:
    """`linekeeper ...` and `make ...`, in blocks and in sentences, with options that exist."""
    known = readme_tables.commands()
    targets = {*re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE), ".venv/.run"}
    wrong = []
    for line in commands_in(path.read_text(encoding="utf-8")):
        words = line.split()
        if words[0] == "make" and len(words) > 1 and words[1] not in targets:
            wrong.append(line)
        if words[0] != "linekeeper" or len(words) == 1:
            continue
        name = next((" ".join(words[1:end]) for end in (3, 2) if " ".join(words[1:end]) in known), "")
        if not name:
            wrong.append(line)
            continue
        options = set(chain.from_iterable([*part.opts, *part.secondary_opts] for part in known[name].params))
        wrong += [line for word in words if word.startswith("--") and word not in options]

    assert [] == wrong


@every_page
def test_every_file_named_is_there(path: Path) -> None:
    """A name with a slash that begins with one of our folders."""
    folders = {entry.name for entry in HOUSE.iterdir() if entry.is_dir()}
    named = {
        name.partition("::")[0]
        for name in SPAN.findall(path.read_text(encoding="utf-8"))
        if re.fullmatch(r"[\w./-]+", name) and name.partition("/")[0] in folders and "/" in name
    }

    assert set() == {name for name in named if not (HOUSE / name).exists()} - {"changes/"}


@every_page
def test_every_setting_named_is_a_setting(path: Path) -> None:
    """NAME=value in a shell block, each understood together with the others where they stand in one block."""
    known = {name for name, _, _ in settings.describe()} | {"ONCE"}
    for block in SHELL.findall(path.read_text(encoding="utf-8")):
        given = re.findall(r"^([A-Z_]+)=", block, re.MULTILINE)
        assert [] == [name for name in given if name.removesuffix("_FILE") not in known]


def test_the_environment_of_the_readme_is_fit_for_production(tmp_path: Path) -> None:
    """With the files it names filled in."""
    (block,) = [text for text in SHELL.findall(README) if "ENVIRONMENT=production" in text]
    environ = dict(line.split("=", 1) for line in block.splitlines())
    for name, value in environ.items():
        if name.endswith("_FILE"):
            (tmp_path / name).write_text(f"k1:{'A' * 43}=\n" if name == "KEYRING_FILE" else "secret\n")
            environ[name] = str(tmp_path / name)
            assert value.startswith("/run/secrets/")

    read = settings.read(environ)

    assert (read.environment, read.zoho_client_secret, len(read.keyring)) == ("production", "secret", 1)


# ---- SQL --------------------------------------------------------------------------------------------------------


def test_the_roles_of_the_readme_suffice_and_may_no_more(db_urls: Postgres) -> None:
    """The owner can migrate, the application can work and nothing else, the backup's role reads every tenant."""
    (roles,) = SQL.findall(README)
    (backup,) = SQL.findall(OPERATING)
    before, after = roles.replace("linekeeper", "readme").split("\\connect readme\n")
    try:
        _execute(db_urls.admin_url, before)
        _execute(_database(db_urls.admin_url, "readme"), after + backup.replace("linekeeper", "readme"))
        owner = _database(db_urls.admin_url, "readme", "readme_owner", "choose-one")
        worker = _database(db_urls.admin_url, "readme", "readme_app", "choose-another")

        schema.upgrade(owner, "readme_app")

        application = Database(worker)
        application.check_role()
        assert [] == application.tenants()
        application.close()
        with _connect(worker) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE theirs (id int)")
        with _connect(_database(db_urls.admin_url, "readme", "readme_backup", "choose-a-third")) as connection:
            assert connection.execute("SELECT count(*) FROM tenants").fetchone() == (0,)
            connection.execute("SET row_security = off")  # what pg_dump does: fail rather than leave rows out
            connection.execute("SELECT FROM calls")
        _execute(_database(db_urls.admin_url, "readme"), *_repair())
    finally:
        _execute(db_urls.admin_url, "DROP DATABASE IF EXISTS readme")
        for role in ("readme_owner", "readme_app", "readme_backup"):
            _execute(db_urls.admin_url, sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def _repair() -> list[str]:
    """The statement to run after a restore."""
    found = re.findall(r"^ +```sql\n(.*?)^ +```$", OPERATING, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return found


def _database(url: str, name: str, role: str | None = None, password: str | None = None) -> str:
    made = make_url(url).set(database=name)
    if role is not None:
        made = made.set(username=role, password=password)
    return made.render_as_string(hide_password=False)


def _connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def _execute(url: str, *statements: str | sql.Composed) -> None:
    with _connect(url) as connection:
        for text in statements:
            for one in [text] if isinstance(text, sql.Composed) else filter(str.strip, text.split(";")):
                connection.execute(one.encode() if isinstance(one, str) else one)
