"""The house stands: imports point downstairs, vendors and understudies keep to themselves, nothing opens on import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
FLOORS = {  # DESIGN.md, section 2: what each may import of ours besides itself
    "settings": set[str](),
    "domain": {"settings"},
    "store": {"domain", "settings"},
    "oauth": {"domain", "settings", "store"},
    "integrations": {"domain", "settings", "oauth"},
    "jobs": {"domain", "settings", "store", "oauth", "integrations"},
    "webhooks": {"domain", "settings", "store", "oauth", "integrations", "jobs"},
    "console": {"domain", "settings", "store", "oauth", "integrations", "jobs"},
    "sandbox": {"domain", "settings", "store", "oauth", "integrations", "jobs"},
    "commands": {"domain", "settings", "store", "oauth", "integrations", "jobs"},
}
OURS = {*FLOORS, "app", "tests", "bench"}
GROUND = {"phonenumbers", "marshmallow"}  # what floor 0 may take from others
SHARED = ("integrations.guard", "integrations.telephony")  # what vendors may share: files, never folders
STAGES = "integrations.telephony.sandbox"  # what understudies may share
SOCKETS = """
import importlib, pathlib, socket, sys, threading
def refuse(*args, **kwargs):
    raise SystemExit(f"{module} opened a connection on import")
for name in ("connect", "connect_ex", "listen"):  # urllib3 binds a socket to see whether there is IPv6
    setattr(socket.socket, name, refuse)
for module in sys.argv[1:]:
    importlib.import_module(module)
    if threading.active_count() > 1:
        raise SystemExit(f"{module} started a thread on import")
print("quiet")
"""


def module_name(path: Path) -> str:
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def files(folder: str) -> tuple[Path, ...]:
    """Every Python file of a floor, or the one file it is."""
    alone = HOUSE / f"{folder}.py"
    return (alone,) if alone.exists() else tuple(sorted((HOUSE / folder).rglob("*.py")))


@cache
def imports(path: Path) -> frozenset[str]:
    """Every dotted name a file imports, wherever in it; `from x import y` names x.y too, for y may be a module."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    here = module_name(path).split(".")
    package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)


def top(name: str) -> str:
    return name.partition(".")[0]


def understudy(path: Path) -> bool:
    return path.is_relative_to(HOUSE / "integrations") and "sandbox" in module_name(path).split(".")


def vendor_of(module: str) -> str:
    """The folder of the vendor a module belongs to, "" for what is shared."""
    parts = module.split(".")
    depth = 3 if parts[:2] == ["integrations", "telephony"] else 2
    folder = HOUSE.joinpath(*parts[:depth])
    return ".".join(parts[:depth]) if len(parts) >= depth and folder.is_dir() else ""


def production(folder: str) -> list[Path]:
    return [path for path in files(folder) if not understudy(path)]


@pytest.mark.parametrize("folder", FLOORS)
def test_imports_point_down(folder: str) -> None:
    """A file may name its own folder and the ones its row allows, nothing else of ours."""
    assert files(folder), "the floor is there"
    forbidden = OURS - FLOORS[folder] - {folder}

    assert set() == {
        (module_name(path), name) for path in production(folder) for name in imports(path) if top(name) in forbidden
    }


def test_every_folder_with_python_in_it_is_on_a_floor() -> None:
    """A new top-level package needs a row in the table first."""
    packages = {path.parent.name for path in HOUSE.glob("*/__init__.py")}

    assert set() == packages - OURS


@pytest.mark.parametrize("folder", ["domain", "settings"])
def test_the_ground_floor_stands_on_the_standard_library(folder: str) -> None:
    """And on phonenumbers and marshmallow, and on nothing that does I/O for a living."""
    allowed = sys.stdlib_module_names | GROUND | FLOORS[folder] | {folder}

    assert set() == {
        (module_name(path), name) for path in files(folder) for name in imports(path) if top(name) not in allowed
    }


def test_no_vendor_knows_another() -> None:
    """A vendor's folder imports itself, the guard and what telephony vendors share; the registry names none."""
    seen = set()
    for path in production("integrations"):
        here = module_name(path)
        for name in imports(path):
            if top(name) != "integrations" or name == "integrations":
                continue
            mine = vendor_of(here) and (name == vendor_of(here) or name.startswith(f"{vendor_of(here)}."))
            shared = not vendor_of(name) and name.startswith(SHARED)
            if not (mine or shared):
                seen.add((here, name))

    assert set() == seen


def test_an_understudy_cannot_share_our_mistakes() -> None:
    """It imports Flask, the standard library, the rest of itself and what understudies share."""
    understudies = [path for path in files("integrations") if understudy(path)]
    assert {"integrations.zoho", "integrations.google", "integrations.telephony.standard"} <= {
        vendor_of(module_name(path)) for path in understudies
    }

    seen = set()
    for path in understudies:
        own = f"{vendor_of(module_name(path))}.sandbox"
        for name in imports(path):
            known = top(name) in sys.stdlib_module_names | {"flask"} or name == own or name.startswith(f"{own}.")
            if not known and name != STAGES and not name.startswith(f"{STAGES}."):
                seen.add((module_name(path), name))
    assert set() == seen


def test_no_production_code_knows_an_understudy() -> None:
    """Only addresses differ between the stage and the world."""
    seen = {
        (module_name(path), name)
        for folder in FLOORS.keys() - {"sandbox"}
        for path in production(folder)
        for name in imports(path)
        if top(name) == "integrations" and "sandbox" in name.split(".")
    }

    assert set() == seen


def test_nothing_happens_on_import() -> None:
    """No connection, no open port and no thread comes of importing any of our modules."""
    modules = sorted({module_name(path) for folder in FLOORS for path in files(folder)})
    modules = [name for name in modules if ".migrations" not in name]  # Alembic runs those, nobody imports them

    done = subprocess.run([sys.executable, "-c", SOCKETS, *modules], cwd=HOUSE, capture_output=True, text=True)

    assert ("quiet\n", 0) == (done.stdout, done.returncode), done.stderr
