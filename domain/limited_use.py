"""Limited Use as a table: what comes from Google, where it may go, and through which exit of ours it gets there.

The gate (`jobs.passages`), the console, docs/limited-use.md and the test that looks for exits nobody declared read this
one table. A new page, card or write that shows or sends what Google told us is one more row of `EXITS`, in the same
change; without it the gate refuses and the build fails.

Rules: https://developers.google.com/terms/api-services-user-data-policy#additional_requirements_for_specific_api_scopes
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from domain.besides import DIRECTORY, GOOGLE, OTHERS
from domain.contact import Side
from domain.errors import Forbidden, Missing

POLICY = "https://developers.google.com/terms/api-services-user-data-policy"
RULES = f"{POLICY}#additional_requirements_for_specific_api_scopes"
WORKSPACE_POLICY = "https://developers.google.com/workspace/workspace-api-user-data-developer-policy"
NAME = "Google API Services User Data Policy, including the Limited Use requirements"


class NotForThat(Forbidden):
    """What Google told us may not go there."""

    code = "limited_use.refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Something Google tells us. It may leave while one of `consents` (features) stands at the account it came from."""

    slug: str
    title: str
    consents: frozenset[str]
    kept: str  # where it lies meanwhile, for reviewers
    stays: bool = False  # it goes nowhere at all: no exit may name it
    side: Side = ""  # how a field's provenance (`domain.contact.Merged.source`) names it


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """Somewhere data can go. `sentence` is read by administrators before they consent."""

    slug: str
    title: str
    sentence: str
    allowed: bool = True
    reason_asked: bool = False  # a person outside the tenant: only for a reason the profile lists (`google.human_read`)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """A place in our code where it goes there. `where` is the module that reads and hands on."""

    slug: str
    sink: str
    kinds: frozenset[str]
    where: str
    sentence: str
    pressed: bool = False  # only because somebody pressed a button that says so


KINDS = (
    Kind(
        slug="contacts",
        title="Contacts of a Google account: names, companies, numbers, addresses",
        consents=frozenset({"contacts", "contacts-write"}),
        kept="sealed in PostgreSQL, each field with the side that said it; gone with the connection",
        side=GOOGLE,
    ),
    Kind(
        slug=OTHERS.slug,
        title="Other contacts of a Google account that have a number: names and numbers",
        consents=frozenset({OTHERS.slug}),
        kept="sealed in PostgreSQL, apart from contacts; gone when it is switched off, or with the connection",
        side=OTHERS.side,
    ),
    Kind(
        slug=DIRECTORY.slug,
        title="People of an account's Workspace directory who have a number: names, jobs and numbers",
        consents=frozenset({DIRECTORY.slug}),
        kept="sealed in PostgreSQL, apart from contacts; gone when it is switched off, or with the connection",
        side=DIRECTORY.side,
    ),
    Kind(
        slug="mail",
        title="Messages exchanged with a known contact: headers, and a body while somebody reads it",
        consents=frozenset({"mailbox"}),  # the key that opens cached mail is destroyed with the consent (store.mailbox)
        kept="sealed in a memory-only cache for at most 24 hours, headers only",
    ),
    Kind(
        slug="busy",
        title="At what times of the next hour a user's own calendar says busy",
        consents=frozenset({"busy"}),
        kept="sealed in PostgreSQL while the user wants it looked at, replaced every few minutes; shown and sent to"
        " nobody: a call does not come up, or goes to somebody else",
        stays=True,
    ),
)

_BY_SIDE = {one.side: one.slug for one in KINDS if one.side}

SINKS = (
    Sink(
        slug="user",
        title="People of this organisation",
        sentence="Shown to people of your organisation who are signed in here.",
    ),
    Sink(
        slug="crm",
        title="This organisation's own Zoho",
        sentence="A caller's name is written into your own Zoho with the call; contacts where you keep both in step."
        " Of mail only a message for which somebody pressed the button that writes it there; of other contacts and the"
        " directory nothing.",
    ),
    Sink(
        slug="phone",
        title="This organisation's own phone system",
        sentence="Names and numbers go into the phonebook of your own phone system, so that telephones show who calls;"
        " those of other contacts and of the directory only while it rings.",
    ),
    Sink(
        slug="sheet",
        title="This organisation's own spreadsheet",
        sentence="Where an administrator of yours started it, a caller's name is written with the call into a"
        " spreadsheet in their own Google Drive.",
    ),
    Sink(
        slug="programs",
        title="This organisation's own programs",
        sentence="Programs of your own get contacts, with a key an administrator of yours made.",
    ),
    Sink(
        slug="export",
        title="This organisation's export",
        sentence="An export you ask for holds everything there is.",
    ),
    Sink(
        slug="staff",
        title="Staff of whoever runs this service",
        sentence="Read by staff only because you asked for help, for security or by law; your ledger says which.",
        reason_asked=True,
    ),
    Sink(slug="models", title="Training of models", sentence="Never used to train a model.", allowed=False),
    Sink(
        slug="plugins",
        title="Plug-ins and AI services",
        sentence="Never given to a plug-in or an AI service.",
        allowed=False,
    ),
    Sink(slug="advertising", title="Advertising", sentence="Never used for advertising.", allowed=False),
    Sink(
        slug="brokers",
        title="Brokers, lenders and other buyers",
        sentence="Never sold or handed to anybody who deals in data or credit.",
        allowed=False,
    ),
    Sink(
        slug="neighbours", title="Other organisations", sentence="Never shown to another organisation.", allowed=False
    ),
    Sink(
        slug="telemetry",
        title="Logs, metrics and queues",
        sentence="Never in a log line, a metric or a queue: those carry ids and counts.",
        allowed=False,
    ),
)

CONTACTS, MAIL = frozenset({"contacts"}), frozenset({"mail"})
PEOPLE = CONTACTS | {OTHERS.slug, DIRECTORY.slug}  # looked up and shown, not written
ALL = PEOPLE | MAIL

EXITS = (
    Exit(
        slug="calls",
        sink="user",
        kinds=PEOPLE,
        where="console/lines.py",
        sentence="Who called: beside calls in lists, on a call's page and in the panel",
    ),
    Exit(
        slug="people",
        sink="user",
        kinds=PEOPLE,
        where="console/contacts.py",
        sentence="A person's page, and search by name, number or address",
    ),
    Exit(
        slug="mail",
        sink="user",
        kinds=ALL,
        where="console/mail.py",
        sentence="Messages beside a person, here and in the frame on their record in Zoho, a message's thread, and the"
        " form a letter to them is written on",
    ),
    Exit(
        slug="cards",
        sink="user",
        kinds=PEOPLE,
        where="jobs/cards/look.py",
        sentence="Who is meant by the open message, meeting or file, on a card in Google Workspace",
    ),
    Exit(
        slug="chat news",
        sink="user",
        kinds=CONTACTS,
        where="jobs/chat_news.py",
        sentence="Who called in vain, on a card in the user's own conversation with the app in Google Chat",
    ),
    Exit(
        slug="panel",
        sink="user",
        kinds=ALL,
        where="console/panel.py",
        sentence="Who is on the line, who else has the number, and their latest mail",
    ),
    Exit(
        slug="why",
        sink="user",
        kinds=PEOPLE,
        where="console/why.py",
        sentence="Why a call was given to that person, and who else has the number",
    ),
    Exit(
        slug="texts",
        sink="user",
        kinds=PEOPLE,
        where="console/texts.py",
        sentence="With whom text messages and faxes were exchanged",
    ),
    Exit(
        slug="call list",
        sink="user",
        kinds=PEOPLE,
        where="jobs/call_down.py",
        sentence="Who is on a user's own list of people to call, and whom to choose from for it",
    ),
    Exit(
        slug="correcting",
        sink="user",
        kinds=PEOPLE,
        where="console/byhand.py",
        sentence="Whom to choose from when a call is put right by hand",
    ),
    Exit(
        slug="choices",
        sink="user",
        kinds=PEOPLE,
        where="console/overview.py",
        sentence="Whose a shared number is, in the settings",
    ),
    Exit(
        slug="held run",
        sink="user",
        kinds=PEOPLE,
        where="console/sharing.py",
        sentence="Some of those whom a held run would remove",
    ),
    Exit(
        slug="mapping",
        sink="user",
        kinds=CONTACTS,
        where="jobs/mapping.py",
        sentence="How the latest calls would be written into Zoho, before a mapping of fields is used",
    ),
    Exit(
        slug="newcomers",
        sink="user",
        kinds=CONTACTS,
        where="jobs/newcomers.py",
        sentence="How people would be written into Zoho, before a mapping of fields is used",
    ),
    Exit(
        slug="changes",
        sink="user",
        kinds=CONTACTS,
        where="console/journal.py",
        sentence="What keeping contacts in step overwrote or deleted",
    ),
    Exit(
        slug="message",
        sink="user",
        kinds=MAIL,
        where="jobs/sync_mail.py",
        sentence="One message with its body, fetched from Gmail for the page that opens it and not kept",
    ),
    Exit(
        slug="activities",
        sink="crm",
        kinds=CONTACTS,
        where="jobs/activities.py",
        sentence="The caller's name in the subject of a logged call, and in a task to call back",
    ),
    Exit(
        slug="text log",
        sink="crm",
        kinds=CONTACTS,
        where="jobs/texts.py",
        sentence="The other's name in a logged day of text messages, or a fax",
    ),
    Exit(
        slug="sheet log",
        sink="sheet",
        kinds=CONTACTS,
        where="jobs/sheet_log.py",
        sentence="The other's name beside a call, or a day of text messages, in the call log's spreadsheet",
    ),
    Exit(
        slug="contacts in step",
        sink="crm",
        kinds=CONTACTS,
        where="jobs/contact_writes.py",
        sentence="Contacts that are kept in step both ways, where an administrator chose so",
    ),
    Exit(
        slug="mail note",
        sink="crm",
        kinds=MAIL,
        where="jobs/noting.py",
        sentence="One message as a note on the record of whom it was exchanged with",
        pressed=True,
    ),
    Exit(
        slug="phonebook",
        sink="phone",
        kinds=CONTACTS,
        where="jobs/phonebook.py",
        sentence="Names and numbers in the phone system's phonebook",
    ),
    Exit(
        slug="caller name",
        sink="phone",
        kinds=PEOPLE,
        where="jobs/hints.py",
        sentence="The caller's name when the phone system asks for it while it rings",
    ),
    Exit(
        slug="api",
        sink="programs",
        kinds=CONTACTS,
        where="webhooks/api.py",
        sentence="Contacts that changed, for programs of the tenant",
    ),
    Exit(
        slug="export",
        sink="export",
        kinds=ALL,
        where="jobs/export.py",
        sentence="The tenant's export, and the export of one person",
    ),
    Exit(
        slug="operator",
        sink="staff",
        kinds=PEOPLE,
        where="commands/desk.py",
        sentence="`linekeeper contacts find`, with the reason",
    ),
)


def kind(slug: str) -> Kind:
    return next(one for one in KINDS if one.slug == slug)


def kinds_in(sources: Iterable[Collection[Side]]) -> set[str]:
    """Which kinds there are among what these sides said, field by field."""
    return {_BY_SIDE[side] for sides in sources for side in sides if side in _BY_SIDE}


def sink(slug: str) -> Sink:
    return next(one for one in SINKS if one.slug == slug)


def exit_named(slug: str) -> Exit:
    """Raise Missing for an exit nobody declared."""
    for one in EXITS:
        if one.slug == slug:
            return one
    raise Missing(f"Nobody declared an exit {slug!r} for what Google tells us.", code="limited_use.undeclared")


def check(way: Exit, what: str, *, pressed: bool = False, reason: str = "", human_read: Collection[str] = ()) -> None:
    """Raise NotForThat where this kind may not leave through this exit, whatever was consented."""
    there = sink(way.sink)
    if not there.allowed:
        raise NotForThat(f"What Google told us may not go there. {there.sentence}", code="limited_use.sink")
    if what not in way.kinds:
        raise NotForThat(f"{way.sentence}: what Google told us of that kind does not leave here.")
    if way.pressed and not pressed:
        raise NotForThat(
            "That leaves only when somebody presses the button that says so.", code="limited_use.unpressed"
        )
    if there.reason_asked and reason not in human_read:
        named = ", ".join(human_read) or "none"
        raise NotForThat(f"Staff read what Google told us for a reason only: {named}.", code="limited_use.no_reason")


def allows(what: str, features_on: Collection[str]) -> bool:
    """Does the consent of the account it came from still carry it?"""
    return not kind(what).consents.isdisjoint(features_on)
