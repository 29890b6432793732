"""Which Google account is whose: proved at Google's consent page, kept as a fingerprint, taken back at any time."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import requests

from app import create_app
from domain.errors import Forbidden
from integrations.google.provider import SIGN_IN
from jobs import connect, workspace
from jobs.services import Services
from store.database import TenantId
from store.embedded import Postgres
from store.tenants import User
from tests import console_desk, google_stage, house

CALLBACK = f"{house.ORIGIN}/oauth/google/callback"


@pytest.fixture(scope="module")
def google() -> Iterator[google_stage.Stage]:
    with google_stage.running() as stage:
        yield stage


@pytest.fixture(scope="module")
def tools(db_urls: Postgres, work_url: str, mail_url: str, google: google_stage.Stage) -> Iterator[Services]:
    told = {
        "GOOGLE_CLIENT_ID": google_stage.CLIENT,
        "GOOGLE_CLIENT_SECRET": google_stage.SECRET,
        "GOOGLE_AUTH_URI": f"{google.origin}/o/oauth2/v2/auth",
        "GOOGLE_TOKEN_URI": f"{google.origin}/token",
        "GOOGLE_CERTS_URI": f"{google.origin}/oauth2/v3/certs",
        "ZOHO_SERVERINFO_URL": "http://127.0.0.1:1/oauth/serverinfo",  # all the world on loopback, so http will do
    }
    google.fresh()
    google.post(
        "clients",
        client_id=google_stage.CLIENT,
        client_secret=google_stage.SECRET,
        redirect_uris=[CALLBACK],
    )
    with house.services(db_urls, work_url, mail_url, **told) as opened:
        yield opened


def subject(google: google_stage.Stage, email: str = google_stage.BOB) -> str:
    return str(google.post("users", email=email, name="Bob Baker")["sub"])


def consented(google: google_stage.Stage, address: str, email: str = google_stage.BOB) -> dict[str, list[str]]:
    """What the callback brings after Bob said yes."""
    parts = urlsplit(address)
    answer = requests.post(
        f"{google.origin}{parts.path}/decide",
        params=parse_qs(parts.query),
        data={"user": email, "scope": SIGN_IN},
        allow_redirects=False,
        timeout=30,
    )
    return parse_qs(urlsplit(answer.headers["Location"]).query)


def link(tools: Services, google: google_stage.Stage, user: User, finishing: User | None = None) -> connect.Completed:
    """Go to Google's consent page and come back."""
    browser = uuid4().hex
    address = connect.begin(tools, provider="google", purpose="link", browser=browser, user=user)
    query = consented(google, address)
    return connect.complete(tools, provider="google", query=query, browser=browser, user=finishing or user)


def test_a_linked_account_is_the_users_and_nothing_else_is_kept(
    tools: Services, google: google_stage.Stage, tenant: TenantId
) -> None:
    """No connection, no grant: only that it is theirs. Linking again changes nothing; unlinking ends it."""
    bob = console_desk.furnish(tools, tenant).bob
    assert workspace.whose(tools, subject(google)) is None

    done = [link(tools, google, bob) for _ in range(2)]

    known = workspace.whose(tools, subject(google))
    assert known is not None
    assert (bob.id, 1, "link") == (known[1].id, workspace.linked(tools, bob), done[0].purpose)
    assert [] == tools.connections.all(tenant, kind="workspace")
    assert 1 == workspace.unlink(tools, bob)
    assert (0, None) == (workspace.unlink(tools, bob), workspace.whose(tools, subject(google)))


def test_an_account_belongs_to_one_organisation(
    tools: Services, google: google_stage.Stage, tenant: TenantId, neighbour: TenantId
) -> None:
    """Whoever names it first has it until they let go."""
    bob = console_desk.furnish(tools, tenant).bob
    charlie = console_desk.furnish(tools, neighbour, "Charlie", "Carol").alice
    workspace.link(tools, charlie, subject(google))

    with pytest.raises(Forbidden, match="another organisation"):
        link(tools, google, bob)

    workspace.learn(tools, bob, subject(google))  # nor by connecting it for something else
    known = workspace.whose(tools, subject(google))
    assert known is not None
    assert charlie.id == known[1].id
    workspace.unlink(tools, charlie)


def test_whoever_began_has_to_finish(tools: Services, google: google_stage.Stage, tenant: TenantId) -> None:
    """A link started by Alice and finished in Bob's browser would make his account hers."""
    made = console_desk.furnish(tools, tenant)
    with pytest.raises(Forbidden, match="began"):
        link(tools, google, made.alice, made.bob)
    assert workspace.whose(tools, subject(google)) is None


def test_who_no_longer_works_here_is_nobody(tools: Services, google: google_stage.Stage, tenant: TenantId) -> None:
    """Though nobody unlinked them."""
    made = console_desk.furnish(tools, tenant)
    workspace.link(tools, made.bob, subject(google))
    assert workspace.whose(tools, subject(google)) is not None

    tools.tenants.learn_users(tenant, made.crm, [])

    assert workspace.whose(tools, subject(google)) is None
    workspace.unlink(tools, made.bob)


def test_an_agent_links_from_the_page_a_card_sends_them_to(
    tools: Services, google: google_stage.Stage, tenant: TenantId
) -> None:
    """Signed out, the page asks to sign in first; then its button goes to Google, and back to the page."""
    made = console_desk.furnish(tools, tenant)
    app = create_app(tools)
    stranger = app.test_client()
    assert stranger.get("/console/workspace").headers["Location"].endswith("/console/sign-in")

    client = app.test_client()
    value = tools.directory.new("session", tenant, user=made.bob.id)
    client.set_cookie("__Host-linekeeper_session", value, domain="linekeeper.alice.example", secure=True)
    secure = {"base_url": house.ORIGIN}
    page = client.get("/console/workspace", **secure).get_data(as_text=True)
    assert "Connect my Google account" in page
    form = {"csrf_token": page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]}
    sent = client.post("/console/workspace", data=form, headers={"Sec-Fetch-Site": "same-origin"}, **secure)
    back = client.get("/oauth/google/callback", query_string=consented(google, sent.headers["Location"]), **secure)

    assert back.headers["Location"].endswith("/console/workspace")
    assert "connected to you" in client.get("/console/workspace", **secure).get_data(as_text=True)
    client.post("/console/workspace/unlink", data=form, headers={"Sec-Fetch-Site": "same-origin"}, **secure)
    assert 0 == workspace.linked(tools, made.bob)
