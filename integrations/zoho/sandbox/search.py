"""The doors to search and to counting: through an index that lags behind the rows."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, request

from integrations.zoho.sandbox.answers import Json, Refused, nothing, page_of
from integrations.zoho.sandbox.clock import parse_time
from integrations.zoho.sandbox.gate import Caller, caller
from integrations.zoho.sandbox.metadata import Module
from integrations.zoho.sandbox.records import fields_of, table_of
from integrations.zoho.sandbox.tables import Row, Table, digits, key
from integrations.zoho.sandbox.world import DataCentre, World

WAYS = ("criteria", "email", "phone", "word")  # in Zoho's order of preference, if several are given
WALL_ROWS = 2_000
MOST_CONDITIONS = 10
MOST_VALUES = 100
PHONE = re.compile(r"[+]?[0-9\s\-().]{1,50}")
WORD = re.compile(r"[^\W_]([^\W_]|[ .'@-])+")
SEARCH_SCOPE = "ZohoSearch.securesearch.READ"
Values = Mapping[str, Any]
Test = Callable[[Values], bool]


def doors(dc: DataCentre) -> Blueprint:
    """Build the doors of one data centre."""
    blueprint, world = Blueprint("search", __name__, url_prefix="/crm/v8"), dc.world

    @blueprint.get("/<module>/search")
    def search(module: str) -> Response | Json:
        who = caller()
        table = table_of(module, "READ", who, SEARCH_SCOPE)
        page, size = page_of()
        if page * size > WALL_ROWS:
            raise Refused(400, "LIMIT_REACHED", "the limit of records is reached", {"limit": str(WALL_ROWS)})
        rows = found(world, table, wanted(world, table))
        chosen = rows[(page - 1) * size : page * size]
        if not chosen:
            return nothing()
        fields = fields_of(mandatory=False)
        info = {"per_page": size, "count": len(chosen), "page": page, "more_records": len(rows) > page * size}
        return {"data": [_show(who, table, row, fields) for row in chosen], "info": info}

    @blueprint.get("/<module>/actions/count")
    def count(module: str) -> Json:
        who = caller()
        table = table_of(module, "READ", who)
        if not any(request.args.get(way) for way in WAYS):
            return {"count": len(table.rows)}
        who.needs(SEARCH_SCOPE)
        return {"count": len(found(world, table, wanted(world, table)))}

    return blueprint


def _show(who: Caller, table: Table, row: Row, fields: list[str] | None) -> Json:
    """Write a row as the index knows it."""
    seen = Row(row.id, row.shown or {}, row.created_at, row.modified_at, row.created_by, row.modified_by)
    return who.org.show(table.module, seen, who.user.zone, fields)


def found(world: World, table: Table, test: Test) -> list[Row]:
    """List the rows the index would give, newest first."""
    now = world.clock.now()
    return [
        row for row in reversed(table.rows.values()) if (seen := row.index_at(now)) and test({**seen, "id": row.id})
    ]


def wanted(world: World, table: Table) -> Test:
    """Turn the query into a test: criteria, e-mail address, number or word."""
    way = next((way for way in WAYS if request.args.get(way)), None)
    if way is None:
        raise Refused(
            400, "EXPECTED_PARAM_MISSING", "one of the expected parameters is missing", {"param_names": [*WAYS]}
        )
    text, module = request.args[way].strip(), table.module
    match way:
        case "criteria":
            return Criteria(text, module).parse()
        case "email":
            names = [name for name, column in module.fields.items() if column.data_type == "email"]
            return lambda seen: any(str(seen.get(name) or "").lower() == text.lower() for name in names)
        case "phone":
            if not PHONE.fullmatch(text):
                raise Refused(400, "INVALID_DATA", "the given data is not valid", {"param_name": "phone"})
            if world.knobs.search_phone == "raw":
                return lambda seen: any(seen.get(name) == text for name in module.phones)
            number = digits(text)
            return lambda seen: any(digits(seen.get(name) or "") == number for name in module.phones)
    if not WORD.fullmatch(text):
        raise Refused(400, "INVALID_QUERY", "Invalid query formed", {"param_name": "word"})
    return lambda seen: any(text.lower() in value.lower() for value in seen.values() if isinstance(value, str))


class Criteria:
    """`((Last_Name:equals:Burns)and(First_Name:starts_with:M))`, with a backslash before ( ) , and itself."""

    PIECE = re.compile(r"\\.|[^\\]", re.DOTALL)

    def __init__(self, text: str, module: Module) -> None:
        self._pieces = self.PIECE.findall(text)
        self._module = module
        self._at = 0
        self._conditions = 0

    def parse(self) -> Test:
        """Read the whole text."""
        test = self._group() if self._peek() == "(" else self._condition()
        while self._at < len(self._pieces):
            test = self._joined(test)
        return test

    def _peek(self) -> str:
        return self._pieces[self._at] if self._at < len(self._pieces) else ""

    def _group(self) -> Test:
        self._take("(")
        if self._peek() == "(":
            test = self._group()
            while self._peek() != ")":
                test = self._joined(test)
        else:
            test = self._condition()
        self._take(")")
        return test

    def _joined(self, left: Test) -> Test:
        for word in ("and", "or"):
            if "".join(self._pieces[self._at : self._at + len(word)]).lower() == word:
                self._at += len(word)
                right = self._group()
                if word == "and":
                    return lambda seen: left(seen) and right(seen)
                return lambda seen: left(seen) or right(seen)
        raise self._wrong()

    def _condition(self) -> Test:
        self._conditions += 1
        if self._conditions > MOST_CONDITIONS:
            raise Refused(400, "CRITERIA_LIMIT_EXCEEDED", "too many conditions", {"limit": MOST_CONDITIONS})
        name, operator = self._until(":"), self._until(":")
        values = [""]
        while self._peek() not in {")", ""}:
            piece = self._pieces[self._at]
            self._at += 1
            if piece == ",":
                values.append("")
            else:
                values[-1] += piece[-1]
        column = self._module.fields.get(name)
        if column is None:
            details = {"api_name": name, "operator": operator}
            raise Refused(400, "INVALID_QUERY", "Invalid query formed", details)
        is_text = column.data_type in {"text", "textarea", "email", "phone", "website"}
        return self._test(name, operator, values if operator in {"in", "between"} else [",".join(values)], is_text)

    def _test(self, name: str, operator: str, values: list[str], is_text: bool) -> Test:
        if len(values) > MOST_VALUES:
            raise Refused(400, "LIMIT_EXCEEDED", "too many values", {"limit": MOST_VALUES})
        wanted = [key(_read(value)) for value in values]
        one: Any = wanted[0]
        tests: dict[str, Callable[[Any], bool]] = {
            # "equals" on a text field answers whatever contains the value: the v7 page on searching says so.
            "equals": lambda has: str(one) in str(has) if is_text else has == one,
            "not_equal": lambda has: has != one,
            "starts_with": lambda has: str(has).startswith(str(one)),
            "in": lambda has: has in wanted,
            "between": lambda has: len(wanted) == 2 and wanted[0] <= has <= wanted[1],
            "greater_than": lambda has: bool(has > one),
            "greater_equal": lambda has: bool(has >= one),
            "less_than": lambda has: bool(has < one),
            "less_equal": lambda has: bool(has <= one),
        }
        if operator not in tests:
            raise Refused(400, "INVALID_QUERY", "Invalid query formed", {"api_name": name, "operator": operator})
        compare = tests[operator]

        def test(seen: Values) -> bool:
            has: Any = key(seen.get(name))
            if has is None:
                return operator == "not_equal"
            try:
                return compare(str(has).lower() if not isinstance(one, datetime | bool) else has)
            except TypeError:
                return False

        return test

    def _until(self, stop: str) -> str:
        start = self._at
        while self._peek() not in {stop, ""}:
            self._at += 1
        self._take(stop)
        return "".join(self._pieces[start : self._at - 1])

    def _take(self, piece: str) -> None:
        if self._peek() != piece:
            raise self._wrong()
        self._at += 1

    def _wrong(self) -> Refused:
        return Refused(400, "INVALID_QUERY", "Invalid query formed", {"position": self._at})


def _read(value: str) -> Any:
    return {"true": True, "false": False}.get(value) if value in {"true", "false"} else parse_time(value) or value
