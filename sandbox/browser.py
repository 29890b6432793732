"""A small browser: cookies, redirects from one site to another, forms as a person fills them in. No scripts.

Cookies do not know ports (RFC 6265, 8.5), so one jar serves the product and the whole stage, as it would in life.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

SECONDS = 30
SILENT = frozenset({"script", "style", "template", "title"})
BUTTONS = frozenset({"submit", "button", "image", "reset"})


class NoSuchThing(Exception):
    """The page lacks what somebody wanted to click on or fill in."""


@dataclass(slots=True)
class Control:
    """A field or a button of a form."""

    kind: str
    name: str
    value: str
    on: bool = True  # boxes and radio buttons: ticked
    text: str = ""


@dataclass(slots=True)
class Form:
    """A form and what would be sent now."""

    action: str
    method: str
    controls: list[Control] = field(default_factory=list)

    def has(self, name: str) -> bool:
        return any(control.name == name for control in self.controls)

    def fill(self, **values: str) -> None:
        """Type into fields."""
        for name, value in values.items():
            found = [control for control in self.controls if control.name == name]
            if not found:
                raise NoSuchThing(f"the form has no field {name!r}")
            found[0].value = value

    def tick(self, name: str, values: Collection[str]) -> None:
        """Tick exactly these boxes (or choose this radio button) of those called `name`."""
        boxes = [control for control in self.controls if control.name == name and control.kind in ("checkbox", "radio")]
        if missing := set(values) - {box.value for box in boxes}:
            raise NoSuchThing(f"the form has no box {name!r} for {', '.join(sorted(missing))}")
        for box in boxes:
            box.on = box.value in values

    def ticked(self, name: str) -> list[str]:
        """What is ticked now."""
        return [control.value for control in self.controls if control.name == name and control.on]

    def sent(self, button: tuple[str, str] | None) -> list[tuple[str, str]]:
        """What goes over the wire when it is submitted with that button."""
        if button and not any((c.name, c.value) == button for c in self.controls if c.kind in BUTTONS):
            raise NoSuchThing(f"the form has no button {button[1]!r}")
        fields = [(c.name, c.value) for c in self.controls if c.name and c.on and c.kind not in BUTTONS]
        return fields + ([button] if button else [])


class Page(HTMLParser):
    """A page as it was answered: its status, what it says, its links and forms."""

    def __init__(self, url: str, status: int, body: str, way: list[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.url, self.status, self.body = url, status, body
        self.way = way  # every address on the way here, this one included
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._words: list[str] = []
        self._silent: list[str] = []
        self._form: Form | None = None
        self._choice: Control | None = None  # the select or button that is open
        self.feed(body)
        self.close()
        self.text = " ".join("".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self._words.append(" ")
        if tag in SILENT:
            self._silent.append(tag)
        elif tag == "a" and "href" in told:
            self.links.append(urljoin(self.url, told["href"]))
        elif tag == "form":
            action = urljoin(self.url, told.get("action") or self.url)
            self._form = Form(action, told.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form is not None:
            self._control(self._form, tag, told)

    def _control(self, form: Form, tag: str, told: Mapping[str, str]) -> None:
        name, value = told.get("name", ""), told.get("value", "")
        if tag == "input":
            kind = told.get("type", "text").lower()
            box = kind in ("checkbox", "radio")
            form.controls.append(Control(kind, name, value or ("on" if box else ""), not box or "checked" in told))
        elif tag in ("button", "select", "textarea"):
            kind = told.get("type", "submit") if tag == "button" else tag
            self._choice = Control(kind, name, value)
            form.controls.append(self._choice)
        elif (
            tag == "option" and self._choice is not None and ("selected" in told or not self._choice.value)
        ):  # the first, unless another is marked
            self._choice.value = value

    def handle_endtag(self, tag: str) -> None:
        self._words.append(" ")
        if self._silent and self._silent[-1] == tag:
            self._silent.pop()
        elif tag == "form":
            self._form = None
        elif tag in ("button", "select", "textarea"):
            self._choice = None

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._choice is not None and self._choice.kind == "textarea":
            self._choice.value += data
        self._words.append(data)

    def says(self, words: str) -> bool:
        """Does somebody who looks at the page read these words?"""
        return words in self.text

    def form(self, having: str = "", action: str = "") -> Form:
        """The first form with that field whose address holds that text."""
        for form in self.forms:
            if (not having or form.has(having)) and action in form.action:
                return form
        raise NoSuchThing(f"{urlsplit(self.url).path} has no form {having or action or 'at all'!r}")

    def links_to(self, pattern: str) -> list[str]:
        """Each link whose whole path matches, once."""
        return list(dict.fromkeys(link for link in self.links if re.fullmatch(pattern, urlsplit(link).path)))


class Browser:
    """One person's browser."""

    def __init__(self, home: str) -> None:
        self.home = home
        self._session: Any = requests.Session()
        self._session.trust_env = False  # a proxy of the environment has no business on loopback

    def get(self, address: str, **query: str) -> Page:
        """Open an address, absolute or of the product."""
        return self._page(self._session.get(urljoin(self.home, address), params=query or None, timeout=SECONDS))

    def json(self, address: str) -> Any:
        """Ask for data as a page's script does."""
        answer = self._session.get(urljoin(self.home, address), headers={"Accept": "application/json"}, timeout=SECONDS)
        if answer.status_code != 200:
            raise NoSuchThing(f"{urlsplit(address).path} answered {answer.status_code}")
        return answer.json()

    def submit(self, page: Page, form: Form, button: tuple[str, str] | None = None) -> Page:
        """Send a form of this page."""
        sent = form.sent(button)
        if form.method == "get":
            return self._page(self._session.get(form.action, params=sent, timeout=SECONDS))
        here, there = (urlsplit(address)[:2] for address in (page.url, form.action))
        headers = {"Sec-Fetch-Site": "same-origin" if here == there else "same-site"}
        return self._page(self._session.post(form.action, data=sent, headers=headers, timeout=SECONDS))

    def _page(self, answer: requests.Response) -> Page:
        way = [step.url for step in answer.history] + [answer.url]
        return Page(answer.url, answer.status_code, answer.text, way)


def uuids(addresses: Collection[str]) -> Iterator[str]:
    """The id in each address that holds one."""
    for address in addresses:
        if found := re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", address):
            yield found[0]
