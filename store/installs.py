"""Organisations that installed us at a marketplace and whose consent is still awaited: fingerprints, nothing else.

No tenant is founded by an installation: whoever may consent for an organisation says so at its consent page, later or
never. Kept so long and no longer.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from store.database import Database
from store.tables import installs
from store.vault import Vault

PATIENCE = timedelta(days=30)
PACKAGES = "packages"  # the fact of a connection: which of our extensions its organisation installed, and when


class Installs:
    """Remember an installation until its consent comes, it is taken back, or its time is up."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def heard(self, vendor: str, organisation: str) -> None:
        """It was installed there; hearing it again begins its time anew."""
        until = func.now() + PATIENCE
        with self._db.anyone() as database:
            database.execute(
                insert(installs)
                .values(vendor=vendor, fingerprint=self._mark(vendor, organisation), expires_at=until)
                .on_conflict_do_update(index_elements=["vendor", "fingerprint"], set_={"expires_at": until})
            )

    def take(self, vendor: str, organisation: str) -> datetime | None:
        """Wait for it no longer; say since when it was waited for, if it was."""
        mine = (installs.c.vendor == vendor, installs.c.fingerprint == self._mark(vendor, organisation))
        with self._db.anyone() as database:
            since: datetime | None = database.execute(
                delete(installs).where(*mine).returning(installs.c.heard_at)
            ).scalar_one_or_none()
        return since

    def waiting(self) -> int:
        """How many are waited for."""
        with self._db.anyone() as database:
            total: int = database.execute(
                select(func.count()).select_from(installs).where(installs.c.expires_at > func.now())
            ).scalar_one()
        return total

    def sweep(self) -> int:
        """Forget those whose time is up."""
        with self._db.anyone() as database:
            return database.execute(delete(installs).where(installs.c.expires_at <= func.now())).rowcount

    def _mark(self, vendor: str, organisation: str) -> bytes:
        return self._vault.own_fingerprint("install", f"{vendor}:{organisation}")
