"""Kinds of call, each played by real telephones at a real PBX from the first ring to the last hang-up."""

from __future__ import annotations

import time
from collections.abc import Callable

from domain.call import Call
from domain.ports import PhoneSystem
from integrations import guard
from integrations.telephony.asterisk import Asterisk
from integrations.telephony.asterisk.account import reach_where
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
    with lab.answers("202", talk=2.5), lab.answers("203"):
        caller = lab.calls("+442079460009", talk=4.5)
        bob = talking(lab, "202")
        with manager(lab) as session:
            session.ask("Atxfer", Channel=bob, Context="internal", Exten="203")
        lab.ended(caller)


def merged(lab: Lab) -> None:
    """Bob and Carol each have a caller; whoever looks after the PBX puts the two callers together."""
    with lab.answers("202"), lab.answers("203"):
        first = lab.calls("+442079460001", talk=3.5)
        talking(lab, "202")
        second = lab.calls("+442079460012", caller="+14155550102", talk=LONG)
        talking(lab, "203")
        one, two = (name for name in sorted(lab.live()) if name.startswith("PJSIP/carrier-"))
        with manager(lab) as session:
            session.ask("Bridge", Channel1=one, Channel2=two)
        lab.ended(first)
        lab.ended(second)


def parked(lab: Lab) -> None:
    """Bob takes it and parks the caller; Carol fetches her from the parking space at her own telephone."""
    with lab.answers("202"):
        caller = lab.calls("+442079460009", talk=4.0)
        bob = talking(lab, "202")
        with manager(lab) as session:
            session.ask("BlindTransfer", Channel=bob, Context="internal", Exten="700")
        eventually(lambda: "PJSIP/carrier-" in lab.console("parking show default"), "the caller is parked")
        carol = lab.calls("701", line="203", talk=LONG)
        lab.ended(caller)
        lab.ended(carol)


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


# ---- click to dial: `lab` is asked over the product's own adapter ------------------------------------------------


def dial(lab: Lab, number: str = "+14155550188") -> None:
    """Bob clicks a number, and everything goes quiet again."""
    phone_system(lab).dial(agent_extension="202", agent_email="", number=number)
    eventually(lambda: not lab.live(), "every channel is gone", 40.0)


def clicked(lab: Lab) -> None:
    """Bob takes his telephone, then the customer takes hers and hangs up a second later."""
    with lab.answers("202"), lab.answers("carrier", talk=1.0):
        dial(lab)


def clicked_refused(lab: Lab) -> None:
    """Bob takes his telephone, the customer's line is busy."""
    with lab.answers("202"), lab.refuses("carrier", "486 Busy Here"):
        dial(lab)


def clicked_agent_busy(lab: Lab) -> None:
    """Bob is on another call: the customer is never called."""
    with lab.refuses("202", "486 Busy Here"):
        dial(lab)


def clicked_agent_declines(lab: Lab) -> None:
    with lab.refuses("202", "603 Decline"):
        dial(lab)


def account(lab: Lab) -> dict[str, str]:
    """What an administrator would fill in for this PBX."""
    return {
        "host": "127.0.0.1",
        "port": str(lab.ports["AMI"]),
        "username": "linekeeper",
        "secret": lab.secret,
        "trunks": "carrier",
        "dial_context": "internal",
        "agent_channel": "PJSIP/{extension}",
        "region": "GB",
        "ari_url": f"http://127.0.0.1:{lab.ports['HTTP']}/ari",
        "ari_username": "linekeeper",
        "ari_secret": lab.secret,
    }


def vendor(lab: Lab) -> Asterisk:
    """The product's adapter, told how to get into the lab."""
    return Asterisk(reach=reach_where({"127.0.0.1"}, lab.connect))


def phone_system(lab: Lab, **other: str) -> PhoneSystem:
    """The PBX as the product asks it; `other` replaces parts of the account."""
    http = guard.session(timeout=5, allowed_private_hosts={"127.0.0.1"}, connect=lab.connect)
    return vendor(lab).open(account(lab) | other, http)


# ---- what each adds up to ---------------------------------------------------------------------------------------

Expected = tuple[str, str, str, str, str, str]  # direction, outcome, caller, callee, agent, queue
CALLER, NUMBER = "+14155550101", "+442079460001"

KINDS: dict[str, Play] = {
    play.__name__: play
    for play in (
        answered,
        agent_hangs_up,
        missed,
        busy,
        declined,
        gave_up,
        anonymous,
        one_after_the_other,
        ring_group,
        queue_answered,
        queue_abandoned,
        queue_of_local_members,
        announcement,
        recorded,
        outgoing,
        outgoing_busy,
        outgoing_declined,
        outgoing_given_up,
        internal,
        feature_code,
        blind_transfer,
        attended_transfer,
        merged,
        parked,
        clicked,
        clicked_refused,
        clicked_agent_busy,
        clicked_agent_declines,
    )
}

EXPECTED: dict[str, tuple[Expected, ...]] = {
    "answered": (("inbound", "answered", CALLER, NUMBER, "202", ""),),
    "agent_hangs_up": (("inbound", "answered", CALLER, NUMBER, "202", ""),),
    "missed": (("inbound", "missed", CALLER, "+442079460002", "203", ""),),
    "busy": (("inbound", "missed", CALLER, NUMBER, "202", ""),),
    "declined": (("inbound", "missed", CALLER, NUMBER, "202", ""),),
    "gave_up": (("inbound", "missed", CALLER, NUMBER, "202", ""),),
    "anonymous": (("inbound", "answered", "anonymous", NUMBER, "202", ""),),
    "one_after_the_other": (("inbound", "answered", CALLER, "+442079460004", "202", ""),),
    "ring_group": (("inbound", "answered", CALLER, "+442079460005", "202", ""),),
    "queue_answered": (("inbound", "answered", CALLER, "+442079460006", "202", "support"),),
    "queue_abandoned": (("inbound", "missed", CALLER, "+442079460006", "20?", "support"),),
    "queue_of_local_members": (("inbound", "answered", CALLER, "+442079460007", "202", "local"),),
    "announcement": (("inbound", "missed", CALLER, "+442079460008", "", ""),),
    "recorded": (("inbound", "answered", CALLER, "+442079460003", "202", ""),),
    "outgoing": (("outbound", "answered", "202", "+14155550177", "202", ""),),
    "outgoing_busy": (("outbound", "busy", "202", "+14155550177", "202", ""),),
    "outgoing_declined": (("outbound", "rejected", "202", "+14155550177", "202", ""),),
    "outgoing_given_up": (("outbound", "cancelled", "202", "+14155550177", "202", ""),),
    "internal": (("internal", "answered", "202", "203", "203", ""),),
    "feature_code": (),
    "blind_transfer": (("inbound", "answered", CALLER, "+442079460009", "202", ""),),
    "attended_transfer": (("inbound", "answered", CALLER, "+442079460009", "202", ""),),
    "parked": (("inbound", "answered", CALLER, "+442079460009", "202", ""),),
    "clicked": (("outbound", "answered", "202", "+14155550188", "202", ""),),
    "clicked_refused": (("outbound", "busy", "202", "+14155550188", "202", ""),),
    "clicked_agent_busy": (("outbound", "failed", "202", "+14155550188", "202", ""),),
    "clicked_agent_declines": (("outbound", "cancelled", "202", "+14155550188", "202", ""),),
    "merged": (
        ("inbound", "answered", CALLER, NUMBER, "202", ""),
        ("inbound", "answered", "+14155550102", "+442079460012", "203", ""),
    ),
}


def summary(call: Call) -> Expected:
    """A call as the table above writes it; which of two telephones rang first is chance."""
    agent = "20?" if call.queue and call.outcome == "missed" else call.agent_extension
    return (call.direction, call.outcome or call.state, call.caller, call.callee, agent, call.queue)
