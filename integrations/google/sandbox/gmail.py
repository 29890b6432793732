"""The Gmail API v1 as the product uses it: profile, messages, threads, labels, history, watch.

Units are (old, new) of the two published cost tables; where the new one is silent the old number stands in.
"""

from __future__ import annotations

import re
from email import message_from_bytes
from email.policy import SMTP
from typing import Any

from flask import Flask, request

from . import hosts, scopes
from .api import Api, Call, Json
from .errors import GoogleError, bad, failed_precondition, not_found
from .knobs import DAY
from .mailbox import SYSTEM_LABELS, Label, Mailbox, Message
from .mime import Mail, find_attachment, new_message_id, padded
from .quota import Cost
from .tokens import unb64
from .world import Watch, World

FORMATS = ("minimal", "full", "raw", "metadata")
HISTORY_TYPES = frozenset({"messageAdded", "messageDeleted", "labelAdded", "labelRemoved"})
LISTED, MOST_LISTED = 100, 500
MOST_LABELS, MOST_IDS, MOST_RECIPIENTS = 100, 1_000, 500
TOPIC = re.compile(r"^projects/[a-z][a-z0-9-]{4,28}[a-z0-9]/topics/[A-Za-z][\w.~+%-]{2,254}$")
WATCH_SECONDS = 7 * DAY


def install(app: Flask, world: World) -> None:
    """Open every method."""
    api = Api(app, world, "gmail.googleapis.com", "/gmail/v1/users/<user_id>")
    install_messages(api)
    install_threads(api)
    install_labels(api)
    install_sync(api)


def install_messages(api: Api) -> None:
    """Open what concerns single messages."""

    @api.method("GET", "/messages", scopes.READ_MAIL, Cost(5, 5))
    def list_messages(call: Call) -> Json:
        found = search(call)
        shown, next_page = cut(call, found)
        return listing("messages", [message.reference() for message in shown], next_page, len(found))

    @api.method("GET", "/messages/<message_id>", scopes.READ_MAIL | scopes.READ_OPEN, Cost(5, 20))
    def get_message(call: Call, message_id: str) -> Json:
        message = hosts.find(call.user.mailbox, message_id)
        token = request.headers.get("X-Goog-Gmail-Access-Token", "")
        opened = call.world.hosts.may_read(token, call.user.email, message.id)
        if scopes.READ_MAIL.isdisjoint(call.scopes) and not opened:  # the host's scopes reach the open message only
            raise GoogleError(403, "Missing access token for per message authorization.", "forbidden")
        return message.draw(read_format(call, opened), call.texts("metadataHeaders"))

    @api.method("GET", "/messages/<message_id>/attachments/<attachment_id>", scopes.READ_BODIES, Cost(5, 20))
    def get_attachment(call: Call, message_id: str, attachment_id: str) -> Json:
        data = find_attachment(call.user.mailbox.message(message_id).mail, message_id, attachment_id)
        if data is None:
            raise bad("Invalid attachment token")
        return {"size": len(data), "data": padded(data)}

    @api.method("POST", "/messages/send", scopes.SEND_MAIL, Cost(100, 100))
    def send(call: Call) -> Json:
        return post_mail(call, call.body()).reference(with_labels=True)

    @api.method("POST", "/messages/<message_id>/modify", scopes.MODIFY_MAIL, Cost(5, 5))
    def modify(call: Call, message_id: str) -> Json:
        message = call.user.mailbox.message(message_id)
        relabel(call.user.mailbox, [message], call.body())
        return message.reference(with_labels=True)

    @api.method("POST", "/messages/batchModify", scopes.MODIFY_MAIL, Cost(50, 50))
    def batch_modify(call: Call) -> None:
        body = call.body()
        ids = body.get("ids") or []
        if not ids or len(ids) > MOST_IDS:
            raise bad(f"Invalid ids: between 1 and {MOST_IDS} are allowed.")
        mailbox = call.user.mailbox
        relabel(mailbox, [mailbox.messages[one] for one in ids if one in mailbox.messages], body)

    @api.method("POST", "/messages/<message_id>/trash", scopes.MODIFY_MAIL, Cost(5, 5))
    def trash(call: Call, message_id: str) -> Json:
        message = call.user.mailbox.message(message_id)
        call.user.mailbox.relabel(message, add=["TRASH"], remove=["INBOX", "SPAM"])
        return message.reference(with_labels=True)

    @api.method("POST", "/messages/<message_id>/untrash", scopes.MODIFY_MAIL, Cost(5, 5))
    def untrash(call: Call, message_id: str) -> Json:
        message = call.user.mailbox.message(message_id)
        call.user.mailbox.relabel(message, remove=["TRASH"])
        return message.reference(with_labels=True)

    @api.method("DELETE", "/messages/<message_id>", frozenset({scopes.FULL_MAIL}), Cost(10, 10))
    def delete(call: Call, message_id: str) -> None:
        call.user.mailbox.delete(call.user.mailbox.message(message_id))


def install_threads(api: Api) -> None:
    """Open what concerns conversations."""

    @api.method("GET", "/threads", scopes.READ_MAIL, Cost(10, 10))
    def list_threads(call: Call) -> Json:
        newest: dict[str, Message] = {}
        for message in search(call):
            newest.setdefault(message.thread_id, message)
        shown, next_page = cut(call, list(newest.values()))
        threads = [
            {"id": message.thread_id, "snippet": message.mail.snippet, "historyId": str(message.history_id)}
            for message in shown
        ]
        return listing("threads", threads, next_page, len(newest))

    @api.method("GET", "/threads/<thread_id>", scopes.READ_MAIL, Cost(10, 40))
    def get_thread(call: Call, thread_id: str) -> Json:
        form = read_format(call)
        if form == "raw":
            raise bad("Invalid value at 'format': raw is not offered for threads.")
        messages = call.user.mailbox.thread(thread_id)
        drawn = [message.draw(form, call.texts("metadataHeaders")) for message in messages]
        return {"id": thread_id, "historyId": str(max(one.history_id for one in messages)), "messages": drawn}

    @api.method("POST", "/threads/<thread_id>/modify", scopes.MODIFY_MAIL, Cost(10, 10))
    def modify_thread(call: Call, thread_id: str) -> Json:
        messages = call.user.mailbox.thread(thread_id)
        relabel(call.user.mailbox, messages, call.body())
        return {"id": thread_id, "messages": [message.reference(with_labels=True) for message in messages]}


def install_labels(api: Api) -> None:
    """Open the label methods."""

    @api.method("GET", "/labels", scopes.READ_LABELS, Cost(1, 1))
    def list_labels(call: Call) -> Json:
        system = [{"id": name, "name": name, "type": "system"} for name in SYSTEM_LABELS]
        return {"labels": system + [label.draw() for label in call.user.mailbox.labels.values()]}

    @api.method("GET", "/labels/<label_id>", scopes.READ_LABELS, Cost(1, 1))
    def get_label(call: Call, label_id: str) -> Json:
        mailbox = call.user.mailbox
        if label_id in SYSTEM_LABELS:
            drawn: Json = {"id": label_id, "name": label_id, "type": "system"}
        else:
            drawn = own_label(mailbox, label_id).draw()
        inside = [message for message in mailbox.messages.values() if label_id in message.labels]
        unread = [message for message in inside if "UNREAD" in message.labels]
        return drawn | {
            "messagesTotal": len(inside),
            "messagesUnread": len(unread),
            "threadsTotal": len({message.thread_id for message in inside}),
            "threadsUnread": len({message.thread_id for message in unread}),
        }

    @api.method("POST", "/labels", scopes.MODIFY_LABELS, Cost(5, 5))
    def create_label(call: Call) -> Json:
        body = call.body()
        return call.user.mailbox.make_label(str(body.get("name", "")), label_settings(body)).draw()

    @api.method("PUT", "/labels/<label_id>", scopes.MODIFY_LABELS, Cost(5, 5))
    @api.method("PATCH", "/labels/<label_id>", scopes.MODIFY_LABELS, Cost(5, 5))
    def change_label(call: Call, label_id: str) -> Json:
        label, body = own_label(call.user.mailbox, label_id), call.body()
        name = str(body.get("name", label.name))
        call.user.mailbox.check_label_name(name, but=label_id)
        label.name, label.settings = name, label.settings | label_settings(body)
        return label.draw()

    @api.method("DELETE", "/labels/<label_id>", scopes.MODIFY_LABELS, Cost(5, 5))
    def delete_label(call: Call, label_id: str) -> None:
        mailbox = call.user.mailbox
        label = own_label(mailbox, label_id)
        for message in mailbox.messages.values():
            mailbox.relabel(message, remove=[label.id])
        del mailbox.labels[label.id]


def install_sync(api: Api) -> None:
    """Open profile, history and watch."""

    @api.method("GET", "/profile", scopes.READ_PROFILE, Cost(1, 1))
    def get_profile(call: Call) -> Json:
        mailbox = call.user.mailbox
        return {
            "emailAddress": call.user.email,
            "messagesTotal": len(mailbox.messages),
            "threadsTotal": len({message.thread_id for message in mailbox.messages.values()}),
            "historyId": str(mailbox.history_id),
        }

    @api.method("GET", "/history", scopes.READ_MAIL, Cost(2, 2))
    def list_history(call: Call) -> Json:
        start = call.text("startHistoryId")
        if not start.isdigit() or int(start) >= 2**64:
            raise bad("Missing or invalid startHistoryId.")
        wanted = set(call.texts("historyTypes")) or HISTORY_TYPES
        if not wanted <= HISTORY_TYPES:
            raise bad("Invalid value at 'history_types'.")
        label = call.text("labelId")
        rows = [
            change
            for change in call.user.mailbox.history(int(start), call.world.knobs.history_retention_seconds)
            if change.kind in wanted and (not label or label in change.labels or label in change.moved)
        ]
        size, after = call.number("maxResults", LISTED, MOST_LISTED), read_page(call)
        rest = [change for change in rows if change.id > after]
        answer: Json = {"historyId": str(call.user.mailbox.history_id)}
        if rest:
            answer["history"] = [change.draw() for change in rest[:size]]
        if len(rest) > size:
            answer["nextPageToken"] = str(rest[size - 1].id)
        return answer

    @api.method("POST", "/watch", scopes.READ_MAIL, Cost(100, 100))
    def watch(call: Call) -> Json:
        body, now = call.body(), call.world.now()
        topic, labels = str(body.get("topicName", "")), [str(label) for label in body.get("labelIds") or []]
        if not TOPIC.match(topic):
            raise bad("Invalid topicName does not match projects/{project}/topics/{topic}")
        behaviour = str(body.get("labelFilterBehavior") or body.get("labelFilterAction") or "include").lower()
        if behaviour not in ("include", "exclude"):
            raise bad("Invalid value at 'label_filter_behavior'.")
        call.user.mailbox.check_labels(labels)
        if not call.world.courier.has_topic(topic):
            message = f"Error sending test message to Cloud PubSub {topic} : Resource not found (resource={topic})."
            raise GoogleError(404, message, "notFound")
        old = call.user.watch
        if old and old.expires_at > now and old.project == call.project and old.topic != topic:
            raise bad("Only one user push notification client allowed per developer (call /stop then try again)")
        watch = Watch(topic, call.project, frozenset(labels), behaviour == "exclude", now + WATCH_SECONDS)
        call.user.watch = watch
        call.world.courier.publish(topic, call.user.email, call.user.mailbox.history_id)
        return {"historyId": str(call.user.mailbox.history_id), "expiration": str(int(watch.expires_at * 1000))}

    @api.method("POST", "/stop", scopes.READ_MAIL, Cost(50, 50))
    def stop(call: Call) -> None:
        call.user.watch = None


def search(call: Call) -> list[Message]:
    """Run the search a listing asks for; the metadata scope may not look into mail with `q`."""
    query = call.text("q")
    if query and scopes.READ_BODIES.isdisjoint(call.scopes):
        raise GoogleError(403, "Metadata scope does not support 'q' parameter", "forbidden")
    labels = call.texts("labelIds")
    call.user.mailbox.check_labels(labels)
    return call.user.mailbox.search(query, labels, hidden=call.flag("includeSpamTrash"))


def read_format(call: Call, opened: bool = False) -> str:
    """Read `format`; the metadata scopes show no bodies."""
    form = call.text("format").lower() or "full"
    if form not in FORMATS:
        raise bad(f"Invalid value at 'format': \"{form}\"")
    bodies = scopes.READ_BODIES | scopes.OPEN_BODIES if opened else scopes.READ_BODIES
    if form in ("full", "raw") and bodies.isdisjoint(call.scopes):
        raise GoogleError(403, f"Metadata scope doesn't allow format {form.upper()}", "forbidden")
    return form


def read_page(call: Call) -> int:
    """Read a page token, which is a number to nobody but us."""
    token = call.text("pageToken") or "0"
    if not token.isdigit():
        raise bad("Invalid pageToken")
    return int(token)


def cut(call: Call, found: list[Message]) -> tuple[list[Message], str | None]:
    """Cut a page out of a listing, from the message the last page ended with."""
    size, token = call.number("maxResults", LISTED, MOST_LISTED), read_page(call)
    if token:
        moment, number = token >> 64, f"{token & (2**64 - 1):016x}"
        found = [message for message in found if (message.date_ms, message.id) < (moment, number)]
    last = found[size - 1] if len(found) > size else None
    return found[:size], str(last.date_ms << 64 | int(last.id, 16)) if last else None


def listing(name: str, items: list[Any], next_page: str | None, total: int) -> Json:
    """Dress a listing; an empty one has no list at all, as Google leaves out what is empty."""
    answer: Json = {name: items} if items else {}
    return answer | ({"nextPageToken": next_page} if next_page else {}) | {"resultSizeEstimate": total}


def relabel(mailbox: Mailbox, messages: list[Message], body: Json) -> None:
    """Do what a modify body says to every message, or refuse it for all of them."""
    add, remove = (list(body.get(name) or []) for name in ("addLabelIds", "removeLabelIds"))
    if not (add or remove):
        raise bad("No label add or removes specified")
    if max(len(add), len(remove)) > MOST_LABELS:
        raise bad(f"Invalid labels: at most {MOST_LABELS} may be added or removed.")
    mailbox.check_labels([*add, *remove], changing=True)
    for message in messages:
        mailbox.relabel(message, add, remove)


def own_label(mailbox: Mailbox, label_id: str) -> Label:
    """Find a label the user made; Google's own cannot be changed."""
    if label_id in SYSTEM_LABELS:
        raise bad("Cannot change a system label.")
    if label_id not in mailbox.labels:
        raise not_found()
    return mailbox.labels[label_id]


def label_settings(body: Json) -> Json:
    """Keep what a label may carry besides its name."""
    return {name: body[name] for name in ("messageListVisibility", "labelListVisibility", "color") if name in body}


def post_mail(call: Call, body: Json) -> Message:
    """Send a message: keep it under SENT, and deliver it to whoever of the cast it is addressed to."""
    if not body.get("raw"):
        raise bad("'raw' RFC822 payload message string or uploading message via /upload/* URL required")
    try:
        parsed = message_from_bytes(unb64(str(body["raw"])), policy=SMTP)
    except ValueError:
        raise bad("Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed") from None
    mail = Mail(parsed.as_bytes())
    recipients = list(dict.fromkeys(mail.addresses("To", "Cc", "Bcc")))
    if not recipients:
        raise bad("Recipient address required")
    if len(recipients) > MOST_RECIPIENTS:
        raise failed_precondition(f"Too many recipients: at most {MOST_RECIPIENTS} are allowed.")
    thread_id = str(body.get("threadId") or "")
    mailbox, world = call.user.mailbox, call.world
    if thread_id:
        mailbox.thread(thread_id)  # or 404
    if call.user.email not in mail.addresses("From"):
        del parsed["From"]
        parsed["From"] = f"{call.user.name} <{call.user.email}>"
    if world.knobs.rewrite_message_id or "Message-ID" not in parsed:
        del parsed["Message-ID"]
        parsed["Message-ID"] = new_message_id()
    labels = ["SENT"] + (["UNREAD", "INBOX"] if call.user.email in recipients else [])
    sent = mailbox.arrive(parsed.as_bytes(), labels, thread_id=thread_id)
    del parsed["Bcc"]
    for address in recipients:
        if address != call.user.email and (other := world.users.get(address)):
            other.mailbox.arrive(parsed.as_bytes(), ["UNREAD", "INBOX"])
    return sent
