"""Every card as a person sees it: drawn by the hosts' understudy in a real browser, as wide as a telephone."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver

from sandbox import cards
from tests.google_stage import running

QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
PHONE = (412, 900)
WIDER = """
    const sticks = e => e.scrollWidth > e.clientWidth + 1;
    const shows = style => style.overflow != 'hidden' && style.display != 'inline';
    return [...document.querySelectorAll('figure *')].filter(e => sticks(e) && shows(getComputedStyle(e)))
        .map(e => e.textContent)
"""


@pytest.mark.needs("chromium", "chromium-driver")
def test_every_card_fits_a_telephone(tmp_path: Path) -> None:
    """From the left in English, from the right in Arabic: nothing sticks out, no markup of people's acts."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in (*QUIET, f"--user-data-dir={tmp_path}"):
        options.add_argument(argument)
    with running() as stage:
        stage.fresh()
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        try:
            browser.set_window_size(*PHONE)
            for language, direction in (("en", "ltr"), ("ar", "rtl")):
                stage.delete("addon/answers")
                cards.show(stage.post, language)
                browser.get(f"{stage.origin}/_stage/addon/cards?dir={direction}")
                assert len(cards.pages(cards.words())) == len(browser.find_elements("css selector", "figure"))
                assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
                assert [] == browser.execute_script(WIDER)
                assert "&lt;b&gt;Elsewhere&lt;/b&gt;" in browser.page_source
        finally:
            browser.quit()
