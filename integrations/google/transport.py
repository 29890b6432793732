"""How a call travels to Google: with its own user's token, never sent twice by itself, its failure named by its remedy.

googleapiclient's usual transport, httplib2, mixes up the answers of threads that share one
(https://googleapis.github.io/google-api-python-client/docs/thread_safety.html) and silently re-sends a POST whose
connection was cut. So `sessions` shares nothing between threads, `UserHttp` puts a token on each request, keeping none,
and a request leaves once: it is repeated after a 401, which says that nothing was done, and, where that does no harm,
after a connection was cut. Refusals are understood here, before googleapiclient sees them: it would write their bodies
into the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httplib2
import requests
from googleapiclient.errors import BatchError, HttpError
from googleapiclient.http import BatchHttpRequest
from urllib3.exceptions import NewConnectionError

from domain.errors import ConsentLost, TryLater, Unanswered, Upstream
from domain.ports import Http, Tokens
from integrations.google.remedy import NotThere, remedy
from integrations.guard import dropped

SMALLER_BATCH = 10
UNREADABLE = "Google's answer could not be read."


@dataclass(frozen=True, slots=True)
class UserHttp:
    """One user's way to Google: what a leaf's request is executed with."""

    tokens: Tokens
    http: Http
    timeout: float = 20.0  # seconds until a connection stands, and again until the next piece of the answer is there
    now: Callable[[], float] = time.time
    repeatable: bool = False  # doing it twice does no harm, so silence means: try again

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> tuple[httplib2.Response, bytes]:
        """Send what googleapiclient made; return its answer, or raise what `domain.errors` has a name for."""
        repeatable = self.repeatable or method == "GET"
        answer = self._send(uri, method, body, headers, self.tokens(), repeatable)
        if answer.status_code == 401:
            answer = self._send(uri, method, body, headers, self.tokens(renew=True), repeatable)
            if answer.status_code == 401:
                raise ConsentLost
        if answer.status_code >= 300:
            raise remedy(answer.status_code, answer.content, answer.headers, self.now(), repeatable)
        return _as_httplib2(answer), answer.content

    def _send(
        self,
        uri: str,
        method: str,
        body: str | bytes | None,
        headers: Mapping[str, str] | None,
        token: str,
        repeatable: bool,
    ) -> requests.Response:
        def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        options = {
            "data": body.encode() if isinstance(body, str) else body,
            "headers": {key: value for key, value in (headers or {}).items() if key.lower() != "content-length"},
            "auth": sign,  # as a header, an entry in somebody's .netrc would replace it
            "allow_redirects": False,
            "timeout": self.timeout,
        }
        try:
            try:
                answer: requests.Response = self.http.request(method, uri, **options)
            except requests.RequestException as error:
                if not repeatable or not dropped(error):
                    raise
                answer = self.http.request(method, uri, **options)
        except requests.RequestException as error:
            if repeatable or _never_left(error):
                raise TryLater("Google could not be reached.") from None
            raise Unanswered from None
        return answer


def execute(request: Any, user: UserHttp, *, repeatable: bool = False) -> dict[str, Any]:
    """Do one call as `user`. `repeatable`: it changes something, but twice is the same as once."""
    repeatable = repeatable or request.method == "GET"
    try:
        answer = request.execute(http=replace(user, repeatable=repeatable)) or {}
    except ValueError:
        answer = None
    if not isinstance(answer, dict):  # an answer came and cannot be read: a proxy's page, or cut short
        raise TryLater(UNREADABLE) if repeatable else Unanswered
    return answer


def read_many(asked: Mapping[str, Any], user: UserHttp, address: str) -> dict[str, dict[str, Any]]:
    """Do many reading calls in one request; return the answers by name, leaving out what is not there.

    Google refuses some of a batch when one user has too many in flight; those are asked for again in smaller ones.
    """
    answers, unhappy = _batch(asked, user, address)
    if any(isinstance(error, ConsentLost) for error in unhappy.values()):
        user.tokens(renew=True)
        again, unhappy = _batch({name: asked[name] for name in unhappy}, user, address)
        answers |= again
    if answers and unhappy and all(isinstance(error, TryLater) for error in unhappy.values()):
        names = list(unhappy)
        unhappy = {}
        for start in range(0, len(names), SMALLER_BATCH):
            again, still = _batch({name: asked[name] for name in names[start : start + SMALLER_BATCH]}, user, address)
            answers |= again
            unhappy |= still
    for error in unhappy.values():
        raise error
    return answers


def _batch(
    asked: Mapping[str, Any], user: UserHttp, address: str
) -> tuple[dict[str, dict[str, Any]], dict[str, Exception]]:
    """Send one batch; return answers and refusals by name."""
    answers: dict[str, dict[str, Any]] = {}
    unhappy: dict[str, Exception] = {}

    def hear(name: str, answer: Any, error: HttpError | None) -> None:
        if isinstance(answer, dict):
            answers[name] = answer
        elif error is None:
            unhappy[name] = TryLater(UNREADABLE)
        elif error.resp.status == 401:
            unhappy[name] = ConsentLost()
        else:
            reason = remedy(error.resp.status, error.content, error.resp, user.now(), repeatable=True)
            if not isinstance(reason, NotThere):
                unhappy[name] = reason

    batch = BatchHttpRequest(callback=hear, batch_uri=address)
    for name, request in asked.items():
        batch.add(request, request_id=name)
    try:
        batch.execute(http=replace(user, repeatable=True))  # type: ignore[arg-type]  # it only calls .request
    except Upstream:
        raise
    except (BatchError, LookupError, ValueError, TypeError):  # cut short, or not a batch's answer at all
        raise TryLater(UNREADABLE) from None
    return answers, unhappy


def _as_httplib2(answer: requests.Response) -> httplib2.Response:
    headers = {key.lower(): value for key, value in answer.headers.items()}
    return httplib2.Response({**headers, "status": str(answer.status_code)})


def _never_left(error: requests.RequestException) -> bool:
    """Was there no connection, so that nobody can have read the request?"""
    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(getattr(cause, "reason", None), NewConnectionError)
