"""Alice's whole office for a test: her Zoho and her phone system on loopback, our doors, and a worker on request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import waitress.server
from flask import Flask

from sandbox import stage as stages
from sandbox.cast import ALICE_LTD, Controls
from store.embedded import Postgres
from tests import house
from tests.test_reconcile import Office, open_office
from tests.zoho_stage import CLIENT, SECRETS, running
from webhooks import init_app

Open = Callable[[tuple[str, ...]], AbstractContextManager[Office]]


@contextmanager
def offices(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Open]:
    """What opens the office with the features an administrator ticked, as often as a module has tests."""
    server: Any = waitress.server.create_server(lambda *_: [], host="127.0.0.1", port=0, threads=4, map={})
    with running() as zoho, stages.Stage(only="standard") as stage:
        told = {
            "BASE_URL": f"http://127.0.0.1:{server.effective_port}",
            "ZOHO_CLIENT_ID": CLIENT,
            **{f"ZOHO_CLIENT_SECRET_{code.upper()}": secret for code, secret in SECRETS.items()},
            "ZOHO_SERVERINFO_URL": f"{zoho.us}/oauth/serverinfo",
            "ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        }
        with house.services(db_urls, work_url, mail_url, **told) as opened:
            doors = Flask("doors")
            init_app(doors, opened)
            server.application = doors
            threading.Thread(target=server.run, daemon=True).start()
            pbx = Controls(stage.origins["pbx"])
            yield lambda features: open_office(opened, zoho, pbx, features)
            server.close()
            server.task_dispatcher.shutdown(cancel_pending=True, timeout=2)


def tell(office: Office, kind: str, **data: Any) -> None:
    """Have the phone system tell one event, signed, at our door."""
    event = {"type": kind, "timestamp": office.services.now().isoformat(), "data": data}
    office.pbx.post("send", key=ALICE_LTD.pbx_key, event=event)
