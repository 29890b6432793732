"""The licences of the Workspace Marketplace as a service account reads them, and the stage's hands on both.

The document appsmarket.v2 (20260209); only `state` and `enabled` of it say anything.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, request

from .control import Unclear, body, text
from .errors import not_found
from .marketplace import Shelf
from .robots import Robot
from .tokens import unb64
from .world import World

SCOPE = "https://www.googleapis.com/auth/appsmarketplace.license"
EDITION = "default_edition"


def install(app: Flask, world: World) -> None:
    """Open the licences, what installs and removes, and what uploads a service account's key."""
    shop, robots = world.marketplace, world.robots

    @app.get("/appsmarket/v2/userLicense/<application>/<user>")
    def user_licence(application: str, user: str) -> dict[str, Any]:
        enabled, state = asked_by(application).user(user.lower())
        licence = {"enabled": enabled, "state": state, "userId": user, "id": f"{application}/{user}"}
        more = {"editionId": EDITION, "customerId": user.partition("@")[2]} if state != "UNLICENSED" else {}
        return {"kind": "appsmarket#userLicense", "applicationId": application} | licence | more

    @app.get("/appsmarket/v2/customerLicense/<application>/<customer>")
    def customer_licence(application: str, customer: str) -> dict[str, Any]:
        state = asked_by(application).customer(customer.lower())
        licence = {"state": state, "customerId": customer, "id": f"{application}/{customer}"}
        return {"kind": "appsmarket#customerLicense", "applicationId": application} | licence

    @app.post("/_stage/marketplace")
    def change() -> dict[str, Any]:
        asked = body()
        shelf = shop.shelves.setdefault(text(asked, "application"), Shelf())
        whom, scopes = text(asked, "whom").lower(), frozenset(asked.get("scopes", ()))
        match asked.get("by"), bool(asked.get("installed", True)):
            case "admin", True:
                (shelf.units if "@" in whom else shelf.domains)[whom] = scopes
            case "admin", False:
                (shelf.units if "@" in whom else shelf.domains).pop(whom, None)
            case "user", True:
                shelf.individuals.add(whom)
            case "user", False:
                shelf.individuals.discard(whom)
            case "billing", paid:
                (shelf.expired.discard if paid else shelf.expired.add)(whom)
            case _:
                raise Unclear("by is admin, user or billing")
        return {"enabled": shelf.user(whom)[0], "state": shelf.user(whom)[1]}

    def asked_by(application: str) -> Shelf:
        robots.bearer(request.headers.get("Authorization", ""), SCOPE)
        if application not in shop.shelves:
            raise not_found()
        return shop.shelves[application]

    @app.post("/_stage/service-account")
    def upload() -> dict[str, Any]:
        asked = body()
        email = text(asked, "email")
        if not email.endswith(".iam.gserviceaccount.com"):
            raise Unclear("a service account's address ends with .iam.gserviceaccount.com")
        modulus, exponent = (int.from_bytes(unb64(text(asked, name)), "big") for name in ("n", "e"))
        robots.known[email] = Robot(email, modulus, exponent, frozenset(asked.get("roles", ())))
        return {"email": email}
