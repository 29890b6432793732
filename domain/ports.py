"""The sockets outside systems plug into. A vendor folder implements these; jobs and doors know nothing else of it.

Every method may raise what `domain.errors` names under Upstream, and nothing vendor-specific. Times are aware UTC.
An adapter keeps no state of ours: what it needs comes in as arguments, what it learned goes out as return values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any, Literal, Protocol

from domain.call import CallEvent, Direction, Outcome, TextNews
from domain.contact import Gone, Person, Record
from domain.deal import Deal
from domain.gate import Ask, Entry, Limits, Told, Turn
from domain.mail import Letter, Message
from domain.mapping import CrmField


class Http(Protocol):
    """What an adapter sends requests with: a pooled, time-limited `requests.Session` or a stand-in for it."""

    @property
    def request(self) -> Callable[..., Any]:
        """Send (method, url, **options); return the response."""


class Gate(Protocol):
    """What stands before every outside system and is shared by all our processes (`domain.gate` has the rules)."""

    def enter(self, upstream: str, ask: Ask, limits: Limits) -> Entry:
        """Let a request go, or say why not."""

    def leave(self, upstream: str, ticket: str, told: Told) -> tuple[Turn, int]:
        """Take in what came of it; return whether that turned the circuit, and since when (ms) there were failures."""


class Tokens(Protocol):
    """Where an adapter gets the access token of its connection. Renewing ahead of expiry is the keeper's business."""

    def __call__(self, *, renew: bool = False) -> str:
        """Return a token; `renew`: the last one was just refused. Raises ConsentLost."""


# ---- telephony ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """A request at a vendor's door as it came. Header names are lower case; `url` is ours, never taken from Host."""

    headers: Mapping[str, str]
    body: bytes
    url: str = ""


Control = Literal["hangup", "hold", "unhold", "mute", "unmute", "dtmf", "transfer", "park", "pause", "resume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom a call is handed to: a number as the dial plan spells it, or a colleague's line."""

    number: str = ""
    extension: str = ""
    email: str = ""  # whose line that is, where we know


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A recording on its way: its form, its length in bytes where the vendor said it, and its bytes, read once."""

    content_type: str
    length: int | None
    chunks: Iterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a vendor can do, so that pages offer nothing that cannot work."""

    dial: bool = False
    shows: bool = False  # a callee can be shown another number of ours than usually
    control: frozenset[Control] = frozenset()
    phonebook: bool = False
    calls: bool = False  # a call list for back-fill and reconciliation
    recordings: bool = False
    texts: bool = False
    faxes: bool = False
    words: bool = False  # of a text it sent it says the words only when asked (`TextKeeper`)
    writes: bool = False  # sends a text message when asked (`Texter`)
    senders: bool = False  # from a number of ours that is chosen, and it knows no key (`TextSender`)
    listens: bool = False  # events come over a connection of ours (`listen`), not to a door
    answered_in_xml: bool = False  # takes whatever its door answers for instructions, and wants to read none
    secret_field: str = ""  # the account field its knocks are signed with; empty: we make a secret for the door


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountField:
    """One thing a vendor needs to be told by the administrator who connects it."""

    name: str
    label: str
    hint: str = ""
    secret: bool = False
    optional: bool = False
    kind: Literal["text", "url"] = "text"


@dataclass(frozen=True, slots=True)
class Card:
    """An entry of a phonebook: its id there, "" where even that cannot be told, and what reads the rest of it."""

    remote_id: str
    read: Callable[[], Person | None]  # None: it says nothing that can be read


class PhoneSystem(Protocol):
    """One account at a telephony vendor: what we ask of it."""

    def dial(self, *, agent_extension: str, agent_email: str, number: str, shown: str = "") -> str:
        """Ring the agent, then `number`; return the vendor's call id. Not idempotent: never repeated by itself.

        `shown`: which of the tenant's numbers the callee sees (`traits.shows`); "": as always.
        """

    def control(
        self, *, call_ref: str, leg_ref: str, action: Control, digits: str = "", to: Target | None = None
    ) -> None:
        """Do one thing to a live call. Raises Refused when the call is over or cannot do that.

        `digits`: of `dtmf`. `to`: of `transfer`, which connects the far end with somebody else and lets our agent go.
        `pause` and `resume` are of the recording.
        """

    def recording(self, url: str) -> Sound:
        """Open a recording by the address its event gave. Raises Refused when it is gone."""

    def forget_recording(self, url: str) -> None:
        """Delete a recording at the vendor; gone already is fine."""

    def put_contacts(self, put: Sequence[tuple[str, Person]], removed: Sequence[str]) -> None:
        """Tell the phonebook (our contact id, person) and which ids are gone. Safe to tell twice."""

    def phonebook(self, region: str) -> Iterator[Card]:
        """Yield all of the phonebook, what we put there too, under our contact ids; each id once.

        `region`: where numbers without a country code are dialled from. Raises NotAllowed with `phonebook.none` where
        there is none to read.
        """

    def calls(self, ended_after: datetime) -> Iterator[CallEvent]:
        """Yield the vendor's own record of calls that ended after that instant, as `ended` events, oldest first."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a text message says, and where the vendor has the pictures and files that went with it."""

    text: str
    media: tuple[str, ...] = ()


class TextKeeper(PhoneSystem, Protocol):
    """A phone system that is asked what a text it sent says (`traits.words`)."""

    def words(self, message_ref: str) -> Words:
        """Return what the message says. Raises Refused when nobody can tell any more."""


class Texter(PhoneSystem, Protocol):
    """An account that sends text messages (`traits.writes`)."""

    def text(self, *, agent_extension: str, agent_email: str, number: str, words: str, key: str) -> str:
        """Send a message to `number` for an agent; return the vendor's id of it. Asked twice with one key: sent once.

        Raises Refused with `text.unsupported` where the account sends none, or a code of `domain.undelivered`.
        """


@dataclass(frozen=True, slots=True)
class Sent:
    """A message an account has taken: its id there, and from which number of ours it goes."""

    ref: str
    sender: str


class TextSender(PhoneSystem, Protocol):
    """An account that sends text messages from numbers of its own (`traits.senders`).

    No key makes a repeat harmless there, so what nobody answered for is looked for before it is sent again.
    """

    def senders(self) -> list[str]:
        """The account's numbers that can send text messages, in E.164; the usual one first."""

    def text_from(self, *, sender: str, number: str, words: str) -> str:
        """Send a message; return the vendor's id of it. Never repeated by itself.

        Raises Refused with a code of `domain.undelivered`, Unanswered when nobody knows.
        """

    def sent(self, *, number: str, words: str, since: datetime) -> list[Sent]:
        """Those messages to `number` taken since then that may be this one, by whatever the vendor keeps of them."""


class TelephonyVendor(Protocol):
    """A telephony vendor: how its knocks are believed and read, and how an account of it is opened."""

    slug: str
    title: str
    traits: Traits
    account: tuple[AccountField, ...]

    def new_secret(self) -> str:
        """Make a door secret in the vendor's own format."""

    def verify(self, knock: Knock, secrets: Sequence[str], now: datetime) -> str:
        """Return the vendor's event id if one of `secrets` signed this knock, else raise Unauthentic."""

    def parse(self, body: bytes, event_id: str) -> CallEvent | TextNews | None:
        """Understand a believed body; None for an event we have no use for. Raises Malformed."""

    def open(self, account: Mapping[str, str], http: Http) -> PhoneSystem:
        """Open an account with what the administrator filled in."""


class ListeningVendor(TelephonyVendor, Protocol):
    """A vendor whose events we fetch over a connection of ours (`traits.listens`)."""

    def listen(self, account: Mapping[str, str], stop: Callable[[], bool]) -> Iterator[tuple[str, bytes]]:
        """Yield (event id, body) for `parse` until `stop()` says so, reconnecting by itself; after a reconnection first
        what is going on now. The same event has the same id, whoever yields it again."""


# ---- CRM ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmUser:
    """A person who works in the CRM. `remote_id` owns records there; `login_id` is who they are when they sign in."""

    remote_id: str
    login_id: str
    email: str
    name: str
    admin: bool = False
    active: bool = True
    time_zone: str = "UTC"
    numbers: tuple[str, ...] = ()  # at which they are called, as they stand there


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """The organisation behind a CRM connection, as the CRM names it."""

    remote_id: str
    name: str
    other_id: str = ""  # by which the CRM names it as well
    time_zone: str = "UTC"
    country: str = ""  # ISO 3166; "" when nothing says
    country_from: str = ""  # what said so: organisation, phone, data_centre
    web: str = ""  # prefix of a record's page: {web}/tab/{module}/{id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One finished call as it shall stand in the CRM. `marker` is ours: it finds the activity again."""

    marker: str
    subject: str
    direction: Direction
    outcome: Outcome
    started_at: datetime
    talk_seconds: int
    customer: str  # in E.164; as dialled or shown where it is none
    agent: str  # extension or number of our side
    owner: str = ""  # CrmUser.remote_id
    owner_login: str = ""  # CrmUser.login_id
    record: tuple[str, str] | None = None  # (module, remote id) it belongs to
    beside: tuple[str, str] | None = None  # the person whose deal that is
    recording_url: str = ""
    note: str = ""  # what we know of it besides
    remarks: str = ""  # what people, or the caller on tape, had to say
    fields: Mapping[str, Any] = field(default_factory=dict)  # fields of the tenant's own mapping, as the CRM holds them


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """One day's text messages between a customer and us, or a fax, as they shall stand in the CRM: one activity."""

    marker: str
    subject: str
    day: date
    words: str  # the messages, line by line, and our marker under them (`domain.said`)
    owner: str = ""  # CrmUser.remote_id
    record: tuple[str, str] | None = None  # (module, remote id) it belongs to
    beside: tuple[str, str] | None = None  # the person whose deal that is


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Words that somebody wants to stand on a record in the CRM."""

    marker: str
    record: tuple[str, str]  # (module, remote id)
    title: str
    text: str  # and our marker under it (`domain.said`)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """What a CRM's own screen is told while a call lives. `call` is the same for all events of the call."""

    call: str
    direction: Direction
    state: Literal["ringing", "answered"]
    customer: str
    agent: str
    owner_login: str
    moved: bool = False  # until now it was on another user's screen


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Something a person shall do until a day. `marker` is ours: it finds the task again."""

    marker: str
    subject: str
    text: str
    due: date
    since: datetime  # it cannot have been created before
    owner: str = ""  # CrmUser.remote_id
    record: tuple[str, str] | None = None  # (module, remote id) it belongs to
    beside: tuple[str, str] | None = None  # the person whose deal that is


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCall:
    """A call as it stands in the CRM, whoever wrote it. `marker` is empty where we did not."""

    remote_id: str
    marker: str
    direction: Direction
    outcome: Outcome
    started_at: datetime
    talk_seconds: int
    customer: str = ""  # every number the row names, as it spells them
    owner: str = ""
    bridged: bool = False  # the CRM's own telephony wrote it
    created_at: datetime
    modified_at: datetime
    modified_by: str = ""  # CrmUser.remote_id


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLead:
    """Somebody who called and whom nobody knows, as an agent wrote them down."""

    number: str  # E.164
    family: str
    given: str = ""
    company: str = ""
    owner: str = ""  # CrmUser.remote_id
    fields: Mapping[str, Any] = field(default_factory=dict)  # what the tenant maps beside these, by the CRM's names


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one record of a batch: its id there, or why it was refused."""

    remote_id: str = ""
    refused: str = ""  # the other side's error code
    left_out: tuple[tuple[str, str], ...] = ()  # fields of the tenant's mapping it refused: (name, error code)


Part = Literal["person", "course", "owner"]  # whom a call was with; how it went and how long; whose it is


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """A call as a record of a further module. `marker` finds it again; `links`: look-ups to other records' ids."""

    marker: str
    owner: str = ""  # CrmUser.remote_id
    fields: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmModule:
    """A module beside those of people and companies. `tab`: what it is called in a page's address there."""

    name: str
    label: str
    tab: str
    phones: tuple[str, ...] = ()  # the labels of its phone columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """How far a file is into which a CRM writes a module, or a part of it."""

    state: Literal["waiting", "ready", "failed"]
    rows: int = 0  # in the file
    more: str = ""  # what the next part is asked for with; "" when there is none


class Exports(Protocol):
    """The files a CRM writes whole modules into, for whoever has to read very many people."""

    def count(self, module: str) -> int:
        """How many records a module has."""

    def begin(self, module: str, part: str = "") -> str:
        """Have a module, or its next part, written out; return the job's id. Begun twice, there are two files."""

    def look(self, job: str) -> Export:
        """Say how far a job is. Raises Refused when it is not known any more."""

    def people(self, module: str, job: str, rows: int) -> Iterator[Record]:
        """Yield everybody in a file that has to hold so many rows. Raises Refused when it cannot be read."""


class Crm(Protocol):
    """A CRM organisation seen with one grant."""

    modules: tuple[str, ...]  # where people are kept
    spare: frozenset[str]  # those of them a consent may leave out
    exports: Exports

    def organisation(self) -> Organisation: ...

    def me(self) -> CrmUser: ...

    def users(self) -> list[CrmUser]: ...

    def reading(self) -> str:
        """Say how numbers are read, from which columns and in which region: when that changes, everybody is read."""

    def people(self, module: str, since: datetime | None = None) -> Iterator[Record]:
        """Yield the module's records changed since then, or all of them; every page to the end."""

    def people_gone(self, module: str, since: datetime | None = None) -> Iterator[Gone]: ...

    def some_people(self, module: str, ids: Sequence[str]) -> Iterator[Record | Gone]:
        """Re-read the records a notification named."""

    def views(self, module: str) -> Mapping[str, str]:
        """Id -> name of the views a module has there. Raises NotAllowed."""

    def people_in_view(
        self, module: str, view: str, since: datetime | None = None, known: Collection[str] | None = None
    ) -> Iterator[Record | Gone]:
        """Yield who is in a view and changed since then, and who changed and is not in it, as left out.

        `known`: the view is read whole, and whoever of these it does not show is left out as well. Raises Refused
        when there is no such view (any more), with nobody left out.
        """

    def further_modules(self) -> list[CrmModule]:
        """Deals and the modules an organisation made, with their phone columns. Raises NotAllowed."""

    def deals(self, since: datetime | None = None) -> Iterator[Deal]:
        """Yield the deals that changed since then, or all of them. Raises NotAllowed."""

    def deals_gone(self, since: datetime) -> Iterator[str]: ...

    def some_deals(self, ids: Sequence[str]) -> Iterator[Deal]:
        """Re-read the deals a notification named; one that is gone is left out."""

    def record_fields(self, module: str) -> list[CrmField]:
        """What fields a record of a further module has there. Raises NotAllowed."""

    def create_records(self, module: str, marker: str, records: Sequence[CallRecord]) -> list[Written]:
        """Create a record for each call, at most 100, answers in the same order; a field it refuses is left out.

        `marker`: the field that holds the call's id. Raises Unanswered when nobody knows.
        """

    def find_records(self, module: str, marker: str, ids: Collection[str]) -> Mapping[str, str]:
        """Return the ids of those records that are there already, by call."""

    def find_people(self, number: str) -> list[tuple[str, str]]:
        """Find who has this number there, as of now: (module, remote id), contacts first."""

    def create_lead(self, lead: NewLead) -> str:
        """Make a lead; return its id, or the id of the one that has its place already.

        Raises Unanswered when nobody knows, Refused with `lead.mandatory.<field>` when the layout wants more,
        FieldRefused for a mapped field.
        """

    def person_fields(self, module: str) -> list[CrmField]:
        """What fields somebody new in a module has there. Raises NotAllowed."""

    def call_fields(self) -> list[CrmField]:
        """What fields an activity of a call has there. Raises NotAllowed."""

    def log_calls(self, activities: Sequence[Activity]) -> list[Written]:
        """Create activities, at most 100, answers in the same order; a mapped field it refuses is left out.

        Raises Unanswered when nobody knows.
        """

    def find_calls(self, activities: Sequence[Activity]) -> Mapping[str, str]:
        """Return the ids of those of these activities that are there already, by their markers."""

    def calls_logged(self, since: datetime, until: datetime) -> Iterator[LoggedCall]:
        """Yield every call that stands there and started in between, both ends included, oldest first."""

    def some_calls(self, ids: Sequence[str]) -> Iterator[LoggedCall]:
        """Read these again; one that is gone is left out."""

    def amend_call(
        self,
        remote_id: str,
        activity: Activity,
        *,
        said: Sequence[str] | None = None,
        wrote: Mapping[str, Sequence[Any]] | None = None,
        whole: bool = False,
    ) -> bool:
        """Add what we learned later: the recording, mapped fields, and our words in its text where `said` is what may
        stand there.

        `said` is None: the text is left alone; empty: we said nothing yet. `wrote`: what we may have put into mapped
        fields; one that is empty or says that is ours. `whole`: write all else of it anew, for one nobody else has
        touched. What a person wrote stays. False when a person changed our words: they are left. Safe to tell twice.
        Raises Refused when it is gone, FieldRefused for a field, NotAllowed when this grant may only create.
        """

    def link_call(
        self,
        remote_id: str,
        record: tuple[str, str] | None,
        among: Collection[tuple[str, str]],
        beside: tuple[str, str] | None = None,
    ) -> bool:
        """Tie an activity to another record, or to none, and change nothing else; safe to tell twice.

        False when it is tied to something that is not `among` these: a person did that. Raises Refused when it is gone.
        """

    def link_texts(
        self,
        remote_id: str,
        record: tuple[str, str] | None,
        among: Collection[tuple[str, str]],
        beside: tuple[str, str] | None = None,
    ) -> bool:
        """Tie a conversation's activity to another record, as `link_call` does."""

    def correct_call(self, remote_id: str, activity: Activity, parts: Collection[Part]) -> None:
        """Write these parts of an activity anew because somebody put them right; nothing else of it is touched.

        Safe to tell twice. Raises Refused when it is gone.
        """

    def remove_call(self, remote_id: str) -> None:
        """Delete an activity; gone already is fine."""

    def create_task(self, task: Task) -> Written:
        """Create a task. Raises Unanswered when nobody knows."""

    def find_task(self, task: Task) -> str:
        """Return the id of the task if it is there already, else ""."""

    def close_task(self, remote_id: str) -> bool:
        """Complete a task, if nobody has touched it since it was created; False when somebody has or it is gone.

        Safe to tell twice.
        """

    def log_texts(self, threads: Sequence[Thread]) -> list[Written]:
        """Create an activity for each, at most 100, answers in the same order. Raises Unanswered when nobody knows."""

    def find_texts(self, thread: Thread) -> str:
        """Return the id of the activity if it is there already, else ""."""

    def amend_texts(self, remote_id: str, thread: Thread, *, said: Sequence[str]) -> bool:
        """Say in an activity what was said since, as `amend_call` does."""

    def add_note(self, note: Note) -> Written:
        """Write a note on a record. Raises Unanswered when nobody knows."""

    def find_note(self, note: Note) -> str:
        """Return the id of the note if it is there already, else ""."""

    def watch(self, *, url: str, token: str, channel: str, until: datetime) -> datetime:
        """Ask for notifications at `url`; return when that ends."""

    def unwatch(self, channel: str) -> None: ...


class CallBridge(Protocol):
    """A CRM's own telephony screen (Zoho PhoneBridge): it shows the call and writes the activity itself."""

    def integrate(self) -> None:
        """Switch it on; idempotent. Raises NotAllowed when this organisation cannot have it."""

    def leave(self) -> None: ...

    def register_dial(self, *, url: str, secret: str, login: str) -> None:
        """Register the address clicks on numbers go to for one user."""

    def register_controls(self, *, urls: Mapping[Control, str], secret: str, login: str) -> None:
        """Register where a user's buttons of a live call go to; those without an address are not shown.

        Nor are those the screen does not know.
        """

    def ring(self, ring: Ring) -> None:
        """Show a call on a user's screen; nothing takes it away there but `finish`."""

    def finish(self, activity: Activity) -> None:
        """Tell it the call is over; the CRM then writes the activity. Raises Unanswered when nobody knows."""

    def find_call(self, activity: Activity, beside: Collection[Activity] = ()) -> str:
        """Return the id of the activity the CRM wrote for this call, else "".

        `beside`: what else it may have written for the same two numbers about that time; each has a row of its own.
        """

    def wrote(self, activity: Activity, logged: LoggedCall) -> bool:
        """Say whether this can be the activity the CRM wrote for this call; asks nothing."""

    def dial_failed(self, *, reason: str, agent: str, number: str, login: str) -> None: ...


# ---- people and mail of one user ----------------------------------------------------------------------------------


class CursorLost(Exception):
    """The position we remembered is no longer known there: read everything once and compare."""


@dataclass(slots=True, kw_only=True)
class Reading:
    """One incremental read. Iterate `items` to the end; only then are `complete` and `cursor` true."""

    items: Iterator[Record | Gone]
    complete: bool  # the whole side was read: what is missing is gone
    cursor: str = ""  # where to go on next time; set when `items` is exhausted


class PeopleListing(Protocol):
    """People who are read and never written."""

    def read(self, cursor: str) -> Reading:
        """Read since `cursor`, or everything when it is empty. Raises CursorLost before the first item."""


class AddressBook(PeopleListing, Protocol):
    """A user's own contacts."""

    def labels(self) -> dict[str, str]:
        """The labels people put contacts under, by the side's own name for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailNews:
    """A part of what happened in a mailbox since a position, and the position after it."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()  # deleted, or no mail any more: in the bin, or junk
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of those whose labels changed, afterwards
    restored: frozenset[str] = frozenset()  # of these, those that were no mail before
    cursor: str = ""


class Mailbox(Protocol):
    """A user's mailbox, as far as the consent reaches."""

    def address(self) -> tuple[str, str]:
        """Return (e-mail address, newest position)."""

    def watch(self, topic: str) -> tuple[str, datetime]:
        """Ask for pushes; return (position, when that ends)."""

    def unwatch(self) -> None: ...

    def news(self, cursor: str) -> Iterator[MailNews]:
        """Yield what happened since `cursor`, a batch at a time, to the last page. Raises CursorLost."""

    def since(self, moment: datetime) -> list[str]:
        """Name the messages received since then, the newest first."""

    def headers(self, ids: Sequence[str]) -> list[Message]:
        """Read sender, receivers, date and subject, without bodies; a message that went meanwhile is left out."""

    def message(self, id: str) -> Message | None:
        """Read one message with its body."""

    def send(self, letter: Letter) -> str:
        """Send a letter; return its id. Raises Unanswered when nobody knows."""

    def find_sent(self, mark: str, since: datetime) -> str:
        """Return the id of the letter with that mark if it was sent since then, else ""."""

    def labels(self) -> list[tuple[str, str]]:
        """Name the labels the user made: (id, name)."""

    def relabel(self, id: str, add: Sequence[str], remove: Sequence[str]) -> tuple[str, ...] | None:
        """Put labels on a message and take others off; return those it has, None if it is not there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Who somebody is, by an identity provider's word."""

    subject: str
    email: str = ""
    name: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


def in_batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Cut `items` into lists of at most `size`."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
