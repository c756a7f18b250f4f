"""Goal: each example of docs/own-bot.md runs by the command beside it, and is as safe as the page says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from judged_bots import Judge

from relaysim.scenarios.load import load
from relaysim.sim.world import run_world

DOCUMENT = Path(__file__).parents[2] / "docs" / "own-bot.md"
_EXAMPLE = re.compile(r"^```python\n# (\S+)\n(.*?)^```\n\n    relaysim verify ([^\n]*)$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.usefixtures("one_session")


class Example(NamedTuple):
    """A file of the page, and what stands behind `relaysim verify` in its command."""

    file: str
    text: str
    arguments: list[str]


EXAMPLES = [Example(file, text, shlex.split(command)) for file, text, command in _EXAMPLE.findall(DOCUMENT.read_text())]


def test_the_page_has_six_styles_and_one_on_responses() -> None:
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)
def test_the_example_is_safe(judge: Judge, example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(example.file).write_text(example.text)
    scenario, *options = example.arguments
    given = dict(zip(options[::2], options[1::2], strict=True))
    application = given.get("--app") or given["--factory"]
    sets = [given["--set"]] if "--set" in given else []
    sets += [f"api={given['--api']}"] if "--api" in given else []
    judged = judge(application, scenario, worlds=1, provider=given.get("--provider"), sets=sets)
    judged.assert_safe()
    assert (judged.count("messages"), judged.count("runs"), judged.count("failed")) == (6, 6, 0)


@pytest.fixture
def fingerprints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[int]], list[str]]:
    """Runs worlds of the Flask bot, in the order of these seeds."""
    (bot,) = (each for each in EXAMPLES if each.file == "flask_bot.py")
    (tmp_path / bot.file).write_text(bot.text)
    monkeypatch.syspath_prepend(str(tmp_path))
    sets = ['provider={kind="whatsapp"}', "workers=[{count=1}]"]
    scenario = load("rapid_pair", sets, "flask_bot:app", option="--app")
    settings, root_seed = scenario.world_settings(), scenario.root_seed

    def run(seeds: Iterable[int]) -> list[str]:
        return [run_world(settings, root_seed=root_seed, seed=seed).fingerprint for seed in seeds]

    return run


def test_a_few_worlds_of_the_flask_bot_twice(fingerprints: Callable[[Iterable[int]], list[str]]) -> None:
    first = fingerprints(range(3))
    assert fingerprints(range(2, -1, -1)) == first[::-1]
    assert len(set(first)) == 3


@pytest.mark.soak
def test_a_thousand_worlds_of_the_flask_bot_twice(fingerprints: Callable[[Iterable[int]], list[str]]) -> None:
    first = fingerprints(range(1_000))
    assert fingerprints(range(999, -1, -1)) == first[::-1]
