"""Kinds of call, each played by real telephones at a real PBX from the first ring to the last hang-up."""

from __future__ import annotations

import time
from collections.abc import Callable

from integrations.telephony.asterisk.ami import Session
from tests.asterisk.lab import Lab, eventually

Play = Callable[[Lab], None]
LONG = 60.0


def answered(lab: Lab) -> None:
    """Bob takes it, the caller hangs up."""
    with lab.answers("202"):
        lab.ended(lab.calls("+442079460001"))


def agent_hangs_up(lab: Lab) -> None:
    """Bob takes it and hangs up himself."""
    with lab.answers("202", talk=1.0):
        lab.ended(lab.calls("+442079460001", talk=LONG))


def missed(lab: Lab) -> None:
    """Carol's telephone rings for two seconds."""
    with lab.silent("203"):
        lab.ended(lab.calls("+442079460002"))


def busy(lab: Lab) -> None:
    with lab.refuses("202", "486 Busy Here"):
        lab.ended(lab.calls("+442079460001"))


def declined(lab: Lab) -> None:
    with lab.refuses("202", "603 Decline"):
        lab.ended(lab.calls("+442079460001"))


def gave_up(lab: Lab) -> None:
    """The caller hangs up while it rings."""
    with lab.silent("202"):
        lab.ended(lab.calls("+442079460001", talk=0.8, gives_up=True))


def anonymous(lab: Lab) -> None:
    with lab.answers("202"):
        lab.ended(lab.calls("+442079460001", caller="anonymous", name="Anonymous"))


def one_after_the_other(lab: Lab) -> None:
    """Carol does not take it, then Bob does: her telephone falling silent is not the end."""
    with lab.silent("203"), lab.answers("202"):
        lab.ended(lab.calls("+442079460004"))


def ring_group(lab: Lab) -> None:
    """Both telephones ring, Bob is faster."""
    with lab.silent("203"), lab.answers("202", ring=0.6):
        lab.ended(lab.calls("+442079460005"))


def queue_answered(lab: Lab) -> None:
    with lab.silent("203"), lab.answers("202", ring=0.6):
        lab.ended(lab.calls("+442079460006", talk=2.0))


def queue_abandoned(lab: Lab) -> None:
    """The queue answers, two telephones ring, the caller has enough."""
    with lab.silent("203"), lab.silent("202"):
        lab.ended(lab.calls("+442079460006", talk=1.2))


def queue_of_local_members(lab: Lab) -> None:
    """A queue that reaches its members through the dialplan, as FreePBX does."""
    with lab.answers("202", ring=0.6):
        lab.ended(lab.calls("+442079460007", talk=2.0))


def announcement(lab: Lab) -> None:
    """The PBX answers, speaks and hangs up; no telephone rang."""
    lab.ended(lab.calls("+442079460008", talk=LONG))


def recorded(lab: Lab) -> None:
    with lab.answers("202", sound=True):
        lab.ended(lab.calls("+442079460003", talk=2.0, sound=True))


def outgoing(lab: Lab) -> None:
    """Bob dials a number by hand, the customer takes it."""
    with lab.answers("carrier"):
        lab.ended(lab.calls("+14155550177", line="202"))


def outgoing_busy(lab: Lab) -> None:
    with lab.refuses("carrier", "486 Busy Here"):
        lab.ended(lab.calls("+14155550177", line="202"))


def outgoing_declined(lab: Lab) -> None:
    with lab.refuses("carrier", "603 Decline"):
        lab.ended(lab.calls("+14155550177", line="202"))


def outgoing_given_up(lab: Lab) -> None:
    with lab.silent("carrier"):
        lab.ended(lab.calls("+14155550177", line="202", talk=0.8, gives_up=True))


def internal(lab: Lab) -> None:
    """Bob calls Carol."""
    with lab.answers("203"):
        lab.ended(lab.calls("203", line="202"))


def feature_code(lab: Lab) -> None:
    """Bob asks the PBX something: no call of anybody's."""
    lab.ended(lab.calls("*43", line="202", talk=LONG))


def blind_transfer(lab: Lab) -> None:
    """Bob takes it and sends the caller on to Carol."""
    with lab.answers("202"), lab.answers("203"):
        caller = lab.calls("+442079460009", talk=4.0)
        bob = talking(lab, "202")
        with manager(lab) as session:
            session.ask("BlindTransfer", Channel=bob, Context="internal", Exten="203")
        lab.ended(caller)


def attended_transfer(lab: Lab) -> None:
    """Bob takes it, asks Carol, and hands the caller over."""
    with lab.answers("202", talk=4.0), lab.answers("203"):
        caller = lab.calls("+442079460009", talk=7.0)
        bob = talking(lab, "202")
        with manager(lab) as session:
            session.ask("Atxfer", Channel=bob, Context="internal", Exten="203")
        lab.ended(caller)


def talking(lab: Lab, line: str) -> str:
    """Wait until a telephone has been taken; return its channel."""

    def found() -> str:
        for row in lab.console("core show channels concise").splitlines():
            name, *rest = row.split("!")
            if name.startswith(f"PJSIP/{line}-") and "Up" in rest[:5]:
                return name
        return ""

    channel: str = eventually(found, f"{line} is taken")
    time.sleep(0.3)  # the bridge is made a moment later
    return channel


def manager(lab: Lab) -> Session:
    """Log in beside the listener."""
    session = Session(lab.connect(("127.0.0.1", lab.ports["AMI"])))
    session.login("linekeeper", lab.secret, events=False)
    return session


KINDS: dict[str, Play] = {
    play.__name__: play
    for play in (
        answered, agent_hangs_up, missed, busy, declined, gave_up, anonymous, one_after_the_other, ring_group,
        queue_answered, queue_abandoned, queue_of_local_members, announcement, recorded, outgoing, outgoing_busy,
        outgoing_declined, outgoing_given_up, internal, feature_code, blind_transfer, attended_transfer,
    )
}
