"""The first reading of a very large CRM: it writes its modules into files, and we come back when they are done.

Which files those are, and when the first was asked for, is a cursor of the connection, so whoever comes back goes on
with the same ones. What cannot be had so is read page by page, as it would have been anyway. Nobody waits here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from domain.consent import standing
from domain.contact import Gone, Record
from domain.errors import NotAllowed, Refused
from domain.ports import Crm, Exports
from jobs.services import Services
from store.connections import Tie

log = structlog.get_logger()

FEATURE = "export"
CURSOR = "read.crm.export"
LARGE = 20_000  # records; below that listing a module costs about as many credits, and no waiting
LOOK_AGAIN = timedelta(seconds=20)
LONGEST = timedelta(hours=6)  # then nobody waits for a file any more
MOST_FILES = 10  # as many can be fetched in a minute: two million people


@dataclass(slots=True)
class File:
    """A job there; how many rows its file has once it is done."""

    job: str
    rows: int | None = None


@dataclass(slots=True)
class Load:
    """The files of one reading. Modules without any are listed page by page."""

    began: datetime
    reading: str  # how numbers were to be read, and which modules took part
    records: int = 0  # as counted before it began
    files: dict[str, list[File]] = field(default_factory=dict)

    @property
    def waiting(self) -> bool:
        return any(file.rows is None for files in self.files.values() for file in files)

    def as_text(self) -> str:
        files = {module: [[file.job, file.rows] for file in files] for module, files in self.files.items()}
        return json.dumps([self.began.isoformat(), self.reading, self.records, files])

    @classmethod
    def from_text(cls, text: str) -> Load:
        began, reading, records, files = json.loads(text)
        kept = {module: [File(job, rows) for job, rows in files] for module, files in files.items()}
        return cls(datetime.fromisoformat(began), reading, records, kept)


def look(services: Services, tie: Tie, exports: Exports, modules: Sequence[str], reading: str) -> Load | None:
    """Go on with the files of this reading, or ask for them; None when every module is better listed."""
    reading = " ".join((*modules, reading))
    kept = services.connections.cursor(tie.tenant, tie.id, CURSOR)
    load = Load.from_text(kept) if kept else None
    if load is None or load.reading != reading:
        load = _begin(services, tie, exports, modules, reading)
    if load is not None:
        late = services.db.now() - load.began > LONGEST
        for module in list(load.files):
            _advance(services, tie, exports, load, module, late=late)
    return load


def people(
    services: Services, tie: Tie, crm: Crm, load: Load, module: str, listed: Callable[[], Iterator[Record | Gone]]
) -> Iterator[Record | Gone]:
    """Yield everybody of a module out of its files, and then what changed and who went while they were written.

    What cannot be read is listed after all, from the beginning.
    """
    try:
        for file in load.files.get(module, ()):
            yield from crm.exports.people(module, file.job, file.rows or 0)
    except (NotAllowed, Refused) as error:
        _lost(services, tie, load, module, error.code)
    if module not in load.files:
        yield from listed()
        return
    yield from crm.people(module, load.began)
    yield from crm.people_gone(module, load.began)


def done(services: Services, tie: Tie) -> None:
    """Everything was taken over: the files are nothing to us any more."""
    services.connections.set_cursor(tie.tenant, tie.id, CURSOR, "")


def _begin(services: Services, tie: Tie, exports: Exports, modules: Sequence[str], reading: str) -> Load | None:
    """Have every large module written out, where the consent reaches so far."""
    grant = services.grants.get(tie.tenant, tie.id)
    features = standing(services.providers[tie.vendor].features, grant.scopes if grant else ())
    if not any(item.on and item.feature.slug == FEATURE for item in features):
        return None
    counts = {module: _count(exports, module) for module in modules}
    load = Load(services.db.now(), reading, sum(counts.values()))
    large = [module for module, many in counts.items() if many > LARGE]
    if not large:
        return None
    for module in large:
        try:
            load.files[module] = [File(exports.begin(module))]
        except (NotAllowed, Refused) as error:
            _lost(services, tie, load, module, error.code)
        _keep(services, tie, load)
    return load


def _count(exports: Exports, module: str) -> int:
    try:
        return exports.count(module)
    except (NotAllowed, Refused):  # a module that is left out has nobody; another one is listed
        return 0


def _advance(services: Services, tie: Tie, exports: Exports, load: Load, module: str, *, late: bool) -> None:
    """See how far a module's last file is, and ask for the next part once it is done."""
    files = load.files[module]
    try:
        while (file := files[-1]).rows is None:
            told = exports.look(file.job)
            if told.state == "failed" or (told.state == "waiting" and late):
                raise Refused(code="export.late" if late else "export.failed")
            if told.state == "waiting":
                return
            if told.more and sum(map(len, load.files.values())) >= MOST_FILES:
                raise Refused(code="export.too_large")
            if told.more:
                files.append(File(exports.begin(module, told.more)))
            file.rows = told.rows
            _keep(services, tie, load)
    except (NotAllowed, Refused) as error:
        _lost(services, tie, load, module, error.code)


def _lost(services: Services, tie: Tie, load: Load, module: str, code: str) -> None:
    """This module is listed page by page instead."""
    load.files.pop(module, None)
    _keep(services, tie, load)
    log.warning("export_lost", tenant=str(tie.tenant), connection=str(tie.id), name=module, code=code)


def _keep(services: Services, tie: Tie, load: Load) -> None:
    services.connections.set_cursor(tie.tenant, tie.id, CURSOR, load.as_text())
