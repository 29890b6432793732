"""Acts 1 to 3: two companies install, Alice connects Google and unticks a box, both connect their phone systems."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from sandbox import cast
from sandbox.browser import Browser, Page
from sandbox.cast import ALICE_LTD, NEXT_DOOR, Company
from sandbox.scene import Amiss, Scene, expect, people_known

SEND_SCOPE = "https://www.googleapis.com/auth/gmail.send"
SEND_OFF = "Writing to a caller opens your own mail program instead."
DISCONNECT = r"/console/connections/[0-9a-f-]{36}/disconnect"
HELD_SECONDS = 30  # at most; the phone system is let go as soon as its accounts are open


def install(scene: Scene) -> Iterator[str]:
    """Follow the marketplace's install link and consent: the organisation is a tenant."""
    both = ((scene.alice, ALICE_LTD), (scene.charlie, NEXT_DOOR))
    for browser, company in both:
        asked = browser.get("/install/zoho")
        _arrived(asked, scene.house.stage["zoho-us"], "Zoho's consent page")
        answered = browser.submit(asked, asked.form("user"), ("user", company.admin))
        back = next((url for url in answered.way if "/oauth/zoho/callback" in url), "")
        told = parse_qs(urlsplit(back).query)
        home = scene.house.stage[f"zoho-{company.dc}"]
        expect(told.get("location") == [company.dc], f"Zoho did not send {company.admin} back with location")
        expect(told.get("accounts-server") == [home], "the redirect named another accounts server than the tenant's")
        _arrived(answered, scene.house.origin, "the console")
        _signed_in(answered, company)
        living = scene.zoho.get("tokens", org=company.org)
        expect(living["refresh"] >= 1, f"Zoho holds no refresh token of {company.name}")
    homes = " and ".join(f"{company.name} ({company.dc})" for _, company in both)
    yield f"{homes}: consent asked in us, the way back names each one's data centre"


def connect_google(scene: Scene) -> Iterator[str]:
    """Ask for three features at Google, untick the scope of one."""
    wish = scene.alice.get("/console/connections/google")
    form = wish.form("features")
    form.tick("features", ["contacts", "mailbox", "send-mail"])
    asked = scene.alice.submit(wish, form)
    _arrived(asked, scene.house.stage["google"], "Google's consent page")
    query = parse_qs(urlsplit(asked.url).query)
    expect(query.get("code_challenge_method") == ["S256"] and query.get("code_challenge"), "consent without PKCE")
    consent = asked.form("scope")
    scopes = consent.ticked("scope")
    expect(SEND_SCOPE in scopes, "Google was not asked for gmail.send")
    kept = [scope for scope in scopes if scope != SEND_SCOPE]
    consent.tick("user", [cast.ALICE])
    consent.tick("scope", kept)
    answered = scene.alice.submit(asked, consent)
    _arrived(answered, scene.house.origin, "the console")
    yield f"consent with PKCE (S256); of {len(scopes)} permissions she unticks one, gmail.send"
    page = scene.alice.get("/console/connections")
    expect(page.says(SEND_OFF), "the console does not say what is missing without gmail.send")
    scene.noted["google"] = _tie(scene.alice, "Google")
    on, off = _features(page, scene.noted["google"])
    missing = [
        "other-contacts",
        "directory",
        "send-mail",
        "label-mail",
        "sheet",
        "busy",
    ]  # only send-mail was asked for
    expect(off == missing, f"off should be {' and '.join(missing)}, not {', '.join(off) or 'nothing'}")
    expect(on == ["contacts", "mailbox"], f"on should be contacts and mailbox, not {', '.join(on) or 'nothing'}")
    yield f"sending is off (“{SEND_OFF}”), the rest is on"


def connect_phones(scene: Scene) -> Iterator[str]:
    """Give each company a door and a secret; the phone system learns both."""
    # The platform's accounts can only be opened when the doors are known, and our phonebook starts at once: it waits.
    scene.pbx.post("faults", match="PUT /contacts", action="slow", seconds=HELD_SECONDS, times=100)
    try:
        for browser, company in ((scene.alice, ALICE_LTD), (scene.charlie, NEXT_DOOR)):
            door = phone(scene, browser, company)
            cast.open_phone_account(scene.pbx, company, door.url, door.secret)
    finally:
        scene.pbx.delete("faults")
    again = scene.alice.get("/console/connections")
    expect("whsec_" not in again.body, "the secret can be read a second time")
    scene.noted["phone"] = _tie(scene.alice, "elephone")
    theirs = [scene.noted["google"], scene.noted["phone"]]
    seen = [scene.charlie.get(address).status for address in theirs]
    expect(seen == [404, 404], f"Charlie opened Alice's connections and got {seen}")
    yield "vendor “standard”: a door and a secret each, shown once; Charlie opens Alice's connections: 404, 404"


@dataclass(frozen=True, slots=True)
class Door:
    """What the console showed once: where a phone system reports to, and what it signs with."""

    url: str
    secret: str


def phone(scene: Scene, browser: Browser, company: Company) -> Door:
    """Connect a company's phone system in the console."""
    page = browser.get("/console/connections/phone/standard")
    form = page.form("base_url")
    form.fill(base_url=scene.house.stage["pbx"], api_key=company.pbx_key)
    shown = browser.submit(page, form)
    door = re.search(rf"{re.escape(scene.house.origin)}/webhooks/telephony/[\w-]+", shown.text)
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", shown.text)
    if door is None or secret is None:
        raise Amiss(f"the console showed {company.name} no door and secret: {shown.text[:200]}")
    return Door(door[0], secret[0])


def move_in(scene: Scene, people: Mapping[str, int]) -> dict[str, Door]:
    """Install for both companies, connect their phones, wait until so many people of each can be recognised."""
    for _ in install(scene):
        pass
    doors = {}
    for browser, company in ((scene.alice, ALICE_LTD), (scene.charlie, NEXT_DOOR)):
        doors[company.org] = phone(scene, browser, company)
        while people_known(browser.get("/console/")) < people[company.org]:
            expect(not scene.stop.wait(0.2), "the story was stopped")
    return doors


def sign_in(browser: Browser, email: str) -> Page:
    """Sign in with Zoho."""
    asked = browser.get("/console/sign-in/zoho")
    return browser.submit(asked, asked.form("user"), ("user", email))


def _arrived(page: Page, origin: str, where: str) -> None:
    expect(
        page.status == 200 and page.url.startswith(origin),
        f"{where} was expected; {urlsplit(page.url).path} answered {page.status}: {page.text[:200]}",
    )


def _signed_in(page: Page, company: Company) -> None:
    expect("/console/connections" in page.url, f"{company.admin} was not let into the console")
    expect(page.links_to(DISCONNECT), f"the console shows {company.name} no connection")


def _tie(browser: Browser, title: str) -> str:
    """The address of the page that ends the connection of that name."""
    for address in browser.get("/console/connections").links_to(DISCONNECT):
        if re.search(rf"Disconnect [^?]*{title}[^?]*\?", browser.get(address).text):
            return address
    expect(False, f"the console shows no connection called {title}")
    return ""


def _features(page: Page, tie: str) -> tuple[list[str], list[str]]:
    """Which features of a connection the console shows on, and which off."""
    form = page.form("features", action=tie.removesuffix("/disconnect").rpartition("/")[2])
    boxes = [control for control in form.controls if control.name == "features"]
    on = [control.value for control in boxes if control.kind == "hidden"]
    return on, [control.value for control in boxes if control.kind == "checkbox"]
