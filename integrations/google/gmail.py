"""A user's Gmail: where it stands, what came and went, the headers of many messages and one message whole.

Only the mailbox tier (`gmail.readonly`) reaches this. Google keeps a mailbox's history about a week, sometimes hours;
an older position is CursorLost. A message that went between two calls is simply not there any more, never an error.
https://developers.google.com/workspace/gmail/api/guides/sync
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from domain.mail import Message
from domain.ports import CursorLost, MailNews, in_batches
from integrations.google import letter
from integrations.google.discovery import batch_address, leaf
from integrations.google.remedy import NotThere
from integrations.google.transport import UserHttp, execute, read_many

ME = "me"
WATCHED = ("INBOX", "SENT")
NOT_MAIL = frozenset({"DRAFT", "SPAM", "TRASH", "CHAT"})
BATCH_SIZE = 50  # Google allows 100 and advises no more than this
HISTORY_PAGE = 500  # the most Google gives
HEADERS = ("From", "To", "Cc", "Subject", "Date", "Message-ID")
HEADER_FIELDS = "id,threadId,labelIds,internalDate,payload(headers)"  # no snippet: it is the beginning of the body


class GmailMailbox:
    """The mailbox of one Google user."""

    def __init__(self, user: UserHttp, root: str = "") -> None:
        self._user = user
        self._users = leaf(root, "gmail", "v1", "users")
        self._history = leaf(root, "gmail", "v1", "users.history")
        self._messages = leaf(root, "gmail", "v1", "users.messages")
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

    def news(self, cursor: str) -> MailNews:
        """Return what was added and removed since `cursor`, every page. Raises CursorLost."""
        if not (cursor.isascii() and cursor.isdigit()):
            raise CursorLost
        added: dict[str, None] = {}  # in the order it came
        removed: dict[str, None] = {}
        newest = cursor
        for page in self._pages(cursor):
            newest = str(page.get("historyId", newest))
            for entry in page.get("history", ()):
                for message in _named(entry, "messagesAdded"):
                    if NOT_MAIL.isdisjoint(message.get("labelIds", ())):
                        added[message["id"]] = None
                for message in _named(entry, "messagesDeleted"):
                    added.pop(message["id"], None)
                    removed[message["id"]] = None
        return MailNews(added=tuple(added), removed=tuple(removed), cursor=newest)

    def _pages(self, cursor: str) -> Iterator[dict[str, Any]]:
        following: str | None = None
        while following != "":
            request = self._history.list(  # its own list_next cannot carry two historyTypes over
                userId=ME,
                startHistoryId=cursor,
                historyTypes=["messageAdded", "messageDeleted"],
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

    def _attachment(self, id: str, attachment: str) -> str:
        """Fetch a part that was too long to come with its message, still in base64."""
        try:
            part = execute(self._attachments.get(userId=ME, messageId=id, id=attachment), self._user)
        except NotThere:
            return ""
        return str(part.get("data", ""))


def _named(entry: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    return (change["message"] for change in entry.get(kind, ()))
