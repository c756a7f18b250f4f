"""Goal: each example of docs/own-bot.md runs by the command beside it, and is as safe as the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest
from judged_bots import Judge

DOCUMENT = Path(__file__).parents[2] / "docs" / "own-bot.md"
_EXAMPLE = re.compile(r"^```python\n# (\S+)\n(.*?)^```\n\n    relaysim verify ([^\n]*)$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.usefixtures("one_session")


class Example(NamedTuple):
    """A file of the page, and what stands behind `relaysim verify` in its command."""

    file: str
    text: str
    arguments: list[str]


EXAMPLES = [Example(file, text, shlex.split(command)) for file, text, command in _EXAMPLE.findall(DOCUMENT.read_text())]


def test_the_page_has_six_styles() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)
def test_the_example_is_safe(judge: Judge, example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(example.file).write_text(example.text)
    scenario, *options = example.arguments
    given = dict(zip(options[::2], options[1::2], strict=True))
    application = given.get("--app") or given["--factory"]
    sets = (given["--set"],) if "--set" in given else ()
    judged = judge(application, scenario, worlds=1, provider=given.get("--provider"), sets=sets)
    judged.assert_safe()
    assert (judged.count("messages"), judged.count("runs"), judged.count("failed")) == (6, 6, 0)
