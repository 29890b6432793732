"""Alice clicks through the console in a real browser: install, connect, look around, sign out. No script is blocked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from werkzeug.serving import WSGIRequestHandler, make_server

from app import create_app
from jobs import worker
from jobs.services import Services
from sandbox import cast
from sandbox.stage import Stage, environment
from store.database import TenantId
from store.embedded import Postgres
from tests.house import services

QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
OFFLINE = ("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage")
PATIENCE_SECONDS = 20


class Quiet(WSGIRequestHandler):
    """Keep requests, whose addresses hold codes, out of the test's output."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Product:
    """A Linekeeper whose outside world is the stage."""

    services: Services
    origin: str
    stage: Stage
    others: frozenset[TenantId]  # whom other tests left behind

    def work(self) -> None:
        """What the workers would do, done here and now."""
        for tenant in set(self.services.db.tenants()) - self.others:
            for lane in ("contacts", "calls", "mail", "contacts"):
                worker.visit(self.services, tenant, lane)  # type: ignore[arg-type]  # the lanes there are


@pytest.fixture
def product(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Product]:
    """The web process with the stage around it, on loopback."""
    with Stage() as stage:
        server = make_server("127.0.0.1", 0, Flask("nobody yet"), threaded=True, request_handler=Quiet)
        origin = f"http://127.0.0.1:{server.server_port}"
        told = environment(stage.origins, origin) | {"BASE_URL": origin}
        with services(db_urls, work_url, mail_url, **told) as opened:
            server.app = create_app(opened)
            others = frozenset(opened.db.tenants())
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            cast.set_up(stage.origins, origin)
            yield Product(opened, origin, stage, others)
            server.shutdown()
            thread.join(5)
            server.server_close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """Headless Chromium with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*QUIET, *OFFLINE, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(PATIENCE_SECONDS)
    yield driver
    driver.quit()


class Alice:
    """Somebody who sees pages and clicks on what they say."""

    def __init__(self, browser: webdriver.Chrome, origin: str) -> None:
        self.browser = browser
        self.origin = origin
        self.scripts: list[str] = []

    def opens(self, path: str) -> None:
        self.browser.get(self.origin + path)

    def clicks(self, words: str) -> None:
        """Click the first button or link that can be seen and says so."""
        self._clicks(By.XPATH, f"//button[contains(., {words!r})] | //a[contains(., {words!r})]")

    def presses(self, words: str) -> None:
        """Press the button that says exactly this."""
        self._clicks(By.XPATH, f"//button[normalize-space()={words!r}]")

    def ticks(self, name: str, value: str) -> None:
        self._clicks(By.CSS_SELECTOR, f"input[name='{name}'][value$='{value}']")

    def types(self, name: str, text: str) -> None:
        self.browser.find_element(By.NAME, name).send_keys(text)

    def _clicks(self, by: str, wanted: str) -> None:
        """Click the first of these that can be seen, once it is there: a page may still be on its way."""

        def clicked(page: webdriver.Chrome) -> bool:
            for found in page.find_elements(by, wanted):
                if found.is_displayed():
                    found.click()
                    return True
            return False

        gone = [StaleElementReferenceException]  # the page moved on between looking and clicking
        WebDriverWait(self.browser, PATIENCE_SECONDS, ignored_exceptions=gone).until(clicked, f"{wanted} is not there")

    def sees(self, words: str) -> None:
        """Wait until the page says so."""
        WebDriverWait(self.browser, PATIENCE_SECONDS, ignored_exceptions=()).until(
            lambda page: words in page.find_element(By.TAG_NAME, "body").text,
            f"{words!r} is not on {self.browser.current_url}",
        )


@pytest.mark.needs("chromium", "chromium-driver")
def test_alice_clicks_through_the_console(browser: webdriver.Chrome, product: Product) -> None:
    """From the marketplace's link to signing out, by clicks alone; nothing a page does is refused by its own policy."""
    alice = Alice(browser, product.origin)

    alice.opens("/install/zoho")  # Zoho's consent page, on the stage
    alice.clicks(cast.ALICE)
    alice.sees("Zoho")
    alice.sees("Alice Ltd")

    alice.opens("/console/connections")
    alice.clicks("Connect Google")
    for feature in ("mailbox", "send-mail"):
        alice.ticks("features", feature)
    alice.clicks("Continue at Google")
    alice.ticks("user", cast.ALICE)
    alice.ticks("scope", "gmail.send")  # unticks it
    alice.clicks("Allow")
    alice.sees("Writing to a caller opens your own mail program instead.")

    alice.opens("/console/connections/phone/standard")
    alice.types("base_url", product.stage.origins["pbx"])
    alice.types("api_key", cast.ALICE_LTD.pbx_key)
    alice.presses("Connect")
    alice.sees("whsec_")
    product.work()

    alice.opens("/console/contacts")
    alice.types("q", "zo")
    alice.presses("Find")
    alice.clicks("Zoë")
    alice.sees("Mail")

    for path, words in {
        "/console/": "Zoho",
        "/console/calls": "Calls",
        "/console/holdings": "until",
        "/console/ledger": "consent.given",
        "/console/settings": "Settings",
        "/console/panel": "Panel",
    }.items():
        alice.opens(path)
        alice.sees(words)

    refused = [entry["message"] for entry in browser.get_log("browser") if "Content Security" in entry["message"]]
    assert [] == refused

    alice.clicks("Sign out")
    alice.opens("/console/calls")
    alice.sees("Sign in")
