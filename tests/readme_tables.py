"""What README.md and docs/ have to say about the code, read from the code itself.

Tables between `<!-- table: name -->` and `<!-- end -->` are written by `python -m tests.readme_tables`; in the others
a person writes the sentences and the tests compare the names.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
from flask import Flask

import app
import settings
from commands.cli import cli
from console.holdings import BASES, THEN, until
from domain import limited_use, undelivered
from domain.consent import Feature
from domain.ports import Traits
from domain.profile import Profiles
from integrations import telephony_vendors
from integrations.google.hosts import FEATURES as WORKSPACE
from integrations.google.provider import FEATURES as GOOGLE
from integrations.google.scopes import SCOPES
from integrations.zoho.provider import FEATURES as ZOHO
from store.holdings import HOLDINGS

HOUSE = Path(__file__).parent.parent
PAGES = (HOUSE / "README.md", HOUSE / "CONTRIBUTING.md", HOUSE / "changes/README.md", *sorted(HOUSE.glob("docs/*.md")))
PRODUCTION = ("domain", "store", "oauth", "integrations", "jobs", "webhooks", "console", "commands")
SLOTS = {"drop": 2, "failed": 2, "went_badly": 2, "again": 2, "unknown": 2, "postpone": 2, "done": 4, "problem": 1}
CODE = re.compile(r"[a-z][a-z_]*(\.[a-z0-9_]+)*\.?")


# ---- reading pages ----------------------------------------------------------------------------------------------


def page(name: str) -> str:
    return (HOUSE / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, f"there is no heading {heading!r}"
    level, rest = len(found[1]), text[found.end() :]
    ends = re.search(rf"^#{{1,{level}}} ", rest, re.MULTILINE)
    return rest[: ends.start()] if ends else rest


def first_cells(text: str) -> list[str]:
    """The first cell of each row of every table in `text`, without the code marks."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    heads = {place - 1 for place, row in enumerate(rows) if _is_rule(row)}
    bodies = [row for place, row in enumerate(rows) if place not in heads and not _is_rule(row)]
    return [row.split("|")[1].strip().strip("`") for row in bodies]


def _is_rule(row: str) -> bool:
    return row.startswith("|") and not set(row) - set("|-: ")


# ---- what the code says -----------------------------------------------------------------------------------------


PLACES = ("/console", "/widget/zoho")  # whose pages are told together


def doors() -> dict[str, str]:
    """Method and path of every door, and the function behind it; the pages of one place count as one."""
    found: dict[str, str] = {}
    for rule in wired().url_map.iter_rules():
        methods = "/".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        place = next((one for one in PLACES if rule.rule.startswith(one)), "")
        found[f"{place}/..." if place else f"{methods} {rule.rule}"] = rule.endpoint
    return found


def wired() -> Flask:
    """The application as `app.py` joins it, with nothing behind it: enough to see its doors."""
    vault = SimpleNamespace(derive=lambda use: bytes(32))
    services: Any = SimpleNamespace(settings=settings.Settings(), vault=vault, bell=None)
    return app.create_app(services)


def commands() -> dict[str, click.Command]:
    """Every command by its full name; each room adds its own when it is entered."""
    for room in app.COMMANDS.values():
        import_module(room)
    return dict(_below(cli, ()))


def _below(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _below(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def dependencies() -> dict[str, list[str]]:
    """What pyproject.toml names, by "run" and "check", without extras and versions."""
    project = tomllib.loads(page("pyproject.toml"))["project"]
    lists = {"run": project["dependencies"], "check": project["optional-dependencies"]["dev"]}
    return {kind: [re.split(r"[\[<>=~! ]", name)[0] for name in names] for kind, names in lists.items()}


def codes() -> dict[str, str]:
    """Every stable code in the source and the file it was first seen in; one that is made up there ends with a dot."""
    found: dict[str, str] = {}
    for folder in PRODUCTION:
        for path in sorted((HOUSE / folder).rglob("*.py")):
            place = path.relative_to(HOUSE)
            if "sandbox" not in place.parts:
                for code in _codes(ast.parse(path.read_text(encoding="utf-8"))):
                    found.setdefault(code, place.as_posix())
    return dict.fromkeys(undelivered.WHY, "domain/undelivered.py") | found


def _codes(tree: ast.Module) -> Iterator[str]:
    nodes = list(ast.walk(tree))
    named = {target.id: node.value for node in nodes for target, node in _assigned(node)}
    for node in nodes:
        for value in _slots(node):
            if isinstance(value, ast.Name) and value.id in named:
                value = named[value.id]
            yield from (text for text in _texts(value) if CODE.fullmatch(text))


def _assigned(node: ast.AST) -> Iterator[tuple[ast.Name, ast.Assign]]:
    if isinstance(node, ast.Assign):
        yield from ((target, node) for target in node.targets if isinstance(target, ast.Name))


def _slots(node: ast.AST) -> Iterator[ast.expr]:
    """Wherever a code is written down: a class's own, an error's, a reason kept in a row, the answer to a knock."""
    if isinstance(node, ast.ClassDef):
        yield from (part.value for part in node.body for target, part in _assigned(part) if target.id == "code")
    elif isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        wanted = "code" if name[:1].isupper() else "reason" if name == "values" else ""
        yield from (keyword.value for keyword in node.keywords if wanted and keyword.arg == wanted)
        yield from node.args[SLOTS[name] : SLOTS[name] + 1] if name in SLOTS else []
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
        pairs = zip(node.targets[0].elts, node.value.elts, strict=True)
        yield from (value for target, value in pairs if getattr(target, "id", "") == "reason")


def _texts(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        yield from _texts(value.values[0])
    elif isinstance(value, ast.IfExp):
        yield from (*_texts(value.body), *_texts(value.orelse))
    elif isinstance(value, ast.BoolOp):
        yield from (text for part in value.values for text in _texts(part))


def metrics() -> set[str]:
    """The name of every metric of ours."""
    named = re.compile(r"(?:Counter|Gauge|Histogram|Summary)\w*\(\s*\"(linekeeper_\w+)\"")
    files = [path for folder in PRODUCTION for path in (HOUSE / folder).rglob("*.py")]
    return {name for path in files for name in named.findall(_of(path))}


def _of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# ---- tables that are written for us -----------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _settings() -> str:
    rows = [[f"`{name}`", f"`{default}`" if default else "", why] for name, default, why in settings.describe()]
    return table(["setting", "default", "what it is"], rows)


def _commands() -> str:
    first = {name: (command.help or "").split("\n\n")[0] for name, command in commands().items()}
    rows = [[f"`linekeeper {name}`", " ".join(sentence.split())] for name, sentence in first.items()]
    return table(["command", "what it does"], rows)


def _holdings() -> str:
    strict = Profiles().get("strict")
    rows = []
    for holding in HOLDINGS:
        kept = holding.kept(strict)
        rows.append([holding.name, holding.purpose, BASES[holding.basis], until(kept), THEN[kept.then]])
    return table(["what", "what for", "basis", "how long", "then"], rows)


def _permissions() -> str:
    both: Sequence[tuple[str, Sequence[Feature]]] = (
        ("Zoho", ZOHO),
        ("Google", GOOGLE),
        ("Google's applications", WORKSPACE),
    )
    rows = [
        [who, feature.title, feature.purpose, " ".join(f"`{_short(scope)}`" for scope in sorted(feature.scopes))]
        for who, features in both
        for feature in features
    ]
    return table(["where", "feature", "what whoever allows it reads", "scopes"], rows)


def _short(scope: str) -> str:
    return scope.removeprefix("https://www.googleapis.com/auth/")


def _vendors() -> str:
    can = [trait.name for trait in fields(Traits)]
    rows = [
        [f"`{slug}`", vendor.title, ", ".join(name for name in can if getattr(vendor.traits, name))]
        for slug, vendor in telephony_vendors().items()
    ]
    return table(["vendor", "title", "can"], rows)


def _google_kinds() -> str:
    rows = [[kind.slug, kind.title, " or ".join(sorted(kind.consents)), kind.kept] for kind in limited_use.KINDS]
    return table(["kind", "what Google tells us", "under which feature", "where it lies meanwhile"], rows)


def _google_flow() -> str:
    rows = [
        [sink.title, way.sentence, ", ".join(sorted(way.kinds)), f"`{way.where}`"]
        for sink in limited_use.SINKS
        for way in limited_use.EXITS
        if way.sink == sink.slug
    ]
    return table(["to whom", "what for", "what", "through"], rows)


def _google_sinks() -> str:
    return table(
        ["where", "may it go there?", "what administrators read"],
        [
            [sink.title, "for a reason" if sink.reason_asked else "yes" if sink.allowed else "no", sink.sentence]
            for sink in limited_use.SINKS
        ],
    )


def _google_scopes() -> str:
    rows = [[f"`{one.short}`", one.level, one.because, one.narrower] for one in SCOPES]
    return table(["scope", "class", "why it is needed", "why nothing narrower would do"], rows)


def _google_demo() -> str:
    rows = [[str(place), one.seen, f"`{one.short}`"] for place, one in enumerate(SCOPES, start=1)]
    return table(["step", "what the film shows", "scope in use"], rows)


WRITTEN: Mapping[str, Callable[[], str]] = {
    "settings": _settings,
    "commands": _commands,
    "holdings": _holdings,
    "permissions": _permissions,
    "vendors": _vendors,
    "google_kinds": _google_kinds,
    "google_flow": _google_flow,
    "google_sinks": _google_sinks,
    "google_scopes": _google_scopes,
    "google_demo": _google_demo,
}
BETWEEN = re.compile(r"(<!-- table: (\w+) -->\n)(?:\|.*\n)*(<!-- end -->)")


def fresh(text: str) -> str:
    """A page with its written tables as the code has them now."""
    return BETWEEN.sub(lambda found: found[1] + WRITTEN[found[2]]() + "\n" + found[3], text)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(fresh(_of(path)), encoding="utf-8")
