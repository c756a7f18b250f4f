"""Goal: each command of docs/lock-waits.md runs, and its pictures are there. Method: from the page, with a few worlds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from relaysim.scenarios.cli import main

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "lock-waits.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    relaysim (.+)$", PAGE, re.MULTILINE)
#: What a command is made short by; its options stay.
SHORTER = [
    (r"--replications \d+", "--replications 2"),
    (r"--held-out \d+", "--held-out 2"),
    (r"--budget \d+", "--budget 2"),
    (r"=2,4,8,12,20,40", "=2,40"),
    (r"=0,0.1,0.3,0.6", "=0,0.6"),
]


def test_the_page_sweeps_tunes_and_compares() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"sweep", "tune", "compare"}
    for picture in re.findall(r"\]\((\S+\.svg)\)", PAGE):
        assert (DOCS / picture).read_text(encoding="utf-8").startswith("<")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_runs(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for pattern, short in SHORTER:
        command = re.sub(pattern, short, command)
    # Each has a folder of its own, which the test's takes the place of.
    given = shlex.split(re.sub(r" --name \S+", "", command))
    assert main([*given, "--jobs", "1", "--quiet", "--out", "out"]) == 0
