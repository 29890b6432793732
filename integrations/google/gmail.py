"""A user's Gmail: where it stands, what came and went, the headers of many messages and one message whole.

Only the mailbox tier (`gmail.readonly`) reaches this. Google keeps a mailbox's history about a week, sometimes hours;
an older position is CursorLost. A message that went between two calls is simply not there any more, never an error.
https://developers.google.com/workspace/gmail/api/guides/sync
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from domain.mail import Letter, Message
from domain.ports import CursorLost, MailNews, in_batches
from integrations.google import letter
from integrations.google.discovery import batch_address, leaf
from integrations.google.posting import MARK, drawn
from integrations.google.remedy import NotThere
from integrations.google.transport import UserHttp, execute, read_many

ME = "me"
WATCHED = ("INBOX", "SENT")
NOT_MAIL = frozenset({"DRAFT", "SPAM", "TRASH", "CHAT"})
BATCH_SIZE = 50  # Google allows 100 and advises no more than this
HISTORY_PAGE = 500  # the most Google gives
LIST_PAGE, MOST_LISTED = 500, 5_000
HAPPENS = ("messageAdded", "messageDeleted", "labelAdded", "labelRemoved")
HEADERS = ("From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "References")
HEADER_FIELDS = "id,threadId,labelIds,internalDate,payload(headers)"  # no snippet: it is the beginning of the body


class GmailMailbox:
    """The mailbox of one Google user."""

    def __init__(self, user: UserHttp, root: str = "") -> None:
        self._user = user
        self._users = leaf(root, "gmail", "v1", "users")
        self._history = leaf(root, "gmail", "v1", "users.history")
        self._messages = leaf(root, "gmail", "v1", "users.messages")
        self._labels = leaf(root, "gmail", "v1", "users.labels")
        self._attachments = leaf(root, "gmail", "v1", "users.messages.attachments")
        self._batch = batch_address(root, "gmail", "v1")

    def address(self) -> tuple[str, str]:
        """Return (e-mail address, newest position)."""
        profile = execute(self._users.getProfile(userId=ME, fields="emailAddress,historyId"), self._user)
        return profile["emailAddress"], str(profile["historyId"])

    def watch(self, topic: str) -> tuple[str, datetime]:
        """Ask for pushes; return (position, when that ends). Google forgets in seven days; asking again replaces it."""
        body = {"topicName": topic, "labelIds": list(WATCHED), "labelFilterBehavior": "include"}
        answer = execute(self._users.watch(userId=ME, body=body), self._user, repeatable=True)
        return str(answer["historyId"]), datetime.fromtimestamp(int(answer["expiration"]) / 1000, UTC)

    def unwatch(self) -> None:
        """End the pushes."""
        execute(self._users.stop(userId=ME), self._user, repeatable=True)

    def news(self, cursor: str) -> Iterator[MailNews]:
        """Yield what happened since `cursor`, a batch of headers' worth at a time, to the last page. Raises CursorLost.

        Each part says where it ends, so that whoever is interrupted goes on there.
        """
        if not (cursor.isascii() and cursor.isdigit()):
            raise CursorLost
        known: set[str] = set()  # told as added already
        for page in self._pages(cursor):
            entries = page.get("history", [])
            gone = {message["id"] for entry in entries for message in _named(entry, "messagesDeleted")}
            for some in _cut(entries):
                yield _told(some, gone, known)
            if "nextPageToken" not in page and (newest := str(page.get("historyId", cursor))) != cursor:
                yield MailNews(cursor=newest)

    def since(self, moment: datetime) -> list[str]:
        """Name the messages received since then, the newest first and so many at most; no junk, nothing in the bin."""
        found: list[str] = []
        for ids in self._listed(f"after:{int(moment.timestamp())}", LIST_PAGE):
            found += ids
            if len(found) >= MOST_LISTED:
                break
        return found

    def _listed(self, query: str, page: int) -> Iterator[list[str]]:
        """Yield the ids of messages that fit, the newest first, a page at a time, to the last page."""
        following: str | None = None
        while following != "":
            request = self._messages.list(userId=ME, q=query, maxResults=page, pageToken=following)
            listed = execute(request, self._user)
            yield [message["id"] for message in listed.get("messages", ())]
            following = listed.get("nextPageToken", "")

    def _pages(self, cursor: str) -> Iterator[dict[str, Any]]:
        following: str | None = None
        while following != "":
            request = self._history.list(  # its own list_next cannot carry two historyTypes over
                userId=ME,
                startHistoryId=cursor,
                historyTypes=list(HAPPENS),
                maxResults=HISTORY_PAGE,
                pageToken=following,
            )
            try:
                page = execute(request, self._user)
            except NotThere as error:
                raise CursorLost(str(error)) from None
            yield page
            following = page.get("nextPageToken", "")

    def headers(self, ids: Sequence[str]) -> list[Message]:
        """Read sender, receivers, date and subject, without bodies; a message that went meanwhile is left out."""
        found: dict[str, dict[str, Any]] = {}
        for batch in in_batches(dict.fromkeys(ids), BATCH_SIZE):
            asked = {
                id: self._messages.get(
                    userId=ME, id=id, format="metadata", metadataHeaders=list(HEADERS), fields=HEADER_FIELDS
                )
                for id in batch
            }
            found |= read_many(asked, self._user, self._batch)
        return [letter.read(found[id]) for id in dict.fromkeys(ids) if id in found]

    def message(self, id: str) -> Message | None:
        """Read one message with its body; None if it is not there any more."""
        try:
            raw = execute(self._messages.get(userId=ME, id=id, format="full"), self._user)
        except NotThere:
            return None
        return letter.read(raw, lambda attachment: self._attachment(id, attachment))

    def send(self, letter: Letter) -> str:
        """Send a letter; return its id. Raises Unanswered when nobody knows. A thread that is gone is begun anew."""
        try:
            sent = execute(self._messages.send(userId=ME, body=drawn(letter)), self._user)
        except NotThere:
            sent = execute(self._messages.send(userId=ME, body=drawn(letter, threaded=False)), self._user)
        return str(sent.get("id", ""))

    def find_sent(self, mark: str, since: datetime) -> str:
        """Return the id of the letter with that mark among all that were sent since then, else ""."""
        for ids in self._listed(f"in:sent after:{int(since.timestamp()) - 60}", BATCH_SIZE):
            asked = {
                id: self._messages.get(
                    userId=ME, id=id, format="metadata", metadataHeaders=[MARK], fields="id,payload(headers)"
                )
                for id in ids
            }
            for id, one in (read_many(asked, self._user, self._batch) if asked else {}).items():
                if any(header["value"] == mark for header in one.get("payload", {}).get("headers", ())):
                    return id
        return ""

    def labels(self) -> list[tuple[str, str]]:
        """Name the labels the user made: (id, name)."""
        listed = execute(self._labels.list(userId=ME), self._user).get("labels", ())
        return [(label["id"], label["name"]) for label in listed if label.get("type") == "user"]

    def relabel(self, id: str, add: Sequence[str], remove: Sequence[str]) -> tuple[str, ...] | None:
        """Put labels on a message and take others off; return those it has, None if it is not there any more."""
        body = {"addLabelIds": list(add), "removeLabelIds": list(remove)}
        try:
            told = execute(self._messages.modify(userId=ME, id=id, body=body), self._user, repeatable=True)
        except NotThere:
            return None
        return tuple(told.get("labelIds", ()))

    def _attachment(self, id: str, attachment: str) -> str:
        """Fetch a part that was too long to come with its message, still in base64."""
        try:
            part = execute(self._attachments.get(userId=ME, messageId=id, id=attachment), self._user)
        except NotThere:
            return ""
        return str(part.get("data", ""))


def _cut(entries: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Cut a page of history into parts that add no more messages than one request reads."""
    some: list[Mapping[str, Any]] = []
    many = 0
    for entry in entries:
        adds = len(entry.get("messagesAdded", ())) + len(entry.get("labelsRemoved", ()))
        if some and many + adds > BATCH_SIZE:
            yield some
            some, many = [], 0
        some.append(entry)
        many += adds
    if some:
        yield some


def _told(entries: Sequence[Mapping[str, Any]], gone: set[str], known: set[str]) -> MailNews:
    """Add up entries of the history; what went later in it is not worth reading."""
    added: dict[str, None] = {}  # in the order it came
    removed: dict[str, None] = {}
    labels: dict[str, tuple[str, ...]] = {}
    restored: set[str] = set()
    for entry in entries:
        for message in _named(entry, "messagesAdded"):
            if NOT_MAIL.isdisjoint(message.get("labelIds", ())) and message["id"] not in gone | known:
                added[message["id"]] = None
        for change in (*entry.get("labelsAdded", ()), *entry.get("labelsRemoved", ())):
            message = change["message"]
            labels[message["id"]] = tuple(message.get("labelIds", ()))
        for change in entry.get("labelsRemoved", ()):
            if not NOT_MAIL.isdisjoint(change.get("labelIds", ())):
                restored.add(change["message"]["id"])
        for message in _named(entry, "messagesDeleted"):
            removed[message["id"]] = None
    for id, there in labels.items():
        if not NOT_MAIL.isdisjoint(there):
            added.pop(id, None)
            removed[id] = None
    known |= added.keys()
    kept = {id: there for id, there in labels.items() if id not in removed and id not in gone}
    return MailNews(
        added=tuple(added),
        removed=tuple(removed),
        labels=kept,
        restored=frozenset(restored & kept.keys()),
        cursor=str(entries[-1]["id"]),
    )


def _named(entry: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    return (change["message"] for change in entry.get(kind, ()))
