"""The activity of a call: what it says, and the one writer who puts it into the CRM.

Either we write it ourselves, up to a hundred a request, or the CRM's own telephony does once it is told that the call
is over. What is unknown is read back before anything is written again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import Connection

from domain import phone
from domain.call import CallEvent
from domain.errors import Refused, Unanswered, Upstream
from domain.mapping import FieldMap
from domain.matching import Key, Place
from domain.ports import Activity, in_batches
from domain.said import words_of
from jobs import filling, journeys, passages, recordings, who
from jobs.abreast import abreast, handfuls
from jobs.outage import postpone
from jobs.services import Services
from store.call_book import Kept
from store.connections import Tie
from store.effects import Effect
from store.finding import Contact
from store.tenants import User

log = structlog.get_logger()

EXIT = "activities"  # the gate's name for what is said here of a caller (`domain.limited_use`)
WAITS = timedelta(minutes=1)  # for another effect of the same call
MOST = 100  # activities a request
SAID = "said"  # what of an activity waits in its effect's payload
AROUND = timedelta(minutes=2)  # calls whose rows may be mistaken for each other; the CRM's times may differ from ours


def record(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Write activities ourselves, up to a hundred a request; read back what is unknown before writing it again."""
    with services.db.reading(tie.tenant):
        crm = services.crm(tie)
        subjects = stories(services, tie, batch)
        told = _told(services, tie, subjects)
    services.effects.drop(tie.tenant, [one for one in batch if one.id not in told], "call.gone", state="dropped")
    doubtful = [one for one in batch if one.state == "unknown" and one.id in told]
    rows = crm.find_calls([told[one.id] for one in doubtful]) if doubtful else {}
    there = {one: rows[told[one.id].marker] for one in doubtful if told[one.id].marker in rows}
    words = {one.id: _said(one, subjects[one.id]) for one in batch if one.id in told}
    _logged(services, tie, there, read_back=True, named=[subjects[one.id].contact for one in there], words=words)
    due = [one for one in batch if one.id in told and one not in there]
    filling.remember(services, tie, [(subjects[one.id].kept, told[one.id]) for one in due])
    words |= {one.id: [*dict.fromkeys((*words[one.id], words_of(told[one.id])))] for one in due}
    services.effects.claim(tie.tenant, due, saying={one.id: {SAID: words[one.id]} for one in due})
    requests = list(in_batches(due, MOST))
    answers = abreast(lambda some: crm.log_calls([told[one.id] for one in some]), requests)
    written = {
        one: result
        for some, answer in answers
        if not isinstance(answer, Upstream)
        for one, result in zip(some, answer, strict=True)
    }
    _logged(
        services,
        tie,
        {one: result.remote_id for one, result in written.items() if result.remote_id},
        named=[subjects[one.id].contact for one in written],
        words=words,
    )
    filling.refused(services, tie, {name: code for one in written.values() for name, code in one.left_out})
    for one, result in written.items():
        if not result.remote_id:
            services.effects.drop(tie.tenant, [one], result.refused or "upstream.refused")
            log.warning("call_refused", tenant=str(tie.tenant), call=str(one.call), reason=result.refused)
    stuck = _settle(services, tie, [(one, error) for some, error in answers for one in some])
    if stuck:
        batch[:] = [one for one, _ in stuck]
        raise stuck[0][1]


def _said(effect: Effect, story: Story) -> list[str]:
    """Our words that may stand in an activity's text: what left with earlier tries, which waits in the payload."""
    return [*dict.fromkeys((*story.kept.said, *effect.payload.get(SAID, ())))] if effect.state == "unknown" else []


def bridge(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Tell the CRM's telephony screen that calls are over, a few at once; it writes each activity itself."""
    with services.db.reading(tie.tenant):
        screen = services.bridge(tie)
        told = of_effects(services, tie, batch)
    for some in handfuls(batch):
        services.effects.drop(tie.tenant, [one for one in some if one.id not in told], "call.gone", state="dropped")
        some = [one for one in some if one.id in told]
        doubtful = [one for one in some if one.state == "unknown"]
        looked = abreast(lambda one: screen.find_call(told[one.id], beside(services, tie, one)), doubtful)
        due = [one for one in some if one.state == "due"] + [one for one, row in looked if row == ""]
        services.effects.claim(tie.tenant, due)
        finished = abreast(lambda one: screen.finish(told[one.id]), due)
        there = {one: row for one, row in looked if row and isinstance(row, str)}
        _logged(services, tie, there, read_back=True)
        written = {one: "" for one, answer in finished if answer is None}
        _logged(services, tie, written)
        _add_remarks(services, tie, [one for one in (*there, *written) if told[one.id].remarks or told[one.id].fields])
        stuck = _settle(services, tie, [*looked, *finished])
        if stuck:  # what comes after shares the fate of the first
            settled = {one.id for one in some} - {one.id for one, _ in stuck}
            batch[:] = [one for one in batch[batch.index(some[0]) :] if one.id not in settled]
            raise stuck[0][1]


def _add_remarks(services: Services, tie: Tie, written: Sequence[Effect]) -> None:
    """Owe the activities what the CRM's telephony does not take: what people had to say, and mapped fields."""
    if not written:
        return
    with services.db.tenant(tie.tenant) as database:
        for effect in written:
            if effect.call is not None:
                services.effects.amend_activity(database, tie.tenant, tie.id, effect.call, "bridged")


def _settle(services: Services, tie: Tie, answers: Sequence[tuple[Effect, object]]) -> list[tuple[Effect, Upstream]]:
    """Settle what was refused and what nobody knows; return what failed for a reason that is not its own."""
    stuck = []
    for effect, error in answers:
        if isinstance(error, Refused):
            services.effects.drop(tie.tenant, [effect], error.code)
            services.connections.trouble(tie.tenant, tie.id, error.code)
        elif isinstance(error, Unanswered):
            postpone(services, tie, [effect], error)
            services.connections.trouble(tie.tenant, tie.id, error.code)
        elif isinstance(error, Upstream):
            stuck.append((effect, error))
    return stuck


def beside(services: Services, tie: Tie, effect: Effect) -> list[Activity]:
    """What else may stand there of the same two people: a call that is read back must not be taken for another."""
    if effect.call is None:
        return []
    near = {kept.id: kept for kept in services.calls.beside(tie.tenant, effect.call, AROUND)}
    owed = services.effects.of_calls(tie.tenant, near.keys())
    there = [near[call] for call, one in owed.items() if one.state in ("done", "unknown", "claimed")]
    return [*of(services, tie, there).values()]


def _logged(
    services: Services,
    tie: Tie,
    results: Mapping[Effect, str],
    *,
    read_back: bool = False,
    named: Sequence[Contact | None] = (),
    words: Mapping[UUID, Sequence[str]] | None = None,
) -> None:
    """The CRM has these: commit it, with a row in the ledger for the whole batch.

    `named`: who was named to it; `words`: ours in each activity's text, by effect, where we wrote it.
    """
    if not results:
        return
    with services.db.tenant(tie.tenant) as database:
        services.effects.done(database, tie.tenant, {effect.id: row for effect, row in results.items()})
        there = {effect.call: row for effect, row in results.items() if effect.call is not None and row}
        said = {one.call: words[one.id] for one in results if one.call is not None and words and words[one.id]}
        services.calls.logged(database, tie.tenant, there, said)
        services.ledger.write(
            database,
            tie.tenant,
            "calls.logged",
            subject=f"connections:{tie.id}",
            calls=[str(effect.call) for effect in results],
            read_back=read_back,
        )
        named_to(services, tie, named, database)
        services.connections.went_well(database, tie.tenant, tie.id)
    for effect in results:
        log.info("call_logged", tenant=str(tie.tenant), call=str(effect.call), read_back=read_back)


def named_to(services: Services, tie: Tie, named: Collection[Contact | None], database: Connection) -> None:
    """Note, where something was written, whom of Google's contacts it named to the CRM."""
    passages.note(
        services,
        tie.tenant,
        EXIT,
        [one for one in named if one is not None],
        subject=f"connections:{tie.id}",
        database=database,
    )


# ---- what it says -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Story:
    """A call with everything an activity says about it."""

    kept: Kept
    user: User | None
    contact: Contact | None
    record: Place | None
    beside: Key | None = None  # the person whose deal that is
    way: str = ""  # how it went through the house, where that takes more than a word
    remarked_by: str = ""
    transcripts: bool = True  # the tenant wants them in the CRM
    fields: FieldMap = FieldMap()
    zone: str = "UTC"


def of_effects(services: Services, tie: Tie, batch: Sequence[Effect]) -> dict[UUID, Activity]:
    """The activity of each effect; a call that is gone (erased) has none."""
    return _told(services, tie, stories(services, tie, batch))


def _told(services: Services, tie: Tie, told: Mapping[UUID, Story]) -> dict[UUID, Activity]:
    links = recordings.crm_links(services, tie, [story.kept for story in told.values()])
    return {effect: activity_of(story, links.get(story.kept.id, "")) for effect, story in told.items()}


def of(services: Services, tie: Tie, kept: Collection[Kept]) -> dict[UUID, Activity]:
    """What each call's activity in that CRM would say now."""
    links = recordings.crm_links(services, tie, kept)
    told = services.calls.told(tie.tenant, [call.id for call in kept])
    stories = _about(services, tie, [(call, told.get(call.id, ())) for call in kept])
    return {call: activity_of(story, links.get(call, "")) for call, story in stories.items()}


def stories(services: Services, tie: Tie, batch: Sequence[Effect]) -> dict[UUID, Story]:
    """What each effect's call is about, read for the whole batch at once."""
    there = services.calls.whole(tie.tenant, {effect.call for effect in batch if effect.call is not None})
    about = _about(services, tie, there.values())
    return {effect.id: about[effect.call] for effect in batch if effect.call is not None and effect.call in about}


def about(services: Services, tie: Tie, ids: Collection[UUID]) -> dict[UUID, Story]:
    """What these calls are about; one that is gone is left out."""
    return _about(services, tie, services.calls.whole(tie.tenant, ids).values())


def _about(services: Services, tie: Tie, whole: Collection[tuple[Kept, tuple[CallEvent, ...]]]) -> dict[UUID, Story]:
    kept = [call for call, _ in whole]
    users = {user.id: user for user in services.tenants.users(tie.tenant)} if kept else {}
    ids = {call.contact for call in kept if call.contact is not None}
    known = services.hub.people(tie.tenant, ids).values()
    contacts = {one.id: one for one in passages.allowed(services, tie.tenant, EXIT, known)}
    records = services.hub.where(tie.tenant, ids)
    tenant = services.tenants.get(tie.tenant)
    ways = journeys.lines({call.id: events for call, events in whole if events}, users.values())
    about: dict[UUID, Story] = {}
    for call in kept:
        # A card ends only on the screen that has it, and the CRM gives the activity to that screen's user.
        whose = (call.screen if call.writer == "bridge" else None) or call.user
        user = users.get(whose) if whose is not None else None
        contact = contacts.get(call.contact) if call.contact is not None else None
        places = who.places(tie, records.get(call.contact, ()) if call.contact is not None else ())
        record = tenant.matching.record(places)
        about[call.id] = Story(
            call,
            user,
            contact,
            record or _company(call),
            beside=tenant.matching.beside(record, places),
            way=ways.get(call.id, ""),
            remarked_by=users[call.remark.by].name if call.remark is not None and call.remark.by in users else "",
            transcripts=tenant.wishes.transcripts,
            fields=tenant.fields,
            zone=tenant.time_zone,
        )
    return about


def _company(call: Kept) -> Place | None:
    """The company a call belongs to where nobody in the hub is that company."""
    if call.trace is None or call.trace.choice.record is None or call.contact is not None:
        return None
    module, remote_id = call.trace.choice.record
    return Place(module=module, remote_id=remote_id)


def activity_of(story: Story, link: str = "") -> Activity:
    """What a call's activity says."""
    call, record, user = story.kept.call, story.record, story.user
    return Activity(
        marker=str(story.kept.id),
        subject=_subject(story),
        direction=call.direction,
        outcome=call.outcome or "failed",
        started_at=call.started_at,
        talk_seconds=call.talk_seconds,
        customer=story.kept.e164 or call.customer,
        agent=agent_line(story),
        owner=user.remote_id if user is not None else record.owner if record is not None else "",
        owner_login=user.login_id if user is not None else "",
        record=record.key if record is not None else None,
        beside=story.beside,
        recording_url=link,
        note="\n".join(filter(None, (f"Queue: {call.queue}" if call.queue else "", story.way))),
        remarks=_remarks(story),
        fields=filling.filled(story, link).values if story.fields.on else {},
    )


def _remarks(story: Story) -> str:
    """What people had to say: how it went, the agent's note, the words a caller left and who heard them so."""
    remark, words = story.kept.remark, story.kept.call.transcript
    told = []
    if remark is not None and remark.disposition:
        told.append(f"Result: {remark.disposition}")
    if remark is not None and remark.note:
        told.append(f"Note by {story.remarked_by}: {remark.note}" if story.remarked_by else f"Note: {remark.note}")
    if words and story.transcripts:
        told.append(f"Transcript (by the telephone system): {words}")
    return "\n".join(told)


def agent_line(story: Story) -> str:
    call = story.kept.call
    return call.agent_extension or (call.callee if call.direction == "inbound" else call.caller)


def _subject(story: Story) -> str:
    call = story.kept.call
    name = story.contact.person.name if story.contact is not None else ""
    if not name:
        name = "a hidden number" if story.kept.match == "hidden" else phone.shown(story.kept.e164 or call.customer)
    if call.direction == "outbound":
        return f"Call to {name}"
    return f"Missed call from {name}" if call.outcome == "missed" else f"Call from {name}"
