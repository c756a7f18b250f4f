"""Goal: docs/answers.md shows the first screens of a terminal of 24 lines of 80 columns as they are, and pages begin alike.

Method: the page's commands are typed into a terminal of that size; what is not printed (figures, indices, the second look at
each world) is left out.
"""

from __future__ import annotations

import html
import io
import re
from functools import partial
from pathlib import Path

import pytest
from fit_logs import Backend, relay_log

from relaysim.reports import comparison_figures, figures, fit_figures, sweep_figures, tune_figures
from relaysim.scenarios.cli import main
from relaysim.scenarios.determinism import recheck
from relaysim.scenarios.tune import sensitivity
from tests.docs.page_links import ROOT
from tests.sim.doors.server.console_page import Example, examples_of

COLUMNS, LINES = 80, 24
COMMANDS = ("verify", "verify --factory", "compare", "tune", "sweep", "explore", "fit")
PAGE = ROOT / "docs" / "answers.md"
EXAMPLES = examples_of(PAGE)
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """A terminal, whose size stands in the environment."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _at_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("COLUMNS", COLUMNS), ("LINES", LINES), ("TERM", "xterm")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(recheck, "SEEDS", 0)
    for module, name in (
        (figures, "draw_all"),
        (comparison_figures, "draw_comparison"),
        (sweep_figures, "draw_sweep"),
        (fit_figures, "draw_fit"),
        (tune_figures, "draw_tuning"),
    ):
        monkeypatch.setattr(module, name, lambda _: {})
    monkeypatch.setattr(sensitivity, "indices", partial(sensitivity.indices, points=2**6))
    Path("relay.log").write_text(relay_log(Backend(0.62, 1.05), 400, 3), encoding="utf-8")


def shown(example: Example, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a terminal shows of a command, without its colours."""
    terminal = Terminal()
    arguments = example.arguments
    assert arguments is not None
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", terminal)
        main(arguments)
    return _STYLE.sub("", terminal.getvalue())


def kind_of(example: Example) -> str:
    arguments = example.arguments or [""]
    return "verify --factory" if "--factory" in arguments else arguments[0]


def test_each_command_has_a_screen() -> None:
    assert tuple(kind_of(each) for each in EXAMPLES) == COMMANDS


def test_each_screen_says_in_one_line_what_its_reader_can_do() -> None:
    sections = PAGE.read_text(encoding="utf-8").split("\n### ")[1:]
    assert [each.split("\n")[0].strip("`") for each in sections] == ["make incident", *COMMANDS]
    for each in sections:
        assert each.split("\n")[2].startswith("With this screen alone: ")
        assert each.split("\n")[3] == ""


def test_the_incidents_screen_fits_a_terminal() -> None:
    """It takes minutes, so that it is not typed here."""
    (block,) = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = block.splitlines()
    assert len(lines) < LINES
    assert all(len(line) <= COLUMNS for line in lines)


@pytest.mark.parametrize("example", EXAMPLES, ids=kind_of)
def test_a_screen_is_what_a_terminal_shows_and_its_page_begins_alike(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = shown(example, monkeypatch)
    assert example.matches(printed.rstrip("\n")), printed
    screen = example.expected.removesuffix("\n...").splitlines()
    rows = [
        each for line in screen for each in (line[at : at + COLUMNS] for at in range(0, max(1, len(line)), COLUMNS))
    ]
    assert len(rows) < LINES
    assert [line for line in screen if len(line) > COLUMNS] == [
        line for line in screen if len(line) > COLUMNS and line.startswith("    relaysim ")
    ]
    assert any(line.startswith("Do: ") for line in screen)
    (page,) = [Path("out/index.html"), *Path("out").glob("*-*.html")][-1:]
    plain = html.unescape(page.read_text(encoding="utf-8")).replace("\u00a0", " ")
    (title,) = re.findall(r"<h1[^>]*>(.*?)</h1>", plain)
    assert " ".join(" ".join(screen).split()).startswith(title)
    advice = " ".join(" ".join(screen[next(at for at, line in enumerate(screen) if line.startswith("Do: ")) :]).split())
    head = re.sub(r"<[^>]+>", " ", plain[: plain.index("<main>")])
    first = re.split(r"[.:] ", advice.removeprefix("Do: "))[0]
    assert first in " ".join(head.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_it_is_said_what_a_reader_of_each_screen_can_do(name: str) -> None:
    part = PAGE.read_text(encoding="utf-8").partition(f"\n### `{name}`")[2].partition("\n### ")[0]
    sentence = re.search(r"^With this screen alone: (.+?)\n\n", part, re.DOTALL | re.MULTILINE)
    assert sentence
    assert len(sentence[1]) > 60
