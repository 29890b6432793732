"""Where in Google Workspace Linekeeper shows itself, and what each feature there may see: data for the manifest, the
consent page and the cards alike.

Each permission is asked for when somebody first uses what needs it, never before, and none of them is a restricted one.
They belong to the add-on's own client, so they are no part of the consent that connects an account
(https://developers.google.com/workspace/add-ons/concepts/workspace-scopes).
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.consent import Feature
from integrations.google.provider import AUTH

EMAIL = AUTH + "userinfo.email"
MESSAGE = AUTH + "gmail.addons.current.message.metadata"
MESSAGE_TEXT = AUTH + "gmail.addons.current.message.readonly"
COMPOSE = AUTH + "gmail.addons.current.action.compose"
MEETING = AUTH + "calendar.addons.current.event.read"
CALENDAR = AUTH + "calendar.events.owned"
FILE = AUTH + "drive.file"

FEATURES = (
    Feature(
        slug="addon",
        title="Linekeeper in Google Workspace",
        purpose="Learns which of your organisation's people you are, so that cards show your calls and nobody else's.",
        scopes=frozenset({"openid", EMAIL, AUTH + "script.locale"}),
        without="Cards cannot tell who you are and only say how to connect.",
    ),
    Feature(
        slug="addon-message",
        title="Who wrote the open message",
        purpose="Reads sender and receivers of the message you have open, and of no other, to show who they are.",
        scopes=frozenset({AUTH + "gmail.addons.execute", MESSAGE}),
        without="The card beside a message shows your dialler only.",
        wider=frozenset({AUTH + "gmail.addons.execute", MESSAGE_TEXT}),
    ),
    Feature(
        slug="addon-message-text",
        title="Numbers in the open message",
        purpose="Looks for telephone numbers in the message you have open, and in no other; the text is kept nowhere.",
        scopes=frozenset({AUTH + "gmail.addons.execute", MESSAGE_TEXT}),
        without="Numbers in a signature cannot be called with one press.",
        optional=True,
    ),
    Feature(
        slug="addon-compose",
        title="Call summaries in messages",
        purpose="Writes the summary of a call you choose into the message you are composing.",
        scopes=frozenset({AUTH + "gmail.addons.execute", COMPOSE}),
        without="A call's summary cannot be put into a message.",
    ),
    Feature(
        slug="addon-meeting",
        title="Who is in the open meeting",
        purpose="Reads who takes part in the meeting you have open, to show who they are and call them.",
        scopes=frozenset({AUTH + "calendar.addons.execute", MEETING}),
        without="The card beside a meeting shows your dialler only.",
    ),
    Feature(
        slug="addon-call-backs",
        title="Call-backs in your calendar",
        purpose="Adds an appointment to your own calendar when you schedule a call-back.",
        scopes=frozenset({CALENDAR}),
        without="A call-back cannot be put into your calendar.",
        optional=True,
    ),
    Feature(
        slug="addon-files",
        title="Numbers in a file you allow",
        purpose="Looks for telephone numbers in a single file after you allowed that file; its text is kept nowhere.",
        scopes=frozenset({AUTH + "drive.addons.metadata.readonly", FILE}),
        without="Files show your dialler only.",
        optional=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One of Google's applications. `triggers`: what it opens our cards on, in the manifest's words; each with what
    its address says after `?on=`."""

    slug: str
    title: str
    triggers: tuple[tuple[str, str], ...]
    features: tuple[str, ...]


EDITOR = (("homepageTrigger", ""), ("onFileScopeGrantedTrigger", "granted"))
HOSTS = (
    Host(
        slug="gmail",
        title="Gmail",
        triggers=(("homepageTrigger", ""), ("contextualTriggers", ""), ("composeTrigger", "compose")),
        features=("addon-message", "addon-message-text", "addon-compose", "addon-call-backs"),
    ),
    Host(
        slug="calendar",
        title="Calendar",
        triggers=(("homepageTrigger", ""), ("eventOpenTrigger", "")),
        features=("addon-meeting", "addon-call-backs"),
    ),
    Host(
        slug="drive",
        title="Drive",
        triggers=(("homepageTrigger", ""), ("onItemsSelectedTrigger", "")),
        features=("addon-files",),
    ),
    Host(slug="docs", title="Docs", triggers=EDITOR, features=("addon-files",)),
    Host(slug="sheets", title="Sheets", triggers=EDITOR, features=("addon-files",)),
    Host(slug="slides", title="Slides", triggers=EDITOR, features=("addon-files",)),
    Host(slug="meet", title="Meet", triggers=(), features=()),  # a page of ours in its side panel
    Host(slug="chat", title="Chat", triggers=(), features=()),
)

CALL, CALLS, HELP = 1, 2, 3
COMMANDS = {CALL: "/call", CALLS: "/calls", HELP: "/help"}  # by the number each has on the Chat app's page
