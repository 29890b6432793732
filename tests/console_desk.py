"""A console with people at it: real services on real servers, the cast, and a working day's worth of calls and mail.

Only the stories told elsewhere (consent, disconnecting, opening a message) are stood in for; they remember what they
were asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient

from console import create_console
from domain import phone
from domain.call import CallEvent, Direction, EventType, Outcome
from domain.consent import Standing, standing
from domain.contact import Line, Person, Record
from domain.errors import Missing, Trouble
from domain.mail import Message
from domain.plan import Step
from domain.ports import CrmUser
from jobs.services import Services, open_services
from settings import Settings
from store.connections import Tie
from store.database import TenantId
from store.tenants import User
from tests.servers import RING

WEB = "https://crm.zoho.eu/crm/org20001"


@dataclass(frozen=True)
class Completed:
    purpose: str
    user: User | None
    connection: UUID | None = None
    onward: str = ""


@dataclass(frozen=True)
class Door:
    tie: UUID
    url: str
    secret: str


@dataclass
class Stories:
    """Stands in for `jobs.connect` and `jobs.sync_mail`."""

    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    back: Completed | Trouble | None = None
    body: str = "Dear Bob,\n\nthe offer is fine. <script>alert(1)</script>\n\nDana"

    def begin(self, services: Services, **told: Any) -> str:
        self.asked.append(("begin", told))
        return "https://accounts.zoho.com/oauth/v2/auth?state=made-up"

    def complete(
        self,
        services: Services,
        *,
        provider: str,
        query: Mapping[str, Sequence[str]],
        browser: str,
        user: User | None,
    ) -> Completed:
        self.asked.append(("complete", {"provider": provider, "query": query, "browser": browser, "user": user}))
        if isinstance(self.back, Trouble):
            raise self.back
        assert self.back is not None
        return self.back

    def features(self, services: Services, tenant: UUID, tie: Tie) -> list[Standing]:
        every = services.providers[tie.vendor].features
        granted = {scope for feature in every if not feature.optional for scope in feature.scopes}
        return standing(every, granted)

    def add_phone_system(self, services: Services, *, user: User, vendor: str, account: Mapping[str, str]) -> Door:
        self.asked.append(("add_phone_system", {"vendor": vendor, "account": dict(account)}))
        tie = services.connections.add(user.tenant, "telephony", vendor, label="Your own telephone platform")
        return Door(tie, "https://linekeeper.example/webhooks/telephony/the-door", "whsec_the-secret")

    def rotate_secret(self, services: Services, *, user: User, tie: UUID) -> str:
        services.connections.get(user.tenant, tie)
        self.asked.append(("rotate_secret", {"tie": tie}))
        return "whsec_the-next-secret"

    def disconnect(self, services: Services, *, user: User, tie: UUID) -> dict[str, Any]:
        services.connections.get(user.tenant, tie)
        self.asked.append(("disconnect", {"tie": tie}))
        return {"kind": "disconnect", "counts": {"messages": 3, "links": 2}, "signature": "bWFkZSB1cA=="}

    def open_message(self, services: Services, *, user: User, message_id: str) -> Message | None:
        found = services.mail.get(user.tenant, message_id)
        if found is None:
            return None
        return Message.from_data({**found.as_data(), "body": self.body})


def application(services: Services, stories: Stories) -> Flask:
    """The console and nothing else."""
    app = Flask("linekeeper")
    app.register_blueprint(create_console(services, connect=stories, open_message=stories.open_message))
    return app


def sign_in(app: Flask, services: Services, user: User | None) -> FlaskClient:
    """A browser with a session of this user, or without one."""
    client = app.test_client()
    if user is not None:
        value = services.directory.new(
            "session", user.tenant, user=user.id, expires_at=services.db.now() + timedelta(hours=12)
        )
        client.set_cookie("linekeeper_session", value)
    return client


def token(client: FlaskClient, path: str = "/console/contacts") -> str:
    """The form token a page gave this browser."""
    page = client.get(path).get_data(as_text=True)
    return page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]


def post(client: FlaskClient, path: str, **form: Any) -> Any:
    """Send a page's own form."""
    return client.post(path, data={"csrf_token": token(client), **form})


# ---- the cast and their day -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Office:
    """A tenant with people, connections and contacts."""

    tenant: TenantId
    crm: UUID
    alice: User
    bob: User


def furnish(services: Services, tenant: TenantId, admin: str = "Alice", agent: str = "Bob") -> Office:
    """An administrator, an agent and a Zoho connection."""
    crm = services.connections.add(tenant, "crm", "zoho", label=f"{admin} Ltd", web=WEB)
    services.connections.ok(tenant, crm)
    people = [
        CrmUser(
            remote_id="1", login_id=f"login-{admin}", email=f"{admin}@a.example", name=f"{admin} Admin", admin=True
        ),
        CrmUser(remote_id="2", login_id=f"login-{agent}", email=f"{agent}@a.example", name=f"{agent} Agent"),
    ]
    services.tenants.learn_users(tenant, crm, people)
    users = {user.remote_id: user for user in services.tenants.users(tenant)}
    return Office(tenant, crm, users["1"], users["2"])


@dataclass(frozen=True)
class Stage:
    """Alice's office with Bob in it, Charlie's next door, and a console for both."""

    services: Services
    stories: Stories
    app: Flask
    office: Office
    next_door: Office

    def browser(self, who: str = "") -> FlaskClient:
        """A browser with somebody's session, or with none."""
        cast = {"alice": self.office.alice, "bob": self.office.bob, "charlie": self.next_door.alice, "": None}
        return sign_in(self.app, self.services, cast[who])

    def actions(self, tenant: TenantId | None = None) -> list[str]:
        """What the ledger says was done, oldest first."""
        return [row.action for row in self.services.ledger.rows(tenant or self.office.tenant, limit=500)][::-1]


@contextmanager
def running(app_url: str, mail_url: str, tenant: TenantId, neighbour: TenantId, **settings: Any) -> Iterator[Stage]:
    """A stage on these servers. Nobody hears the doorbell: no page may depend on it."""
    given = Settings(database_url=app_url, redis_url="redis://127.0.0.1:1/0", mail_redis_url=mail_url, keyring=RING)
    services = open_services(replace(given, **settings), pool_size=2)
    stories = Stories()
    app = application(services, stories)
    try:
        yield Stage(services, stories, app, furnish(services, tenant), furnish(services, neighbour, "Charlie", "Carol"))
    finally:
        services.close()


def person(given: str, family: str, company: str, number: str, email: str, title: str = "") -> Person:
    return Person(
        given=given,
        family=family,
        company=company,
        title=title,
        lines=(Line.read(number, "Mobile", "ES"),) if number else (),
        emails=(email,) if email else (),
    )


def meet(services: Services, tenant: TenantId, connection: UUID, people: Sequence[Person]) -> list[UUID]:
    """Adopt people into the hub, as a reading of that connection would; return their contacts."""
    steps = [
        Step(do="adopt", record=Record(module="Contacts", remote_id=f"9000{place}", person=one))
        for place, one in enumerate(people)
    ]
    with services.db.tenant(tenant) as database:
        services.hub.apply(database, tenant, connection, steps)
    same_person = services.hub.same_person(tenant, people)
    return [UUID(same_person(one) or "") for one in people]


def ring(
    services: Services,
    tenant: TenantId,
    connection: UUID,
    ref: str,
    at: datetime,
    *,
    number: str,
    direction: Direction = "inbound",
    outcome: Outcome | None = "answered",
    answered_after: float = 6,
    talk: float = 90,
    user: User | None = None,
    contact: UUID | None = None,
    match: str = "",
    writer: str = "",
    activity: str = "",
    queue: str = "",
    over: bool = True,
    recording_url: str = "",
) -> UUID:
    """A call as the story `log_call` would have left it."""
    ours = "+34911222333"
    caller, callee = (number, ours) if direction == "inbound" else (ours, number)
    answered_at = at + timedelta(seconds=answered_after)

    def event(kind: EventType, when: datetime, **more: Any) -> CallEvent:
        return CallEvent(
            id=f"{ref}-{kind}",
            type=kind,
            at=when,
            call_ref=ref,
            direction=direction,
            caller=caller,
            callee=callee,
            agent_email=user.email if user else "",
            agent_extension="201" if user else "",
            queue=queue,
            **more,
        )

    told = [event("ringing", at)]
    spoken = outcome == "answered"
    if spoken:
        told.append(event("answered", answered_at))
    if over:
        end = answered_at + timedelta(seconds=talk if spoken else 15)
        told.append(event("ended", end, outcome=outcome, recording_url=recording_url))
    heard = services.calls.hear(tenant, connection, told)
    heard[0].contact, heard[0].user = contact, user.id if user else None
    if user and not over:
        heard[0].seats = {user.id: "answered" if spoken else "ringing"}
    heard[0].match, heard[0].writer = match or ("one" if contact else "nobody"), writer
    with services.db.tenant(tenant) as database:
        services.calls.save(database, tenant, heard, [phone.read(heard[0].call.customer, "ES")])
        if activity:
            services.calls.logged(database, tenant, {heard[0].id: activity})
    return heard[0].id


def letter(id: str, sender: str, subject: str, at: datetime, *, unread: bool = False) -> Message:
    return Message(
        id=id,
        thread=id,
        at=at.astimezone(UTC),
        sender=sender,
        to=("bob@a.example",),
        subject=subject,
        snippet="…",
        unread=unread,
    )


def contact_of(services: Services, tenant: TenantId, number: str) -> UUID:
    found = services.hub.who(tenant, number)
    if not found:
        raise Missing
    return found[0]
