"""Alice's tenant with her Google mailbox behind it: Google's understudy, her consent, and people she knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import requests

from domain.mail import Message
from jobs import connect, sync_mail, worker
from jobs.erase import erase_tenant
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from store.tenants import User
from tests import house
from tests.console_desk import furnish, meet, person
from tests.google_stage import ALICE, CLIENT, SECRET, Stage

DANA, ERIN = "dana@sol.example", "erin@quince.example"
TOPIC = "projects/linekeeper/topics/mail"
FEATURES = ("mailbox", "send-mail")


@dataclass(frozen=True, slots=True)
class Office:
    """A tenant whose administrator connected her mailbox, and hands at both ends."""

    services: Services
    google: Stage
    tenant: TenantId
    tie: Tie
    alice: User
    bob: User
    dana: UUID
    erin: UUID

    def mail(self, sender: str = f"Dana Dune <{DANA}>", **values: Any) -> str:
        """Somebody writes to Alice; return Google's id of the message."""
        usual = {"user": ALICE, "from": sender, "subject": "Offer", "text": "Prices inside."}
        return str(self.google.post("mail", **(usual | values))["id"])

    def key(self, id: str) -> str:
        return sync_mail.key(self.tie, id)

    def look(self) -> dict[str, int]:
        return sync_mail.look(self.services, self.services.connections.get(self.tenant, self.tie.id))

    def work(self) -> None:
        worker.visit(self.services, self.tenant, "mail", seconds=30)

    def beside(self, contact: UUID) -> list[Message]:
        return self.services.mail.of_contact(self.tenant, contact)


@contextmanager
def tools(db_urls: Postgres, work_url: str, mail_url: str, google: Stage, **more: str) -> Iterator[Services]:
    """Every tool, with Google's understudy for Google."""
    told = {
        "GOOGLE_CLIENT_ID": CLIENT,
        "GOOGLE_CLIENT_SECRET": SECRET,
        "GOOGLE_AUTH_URI": f"{google.origin}/o/oauth2/v2/auth",
        "GOOGLE_TOKEN_URI": f"{google.origin}/token",
        "GOOGLE_REVOKE_URI": f"{google.origin}/revoke",
        "GOOGLE_CERTS_URI": f"{google.origin}/oauth2/v3/certs",
        "GOOGLE_API_ROOT": google.origin,
        "GOOGLE_PUBSUB_TOPIC": TOPIC,
    }
    with house.services(db_urls, work_url, mail_url, **told | more) as opened:
        yield opened


@contextmanager
def opened(services: Services, google: Stage, tenant: TenantId, features: Sequence[str] = FEATURES) -> Iterator[Office]:
    """Connect Alice's Google with these features."""
    google.fresh()
    google.post("knobs", gmail_quota="off")
    google.post("clients", client_id=CLIENT, client_secret=SECRET, redirect_uris=[_callback(services)])
    google.post("pubsub", topic=TOPIC, endpoint=f"{google.origin}/nowhere", service_account="push@linekeeper.example")
    desk = furnish(services, tenant)
    tie = connected(services, google, desk.alice, ALICE, features)
    people = [person("Dana", "Dune", "Sol", "+34600111222", DANA), person("Erin", "Quince", "Q", "+34600333444", ERIN)]
    meet(services, tenant, desk.crm, people)
    ids = services.hub.by_email(tenant, [DANA, ERIN])
    yield Office(services, google, tenant, tie, desk.alice, desk.bob, ids[DANA][0], ids[ERIN][0])
    erase_tenant(services, tenant)


def connected(
    services: Services,
    google: Stage,
    user: User,
    account: str,
    features: Sequence[str],
    purpose: Literal["connect", "own"] = "connect",
    more: Sequence[str] = (),
) -> Tie:
    """Walk a user through Google's consent, ticking all that is asked for; `more`: scopes they add themselves."""
    browser = uuid4().hex
    address = connect.begin(services, provider="google", purpose=purpose, browser=browser, features=features, user=user)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    asked["scope"] = " ".join([asked["scope"], *more])
    form = {"user": account, "scope": asked["scope"].split()}
    decide = f"{google.origin}/o/oauth2/v2/auth/decide"
    answer = requests.post(decide, params=asked, data=form, allow_redirects=False, timeout=30)
    back = parse_qs(urlsplit(answer.headers["Location"]).query)
    done = connect.complete(services, provider="google", query=back, browser=browser, user=user)
    assert done.connection is not None
    return services.connections.get(user.tenant, done.connection)


def _callback(services: Services) -> str:
    return f"{services.settings.origin}/oauth/google/callback"
