"""The stream of security events: telling Google where to send them, looking, testing and stopping it.

https://developers.google.com/identity/protocols/risc#register_your_receiver_endpoint. Our service account, which needs
the role `roles/riscconfigs.admin`, signs each request itself. Google has one stream for a project and no call that
deletes it: stopping means that nothing is sent any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from domain.errors import NotAllowed, Refused, TryLater
from domain.ports import Http
from integrations.google.risc import KNOWN, TYPES
from integrations.google.robot import Robot

ROOT = "https://risc.googleapis.com"
AUDIENCE = "https://risc.googleapis.com/google.identity.risc.v1beta.RiscManagementService"
PUSH = "https://schemas.openid.net/secevent/risc/delivery-method/push"
ROLE = "roles/riscconfigs.admin"
# Those on Google's list. `account-purged` is the standard's and not there; it is understood if it comes, and not asked
# for, because an event Google does not know may have the whole registration refused.
REQUESTED = tuple(TYPES + kind for kind, name in KNOWN.items() if name != "account-purged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Where Google sends what happens to accounts. `status`: "" where its answer does not say."""

    url: str
    events: tuple[str, ...]
    status: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """The events we ask for and are not sent."""
        return tuple(KNOWN[kind.removeprefix(TYPES)] for kind in REQUESTED if kind not in self.events)


class Streams:
    """The stream of one project."""

    def __init__(self, robot: Robot, http: Http, *, root: str = "", timeout: float = 20.0) -> None:
        self._robot, self._http = robot, http
        self._root, self._timeout = root or ROOT, timeout

    def register(self, url: str) -> None:
        """Have every event of Google's list sent to `url`, and nowhere else."""
        body = {"delivery": {"delivery_method": PUSH, "url": url}, "events_requested": [*REQUESTED]}
        self._post("stream:update", body)
        self._post("stream/status:update", {"status": "enabled"})

    def look(self) -> Stream | None:
        """The stream as Google has it; None where nobody registered one."""
        answer = self._ask("GET", "stream", None, missing=True)
        if answer is None:
            return None
        delivery, events = answer.get("delivery"), answer.get("events_requested")
        return Stream(
            url=_text(delivery.get("url")) if isinstance(delivery, dict) else "",
            events=tuple(map(_text, events)) if isinstance(events, list) else (),
            status=_text(answer.get("status")),
        )

    def verify(self, state: str) -> None:
        """Have Google send a test event that carries `state`."""
        self._post("stream:verify", {"state": state})

    def stop(self) -> None:
        """Have nothing sent any more."""
        self._post("stream/status:update", {"status": "disabled"})

    def _post(self, what: str, body: dict[str, Any]) -> None:
        self._ask("POST", what, body)

    def _ask(self, method: str, what: str, body: Any, *, missing: bool = False) -> dict[str, Any] | None:
        token = self._robot.signed(AUDIENCE)
        try:
            answer = self._http.request(
                method,
                f"{self._root}/v1beta/{what}",
                json=body,
                auth=_bearing(token),
                timeout=self._timeout,
            )
            told = answer.json() if answer.content and answer.status_code == 200 else {}
        except (requests.RequestException, ValueError):
            raise TryLater("Google's service for security events could not be reached.") from None
        if answer.status_code == 404 and missing:
            return None
        if answer.status_code == 401:
            raise Refused("Google does not know our service account.", code="google.robot_refused")
        if answer.status_code == 403:
            raise NotAllowed(
                f"The service account needs the role {ROLE}, and the RISC API switched on.", code="risc.role"
            )
        if answer.status_code >= 500 or answer.status_code == 429:
            raise TryLater("Google's service for security events is busy.")
        if answer.status_code != 200:
            raise Refused(
                "Google refused it: the address must be https, at a domain the project is authorised for.",
                code="risc.refused",
            )
        return told if isinstance(told, dict) else {}


def _bearing(token: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
