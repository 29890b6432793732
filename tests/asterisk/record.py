"""Play every kind of call, or those named, and keep what the PBX said: `python -m tests.asterisk.record [kind ...]`.

The streams are what the tests without an Asterisk read. Only what the product looks at is kept.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from integrations.telephony.asterisk.ami import Block, Session
from tests.asterisk.kinds import KINDS
from tests.asterisk.lab import Lab

STREAMS = Path(__file__).parent / "streams"
ABOUT = ("Channel", "ChannelState", "CallerIDNum", "Context", "Exten", "Uniqueid", "Linkedid")
KEPT = (
    *("Event", "EventName", "Timestamp", *ABOUT, *(f"Dest{name}" for name in ABOUT), "DialStatus", "Cause"),
    *("BridgeUniqueid", "Queue", "Variable", "Value", "Application", "UniqueID", "LinkedID"),
    *("ParkeeUniqueid", "ParkerDialString", "RetrieverChannel", "RetrieverUniqueid", "ParkerChannel", "ParkerUniqueid"),
)


def record(names: list[str]) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="lab") as folder,
        Lab(Path(folder)) as lab,
        Session(lab.connect(("127.0.0.1", lab.ports["AMI"]))) as session,
    ):
        session.login("linekeeper", lab.secret, events=True)
        for name in names:
            _heard(session)
            KINDS[name](lab)
            lines = [json.dumps(_kept(event, folder), ensure_ascii=False) for event in _heard(session)]
            (STREAMS / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
            print(f"{name}: {len(lines)} events")


def _heard(session: Session) -> list[Block]:
    events = []
    while (event := session.event(0.3)) is not None:
        events.append(event)
    return events


def _kept(event: Block, folder: str) -> dict[str, str]:
    return {name: event[name].replace(folder, "/var") for name in KEPT if event.get(name)}


if __name__ == "__main__":
    record(sys.argv[1:] or list(KINDS))
