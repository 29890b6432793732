"""The door to a recording: whoever has a link hears what it leads to, all of it or the part a player asks for.

The link is the ticket; nobody signs in. A link that is forged, has run out or was revoked, a recording that is gone
and one that may not be fetched are one answer. How a link is made is told in `jobs.recordings`,
what it opens in `jobs.listening`.
"""

from __future__ import annotations

import threading

from flask import Flask, Response, current_app, request
from flask_smorest import Blueprint

from domain.errors import Missing, Refused, Upstream
from domain.recording import Unsatisfiable
from jobs.listening import Playing, open_recording
from jobs.services import Services
from webhooks.doorkeeper import doorkeeper
from webhooks.problem import problem

EXTENSION = "linekeeper.listeners"
RETRY_SECONDS = 10

bp = Blueprint("recordings", __name__, url_prefix="/recordings", description="Recordings of calls")


def init_app(app: Flask, services: Services) -> None:
    """Let half of a web process's threads serve listeners, so that the other doors are never kept waiting by them."""
    app.extensions[EXTENSION] = threading.BoundedSemaphore(max(1, services.settings.web_threads // 2))


@bp.get("/<token>")
@bp.doc(
    summary="Listen to a recording",
    parameters=[
        {"in": "path", "name": "token", "required": True, "schema": {"type": "string"}},
        {"in": "header", "name": "Range", "required": False, "schema": {"type": "string"}},
    ],
    responses={
        "200": {"description": "The sound", "content": {"audio/*": {}}},
        "206": {"description": "The part that was asked for", "content": {"audio/*": {}}},
        "404": {"description": "No such link, or it is no good any more"},
        "416": {"description": "There is no such part, or several were asked for"},
        "503": {"description": "The telephone system cannot be reached, or too many are listening; come again"},
    },
)
def play(token: str) -> Response:
    """Hand on the sound behind a link; HEAD says what it is."""
    seat = _Seat(current_app.extensions[EXTENSION])
    if not seat.taken:
        return _later("recording.busy", "Too many are listening at the moment.")
    try:
        playing = _opened(token)
        if isinstance(playing, Playing):
            return _answer(playing, seat)
    except BaseException:
        seat.leave()
        raise
    seat.leave()
    return playing


class _Seat:
    """One of the seats for listeners, if there was one; left once, however often the answer is closed."""

    def __init__(self, seats: threading.BoundedSemaphore) -> None:
        self._seats = seats
        self.taken = seats.acquire(blocking=False)

    def leave(self) -> None:
        if self.taken:
            self.taken = False
            self._seats.release()


def _opened(token: str) -> Playing | Response:
    """Open the recording, or say why not: what is over is one answer, what may be better later another."""
    wanted = "" if "If-Range" in request.headers else request.headers.get("Range", "")  # it has no version to compare
    try:
        return open_recording(doorkeeper().services, token, wanted, listen=request.method == "GET")
    except Unsatisfiable as error:
        whole = {} if error.length is None else {"Content-Range": f"bytes */{error.length}"}
        return problem(416, error.code, str(error), **whole)
    except Refused:
        raise Missing from None
    except Upstream as error:
        return _later(error.code, "The recording cannot be fetched right now.")


def _later(code: str, title: str) -> Response:
    return problem(503, code, title, **{"Retry-After": str(RETRY_SECONDS)})


def _answer(playing: Playing, seat: _Seat) -> Response:
    """The sound as a browser may have it: to be played, by whoever asked, and never as anything but a sound."""
    response = Response(playing.chunks, 200, content_type=playing.form)
    response.call_on_close(playing.close)
    response.call_on_close(seat.leave)
    headers = response.headers
    headers["Accept-Ranges"] = "bytes" if playing.length else "none"
    if playing.part is not None:
        response.status_code = 206
        headers["Content-Range"] = f"bytes {playing.part.start}-{playing.part.end - 1}/{playing.length}"
        headers["Content-Length"] = str(playing.part.end - playing.part.start)
    elif playing.length is not None:
        headers["Content-Length"] = str(playing.length)
    headers["Content-Disposition"] = "inline"
    headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # the CRM's page plays it
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cache-Control"] = "no-store"
    return response
