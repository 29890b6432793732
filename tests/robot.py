"""A service account at Google: the key file its operator is handed, and the understudy's knowledge of it."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.google_stage import Stage

ROBOT = "licences@linekeeper.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def key_file(email: str = ROBOT, key: Any = KEY) -> str:
    """What Google hands out when somebody makes a key for a service account."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps({"type": "service_account", "client_email": email, "private_key_id": "k1", "private_key": pem})


def hired(google: Stage, *roles: str) -> None:
    """The understudy knows the public half."""
    numbers = KEY.public_key().public_numbers()
    spelt = {
        name: base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()
        for name, value in (("n", numbers.n), ("e", numbers.e))
    }
    google.post("service-account", email=ROBOT, roles=roles, **spelt)
