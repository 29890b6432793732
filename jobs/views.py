"""Modules of which only a view takes part: whoever the view does not show is not read, and leaves if we knew them.

Nobody is deleted for leaving a view: their partners are left alone. A view moves with time and with its criterion as
well, which no change tells, so it is read whole once a day. A view that cannot be read costs its module a turn and
nobody their place, and the chore says so once everything else is done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta

from domain.contact import Gone, Record
from domain.errors import NotAllowed, Refused
from domain.plan import Key
from domain.ports import Crm
from domain.sharing import Sharing
from jobs.services import Services
from store.connections import Tie

A_DAY = timedelta(days=1)


def views_of(tie: Tie, modules: Collection[str]) -> Mapping[str, str]:
    """Through which view each of these modules is read, of those that are."""
    chosen = Sharing.from_facts(tie.facts).views
    return {module: chosen[module] for module in modules if module in chosen}


class Viewed:
    """One reading of those modules of a connection. `afresh`: numbers are read otherwise than last time."""

    def __init__(self, services: Services, tie: Tie, crm: Crm, modules: Collection[str], *, afresh: bool) -> None:
        self.views = views_of(tie, modules)
        self._services = services
        self._tie = tie
        self._crm = crm
        self._afresh = afresh
        self._read: dict[str, tuple[datetime, bool]] = {}
        self._trouble: NotAllowed | Refused | None = None

    def told(self) -> Iterator[Record | Gone]:
        """Who is in the views, and who is in them no more."""
        for module, view in self.views.items():
            try:
                yield from self._of(module, view)
            except (NotAllowed, Refused) as error:
                if isinstance(error, Refused) or module not in self._crm.spare:
                    self._trouble = self._trouble or error

    def keep(self) -> None:
        """Remember how far each was read. Raises what kept one from being read."""
        for module, (started, whole) in self._read.items():
            keep = self._services.connections.set_cursor
            keep(self._tie.tenant, self._tie.id, _position(module), started.isoformat())
            if whole:
                keep(self._tie.tenant, self._tie.id, _whole(module), started.isoformat())
        if self._trouble is not None:
            raise self._trouble

    def _of(self, module: str, view: str) -> Iterator[Record | Gone]:
        started = self._services.db.now()
        since, last = self._at(_position(module)), self._at(_whole(module))
        whole = self._afresh or since is None or last is None or started - last >= A_DAY
        known = self._services.hub.unseen(self._tie.tenant, self._tie.id, started, (module,)) if whole else None
        ids = None if known is None else [remote_id for _, remote_id in known]
        yield from self._crm.people_in_view(module, view, since, ids)
        self._read[module] = started, whole

    def _at(self, name: str) -> datetime | None:
        kept = self._services.connections.cursor(self._tie.tenant, self._tie.id, name)
        return datetime.fromisoformat(kept) if kept else None


def begin_anew(services: Services, tie: Tie, modules: Collection[str]) -> None:
    """Read the views of these modules from the beginning: another choice was made."""
    for module in modules:
        for name in (_position(module), _whole(module)):
            services.connections.drop_cursor(tie.tenant, tie.id, name)


def left_out(services: Services, tie: Tie, places: Collection[Key]) -> set[Key]:
    """Those of these records that may be in no view, and so are not read: of a module read through one, whoever we do
    not know."""
    hidden = {(module, remote_id) for module, remote_id in places if module in Sharing.from_facts(tie.facts).views}
    return hidden - services.hub.links(tie.tenant, tie.id, hidden).keys() if hidden else hidden


def _position(module: str) -> str:
    return f"read.crm.{module}"


def _whole(module: str) -> str:
    return f"read.crm.{module}.whole"
