"""Google's hosts in front of Alice's office: real doors, real servers, events signed by Google's understudy.

A test module makes it a fixture: `with office(...) as here: yield here`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from flask.testing import FlaskClient
from sqlalchemy import select

from domain.ports import Organisation
from integrations.google.cards.limits import problems
from integrations.google.hosts import CALENDAR, COMPOSE, EMAIL, FILE, MEETING, MESSAGE
from integrations.google.sandbox.hosts import cards
from jobs import workspace
from jobs.services import Services
from store.embedded import Postgres
from store.tables import effects
from store.tenants import User
from tests import console_desk, google_stage, house
from webhooks import addon

ACCOUNT, CLIENT = "service-1@gcp-sa-gsuiteaddons.iam.gserviceaccount.com", "addon.apps.googleusercontent.com"
DOOR = f"{house.ORIGIN}/addon/google"
SIGNED_IN = ("openid", EMAIL)
ALL = (*SIGNED_IN, MESSAGE, COMPOSE, MEETING, CALENDAR, FILE)
BOB, DANA, EVE = google_stage.BOB, "dana@quince.example", "eve@elsewhere.example"
DANAS, EVES = "+34600111222", "+442079460001"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Office:
    """Alice Ltd, whose Bob has linked his Google account; Dana is known, Eve is not."""

    services: Services
    google: google_stage.Stage
    client: FlaskClient
    bob: User
    dana: UUID
    subjects: dict[str, str]  # Google's ids, by address

    def event(self, host: str = "GMAIL", user: str = BOB, scopes: tuple[str, ...] = ALL, **more: Any) -> Json:
        """A request as the host would send it."""
        return self.google.post("addon/event", host=host, user=user, endpoint=DOOR, scopes=scopes, **more)

    def send(self, event: Json) -> Any:
        parts = urlsplit(event["url"])
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return self.client.post(path, data=event["body"], headers=event["headers"])

    def open(self, host: str = "GMAIL", user: str = BOB, scopes: tuple[str, ...] = ALL, **more: Any) -> Json:
        """The answer to an event; Google, as far as two readers of its rules know, would show it."""
        answer = self.send(self.event(host, user, scopes, **more))
        assert 200 == answer.status_code, answer.data
        told: Json = answer.json
        assert [] == self.google.post("addon/answers", name=host, answer=told)["problems"]
        assert [] == [problem for card in cards(told) for problem in problems(card)]
        return told

    def press(self, do: str, host: str = "GMAIL", **words: Any) -> Json:
        """Press a button that says this; what is no text goes to the host as it is."""
        more = {name: words.pop(name) for name in ("formInputs", "scopes", "message", "docs", "drive") if name in words}
        return self.open(host, parameters={"do": do, **words}, **more)

    def owed(self, kind: str) -> list[Any]:
        tenant = self.bob.tenant
        with self.services.db.tenant(tenant) as database:
            return [*database.execute(select(effects).where(effects.c.tenant_id == tenant, effects.c.kind == kind))]

    def mail(self, sender: str = f"Dana Quince <{DANA}>", text: str = "Hello", **more: str) -> str:
        """A message in Bob's mailbox."""
        told = {"from": sender, "to": BOB, "subject": "Offer", "text": text} | more
        message: str = self.google.post("mail", user=BOB, **told)["id"]
        return message


def card(answer: Json) -> Json:
    """The one card of an answer."""
    (found,) = cards(answer)
    return found


def said(answer: Json) -> str:
    """Everything that can be read on an answer, and what its buttons say."""
    return str(answer)


def buttons(value: Any) -> list[dict[str, str]]:
    """What every button and line of a card says when it is pressed."""
    if isinstance(value, dict):
        found = [{pair["key"]: pair["value"] for pair in value["parameters"]}] if "parameters" in value else []
        return found + [one for each in value.values() for one in buttons(each)]
    return [one for each in value for one in buttons(each)] if isinstance(value, list) else []


@contextmanager
def office(
    db_urls: Postgres, work_url: str, mail_url: str, google: google_stage.Stage, **environ: str
) -> Iterator[Office]:
    """Found Alice Ltd, let Bob in, let Dana call."""
    google.fresh()
    google.post("addon", client_id=CLIENT, service_account=ACCOUNT)
    subjects = {
        email: str(google.post("users", email=email, name=name)["sub"])
        for email, name in ((BOB, "Bob"), (google_stage.ALICE, "Alice"), (google_stage.CHARLIE, "Charlie"))
    }
    told = {
        "GOOGLE_ADDON_SERVICE_ACCOUNT": ACCOUNT,
        "GOOGLE_ADDON_CLIENT_ID": CLIENT,
        "GOOGLE_CERTS_URI": f"{google.origin}/oauth2/v3/certs",
        "GOOGLE_API_ROOT": google.origin,
    }
    with house.services(db_urls, work_url, mail_url, **told | environ) as services:
        made = Organisation(remote_id="20001", name="Alice Ltd", time_zone="Europe/Madrid", country="ES")
        tenant = services.tenants.create(made, profile="strict")
        furnished = console_desk.furnish(services, tenant)
        phones = house.phone_system(services, furnished.alice).tie
        people = [console_desk.person("Dana", "Quince", "Quince & Sons", DANAS, DANA, "Buyer")]
        (dana,) = console_desk.meet(services, tenant, furnished.crm, people)
        workspace.link(services, furnished.bob, subjects[BOB])
        now = services.now()
        for ref, hours, outcome in (("c1", 26, "answered"), ("c2", 1, "missed")):
            console_desk.ring(
                services,
                tenant,
                phones,
                ref,
                now - timedelta(hours=hours),
                number=DANAS,
                outcome=outcome,  # type: ignore[arg-type]  # both are outcomes
                user=furnished.bob,
                contact=dana,
            )
        client = house.front(services)
        yield Office(services, google, client, furnished.bob, dana, subjects)
        house.settled(client)
        pool = client.application.extensions[addon.EXTENSION]._pool
        if pool is not None:
            pool.shutdown()
