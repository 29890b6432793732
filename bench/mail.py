"""Catching up with a mailbox after a long silence, and how soon nothing cached can be read after a disconnect."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from werkzeug.serving import make_server

from bench.house import House
from bench.measure import Row
from domain.contact import Person, Record
from domain.mail import Message
from domain.plan import Step
from domain.ports import Mailbox, Tokens, in_batches
from integrations.google import open_mailbox, open_sessions
from integrations.google.gmail import BATCH_SIZE, HISTORY_PAGE
from integrations.google.provider import AUTH
from integrations.google.sandbox import create_apps
from jobs import sync_mail
from jobs.services import Services
from store.connections import Tie

MESSAGES, PEOPLE = 10_000, 200
CACHED = 100_000
ALICE, CLIENT = "alice@alice.example", "bench"


def measure(house: House) -> Iterator[Row]:
    """Half of the mail is from people who are known."""
    yield from _catch_up(house)
    yield from _disconnect(house)


def _catch_up(house: House) -> Iterator[Row]:
    with _gmail() as (origin, stage):
        services, counted = _services(house), _Counted()
        tie = _tie(services, house)
        services.opened["mailbox"] = open_mailbox(http=counted, tokens=_tokens(origin), root=origin)
        sync_mail.look(services, tie)
        for place in range(MESSAGES):
            sender = f"person.{place % (2 * PEOPLE)}@sol.example"
            stage.post(
                "/_stage/mail", json={"user": ALICE, "from": sender, "subject": f"Offer {place}", "text": "Prices."}
            )
        counted.many = 0
        began = time.perf_counter()
        told = sync_mail.look(services, tie)
        took = time.perf_counter() - began
    if told["cached"] != MESSAGES // 2:
        raise RuntimeError(f"{told['cached']} messages were cached, not {MESSAGES // 2}")
    yield Row(
        measure=f"history catch-up of {MESSAGES:,} messages, requests to Gmail",
        figure=counted.many,
        unit="",
        baseline=MESSAGES // HISTORY_PAGE + MESSAGES // BATCH_SIZE,
        against=f"the least possible: {HISTORY_PAGE} changes a page, {BATCH_SIZE} headers a request",
        wanted="ratio <= 1.1",
    )
    yield Row(
        measure=f"history catch-up of {MESSAGES:,} messages",
        figure=took,
        unit="s",
        baseline=counted.waited,
        against="waiting for the understudy",
    )


def _disconnect(house: House) -> Iterator[Row]:
    services, tenant, now = house.services, house.tenant(), datetime.now(UTC)
    usual: dict[str, Any] = {"thread": "t", "at": now, "sender": "dana@sol.example", "to": (ALICE,), "subject": "Offer"}
    keys = [f"m{place}" for place in range(CACHED)]
    for batch in in_batches(keys, 1_000):
        services.mail.put(tenant, [(Message(id=key, **usual), ["dana"]) for key in batch])
    if services.mail.get(tenant, keys[-1]) is None or services.mail.counts(tenant)["messages"] != CACHED:
        raise RuntimeError("not all of it was cached")
    began = time.perf_counter()
    leaving = threading.Thread(target=services.mail.disconnect, args=(tenant,))
    leaving.start()
    while services.mail.get(tenant, keys[-1]) is not None:
        time.sleep(0.001)
    unreadable = time.perf_counter() - began
    leaving.join()
    gone = time.perf_counter() - began
    if services.mail.counts(tenant)["messages"]:
        raise RuntimeError("some of it is still there")
    yield Row(
        measure=f"disconnect with {CACHED:,} cached messages, until none opens",
        figure=unreadable * 1_000,
        unit="ms",
        baseline=gone * 1_000,
        against="until every one of them is deleted",
        wanted="<= 1000",
    )


class _Counted:
    """An `Http` that counts."""

    def __init__(self) -> None:
        self._http = open_sessions()
        self.many, self.waited = 0, 0.0

    def request(self, method: str, url: str, **options: Any) -> Any:
        began = time.perf_counter()
        answer = self._http.request(method, url, **options)
        self.waited += time.perf_counter() - began
        self.many += 1
        return answer


class _Known(Services):
    """The tools, with one mailbox that is open already."""

    __slots__ = ()

    def mailbox(self, tie: Tie) -> Mailbox:
        """The one there is."""
        mailbox: Mailbox = self.opened["mailbox"]
        return mailbox


def _services(house: House) -> Services:
    return _Known(**{one.name: getattr(house.services, one.name) for one in fields(Services)})


def _tie(services: Services, house: House) -> Tie:
    tenant = house.tenant()
    crm = services.connections.add(tenant, "crm", "zoho", label="Alice Ltd")
    people = [Person(family=f"Person {place}", emails=(f"person.{place}@sol.example",)) for place in range(PEOPLE)]
    steps = [
        Step(do="adopt", record=Record(module="Contacts", remote_id=str(place), person=person))
        for place, person in enumerate(people)
    ]
    with services.db.tenant(tenant) as database:
        services.hub.apply(database, tenant, crm, steps)
    return services.connections.get(
        tenant, services.connections.add(tenant, "workspace", "google", label=ALICE, subject="alice")
    )


@contextmanager
def _gmail() -> Iterator[tuple[str, Any]]:
    """Google's understudy on loopback, and hands at its control plane."""
    apps: dict[str, Any] = {}
    server = make_server("127.0.0.1", 0, lambda environ, start: apps["google"](environ, start), threaded=True)
    origin = f"http://127.0.0.1:{server.server_port}"
    apps |= create_apps({"google": origin})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stage = apps["google"].test_client()
    try:
        stage.post("/_stage/users", json={"email": ALICE, "name": "Alice Adler", "hd": "alice.example"})
        stage.post("/_stage/knobs", json={"gmail_quota": "off"})
        redirect = f"{origin}/back"
        stage.post("/_stage/clients", json={"client_id": CLIENT, "client_secret": CLIENT, "redirect_uris": [redirect]})
        yield origin, stage
    finally:
        server.shutdown()
        server.server_close()


def _tokens(origin: str) -> Tokens:
    """Alice's consent to read her mail."""
    scope = AUTH + "gmail.readonly"
    known = {"client_id": CLIENT, "redirect_uri": f"{origin}/back"}
    asked = known | {"response_type": "code", "scope": scope, "access_type": "offline", "prompt": "consent"}
    decided = requests.post(
        f"{origin}/o/oauth2/v2/auth/decide",
        params=asked,
        data={"user": ALICE, "scope": [scope]},
        allow_redirects=False,
        timeout=30,
    )
    code = parse_qs(urlsplit(decided.headers["Location"]).query)["code"][0]
    form = known | {"client_secret": CLIENT, "grant_type": "authorization_code", "code": code}
    token: str = requests.post(f"{origin}/token", data=form, timeout=30).json()["access_token"]

    def tokens(*, renew: bool = False) -> str:
        return token

    return tokens
