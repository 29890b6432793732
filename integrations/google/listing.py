"""What people read of us in the Google Workspace Marketplace, and the sheet its configuration page is filled in from.

Limits: https://developers.google.com/workspace/marketplace/create-listing and .../enable-configure-sdk
"""

from __future__ import annotations

from collections.abc import Iterator

from domain.limited_use import NAME as POLICY_NAME
from domain.limited_use import RULES, SINKS
from integrations.google import hosts
from integrations.google.manifest import DOOR, MARKS, NAME, scopes
from integrations.google.scopes import facts

MOST_NAME_CHARACTERS = 50
MOST_SHORT_CHARACTERS = 200
MOST_LONG_CHARACTERS = 15_999
SHORT = "Your telephone system beside mail, calendar and files: see who calls, call with one press, find every call."
FEATURES = (
    "See who is calling, from your own contacts and your CRM, while it rings.",
    "Call from the message, meeting or file you have open with one press; your own telephone rings first.",
    "Find recent and missed calls, and put the summary of one into a message.",
    "Every call is logged once, against the right person, in your CRM.",
    "Works with the telephone system you have.",
)


def long_text() -> str:
    """The detailed description."""
    lines = [
        "Linekeeper ties your telephone system to the applications you work in. It is for companies that have a "
        "telephone system, their own or a provider's, and use Linekeeper through whoever runs it.",
        "",
        *(f"- {one}" for one in FEATURES),
        "",
        "What it may see is asked for when you first use what needs it, and each permission can be left out. "
        "It keeps what it needs for that, sealed, and no longer than its privacy policy says.",
        "",
        *(f"- {one.sentence}" for one in SINKS),
        "",
        f"Linekeeper's use and transfer of information received from Google APIs adheres to the {POLICY_NAME}: {RULES}",
    ]
    return "\n".join(lines)


def listing() -> str:
    """The store listing, as text to copy."""
    return f"""# Store listing

Application name ({len(NAME)} of {MOST_NAME_CHARACTERS} characters)

    {NAME}

Short description ({len(SHORT)} of {MOST_SHORT_CHARACTERS} characters)

    {SHORT}

Detailed description ({len(long_text())} of {MOST_LONG_CHARACTERS} characters)

{_indented(long_text())}
"""


def sheet(base_url: str, *, mailbox: bool = False) -> str:
    """What to fill in on the Marketplace SDK's pages and on the consent screen, field by field."""
    named = ", ".join(host.title for host in hosts.HOSTS)
    rows = [
        ("Consent screen: application name", NAME),
        ("Consent screen: audience", "External, In production (in Testing every consent ends after seven days)"),
        ("Consent screen: home page", f"{base_url}/console/"),
        ("Consent screen: authorised redirect URI", f"{base_url}/oauth/google/callback"),
        ("App visibility", "Public (it cannot be changed after the first save)"),
        ("Installation settings", "Individual + Admin Install"),
        ("App integrations", f"Google Workspace add-on (HTTP deployment `linekeeper`), Chat app; for {named}"),
        ("Chat app: app URL", f"{base_url}{DOOR}"),
        ("Chat app: commands", ", ".join(f"{number} `{text}`" for number, text in hosts.COMMANDS.items())),
        ("Cross-Account Protection: receiver", f"{base_url}/webhooks/google/risc"),
        ("Icons", ", ".join(f"{base_url}/console/static/logo-{size}.png" for size in (128, 96, 48, 32))),
        ("OAuth scopes", "exactly those of scopes.md, here, on the consent screen and in deployment.json"),
    ]
    if mailbox:
        rows.append(("Security assessment", "needed every year: one scope is restricted"))
    body = "\n".join(f"| {field} | {value} |" for field, value in rows)
    return f"# Marketplace SDK and consent screen\n\n| field | value |\n| --- | --- |\n{body}\n"


def justification(*, mailbox: bool = False) -> str:
    """Each scope with its class and why nothing narrower would do: what the verification form asks for."""
    rows = facts(scopes(mailbox=mailbox))
    body = "\n".join(f"| `{one.name}` | {one.level} | {one.because} | {one.narrower} |" for one in rows)
    head = "| scope | class | why it is needed | why nothing narrower would do |\n| --- | --- | --- | --- |"
    return f"# Scopes and their justification\n\n{head}\n{body}\n"


def faults() -> Iterator[str]:
    """Say what the Marketplace or its reviewers would refuse."""
    long = long_text()
    if not 0 < len(NAME) <= MOST_NAME_CHARACTERS or MARKS.search(NAME):
        yield "The application's name is too long, or holds somebody else's trademark."
    if not 0 < len(SHORT) <= MOST_SHORT_CHARACTERS:
        yield f"The short description has {len(SHORT)} characters; {MOST_SHORT_CHARACTERS} are allowed."
    if not 0 < len(long) <= MOST_LONG_CHARACTERS:
        yield f"The detailed description has {len(long)} characters; {MOST_LONG_CHARACTERS} are allowed."


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
