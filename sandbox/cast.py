"""The cast and what they bring: two companies in two data centres, their users, address books and phone systems.

Alice administers "Alice Ltd" in Zoho's EU data centre, Bob answers phones there; Charlie runs the company next door in
the US, whose organisation has another PhoneBridge provider. `set_up` seats them through the understudies' control
planes; everything is made up and stays on this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from sandbox import cards, people

ZOHO_CLIENT = "1000.LINEKEEPERONSTAGE"
ZOHO_SECRETS = {"us": "stage-zoho-us", "eu": "stage-zoho-eu"}
GOOGLE_CLIENT = "linekeeper-on-stage.apps.googleusercontent.com"
GOOGLE_SECRET = "stage-google"
TOPIC = "projects/linekeeper-on-stage/topics/gmail"
ADDON_CLIENT = "linekeeper-cards-on-stage.apps.googleusercontent.com"
ADDON_ACCOUNT = "service-1@gcp-sa-gsuiteaddons.iam.gserviceaccount.com"
PUBSUB_ACCOUNT = "gmail-push@linekeeper-on-stage.iam.gserviceaccount.com"
CONTROL_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """One customer of Linekeeper and what the stage calls it."""

    org: str  # at the Zoho understudy
    name: str
    dc: str
    zone: str
    country: str
    admin: str
    agent: str
    extension: str
    line: str  # the number people ring
    pbx_key: str
    phonebridge: str


ALICE, BOB, CHARLIE = "alice@alice.example", "bob@alice.example", "charlie@next-door.example"
ALICE_LTD = Company(
    org="alice",
    name="Alice Ltd",
    dc="eu",
    zone="Europe/Madrid",
    country="ES",
    admin=ALICE,
    agent=BOB,
    extension="201",
    line="+34911222333",
    pbx_key="stage-pbx-alice",
    phonebridge="available",
)
NEXT_DOOR = Company(
    org="charlie",
    name="Next Door Inc.",
    dc="us",
    zone="America/New_York",
    country="US",
    admin=CHARLIE,
    agent=CHARLIE,
    extension="301",
    line="+12125550199",
    pbx_key="stage-pbx-charlie",
    phonebridge="other_provider",
)
USERS = {
    "alice": [(ALICE, "Alice Adler", True), (BOB, "Bob Baker", False)],
    "charlie": [(CHARLIE, "Charlie Cole", True)],
}
ZOE_NEXT_DOOR = ("Zoe", "From-the-Bakery")  # who Zoë is to Charlie


class Controls:
    """The control plane of one understudy."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._http = requests.Session()
        self._http.trust_env = False  # this machine: no proxy, no .netrc, and no looking for them each time

    def post(self, what: str, **told: Any) -> Any:
        """Tell it something; return its answer."""
        return self._answer("POST", what, json=told)

    def get(self, what: str, **asked: str) -> Any:
        """Ask it something."""
        return self._answer("GET", what, params=asked)

    def delete(self, what: str) -> None:
        """Make it forget something."""
        self._answer("DELETE", what)

    def _answer(self, method: str, what: str, **sent: Any) -> Any:
        answer = self._http.request(method, f"{self.origin}/_stage/{what}", timeout=CONTROL_SECONDS, **sent)
        if answer.status_code >= 300:
            raise RuntimeError(f"{method} {self.origin}/_stage/{what} answered {answer.status_code}: {answer.text}")
        return answer.json() if answer.content else None


def set_up(origins: Mapping[str, str], base_url: str) -> None:
    """Empty the stage and seat the cast: for a Linekeeper that is reached at `base_url`."""
    books = people.books(datetime.now(UTC), BOB)
    _set_up_zoho(Controls(origins["zoho-us"]), base_url, books)
    _set_up_google(Controls(origins["google"]), base_url, books)
    Controls(origins["pbx"]).post("reset")  # its accounts are opened when their doors are known


def open_phone_account(pbx: Controls, company: Company, door: str, secret: str) -> None:
    """Open a company's account at the phone system, which will sign what it tells that door."""
    agents = [{"extension": company.extension, "email": company.agent}]
    pbx.post("accounts", key=company.pbx_key, door_url=door, secret=secret, agents=agents)


def _set_up_zoho(zoho: Controls, base_url: str, books: people.Books) -> None:
    zoho.post("reset")
    callback = f"{base_url}/oauth/zoho/callback"
    zoho.post("clients", client_id=ZOHO_CLIENT, secrets=ZOHO_SECRETS, redirect_uris=[callback])
    for company in (ALICE_LTD, NEXT_DOOR):
        users = [{"email": email, "full_name": name, "admin": admin} for email, name, admin in USERS[company.org]]
        zoho.post(
            "orgs",
            name=company.org,
            dc=company.dc,
            company_name=company.name,
            time_zone=company.zone,
            country=company.country,
            phonebridge=company.phonebridge,
            users=users,
        )
    named = [{"Account_Name": name} for name in people.COMPANIES]
    accounts = zoho.post("seed", org="alice", module="Accounts", records=named)["ids"]
    ids = dict(zip(people.COMPANIES, accounts, strict=True))
    contacts = [row | {"Account_Name": {"id": ids[row["Account_Name"]]}} for row in books.contacts]
    known = zoho.post("seed", org="alice", module="Contacts", records=contacts)["ids"]
    zoho.post("seed", org="alice", module="Leads", records=books.leads)
    zoho.post("seed", org="charlie", module="Contacts", records=_next_door())
    machines = [
        {"Name": f"Press {place}", "Panel_Phone": f"+34 911 55 50 {place:02d}", "Customer": {"id": account}}
        for place, account in enumerate(accounts[:3], start=1)
    ]
    zoho.post("seed", org="alice", module="Machines", records=machines)
    deal = {"Deal_Name": "A press and its service", "Stage": "Negotiation/Review", "Contact_Name": {"id": known[0]}}
    zoho.post("seed", org="alice", module="Deals", records=[deal])


def _next_door() -> list[dict[str, Any]]:
    """Charlie's contacts: strangers to Alice but for Zoë, who bakes for both."""
    given, family = ZOE_NEXT_DOOR
    zoe = {"First_Name": given, "Last_Name": family, "Phone": people.ZOE.number.spelt(3)}
    others = [people.somebody(place) for place in range(2_000, 2_011)]
    return [
        zoe,
        *(
            {"First_Name": who.given, "Last_Name": who.family, "Phone": f"+1 (202) 555-01{turn:02d}"}
            for turn, who in enumerate(others)
        ),
    ]


def _set_up_google(google: Controls, base_url: str, books: people.Books) -> None:
    google.post("reset")
    callback = f"{base_url}/oauth/google/callback"
    google.post("clients", client_id=GOOGLE_CLIENT, client_secret=GOOGLE_SECRET, redirect_uris=[callback])
    google.post("addon", client_id=ADDON_CLIENT, service_account=ADDON_ACCOUNT)
    for email, name in ((ALICE, "Alice Adler"), (BOB, "Bob Baker"), (CHARLIE, "Charlie Cole")):
        google.post("users", email=email, name=name, hd=email.partition("@")[2])
    google.post("contacts", user=ALICE, contacts=books.google)
    cards.show(google.post)
    google.post("pubsub", topic=TOPIC, endpoint=f"{base_url}/webhooks/google/gmail", service_account=PUBSUB_ACCOUNT)
