"""Ways out: guarded ones to addresses a tenant supplied, for requests and for bare connections, and a pooled session.

The guard looks a name up once, connects to the very address it checked, and keeps the name for Host and TLS: a name
that changes its mind between check and use gains nothing. It knows no vendor and turns no status into an error.
"""

from __future__ import annotations

import io
import ipaddress
import math
import re
import socket
import ssl
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProtocolError
from urllib3.util.connection import create_connection

from domain.errors import Forbidden

NOT_ALLOWED = "url.not_allowed"
URL_CHARACTERS = 2048
BODY_BYTES = 10 * 1024 * 1024
CHUNK_BYTES = 65_536
ADDRESSES_TRIED = 3
POOL_CONNECTIONS = 32
HOSTS_REMEMBERED = 1_000
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110, 9.2.2
INSIDE_NAMES = ("localhost", "local", "internal", "lan", "home.arpa")  # names that never leave a building
UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that is handed out (RFC 4291, 2.4)
SIX_TO_FOUR = ipaddress.ip_network("2002::/16")  # carries an IPv4 address of the sender's choice (RFC 3056)
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # the last four bytes are an IPv4 address (RFC 6052)

Resolve = Callable[..., Any]  # socket.getaddrinfo or a stand-in
Connect = Callable[..., socket.socket]  # urllib3's create_connection or a stand-in


class TooLarge(requests.RequestException):
    """The answer is longer than we are willing to hold."""


def check_url(url: str, allowed_private_hosts: Collection[str], resolve: Resolve | None = None) -> None:
    """Raise Forbidden unless a tenant may name this address: https, or a host the operator allowed, no tricks.

    Without `resolve` names are judged as they are written (what a form needs); what a name stands for is checked again,
    whatever happened here, when a guarded session connects.
    """
    if len(url) > URL_CHARACTERS or not url.isprintable() or re.search(r"[\s\\]", url):
        raise _no("The address is too long or holds characters an address cannot have.")
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = (parts.hostname or "").rstrip(".")
        host = host if ":" in host else host.encode("idna").decode("ascii").lower()  # ① and full-width digits unmasked
    except ValueError:  # UnicodeError is one
        raise _no("The address cannot be read.") from None
    if not host or "@" in parts.netloc:
        raise _no("The address must name a host and no user.")
    if parts.scheme not in ("http", "https"):
        raise _no("The address must begin with https://.")
    if host in allowed_private_hosts:
        return
    if parts.scheme != "https":
        raise _no("The address must begin with https://.")
    literal = _literal(host)
    if literal is None and ("." not in host or host.endswith(tuple(f".{name}" for name in INSIDE_NAMES))):
        raise _no("The address names a private host.")
    if literal is not None and not is_public(literal):
        raise _no("The address is not on the public internet.")
    if resolve is not None and literal is None:
        _Rules(frozenset(allowed_private_hosts), resolve, create_connection).addresses(host, port)


def is_public(address: str) -> bool:
    """Say whether an IP address is somebody's on the public internet: no loopback, private, link-local or multicast."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if (inner := ip.ipv4_mapped) is not None:
            return is_public(str(inner))
        if ip in NAT64:
            return is_public(str(ipaddress.IPv4Address(ip.packed[-4:])))
        return ip.is_global and ip in UNICAST and ip not in SIX_TO_FOUR
    return ip.is_global and not ip.is_multicast


def session(
    *,
    timeout: float,
    allowed_private_hosts: Collection[str] = (),
    resolve: Resolve = socket.getaddrinfo,
    connect: Connect = create_connection,
) -> Session:
    """Make a session for tenants' addresses. `timeout`, in seconds, bounds connecting and then the whole answer.

    Raises Forbidden (code "url.not_allowed") before a byte leaves, `TooLarge` beyond 10 MiB, and what requests raises.
    Redirects are handed back unfollowed; proxies, cookies and .netrc are never used. With `stream=True` the answer is
    handed over unread, and how much of it is too much is for whoever asked; `timeout=(quiet, whole)` then gives
    a long one its time: so many seconds without a byte, so many for all of it.
    """
    return _Guarded(timeout, _Rules(frozenset(allowed_private_hosts), resolve, connect))


def reach(
    host: str,
    port: int,
    *,
    timeout: float,
    allowed_private_hosts: Collection[str] = (),
    tls: bool = False,
    resolve: Resolve = socket.getaddrinfo,
    connect: Connect = create_connection,
    context: ssl.SSLContext | None = None,
) -> socket.socket:
    """Connect to a host and port a tenant named, for vendors that speak no HTTP; under TLS unless the host is allowed.

    Raises Forbidden (code "url.not_allowed") before a byte leaves, and OSError when nobody answers or the certificate
    is not the host's. `tls` asks for it at an allowed host too.
    """
    literal = f"[{host}]" if ":" in host else host
    if not 0 < port < 65_536 or re.search(r"[/?#@\[\]]", host):
        raise _no("The address must be a host and a port.")
    check_url(f"https://{literal}:{port}", allowed_private_hosts)
    trouble: OSError = OSError("no address")
    for address in _Rules(frozenset(allowed_private_hosts), resolve, connect).addresses(host, port):
        try:
            connected = connect((address, port), timeout)
        except OSError as error:
            trouble = error
            continue
        if not tls and host.lower() in allowed_private_hosts:
            return connected
        try:
            return (context or ssl.create_default_context()).wrap_socket(connected, server_hostname=host)
        except BaseException:
            connected.close()
            raise
    raise trouble


def dropped(error: requests.RequestException) -> bool:
    """Say whether a connection was cut without an answer, as when the other side gave up an idle one just then.

    What may be repeated is worth repeating at once: RFC 9112, 9.3.1. A timeout is not, nor is what never got through.
    """
    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectionError) and isinstance(cause, ProtocolError)


@cache
def pooled(timeout: float) -> Session:
    """Return this process's session for vendors we know. Only a connection that was never made is tried again."""
    pool = Session(timeout)
    again = Retry(
        total=2,
        connect=2,
        read=0,
        redirect=0,
        status=0,
        other=0,
        backoff_factor=0.1,
        allowed_methods=IDEMPOTENT,
        respect_retry_after_header=False,  # else a 429 that asks to wait would become an exception without a status
    )
    for prefix in ("https://", "http://"):
        pool.mount(prefix, HTTPAdapter(max_retries=again, pool_maxsize=POOL_CONNECTIONS))
    return pool


def _no(why: str) -> Forbidden:
    return Forbidden(why, code=NOT_ALLOWED)


def _literal(host: str) -> str | None:
    """Return the IP address `host` is written as, None for a name. Raises Forbidden for 0x7f.1, 2130706433 and kin."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        # "Ends in a number" (WHATWG URL): such a host is an IPv4 address to most C libraries, whatever it looks like.
        if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
            raise _no("The address is a number in disguise.") from None
        return None


@dataclass(frozen=True, slots=True)
class _Rules:
    allowed: frozenset[str]
    resolve: Resolve
    connect: Connect

    def addresses(self, host: str, port: int) -> list[str]:
        """Look `host` up, once. Raises Forbidden if any answer is private: a mixed answer is an attack or a mistake."""
        found = [str(info[4][0]) for info in self.resolve(host, port, type=socket.SOCK_STREAM)]
        if host.lower() not in self.allowed and not (found and all(is_public(address) for address in found)):
            raise _no("The address leads to a private network.")
        return list(dict.fromkeys(found))[:ADDRESSES_TRIED]


class Session(requests.Session):
    """A session many tenants can share: it remembers nothing between requests and never follows a redirect."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self.timeout = timeout
        self._around: dict[tuple[str, str, str], Any] = {}
        self.auth = _as_it_is
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Ask as requests does; spelled so that a session is what `domain.ports.Http` describes."""
        return super().request(method, url, *args, **options)

    def merge_environment_settings(self, url: Any, *asked: Any) -> Any:
        """Read the environment's proxies and certificates once for each host: it does not change while we run."""
        parts = urlsplit(str(url))
        key = (parts.scheme, parts.netloc, repr(asked))
        if key not in self._around:
            if len(self._around) > HOSTS_REMEMBERED:
                self._around.clear()
            self._around[key] = super().merge_environment_settings(url, *asked)
        return {**self._around[key]}

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if options.get("timeout") is None:
            options["timeout"] = self.timeout
        return super().send(request, **options)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow nothing: our requests carry tokens, and a checked address must stay the address."""


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stand in for credentials, because requests would replace our Authorization header by one from .netrc."""
    return request


class _Guarded(Session):
    def __init__(self, timeout: float, rules: _Rules) -> None:
        super().__init__(timeout)
        self.rules = rules
        self.trust_env = False  # a proxy would do the connecting, and look the name up itself
        self.headers["Accept-Encoding"] = "identity"  # nothing to inflate
        for prefix in ("https://", "http://"):
            self.mount(prefix, _Adapter(rules))

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        check_url(request.url or "", self.rules.allowed)
        if options.get("stream"):
            return super().send(request, **options)
        response = super().send(request, **(options | {"stream": True}))
        content = bytearray()
        for chunk in response.iter_content(CHUNK_BYTES):
            content += chunk
            if len(content) > BODY_BYTES:
                response.close()
                raise TooLarge("the answer is too long", request=request)
        response._content = bytes(content)  # as requests itself does when it is not asked to stream
        return response


class _Adapter(HTTPAdapter):
    def __init__(self, rules: _Rules) -> None:
        self.rules = rules
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        # Whatever a pool does not know it hands on to its connections, and so `rules` reaches them.
        self.poolmanager.pool_classes_by_scheme = cast(
            Any, {"http": partial(_Pool, rules=self.rules), "https": partial(_TlsPool, rules=self.rules)}
        )


class _Connection(HTTPConnection):
    """A connection that goes to a checked address, and whose answer is whole within its time or not at all."""

    def __init__(self, *args: Any, rules: _Rules, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rules = rules
        self.began, self.quiet = 0.0, math.inf

    def _new_conn(self) -> socket.socket:
        try:
            addresses = self.rules.addresses(self.host, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        trouble: OSError = OSError("no address")
        for address in addresses:
            try:
                return self.rules.connect(
                    (address, self.port),
                    self.timeout,
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
            except OSError as error:
                trouble = error
        if isinstance(trouble, TimeoutError):
            raise ConnectTimeoutError(self, "connecting took too long") from trouble
        raise NewConnectionError(self, "no connection could be made") from trouble

    def request(self, *args: Any, **options: Any) -> None:
        self.began, self.quiet = time.monotonic(), self._seconds()  # so far it is the time for connecting
        if self.sock is not None:
            self.sock.settimeout(self.timeout)  # the last answer may have left little
        super().request(*args, **options)

    def getresponse(self) -> Any:
        until = self.began + self._seconds()  # by now it is the time for the answer
        self.response_class = cast(Any, partial(_Timely, until=until, quiet=self.quiet))
        return super().getresponse()

    def _seconds(self) -> float:
        return float(self.timeout) if isinstance(self.timeout, (int, float)) else math.inf


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Timely(HTTPResponse):
    """An answer with a deadline. A socket's own timeout starts anew with every byte that drips in."""

    def __init__(self, sock: socket.socket, *args: Any, until: float, quiet: float, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Drip(sock, until, quiet))


class _Drip(io.RawIOBase):
    def __init__(self, sock: socket.socket, until: float, quiet: float) -> None:
        self.sock = sock
        self.until = until
        self.quiet = quiet
        self.raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the whole answer took too long")
        seconds = min(left, self.quiet)
        self.sock.settimeout(None if seconds == math.inf else seconds)
        return self.raw.readinto(buffer)

    def close(self) -> None:
        self.raw.close()
        super().close()
