"""What Zoho's marketplace reads of us: a package for CRM and one for Desk's telephony, and what is wrong with one.

Both are thin: they lead to the console, where consent is asked, and tell our door when they come and go. CRM has that
said by two install actions, which are pasted into Sigma; its widget is typed in there from a sheet. Rules as
`zet validate` 1.0.24 holds them, and
https://www.zoho.com/developer/help/extensions/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import urlsplit

CRM, DESK, ACTIONS = "zoho/crm", "zoho/desk", "zoho/install-actions"
DOOR = "/webhooks/zoho/lifecycle"
SECRET = "ZOHO_LIFECYCLE_SECRET"  # noqa: S105 - stands where the operator writes the setting's value
SHEET = "zoho/widgets.md"
WIDGET = "/widget/zoho"  # `console.widget`
FRAMED_IN = ("Contacts", "Leads")  # the modules whose records show it
FILE_NAME, FOLDER_NAME = re.compile(r"[A-Za-z0-9_.$-]{1,50}"), re.compile(r"[A-Za-z0-9_$-]{1,50}")
PACKED = {"txt", "md", "xml", "jpg", "jpeg", "png", "gif", "svg", "css", "js", "html", "json", "woff", "woff2", "ttf"}
MOST_FILES, MOST_BYTES, MOST_CONFIGS = 250, 5 * 1024 * 1024, 20
DESK_KEYS = {
    "service",
    "locale",
    "storage",
    "modules",
    "connectors",
    "config",
    "whiteListedDomains",
    "cspDomains",
    "type",
    "callbackListener",
    "secret",
}
WIDGET_KEYS = {"name", "location", "url", "logo", "icon"}


def packages(base_url: str, logo: str) -> dict[str, str]:
    """Every file of both packages by its path."""
    widget = {
        "name": "Linekeeper",
        "location": "desk.extension.telephony",
        "url": "/app/telephony.html",
        "logo": "/app/logo.svg",
        "icon": "/app/logo.svg",
    }
    desk = {
        "service": "DESK",
        "locale": ["en"],
        "storage": False,
        "modules": {"widgets": [widget]},
        "connectors": [],
        "config": [],
        "whiteListedDomains": [base_url],
        "callbackListener": dict.fromkeys(("onInstall", "onUpdate", "onUninstall"), f"{base_url}{DOOR}?door={SECRET}"),
        "secret": SECRET,
    }
    return {
        f"{CRM}/plugin-manifest.json": _json({"service": "CRM"}),
        f"{CRM}/app/index.html": _page(
            "Connect your telephone system", f"{base_url}/install/zoho", "Connect Linekeeper"
        ),
        f"{CRM}/app/logo.svg": logo,
        SHEET: _sheet(base_url),
        f"{ACTIONS}/on-installation.dg": _action(base_url, "installed", "On Installation: after every upgrade too"),
        f"{ACTIONS}/on-uninstallation.dg": _action(base_url, "removed", "On Uninstallation"),
        f"{DESK}/plugin-manifest.json": _json(desk),
        f"{DESK}/resources.json": _json({}),
        f"{DESK}/app/translations/en.json": _json({}),
        f"{DESK}/app/telephony.html": _page("Who is on the line", f"{base_url}/console/panel", "Open the panel"),
        f"{DESK}/app/logo.svg": logo,
    }


def faults(files: Mapping[str, str]) -> Iterator[str]:
    """Say what Zoho's packer or its reviewers would refuse of both packages, and of the sheet beside them."""
    if not re.search(rf"\| https://[^ |]+{WIDGET} \|", files.get(SHEET, "")):
        yield f"{SHEET} is missing, or names no https address for the widget."
    for package in (CRM, DESK):
        mine = {
            path.removeprefix(f"{package}/"): text for path, text in files.items() if path.startswith(f"{package}/")
        }
        yield from (f"{package}: {fault}" for fault in _faults(mine))


def _faults(files: Mapping[str, str]) -> Iterator[str]:
    try:
        manifest = json.loads(files.get("plugin-manifest.json", ""))
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        yield "plugin-manifest.json is missing or is no JSON object."
        return
    if len(files) > MOST_FILES:
        yield f"It has {len(files)} files; {MOST_FILES} are allowed."
    if not any(path.startswith("app/") for path in files):
        yield "There is nothing under app/, so nothing would be packed."
    for path, text in files.items():
        *folders, name = path.split("/")
        if not FILE_NAME.fullmatch(name) or not all(map(FOLDER_NAME.fullmatch, folders)):
            yield f"{path} has a name the packer refuses."
        if name.rpartition(".")[2] not in PACKED:
            yield f"{path} is of a kind that is left out of the package without a word."
        if len(text.encode()) > MOST_BYTES:
            yield f"{path} is larger than 5 MB."
        if "<script" in text:
            yield f"{path} runs a script, which our pages do not."
    if manifest.get("service") == "DESK":
        yield from _desk(manifest, files)
    elif manifest != {"service": "CRM"}:
        yield "The manifest of CRM says its service and nothing else: the rest is configured in Sigma."


def _desk(manifest: Mapping[str, Any], files: Mapping[str, str]) -> Iterator[str]:
    yield from (f"The manifest has no key {key}." for key in sorted(manifest.keys() - DESK_KEYS))
    locales = manifest.get("locale")
    if not isinstance(locales, list) or "en" not in locales:
        yield "locale has to hold en."
    else:
        wanted = [f"app/translations/{one}.json" for one in locales]
        yield from (f"{path} is missing." for path in wanted if path not in files)
    if not isinstance(manifest.get("storage"), bool):
        yield "storage has to be true or false."
    for key in ("connectors", "config", "whiteListedDomains"):
        if not isinstance(manifest.get(key), list):
            yield f"{key} has to be a list."
    if len(manifest.get("config") or ()) > MOST_CONFIGS:
        yield f"config holds more than {MOST_CONFIGS} entries."
    callbacks = manifest.get("callbackListener")
    if callbacks is not None and not isinstance(manifest.get("secret"), str):
        yield "A manifest with a callbackListener needs a secret."
    for address in (callbacks or {}).values():
        if urlsplit(str(address)).scheme != "https":
            yield f"callbackListener holds {address}, which is not https."
    for domain in manifest.get("whiteListedDomains") or ():
        if urlsplit(str(domain)).scheme != "https":
            yield f"whiteListedDomains holds {domain}, which is not https."
    for widget in manifest.get("modules", {}).get("widgets", ()):
        if widget.keys() != WIDGET_KEYS:
            yield f"A widget has exactly {', '.join(sorted(WIDGET_KEYS))}."
        for key in ("url", "logo", "icon"):
            if str(widget.get(key, "")).removeprefix("/") not in files:
                yield f"A widget names {widget.get(key)}, which is not in the package."


def _sheet(base_url: str) -> str:
    """What is typed in at Sigma for the widget: a package of CRM holds no manifest."""
    rows = {
        "Component": "Widget (connected app)",
        "Name": "Linekeeper: calls and mail",
        "Type": "Related list",
        "Modules": ", ".join(FRAMED_IN),
        "Hosting": "External",
        "Base URL": f"{base_url}{WIDGET}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""# The widget in Zoho CRM

Typed in at Sigma, beside the package `crm/`. It shows whom a record is, their calls, and the threads of mail the user
may see; it writes nothing. Who looks signs in inside the frame, with a code from the console.

| field | value |
| --- | --- |
{table}
"""


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _action(base_url: str, event: str, note: str) -> str:
    """One install action in Deluge. What the map of an uninstallation holds is not documented: the same is read."""
    lines = [
        f"// Sigma: Install Actions, Extension, {note}",
        "told = Map();",
        f'told.put("event","{event}");',
        *(f'told.put("{name}",input.installParamMap.get("{name}"));' for name in ("organizationId", "isInstall")),
        'told.put("at",zoho.currenttime.toLong());',
        "answer = invokeurl",
        "[",
        f'\turl :"{base_url}{DOOR}"',
        "\ttype :POST",
        "\tparameters:told.toString()",
        f'\theaders:{{"Content-Type":"application/json","X-Linekeeper-Secret":"{SECRET}"}}',
        "];",
    ]
    return "\n".join(lines) + "\n"


def _page(title: str, address: str, press: str) -> str:
    """A page of the package: what it is for, and the way to the console."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Linekeeper</title>
</head>
<body>
<h1>{escape(title)}</h1>
<p><a href="{escape(address)}" target="_blank" rel="noopener noreferrer">{escape(press)}</a></p>
</body>
</html>
"""
