"""A Zoho organisation as our jobs see a CRM: its people, its users, its calls and its notifications."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from domain.contact import Gone, Record
from domain.deal import Deal
from domain.errors import TryLater
from domain.mapping import CrmField
from domain.ports import (
    Activity,
    CallRecord,
    CrmModule,
    CrmUser,
    Exports,
    Http,
    LoggedCall,
    NewLead,
    Note,
    Organisation,
    Part,
    Task,
    Thread,
    Tokens,
    Written,
)
from integrations.zoho.bridge import ZohoPhoneBridge
from integrations.zoho.calls import Calls
from integrations.zoho.channels import Channels
from integrations.zoho.client import CRM, Body, ZohoClient, rows_of
from integrations.zoho.country import country_of
from integrations.zoho.datacentres import crm_web
from integrations.zoho.deals import Deals
from integrations.zoho.export import ZohoExports
from integrations.zoho.fields import call_fields, person_fields, record_fields
from integrations.zoho.leads import Leads
from integrations.zoho.listing import PAGE
from integrations.zoho.modules import Modules
from integrations.zoho.notes import Notes
from integrations.zoho.people import MODULES, SPARE, People
from integrations.zoho.records import Records
from integrations.zoho.tasks import Tasks
from integrations.zoho.texts import Texts
from integrations.zoho.views import Views
from integrations.zoho.writing import ZohoPeopleWriter

ADMINISTRATOR = "Administrator"  # the profile every organisation has; others may carry any name


class ZohoCrm:
    """A Zoho organisation seen with one grant. Worth keeping: it remembers what it learned of the organisation."""

    def __init__(
        self,
        client: ZohoClient,
        *,
        region: str,
        web: str,
        besides: tuple[str, ...] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.modules = (*MODULES, *besides)
        self.spare = SPARE | {*besides}
        self._watched = [[module for module in some if module not in SPARE] for some in (self.modules, MODULES)]
        self._client = client
        self._web = web
        self._channels = Channels(client, now)
        self._people = People(client, region, besides)
        self._views = Views(client, self._people)
        self._modules = Modules(client)
        self._deals = Deals(client)
        self._records = Records(client)
        self.exports: Exports = ZohoExports(client, self._people)
        self._leads = Leads(client)
        self._calls = Calls(client)
        self._tasks = Tasks(client)
        self._texts = Texts(client)
        self._notes = Notes(client)

    def organisation(self) -> Organisation:
        """Read what the organisation says of itself."""
        org = _first(rows_of(self._client.read(f"{CRM}/org"), "org"), "organisation")
        country, country_from = country_of(org, self._web)
        return Organisation(
            remote_id=_text(org, "zgid") or _text(org, "id"),
            other_id=_text(org, "id") if _text(org, "zgid") else "",
            name=_text(org, "company_name"),
            time_zone=_text(org, "time_zone") or "UTC",
            country=country,
            country_from=country_from,
            web=f"{self._web}/crm/{_text(org, 'domain_name')}",
        )

    def me(self) -> CrmUser:
        """Return the user who gave the consent."""
        answer = self._client.read(f"{CRM}/users", {"type": "CurrentUser"})
        return _user(_first(rows_of(answer, "users"), "current user"))

    def users(self) -> list[CrmUser]:
        """Return everybody who works or worked in the organisation."""
        found: list[CrmUser] = []
        page = 1
        while True:
            params = {"type": "AllUsers", "page": str(page), "per_page": str(PAGE)}
            answer = self._client.read(f"{CRM}/users", params)
            found += map(_user, rows_of(answer, "users"))
            if not ((answer or {}).get("info") or {}).get("more_records"):
                return found
            page += 1

    def reading(self) -> str:
        """Say how numbers are read, from which columns and in which region: when that changes, everybody is read."""
        return self._people.reading()

    def people(self, module: str, since: datetime | None = None) -> Iterator[Record]:
        """Yield the module's records changed since then, or all of them; every page to the end."""
        return self._people.changed(module, since)

    def people_gone(self, module: str, since: datetime | None = None) -> Iterator[Gone]:
        """Yield what was deleted since then; read `people` to the end first, it sees leads become contacts."""
        return self._people.gone(module, since)

    def some_people(self, module: str, ids: Sequence[str]) -> Iterator[Record | Gone]:
        """Re-read the records a notification named."""
        return self._people.some(module, ids)

    def views(self, module: str) -> Mapping[str, str]:
        """Id -> name of the views a module has there. Raises NotAllowed."""
        return self._views.of(module)

    def people_in_view(
        self, module: str, view: str, since: datetime | None = None, known: Collection[str] | None = None
    ) -> Iterator[Record | Gone]:
        """Yield who is in a view and changed since then, and who changed and is not in it, as left out. Raises Refused.

        `known`: the view is read whole, and whoever of these it does not show is left out as well.
        """
        return self._views.read(module, view, since, known)

    def further_modules(self) -> list[CrmModule]:
        """Deals and the modules the organisation made, with their phone columns. Raises NotAllowed."""
        return self._modules.further()

    def deals(self, since: datetime | None = None) -> Iterator[Deal]:
        """Yield the deals that changed since then, or all of them. Raises NotAllowed."""
        return self._deals.changed(since)

    def deals_gone(self, since: datetime) -> Iterator[str]:
        """Yield the ids of deals that were deleted since then."""
        return self._deals.gone(since)

    def some_deals(self, ids: Sequence[str]) -> Iterator[Deal]:
        """Re-read the deals a notification named."""
        return self._deals.some(ids)

    def record_fields(self, module: str) -> list[CrmField]:
        """What fields a record of a further module has, and which it demands. Raises NotAllowed."""
        return record_fields(self._client, module)

    def create_records(self, module: str, marker: str, records: Sequence[CallRecord]) -> list[Written]:
        """Create a record for each call, at most 100, answers in the same order. Raises Unanswered."""
        return self._records.create(module, marker, records)

    def find_records(self, module: str, marker: str, ids: Collection[str]) -> Mapping[str, str]:
        """Return the ids of the records of these calls that are there already, by call."""
        return self._records.find(module, marker, ids)

    def find_people(self, number: str) -> list[tuple[str, str]]:
        """Find who has this number there, as of now: (module, remote id), contacts first."""
        return self._leads.with_number(number)

    def create_lead(self, lead: NewLead) -> str:
        """Make a lead; return its id. Raises Unanswered when nobody knows."""
        return self._leads.create(lead)

    def call_fields(self) -> list[CrmField]:
        """What fields a call has in this organisation, and which it demands. Raises NotAllowed."""
        return call_fields(self._client)

    def person_fields(self, module: str) -> list[CrmField]:
        """What fields a contact or a lead has in this organisation, and which it demands. Raises NotAllowed."""
        return person_fields(self._client, module)

    def log_calls(self, activities: Sequence[Activity]) -> list[Written]:
        """Create activities, at most 100, answers in the same order. Raises Unanswered when nobody knows."""
        return self._calls.log(activities)

    def find_calls(self, activities: Sequence[Activity]) -> Mapping[str, str]:
        """Return the ids of those of these activities that are there already, by their markers."""
        return self._calls.find(activities)

    def calls_logged(self, since: datetime, until: datetime) -> Iterator[LoggedCall]:
        """Yield every call that stands there and started in between, both ends included, oldest first."""
        return self._calls.between(since, until)

    def some_calls(self, ids: Sequence[str]) -> Iterator[LoggedCall]:
        """Read these again; one that is gone is left out."""
        return self._calls.some(ids)

    def amend_call(
        self,
        remote_id: str,
        activity: Activity,
        *,
        said: Sequence[str] | None = None,
        wrote: Mapping[str, Sequence[Any]] | None = None,
        whole: bool = False,
    ) -> bool:
        """Add what came later around what people wrote; False where they changed our words. Raises Refused."""
        return self._calls.amend(remote_id, activity, said=said, wrote=wrote or {}, whole=whole)

    def log_texts(self, threads: Sequence[Thread]) -> list[Written]:
        """Create an activity for each, at most 100, answers in the same order. Raises Unanswered when nobody knows."""
        return self._texts.log(threads)

    def find_texts(self, thread: Thread) -> str:
        """Return the id of the activity if it is there already, else ""."""
        return self._texts.find(thread)

    def add_note(self, note: Note) -> Written:
        """Write a note on a record. Raises Unanswered when nobody knows."""
        return self._notes.add(note)

    def find_note(self, note: Note) -> str:
        """Return the id of the note if it is there already, else ""."""
        return self._notes.find(note)

    def amend_texts(self, remote_id: str, thread: Thread, *, said: Sequence[str]) -> bool:
        """Say in an activity what was said since, as `amend_call` does."""
        return self._texts.amend(remote_id, thread, said=said)

    def link_call(
        self,
        remote_id: str,
        record: tuple[str, str] | None,
        among: Collection[tuple[str, str]],
        beside: tuple[str, str] | None = None,
    ) -> bool:
        """Tie an activity to another record; False when a person has tied it to something else."""
        return self._calls.link(remote_id, record, among, beside)

    def link_texts(
        self,
        remote_id: str,
        record: tuple[str, str] | None,
        among: Collection[tuple[str, str]],
        beside: tuple[str, str] | None = None,
    ) -> bool:
        """Tie a conversation's activity to another record, as `link_call` does."""
        return self._texts.link(remote_id, record, among, beside)

    def correct_call(self, remote_id: str, activity: Activity, parts: Collection[Part]) -> None:
        """Write these parts of an activity anew. Raises Refused when it is gone."""
        self._calls.correct(remote_id, activity, parts)

    def remove_call(self, remote_id: str) -> None:
        """Delete an activity; gone already is fine."""
        self._calls.remove(remote_id)

    def create_task(self, task: Task) -> Written:
        """Create a task. Raises Unanswered when nobody knows."""
        return self._tasks.create(task)

    def find_task(self, task: Task) -> str:
        """Return the id of the task if it is there already, else ""."""
        return self._tasks.find(task)

    def close_task(self, remote_id: str) -> bool:
        """Complete a task nobody has touched; False when somebody has or it is gone."""
        return self._tasks.close(remote_id)

    def watch(self, *, url: str, token: str, channel: str, until: datetime) -> datetime:
        """Ask for notifications at `url`; return when that ends. Asked again, the channel is replaced."""
        return self._channels.open(self._watched, url=url, token=token, channel=channel, until=until)

    def unwatch(self, channel: str) -> None:
        """End a channel; ended already is fine."""
        self._channels.close(channel)


def open_crm(
    *,
    http: Http,
    api_domain: str,
    tokens: Tokens,
    region: str = "US",
    web: str = "",
    besides: tuple[str, ...] = (),
    timeout: float = 20.0,
) -> ZohoCrm:
    """Open an organisation. `region` reads numbers without a country; `web` is where people see the CRM; `besides`:
    modules whose numbers are read beside those of people and companies."""
    client = ZohoClient(http=http, api_domain=api_domain, tokens=tokens, timeout=timeout)
    return ZohoCrm(client, region=region, web=web or crm_web(api_domain), besides=besides)


def open_people_writer(
    *, http: Http, api_domain: str, tokens: Tokens, region: str = "US", timeout: float = 20.0
) -> ZohoPeopleWriter:
    """Open the organisation's contacts and leads for writing; the consent has to reach that far."""
    return ZohoPeopleWriter(ZohoClient(http=http, api_domain=api_domain, tokens=tokens, timeout=timeout), region)


def open_bridge(*, http: Http, api_domain: str, tokens: Tokens, timeout: float = 20.0) -> ZohoPhoneBridge:
    """Open the organisation's PhoneBridge."""
    return ZohoPhoneBridge(ZohoClient(http=http, api_domain=api_domain, tokens=tokens, timeout=timeout))


def _first(rows: list[Body], what: str) -> Body:
    if not rows:
        raise TryLater(f"Zoho did not name its {what}.")
    return rows[0]


def _text(row: Body, name: str) -> str:
    value = row.get(name)
    return str(value).strip() if isinstance(value, str | int) else ""


def _user(row: Body) -> CrmUser:
    profile: Any = row.get("profile")
    return CrmUser(
        remote_id=_text(row, "id"),
        login_id=_text(row, "zuid"),
        email=_text(row, "email"),
        name=_text(row, "full_name"),
        admin=isinstance(profile, dict) and profile.get("name") == ADMINISTRATOR,
        active=_text(row, "status") == "active",
        time_zone=_text(row, "time_zone") or "UTC",
        numbers=tuple(number for name in ("phone", "mobile") if (number := _text(row, name))),
    )
