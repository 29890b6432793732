"""How contacts that are kept in step are spoken of: choices, reasons, and what was lost."""

from __future__ import annotations

from console.words import Word

SHARED = {  # domain.sharing.Sharing.direction, as a state
    "read": Word("Only read", "quiet", "in"),
    "write": Word("Only written", "live", "out"),
    "both": Word("Both ways", "good", "both"),
    "paused": Word("Paused", "warn", "clock"),
}
WAYS = {  # the same, as an administrator chooses
    "read": ("Only read", "What changes in {title} is taken over elsewhere. Nothing is changed in {title}."),
    "write": ("Only write", "What changes elsewhere is written into {title}. What changes in {title} stays there."),
    "both": (
        "Both ways",
        "What changes in {title} is taken over elsewhere, and what changes elsewhere is written here.",
    ),
}
BESIDES = {  # what Google knows beside contacts, as a state
    "read": Word("Read", "good", "in"),
    "stopped": Word("Not read", "quiet", "clock"),
    "none": Word("None there", "quiet", "cross"),
}
MODULES = {"Contacts": "Contacts", "Leads": "Leads", "Accounts": "Companies with a number"}
FIELDS = {  # domain.telling.Field
    "name": "Name",
    "company": "Company",
    "title": "Job title",
    "lines": "Numbers",
    "emails": "E-mail addresses",
    "record": "The whole contact",
}
OWNERS = {  # domain.sharing.OWNERS
    "left": "Zoho’s stands",
    "right": "Google’s stands",
    "newest": "Whoever changed the contact last",
}
HELD = {  # what a held run would do, by its chore
    "read.crm": (
        "{removing} of {known} people are gone from Zoho. "
        "Continuing removes them here, and from Google where changes travel there."
    ),
    "read.book": (
        "{removing} of {known} people are gone from Google. "
        "Continuing removes them here, and from Zoho where changes travel there."
    ),
    "read.others": (
        "{removing} of {known} people are gone from Google’s other contacts. "
        "Continuing removes them here and nowhere else."
    ),
    "read.directory": (
        "{removing} of {known} people are gone from Google’s directory. Continuing removes them here and nowhere else."
    ),
    "read.phonebook": (
        "{removing} of {known} people are gone from the phonebook of your telephone system, where they were typed in. "
        "Continuing removes them here, and from other phonebooks if nobody else knows them."
    ),
    "write.phonebook": (
        "{removing} of {known} people have no place in the phonebook any more. "
        "Continuing takes out what Linekeeper wrote of them there, and nothing else."
    ),
    "exchange": "This run would delete {removing} of {known} people on the other side.",
}
EXPORTING = "{title} is writing {many} records into files for us. They are taken over as soon as it is done."
LOST = {  # domain.threeway.Why, and jobs.lost
    "overwritten": "It was changed on the other side.",
    "deleted": "It was deleted on the other side.",
    "both changed": "Both sides changed it; the owner’s stands.",
    "first meeting": "The two met for the first time and differed; the owner’s stands.",
    "a value beats none": "One side cleared it, the other changed it.",
    "one way": "Changes do not travel that way, so each side keeps its own.",
    "not kept there": "The other side has no place for it.",
    "no room": "Not all of it found room there.",
    "refused": "The other side refused it.",
    "changed after it was deleted": "Deleted on one side, changed on the other: it stays.",
    "put back": "It was deleted on a side that only receives, and was put back.",
    "twice": "The other side has this person already.",
}
WAITS = {  # why somebody has no partner
    "alike": "share a number or an address with somebody of another name there",
    "twice": "stand more than once on their side, or are there already",
    "nothing to know them by": "have neither a number nor an address",
    "one way": "stay where they are, for nothing travels from there",
}
NEEDS_WORD = Word("Held: needs your word", "bad", "alert")
UNDONE = Word("Put back", "good", "check")
