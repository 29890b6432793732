"""Nothing leaves by a way nobody declared: the build fails here before a reviewer, or Google, has to find it.

A new page or write that shows or sends what Google told us needs a row in `domain.limited_use.EXITS` and goes through
`jobs.passages`. A module that begins to talk to the outside at all needs a row in CHANNELS, with a reason.
"""

from __future__ import annotations

import ast

import pytest

from domain import limited_use
from domain.limited_use import EXITS, KINDS, SINKS
from tests import exits

USUAL = {"console": {"answer"}, "webhooks": {"answer"}, "commands": {"terminal"}}  # what a floor is there for
CHANNELS = {  # who else speaks to the outside, and by what
    "commands/crew.py": {"file"},  # process ids and a readiness mark
    "commands/front.py": {"socket"},  # answers who knocked
    "commands/manifests.py": {"file"},  # what the marketplaces read: nothing of a tenant
    "commands/run.py": {"socket"},  # listens
    "commands/supervise.py": {"socket"},  # looks for a free port
    "commands/up.py": {"http"},  # asks its own processes whether they are up
    "console/mail.py": {"google"},  # the labels of a user's own mailbox
    "console/sharing.py": {"google", "zoho"},  # the labels of an address book, the names of views
    "integrations/google/lent.py": {"answer"},  # Google's, to the token an event brought
    "integrations/google/sessions.py": {"http"},
    "integrations/google/transport.py": {"http", "answer"},  # Google itself; the answers are Google's
    "jobs/activities.py": {"zoho"},
    "jobs/agree.py": {"zoho"},
    "jobs/amending.py": {"zoho"},
    "jobs/archive.py": {"phone"},  # fetches recordings
    "jobs/besides.py": {"google"},  # reads what Google knows beside contacts
    "jobs/both_ways.py": {"zoho"},  # asks how much one request takes
    "jobs/busy.py": {"google"},  # times only, and nothing of ours
    "jobs/buttons.py": {"zoho"},  # registers buttons
    "jobs/call_records.py": {"zoho"},  # a call's record, from what `jobs/activities.py` let out
    "jobs/chat_news.py": {"google"},  # a user's own conversation with the app
    "jobs/connect.py": {"http", "zoho"},  # who consented
    "jobs/contact_writes.py": {"zoho"},
    "jobs/correcting.py": {"zoho"},
    "jobs/dialling.py": {"phone", "zoho"},  # the number to dial, and that it could not be
    "jobs/edits.py": {"zoho"},  # asks which fields a record takes
    "jobs/filling.py": {"zoho"},  # fields of activities, from what `jobs/activities.py` let out
    "jobs/follow_ups.py": {"zoho"},
    "jobs/leaving.py": {"zoho"},  # that a connection ends
    "jobs/letters.py": {"google"},  # what a user writes, from their own mailbox
    "jobs/newcomers.py": {"zoho"},  # asks which fields there are
    "jobs/noting.py": {"google", "zoho"},  # one message, because somebody pressed the button for it
    "jobs/leads.py": {"zoho"},  # what an agent typed
    "jobs/listening.py": {"phone"},
    "jobs/mapping.py": {"zoho"},  # asks which fields there are
    "jobs/phonebook.py": {"phone"},
    "jobs/pops.py": {"zoho"},  # numbers and states of calls, no names
    "jobs/read_phonebook.py": {"phone"},  # reads what was typed in there
    "jobs/reconcile.py": {"phone"},
    "jobs/recordings.py": {"phone"},
    "jobs/relink.py": {"zoho"},  # ids of records
    "jobs/retying.py": {"zoho"},  # ids of records
    "jobs/sheet_log.py": {"google"},
    "jobs/search_order.py": {"zoho"},  # asks which modules there are
    "jobs/steering.py": {"phone"},
    "jobs/sync_contacts.py": {"google", "phone", "zoho"},
    "jobs/sync_mail.py": {"google"},
    "jobs/text_sending.py": {"phone"},  # what a user writes, and to which number
    "jobs/texts.py": {"zoho"},
    "jobs/wording.py": {"phone"},  # asks what a text says that was sent, by its id
    "jobs/worker.py": {"zoho"},  # reads users
    "store/auditor.py": {"cache"},  # looks for what should be gone
    "store/bell.py": {"cache", "queue"},  # ids of tenants and lanes
    "store/embedded/binaries.py": {"process"},
    "store/embedded/processes.py": {"process"},
    "store/embedded/valkey.py": {"cache", "file"},
    "store/ferry.py": {"socket"},  # to PostgreSQL: sealed
    "store/gate.py": {"cache"},  # counts of requests
    "store/units.py": {"cache"},  # what requests to Gmail cost
    "store/mailbox.py": {"cache"},  # sealed
}
STAYS = {  # who reads people or mail and lets nothing out
    "jobs/choosing.py": "compares whose a number was with whose it is; keeps ids",
    "jobs/letters.py": "looks whether an address is the contact's; what leaves is what the user wrote",
    "jobs/passages.py": "the gate",
    "jobs/privacy.py": "looks through cached mail for who is kept out",
    "jobs/sharing.py": "puts back what was lost by an errand, which asks the gate on its way",
}
MAILBOX_ONLY = {
    "jobs/sync_mail.py": {"watch_mail", "look", "_heal"},
    "console/mail.py": {"_labels"},
}  # reads at Google, and keeps
TOLD = {"console/lines.py", "webhooks/hints.py"}  # they are told the exit's name by who calls, or by the job
LABELS = {"kind", "result", "hint", "because", "code", "lane", "state", "upstream", "direction", "host"}


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """Every production module, read once."""
    return dict(exits.modules())


def floor(module: str) -> str:
    return module.partition("/")[0]


def test_every_way_out_is_declared(modules: dict[str, ast.Module]) -> None:
    """What a floor is there for needs no row; anything else a module opens does."""
    found = {module: exits.channels(tree) - USUAL.get(floor(module), set()) for module, tree in modules.items()}

    assert {"zoho"} == found["jobs/activities.py"], "the search finds what is there"
    assert CHANNELS == {module: ways for module, ways in found.items() if ways}


def test_whoever_reads_what_google_told_us_has_an_exit_or_lets_nothing_out(modules: dict[str, ast.Module]) -> None:
    readers = {module for module, tree in modules.items() if exits.readings(tree)}
    declared = {one.where for one in EXITS}
    assert {"jobs/activities.py", "console/contacts.py", "jobs/export.py"} <= readers

    assert set() == readers - declared - STAYS.keys()
    assert set() == declared - modules.keys(), "an exit is in a module there is"
    assert [] == [module for module in STAYS if module in declared]


@pytest.mark.parametrize("module", sorted({one.where for one in EXITS}))
def test_an_exit_hands_everything_to_the_gate(module: str, modules: dict[str, ast.Module]) -> None:
    """Under its own name, in the function that reads; the export asks the table itself."""
    tree, own = modules[module], {one.slug for one in EXITS if one.where == module}
    named = set(exits.passings(tree)) - {""}

    if module == "jobs/export.py":
        assert "limited_use.check" in ast.unparse(tree)
        return
    assert own == named
    assert MAILBOX_ONLY.get(module, set()) == exits.unguarded(tree)


def test_no_exit_is_named_that_is_not_declared(modules: dict[str, ast.Module]) -> None:
    """And only two modules are told the name by somebody else."""
    slugs = {one.slug for one in EXITS}
    named = {module: set(exits.passings(tree)) for module, tree in modules.items() if exits.passings(tree)}

    assert {} == {module: ways - slugs - {""} for module, ways in named.items() if ways - slugs - {""}}
    assert TOLD == {module for module, ways in named.items() if "" in ways}


def test_metrics_are_labelled_with_words_of_ours(modules: dict[str, ast.Module]) -> None:
    assert set() == {label for tree in modules.values() for label in exits.labels(tree)} - LABELS


def test_the_table_hangs_together() -> None:
    """Every exit leads to a sink there is and is allowed, for kinds there are; no name is used twice."""
    assert len(EXITS) == len({one.slug for one in EXITS})
    assert {one.sink for one in EXITS} <= {one.slug for one in SINKS if one.allowed}
    assert {what for one in EXITS for what in one.kinds} == {one.slug for one in KINDS if not one.stays}
    assert {"models", "plugins", "advertising", "brokers", "neighbours", "telemetry"} == {
        one.slug for one in SINKS if not one.allowed
    }


SNEAKS = {
    "a request": "def f(who):\n    requests.post('https://x.example', json=who.name)",
    "by the pooled session": "def f(services):\n    services.http.post('https://x.example')",
    "a file": "def f(who):\n    open('/tmp/x', 'w').write(who.name)",
    "mail": "import smtplib\ndef f(who):\n    smtplib.SMTP('x').sendmail('a', 'b', who.name)",
    "the queue": "def f(queue, who):\n    queue.enqueue('job', who.name)",
    "another program": "def f(who):\n    subprocess.run(['mail', who.name])",
}


@pytest.mark.parametrize("code", SNEAKS.values(), ids=SNEAKS)
def test_a_new_way_out_is_seen(code: str) -> None:
    """The search itself is held: each of these would fail the build in a module that declares nothing."""
    assert exits.channels(ast.parse(code))


def test_every_sink_that_is_refused_says_so() -> None:
    for one in SINKS:
        way = limited_use.Exit(slug="x", sink=one.slug, kinds=limited_use.ALL, where="", sentence="x")
        if one.allowed and not one.reason_asked:
            limited_use.check(way, "contacts")
        else:
            with pytest.raises(limited_use.NotForThat):
                limited_use.check(way, "contacts")
