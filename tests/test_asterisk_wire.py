"""AMI on the wire, with a stand-in at the other end: login, answers among events, and a PBX that misbehaves."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from domain.errors import ConsentLost, Forbidden, NotAllowed, Refused, Unauthentic
from domain.ports import Knock
from integrations import guard
from integrations.telephony.asterisk import VENDOR
from integrations.telephony.asterisk.account import read_account
from integrations.telephony.asterisk.ami import BLOCK_BYTES, Lost, Session, read_block
from tests.asterisk.test_streams import ACCOUNT
from tests.test_guard import PUBLIC, answers

Script = Callable[[socket.socket], None]


class Pbx:
    """The other end of a session: each block that comes is answered by the next line of a script."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.asked: list[dict[str, str]] = []

    def play(self, *answers: str) -> threading.Thread:
        thread = threading.Thread(target=self._play, args=answers, daemon=True)
        thread.start()
        return thread

    def _play(self, *answers: str) -> None:
        came = b""
        for answer in answers:
            while b"\r\n\r\n" not in came:
                came += self.theirs.recv(65_536)
            raw, _, came = came.partition(b"\r\n\r\n")
            block = dict(read_block(raw))
            self.asked.append(block)
            self.theirs.sendall(answer.replace("@", block.get("ActionID", "")).replace("\n", "\r\n").encode())


@pytest.fixture
def pbx() -> Iterator[Pbx]:
    made = Pbx()
    yield made
    made.ours.close()
    made.theirs.close()


def test_the_secret_is_never_sent(pbx: Pbx) -> None:
    """Login answers a challenge; whatever the PBX shows first and in between does not matter."""
    pbx.theirs.sendall(b"Asterisk Call Manager/5.0.4\r\n")
    playing = pbx.play(
        "Response: Success\nActionID: @\nChallenge: 12345\n\n",
        "Event: Newchannel\n\nResponse: Success\nActionID: @\n\n",
    )
    session = Session(pbx.ours)

    session.login("linekeeper", "s3cret", events=True)
    playing.join(5)

    assert hashlib.md5(b"12345s3cret").hexdigest() == pbx.asked[1]["Key"]
    assert "s3cret" not in str(pbx.asked)
    assert {"Event": "Newchannel"} == session.event(1.0), "what came in between is not lost"
    assert session.event(0.01) is None


def test_a_refused_login_asks_for_the_administrator(pbx: Pbx) -> None:
    pbx.theirs.sendall(b"Asterisk Call Manager/5.0.4\r\n")
    pbx.play(
        "Response: Success\nActionID: @\nChallenge: 1\n\n",
        "Response: Error\nActionID: @\nMessage: Authentication failed\n\n",
    )
    with pytest.raises(ConsentLost):
        Session(pbx.ours).login("linekeeper", "wrong", events=False)


def test_another_server_is_not_logged_in_to(pbx: Pbx) -> None:
    pbx.theirs.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    with pytest.raises(Refused):
        Session(pbx.ours).login("linekeeper", "s3cret", events=False)


def test_a_list_is_taken_to_its_end_among_events(pbx: Pbx) -> None:
    """Rows carry our number; events in between, and answers to others, are not rows."""
    pbx.play(
        "Response: Success\nActionID: @\nEventList: start\n\nEvent: CoreShowChannel\nActionID: @\nUniqueid: 1\n\n"
        "Event: Hangup\nUniqueid: 9\n\nEvent: CoreShowChannel\nActionID: @\nUniqueid: 2\n\n"
        "Event: CoreShowChannelsComplete\nActionID: @\nEventList: Complete\nListItems: 2\n\n"
    )
    session = Session(pbx.ours)

    assert ["1", "2"] == [row["Uniqueid"] for row in session.rows("CoreShowChannels")]
    assert {"Event": "Hangup", "Uniqueid": "9"} == session.event(1.0)


@pytest.mark.parametrize(
    ("message", "error"), [("Permission denied", NotAllowed), ("No such channel", Refused), ("", Refused)]
)
def test_refusals_have_names(pbx: Pbx, message: str, error: type[Exception]) -> None:
    pbx.play(f"Response: Error\nActionID: @\nMessage: {message}\n\n")
    with pytest.raises(error):
        Session(pbx.ours).ask("Hangup", Channel="x")


@pytest.mark.parametrize("value", ["+1\r\nAction: Logoff", "1\n2", "1\r2", "1\x002"])
def test_a_line_break_never_leaves(pbx: Pbx, value: str) -> None:
    """It would be a header, or an action, of whoever typed the number."""
    with pytest.raises(Refused):
        Session(pbx.ours).ask("Originate", Exten=value)
    pbx.theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        pbx.theirs.recv(1)


def test_a_broken_or_endless_connection_is_lost(pbx: Pbx) -> None:
    session = Session(pbx.ours)
    flood = threading.Thread(target=pbx.theirs.sendall, args=[b"x" * (BLOCK_BYTES + 100_000)], daemon=True)
    flood.start()
    with pytest.raises(Lost):
        session.event(5.0)
    flood.join(5)
    other = Pbx()
    other.theirs.close()
    with pytest.raises(Lost):
        Session(other.ours).event(5.0)
    other.ours.close()


def test_nobody_is_believed_at_its_door() -> None:
    """Events are fetched; whoever knocks is somebody else."""
    from tests.contracts.test_telephony_vendors import NOON

    secret = VENDOR.new_secret()
    assert len({secret, VENDOR.new_secret()}) == 2
    with pytest.raises(Unauthentic):
        VENDOR.verify(Knock(headers={}, body=b"{}"), [secret], NOON)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""},
        {"host": "ftp://pbx"},
        {"port": "0"},
        {"port": "70000"},
        {"port": "x"},
        {"username": ""},
        {"secret": "-"},
        {"trunks": " , "},
        {"agent_channel": "PJSIP/201"},
        {"agent_channel": "Local/{extension}@internal"},
        {"region": "England"},
    ],
    ids=str,
)
def test_an_account_nothing_can_be_done_with_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(NotAllowed):
        read_account(ACCOUNT | wrong)
    with pytest.raises(NotAllowed):
        next(iter(VENDOR.listen(ACCOUNT | wrong, lambda: False)))


def test_what_does_not_apply_is_a_dash() -> None:
    account = read_account(ACCOUNT | dict.fromkeys(("ari_url", "ari_username", "ari_secret", "region", "port"), "-"))

    assert ("", "", 5038) == (account.recordings, account.region, account.port)
    assert "s3cret" not in repr(account)


# ---- the guard's way to a host and a port -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("127.0.0.1", 5038),
        ("10.0.0.5", 5038),
        ("localhost", 5038),
        ("0x7f.1", 5038),
        ("::1", 5038),
        ("pbx.alice.example/x", 5038),
        ("user@pbx.alice.example", 5038),
        ("pbx.alice.example", 0),
        ("", 5038),
    ],
)
def test_a_private_host_is_not_reached(host: str, port: int) -> None:
    """Unless the operator allowed it; and nothing is connected to before that is known."""
    with pytest.raises(Forbidden):
        guard.reach(host, port, timeout=1, resolve=answers(PUBLIC), connect=never)


def test_a_name_that_leads_inside_is_not_reached() -> None:
    with pytest.raises(Forbidden):
        guard.reach("pbx.alice.example", 5039, timeout=1, resolve=answers("10.0.0.5"), connect=never)


def test_plain_text_goes_to_allowed_hosts_only() -> None:
    """Elsewhere, and where it is asked for, the connection speaks TLS before anything else."""
    for host, tls, first in (("127.0.0.1", False, b""), ("127.0.0.1", True, b"\x16"), (PUBLIC, False, b"\x16")):
        ours, theirs = socket.socketpair()
        ours.settimeout(0.3)

        def connect(address: Any, timeout: float, ours: socket.socket = ours) -> socket.socket:
            return ours

        try:
            guard.reach(host, 5038, timeout=1, allowed_private_hosts={"127.0.0.1"}, tls=tls, connect=connect)
        except OSError:
            assert first, "only TLS waits for an answer"
        theirs.setblocking(False)
        try:
            assert first == theirs.recv(1)
        except BlockingIOError:
            assert not first
        ours.close()
        theirs.close()


def never(*_: Any, **__: Any) -> socket.socket:
    raise AssertionError("connected")
