"""What the understudy posts to us: to this machine only, whatever address it was given."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def is_loopback(url: str) -> bool:
    """Say whether an address is on this machine, the only place we post to."""
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and parts.hostname in LOOPBACK


def is_acceptable(url: object) -> bool:
    """Say whether Zoho would take the address: https, except that the stage may use http on this machine."""
    return isinstance(url, str) and len(url) <= 255 and (urlsplit(url).scheme == "https" or is_loopback(url))


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: it could lead off this machine."""

    def redirect_request(self, *_: object) -> None:
        return None


def post(url: str, data: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    """Post once, without proxy or redirect; status 0 means nobody answered."""
    if not is_loopback(url):
        return 0, "not on this machine"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Straight())
    try:
        request = urllib.request.Request(url, data=data, headers=dict(headers), method="POST")
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read(10_000).decode(errors="replace")
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read(10_000).decode(errors="replace")
    except (OSError, ValueError) as failed:
        return 0, type(failed).__name__
