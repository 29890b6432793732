"""Going out to an address a tenant supplied: where it may lead, and that it leads there and nowhere else."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.errors import Forbidden
from integrations import guard

PUBLIC = "93.184.215.14"
HERE = frozenset({"127.0.0.1"})


def answers(*addresses: str) -> Callable[..., list[Any]]:
    """Stand in for the name service: the first question gets the first address, the last one stays."""
    left = list(addresses)

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (part, port)) for part in address.split(",")]

    return resolve


class Server(ThreadingHTTPServer):
    """A web server on this machine that does as the path says and remembers who was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"], self.headers["Cookie"]))
        try:
            getattr(self, self.path.strip("/").split("/")[0])()
        except OSError:  # the other side had enough
            self.close_connection = True

    def hello(self) -> None:
        self.answer(200, b"hello")

    def away(self) -> None:
        self.answer(302, b"", Location="/hello")

    def cookie(self) -> None:
        self.answer(200, b"", **{"Set-Cookie": "who=alice; Path=/"})

    def huge(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(12):
            self.wfile.write(b"100000\r\n" + bytes(0x100000) + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def drip(self) -> None:
        """Send a byte every 50 ms: never silent for long, never done."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.slowly(b"x" * 1000)

    def drip_headers(self) -> None:
        self.slowly(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000)

    def slowly(self, content: bytes) -> None:
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.05)

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with running(Server()) as server:
        yield server


@pytest.mark.parametrize(
    "url",
    [
        "https://pbx.alice.example",
        "https://pbx.alice.example:8443/api/v1?x=1",
        "https://PBX.Alice.Example./api",
        f"https://{PUBLIC}/api",
        "https://[2606:2800:21f:cb07::1]/api",
        "https://telefonía.example/api",
        "http://pbx.inside/api",
        "https://10.0.0.5/api",
    ],
)
def test_addresses_a_tenant_may_name(url: str) -> None:
    """The public internet over https, and what the operator allowed."""
    guard.check_url(url, {"pbx.inside", "10.0.0.5"})


@pytest.mark.parametrize(
    "url",
    [
        "http://pbx.alice.example",
        "ftp://pbx.alice.example",
        "//pbx.alice.example",
        "pbx.alice.example",
        "https://",
        "https:///api",
        "",
        "javascript:alert(1)",
        "https://127.0.0.1",
        "https://127.0.0.1.",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1%25eth0]/",
        "https://[fd00:ec2::254]/",
        "https://0.0.0.0",
        "https://0x7f.1",
        "https://0x7f000001",
        "https://2130706433",
        "https://017700000001",
        "https://127.1",
        "https://127.0.0.01",
        "https://\uff11\uff12\uff17.0.0.1",
        "https://①②⑦.0.0.1",
        "https://10.0.0.5",
        "https://172.16.0.1",
        "https://192.168.1.1",
        "https://100.64.0.1",
        "https://169.254.169.254/latest/meta-data",
        "https://224.0.0.1",
        "https://255.255.255.255",
        "https://localhost",
        "https://api.localhost",
        "https://metadata.google.internal",
        "https://printer.local",
        "https://intranet",
        "https://alice@pbx.alice.example",
        "https://alice:secret@pbx.alice.example",
        "https://pbx.alice.example@127.0.0.1",
        "https://@pbx.alice.example",
        "https://pbx.alice.example\\@127.0.0.1",
        "https://pbx.alice.example:99999",
        "https://pbx.alice.example:x",
        "https://pbx.alice.example/a b",
        "https://pbx.alice.example/\r\nX: y",
        "https://pbx.alice.example/\x00",
        "https://pbx..example",
        f"https://{'a' * 64}.example",
        "https://pbx.alice.example/" + "a" * 2048,
        "http://charlie.inside/pbx.inside",
    ],
    ids=lambda url: repr(url)[:50],
)
def test_addresses_a_tenant_may_not_name(url: str) -> None:
    """Private places, numbers in disguise, users, other schemes: 400 `url.not_allowed` on the form."""
    with pytest.raises(Forbidden) as caught:
        guard.check_url(url, {"pbx.inside"})
    assert caught.value.code == "url.not_allowed"


def test_a_name_that_stands_for_a_private_address_is_refused_when_looked_up() -> None:
    """Judged as written it may pass; with a name service it does not, not even with one private answer of two."""
    guard.check_url("https://pbx.alice.example", ())
    guard.check_url("https://pbx.alice.example", (), answers(PUBLIC))
    for address in ("10.0.0.5", "127.0.0.1", "::1", f"{PUBLIC},192.168.0.1"):
        with pytest.raises(Forbidden):
            guard.check_url("https://pbx.alice.example", (), answers(address))


def test_the_session_connects_to_the_address_it_checked() -> None:
    """The name is looked up once, and the connection is asked for by number."""
    asked: list[Any] = []

    def connect(address: Any, *_: Any, **__: Any) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError("nobody there")

    resolve = answers(PUBLIC, "127.0.0.1")
    with guard.session(timeout=1, resolve=resolve, connect=connect) as session:
        with pytest.raises(requests.ConnectionError):
            session.get("https://pbx.alice.example/api")
        assert asked == [(PUBLIC, 443)]

        with pytest.raises(Forbidden):  # the name has changed its mind: a new connection is a new check
            session.get("https://pbx.alice.example/api")
    assert asked == [(PUBLIC, 443)]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.5", "169.254.169.254", f"{PUBLIC},127.0.0.1"])
def test_a_name_that_leads_inside_is_never_connected_to(address: str) -> None:
    """Whatever the form thought of it."""

    def connect(*_: Any, **__: Any) -> socket.socket:
        raise AssertionError("a connection was tried")

    session = guard.session(timeout=1, resolve=answers(address), connect=connect)
    with session, pytest.raises(Forbidden) as caught:
        session.get("https://pbx.alice.example/api")
    assert caught.value.code == "url.not_allowed"


def test_a_name_nobody_knows_is_a_connection_that_failed() -> None:
    """Not a refusal: the name may be known tomorrow."""

    def resolve(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with guard.session(timeout=1, resolve=resolve) as session, pytest.raises(requests.ConnectionError):
        session.get("https://pbx.alice.example/api")


def test_a_host_the_operator_allowed_is_reached_and_its_neighbours_are_not(server: Server) -> None:
    """`ALLOWED_PRIVATE_HOSTS` names hosts, not networks."""
    with guard.session(timeout=2, allowed_private_hosts=HERE) as session:
        assert session.get(f"http://127.0.0.1:{server.server_port}/hello").text == "hello"
        with pytest.raises(Forbidden):
            session.get(f"http://localhost:{server.server_port}/hello")
    with guard.session(timeout=2) as session, pytest.raises(Forbidden):
        session.get(f"http://127.0.0.1:{server.server_port}/hello")
    assert len(server.asked) == 1


def test_a_redirect_is_handed_back(server: Server) -> None:
    """Nobody is led from a checked address to another."""
    with guard.session(timeout=2, allowed_private_hosts=HERE) as session:
        answer = session.get(f"http://127.0.0.1:{server.server_port}/away", allow_redirects=True)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/hello")
    assert [path for path, *_ in server.asked] == ["/away"]


def test_no_cookie_is_kept(server: Server) -> None:
    """Two tenants of one platform share the session and nothing else."""
    with guard.session(timeout=2, allowed_private_hosts=HERE) as session:
        assert "Set-Cookie" in session.get(f"http://127.0.0.1:{server.server_port}/cookie").headers
        session.get(f"http://127.0.0.1:{server.server_port}/hello")
    assert [cookie for *_, cookie in server.asked] == [None, None]


def test_an_endless_answer_is_cut_off(server: Server) -> None:
    """10 MiB is all we hold, whatever the length was said to be."""
    with guard.session(timeout=10, allowed_private_hosts=HERE) as session, pytest.raises(guard.TooLarge):
        session.get(f"http://127.0.0.1:{server.server_port}/huge")


@pytest.mark.parametrize("path", ["drip", "drip_headers"])
def test_a_dripping_answer_ends_in_time(server: Server, path: str) -> None:
    """A byte now and then keeps no worker busy: the time is for the whole answer. The session lives on."""
    with guard.session(timeout=0.3, allowed_private_hosts=HERE) as session:
        began = time.monotonic()
        with pytest.raises((requests.ConnectionError, requests.Timeout)):
            session.get(f"http://127.0.0.1:{server.server_port}/{path}")
        assert 0.2 < time.monotonic() - began < 2
        assert session.get(f"http://127.0.0.1:{server.server_port}/hello").text == "hello"


def test_an_answer_handed_over_unread_is_as_long_as_whoever_asked_likes(server: Server) -> None:
    """A recording is longer than 10 MiB and is read piece by piece; addresses are checked all the same."""
    with guard.session(timeout=10, allowed_private_hosts=HERE) as session:
        with session.get(f"http://127.0.0.1:{server.server_port}/huge", stream=True) as answer:
            assert sum(len(chunk) for chunk in answer.iter_content(65_536)) == 12 << 20
        with pytest.raises(Forbidden):
            session.get("http://localhost/huge", stream=True)
        assert session.get(f"http://127.0.0.1:{server.server_port}/hello").text == "hello"


@pytest.mark.parametrize(
    ("quiet", "whole", "least"),
    [(0.2, 0.6, 0.5), (0.02, 5.0, 0.0)],
    ids=["never silent, yet too long", "too long a silence"],
)
def test_an_answer_handed_over_unread_has_its_own_time(
    server: Server, quiet: float, whole: float, least: float
) -> None:
    """`timeout=(quiet, whole)` bounds every silence and the sum, whatever the session's time is."""
    with guard.session(timeout=0.1, allowed_private_hosts=HERE) as session:
        began = time.monotonic()
        with (
            pytest.raises((requests.ConnectionError, requests.Timeout)),
            session.get(f"http://127.0.0.1:{server.server_port}/drip", stream=True, timeout=(quiet, whole)) as answer,
        ):
            answer.content  # noqa: B018 - reading it is what fails
        assert least < time.monotonic() - began < 2
        assert session.get(f"http://127.0.0.1:{server.server_port}/hello", timeout=2).text == "hello"


def test_environment_and_netrc_say_nothing(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A proxy would look the name up itself, and .netrc would put its own password over our key."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login charlie password x\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    url = f"http://127.0.0.1:{server.server_port}/hello"
    with guard.session(timeout=2, allowed_private_hosts=HERE) as session:
        answer = session.get(url, headers={"Authorization": "Bearer k"})
    assert answer.request.headers["Authorization"] == "Bearer k"
    prepared = guard.pooled(2.0).prepare_request(requests.Request("GET", url, headers={"Authorization": "Bearer k"}))
    assert prepared.headers["Authorization"] == "Bearer k"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate for `name`, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def test_host_and_certificate_go_by_the_name_though_the_address_is_pinned(tmp_path: Path) -> None:
    """TLS proves the name, not the number; a certificate for another name is refused."""
    cert, key = certificate(tmp_path, "pbx.alice.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    names: list[str | None] = []
    context.sni_callback = lambda connection, name, _: names.append(name)  # and None: go on
    server = Server()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    allowed = {"pbx.alice.example", "pbx.charlie.example"}
    with (
        running(server),
        guard.session(timeout=2, allowed_private_hosts=allowed, resolve=answers("127.0.0.1")) as session,
    ):
        session.verify = str(cert)
        port = server.server_port
        assert session.get(f"https://pbx.alice.example:{port}/hello").text == "hello"
        with pytest.raises(requests.exceptions.SSLError):
            session.get(f"https://pbx.charlie.example:{port}/hello")
    assert server.asked == [("/hello", f"pbx.alice.example:{port}", None)]
    assert names == ["pbx.alice.example", "pbx.charlie.example"]


def test_the_pool_is_one_per_process_and_tries_again_only_what_never_arrived() -> None:
    """A dropped connection after sending is the caller's to judge; a 429 reaches the caller as it is."""
    assert guard.pooled(7.0) is guard.pooled(7.0)
    retry = guard.pooled(7.0).get_adapter("https://www.zohoapis.eu").max_retries  # type: ignore[attr-defined]  # HTTPAdapter's
    assert (retry.connect, retry.read, retry.status, retry.redirect) == (2, 0, 0, 0)
    assert not retry.is_retry("GET", 429, has_retry_after=True)


def test_a_pooled_request_is_sent_once_when_the_connection_drops() -> None:
    """The other side takes the request and hangs up: asked once."""
    asked: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def hang_up() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(4096))

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(requests.ConnectionError):
            guard.pooled(1.0).post(f"http://127.0.0.1:{listening.getsockname()[1]}/calls", json={})
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert len(asked) == 1
