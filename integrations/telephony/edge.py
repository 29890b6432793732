"""The edge of a vendor's API, where a status becomes an error named after its remedy and an answer becomes a sound.

What telephony vendors have in common when they are asked something. It knows no vendor: what to ask, with which key,
and how to read the answer is each client's own business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError

from domain.errors import ConsentLost, Forbidden, NotAllowed, Refused, TryLater, Unanswered, Upstream
from domain.ports import Http, Sound
from integrations.guard import dropped

LONGEST_WAIT_SECONDS = 3600.0
BAD_RESPONSE = "upstream.bad_response"
GONE = (404, 410)
SOUND_BYTES = 200 * 1024 * 1024  # some hours of speech, however it is coded
SOUND_SECONDS = (10.0, 600.0)  # of silence on the line, and for all of it
SOUND_HEADERS = {"Accept": "audio/*, application/octet-stream;q=0.9", "Accept-Encoding": "identity"}
SOUND_FORM = re.compile(r"audio/[a-z0-9][a-z0-9.+-]{0,63}|application/octet-stream")
CHUNK_BYTES = 65_536
DOTS = re.compile(r"(^|[/\\])\.{1,2}([/\\;]|$)")  # "..", also as "..;" (some Java servers) or behind a backslash


def send(http: Http, method: str, url: str, *, once: bool = False, **options: Any) -> requests.Response:
    """Send a request and return whatever was answered. `once`: doing it twice would be felt.

    Anything else goes a second time when the connection was cut: most likely it had been idle, and given up over there.
    Raises Refused for an address that cannot be used, Unanswered when it may have been done, TryLater when it was not.
    """
    try:
        try:
            response: requests.Response = http.request(method, url, **options)
        except requests.RequestException as error:
            if once or not dropped(error):
                raise
            response = http.request(method, url, **options)
    except Forbidden as error:  # the guard's word on the tenant's address
        raise Refused(str(error), code=error.code) from None
    except requests.RequestException as error:
        if isinstance(error, ValueError) and not isinstance(error, requests.JSONDecodeError):
            raise Refused("The platform's address cannot be used.", code="url.not_allowed") from None
        if once and not never_left(error):
            raise Unanswered("The platform took the request and did not answer.") from None
        slow = isinstance(error, requests.ReadTimeout)
        said = "The platform did not answer in time." if slow else "The platform cannot be reached."
        raise TryLater(said, code="upstream.unreachable") from None
    return response


def never_left(error: requests.RequestException) -> bool:
    """Say whether the connection failed before a byte of the request can have reached the other side."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return (
        isinstance(error, requests.ConnectTimeout)
        or isinstance(reason, (NewConnectionError, ConnectTimeoutError, ProxyError))
        or (isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error))
    )


def trouble_in(status: int, headers: Mapping[str, str], *, once: bool = False) -> Upstream | None:
    """Name the remedy a status asks for; None when all is well."""
    match status:
        case _ if 200 <= status < 300:
            return None
        case 401:
            return ConsentLost("The platform no longer accepts the API key.")
        case 403:
            return NotAllowed("The API key may not do this at the platform.")
        case 502 | 504 if once:  # a gateway that lost sight of a request it had passed on
            return Unanswered("The platform's gateway does not know what became of the request.")
        case 408 | 425 | 429:
            return TryLater("The platform asks us to slow down.", wait=wait_asked(headers))
        case _ if status >= 500:
            return TryLater("The platform has trouble of its own.", wait=wait_asked(headers))
        case _ if 300 <= status < 400:
            return Refused("The platform's address leads somewhere else.", code="upstream.redirected")
        case _:
            return Refused(f"The platform refused with {status}.")


def wait_asked(headers: Mapping[str, str]) -> float:
    """Return the seconds `Retry-After` asks for, at most an hour; 0 when it does not say."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked[:9]), LONGEST_WAIT_SECONDS)
    try:  # a date means something only beside the clock of whoever wrote it
        seconds = (parsedate_to_datetime(asked) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def bad_response(why: str = "The platform's answer cannot be read.") -> TryLater:
    """Name the remedy for an answer that makes no sense: it may tomorrow."""
    return TryLater(why, code=BAD_RESPONSE)


def is_below(url: str, base_url: str) -> bool:
    """Say whether `url` is a part of the API at `base_url`, so that the API's key may be shown to it."""
    try:
        asked, base = urlsplit(url), urlsplit(base_url)
        same = (asked.scheme, asked.hostname, _port(asked)) == (base.scheme, base.hostname, _port(base))
    except ValueError:
        return False
    if not same or "@" in asked.netloc or DOTS.search(unquote(unquote(asked.path))):
        return False
    return asked.path.startswith(f"{base.path.rstrip('/')}/")


def sound(http: Http, url: str, headers: Mapping[str, str] | None = None) -> Sound:
    """Open the recording at `url`. `headers` hold the key; without them it must be an address that needs none.

    Raises Refused for a recording that is gone, too long or no sound at all.
    """
    response = send(http, "GET", url, headers={**SOUND_HEADERS, **(headers or {})}, stream=True, timeout=SOUND_SECONDS)
    if trouble := _no_sound(response, keyed=headers is not None):
        response.close()
        raise trouble
    return Sound(content_type=_form(response), length=_length(response), chunks=_chunks(response))


def forget_sound(http: Http, url: str, headers: Mapping[str, str]) -> None:
    """Delete the recording at `url`; gone already is fine."""
    response = send(http, "DELETE", url, headers=dict(headers))
    if response.status_code not in GONE and (trouble := trouble_in(response.status_code, response.headers)):
        raise trouble


def _no_sound(response: requests.Response, *, keyed: bool) -> Upstream | None:
    status = response.status_code
    if status in GONE or (status in (401, 403) and not keyed):  # no key was shown: the link itself has run out
        return Refused("The recording is not there any more.", code="recording.gone")
    if trouble := trouble_in(status, response.headers):
        return trouble
    if _form(response) == "text/html":  # a page for people: maintenance, most likely
        return bad_response()
    if not SOUND_FORM.fullmatch(_form(response)) or response.headers.get("Content-Encoding", "identity") != "identity":
        return Refused("What is there is not a recording.", code="recording.not_sound")
    return _too_long() if (_length(response) or 0) > SOUND_BYTES else None


def _chunks(response: requests.Response) -> Iterator[bytes]:
    left = SOUND_BYTES
    with response:
        try:
            for chunk in response.iter_content(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise _too_long()
                yield chunk
        except requests.RequestException:
            raise TryLater("The recording broke off.", code="upstream.unreachable") from None


def _too_long() -> Refused:
    return Refused("The recording is longer than 200 MB.", code="recording.too_long")


def _form(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _length(response: requests.Response) -> int | None:
    told = response.headers.get("Content-Length", "")
    return int(told) if re.fullmatch(r"[0-9]{1,18}", told) else None


def _port(parts: Any) -> int | None:
    return parts.port or {"https": 443, "http": 80}.get(parts.scheme)
