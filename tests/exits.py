"""Every place in the code where something can leave, read from the code itself: requests, answers, files, queues.

`channels` says by what a module could let something out, `readings` where it takes hold of what Google may have told
us. tests/test_exits.py compares both with what is declared.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

HOUSE = Path(__file__).parent.parent
FOLDERS = ("console", "webhooks", "commands", "jobs", "store", "oauth", "integrations/google", "domain")

OPENED = {  # what `Services` opens: an outside system of the tenant's own
    "crm": "zoho",
    "bridge": "zoho",
    "phone_system": "phone",
    "address_book": "google",
    "beside": "google",
    "mailbox": "google",
    "sheets": "google",
    "chat": "google",
    "calendar": "google",
    "address_book_writer": "google",
    "contacts_writer": "google",
    "people_writer": "zoho",  # or Google, to whom it belongs
}
RAW = {  # roots of calls that reach any address at all
    **dict.fromkeys(("requests", "urllib", "httplib2", "http", "smtplib", "ftplib", "aiohttp", "httpx"), "http"),
    **dict.fromkeys(("socket", "asyncio"), "socket"),
    **dict.fromkeys(("redis", "valkey"), "cache"),
    **dict.fromkeys(("subprocess", "os.system", "os.popen"), "process"),
}
NAMED = {  # functions by whose name something is answered, printed or written
    **dict.fromkeys(("page", "render_template", "render_template_string", "jsonify", "Response", "_json"), "answer"),
    **dict.fromkeys(("send_file", "make_response", "stream_with_context"), "answer"),
    **dict.fromkeys(("print", "echo", "secho"), "terminal"),
    **dict.fromkeys(("open", "write_text", "write_bytes", "NamedTemporaryFile"), "file"),
    **dict.fromkeys(("enqueue", "enqueue_call"), "queue"),
}
READERS = {  # what hands out values that Google may have told us
    "hub": {"people", "search", "everybody", "people_without"},
    "mail": {"of_contact", "get"},
    "footprint": {"export"},
    "journal": {"lines", "get"},
}
GATE = {"people", "let_out", "let_out_mail", "allowed", "whole", "note_whole"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every production module of these floors, by its path from the house."""
    for folder in FOLDERS:
        for path in sorted((HOUSE / folder).rglob("*.py")):
            place = path.relative_to(HOUSE)
            if "sandbox" not in place.parts and "migrations" not in place.parts:
                yield place.as_posix(), ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """Everything in a module or function, listed once: walking costs more than looking."""
    return tuple(ast.walk(tree))


def channels(tree: ast.Module) -> set[str]:
    """By what this module could let something out."""
    return {found for node in nodes(tree) for found in _channel(node)}


def _channel(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and node.attr in ("http", "guarded") and _name(node.value).endswith("services"):
        yield "http"
    if not isinstance(node, ast.Call):
        return
    called = _name(node.func)
    owner, _, last = called.rpartition(".")
    if owner.endswith(("services", "opened")) and last in OPENED:
        yield OPENED[last]
    for root, channel in RAW.items():
        if called == root or called.startswith(f"{root}."):
            yield channel
    writes = last != "open" or _mode(node).strip("rbt")
    if last in NAMED and writes:
        yield NAMED[last]


def _mode(call: ast.Call) -> str:
    """How a file is opened: for reading unless it says otherwise."""
    given = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return next((str(one.value) for one in given if isinstance(one, ast.Constant)), "r")


def readings(tree: ast.AST) -> list[str]:
    """Where this module (or function) takes hold of people or mail, as it is written."""
    return [
        called
        for node in nodes(tree)
        if isinstance(node, ast.Call) and (called := _name(node.func)).rpartition(".")[2]
        for owner in [called.split(".")[-2] if "." in called else ""]
        if called.split(".")[-1] in READERS.get(owner, ()) or (owner in ("services", "opened") and "mailbox" in called)
    ]


def unguarded(tree: ast.Module) -> set[str]:
    """The functions that read people or mail and hand nothing to the gate."""
    functions = [node for node in nodes(tree) if isinstance(node, ast.FunctionDef)]
    return {one.name for one in functions if readings(one) and not passings(one)}


def passings(tree: ast.AST) -> list[str]:
    """The exits this module hands things to the gate for; "" where the name is only known when it runs."""
    constants = {
        target.id: str(node.value.value)
        for node in getattr(tree, "body", ())
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for node in nodes(tree):
        if isinstance(node, ast.Call) and _name(node.func) in {f"passages.{name}" for name in GATE | {"note"}}:
            way = node.args[2] if len(node.args) > 2 else None
            said = way.value if isinstance(way, ast.Constant) else constants.get(_name(way)) if way else None
            found.append(str(said or ""))
    return found


def logged(tree: ast.Module) -> set[str]:
    """The keys this module writes to the log with."""
    return {
        keyword.arg
        for node in nodes(tree)
        if isinstance(node, ast.Call)
        and _name(node.func).split(".")[0] in ("log", "logger")
        and "." in _name(node.func)
        for keyword in node.keywords
        if keyword.arg is not None
    }


def labels(tree: ast.Module) -> set[str]:
    """The labels this module gives to metrics."""
    return {
        keyword.arg
        for node in nodes(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "labels"
        for keyword in node.keywords
        if keyword.arg is not None
    }


def _name(node: ast.AST | None) -> str:
    """`a.b.c` as it is written; a call in between stands as its own name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    if isinstance(node, ast.Call):
        return _name(node.func).replace("desk.services", "services").replace("doorkeeper.services", "services")
    return ""
