"""Text messages as we keep them: one row for a conversation's day or for a fax, its messages sealed.

Who adds to a conversation holds the tenant's `calls` lane, so nobody else does at the same time.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from domain import conversation
from domain.call import TextEvent
from store.database import Database, TenantId
from store.tables import texts
from store.vault import Vault

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Parties:
    """Whose conversation it is, as it is looked up: both numbers in E.164 (or as they came), and the day."""

    customer: str
    ours: str
    day: date


@dataclass(slots=True, kw_only=True)
class Conversation:
    """A day of a conversation, with what we decided about it."""

    id: UUID
    connection: UUID
    day: date
    messages: tuple[TextEvent, ...]
    contact: UUID | None = None
    user: UUID | None = None
    match: str = ""
    activity: str = ""
    said: tuple[str, ...] = ()
    worded: bool = True  # what was heard last changes what its activity says

    @property
    def customer(self) -> str:
        """The number at the far end, as the vendor wrote it."""
        return conversation.customer(self.messages[0])

    @property
    def last_at(self) -> datetime:
        return self.messages[-1].at


class Texts:
    """Add messages, find conversations again."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def hear(
        self, tenant: TenantId, connection: UUID, told: Mapping[Parties, Sequence[TextEvent]]
    ) -> dict[Parties, Conversation]:
        """Add messages to the days they belong to; nothing is saved yet. A day with no news is left out."""
        marks = {parties: self._mark(tenant, parties) for parties in told}
        where = or_(
            *(
                and_(texts.c.parties_index == mark, texts.c.day.in_((one.day, one.day - DAY)))
                for one, mark in marks.items()
            )
        )
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(texts).where(texts.c.tenant_id == tenant, texts.c.connection_id == connection, where)
            ).all()
        known = {(bytes(row.parties_index), row.day): self._conversation(row) for row in rows}
        kept = {
            replace(one, day=day): known[mark, day]
            for one, mark in marks.items()
            for day in (one.day, one.day - DAY)
            if (mark, day) in known
        }
        heard = {}
        for parties, came in _by_day(told, kept).items():
            before = kept.get(parties)
            written = before.messages if before else ()
            messages = conversation.together(written, conversation.news(written, came))
            if before is None and messages:
                heard[parties] = Conversation(
                    id=uuid.uuid4(), connection=connection, day=parties.day, messages=messages
                )
            elif before is not None and messages != before.messages:
                before.worded = conversation.worded(messages) != conversation.worded(before.messages)
                before.messages = messages
                heard[parties] = before
        return heard

    def save(self, database: Connection, tenant: TenantId, parties: Parties, one: Conversation, *, e164: str) -> None:
        """Keep a conversation's day in the caller's transaction."""
        vault = self._vault.of(tenant)
        received = sum(message.direction == "inbound" for message in one.messages)
        changed = {
            "messages": vault.seal_json("texts", one.id, "messages", list(map(conversation.as_data, one.messages))),
            "contact_id": one.contact,
            "user_id": one.user,
            "match": one.match,
            "received": received,
            "sent": len(one.messages) - received,
            "last_at": one.last_at,
        }
        fixed = {
            "id": one.id,
            "tenant_id": tenant,
            "connection_id": one.connection,
            "day": one.day,
            "parties_index": self._mark(tenant, parties),
            "customer_index": vault.fingerprint("number", e164) if e164 else None,
        }
        statement = insert(texts).values(**fixed, **changed)
        database.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "id"], set_=changed))

    def reword(self, tenant: TenantId, text: UUID, messages: Sequence[TextEvent]) -> None:
        """Keep what the messages of a day say, as we know it now. The caller holds the lane."""
        sealed = self._vault.of(tenant).seal_json("texts", text, "messages", list(map(conversation.as_data, messages)))
        with self._db.tenant(tenant) as database:
            database.execute(
                update(texts).where(texts.c.tenant_id == tenant, texts.c.id == text).values(messages=sealed)
            )

    def says(self, tenant: TenantId, text: UUID, words: Sequence[str]) -> None:
        """Remember our words in the text of its activity, before they leave: as they may stand there."""
        sealed = self._vault.of(tenant).seal_json("texts", text, "said", list(words))
        with self._db.tenant(tenant) as database:
            database.execute(update(texts).where(texts.c.tenant_id == tenant, texts.c.id == text).values(said=sealed))

    def logged(self, database: Connection, tenant: TenantId, text: UUID, activity: str) -> None:
        """The CRM keeps this day under that id."""
        database.execute(
            update(texts).where(texts.c.tenant_id == tenant, texts.c.id == text).values(activity_id=activity)
        )

    def settle(self, database: Connection, tenant: TenantId, text: UUID, *, contact: UUID | None, match: str) -> None:
        """It is with somebody else, in the caller's transaction."""
        database.execute(
            update(texts).where(texts.c.tenant_id == tenant, texts.c.id == text).values(contact_id=contact, match=match)
        )

    def some(self, tenant: TenantId, ids: Collection[UUID]) -> dict[UUID, Conversation]:
        """These days, as far as they are still here."""
        if not ids:
            return {}
        with self._db.tenant(tenant) as database:
            rows = database.execute(select(texts).where(texts.c.tenant_id == tenant, texts.c.id.in_(ids))).all()
        return {row.id: self._conversation(row) for row in rows}

    def recent(
        self,
        tenant: TenantId,
        *,
        limit: int,
        before: datetime | None = None,
        contact: UUID | None = None,
        number: str = "",
    ) -> list[Conversation]:
        """The latest days of conversations, newest first: all, a contact's, or a number's."""
        statement = select(texts).where(texts.c.tenant_id == tenant).order_by(texts.c.last_at.desc()).limit(limit)
        if before is not None:
            statement = statement.where(texts.c.last_at < before)
        if contact is not None:
            statement = statement.where(texts.c.contact_id == contact)
        if number:
            statement = statement.where(texts.c.customer_index == self._vault.of(tenant).fingerprint("number", number))
        with self._db.tenant(tenant) as database:
            return [self._conversation(row) for row in database.execute(statement)]

    def _mark(self, tenant: TenantId, parties: Parties) -> bytes:
        return self._vault.of(tenant).fingerprint("parties", f"{parties.customer}|{parties.ours}")

    def _conversation(self, row: Any) -> Conversation:
        vault = self._vault.of(row.tenant_id)
        return Conversation(
            id=row.id,
            connection=row.connection_id,
            day=row.day,
            messages=tuple(map(conversation.from_data, vault.open_json("texts", row.id, "messages", row.messages))),
            contact=row.contact_id,
            user=row.user_id,
            match=row.match,
            activity=row.activity_id,
            said=tuple(vault.open_json("texts", row.id, "said", row.said) or ()),
        )


def _by_day(
    told: Mapping[Parties, Sequence[TextEvent]], kept: Mapping[Parties, Conversation]
) -> dict[Parties, list[TextEvent]]:
    """Put messages where they belong: news after midnight of one from the day before belongs to that day."""
    found: dict[Parties, list[TextEvent]] = {}
    for parties, messages in told.items():
        eve = replace(parties, day=parties.day - DAY)
        there = {conversation.key(one) for one in kept[eve].messages} if eve in kept else set()
        for message in messages:
            found.setdefault(eve if conversation.key(message) in there else parties, []).append(message)
    return found
