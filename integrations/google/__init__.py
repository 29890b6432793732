"""Everything about Google and nothing about it anywhere else: consent, contacts, mail, its tokens and its pushes.

`provider` says what is asked for, `people` and `gmail` implement the sockets in `domain.ports`, `tokens` and `push`
read what Google sends us. `discovery`, `transport` and `remedy` are how a call travels and what a refusal means;
`sandbox` is Google's understudy.
"""

from __future__ import annotations

from domain.ports import Http, Tokens
from integrations.google.gmail import GmailMailbox
from integrations.google.people import GoogleAddressBook
from integrations.google.transport import Sessions, UserHttp

__all__ = ["GmailMailbox", "GoogleAddressBook", "Sessions", "open_contacts", "open_mailbox"]


def open_contacts(
    *, http: Http, tokens: Tokens, root: str = "", region: str = "US", timeout: float = 20.0
) -> GoogleAddressBook:
    """Open a user's contacts; `region` is where numbers without a country code are dialled from."""
    return GoogleAddressBook(UserHttp(tokens, http, timeout), root, region)


def open_mailbox(*, http: Http, tokens: Tokens, root: str = "", timeout: float = 20.0) -> GmailMailbox:
    """Open a user's mailbox; `root` replaces Google's own address (GOOGLE_API_ROOT)."""
    return GmailMailbox(UserHttp(tokens, http, timeout), root)
