"""Where users and the app write to each other in Google Chat, and who of them wants to hear of missed calls there.

One conversation a user, the last one they spoke in. Its name is all that is kept, sealed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from store.database import Database, TenantId
from store.tables import chat_spaces
from store.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A user's conversation with the app. `on`: they want to be told there."""

    name: str  # spaces/...
    language: str
    on: bool


class ChatSpaces:
    """Learn them, switch them, forget them."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def of(self, tenant: TenantId, user: UUID) -> Space | None:
        """A user's conversation, if they have one."""
        with self._db.tenant(tenant) as database:
            row = database.execute(select(chat_spaces).where(*_of(tenant, user))).one_or_none()
        if row is None:
            return None
        name = self._vault.of(tenant).open("chat_spaces", row.id, "space", row.space)
        return Space(name=name, language=row.language, on=row.wanted)

    def learn(self, tenant: TenantId, user: UUID, name: str, language: str) -> None:
        """The user and the app write to each other there; whether they want to be told stays as it was."""
        told = {"space": self._vault.of(tenant).seal("chat_spaces", user, "space", name), "language": language}
        with self._db.tenant(tenant) as database:
            database.execute(
                insert(chat_spaces)
                .values(id=user, tenant_id=tenant, **told)
                .on_conflict_do_update(index_elements=["tenant_id", "id"], set_=told | {"learned_at": func.now()})
            )

    def switch(self, tenant: TenantId, user: UUID, *, on: bool) -> bool:
        """Tell them there, or do not; False where they have no conversation."""
        with self._db.tenant(tenant) as database:
            return bool(database.execute(update(chat_spaces).where(*_of(tenant, user)).values(wanted=on)).rowcount)

    def forget(self, tenant: TenantId, user: UUID) -> bool:
        """The app is there no more; False where it was not."""
        with self._db.tenant(tenant) as database:
            return bool(database.execute(delete(chat_spaces).where(*_of(tenant, user))).rowcount)

    @staticmethod
    def listening(database: Connection, tenant: TenantId, users: Collection[UUID]) -> set[UUID]:
        """Who of these wants to be told, in the caller's transaction."""
        found = select(chat_spaces.c.id).where(
            chat_spaces.c.tenant_id == tenant, chat_spaces.c.id.in_(users), chat_spaces.c.wanted
        )
        return set(database.execute(found).scalars())


def _of(tenant: TenantId, user: UUID) -> tuple[ColumnElement[bool], ...]:
    return (chat_spaces.c.tenant_id == tenant, chat_spaces.c.id == user)
