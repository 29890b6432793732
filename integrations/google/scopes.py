"""Every scope we may ask Google for: its class, why nothing narrower would do, and where a reviewer sees it in use.

The consent flow (`provider.FEATURES`), the manifests and docs/limited-use.md read this one table; `linekeeper manifests
check` and a test hold that none of them knows a scope the others do not. Classes:
https://developers.google.com/workspace/gmail/api/auth/scopes and the consent screen of the Cloud console.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

AUTH = "https://www.googleapis.com/auth/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One scope, and everything a reviewer asks about it."""

    name: str
    level: Literal["non-sensitive", "sensitive", "restricted"]
    because: str
    narrower: str
    seen: str

    @property
    def short(self) -> str:
        return self.name.removeprefix(AUTH)


SCOPES = (
    Scope(
        name="openid",
        level="non-sensitive",
        because="Knows again which Google account was connected, by an id that never changes.",
        narrower="There is nothing narrower.",
        seen="Connections shows the account that was connected; connecting it again renews the same connection.",
    ),
    Scope(
        name=AUTH + "userinfo.email",
        level="non-sensitive",
        because="Names the connected account on the console, and leads Gmail's pushes to it.",
        narrower="The id alone tells an administrator nothing.",
        seen="Connections names the account by its address.",
    ),
    Scope(
        name=AUTH + "userinfo.profile",
        level="non-sensitive",
        because="Names the account where it has no address to show.",
        narrower="There is nothing narrower.",
        seen="Connections, for an account without a verified address.",
    ),
    Scope(
        name=AUTH + "contacts.readonly",
        level="sensitive",
        because="Reads the user's contacts so that a caller has a name.",
        narrower="No scope reads names and numbers of contacts and less; it cannot write.",
        seen="Call from a number that only Google Contacts has: the panel shows the name.",
    ),
    Scope(
        name=AUTH + "contacts",
        level="sensitive",
        because="Keeps the user's contacts and the CRM the same, where an administrator switched that on.",
        narrower="contacts.readonly cannot write; it is asked for instead wherever nothing is written.",
        seen="Change a number in Zoho: it stands in Google Contacts after the next reading.",
    ),
    Scope(
        name=AUTH + "contacts.other.readonly",
        level="sensitive",
        because="Reads the numbers of people Gmail collected by itself, where somebody switched that on.",
        narrower="contacts.readonly does not reach them, and there is nothing narrower.",
        seen="Save a number under Other contacts, call from it: the panel shows the name.",
    ),
    Scope(
        name=AUTH + "directory.readonly",
        level="sensitive",
        because="Reads the numbers of colleagues in the organisation's directory, where somebody switched that on.",
        narrower="No scope reads the directory and less.",
        seen="Call from a colleague's mobile that only the directory has: the panel shows the name.",
    ),
    Scope(
        name=AUTH + "gmail.readonly",
        level="restricted",
        because="Shows recent messages with a caller beside the call, headers first and a body when it is opened.",
        narrower="gmail.metadata has no bodies; the scopes for an open message do not work outside Gmail.",
        seen="Open a contact with recent mail: subject and sender stand there; open one to read it.",
    ),
    Scope(
        name=AUTH + "gmail.modify",
        level="restricted",
        because="Marks a message read or unread, or with one of the user's own labels, when the user presses that.",
        narrower="gmail.labels changes the labels themselves and no message; nothing narrower marks one.",
        seen="Open a message, choose a label: it stands on the message in Gmail.",
    ),
    Scope(
        name=AUTH + "gmail.send",
        level="sensitive",
        because="Sends what a user writes to a caller, from the user's own address.",
        narrower="It is the narrowest scope that sends; it reads nothing.",
        seen="Write to a contact: the message stands in the Sent folder of the user's Gmail.",
    ),
    Scope(
        name=AUTH + "script.locale",
        level="non-sensitive",
        because="Answers cards in the user's language and time zone.",
        narrower="There is nothing narrower.",
        seen="Set the account's language to Spanish: the card beside a message is Spanish.",
    ),
    Scope(
        name=AUTH + "gmail.addons.execute",
        level="non-sensitive",
        because="Runs the add-on in Gmail.",
        narrower="There is nothing narrower.",
        seen="Open Gmail: the add-on stands in the side panel.",
    ),
    Scope(
        name=AUTH + "gmail.addons.current.message.metadata",
        level="sensitive",
        because="Reads sender and receivers of the open message, and of no other, to show who they are.",
        narrower="It is the narrowest scope that names the sender; it reads no text.",
        seen="Open a message of a known contact: the card names them and shows their last calls.",
    ),
    Scope(
        name=AUTH + "gmail.addons.current.message.readonly",
        level="sensitive",
        because="Finds telephone numbers in the open message when the user asks for it; the text is kept nowhere.",
        narrower="The metadata scope has no text; asked for only when somebody uses it.",
        seen="Press Numbers in this message: the number in the signature can be called.",
    ),
    Scope(
        name=AUTH + "gmail.addons.current.action.compose",
        level="non-sensitive",
        because="Writes the summary of a call into the message being composed.",
        narrower="It is the narrowest scope for a compose action.",
        seen="Compose a message, press Insert a call, choose one: its summary stands in the message.",
    ),
    Scope(
        name=AUTH + "calendar.addons.execute",
        level="non-sensitive",
        because="Runs the add-on in Calendar.",
        narrower="There is nothing narrower.",
        seen="Open Calendar: the add-on stands in the side panel.",
    ),
    Scope(
        name=AUTH + "calendar.addons.current.event.read",
        level="sensitive",
        because="Reads who takes part in the open meeting, and in no other, to show and call them.",
        narrower="It reads one open event only.",
        seen="Open a meeting with a known contact: they can be called from the card.",
    ),
    Scope(
        name=AUTH + "calendar.events.owned",
        level="sensitive",
        because="Adds an appointment for a call-back to the user's own calendar.",
        narrower="It reaches calendars the user owns and no others; asked for only when a call-back is scheduled.",
        seen="Schedule a call-back from a card: it stands in the calendar.",
    ),
    Scope(
        name=AUTH + "calendar.freebusy",
        level="sensitive",
        because="Sees when the user's own calendar says busy, so that calls do not come up on their screen then.",
        narrower="It tells times only, no events; calendar.events.freebusy reaches other people's calendars too.",
        seen="Switch do not disturb on, be busy, have somebody call: nothing comes up, the call stands on the panel.",
    ),
    Scope(
        name=AUTH + "drive.addons.metadata.readonly",
        level="non-sensitive",
        because="Runs the add-on in Drive, and knows which file is selected.",
        narrower="There is nothing narrower.",
        seen="Select a file in Drive: the card offers to look into it.",
    ),
    Scope(
        name=AUTH + "drive.file",
        level="non-sensitive",
        because="Finds telephone numbers in a single file the user allowed; adds calls to a sheet it made itself.",
        narrower="It reaches only files the user chose for the application, or the application made.",
        seen="Allow one document: its numbers can be called from the card. Start the call log: calls stand there.",
    ),
)


def facts(names: Collection[str]) -> list[Scope]:
    """What is known of these; `linekeeper manifests check` names those nobody wrote down."""
    return [one for one in SCOPES if one.name in names]
