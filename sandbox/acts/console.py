"""Act 11: what the console shows of all this, to each company its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sandbox.acts.calls import CALL
from sandbox.acts.reconciling import CALLS as LOST_OR_NOT
from sandbox.browser import Browser
from sandbox.cast import ALICE_LTD, NEXT_DOOR
from sandbox.scene import Scene, expect

CALLS = 2  # of each company
DEEDS = {
    "consent.given",
    "connection.added",
    "contacts.read",
    "contacts.written",
    "calls.logged",
    "mail.cached",
    "read.message",
    "certificate.disconnect",
}


def shows(scene: Scene) -> Iterator[str]:
    """Connections and their health, calls, what is held, the ledger and its chain."""
    for company, calls in ((ALICE_LTD, CALLS), (NEXT_DOOR, CALLS + LOST_OR_NOT)):
        many = len(scene.activities(company))
        expect(many == calls, f"{company.name} had {calls} calls and has {many} activities in Zoho")
    overview = scene.alice.get("/console/")
    expect(overview.text.count("Working") >= 2, f"connections should be working: {overview.text[:300]}")
    expect(
        len(scene.alice.get("/console/calls").links_to(CALL)) == CALLS, "the console lists other calls than there were"
    )
    holdings = scene.alice.get("/console/holdings")
    kinds = len(re.findall(r"<td class=\"lead\">", holdings.body))
    expect(holdings.status == 200 and kinds, "the console does not say what is held")
    yield f"Zoho and the phone system are working; {CALLS} calls; {kinds} kinds of data held, and until when"
    told = set(re.findall(r"<code>([a-z_.]+)</code>", scene.alice.get("/console/ledger").body))
    expect(told >= DEEDS, f"the ledger does not tell of {', '.join(sorted(DEEDS - told))}")
    chains = _chain(scene.alice), _chain(scene.charlie)
    rows = " and ".join(map(str, chains))
    yield f"the ledger tells it all, from consent to certificate; both chains verify ({rows} rows)"


def _chain(browser: Browser) -> int:
    page = browser.get("/console/ledger")
    found = re.search(r"Chain verified, ([\d,]+) rows", page.text)
    expect(found, "the ledger's chain does not verify")
    return int(found[1].replace(",", "")) if found else 0
