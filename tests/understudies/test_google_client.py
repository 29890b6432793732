"""Google's own client libraries work against the understudy over a real connection, unchanged but for the addresses."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google_auth_httplib2
import googleapiclient.discovery
import httplib2
import jwt
import pytest
import requests
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials
from google_auth_oauthlib.flow import Flow
from googleapiclient.errors import HttpError
from werkzeug.serving import make_server

from integrations.google import sandbox

from .google_cast import ALICE, CALLBACK, CAROL, CONTACTS, MODIFY, TOPIC, door, read_push

TIMEOUT = 10
DOCUMENTS = Path(googleapiclient.discovery.__file__).parent / "discovery_cache" / "documents"
SERVICE_ACCOUNT = "push@linekeeper.iam.gserviceaccount.com"
Json = dict[str, Any]


@dataclass
class Google:
    """The understudy on a port of its own."""

    origin: str

    def act(self, what: str, body: Json) -> Json:
        """Post to the control plane."""
        answer = requests.post(f"{self.origin}/_stage/{what}", json=body, timeout=TIMEOUT)
        answer.raise_for_status()
        return dict(answer.json())

    def flow(self, *scopes: str, **state: str) -> Flow:
        """Start a consent as the product does."""
        addresses = {"auth_uri": f"{self.origin}/o/oauth2/v2/auth", "token_uri": f"{self.origin}/token"}
        config = {"web": {"client_id": "linekeeper", "client_secret": "s3cret", **addresses}}
        return Flow.from_client_config(config, scopes, redirect_uri=CALLBACK, **state)

    def consent(self, flow: Flow, *ticked: str) -> Credentials:
        """Agree to what is ticked and bring the credentials home in a second flow, as a web server must."""
        address, state = flow.authorization_url(prompt="consent")
        page = requests.get(address, timeout=TIMEOUT).text
        action = address.replace("/auth?", "/auth/decide?")
        answer = requests.post(action, {"user": ALICE, "scope": list(ticked)}, allow_redirects=False, timeout=TIMEOUT)
        back = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}
        assert all(scope in page for scope in ticked)
        assert back["state"] == state
        second = self.flow(*flow.oauth2session.scope, state=state, code_verifier=flow.code_verifier)
        second.fetch_token(code=back["code"])
        assert isinstance(second.credentials, Credentials)
        return second.credentials

    def service(self, name: str, version: str, http: google_auth_httplib2.AuthorizedHttp) -> Any:
        """Build a client from the static discovery document with another root, which moves uploads and batches too."""
        document = json.loads((DOCUMENTS / f"{name}.{version}.json").read_text())
        document["rootUrl"] = f"{self.origin}/"
        document.pop("mtlsRootUrl", None)
        build = googleapiclient.discovery.build_from_document  # type: ignore[attr-defined]  # the stubs forgot it
        return build(document, http=http)


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """Serve the understudy with Alice in it; oauthlib is told that http and partial grants are fine."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    server = make_server("127.0.0.1", 0, lambda environ, start: app(environ, start), threaded=True)
    app = sandbox.create_apps({"google": f"http://127.0.0.1:{server.port}"})["google"]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stage = Google(f"http://127.0.0.1:{server.port}")
    try:
        stage.act("clients", {"client_id": "linekeeper", "client_secret": "s3cret", "redirect_uris": [CALLBACK]})
        stage.act("users", {"email": ALICE, "name": "Alice Smith", "hd": "alice.example"})
        yield stage
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def http(google: Google) -> Iterator[google_auth_httplib2.AuthorizedHttp]:
    """Connect Alice with everything these tests use."""
    credentials = google.consent(google.flow(CONTACTS, MODIFY), CONTACTS, MODIFY)
    with closing(httplib2.Http(timeout=TIMEOUT)) as bare:
        yield google_auth_httplib2.AuthorizedHttp(credentials, http=bare)


def test_the_flow_brings_partial_grants_and_refreshes_them(google: Google) -> None:
    """PKCE survives the round trip, the unticked scope is missing, a refresh works, and a revoked one says so."""
    credentials = google.consent(google.flow("openid", CONTACTS, MODIFY), CONTACTS)
    first, granted = credentials.token, list(credentials.granted_scopes or ())
    with closing(requests.Session()) as session:
        renewed = Credentials(  # type: ignore[no-untyped-call]  # google-auth has no types here
            None,
            refresh_token=credentials.refresh_token,
            token_uri=credentials.token_uri,
            client_id="linekeeper",
            client_secret="s3cret",
            scopes=granted,
        )
        renewed.refresh(Request(session))  # type: ignore[no-untyped-call]  # likewise
        session.post(f"{google.origin}/revoke", {"token": renewed.token}, timeout=TIMEOUT)
        with pytest.raises(Exception, match="invalid_grant"):
            renewed.refresh(Request(session))  # type: ignore[no-untyped-call]  # likewise

    assert sorted(granted) == sorted(["openid", CONTACTS])
    assert renewed.token not in (None, first)
    claims = verified(google, str(credentials.id_token), "linekeeper")
    assert (claims["iss"], claims["hd"]) == ("https://accounts.google.com", "alice.example")


def test_an_expired_token_is_renewed_on_the_way(google: Google, http: google_auth_httplib2.AuthorizedHttp) -> None:
    """The library answers a 401 with a refresh and the same call again."""
    users = google.service("gmail", "v1", http).users()
    google.act("account", {"user": ALICE, "event": "access_expired"})

    assert users.getProfile(userId="me").execute()["emailAddress"] == ALICE
    requested = requests.get(f"{google.origin}/_stage/requests", timeout=TIMEOUT).json()["counts"]
    assert requested["GET /gmail/v1/users/{user_id}/profile"] == 2
    assert requested["POST /token"] == 2


def test_gmail_lists_gets_sends_and_batches(google: Google, http: google_auth_httplib2.AuthorizedHttp) -> None:
    """Paging, formats, sending, modifying and a batch of reads work through the generated client."""
    users = google.service("gmail", "v1", http).users()
    messages = users.messages()
    names = [
        google.act("mail", {"user": ALICE, "from": "carol@shop.example", "subject": f"Offer {n}"})["id"]
        for n in range(5)
    ]
    page = messages.list(userId="me", q="from:carol", maxResults=3)
    listed = []
    while page is not None:
        answer = page.execute()
        listed += [message["id"] for message in answer["messages"]]
        page = messages.list_next(page, answer)

    answers: dict[str, Json] = {}
    batch = google.service("gmail", "v1", http).new_batch_http_request(
        callback=lambda number, answer, error: answers.update({number: answer or {"error": error.resp.status}})
    )
    for name in [*names, "ff"]:
        batch.add(messages.get(userId="me", id=name, format="metadata", metadataHeaders=["Subject"]), request_id=name)
    batch.execute()
    text = base64.urlsafe_b64encode(b"To: carol@shop.example\r\nSubject: Thanks\r\n\r\nYes").decode()
    sent = messages.send(userId="me", body={"raw": text}).execute()
    messages.batchModify(userId="me", body={"ids": names, "removeLabelIds": ["UNREAD"]}).execute()

    assert listed == names[::-1]
    subjects = [answers[name]["payload"]["headers"][0]["value"] for name in names]
    assert subjects == [f"Offer {n}" for n in range(5)]
    assert answers["ff"] == {"error": 404}
    assert sent["labelIds"] == ["SENT"]
    assert messages.list(userId="me", q="is:unread").execute() == {"resultSizeEstimate": 0}


def test_gmail_watches_and_the_push_is_signed(google: Google, http: google_auth_httplib2.AuthorizedHttp) -> None:
    """A push's bearer verifies against the published keys, before and after a rotation, and history tells what came."""
    users = google.service("gmail", "v1", http).users()
    with door() as (endpoint, caught):
        google.act("pubsub", {"topic": TOPIC, "endpoint": endpoint, "service_account": SERVICE_ACCOUNT})
        watched = users.watch(userId="me", body={"topicName": TOPIC}).execute()
        first = caught.get(timeout=TIMEOUT)
        google.act("keys/rotate", {})
        arrived = google.act("mail", {"user": ALICE, "from": "carol@shop.example"})["id"]
        second = caught.get(timeout=TIMEOUT)
        users.stop(userId="me").execute()

    assert read_push(first) == {"emailAddress": ALICE, "historyId": watched["historyId"]}
    headers = [jwt.get_unverified_header(push[0].removeprefix("Bearer ")) for push in (first, second)]
    assert headers[0]["kid"] != headers[1]["kid"]
    for push in (first, second):
        claims = verified(google, push[0].removeprefix("Bearer "), endpoint)
        assert (claims["email"], claims["email_verified"]) == (SERVICE_ACCOUNT, True)
        assert claims["exp"] - claims["iat"] == 3600
    history = users.history().list(userId="me", startHistoryId=watched["historyId"]).execute()
    assert [row["messagesAdded"][0]["message"]["id"] for row in history["history"]] == [arrived]
    with pytest.raises(HttpError) as lost:
        users.history().list(userId="me", startHistoryId="1").execute()
    assert lost.value.resp.status == 404


def test_people_sync_and_batches(google: Google, http: google_auth_httplib2.AuthorizedHttp) -> None:
    """Contacts are created in a batch, listed to a sync token, and a deletion comes back as such."""
    people = google.service("people", "v1", http).people()
    wrapped = [{"contactPerson": CAROL}] * 3
    made = people.batchCreateContacts(body={"contacts": wrapped, "readMask": "names"}).execute()["createdPeople"]
    names = [one["person"]["resourceName"] for one in made]
    asked = {"resourceName": "people/me", "personFields": "names,metadata", "pageSize": 2, "requestSyncToken": True}
    page, listed = people.connections().list(**asked), []
    while page is not None:
        answer = page.execute()
        listed += answer["connections"]
        page = people.connections().list_next(page, answer)
    people.deleteContact(resourceName=names[0]).execute()
    update = {"etag": made[1]["person"]["etag"], "names": [{"givenName": "Cara"}]}
    people.updateContact(resourceName=names[1], updatePersonFields="names", body=update).execute()
    changes = people.connections().list(**asked, syncToken=answer["nextSyncToken"]).execute()["connections"]

    assert [person["resourceName"] for person in listed] == names
    assert [(person["resourceName"], person["metadata"].get("deleted", False)) for person in changes] == [
        (names[0], True),
        (names[1], False),
    ]
    google.act("clock", {"advance": 8 * 86_400})
    with pytest.raises(HttpError) as expired:
        people.connections().list(**asked, syncToken=answer["nextSyncToken"]).execute()
    details: Any = expired.value.error_details
    assert details[0]["reason"] == "EXPIRED_SYNC_TOKEN"


def test_a_cut_connection_makes_httplib2_write_twice(google: Google, http: google_auth_httplib2.AuthorizedHttp) -> None:
    """The understudy can show why exactly-once writes must not go through httplib2: it sends a cut POST again."""
    people = google.service("people", "v1", http).people()
    people.connections().list(resourceName="people/me", personFields="names").execute()  # the connection is now kept
    google.act("faults", {"match": "POST /v1/people:createContact", "action": "drop_after"})
    people.createContact(body=CAROL).execute()

    contacts = requests.get(f"{google.origin}/_stage/contacts?user={ALICE}", timeout=TIMEOUT).json()["contacts"]
    assert len(contacts) == 2


def verified(google: Google, token: str, audience: str) -> Json:
    """Verify a token against the published keys as a receiver must."""
    keys = jwt.PyJWKSet.from_dict(requests.get(f"{google.origin}/oauth2/v3/certs", timeout=TIMEOUT).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return dict(jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer="https://accounts.google.com"))
