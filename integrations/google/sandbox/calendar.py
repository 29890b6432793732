"""Google Calendar as far as it says when somebody is busy: `freebusy.query`, for the asker's own calendar.

A calendar nobody may look into, or that could not be worked out, is an error beside the others and no refusal of the
whole (https://developers.google.com/workspace/calendar/api/v3/reference/freebusy/query); a range that is empty or too
long is one (https://developers.google.com/workspace/calendar/api/guides/errors).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask

from .api import Api, Call, Json
from .control import Unclear, body, user_of
from .errors import GoogleError, bad
from .scopes import scopes
from .world import World

SEE = scopes("calendar", "calendar.readonly", "calendar.freebusy", "calendar.events.freebusy")
MOST_CALENDARS = 50
LONGEST = timedelta(days=92)


def install(app: Flask, world: World) -> None:
    """Open the method, and the stage's side of it."""
    calendar = Api(app, world, "www.googleapis.com", "/calendar/v3")

    @calendar.method("POST", "/freeBusy", SEE)
    def query(call: Call) -> Json:
        asked = call.body()
        since, until = (point(asked.get(name), name) for name in ("timeMin", "timeMax"))
        if until <= since:
            raise GoogleError(400, "The specified time range is empty.", "timeRangeEmpty")
        if until - since > LONGEST:
            raise GoogleError(400, "The requested time range is too long.", "timeRangeTooLong")
        names = [str(one.get("id", "")) for one in asked.get("items", ())]
        found = {name: shown(world, call.user.email, name, since, until, len(names)) for name in names}
        return {"kind": "calendar#freeBusy", "timeMin": said(since), "timeMax": said(until), "calendars": found}

    @app.post("/_stage/busy")
    def set_busy() -> Json:
        asked = body()
        times = [[point(start, "start"), point(end, "end")] for start, end in asked.get("times", ())]
        if any(end <= start for start, end in times):
            raise Unclear("a time ends after it starts")
        world.busy[user_of(world, asked).email] = {"times": times, "error": str(asked.get("error", ""))}
        return {}


def shown(world: World, user: str, name: str, since: datetime, until: datetime, many: int) -> Json:
    """One calendar's part of the answer: times and nothing else, or why there are none."""
    kept: dict[str, Any] = world.busy.get(user, {"times": [], "error": ""})
    mine = name in ("primary", user)
    problem = "tooManyCalendarsRequested" if many > MOST_CALENDARS else kept["error"] if mine else "notFound"
    if problem:
        return {"errors": [{"domain": "global", "reason": problem}], "busy": []}
    times = [(max(start, since), min(end, until)) for start, end in kept["times"] if start < until and since < end]
    return {"busy": [{"start": said(start), "end": said(end)} for start, end in sorted(times)]}


def point(value: Any, name: str) -> datetime:
    """Read a moment as RFC 3339 has it, with its zone."""
    try:
        read = datetime.fromisoformat(str(value))
    except ValueError:
        raise bad(f"Invalid value for {name}.") from None
    if read.tzinfo is None:
        raise bad(f"Invalid value for {name}.")
    return read.astimezone(UTC)


def said(at: datetime) -> str:
    """A moment as Calendar writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
