"""Where Zoho frames pages of ours: the hosts its CRM is shown at, and the script that says which record is open.

A widget hosted by ourselves is framed by the CRM itself; CRM Plus and Zoho One frame the CRM in turn, and every frame
above a page has to be named. Which record is open only Zoho's own script says (PageLoad, with Entity and EntityId):
https://www.zoho.com/developer/help/extensions/buildingwidgets.html, https://github.com/zoho/embeddedApp-js-sdk
That no other host frames widgets is not confirmed; one that does shows an empty frame, never the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from integrations.zoho.datacentres import ACCOUNTS, api_of, crm_web, is_loopback, origin

APPS = ("crm", "crmplus", "one")


def framed_by(web: str) -> tuple[str, ...]:
    """Who may frame pages of a tenant: Zoho, in the data centre its CRM (at the address `web`) lives in."""
    if not web:
        return ()
    if is_loopback(web):
        return (origin(web),)
    host = urlsplit(web).hostname or ""
    return tuple(f"https://{app}.{host.partition('.')[2]}" for app in APPS)


def framed_by_any(serverinfo_url: str) -> tuple[str, ...]:
    """Who may frame a page that holds nothing of a tenant yet: Zoho, in any data centre."""
    first = origin(serverinfo_url)
    if is_loopback(first):  # a stage: its data centres are ports of this machine
        return (f"http://{urlsplit(first).hostname}:*",)
    return tuple(_once(host for home in ACCOUNTS.values() for host in framed_by(crm_web(api_of(home)))))


def _once(hosts: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(hosts)
