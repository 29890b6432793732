"""The whole product's tools over the suite's real servers, for tests that go through a door."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urljoin, urlsplit
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete

import webhooks
from domain.consent import scopes_for
from domain.ports import CrmUser
from jobs.connect import NewDoor, add_phone_system
from jobs.services import Services, open_services
from oauth.answer import Answer
from settings import read
from store.database import TenantId
from store.embedded import Postgres
from store.tables import directory
from store.tenants import User
from tests.servers import RING
from tests.zoho_stage import Stage
from webhooks import hints

ORIGIN = "https://linekeeper.alice.example"
KEYRING = ",".join(f"{kid}:{base64.b64encode(key).decode()}" for kid, key in RING)


@contextmanager
def services(db_urls: Postgres, work_url: str, mail_url: str, **environ: str) -> Iterator[Services]:
    """Open every tool as a web process or a worker does."""
    told = {
        "DATABASE_URL": db_urls.app_url,
        "REDIS_URL": work_url,
        "MAIL_REDIS_URL": mail_url,
        "KEYRING": KEYRING,
        "BASE_URL": ORIGIN,
    }
    opened = open_services(read(told | environ))
    moved_out(opened)
    try:
        yield opened
    finally:
        opened.close()
        opened.mail.close()
        opened.http.close()


def moved_out(opened: Services) -> None:
    """Let whoever comes from the cast be new here: what befell them elsewhere is not for every test."""
    with opened.db.anyone() as database:
        database.execute(delete(directory).where(directory.c.kind == "organisation"))


def front(opened: Services) -> FlaskClient:
    """The doors, without a server around them."""
    app = Flask("doors")
    webhooks.init_app(app, opened)
    return app.test_client()


def settled(client: FlaskClient) -> None:
    """Wait until no thread of these doors looks anything up any more, so that the tools can be put away."""
    pool = client.application.extensions[hints.EXTENSION]._pool
    if pool is not None:
        pool.shutdown()


def administrator(opened: Services, tenant: TenantId) -> User:
    """Alice, as Zoho knows her."""
    tie = opened.connections.add(tenant, "crm", "zoho", label="Alice Ltd", subject=str(tenant))
    alice = CrmUser(
        remote_id="u1", login_id=str(tenant.int % 10**12), email="alice@alice.example", name="Alice Adler", admin=True
    )
    opened.tenants.learn_users(tenant, tie, [alice])
    (user,) = opened.tenants.users(tenant)
    return user


def google_account(
    opened: Services,
    tenant: TenantId,
    *features: str,
    label: str = "bob@alice.example",
    refresh: str = "1//refresh",
    by: UUID | None = None,
    tie: UUID | None = None,
) -> UUID:
    """A Google account with a consent that carries these features; without any: contacts and mailbox. `tie`: again."""
    tie = tie or opened.connections.add(tenant, "workspace", "google", label=label, subject=label)
    google = opened.providers["google"]
    scopes = scopes_for([one for one in google.features if one.slug in (features or ("contacts", "mailbox"))])
    opened.grants.keep(
        tenant,
        tie,
        google,
        Answer(access="ya29.access", refresh=refresh, scopes=frozenset(scopes), life=3600, refresh_life=0, extra={}),
        home="",
        location="",
        granted_by=by,
        purposes=features,
        policy_version="1",
    )
    return tie


def phone_system(opened: Services, user: User) -> NewDoor:
    """Alice's PBX, with a door and a secret of its own."""
    return add_phone_system(opened, user=user, vendor="standard", account={})


def path_of(door: NewDoor) -> str:
    """The part of a door's address that the test client knocks at."""
    return urlsplit(door.url).path


def front_again(client: FlaskClient) -> FlaskClient:
    """The same doors for another thread: a client keeps cookies, so each has its own."""
    return client.application.test_client()


def decide(stage: Stage, address: str, **choice: str) -> dict[str, list[str]]:
    """Be the browser: look at Zoho's consent page, press a button, come back with what the callback brings."""
    page = stage.http.get(address, timeout=30)
    action = re.search(r'action="([^"]+)"', page.text)
    assert action, page.text
    answer = stage.http.post(
        urljoin(page.url, html.unescape(action[1])), data=choice, allow_redirects=False, timeout=30
    )
    back = urlsplit(answer.headers["Location"])
    assert "/oauth/zoho/callback" == back.path
    return parse_qs(back.query, keep_blank_values=True)
