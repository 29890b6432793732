"""How things are said on a page: one word, one tone and one shape for each state, and times people can read.

Nothing is looked up here; a state nobody gave a word to is shown as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.call import Call
from jobs.journeys import Mark
from store.connections import Tie
from store.gate import Standing

Tone = Literal["good", "bad", "warn", "quiet", "live"]


@dataclass(frozen=True, slots=True)
class Word:
    """What a state is called, how it feels and which shape stands for it, so that colour is never the only sign."""

    text: str
    tone: Tone = "quiet"
    icon: str = "dot"


DIRECTIONS = {
    "inbound": Word("Inbound", icon="in"),
    "outbound": Word("Outbound", icon="out"),
    "internal": Word("Internal", icon="both"),
}
OUTCOMES = {
    "answered": Word("Answered", "good", "check"),
    "missed": Word("Missed", "bad", "cross"),
    "voicemail": Word("Voicemail", "warn", "tape"),
    "busy": Word("Busy", "warn", "minus"),
    "no_answer": Word("No answer", "warn", "minus"),
    "rejected": Word("Rejected", "warn", "minus"),
    "failed": Word("Failed", "bad", "alert"),
    "cancelled": Word("Cancelled", "quiet", "minus"),
}
LIVE = {"ringing": Word("Ringing", "live", "ring"), "answered": Word("On the line", "live", "ring")}

MATCHES = {
    "one": "One contact has this number.",
    "several": "Several contacts have this number. Look at the others before you speak.",
    "chosen": "Somebody here said whose number this is.",
    "account": "Several people of one company have this number.",
    "nobody": "No contact has this number.",
    "hidden": "The caller withheld the number.",
    "unreadable": "This is not a number anybody could be found by.",
    "internal": "An inside line: colleagues are not looked up.",
    "own": "One of your own numbers: calls among yourselves are not looked up and not logged.",
    "left_out": "This number is left out or blocked: its calls are not looked up, shown or logged.",
    "by_hand": "Somebody here corrected it.",
}
WHY = {  # domain.matching.Choice.why
    "only": "Nobody else has this number.",
    "rule": "Somebody here said that this number is theirs.",
    "last": "The last call with this number that was spoken was with them.",
    "yours": "Of those with this number, they alone are in the hands of the agent on the call.",
    "account": "Your settings say that a number shared inside one company belongs to the company.",
    "first": "Your settings take the first: by the order of Zoho's modules, then the oldest record.",
    "ask": "Nobody was chosen: your settings say to ask. The call is logged without a person until somebody says who.",
}
POLICIES = {  # domain.matching.POLICIES, as an administrator chooses
    "first": "The first of them: by the search order, then the oldest record",
    "owner": "Whoever the last spoken call was with, else the one the agent on the call looks after",
    "account": "The company they share; if they share none, ask",
    "ask": "Nobody: log the call without a person and ask the agent",
}
COUNTRY_FROM = {  # jobs.country, why a tenant's numbers are read where they are
    "organisation": "Zoho says your organisation is there.",
    "phone": "The telephone number of your organisation in Zoho is there.",
    "data_centre": "Your Zoho data centre serves that country.",
    "chosen": "Your administrator chose it.",
    "": "This is assumed: Zoho does not say where your organisation is. Please check it below.",
}
EFFECTS = {
    "pop": "Show the call in Zoho",
    "activity.bridge": "Have Zoho write the call (PhoneBridge)",
    "activity.record": "Write the call into Zoho",
    "activity.update": "Add to the call in Zoho",
    "activity.link": "Tie the call in Zoho to the right record",
    "match.apply": "Follow what was said about a number",
    "lead.create": "Make a lead in Zoho",
    "record.create": "Make the record of a call in Zoho",
    "activity.correct": "Correct the call in Zoho",
    "text.send": "Send a text message",
    "chat.news": "Tell a missed call in Google Chat",
    "sheet.row": "Add a row to the call log's spreadsheet",
    "text.log": "Write the messages into Zoho",
    "mail.send": "Send a message from Gmail",
    "mail.note": "Write a message into Zoho as a note",
    "text.link": "Tie the messages in Zoho to the right record",
    "recording.forget": "Delete the recording at the telephone system",
    "dial": "Ring the agent and dial",
    "control": "Steer the call (hang up, hold, mute, keys)",
    "task.create": "Write a task to call back into Zoho",
    "task.close": "Close the task to call back in Zoho",
    "contact.write": "Write contacts to the other side",
    "phonebook.put": "Update the phonebook",
    "phonebook.remove": "Remove from the phonebook",
}
WHENS = {  # domain.pop.WHENS
    "ring": "As soon as it rings",
    "answer": "When it is answered",
    "never": "Never",
}
BACK = {  # what followed a call nobody took
    "back": Word("Called back", "good", "check"),
    "again": Word("They called again and were answered", "good", "check"),
    "tried": Word("Tried, not reached", "warn", "minus"),
    "not_yet": Word("Not yet", "bad", "clock"),
    "nobody": Word("No number to call", "quiet", "minus"),
}
TO_CALL = {  # somebody on a list of people to call
    "waiting": Word("Waiting", "quiet", "clock"),
    "calling": Word("Being called", "live", "ring"),
    "again": Word("Not reached yet", "warn", "clock"),
    "reached": Word("Reached", "good", "check"),
    "not_reached": Word("Not reached", "warn", "minus"),
    "skipped": Word("Left out", "quiet", "minus"),
}
STATES = {
    "due": Word("Waiting", "warn", "clock"),
    "claimed": Word("On its way", "live", "clock"),
    "unknown": Word("Being checked", "warn", "clock"),
    "done": Word("Done", "good", "check"),
    "dropped": Word("Not needed", "quiet", "minus"),
    "dead": Word("Given up", "bad", "cross"),
}
TEXT_STAGES = {  # domain.call.Stage: how far a text of ours has come
    "queued": Word("On its way", "live", "clock"),
    "sent": Word("Sent", "quiet", "check"),
    "delivered": Word("Delivered", "good", "check"),
    "read": Word("Read", "good", "check"),
    "failed": Word("Not delivered", "bad", "alert"),
}
SOURCES = {  # why a number is set apart, where nobody wrote down why
    "seen": "It was on your side of {} calls.",
    "user": "It belongs to somebody who works here.",
    "told": "An administrator said so.",
}
PLACES = {"door": "At our door", "call": "On the telephone", "effect": "Elsewhere"}
EVENTS = {
    "ringing": "Told that it rings",
    "answered": "Told that it was answered",
    "parked": "Told that it was parked",
    "retrieved": "Told that it was taken again",
    "ended": "Told that a telephone fell silent",
    "recording": "Told of a recording",
    "voicemail": "Told of a voicemail",
}
FAILED = Word("Failed", "bad", "alert")
BASES = {  # domain.recording.BASES, as an administrator chooses and an agent reads them
    "none": "None: recordings are not fetched",
    "announced": "Announced: callers hear that the call is recorded",
    "consented": "Consented: everybody on the line agreed",
    "legal_duty": "Legal duty: the law demands the recording",
}
CONTROLS = {  # domain.ports.Control, on a button
    "hangup": "Hang up",
    "hold": "Hold",
    "unhold": "Back from hold",
    "mute": "Mute",
    "unmute": "Unmute",
    "pause": "Pause recording",
    "resume": "Record again",
    "park": "Park",
}
FORMS = {  # domain.dial_plan.FORMS, as an administrator chooses them
    "e164": "International, with a plus: +34600111222",
    "digits": "International, digits only: 34600111222",
    "national": "As dialled in your country: 600111222",
}
MAPPED = {"on": Word("In use", "good", "check"), "off": Word("Not in use", "quiet", "clock")}  # a mapping of fields
DUTIES = {
    "renew": "renewing the permission",
    "users": "reading who works there",
    "read.crm": "reading contacts",
    "watch.crm": "being told of changes",
    "read.book": "reading contacts",
    "read.others": "reading other contacts",
    "read.directory": "reading the directory",
    "read.phonebook": "reading the phonebook",
    "exchange": "keeping contacts in step",
    "watch.mail": "being told of new mail",
    "read.mail": "reading mail",
    "write.phonebook": "writing the phonebook",
    "archive.recordings": "archiving recordings",
    "reconcile": "comparing the last calls",
    "licence": "asking Google whether Linekeeper is still installed",
    "reconcile.night": "the nightly statement of calls",
    "backfill": "taking over the calls of the week before",
}
MANDATORY = "lead.mandatory."  # and the field that a layout demands
VENDORS = {"zoho": "Zoho", "google": "Google"}
KINDS = {"crm": "CRM", "workspace": "Workspace", "telephony": "Telephone system"}
ALARMS: Mapping[str, tuple[str, str]] = {  # what is announced of a connection: a title that wants a day, and a sentence
    "watch": (
        "stops telling us of changes {}",
        "It is asked to go on every few days, and lately that did not work. Once it ends, changes arrive with the"
        " regular reading, some minutes later.",
    ),
    "consent": (
        "its permission ends {}",
        "Connect it again before that day: then nothing is lost, and nothing has to be read anew.",
    ),
    "silence": (
        "last heard from {}",
        "If somebody has telephoned since, its news does not reach us: look whether the address it was given is still"
        " set there.",
    ),
}
REASONS = {
    "consent.lost": "Permission was withdrawn or has run out. Give it again and the waiting work goes on.",
    "consent.scope": "A permission this connection was given is none any more. Give permission again.",
    "consent.policy": "An administrator at the other side has switched off what this connection may use.",
    "consent.testing_mode": "Google ended this permission after seven days, for the second time: Linekeeper is still "
    "in testing there. Whoever runs it has to publish it; until then every permission ends in a week.",
    "sheet.gone": "The spreadsheet of the call log was deleted, or Linekeeper may not write in it any more, so it "
    "stopped.",
    "sheet.changed": "The spreadsheet of the call log has lost the tab or the last column Linekeeper writes in, so it "
    "stopped.",
    "google.tokens_revoked": "Google says that the user has withdrawn the permission, so it stopped at once.",
    "google.token_revoked": "Google says that this permission was withdrawn, so it stopped at once.",
    "google.account_disabled": "Google has closed this account for now, so its permission stopped at once.",
    "google.account_hijacked": "Google closed this account because somebody else may have got into it. Its permission "
    "stopped at once, and whoever connected it was signed out here.",
    "google.account_purged": "Google has deleted this account, and with it went everything it brought.",
    "extension.removed": "Linekeeper was removed in Zoho, so the connection ended and what it brought was destroyed.",
    "google.unlicensed": "Linekeeper was removed from this account's Google Workspace, so the connection ended and "
    "what it brought was destroyed.",
    "google.account_enabled": "Google has opened this account again. Give permission again and its work goes on.",
    "feature.off": "The other side says this connection may not use that feature (edition, role or permission).",
    "upstream.busy": "The other side is busy or out of reach. We keep trying.",
    "upstream.waits": "The way there is closed for now. It is done once it is open again.",
    "upstream.silent": "The other side does not answer at the moment. It is done once it answers again.",
    "upstream.slowed": "The other side asked us to slow down. It is done after that.",
    "upstream.full": "As much as may be is under way there. It is tried again in a few seconds.",
    "mail.watch_ends": "Gmail stops telling us of new mail within two days. We ask again, and look for mail meanwhile.",
    "mail.unsure": "Nobody knows whether Google sent it. Look among your sent mail before you write again.",
    "mail.letter_gone": "It could not be sent in the time we may keep it, and is gone. Please write it again.",
    "mail.looking": "We look whether Google has sent it.",
    "mail.budget": "As much was read from this mailbox as Google allows in a minute. The rest follows by itself.",
    "upstream.spent": "The requests the other side allows us in a day are used up. It is done when there are new ones.",
    "upstream.unanswered": "The other side did not answer. We check before anything is written again.",
    "upstream.refused": "The other side refused, and would again.",
    "sync.held": "A run would have removed too many contacts at once, so nothing was removed. It needs your word.",
    "phonebook.none": "The telephone system lets nobody read its phonebook.",
    "phonebook.too_large": "The phonebook of the telephone system is longer than we read. Writing it goes on.",
    "sync.paused": "Contacts of this connection are paused.",
    "undo.not_allowed": "The permission to write there is missing, so nothing can be put back.",
    "account.incomplete": "The connection has no complete address and key.",
    "malformed": "It could not be understood.",
    "url.not_allowed": "Its address is not one we may call.",
    "interrupted": "It was interrupted half-way and is being checked.",
    "retried": "Somebody had it tried again. We check before anything is written.",
    "activity.none": "The call is not in Zoho, so there is nothing to correct.",
    "reconciled": "It is not where it was written. We check, and write it again.",
    "lane.busy": "Calls are being worked on. It waits its turn.",
    "pop.stale": "It rang too long ago to be shown.",
    "pop.undisturbed": "Their calendar says busy, and they wish not to be disturbed then.",
    "pop.moved_on": "The call had moved on before it could be shown.",
    "task.reached": "Somebody spoke with them before it was due.",
    "task.talking": "A call with them is going on. We wait for how it ends.",
    "task.waits": "The task does not stand in Zoho yet. We look again.",
    "task.none": "There is no task to close.",
    "task.touched": "Somebody has changed the task, so it stays theirs.",
    "task.called_again": "They called again in vain, so the task stays open.",
    "dial.stale": "It was asked for too long ago to be dialled now.",
    "control.stale": "It was asked for too long ago to be done to this call now.",
    "control.unsupported": "The telephone system cannot do that.",
    "control.invalid": "There was no such call any more, or those were no keys a telephone has.",
    "call.over": "The call was over.",
    "number.invalid": "The telephone system has no such number.",
    "recording.none": "This call is not recorded.",
    "call.gone": "The call was erased.",
    "link.not_needed": "The call is not in Zoho yet, and is written with the right record.",
    "link.by_hand": "Somebody has tied the call to something else in Zoho. It stays so.",
    "activity.waits": "The call does not stand in Zoho yet. We look again.",
    "activity.will_say": "It goes into Zoho with the call, when that is written.",
    "activity.edited": "Somebody changed what we wrote there, so it stays as it is. What came later stands here only.",
    "activity.create_only": "Our permission in Zoho is to write, not to change. What came later stands here only.",
    "activity.full": "There is no room left in its text in Zoho.",
    "text.gone": "The conversation was erased.",
    "text.stale": "It could not be sent within ten minutes. Please write it again, or call.",
    "text.unsupported": "The telephone system sends no text messages.",
    "text.looking": "We look whether the telephone system has sent it.",
    "text.unsure": "The telephone system did not answer, and may have sent it or not. Ask them, or look there, before "
    "you write again.",
    "text.no_sender": "None of your numbers at the telephone system can send text messages. An administrator has to "
    "get one there.",
    "text.opted_out": "They have asked not to be written to (STOP). Call them, or wait until they write START.",
    "text.no_such_number": "There is no such number. Check it with them.",
    "text.not_mobile": "This number cannot receive text messages. Call it, or ask for a mobile number.",
    "text.unreachable": "Their telephone could not be reached. Try again later, or call.",
    "text.blocked": "Their network refused it. Call them.",
    "text.filtered": "It was taken for unwanted advertising. Write it in other words, without a link, or call.",
    "text.country": "Your account at the telephone system may not write to that country. An administrator can allow it "
    "there.",
    "text.trial": "Your account at the telephone system is on trial and writes to verified numbers only.",
    "text.sender": "The number it was to come from cannot send text messages. Choose another.",
    "text.unregistered": "The number it came from is not registered for messages from companies. An administrator has "
    "to register it at the telephone system.",
    "text.too_long": "It was too long. Write less, or in two messages.",
    "text.credit": "Your account at the telephone system has no credit left. Tell an administrator.",
    "text.queue_full": "Too many messages were waiting at the telephone system. Try again later.",
    "text.not_delivered": "The network did not deliver it and did not say why. Call them, or try again later.",
    "mail.note_gone": "The message was not there any more, or not to be seen by whoever wanted it written.",
    "zoho.view_gone": "A view chosen for contacts was deleted in Zoho, or cannot be read any more. Nobody was removed. "
    "Choose another one under Contacts of Zoho.",
    "lead.left_out": "Somebody in Zoho has this number whom the view you chose does not show, so no second one was "
    "made.",
    "zoho.oauth_scope_mismatch": "The permission this needs was not given in Zoho. Give it under Connections.",
    "recording.elsewhere": "It is kept where we may not delete it. Please delete it there.",
    "recording.gone": "The telephone system does not have it any more.",
    "recording.not_sound": "What the telephone system gave us is no sound.",
    "recording.too_long": "It is longer than 200 MB.",
}


def spelt(words: Mapping[str, Word]) -> list[tuple[str, str]]:
    """States and what they are called, for a choice of them."""
    return [(state, word.text) for state, word in words.items()]


def direction(call: Call) -> Word:
    return DIRECTIONS[call.direction]


def outcome(call: Call) -> Word:
    """How the call ended, or how it stands while it lives."""
    if call.state != "ended":
        return LIVE[call.state]
    return OUTCOMES.get(call.outcome or "", Word("Ended"))


def effect(kind: str) -> str:
    return EFFECTS.get(kind, kind.replace(".", ": ").replace("_", " ").capitalize())


def mark(one: Mark) -> str:
    """Say a moment of a call's timeline."""
    if one.where == "call":
        return one.about
    if one.where == "door":
        return f"{EVENTS.get(one.about, one.about)}, {one.late:.1f} s after it happened"
    state = STATES.get(one.state, Word(one.state)).text.lower()
    return effect(one.about) if one.state == "planned" else f"{effect(one.about)}: {state}"


def reason(code: str) -> str:
    """Say a code in a sentence; one we have no sentence for is named."""
    if code.startswith(MANDATORY):
        field = code.removeprefix(MANDATORY).replace("_", " ").capitalize()
        return f"Zoho demands the field {field} for a lead. Fill it in here, or make the lead in Zoho."
    return REASONS.get(code, f"The code is {code}." if code else "")


def task(state: str, *, closing: bool, reason: str) -> Word:
    """How the task for a missed call stands."""
    if state == "done":
        return Word("Closed", "good", "check") if closing else Word("Open", "warn", "clock")
    return Word("Not needed", "quiet", "minus") if reason == "task.reached" else STATES.get(state, Word(state))


def noted(state: str) -> Word:
    """How a message stands that somebody wanted written into the CRM."""
    named = {"": Word("Not written", "quiet", "minus"), "done": Word("Written", "good", "check")}
    return named.get(state) or STATES.get(state, Word(state))


def vendor(slug: str, titles: dict[str, str] | None = None) -> str:
    return VENDORS.get(slug) or (titles or {}).get(slug) or slug.replace("_", " ").capitalize()


def health(tie: Tie, standing: Standing) -> Word:
    """How a connection is, in a word."""
    if tie.state == "needs_consent":
        return Word("Needs your consent", "bad", "alert")
    if tie.state == "disconnected":
        return Word("Disconnected", "quiet", "minus")
    if standing.silent_since:
        return Word("Not answering", "bad", "alert")
    if tie.troubled:
        return Word("In trouble", "warn", "alert")
    if tie.last_ok_at is None:
        return Word("Waiting for its first sign of life", "quiet", "clock")
    return Word("Working", "good", "check")


def lapses(day: str) -> str:
    """What Google's licences say of an account that has ours no more, and when it ends: today, on Fri 21 Nov."""
    return (
        "Google says that Linekeeper is not installed for this account any more. Unless it is installed again, or the "
        f"account is connected here again, the connection ends {day} and what it brought is destroyed."
    )


def lasting(seconds: float) -> str:
    """Write a duration the way people say it: 42 s, 3 min 05 s, 1 h 12 min, 30 days."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s" if whole % 60 else f"{whole // 60} min"
    if whole <= 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min" if whole % 3600 >= 60 else f"{whole // 3600} h"
    days, hours = divmod(round(whole / 3600), 24)
    return f"{days} days" + (f" {hours} h" if hours else "") if days > 1 else f"1 day {hours} h"


def counted(seconds: int) -> str:
    """Write a duration for a column of them: 0:42, 27:05, 1:02:03."""
    hours, rest = divmod(max(0, seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


@dataclass(frozen=True, slots=True)
class Times:
    """Moments as read in one place: the tenant's time zone, on the day it is there now."""

    zone: ZoneInfo
    now: datetime

    @classmethod
    def of(cls, zone: str, now: datetime) -> Times:
        """A zone this machine does not know is read as UTC, and says so."""
        try:
            return cls(ZoneInfo(zone), now)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return cls(ZoneInfo("UTC"), now)

    @property
    def name(self) -> str:
        """The zone by name and as it is written today: Europe/Madrid (CET)."""
        short = self.now.astimezone(self.zone).strftime("%Z")
        return self.zone.key if short == self.zone.key else f"{self.zone.key} ({short})"

    @property
    def midnight(self) -> datetime:
        """When today began, in UTC."""
        local = self.now.astimezone(self.zone)
        return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)

    def begins(self, day: date) -> datetime:
        """When a day begins here, in UTC."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def here(self, at: datetime) -> datetime:
        """The moment a clock on the wall here shows, in UTC; one that comes twice in a night is the first."""
        return at.replace(tzinfo=self.zone).astimezone(UTC)

    def wall(self, at: datetime) -> str:
        """As a browser's field for a date and a time wants it."""
        return at.astimezone(self.zone).strftime("%Y-%m-%dT%H:%M")

    def clock(self, at: datetime) -> str:
        return at.astimezone(self.zone).strftime("%H:%M")

    def exact(self, at: datetime) -> str:
        return at.astimezone(self.zone).strftime("%H:%M:%S")

    def fine(self, at: datetime) -> str:
        """To the tenth of a second."""
        local = at.astimezone(self.zone)
        return f"{local:%H:%M:%S}.{local.microsecond // 100_000}"

    def day(self, at: datetime) -> str:
        """Today, Yesterday, Tomorrow, Fri 21 Nov, or 21 Nov 2024."""
        local, today = at.astimezone(self.zone), self.now.astimezone(self.zone)
        near = {0: "Today", 1: "Yesterday", -1: "Tomorrow"}
        if (days := (today.date() - local.date()).days) in near:
            return near[days]
        return local.strftime(f"{local:%a} {local.day} {local:%b}" if abs(days) < 180 else f"{local.day} {local:%b %Y}")

    def mid(self, at: datetime) -> str:
        """The day as it stands inside a sentence."""
        day = self.day(at)
        return day.lower() if day in ("Today", "Yesterday", "Tomorrow") else f"on {day}"

    def moment(self, at: datetime) -> str:
        return f"{self.day(at)}, {self.clock(at)}"

    def since(self, ms: int) -> str:
        """A moment given in milliseconds, as it stands after "since" or "until": 10:02, or yesterday, 10:02."""
        at = datetime.fromtimestamp(ms / 1000, UTC)
        return self.clock(at) if self.day(at) == "Today" else f"{self.mid(at).removeprefix('on ')}, {self.clock(at)}"

    def ago(self, at: datetime) -> str:
        """How long ago, roughly."""
        gone = self.now - at
        if gone < timedelta(minutes=1):
            return "just now"
        if gone < timedelta(hours=1):
            return f"{gone.seconds // 60} min ago"
        return self.moment(at)
