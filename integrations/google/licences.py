"""The licences of the Workspace Marketplace: whether our application is installed for a user, and by whom.

Google tells nobody of an installation or a removal; it can only be asked (appsmarket.v2). `licenseNotification.list`,
which would list the changes, is deprecated and no longer in the API's description, so each account is asked for.
https://developers.google.com/workspace/marketplace/example-calls-marketplace-api
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from domain.errors import ConsentLost, Refused, TryLater
from domain.ports import Http
from integrations.google.discovery import leaf
from integrations.google.robot import Robot
from integrations.google.scopes import AUTH
from integrations.google.transport import UserHttp, execute

SCOPE = AUTH + "appsmarketplace.license"  # the service account's, never a user's
STATES = {"ACTIVE": True, "UNLICENSED": False, "EXPIRED": False}


@dataclass(frozen=True, slots=True)
class Licence:
    """Whether somebody has our application; `installed`: an administrator installed it for them, or they did, and
    granted its scopes with that. Which of the two Google does not say."""

    held: bool
    installed: bool = False


class Licences:
    """The licences of one application."""

    def __init__(self, robot: Robot, application: str, http: Http, *, root: str = "", timeout: float = 20.0) -> None:
        self._way = UserHttp(robot.tokens(SCOPE), http, timeout)
        self._application = application
        self._users = leaf(root, "appsmarket", "v2", "userLicense")
        self._customers = leaf(root, "appsmarket", "v2", "customerLicense")

    def of_user(self, email: str) -> Licence:
        """A user's licence. Raises an Upstream error for whatever is not a clear answer."""
        told = self._ask(self._users.get(applicationId=self._application, userId=email))
        return Licence(self._held(told), told.get("enabled") is True)

    def of_domain(self, domain: str) -> bool:
        """Whether anybody's administrator there installed our application."""
        return self._held(self._ask(self._customers.get(applicationId=self._application, customerId=domain)))

    def _ask(self, request: Any) -> dict[str, Any]:
        try:
            return execute(request, self._way)
        except ConsentLost:
            raise Refused("Google does not take our service account's token.", code="google.robot_refused") from None

    @staticmethod
    def _held(told: dict[str, Any]) -> bool:
        state = told.get("state")
        if state not in STATES:
            raise TryLater("Google's answer says nothing of a licence.")
        return STATES[state]
