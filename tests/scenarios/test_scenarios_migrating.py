"""Goal: each command of docs/migrating.md runs. Method: they are taken from the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from relaysim.scenarios.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "migrating.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"`relaysim (replay [^`]+)`", PAGE)
SHOWN = {
    "replay responses_race --seed 0": "Another process is currently operating",
    "replay responses_stuck_turn --seed 0": "ends c1.m1: friendly_apology",
    "replay responses_persistent_failure --seed 0": "once more",
    "replay responses_abandoned_stream --seed 0": "The conversation is locked; attempt 2 waits 2 s",
    "replay responses_racing_cancel --seed 1": "is too late with responses.cancel: 400",
    "replay responses_orphaned_call --seed 0": "No tool output found for function call",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_runs(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)) == 0
    assert SHOWN.get(command, "fingerprint") in capsys.readouterr().out


def test_the_page_has_them_all() -> None:
    assert set(SHOWN) < set(COMMANDS)
