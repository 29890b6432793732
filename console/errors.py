"""When something goes wrong on a page: one plain sentence, the code, and what to do. Never a stack, never an echo."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from flask import Response, jsonify, make_response, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from console.desk import page
from console.session import wants_json
from domain.errors import Forbidden, Malformed, Missing, Trouble, TryLater, Unauthentic, Upstream

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Remedy:
    """What an error is called, and the one thing to do about it."""

    title: str
    todo: str
    go: str = "console.overview.index"
    button: str = "Back to Linekeeper"


STATUS: tuple[tuple[type[Trouble], int], ...] = (
    (Missing, 404),
    (Forbidden, 403),
    (Malformed, 400),
    (Unauthentic, 401),
    (TryLater, 503),
    (Upstream, 502),
    (Trouble, 400),
)
STATUS_OF_CODE = {"oauth.denied": 200}  # saying no at a consent page is an answer, not a fault
BY_STATUS = {
    400: Remedy("That did not work", "Go back and try once more."),
    401: Remedy("Please sign in", "Your session has ended, or there was none.", "console.session.sign_in", "Sign in"),
    403: Remedy("This is not open to you", "Ask an administrator of your organisation if you need it."),
    404: Remedy("There is nothing here", "It may have gone, as promised, or the address is mistyped."),
    405: Remedy("That is not how this page is used", "Go back and use the page's own buttons."),
    500: Remedy("Something broke on our side", "It has been noted. Try again in a moment."),
    502: Remedy(
        "The other side said no", "Look at the connection; it says what is wrong.", "console.connections.index"
    ),
    503: Remedy("The other side is out of reach", "Nothing is lost. Try again in a few minutes."),
}
BY_CODE = {
    "csrf": Remedy("This form cannot be taken", "Go back, reload the page and send it again."),
    "oauth.denied": Remedy(
        "No permission was given",
        "Nothing was connected and nothing was kept. You can start again whenever you like.",
        "console.connections.index",
        "Start again",
    ),
    "oauth.scope": Remedy(
        "The permission could not be asked for",
        "Nothing was connected. You cannot mend that: whoever runs Linekeeper has to look at its permissions there.",
        "console.connections.index",
        "Back to the connections",
    ),
    "oauth.policy": Remedy(
        "Your administrator has not allowed this",
        "Nothing was connected. Ask whoever administers your organisation there to allow Linekeeper, then start again.",
        "console.connections.index",
        "Start again",
    ),
    "oauth.state": Remedy(
        "This consent has run out",
        "It was used already, took longer than ten minutes, or began in another browser. Start it again.",
        "console.connections.index",
        "Start again",
    ),
    "sign_in.unknown": Remedy(
        "We do not know you yet",
        "An administrator of your Zoho organisation connects it once; after that you can sign in.",
        "console.consent.install_zoho",
        "Connect a Zoho organisation",
    ),
}


def answer(error: Exception) -> ResponseReturnValue:
    """Turn whatever was raised on a page into a page."""
    status, code, sentence = _told(error)
    if status >= 500:
        log.error("page_failed", code=code, error=type(error).__name__, where=_where(error))
    if wants_json():
        return problem(status, code, sentence)
    remedy = BY_CODE.get(code) or BY_STATUS.get(status) or BY_STATUS[400]
    body = page("error.html", remedy=remedy, sentence=sentence, code=code, go=url_for(remedy.go))
    response = make_response(body, status)
    return _with_headers(error, response)


def problem(status: int, code: str, sentence: str) -> Response:
    """RFC 9457."""
    response = jsonify(type="about:blank", title=HTTPStatus(status).phrase, status=status, code=code, detail=sentence)
    response.status_code = status
    response.mimetype = "application/problem+json"
    return response


def _told(error: Exception) -> tuple[int, str, str]:
    """Status, code and one sentence that holds nothing of what was sent."""
    if isinstance(error, CSRFError):
        return 403, "csrf", "The form was open too long, or did not come from this page."
    if isinstance(error, Trouble):
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        return STATUS_OF_CODE.get(error.code, status), error.code, str(error)
    if isinstance(error, HTTPException):
        status = error.code or 500
        return status, f"http.{status}", BY_STATUS.get(status, BY_STATUS[400]).title + "."
    return 500, "internal", "Linekeeper could not finish this page."


def _with_headers(error: Exception, response: Response) -> Response:
    """Keep what the protocol asks for: Allow beside 405."""
    if isinstance(error, HTTPException):
        response.headers.extend(
            (name, value) for name, value in error.get_headers(request.environ) if name.lower() == "allow"
        )
    return response


def _where(error: Exception) -> str:
    """The last lines of ours it passed through; no values, a message may hold somebody's name."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
