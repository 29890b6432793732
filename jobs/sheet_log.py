"""The call log as a spreadsheet in an administrator's own Drive: one row for each call, and for each day of messages.

They start it, we make the spreadsheet and add to it in rounds what has come to an end since. Each row is an effect with
our id in its last column; where nobody knows whether rows arrived, that column is read back before any is added. Once
the spreadsheet is deleted, taken from us or rebuilt, the log stops and says so. What stands there is theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import structlog

from domain import phone
from domain.consent import standing
from domain.errors import ConsentLost, NotAllowed, Refused, TryLater, Unanswered
from domain.ports import in_batches
from integrations.google.sheets import Cell, address
from jobs import passages, texts
from jobs.outage import postpone
from jobs.services import Services
from store import unwritten
from store.call_book import Kept
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.finding import Contact
from store.tenants import Tenant, User
from store.texts import Conversation

log = structlog.get_logger()

CHORE, KIND = "sheet.log", "sheet.row"
FEATURE = "sheet"
EXIT = "sheet log"  # the gate's name for what stands there of the other side (`domain.limited_use`)
FACTS, CURSOR = "sheet", "sheet"  # on the connection: since when and why not; the spreadsheet's id
EVERY_SECONDS = 120
SETTLED = timedelta(seconds=30)  # a call's last words may come a little after its end
AT_ONCE = 500  # rows owed in a round
A_REQUEST = 100  # rows added at once
PAUSED = timedelta(minutes=10)
COLUMNS = ("Started", "What", "Result", "Who", "Number", "Our number", "Agent", "Queue", "Talked (s)", "Linekeeper id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """How the log of one account stands. `why`: the code of what stopped it."""

    state: Literal["off", "on", "stopped"]
    url: str = ""
    why: str = ""
    since: datetime | None = None


def may(services: Services, tie: Tie) -> bool:
    """Whether the account's consent reaches so far."""
    grant = services.grants.get(tie.tenant, tie.id)
    features = services.providers[tie.vendor].features
    return grant is not None and any(one.on for one in standing(features, grant.scopes) if one.feature.slug == FEATURE)


def how(services: Services, tie: Tie) -> Log:
    """How the log of this account stands."""
    on = any(one.connection == tie.id and one.kind == CHORE for one in services.chores.all(tie.tenant))
    facts, sheet = _facts(tie), services.connections.cursor(tie.tenant, tie.id, CURSOR)
    return Log(
        state="on" if on else "stopped" if facts.get("why") else "off",
        url=address(sheet) if sheet else "",
        why=facts.get("why", ""),
        since=datetime.fromisoformat(facts["since"]) if facts.get("since") else None,
    )


def start(services: Services, tie: Tie, *, actor: str) -> None:
    """Add calls from now on. Raises NotAllowed without the permission."""
    if not may(services, tie):
        raise NotAllowed("This account has not given the permission for a spreadsheet.")
    now = services.now().isoformat(timespec="seconds")
    services.connections.set_facts(tie.tenant, tie.id, **{FACTS: {"since": now, "made": _made(tie)}})
    services.chores.set_up(tie.tenant, tie.id, CHORE, lane="contacts", every_seconds=EVERY_SECONDS)
    services.ledger.note(tie.tenant, "sheet.started", actor=actor, subject=f"connections:{tie.id}")
    services.ring(tie.tenant, "contacts")


def stop(services: Services, tie: Tie, *, actor: str = "system", why: str = "") -> None:
    """Add no more. With a reason the spreadsheet is given up, and the next start makes another."""
    for chore in services.chores.all(tie.tenant):
        if chore.connection == tie.id and chore.kind == CHORE:
            services.chores.end(tie.tenant, chore)
    facts: dict[str, Any] = {"why": why, "made": _made(tie) + 1} if why else {"made": _made(tie)}
    services.connections.set_facts(tie.tenant, tie.id, **{FACTS: facts})
    if why:
        services.connections.set_cursor(tie.tenant, tie.id, CURSOR, "")
        services.connections.trouble(tie.tenant, tie.id, why)
    told = {"reason": why} if why else {}
    services.ledger.note(tie.tenant, "sheet.stopped", actor=actor, subject=f"connections:{tie.id}", **told)


def _facts(tie: Tie) -> dict[str, Any]:
    found: dict[str, Any] = tie.facts.get(FACTS) or {}
    return found


def _made(tie: Tie) -> int:
    """How many spreadsheets of this account were given up; the next has a name of its own."""
    return int(_facts(tie).get("made", 0))


# ---- owing --------------------------------------------------------------------------------------------------------


def look(services: Services, tie: Tie, chore: Chore) -> dict[str, int]:
    """See to the spreadsheet, and owe a row for what came to an end since the log was started."""
    tenant, facts = services.tenants.get(tie.tenant), _facts(tie)
    if not facts.get("since"):
        return {}
    if not services.connections.cursor(tie.tenant, tie.id, CURSOR):
        _make(services, tie, tenant)
    owed, now = f"{KIND}:{tie.id}:", services.now()
    since = datetime.fromisoformat(facts["since"])
    today = now.astimezone(texts.zone_of(tenant)).date()
    with services.db.tenant(tie.tenant) as database:
        calls = unwritten.calls_without(database, tie.tenant, owed, since=since, until=now - SETTLED, limit=AT_ONCE)
        days = unwritten.days_without(database, tie.tenant, owed, since=since, before=today, limit=AT_ONCE)
        for call in calls:
            services.effects.plan(
                database, tie.tenant, KIND, f"{owed}{call}", connection=tie.id, lane="contacts", payload={}, call=call
            )
        for day in days:
            services.effects.plan(
                database, tie.tenant, KIND, f"{owed}{day}", connection=tie.id, lane="contacts", payload={}, text=day
            )
    return {"rows": len(calls) + len(days)}


def _make(services: Services, tie: Tie, tenant: Tenant) -> None:
    """Make the spreadsheet, unless it was made before and the answer was lost: its name is this connection's own."""
    sheets, title = services.sheets(tie), f"Linekeeper calls {tie.id.hex[:8]}-{_made(tie) + 1}"
    sheet = sheets.find(title) or sheets.create(title, COLUMNS, str(texts.zone_of(tenant)))
    services.connections.set_cursor(tie.tenant, tie.id, CURSOR, sheet)
    services.ledger.note(tie.tenant, "sheet.made", subject=f"connections:{tie.id}")


# ---- writing ------------------------------------------------------------------------------------------------------


def act(services: Services, tenant: TenantId, owed: Sequence[Effect]) -> None:
    """Add the rows that are owed, each account's to its own spreadsheet. The caller holds the `contacts` lane."""
    by_tie: dict[UUID, list[Effect]] = defaultdict(list)
    for effect in owed:
        by_tie[effect.connection].append(effect)
    for connection, batch in by_tie.items():
        tie = services.connections.get(tenant, connection)
        try:
            _write(services, tie, batch)
        except (ConsentLost, NotAllowed) as error:
            services.effects.postpone(tenant, batch, error.code, PAUSED)
            services.connections.trouble(tenant, connection, error.code)
        except (TryLater, Unanswered) as error:
            postpone(services, tie, batch, error)
            services.connections.trouble(tenant, connection, error.code)
        except Refused as error:
            stop(services, tie, why=error.code)
            services.effects.drop(tenant, batch, error.code, state="dropped")


def _write(services: Services, tie: Tie, batch: list[Effect]) -> None:
    sheet = services.connections.cursor(tie.tenant, tie.id, CURSOR)
    if not sheet or not _facts(tie).get("since"):
        services.effects.drop(tie.tenant, batch, "sheet.off", state="dropped")
        return
    sheets = services.sheets(tie)
    there: set[str] = set()
    if any(effect.state == "unknown" for effect in batch):
        there = sheets.ids(sheet, COLUMNS)
    rows, named = _rows(services, tie, batch)
    known = [effect for effect in batch if effect.id in rows and str(effect.call or effect.text) in there]
    new = [effect for effect in batch if effect.id in rows and effect not in known]
    gone = [effect for effect in batch if effect.id not in rows]
    services.effects.drop(tie.tenant, gone, "sheet.moot", state="dropped")
    _done(services, tie, known, named)
    for some in in_batches(new, A_REQUEST):
        services.effects.claim(tie.tenant, some)
        sheets.append(sheet, [rows[effect.id] for effect in some])
        _done(services, tie, some, named)


def _done(services: Services, tie: Tie, written: Sequence[Effect], named: Mapping[UUID, Contact]) -> None:
    """They stand there; whom of Google's contacts they name is noted with it."""
    if not written:
        return
    with services.db.tenant(tie.tenant) as database:
        services.effects.done(database, tie.tenant, {effect.id: "" for effect in written})
        told = [named[effect.id] for effect in written if effect.id in named]
        passages.note(services, tie.tenant, EXIT, told, subject=f"connections:{tie.id}", database=database)
    log.info("sheet_written", tenant=str(tie.tenant), connection=str(tie.id), rows=len(written))


def _rows(services: Services, tie: Tie, batch: Sequence[Effect]) -> tuple[dict[UUID, list[Cell]], dict[UUID, Contact]]:
    """The row of each effect whose call or day is still here, and the contact it names."""
    tenant = services.tenants.get(tie.tenant)
    calls = services.calls.some(tie.tenant, [effect.call for effect in batch if effect.call is not None])
    days = texts.kept(services).some(tie.tenant, [effect.text for effect in batch if effect.text is not None])
    known = {kept.contact for kept in calls.values()} | {day.contact for day in days.values()}
    found = services.hub.people(tie.tenant, [one for one in known if one is not None]).values()
    people: dict[UUID | None, Contact] = {one.id: one for one in passages.allowed(services, tie.tenant, EXIT, found)}
    users: dict[UUID | None, User] = {user.id: user for user in services.tenants.users(tie.tenant)}
    rows: dict[UUID, list[Cell]] = {}
    named: dict[UUID, Contact] = {}
    for effect in batch:
        call = calls.get(effect.call) if effect.call is not None else None
        day = days.get(effect.text) if effect.text is not None else None
        contact = people.get(call.contact if call is not None else day.contact if day is not None else None)
        if call is not None:
            rows[effect.id] = _call(call, tenant, contact, users.get(call.user))
        elif day is not None:
            rows[effect.id] = _day(day, tenant, contact, users.get(day.user))
        if contact is not None:
            named[effect.id] = contact
    return rows, named


def _call(kept: Kept, tenant: Tenant, contact: Contact | None, user: User | None) -> list[Cell]:
    call = kept.call
    ours = call.callee if call.direction == "inbound" else call.caller
    return [
        _wall(call.started_at, tenant),
        "Incoming call" if call.direction == "inbound" else "Outgoing call",
        (call.outcome or "").replace("_", " "),
        contact.person.name if contact is not None else "",
        kept.e164 or call.customer,
        phone.read(ours, tenant.region).e164 or ours,
        user.name if user is not None else call.agent_extension,
        call.queue,
        call.talk_seconds,
        str(kept.id),
    ]


def _day(day: Conversation, tenant: Tenant, contact: Contact | None, user: User | None) -> list[Cell]:
    first, came = day.messages[0], sum(message.direction == "inbound" for message in day.messages)
    went = f"{came} received, {len(day.messages) - came} sent"
    return [
        _wall(first.at, tenant),
        "Fax" if first.fax else "Text messages",
        (first.failed or went) if first.fax else went,
        contact.person.name if contact is not None else "",
        phone.read(day.customer, tenant.region).e164 or day.customer,
        "",
        user.name if user is not None else "",
        "",
        0,
        str(day.id),
    ]


def _wall(at: datetime, tenant: Tenant) -> str:
    return at.astimezone(texts.zone_of(tenant)).strftime("%Y-%m-%d %H:%M:%S")
