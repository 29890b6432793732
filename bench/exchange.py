"""`python -m bench.exchange PEOPLE`: a process that brings so many Google contacts into hub and Zoho, then ten changes.

Its outside world is the stage its environment names, in another process: what is measured here is our own work alone.
Prints one line of JSON.
"""

from __future__ import annotations

import html
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

import settings
from commands.calm import settle
from domain.ports import in_batches
from domain.sharing import Sharing
from jobs import connect, worker
from jobs.erase import erase_tenant
from jobs.services import Services, open_services
from sandbox.cast import ALICE, ALICE_LTD, Controls
from store.database import TenantId

CHANGES = 10
SEEDED_AT_ONCE = 1_000
OURS = ("/crm/v8/Contacts", "/crm/v8/Leads", "/crm/v8/Accounts", "/v1/people")
PATIENCE_SECONDS = 3_600.0


def main() -> None:
    people = int(sys.argv[1])
    told = settings.read()
    services = open_services(told)
    google, zoho = Controls(told.google_api_root), Controls(told.zoho_serverinfo_url.removesuffix("/oauth/serverinfo"))
    names = [name for batch in in_batches(invented(people), SEEDED_AT_ONCE) for name in _added(google, batch)]
    tenant = move_in(services, google)
    clear(zoho, google)
    settle()  # as a worker does before it begins
    before, began = time.process_time(), time.monotonic()
    run(services, tenant)
    found: dict[str, Any] = {
        "cpu": time.process_time() - before,
        "seconds": time.monotonic() - began,
        "requests": asked(zoho, google),
        "rows": int(zoho.get("records", org=ALICE_LTD.org, module="Contacts", count="1")["count"]),
        "peak_mb": peak_mb(),
    }
    for name in names[:: max(1, people // CHANGES)][:CHANGES]:
        google.post("contacts/edit", user=ALICE, resourceName=name, person={"organizations": [{"title": "Boss"}]})
    for what in ("changed", "quiet"):
        clear(zoho, google)
        began = time.monotonic()
        services.chores.hurry(tenant, "read.book")
        run(services, tenant)
        found[what] = {"seconds": time.monotonic() - began, "requests": asked(zoho, google)}
    erase_tenant(services, tenant)  # the next size begins with nothing
    services.close()
    print(json.dumps(found))


def peak_mb() -> float:
    """The most memory this program has held. What `getrusage` tells began with whoever started it, stage and all."""
    told = re.search(r"^VmHWM:\s*([0-9]+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    assert told, "Linux says how much memory a process has held"
    return int(told[1]) / 1024


def invented(people: int) -> Iterator[dict[str, Any]]:
    """So many people, each with a name, two numbers, an address and a company."""
    for place in range(people):
        yield {
            "names": [{"givenName": f"Given{place % 997}", "familyName": f"Family{place}"}],
            "phoneNumbers": [
                {"value": f"+34 6{place:08}", "type": "mobile"},
                {"value": f"+34 9{place:08}", "type": "work"},
            ],
            "emailAddresses": [{"value": f"p{place}@people.example"}],
            "organizations": [{"name": f"Company {place % 499}", "title": "Buyer"}],
        }


def _added(google: Controls, batch: list[dict[str, Any]]) -> list[str]:
    return list(google.post("contacts", user=ALICE, contacts=batch)["resourceNames"])


def run(services: Services, tenant: TenantId) -> None:
    """Work until nothing is due, nor owed."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        worker.visit(services, tenant, "contacts", seconds=60)
        owed = any(state in ("due", "claimed", "unknown") for _, state in services.effects.counts(tenant))
        if not owed and (tenant, "contacts") not in services.lanes.with_work():
            return
        time.sleep(0.01)  # what waits for its next try
    raise RuntimeError("the work does not end")


def clear(*stages: Controls) -> None:
    for stage in stages:
        stage.delete("requests")


def asked(*stages: Controls) -> int:
    """How many requests about people there were."""
    counts = [stage.get("requests", last="0")["counts"] for stage in stages]
    return sum(many for each in counts for what, many in each.items() if any(path in what for path in OURS))


def move_in(services: Services, google: Controls) -> TenantId:
    """Install from Zoho with the permission to write, connect Google, have changes travel to Zoho; Zoho is empty."""
    wanted = ["calls", "contacts", "contacts-write"]
    asked_at = connect.begin(services, provider="zoho", purpose="install", browser="b", features=wanted)
    shown = requests.get(asked_at, timeout=30)
    action = re.search(r'action="([^"]+)"', shown.text)
    assert action, shown.text
    back = _back(urljoin(shown.url, html.unescape(action[1])), {}, {"user": ALICE})
    done = connect.complete(services, provider="zoho", query=back, browser="b", user=None)
    asked_at = connect.begin(
        services, provider="google", purpose="connect", browser="b", features=["contacts"], user=done.user
    )
    wish = parse_qs(urlsplit(asked_at).query)
    form = {"user": ALICE, "scope": wish["scope"][0].split()}
    back = _back(f"{google.origin}/o/oauth2/v2/auth/decide", wish, form)
    connect.complete(services, provider="google", query=back, browser="b", user=done.user)
    assert done.connection is not None
    tenant = done.user.tenant
    services.connections.set_facts(tenant, done.connection, **Sharing(direction="both").as_facts())
    return tenant


def _back(address: str, query: dict[str, list[str]], form: dict[str, Any]) -> dict[str, list[str]]:
    """Press the button of a consent page; return what the callback brings."""
    decided = requests.post(address, params=query, data=form, allow_redirects=False, timeout=30)
    return parse_qs(urlsplit(decided.headers["Location"]).query, keep_blank_values=True)


if __name__ == "__main__":
    main()
