"""Goal: in the chat page of `relaysim demo` messages are answered, each once, also where a copy is killed in between;
everybody can read and use it; nothing of it comes from elsewhere.

Method: the command itself, its page opened in Chromium, with typed messages and pressed buttons (`make browser`). Any error
of the page's scripts, and whatever its policy forbids, fails each test.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

PATIENCE_MS = 60_000
WIDE, NARROW = 1400, 400


@pytest.fixture
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "relaysim.scenarios", "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        try:
            yield demo.stdout.readline().split()[-1]
        finally:
            demo.terminate()
            assert demo.wait(30) == 0


class Chat:
    """A page that is open, and what went wrong in it."""

    def __init__(self, browser: Browser, address: str, width: int = WIDE, **options: Any) -> None:
        self.page: Page = browser.new_context(viewport={"width": width, "height": 900}, **options).new_page()
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.page.get_by_role("textbox", name="Write as Ana").wait_for()
        expect(self.page.get_by_text("Copy 1: ready")).to_be_visible()

    def write(self, name: str, text: str) -> None:
        """Type a message, and send it by the keyboard."""
        field = self.page.get_by_role("textbox", name=f"Write as {name}")
        field.fill(text)
        field.press("Enter")

    def press(self, name: str) -> None:
        """Press a button of the panel."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def expect_count(self, words: str) -> None:
        """What the panel says of all messages."""
        expect(self.page.locator("#counts")).to_have_text(words, timeout=PATIENCE_MS)

    def log(self, name: str) -> str:
        """What stands in a customer's chat."""
        return self.page.get_by_role("log", name=f"Messages of {name}").inner_text()

    def answers(self, name: str) -> list[str]:
        """The texts that a customer got."""
        return re.findall(r"I have read .*\(run \w+\)", self.log(name))


@pytest.fixture
def chat(browser: Browser, address: str) -> Iterator[Chat]:
    chat = Chat(browser, address)
    yield chat
    assert chat.wrong == []
    assert [each for each in chat.asked if not each.startswith(address)] == []
    chat.page.context.close()


def test_two_messages_within_a_second_are_answered_once_each(chat: Chat) -> None:
    chat.write("Ana", "Is my order on its way?")
    chat.write("Ana", "It was number 12")
    chat.write("Bruno", "Good morning")
    chat.expect_count("3 messages written, 3 answered.")
    answers = chat.answers("Ana")
    for text in ("Is my order on its way?", "It was number 12"):
        assert sum(f"“{text}”" in each for each in answers) == 1
    assert len(chat.answers("Bruno")) == 1
    assert chat.answers("Clara") == []
    assert len(re.findall("✓✓ answered", chat.log("Ana"))) == 2
    assert sum(map(int, re.findall(r"answers (\d) message", chat.log("Ana")))) == 2
    expect(chat.page.locator("#runs td.state.completed")).to_have_count(len(answers) + 1)


def test_a_copy_that_is_killed_in_between_loses_nothing(chat: Chat) -> None:
    chat.write("Ana", "first")
    chat.write("Ana", "second")
    chat.write("Clara", "and I")
    expect(chat.page.locator("#runs").get_by_text("in progress").first).to_be_visible(timeout=PATIENCE_MS)
    chat.press("Kill copy 1")
    expect(chat.page.get_by_text("Copy 1: killed")).to_be_visible()
    chat.write("Ana", "third")
    expect(chat.page.get_by_text("Copy 1: ready")).to_be_visible(timeout=PATIENCE_MS)
    chat.press("Kill copy 2")
    chat.write("Ana", "fourth")
    chat.expect_count("5 messages written, 5 answered.")
    expect(chat.page.locator("#lines").get_by_text("Copy 2 is killed (SIGKILL)")).to_be_visible()


def test_what_else_goes_wrong_loses_nothing_either(chat: Chat) -> None:
    for button in ("Next run stuck", "Next webhook twice"):
        chat.press(button)
        pressed = chat.page.get_by_role("button", name=button)
        expect(pressed).to_have_attribute("aria-pressed", "true")
    chat.write("Bruno", "twice and stuck")
    expect(chat.page.locator("#lines").get_by_text("comes again")).to_be_visible(timeout=PATIENCE_MS)
    expect(chat.page.locator("#runs").get_by_text("in progress, stuck")).to_be_visible(timeout=PATIENCE_MS)
    chat.press("Redis away for 5 s")
    expect(chat.page.get_by_text("Redis: away")).to_be_visible()
    chat.write("Clara", "while Redis is away")
    expect(chat.page.get_by_text("Redis: there")).to_be_visible(timeout=PATIENCE_MS)
    chat.expect_count("2 messages written, 2 answered.")
    expect(chat.page.locator("#lines").get_by_text("has not acknowledged “while Redis is away”").first).to_be_attached()


def test_the_fix_answers_in_its_place_and_forgets_what_it_had(chat: Chat) -> None:
    chat.page.get_by_role("radio", name="The incident’s fix").check()
    expect(chat.page.locator("#relay-title")).to_have_text("the incident's fix, cancel-and-retry")
    expect(chat.page.locator("#copies .ready")).to_have_count(3, timeout=PATIENCE_MS)
    chat.write("Ana", "answered by the fix")
    chat.expect_count("1 message written, 1 answered.")
    chat.write("Ana", "forgotten")
    expect(chat.page.locator("#runs").get_by_text("in progress").first).to_be_visible(timeout=PATIENCE_MS)
    for copy in (1, 2):
        chat.press(f"Kill copy {copy}")
    expect(chat.page.locator("#copies .ready")).to_have_count(3, timeout=PATIENCE_MS)
    chat.page.wait_for_timeout(8_000)  # longer than a run takes
    chat.expect_count("2 messages written, 1 answered.")


def test_markup_is_shown_as_it_was_written(chat: Chat) -> None:
    text = "<img src=x onerror=alert(1)> & <b>bold</b>"
    chat.write("Clara", text)
    chat.expect_count("1 message written, 1 answered.")
    assert chat.log("Clara").count(text) == 2, "the message, and the answer that quotes it"


def test_everybody_can_read_it(browser: Browser, address: str) -> None:
    for turn, (width, scheme) in enumerate((width, scheme) for width in (WIDE, NARROW) for scheme in ("light", "dark")):
        chat = Chat(browser, address, width, color_scheme=scheme, reduced_motion="reduce")
        if turn == 0:
            chat.press("Next webhook twice")
            chat.write("Ana", "Is my order on its way?")
            chat.write("Bruno", "A long word: " + "pneumono" * 30)
            chat.press("Kill copy 2")
            chat.expect_count("2 messages written, 2 answered.")
            expect(chat.page.get_by_text("Copy 2: ready")).to_be_visible(timeout=PATIENCE_MS)
        chat.expect_count("2 messages written, 2 answered.")
        chat.press("Next run stuck")
        found = {each["id"]: each["nodes"][0]["html"] for each in Axe().run(chat.page).response["violations"]}
        assert found == {}, (width, scheme)
        assert chat.page.evaluate("document.documentElement.scrollWidth") <= width
        chat.press("Next run stuck")
        assert chat.wrong == []
        chat.page.context.close()


def test_axe_and_the_console_would_tell(browser: Browser, address: str) -> None:
    chat = Chat(browser, address)
    chat.page.evaluate("document.querySelector('#counts').style.color = '#bbb'")
    assert "color-contrast" in {each["id"] for each in Axe().run(chat.page).response["violations"]}
    chat.page.evaluate("fetch('http://127.0.0.1:9/x').catch(() => null)")
    chat.page.evaluate("setTimeout(() => { throw new Error('a script fails') })")
    chat.page.wait_for_timeout(300)
    assert any("a script fails" in each for each in chat.wrong)
    assert any("Content Security Policy" in each for each in chat.wrong), "a request elsewhere is refused by the policy"
    chat.page.context.close()
