"""The shapes of Zoho's answers: one envelope for a refused request, one for each item of a batch."""

from collections.abc import Sequence
from typing import Any

from flask import Response, request

Json = dict[str, Any]


class Refused(Exception):
    """A whole request is refused; `status` and `body` are what the caller gets."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.body: Json = {"code": code, "details": details or {}, "message": message, "status": "error"}
        self.headers = headers or {}


class ItemRefused(Exception):
    """One item of a batch is refused; its neighbours are not."""

    def __init__(self, code: str, message: str, details: Json) -> None:
        super().__init__(code)
        self.body: Json = {"code": code, "details": details, "message": message, "status": "error"}


def done(message: str, details: Json, **beside: Any) -> Json:
    """Report one item of a batch as done."""
    return {"code": "SUCCESS", **beside, "details": details, "message": message, "status": "success"}


def batch_status(items: Sequence[Json], all_well: int, none_well: int = 400) -> int:
    """Give a batch its HTTP status: all well, some (207) or none."""
    well = sum(item["status"] == "success" for item in items)
    return all_well if well == len(items) else 207 if well else none_well


def nothing(status: int = 204) -> Response:
    """Answer with an empty body: 204 for no rows, 304 for nothing new."""
    response = Response(status=status)
    response.headers.pop("Content-Type", None)
    return response


def body() -> Json:
    """Read the JSON body whatever its Content-Type says: the official Python SDK sends none."""
    sent = request.get_json(force=True, silent=True)
    if not isinstance(sent, dict):
        raise Refused(400, "INVALID_DATA", "body must be a JSON object", {"expected_data_type": "jsonobject"})
    return sent


def items_of(sent: Json, name: str, most: int) -> list[Any]:
    """Take the list of items out of a body, refusing none and too many."""
    items = sent.get(name)
    if not isinstance(items, list) or not items:
        raise Refused(
            400, "MANDATORY_NOT_FOUND", "required field not found", {"api_name": name, "json_path": f"$.{name}"}
        )
    if len(items) > most:
        details = {"limit": most, "api_name": name, "json_path": f"$.{name}"}
        raise Refused(400, "LIMIT_EXCEEDED", f"only {most} items are allowed in one request", details)
    return items


def page_of(most: int = 200) -> tuple[int, int]:
    """Read `page` and `per_page`, refusing what is not a whole number in range."""
    numbers = []
    for name, default, highest in (("page", 1, None), ("per_page", most, most)):
        text = request.args.get(name, str(default))
        if not text.isdecimal() or int(text) < 1 or (highest and int(text) > highest):
            raise Refused(400, "INVALID_DATA", "the given data is not valid", {"param_name": name})
        numbers.append(int(text))
    return numbers[0], numbers[1]
