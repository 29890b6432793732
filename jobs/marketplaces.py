"""What the two marketplaces read, rendered from the integrations, and everything that is wrong with it.

Nothing in `manifests/` is edited by hand: a change of a scope, a host or a sentence changes the code, and is rendered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from integrations.google import hosts, listing, manifest
from integrations.google.provider import FEATURES, SIGN_IN
from integrations.google.scopes import SCOPES
from integrations.zoho import manifest as zoho

EXAMPLE = "https://linekeeper.example"  # whose address stands in what is kept with the code
LOGO = Path(__file__).parent.parent / "console" / "static" / "logo.svg"
DEPLOYMENT, SHEET = "google/deployment.json", "google/marketplace.md"


def rendered(base_url: str, *, mailbox: bool = False) -> dict[str, str]:
    """Every file by its path below `manifests/`. `mailbox`: with the restricted scopes of the mailbox tier."""
    return {
        DEPLOYMENT: json.dumps(manifest.deployment(base_url, mailbox=mailbox), indent=2) + "\n",
        "google/scopes.md": listing.justification(mailbox=mailbox),
        SHEET: listing.sheet(base_url, mailbox=mailbox),
        "google/listing.md": listing.listing(),
        **zoho.packages(base_url, LOGO.read_text(encoding="utf-8")),
    }


def read(folder: Path) -> dict[str, str]:
    """The files of a folder as they lie there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def faults(files: Mapping[str, str], base_url: str, *, mailbox: bool = False) -> list[str]:
    """Say what a marketplace would refuse, where scopes differ, and which files are not what the code renders."""
    return [*_scopes(files, mailbox=mailbox), *_limits(files), *_stale(files, rendered(base_url, mailbox=mailbox))]


def _scopes(files: Mapping[str, str], *, mailbox: bool) -> Iterator[str]:
    """Compare what code may ask for, what the consent page offers and what the manifest lists."""
    code = {scope for one in (*FEATURES, *hosts.FEATURES) for scope in one.scopes} | set(SIGN_IN)
    explained = {one.name for one in SCOPES}
    yield from (f"The code asks for {one}, and nobody has justified it." for one in sorted(code - explained))
    yield from (f"{one} is justified, and no code asks for it." for one in sorted(explained - code))
    try:
        listed = set(json.loads(files.get(DEPLOYMENT, ""))["oauthScopes"])
    except (ValueError, KeyError, TypeError):
        yield f"{DEPLOYMENT} is missing, or is no deployment."
        return
    wanted = set(manifest.scopes(mailbox=mailbox))
    yield from (f"The manifest leaves out {one}, which consent asks for." for one in sorted(wanted - listed))
    yield from (f"The manifest lists {one}, which nothing asks for." for one in sorted(listed - wanted))


def _limits(files: Mapping[str, str]) -> Iterator[str]:
    try:
        document = json.loads(files.get(DEPLOYMENT, ""))
    except ValueError:
        document = None
    if isinstance(document, dict):
        yield from manifest.faults(document)
    yield from listing.faults()
    yield from zoho.faults(files)


def _stale(files: Mapping[str, str], fresh: Mapping[str, str]) -> Iterator[str]:
    yield from (f"{path} is missing." for path in sorted(fresh.keys() - files.keys()))
    yield from (f"{path} is nothing we render." for path in sorted(files.keys() - fresh.keys()))
    changed = [path for path in sorted(fresh.keys() & files.keys()) if fresh[path] != files[path]]
    yield from (f"{path} is not what the code renders." for path in changed)
