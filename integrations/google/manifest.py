"""What Google Workspace reads of us: the add-on's deployment, and what is wrong with one.

One address answers every host (`hosts.HOSTS`); Meet shows a page of ours; Chat is configured on a page of the Cloud
console. Fields and limits:
https://developers.google.com/workspace/add-ons/reference/rest/v1/projects.deployments
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from integrations.google import hosts
from integrations.google.provider import FEATURES, SIGN_IN
from integrations.google.scopes import AUTH, SCOPES

NAME = "Linekeeper"
DOOR = "/addon/google"
PANEL = "/console/meet"
LOGO = "/console/static/logo-128.png"
MOST_NAME_CHARACTERS = 50
MARKS = re.compile(r"\b(google|gmail|workspace|zoho)\b", re.IGNORECASE)
LOCALE = AUTH + "script.locale"
NEEDED = {  # what a part of the manifest cannot do without (concepts/workspace-manifests)
    "gmail": {AUTH + "gmail.addons.execute"},
    "composeTrigger": {AUTH + "gmail.addons.current.action.compose"},
    "calendar": {AUTH + "calendar.addons.execute"},
    "drive": {AUTH + "drive.addons.metadata.readonly"},
    "docs": {AUTH + "drive.file"},
    "sheets": {AUTH + "drive.file"},
    "slides": {AUTH + "drive.file"},
    "meet": set(),  # a page of ours in a frame: it asks Google for nothing
    "useLocaleFromApp": {LOCALE},
}
EDITOR = frozenset({"homepageTrigger", "onFileScopeGrantedTrigger"})
HOST_FIELDS: Mapping[str, frozenset[str]] = {
    "gmail": frozenset({"homepageTrigger", "contextualTriggers", "universalActions", "composeTrigger"}),
    "calendar": frozenset({"homepageTrigger", "eventOpenTrigger", "eventUpdateTrigger", "currentEventAccess"}),
    "drive": frozenset({"homepageTrigger", "onItemsSelectedTrigger"}),
    "docs": EDITOR,
    "sheets": EDITOR,
    "slides": EDITOR,
    "meet": frozenset({"homepageTrigger", "web", "supportsCollaboration", "termsUri"}),
}
COMMON_FIELDS = {
    *("name", "logoUrl", "layoutProperties", "useLocaleFromApp", "homepageTrigger", "universalActions"),
    *("openLinkUrlPrefixes", "addOnWidgetSet"),
}


def scopes(*, mailbox: bool = False) -> tuple[str, ...]:
    """Every scope the application asks for: in the manifest, the Marketplace's configuration and the consent screen the
    same. `mailbox`: also the restricted ones, which need Google's yearly security assessment."""
    restricted = {one.name for one in SCOPES if one.level == "restricted"}
    offered = [one for one in FEATURES if not one.by_name]
    asked = {scope for one in (*offered, *hosts.FEATURES) for scope in one.scopes} | set(SIGN_IN)
    return tuple(sorted(asked if mailbox else asked - restricted))


def deployment(base_url: str, *, mailbox: bool = False) -> dict[str, Any]:
    """The deployment resource: `gcloud workspace-add-ons deployments create linekeeper --deployment-file=...`."""
    door = f"{base_url}{DOOR}"
    common = {
        "name": NAME,
        "logoUrl": f"{base_url}{LOGO}",
        "layoutProperties": {"primaryColor": "#0b6e5f"},
        "useLocaleFromApp": True,
        "homepageTrigger": {"runFunction": door},
        "openLinkUrlPrefixes": [f"{base_url}/"],
    }
    add_ons: dict[str, Any] = {"common": common}
    add_ons |= {host.slug: _host(host, door) for host in hosts.HOSTS if host.triggers}
    panel = {"sidePanelUrl": f"{base_url}{PANEL}", "addOnOrigins": [base_url], "openState": "SIDE_PANEL_ONLY"}
    logos = {"logoUrl": f"{base_url}{LOGO}", "darkModeLogoUrl": f"{base_url}{LOGO}"}
    add_ons["meet"] = {"web": panel | logos}
    options = {"authorizationHeader": "SYSTEM_ID_TOKEN", "granularOauthPermissionSupport": "OPT_IN"}
    return {"oauthScopes": list(scopes(mailbox=mailbox)), "addOns": {**add_ons, "httpOptions": options}}


def _host(host: hosts.Host, door: str) -> dict[str, Any]:
    """One host's part, each trigger in the shape it has there."""
    part: dict[str, Any] = {}
    for trigger, on in host.triggers:
        address = f"{door}?on={on}" if on else door
        if trigger == "contextualTriggers":
            part[trigger] = [{"unconditional": {}, "onTriggerFunction": address}]
        elif trigger == "composeTrigger":
            part[trigger] = {"actions": [{"label": "Insert a call", "runFunction": address}], "draftAccess": "NONE"}
        else:
            part[trigger] = {"runFunction": address}
    return part | ({"currentEventAccess": "READ"} if host.slug == "calendar" else {})


# ---- what is wrong with one -----------------------------------------------------------------------------------------


def faults(document: Mapping[str, Any]) -> Iterator[str]:
    """Say, in a sentence each, what Google or its reviewers would refuse, or the cards cannot work with."""
    asked, add_ons = set(document.get("oauthScopes") or ()), document.get("addOns")
    if not isinstance(add_ons, Mapping) or not isinstance(add_ons.get("common"), Mapping):
        yield "The deployment has no addOns.common."
        return
    common = add_ons["common"]
    yield from _named(common)
    yield from (f"addOns.common has no field {name}." for name in sorted(common.keys() - COMMON_FIELDS))
    for prefix in common.get("openLinkUrlPrefixes", ()):
        if urlsplit(prefix).scheme != "https":
            yield f"openLinkUrlPrefixes holds {prefix}, which is not https."
    if common.get("useLocaleFromApp"):
        yield from _scopes("useLocaleFromApp", asked)
    for slug, part in add_ons.items():
        if slug in ("common", "httpOptions"):
            continue
        if slug not in HOST_FIELDS:
            yield f"addOns has no host {slug}: Chat is configured on its own page."
            continue
        yield from (f"addOns.{slug} has no field {name}." for name in sorted(part.keys() - HOST_FIELDS[slug]))
        yield from _scopes(slug, asked)
        if "composeTrigger" in part:
            yield from _scopes("composeTrigger", asked)
    doors = {urlsplit(address)._replace(query="").geturl() for address in _addresses(add_ons)}
    if len(doors) != 1:
        yield f"Every trigger leads to one address; these are {len(doors)}."
    yield from (f"{door} is not a full https address." for door in sorted(doors) if urlsplit(door).scheme != "https")
    if add_ons.get("httpOptions", {}).get("granularOauthPermissionSupport") != "OPT_IN":
        yield "granularOauthPermissionSupport has to be OPT_IN: every HTTP add-on must live with unticked permissions."


def _named(common: Mapping[str, Any]) -> Iterator[str]:
    name, logo = str(common.get("name", "")), str(common.get("logoUrl", ""))
    if not 0 < len(name) <= MOST_NAME_CHARACTERS:
        yield f"The name has {len(name)} characters; 1 to {MOST_NAME_CHARACTERS} are allowed."
    if MARKS.search(name):
        yield "The name holds somebody else's trademark."
    if urlsplit(logo).scheme != "https" or logo.endswith(".svg"):
        yield "The logo needs an https address, and is no SVG."


def _scopes(what: str, asked: set[str]) -> Iterator[str]:
    yield from (f"{what} needs the scope {one}, which oauthScopes leaves out." for one in sorted(NEEDED[what] - asked))


def _addresses(value: Any) -> Iterator[str]:
    """Every address something is answered from, however deep."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name in ("runFunction", "onTriggerFunction"):
                yield str(inner)
            else:
                yield from _addresses(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _addresses(inner)
