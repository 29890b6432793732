"""Everything about Google and nothing about it anywhere else: consent, contacts, mail, its tokens and its pushes.

`provider` and `hosts` say what is asked for, `people`, `beside`, `writing` and `gmail` implement the sockets in
`domain`, `tokens` and `push` read what Google sends us. `cards` draws what Google's applications show, `lent` asks with
a token they lent us; `chat` speaks as the application, by its `robot`, `sheets` keeps a spreadsheet and
`calendar` asks when somebody is busy. `synced` is how a listing is read; `discovery`, `sessions`, `transport` and
`remedy` are how a call travels and what a refusal means; `sandbox` is Google's understudy.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from domain.besides import Source
from domain.ports import Http, Tokens

if TYPE_CHECKING:
    from integrations.google.beside import GoogleBeside
    from integrations.google.calendar import GoogleCalendar
    from integrations.google.chat import GoogleChat
    from integrations.google.gmail import GmailMailbox
    from integrations.google.people import GoogleAddressBook
    from integrations.google.sheets import GoogleSheets
    from integrations.google.writing import GoogleContactsWriter

# Google's client library takes a quarter of a second to import and half of our processes never use it, so it is
# imported where an account is opened.


def open_contacts(
    *,
    http: Http,
    tokens: Tokens,
    root: str = "",
    region: str = "US",
    timeout: float = 20.0,
    only: Collection[str] = (),
) -> GoogleAddressBook:
    """Open a user's contacts, or `only` those with these labels; `region`: where numbers without a country code are
    dialled from."""
    from integrations.google.people import GoogleAddressBook
    from integrations.google.transport import UserHttp

    return GoogleAddressBook(UserHttp(tokens, http, timeout), root, region, only)


def open_beside(
    source: Source, *, http: Http, tokens: Tokens, root: str = "", region: str = "US", timeout: float = 20.0
) -> GoogleBeside:
    """Open a user's other contacts, or the directory of their organisation."""
    from integrations.google.beside import GoogleBeside
    from integrations.google.transport import UserHttp

    return GoogleBeside(UserHttp(tokens, http, timeout), source, root, region)


def open_contacts_writer(
    *, http: Http, tokens: Tokens, root: str = "", region: str = "US", timeout: float = 20.0, label: str = ""
) -> GoogleContactsWriter:
    """Open a user's contacts for writing; the consent has to reach that far. `label`: somebody new gets it."""
    from integrations.google.transport import UserHttp
    from integrations.google.writing import GoogleContactsWriter

    return GoogleContactsWriter(UserHttp(tokens, http, timeout), root, region, label)


def open_mailbox(*, http: Http, tokens: Tokens, root: str = "", timeout: float = 20.0) -> GmailMailbox:
    """Open a user's mailbox; `root` replaces Google's own address (GOOGLE_API_ROOT)."""
    from integrations.google.gmail import GmailMailbox
    from integrations.google.transport import UserHttp

    return GmailMailbox(UserHttp(tokens, http, timeout), root)


def open_chat(*, http: Http, tokens: Tokens, root: str = "", timeout: float = 5.0) -> GoogleChat:
    """Open Google Chat as the application itself; `tokens` are its own."""
    from integrations.google.chat import GoogleChat
    from integrations.google.transport import UserHttp

    return GoogleChat(UserHttp(tokens, http, timeout), root)


def open_sheets(*, http: Http, tokens: Tokens, root: str = "", timeout: float = 20.0) -> GoogleSheets:
    """Open the spreadsheets we made for a user."""
    from integrations.google.sheets import GoogleSheets
    from integrations.google.transport import UserHttp

    return GoogleSheets(UserHttp(tokens, http, timeout), root)


def open_calendar(*, http: Http, tokens: Tokens, root: str = "", timeout: float = 20.0) -> GoogleCalendar:
    """Open a user's own calendar, as far as it says busy."""
    from integrations.google.calendar import GoogleCalendar
    from integrations.google.transport import UserHttp

    return GoogleCalendar(UserHttp(tokens, http, timeout), root)


def open_sessions() -> Http:
    """What Google is reached through: one `requests.Session` for each thread, so that no answer meets another user."""
    from integrations.google.sessions import Sessions

    return Sessions()
