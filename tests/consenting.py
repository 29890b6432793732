"""A browser, a consent page and the way back: what the tests of the consent flow go through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from integrations.zoho.provider import provider
from oauth.flow import BadConsent, Consent, Granted
from oauth.provider import OAuthProvider
from settings import Settings
from store.database import Database
from store.vault import Vault
from tests import house
from tests.zoho_stage import ALICE, CLIENT, SECRETS, Stage

ORIGIN = "http://127.0.0.1:8000"
BROWSER = "alice's browser"
SCOPES = ("ZohoCRM.org.READ", "ZohoCRM.users.READ")
Back = dict[str, list[str]]


@dataclass
class Errand:
    """Somebody at a browser who wants to connect Zoho."""

    stage: Stage
    zoho: OAuthProvider
    consent: Consent

    @classmethod
    def start(cls, stage: Stage, db: Database, vault: Vault) -> Errand:
        """Zoho as the product knows it, with its list of data centres read."""
        stage.fresh()
        told = Settings(
            zoho_client_id=CLIENT, zoho_client_secrets=SECRETS, zoho_serverinfo_url=f"{stage.us}/oauth/serverinfo"
        )
        zoho = provider(told, requests.Session())
        assert {"us", "eu"} == zoho.homes().keys()
        return cls(stage, zoho, Consent(db, vault, {"zoho": zoho}, origin=ORIGIN, timeout=5))

    def begin(self, **more: Any) -> str:
        return self.consent.begin(self.zoho, SCOPES, browser=BROWSER, ticket={"purpose": "install"}, **more)

    def decide(self, address: str = "", **choice: str) -> Back:
        """Consent as Alice, unless told otherwise; return what the callback brings."""
        return house.decide(self.stage, address or self.begin(), **(choice or {"user": ALICE}))

    def complete(self, back: Mapping[str, list[str]], browser: str = BROWSER) -> Granted:
        return self.consent.complete(self.zoho, back, browser=browser)

    def asked(self) -> int:
        """How often a token endpoint was asked: how often a secret left."""
        return sum(many for what, many in self.stage.counts().items() if what.endswith("POST /oauth/v2/token"))


def state_of(address: str) -> list[str]:
    """The state in the address of a consent page."""
    return parse_qs(urlsplit(address).query)["state"]


def refused(act: Callable[[], object]) -> str:
    """The code of the refusal."""
    with pytest.raises(BadConsent) as bad:
        act()
    return bad.value.code
