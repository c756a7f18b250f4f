"""Goal: everybody can read the site, finds a word by searching, and no request leaves for elsewhere.

Method: the files that `make site` has built, served from this machine, and opened in Chromium (`make browser`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Request

SITE = Path(__file__).resolve().parents[2] / "site"
PAGES = [
    "",
    "glossary/",
    "commands/",
    "api/",
    "scenarios/",
    "tutorials/on-call/",
    "lock-waits/",
    "serving/",
    "404.html",
]


MODES = [(width, scheme) for width in (1400, 400) for scheme in ("light", "dark")]
#: Pages that axe examines in every mode, and those that take turns: every kind of page, and all that stands on any. All
#: pages in all modes take six minutes.
IN_EVERY_MODE = ["", "404.html", "own-bot/"]
IN_TURN = [
    "lock-waits/",
    "tutorials/researcher/",
    "glossary/",
    "figures/",
    "migrating/",
    "ci/",
    "serving/",
    "exploring/",
]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    assert (SITE / "index.html").is_file(), "`make site` builds it"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Requests(list[str]):
    """Addresses that were asked for."""

    def elsewhere(self, address: str) -> list[str]:
        """Those at another server than this."""
        return [each for each in self if not each.startswith((address, "data:", "blob:"))]


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
def context(browser: Browser, requests: Requests) -> Iterator[BrowserContext]:
    context = browser.new_context()

    def ask(request: Request) -> None:
        requests.append(request.url)

    context.on("request", ask)
    yield context
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_no_request_leaves_and_nothing_fails(
    name: str, address: str, context: BrowserContext, requests: Requests
) -> None:
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    answer = page.goto(address + name, wait_until="networkidle")
    assert answer is not None
    assert answer.ok
    assert len(requests) > 2  # the page's own style sheets and scripts
    assert requests.elsewhere(address) == []
    assert said == []
    assert page.locator("article h1").count() == 1


@pytest.mark.parametrize(("turn", "mode"), list(enumerate(MODES)), ids=str)
def test_axe_finds_nothing_to_mend(turn: int, mode: tuple[int, str], address: str, browser: Browser) -> None:
    width, scheme = mode
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    found = {}
    for name in [*IN_EVERY_MODE, *IN_TURN[turn :: len(MODES)]]:
        page.goto(address + name)
        if violations := Axe().run(page).response["violations"]:
            found[name] = {each["id"]: each["nodes"][0]["html"] for each in violations}
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    page.close()
    assert found == {}


def test_axe_would_find_what_cannot_be_read(address: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(address + "own-bot/")
    page.add_style_tag(content=".md-typeset p { color: #bbb }")
    assert "color-contrast" in {each["id"] for each in Axe().run(page).response["violations"]}
    page.close()


def test_a_request_elsewhere_would_be_seen(address: str, context: BrowserContext, requests: Requests) -> None:
    page = context.new_page()
    page.goto(address)
    page.evaluate("fetch('http://127.0.0.1:9/font.woff2').catch(() => null)")
    assert requests.elsewhere(address) == ["http://127.0.0.1:9/font.woff2"]


@pytest.mark.parametrize(("word", "place"), [("epoch", "glossary/"), ("lane-check", "commands/"), ("drain", "drain/")])
def test_a_word_is_found(word: str, place: str, address: str, context: BrowserContext, requests: Requests) -> None:
    page = context.new_page()
    page.goto(address, wait_until="networkidle")
    page.locator("input.md-search__input").first.click()
    told = page.locator(".md-search-result__meta", has_text="Type to start searching")
    told.wait_for(state="attached", timeout=60_000)  # the index is loaded
    page.keyboard.type(word, delay=50)
    page.locator(f".md-search-result__link[href*='/{place}']").first.wait_for(state="attached", timeout=60_000)
    assert requests.elsewhere(address) == []


def test_a_page_can_be_read_without_scripts(address: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 400, "height": 800})
    page = context.new_page()
    page.goto(address + "glossary/")
    assert "admits one active run" in page.locator("article").inner_text()
    context.close()
