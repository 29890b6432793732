"""Standard Webhooks: ours and the reference library agree on what is genuine, and ours is the stricter one."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from domain.errors import Unauthentic
from integrations.telephony.standard.signature import new_secret, sign, verify

SECRET = "whsec_bGFiLXNlY3JldC1sYWItc2VjcmV0LWxhYg=="
BODY = b'{"type":"call.ended"}'
AT = datetime.fromtimestamp(1_700_000_000, UTC)
VECTOR = {
    "webhook-id": "msg_1",
    "webhook-timestamp": "1700000000",
    "webhook-signature": "v1,y1ZBV4ZO+K/VHHzGA2atMOcUvyjfpYlUmsvYCPqFYm8=",
}
MAC = VECTOR["webhook-signature"]
WRONG = "v1," + base64.b64encode(bytes(32)).decode()


def why(headers: dict[str, str], now: datetime = AT, secrets: tuple[str, ...] = (SECRET,), body: bytes = BODY) -> str:
    """Say with which code a knock is turned away; empty when it is believed."""
    try:
        verify(headers, body, secrets, now)
    except Unauthentic as error:
        return error.code
    return ""


def test_the_known_vector_is_signed_and_believed() -> None:
    """The published example: secret, id, time and body give this signature and no other."""
    assert sign(SECRET, "msg_1", BODY, AT) == VECTOR
    assert verify(VECTOR, BODY, [SECRET], AT) == "msg_1"


@pytest.mark.parametrize("body", [BODY, b"{}", '{"text":"Grüezi 😀"}'.encode(), json.dumps({"n": 1}).encode()])
def test_what_the_reference_library_signs_we_believe(body: bytes) -> None:
    """A platform may sign with any Standard Webhooks library."""
    secret, now = new_secret(), datetime.now(UTC)
    headers = {
        "webhook-id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", now, body.decode()),
    }

    assert headers["webhook-id"] == verify(headers, body, [secret], now)


@pytest.mark.parametrize("body", [BODY, b"{}", '{"text":"Grüezi 😀"}'.encode()])
def test_what_we_sign_the_reference_library_believes(body: bytes) -> None:
    """Whoever plays the vendor with our `sign` plays it truly."""
    secret = new_secret()
    headers = sign(secret, "msg_1", body, datetime.now(UTC))

    assert json.loads(body) == Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers)


@pytest.mark.parametrize("seconds", [-301, -300, 0, 300, 301])
def test_five_minutes_either_way_and_no_second_more(seconds: int) -> None:
    """An old delivery cannot be played again and a clock may be a little wrong."""
    expected = "" if abs(seconds) <= 300 else "webhook.stale"

    assert expected == why(VECTOR, now=AT + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"webhook-id": ""}, "webhook.unsigned"),
        ({"webhook-timestamp": ""}, "webhook.unsigned"),
        ({"webhook-signature": ""}, "webhook.unsigned"),
        ({"webhook-timestamp": "NaN"}, "webhook.bad_signature"),
        ({"webhook-timestamp": "-1"}, "webhook.bad_signature"),
        ({"webhook-timestamp": "1e9"}, "webhook.bad_signature"),
        ({"webhook-timestamp": "1700000000.9"}, "webhook.bad_signature"),
        ({"webhook-timestamp": " 1700000000"}, "webhook.bad_signature"),
        ({"webhook-timestamp": "\u0661\u0667" + "\u0660" * 8}, "webhook.bad_signature"),
        ({"webhook-timestamp": "1" * 20}, "webhook.bad_signature"),
        ({"webhook-id": "msg.1"}, "webhook.bad_signature"),
        ({"webhook-id": "m" * 129}, "webhook.bad_signature"),
        ({"webhook-id": "msg 1"}, "webhook.bad_signature"),
        ({"webhook-id": "msg_1\n"}, "webhook.bad_signature"),
        ({"webhook-signature": MAC.removeprefix("v1,")}, "webhook.bad_signature"),
        ({"webhook-signature": MAC.replace("v1,", "v1a,")}, "webhook.bad_signature"),
        ({"webhook-signature": MAC.replace("v1,", "v2,")}, "webhook.bad_signature"),
        ({"webhook-signature": "v1,"}, "webhook.bad_signature"),
        ({"webhook-signature": "v1,\ud800é"}, "webhook.bad_signature"),
        ({"webhook-signature": f"{MAC} " * 1000}, "webhook.bad_signature"),
        ({"webhook-signature": f"{MAC}{' ' * 65_536}"}, "webhook.bad_signature"),
    ],
    ids=lambda value: (
        next(f"{name[8:]}={text[:24]!r}" for name, text in value.items()) if isinstance(value, dict) else ""
    ),
)
def test_headers_that_are_turned_away(changed: dict[str, str], code: str) -> None:
    """Each with its reason for our own log; the sender hears the same 401."""
    assert code == why(VECTOR | changed)


def test_missing_headers_are_unsigned() -> None:
    """No header at all is the commonest forgery."""
    assert why({}) == "webhook.unsigned"


def test_stale_is_only_said_of_what_was_once_genuine() -> None:
    """A forger learns nothing from a clock."""
    assert why(VECTOR | {"webhook-signature": WRONG}, now=AT + timedelta(hours=1)) == "webhook.bad_signature"
    assert why(VECTOR, now=AT + timedelta(hours=1)) == "webhook.stale"


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        ([WRONG, MAC], ""),
        (["v1a,AAAA", "v9,x", "rubbish", MAC], ""),
        ([WRONG] * 4 + [MAC], ""),
        ([WRONG] * 5 + [MAC], "webhook.bad_signature"),
        (["v1a,AAAA"] * 5 + [MAC], ""),
    ],
    ids=["second", "after other versions", "fifth", "sixth", "other versions do not count"],
)
def test_at_most_five_listed_signatures_are_compared(listed: list[str], code: str) -> None:
    """A sender in the middle of a rotation signs twice, not a thousand times."""
    assert code == why(VECTOR | {"webhook-signature": " ".join(listed)})


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_%%%", "whsec_\ud800", "whsec_" + "A" * 1000])
def test_a_secret_of_another_format_signs_nothing(secret: str) -> None:
    """Above all not an empty one: everybody could sign with it. The others in the list still count."""
    forged = VECTOR | {"webhook-signature": WRONG}

    assert why(forged, secrets=(secret,)) == "webhook.bad_signature"
    assert why(VECTOR, secrets=(secret, SECRET)) == ""
    with pytest.raises(ValueError, match="not a whsec_ secret"):
        sign(secret, "msg_1", BODY, AT)


def test_new_secrets_have_the_agreed_form_and_never_repeat() -> None:
    """`whsec_` and 32 random bytes."""
    secrets = {new_secret() for _ in range(50)}

    assert len(secrets) == 50
    assert {32} == {len(base64.b64decode(secret.removeprefix("whsec_"))) for secret in secrets}
