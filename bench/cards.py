"""How long one of Google's applications waits for a card: with everybody known and Google awake, or asleep.

Google is its understudy, on this machine and these cores; the card of an open message asks it for that message, the
others ask it nothing. What a press owes is written down before the card is there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import requests
import structlog
from flask import Flask
from flask.testing import FlaskClient

import settings
import webhooks
from bench.house import House
from bench.lookup import fill
from bench.measure import Row, percentile
from domain.contact import Line, Person, Record
from domain.plan import Step
from domain.ports import CrmUser
from integrations.google.hosts import EMAIL, MESSAGE
from jobs import workspace
from jobs.services import open_services
from sandbox.cast import ADDON_ACCOUNT, ADDON_CLIENT, BOB
from sandbox.stage import Stage

KNOWN = 100_000
CARDS, WARM_UP, ASLEEP = 300, 20, 20
SLEEP_SECONDS = 5
ORIGIN = "https://linekeeper.alice.example"
DANA, DANAS = "dana@quince.example", "+34600999999"
SCOPES = ("openid", EMAIL, MESSAGE)


@dataclass(frozen=True, slots=True)
class Desk:
    """Bob's Gmail, before our door."""

    google: str
    client: FlaskClient
    message: str

    def stage(self, what: str, **told: Any) -> Any:
        return requests.post(f"{self.google}/_stage/{what}", json=told, timeout=30).json()

    def event(self, **more: Any) -> Any:
        return self.stage(
            "addon/event", host="GMAIL", user=BOB, endpoint=f"{ORIGIN}/addon/google", scopes=SCOPES, **more
        )

    def times(self, event: Callable[[], Any], many: int, card: str) -> list[float]:
        """Open so many cards one after the other; each has to be the one that was meant."""
        took = []
        for _ in range(many):
            asked = event()
            began = time.perf_counter()
            answer = self.client.post("/addon/google", data=asked["body"], headers=asked["headers"])
            took.append(time.perf_counter() - began)
            if f'"name": "{card}"' not in answer.get_data(as_text=True):
                raise RuntimeError(f"this is not the card {card}: {answer.status_code}")
        return took


def measure(house: House) -> Iterator[Row]:
    """Open, press, and open again while Google sleeps."""
    with desk(house) as here:
        cards: dict[str, tuple[Callable[[], Any], str]] = {
            "homepage": (here.event, "home"),
            "open message": (lambda: here.event(message=here.message), "person"),
            "press on a number": (lambda: here.event(parameters=_press()), "called"),
        }
        alone = here.times(lambda: here.event(parameters={"do": "nothing"}), CARDS, "wrong")
        for name, (event, card) in cards.items():
            here.times(event, WARM_UP, card)
            took = here.times(event, CARDS, card)
            yield Row(
                measure=f"card, {name}, {KNOWN:,} people known, p95",
                figure=percentile(took, 95) * 1_000,
                unit="ms",
                baseline=percentile(alone, 95) * 1_000,
                against="a card that shows nothing: both tokens believed, the user known",
                wanted="<= 800",
            )
        fault = {"match": "GET /gmail/v1/users/me/messages/*", "action": "slow", "seconds": SLEEP_SECONDS}
        here.stage("faults", **fault, times=ASLEEP)
        took = here.times(cards["open message"][0], ASLEEP, "late")
        requests.delete(f"{here.google}/_stage/faults", timeout=30)
        time.sleep(1)  # until those that slept have found nobody waiting
        yield Row(
            measure=f"card, open message, Google takes {SLEEP_SECONDS} s, p95",
            figure=percentile(took, 95) * 1_000,
            unit="ms",
            baseline=SLEEP_SECONDS * 1_000.0,
            against="how long Google takes",
            wanted="<= 800: the bones of the card",
        )


def _press() -> dict[str, str]:
    return {"do": "dial", "number": DANAS, "key": uuid4().hex}


@contextmanager
def desk(house: House) -> Iterator[Desk]:
    """Bob at Alice Ltd, who knows many people; one of them has written to him."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR)
    )  # that Google sleeps we know
    with Stage(only="google") as stage:
        google = stage.origins["google"]
        told = {
            "BASE_URL": ORIGIN,
            "GOOGLE_CERTS_URI": f"{google}/oauth2/v3/certs",
            "GOOGLE_API_ROOT": google,
            "GOOGLE_ADDON_CLIENT_ID": ADDON_CLIENT,
            "GOOGLE_ADDON_SERVICE_ACCOUNT": ADDON_ACCOUNT,
        }
        tenant = house.tenant()
        house.phone_system(tenant)
        fill(house, tenant, KNOWN)
        services = open_services(settings.read({**house.environ, **told}))
        try:
            crm = services.connections.add(tenant, "crm", "zoho", label="Alice Ltd")
            bob = CrmUser(remote_id="2", login_id="2", email=BOB, name="Bob Baker")
            services.tenants.learn_users(tenant, crm, [bob])
            dana = Person(given="Dana", family="Quince", lines=(Line.read(DANAS, "Mobile"),), emails=(DANA,))
            record = Record(module="Contacts", remote_id="1", person=dana)
            with services.db.tenant(tenant) as database:
                services.hub.apply(database, tenant, crm, [Step(do="adopt", record=record)])
            house.settle()
            app = Flask("doors")
            webhooks.init_app(app, services)
            here = Desk(google, app.test_client(), "")
            here.stage("addon", client_id=ADDON_CLIENT, service_account=ADDON_ACCOUNT)
            subject = here.stage("users", email=BOB, name="Bob Baker")["sub"]
            workspace.link(services, services.tenants.users(tenant)[0], subject)
            mail = {"from": f"Dana Quince <{DANA}>", "to": BOB, "subject": "Offer", "text": "Hello"}
            yield Desk(google, here.client, here.stage("mail", user=BOB, **mail)["id"])
        finally:
            services.close()
