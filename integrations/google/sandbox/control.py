"""The stage's side of the understudy, under `/_stage/`: seating the cast, making things happen, looking behind it all.

Every body and answer is JSON; a request that makes no sense is answered 400 with one plain sentence. No answer ever
carries a token or a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import Flask, Response, request

from . import mime, persons
from .faults import Fault
from .grants import Client
from .mailbox import Message
from .phonebook import Register
from .world import User, World

Json = dict[str, Any]
ADDRESS = re.compile(r"^[^@\s]+@[^@\s]+$")
PROJECT = "linekeeper"
Made = TypeVar("Made")


class Unclear(Exception):
    """The stage asked for something that makes no sense."""


def install(app: Flask, world: World) -> None:
    """Open the control plane."""
    app.register_error_handler(Unclear, lambda error: ({"error": str(error)}, 400))
    install_cast(app, world)
    install_events(app, world)
    install_views(app, world)


def install_cast(app: Flask, world: World) -> None:
    """Open what sets the stage."""

    @app.post("/_stage/reset")
    def reset() -> Json:
        world.reset()
        return {}

    @app.post("/_stage/clock")
    def clock() -> Json:
        world.advance(float(number(body(), "advance")))
        return {"now": world.now()}

    @app.get("/_stage/knobs")
    def show_knobs() -> Json:
        return world.knobs.show()

    @app.post("/_stage/knobs")
    def turn_knobs() -> Json:
        clearly(lambda: world.knobs.turn(body()))
        world.courier.wake()
        return world.knobs.show()

    @app.post("/_stage/clients")
    def add_client() -> Json:
        asked = body()
        uris = tuple(str(uri) for uri in asked.get("redirect_uris", ()))
        client = Client(text(asked, "client_id"), text(asked, "client_secret"), uris, asked.get("project", PROJECT))
        world.clients[client.id] = client
        return {"client_id": client.id, "project": client.project}

    @app.post("/_stage/users")
    def add_user() -> Json:
        asked = body()
        email = text(asked, "email").lower()
        if not ADDRESS.match(email):
            raise Unclear("email must be an address")
        user = world.users.get(email) or world.add_user(email, text(asked, "name"), asked.get("hd", ""))
        user.admin_blocks_app = bool(asked.get("admin_blocks_app", user.admin_blocks_app))
        return {"email": user.email, "sub": user.sub, "hd": user.hd}

    @app.post("/_stage/pubsub")
    def subscribe() -> Json:
        asked = body()
        project = text(asked, "topic").split("/")[1:2] or [PROJECT]
        name = asked.get("subscription") or f"projects/{project[0]}/subscriptions/linekeeper"
        audience = asked.get("audience", "")
        made = clearly(
            lambda: world.courier.subscribe(
                text(asked, "topic"), text(asked, "endpoint"), audience, text(asked, "service_account"), name
            )
        )
        return made.show()

    @app.delete("/_stage/pubsub")
    def unsubscribe() -> Json:
        world.courier.unsubscribe(request.args.get("subscription", ""))
        return {}

    @app.post("/_stage/faults")
    def plant() -> Json:
        asked = body()
        unknown = asked.keys() - {"match", "action", "times", "status", "seconds", "body", "headers"}
        if unknown:
            raise Unclear(f"a fault has no {sorted(unknown)}")
        if asked.get("action") == "html":
            asked.setdefault("status", 502)
        match, action = text(asked, "match"), text(asked, "action")
        clearly(lambda: world.faults.plant(Fault(**asked | {"match": match, "action": action})))
        return {"planted": world.faults.show()}

    @app.get("/_stage/faults")
    def show_faults() -> Json:
        return {"planted": world.faults.show()}

    @app.delete("/_stage/faults")
    def clear_faults() -> Json:
        world.faults.clear()
        return {}

    @app.post("/_stage/keys/rotate")
    def rotate_keys() -> Json:
        world.keys.rotate()
        return {"kid": world.keys.current().kid}


def install_events(app: Flask, world: World) -> None:
    """Open what happens at Google without the product: mail arrives, people edit their contacts and accounts."""

    @app.post("/_stage/mail")
    def mail_arrives() -> Json:
        asked = body()
        user, date = user_of(world, asked), moment(world, asked.get("date"))
        headers = dict(asked.get("headers", {}))
        for name, header in (("cc", "Cc"), ("message_id", "Message-ID"), ("in_reply_to", "In-Reply-To")):
            if asked.get(name):
                headers[header] = asked[name]
        raw = mime.write(
            sender=text(asked, "from"),
            to=asked.get("to") or user.email,
            subject=asked.get("subject", ""),
            text=asked.get("text", ""),
            html=asked.get("html", ""),
            date=datetime.fromtimestamp(date, UTC),
            headers=headers,
            attachments=asked.get("attachments", ()),
        )
        labels = asked.get("labels", ["UNREAD", "INBOX"])
        user.mailbox.check_labels(labels)
        message = user.mailbox.arrive(raw, labels, date)
        return message.reference() | {"historyId": str(message.history_id), "messageIdHeader": message.mail.message_id}

    @app.post("/_stage/mail/delete")
    def mail_deleted() -> Json:
        asked = body()
        mailbox = user_of(world, asked).mailbox
        mailbox.delete(mailbox.message(text(asked, "id")))
        return {}

    @app.post("/_stage/mail/labels")
    def mail_labelled() -> Json:
        asked = body()
        mailbox = user_of(world, asked).mailbox
        mailbox.relabel(mailbox.message(text(asked, "id")), asked.get("add") or (), asked.get("remove") or ())
        return {}

    @app.post("/_stage/contacts")
    def contacts_added() -> Json:
        asked = body()
        register = register_of(world, asked)
        people = [persons.check(person) for person in asked.get("contacts", ())]
        return {"resourceNames": [register.create(person).name for person in people]}

    @app.post("/_stage/contacts/edit")
    def contact_edited() -> Json:
        asked = body()
        register = register_of(world, asked)
        entry, person = register.find(text(asked, "resourceName")), persons.check(asked.get("person"))
        register.replace(entry, tuple(name for name in person if name in persons.WRITABLE), person)
        return entry.draw(tuple(persons.READABLE))

    @app.post("/_stage/contacts/delete")
    def contact_deleted() -> Json:
        asked = body()
        register = register_of(world, asked)
        names = asked.get("resourceNames") or [text(asked, "resourceName")]
        for entry in [register.find(name) for name in names]:
            register.delete(entry)
        return {"deleted": len(names)}

    @app.post("/_stage/contacts/rename")
    def contact_renamed() -> Json:
        asked = body()
        register = register_of(world, asked)
        return {"resourceName": register.rename(register.find(text(asked, "resourceName")))}

    @app.post("/_stage/account")
    def account_event() -> Json:
        asked = body()
        user = user_of(world, asked)
        match asked.get("event"):
            case "consent_withdrawn":
                world.grants.withdraw(user.email)
            case "password_changed":
                world.grants.change_password(user.email)
            case "access_expired":
                world.grants.expire_access(user.email)
            case "disabled":
                user.disabled = True
                world.grants.withdraw(user.email)
            case "enabled":
                user.disabled = False
            case other:
                raise Unclear(f"nothing called {other!r} can happen to an account")
        return world.grants.summary(user.email)


def install_views(app: Flask, world: World) -> None:
    """Open what looks behind the scenes."""

    @app.get("/_stage/contacts")
    def show_contacts() -> Json:
        register = register_of(world, request.args)
        return {"contacts": [entry.draw(tuple(sorted(persons.READABLE))) for entry in register]}

    @app.get("/_stage/mail")
    def show_mail() -> Json:
        mailbox = user_of(world, request.args).mailbox
        return {"historyId": str(mailbox.history_id), "messages": [show(one) for one in mailbox.messages.values()]}

    @app.get("/_stage/sent")
    def show_sent() -> Json:
        mailbox = user_of(world, request.args).mailbox
        return {"messages": [show(one) for one in mailbox.messages.values() if "SENT" in one.labels]}

    @app.get("/_stage/tokens")
    def show_tokens() -> Json:
        return world.grants.summary(user_of(world, request.args).email)

    @app.get("/_stage/pubsub")
    def show_pubsub() -> Json:
        watches = {
            user.email: {"topic": user.watch.topic, "expires_at": user.watch.expires_at}
            for user in world.users.values()
            if user.watch
        }
        return {"subscriptions": [one.show() for one in world.courier.subscriptions.values()], "watches": watches}

    @app.get("/_stage/requests")
    def show_requests() -> Json:
        return {"counts": dict(world.requests.counts), "last": list(world.requests.last)}

    @app.delete("/_stage/requests")
    def forget_requests() -> Json:
        world.requests.counts.clear()
        world.requests.last.clear()
        return {}

    @app.after_request
    def plain(response: Response) -> Response:
        response.headers["Cache-Control"] = response.headers.get("Cache-Control", "private, no-store")
        return response


def show(message: Message) -> Json:
    """Show a message as a person would describe it."""
    seen = {name.lower(): message.mail.header(name) for name in ("From", "To", "Cc", "Subject", "Message-ID")}
    return message.reference(with_labels=True) | seen | {"text": message.mail.text, "internalDate": message.date_ms}


def body() -> Json:
    """Read the request's JSON object."""
    value = request.get_json(force=True, silent=True)
    if not isinstance(value, dict):
        raise Unclear("the body must be a JSON object")
    return value


def text(asked: Json, name: str) -> str:
    """Read a value that must be there."""
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise Unclear(f"{name} is missing")
    return value


def number(asked: Json, name: str) -> float:
    """Read a number that must be there."""
    value = asked.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unclear(f"{name} must be a number")
    return value


def moment(world: World, value: Any) -> float:
    """Read a time given in seconds or as ISO 8601; nothing means now."""
    if value is None:
        return world.now()
    if isinstance(value, int | float):
        return float(value)
    try:
        read = datetime.fromisoformat(str(value))
    except ValueError:
        raise Unclear("date must be seconds since 1970 or ISO 8601") from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def user_of(world: World, asked: Any) -> User:
    """Find who is meant."""
    user = world.find_user(str(asked.get("user", "")))
    if user is None:
        raise Unclear(f"there is no user {asked.get('user')!r}")
    return user


def register_of(world: World, asked: Any) -> Register:
    """Find which contacts are meant: My Contacts, with `other` the Other contacts, with `directory` the colleagues."""
    user = user_of(world, asked)
    if asked.get("directory"):
        if user.hd not in world.directories:
            raise Unclear(f"{user.email} belongs to no organisation")
        return world.directories[user.hd]
    return user.others if asked.get("other") else user.contacts


def clearly(act: Callable[[], Made]) -> Made:
    """Turn a refused value into a plain answer."""
    try:
        return act()
    except (ValueError, TypeError) as error:
        raise Unclear(str(error)) from None
