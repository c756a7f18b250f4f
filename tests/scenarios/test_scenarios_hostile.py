"""Goal: nothing that a bot does to its process makes a command pass, hang or print a traceback.

Method: the command in this process; processes of its own only where one must die.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import SMALL, observe, write

from relaysim.scenarios import cli
from relaysim.scenarios.cli import main
from relaysim.scenarios.engines import LostWorkerError
from relaysim.scenarios.load import load
from relaysim.scenarios.runner import Batch, run_batches
from relaysim.sim.kernel.watchdog import PATIENCE_VARIABLE

BOT = """
import sys

class Bot:
    def __init__(self, client, redis, send): ...
    async def handle(self, message):
        BODY

def raises(client, redis, send):
    raise ValueError("\\x1b[31mred\\ud83d")
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ["verify", "replay", "sweep"])
def test_a_bot_that_leaves_fails_every_command(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, BOT.replace("BODY", "sys.exit(0)"), f"leaves_{command}.py")
    options = ["--seed", "0"] if command == "replay" else ["--replications", "2", "--quiet", "--jobs", "1"]
    assert main([command, "race", *options, "--factory", f"leaves_{command}:Bot"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "race, seed 0: EndsProcessError: " in line
    assert f"leaves_{command}.py:7 raised SystemExit(0), which ends the process of the relay" in line


def test_patience_is_an_option_and_is_forgotten_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.PATIENCE_VARIABLE == PATIENCE_VARIABLE
    monkeypatch.setenv(PATIENCE_VARIABLE, "17")
    write(tmp_path, BOT.replace("BODY", "while True: pass"), "spins.py")
    assert main(["run", "race", "--seed", "0", "--factory", "spins:Bot", "--patience", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "spins.py:7 has run for 1 s of processor time" in line
    assert cli.os.environ[PATIENCE_VARIABLE] == "17"


def test_a_complaint_moves_no_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, BOT.replace("BODY", "pass"), "colourful.py")
    assert main(["run", "race", "--seed", "0", "--factory", "colourful:raises"]) == 2
    assert "\\x1b[31mred\\ud83d" in capsys.readouterr().err


def observe_crashing(settings: Any, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As `observe`, but the process that comes to seed 63 reads where nothing is."""
    if seed == 63:
        ctypes.string_at(0)
    return observe(settings, root_seed, seed, lane)


def test_a_crashed_process_is_told_with_its_seed_and_line(tmp_path: Path) -> None:
    small = load(write(tmp_path, SMALL), check_relay=False)
    with pytest.raises(LostWorkerError) as told:
        run_batches([Batch("main", small.to_json(), 100, "direct")], jobs=2, observe=observe_crashing)
    assert "\n" not in str(told.value)
    assert "a worker process died: small, seed 63: Segmentation fault: test_scenarios_hostile.py:" in str(told.value)
