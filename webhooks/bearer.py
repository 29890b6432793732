"""Who knocks with a key: `Authorization: Bearer lk_...`, believed by its digest, good for what it was made for."""

from __future__ import annotations

from flask import Request, request

from domain.api_key import Scope
from domain.errors import Forbidden, Unauthentic
from jobs.services import Services
from store.api_keys import ApiKey

SECURITY = [{"bearer": list[str]()}]
REFUSALS = {
    "401": {"description": "Without a key, or with one that is none or was revoked"},
    "403": {"description": "The key was not made for this"},
}


def knocking(services: Services, scope: Scope, came: Request = request) -> ApiKey:
    """The key a request came with. Raises Unauthentic, and Forbidden for a key made for something else."""
    scheme, _, value = came.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() != "bearer":
        raise Unauthentic
    key = services.api_keys.find(value.strip())
    if scope not in key.scopes:
        raise Forbidden("This key was not made for that.", code="key.scope")
    return key
