"""The door to COQL: a select over one module, conditions nested in pairs, read from the rows themselves and never late.

Zoho is strict about pairs: https://help.zoho.com/portal/en/community/topic/kaizen-171-faqs-on-coql-api.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Blueprint, Response

from integrations.zoho.sandbox.answers import Json, Refused, body, nothing
from integrations.zoho.sandbox.clock import parse_time
from integrations.zoho.sandbox.gate import Caller, caller
from integrations.zoho.sandbox.metadata import Module
from integrations.zoho.sandbox.orgs import Knobs, Org
from integrations.zoho.sandbox.records import table_of
from integrations.zoho.sandbox.tables import Row, Table, key
from integrations.zoho.sandbox.world import DataCentre

TOKEN = re.compile(r"\s*('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|!=|>=|<=|[=<>(),]|[^\s=<>!(),'\"]+)")
MOST_COLUMNS, MOST_VALUES, MOST_OFFSET = 500, 100, 10_000
DEFAULT_ROWS = 200
Test = Callable[[Row], bool]
Exact = tuple[str, Any] | None  # a field and the value it must have, whatever else the condition says


@dataclass(slots=True)
class Query:
    """One select, understood."""

    columns: list[str]
    module: Module
    test: Test
    exact: Exact
    order: list[tuple[str, bool]] = field(default_factory=list)  # (column, descending)
    offset: int = 0
    rows: int = DEFAULT_ROWS


def doors(dc: DataCentre) -> Blueprint:
    """Build the door of one data centre."""
    blueprint, world = Blueprint("coql", __name__, url_prefix="/crm/v8"), dc.world

    @blueprint.post("/coql")
    def coql() -> Response | Json:
        who, text = caller(), body().get("select_query")
        who.needs("ZohoCRM.coql.READ")
        if not isinstance(text, str):
            raise Refused(400, "MANDATORY_NOT_FOUND", "required field not found", {"api_name": "select_query"})
        query = Reader(text, who, world.knobs).query()
        table = who.org.tables[query.module.api_name]
        candidates = table.find(*query.exact) if query.exact else list(table.rows.values())
        rows = [row for row in candidates if query.test(row)]
        for name, descending in reversed(query.order):
            rows.sort(key=_by(who.org, table, name), reverse=descending)
        chosen = rows[query.offset : query.offset + query.rows]
        if not chosen:
            return nothing()
        info = {"count": len(chosen), "more_records": len(rows) > query.offset + query.rows}
        return {"data": [_show(who, table, row, query.columns) for row in chosen], "info": info}

    return blueprint


def value_of(org: Org, table: Table, row: Row, path: str) -> Any:
    """Read a column, through one lookup if there is a dot in its name."""
    name, _, further = path.partition(".")
    value = row.get(name)
    if not further or not isinstance(value, dict):
        return None if further else value
    column = table.module.fields[name]
    if column.data_type == "ownerlookup":
        user = org.users.get(value["id"])
        return getattr(user, further, None)
    there = org.find(value["id"], column.lookup)
    return there[1].get(further) if there else None


def _show(who: Caller, table: Table, row: Row, columns: list[str]) -> Json:
    shown: Json = {}
    for path in columns:
        value = value_of(who.org, table, row, path)
        if isinstance(value, dict):
            shown[path] = {"id": value["id"]}  # a lookup is an id here and nothing more
        else:
            shown[path] = who.org.show_value(table.module.fields[path.partition(".")[0]], value, who.user.zone)
    return {**shown, "id": row.id}


def _by(org: Org, table: Table, name: str) -> Callable[[Row], tuple[bool, Any]]:
    def place(row: Row) -> tuple[bool, Any]:
        value = key(value_of(org, table, row, name))
        return value is not None, 0 if value is None else value

    return place


class Reader:
    """Reads one query from left to right."""

    def __init__(self, text: str, who: Caller, knobs: Knobs) -> None:
        self._text, self._who, self._knobs = text.strip().rstrip(";"), who, knobs
        self._tokens: list[str] = []
        at = 0
        while at < len(self._text):
            piece = TOKEN.match(self._text, at)
            if piece is None:
                raise self._wrong(self._text[at : at + 20])
            self._tokens.append(piece[1])
            at = piece.end()
        self._at = 0

    def query(self) -> Query:
        """Understand the whole query."""
        self._take("select")
        columns = [self._name()]
        while self._next(","):
            columns.append(self._name())
        self._take("from")
        self._table = table_of(self._name(), "READ", self._who)
        for name in columns:
            self._column(name, "select")
        if len(columns) > MOST_COLUMNS:
            raise Refused(400, "LIMIT_EXCEEDED", "too many columns", {"limit": MOST_COLUMNS})
        if not self._next("where"):
            raise Refused(400, "SYNTAX_ERROR", "missing clause", {"clause": "where"})
        test, exact = self._pair()
        query = Query(columns, self._table.module, test, exact)
        if self._next("order"):
            self._take("by")
            query.order.append(self._order())
            while self._next(","):
                query.order.append(self._order())
        if self._next("limit"):
            query.rows = self._number()
            if self._next(","):  # limit offset, count
                query.offset, query.rows = query.rows, self._number()
            elif self._next("offset"):
                query.offset = self._number()
        if self._at < len(self._tokens):
            raise self._wrong()
        if query.rows > self._knobs.coql_rows or query.offset > MOST_OFFSET:
            raise Refused(400, "LIMIT_EXCEEDED", "limit exceeded", {"limit": self._knobs.coql_rows})
        return query

    def _pair(self) -> tuple[Test, Exact]:
        """Read `A`, `A and B` or `A or B`; a third on the same level is a syntax error."""
        left, exact = self._operand()
        if self._next("and"):
            right, other = self._operand()
            pair: tuple[Test, Exact] = (lambda row: left(row) and right(row)), exact or other
        elif self._next("or"):
            right, _ = self._operand()
            pair = (lambda row: left(row) or right(row)), None
        else:
            return left, exact
        if self._peek() in {"and", "or"}:
            raise self._wrong()
        return pair

    def _operand(self) -> tuple[Test, Exact]:
        if not self._next("("):
            return self._condition()
        pair = self._pair()
        self._take(")")
        return pair

    def _condition(self) -> tuple[Test, Exact]:
        name = self._name()
        self._column(name, "where")
        org, table = self._who.org, self._table

        def has(row: Row) -> Any:
            return key(value_of(org, table, row, name))

        if self._next("is"):
            missing = not self._next("not")
            self._take("null")
            return (lambda row: (has(row) in {None, ""}) is missing), None
        negated = self._next("not")
        operator = "not " * negated + self._word()
        match operator:
            case "=":
                value = self._literal()
                exact = None if "." in name else (name, value)
                return (lambda row: has(row) == value), exact
            case "!=":
                value = self._literal()
                return (lambda row: has(row) != value), None
            case "like" | "not like":
                pattern = re.compile(re.escape(str(self._literal())).replace("%", ".*"), re.DOTALL)
                return (lambda row: (pattern.fullmatch(str(has(row) or "")) is not None) is not negated), None
            case "in" | "not in":
                values = self._values()
                return (lambda row: (has(row) in values) is not negated), None
            case "between":
                low = self._literal()
                self._take("and")
                high = self._literal()
                return (lambda row: _compares(has(row), low, high)), None
            case ">=":
                low = self._literal()
                return (lambda row: _compares(has(row), low, None)), None
            case "<=":
                high = self._literal()
                return (lambda row: _compares(has(row), None, high)), None
            case ">" | "<":
                bound = self._literal()
                low, high = (bound, None) if operator == ">" else (None, bound)
                return (lambda row: has(row) != bound and _compares(has(row), low, high)), None
        raise Refused(400, "SYNTAX_ERROR", "unsupported operator", {"operator": operator})

    def _values(self) -> list[Any]:
        self._take("(")
        values = [self._literal()]
        while self._next(","):
            values.append(self._literal())
        self._take(")")
        if len(values) > MOST_VALUES:
            raise Refused(400, "LIMIT_EXCEEDED", "too many values", {"limit": MOST_VALUES})
        return values

    def _column(self, path: str, clause: str) -> None:
        name, _, further = path.partition(".")
        column = self._table.module.fields.get(name)
        known = column is not None and (not further or bool(column.lookup) or column.data_type == "ownerlookup")
        long_text = column is not None and column.data_type == "textarea" and not self._knobs.coql_long_text
        if not known or (clause != "select" and long_text):
            details = {"column_name": path, "clause": clause}
            raise Refused(400, "INVALID_QUERY", "column given seems to be invalid", details)

    def _order(self) -> tuple[str, bool]:
        name = self._name()
        self._column(name, "order by")
        return name, not self._next("asc") and self._next("desc")

    def _literal(self) -> Any:
        """Read a value: quoted text, whose quote is doubled, or a bare number or boolean."""
        word = self._raw()
        if word[0] in "'\"":
            text = word[1:-1].replace(word[0] * 2, word[0])
            return parse_time(text) or text.lower()
        if word.lower() in {"true", "false"}:
            return word.lower() == "true"
        # Ids are text in our rows and bare numbers in many a query; every other whole number is short.
        return int(word) if word.lstrip("-").isdecimal() and len(word) < 15 else word.lower()

    def _number(self) -> int:
        word = self._raw()
        if not word.isdecimal():
            raise self._wrong(word)
        return int(word)

    def _name(self) -> str:
        word = self._raw()
        return word[1:-1] if word[0] in "'\"" else word

    def _word(self) -> str:
        return self._raw().lower()

    def _raw(self) -> str:
        if self._at >= len(self._tokens):
            raise self._wrong("")
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> str:
        return self._tokens[self._at].lower() if self._at < len(self._tokens) else ""

    def _next(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._at += 1
        return True

    def _take(self, word: str) -> None:
        if not self._next(word):
            raise self._wrong()

    def _wrong(self, near: str | None = None) -> Refused:
        details = {"near": self._peek() if near is None else near}
        return Refused(400, "SYNTAX_ERROR", "syntax error in the query", details)


def _compares(has: Any, low: Any, high: Any) -> bool:
    """Say whether a value lies between two others, each of which may be open; what cannot be compared does not."""
    wanted = [bound for bound in (low, high) if bound is not None]
    if has is None or any(isinstance(has, datetime) != isinstance(bound, datetime) for bound in wanted):
        return False
    try:
        return (low is None or has >= low) and (high is None or has <= high)
    except TypeError:
        return False
