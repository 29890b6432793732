"""From a telephone that rings to a call in the books: a real Asterisk at one end, PostgreSQL at the other."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from commands.listen import Listeners
from domain.call import Call
from jobs.connect import add_phone_system, disconnect
from jobs.worker import visit
from store.database import TenantId
from store.embedded import Postgres
from tests import house
from tests.asterisk.kinds import KINDS, account, vendor
from tests.asterisk.lab import Lab, eventually

pytestmark = pytest.mark.needs("asterisk", "sip-tester")


def test_a_call_is_in_the_books_even_if_nobody_listened_when_it_ended(
    db_urls: Postgres, work_url: str, mail_url: str, tenant: TenantId
) -> None:
    """One call heard whole, and one whose end comes while the listener is away."""
    with (
        TemporaryDirectory(prefix="lab") as folder,
        Lab(Path(folder)) as lab,
        house.services(db_urls, work_url, mail_url, ALLOWED_PRIVATE_HOSTS="127.0.0.1") as opened,
    ):
        services = dataclasses.replace(opened, telephony={**opened.telephony, "asterisk": vendor(lab)})
        user = house.administrator(services, tenant)
        tie = add_phone_system(services, user=user, vendor="asterisk", account=account(lab)).tie

        def known(state: str) -> list[Call]:
            visit(services, tenant, "calls")
            return [kept.call for kept in services.calls.recent(tenant) if kept.call.state == state]

        first = Listeners(services, threading.Event())
        first.look()
        eventually(lambda: services.connections.get(tenant, tie).last_ok_at, "somebody listens")
        KINDS["answered"](lab)
        eventually(lambda: known("ended"), "the first call is in the books")
        with lab.answers("202"):
            caller = lab.calls("+442079460001", caller="+14155550102", talk=2.0)
            eventually(lambda: known("answered"), "they speak")
            first.end()
            lab.ended(caller)
        assert 1 == len(known("answered")), "as far as anybody knows"

        second = Listeners(services, threading.Event())
        second.look()
        both = eventually(lambda: [*known("ended")][1:] and known("ended"), "both are in the books")
        second.end()
        disconnect(services, user=user, tie=tie)

    assert [("+14155550102", "answered", "202"), ("+14155550101", "answered", "202")] == [
        (call.caller, call.outcome, call.agent_extension) for call in both
    ]
