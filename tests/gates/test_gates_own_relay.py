"""A stranger's bot is judged as it is: its race is found, and shown."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from relaysim.scenarios.cli import main

HERE = Path(__file__).parent


def test_the_bot_knows_nothing_of_the_simulator() -> None:
    source = (HERE / "my_bot.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 60
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE))
    assert imported == {"logging", "openai", "redis"}


def test_its_race_is_found_and_shown(
    tmp_path: Path, gates_on_path: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(HERE)  # from the bot's folder, as its author would
    small = ("--replications", "7", "--jobs", "1", "--out", str(tmp_path))
    assert main(["verify", "rapid_pair", "--factory", "my_bot:make", *small]) == 1
    assert "Is my_bot:make safe? No: " in capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    (entry,) = results["scenarios"]
    assert entry["lane"] == "sdk"
    assert [(claim["id"], claim["verdict"], claim["expected"]) for claim in entry["claims"]] == [
        ("transparent", "refuted", "verified"),
        *((name, "verified", "verified") for name in ("in-time", "within-cost", "few-notices", "own-texts")),
    ]
    assert (tmp_path / "index.html").exists()

    examples = entry["claims"][0]["examples"]
    found = next(example for example in examples if "was never answered" in example["detail"]["text"])
    command = found["replay"].split()
    assert command[0] == "relaysim"
    assert main(command[1:]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 25
    lost = next(number for number, line in enumerate(lines) if "lock lost: chat:" in line)
    refused = next(number for number, line in enumerate(lines) if ": 400 Can't add messages" in line)
    told = next(number for number, line in enumerate(lines) if "received “Sorry, something went wrong." in line)
    assert lost < refused < told
    assert lines[-1] == f"fingerprint {found['fingerprint']}"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import subprocess; subprocess.run(['true'])", "starting a process would leave the simulation"),
        ("import os; os.fork()", "forking this process would leave the simulation"),
        ("while True: await asyncio.sleep(0)", "awaits nothing that takes time"),
    ],
)
def test_a_bot_that_leaves_the_simulation_is_told_where(
    body: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bot = tmp_path / "odd_bot.py"
    bot.write_text(
        "import asyncio\n\n"
        "class Bot:\n"
        "    async def handle(self, message):\n"
        "        try:\n"
        f"            {body}\n"
        "        except Exception:\n"
        "            pass\n\n"
        "def make(openai_client, redis_client, send):\n"
        "    return Bot()\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "odd_bot", raising=False)  # another example's
    small = ("--replications", "2", "--jobs", "1", "--out", str(tmp_path))
    assert main(["verify", "stuck_run", "--factory", "odd_bot:make", *small]) == 2
    error = capsys.readouterr().err
    assert said in error
    if "would leave" in said:  # where, and what to do; a replay would say the same once more
        assert error.startswith("relaysim: stuck_run, seed 0: odd_bot.py:6: ")
        assert "instead" in error or "stand-in" in error
        assert error.endswith("; nothing is judged\n")
    assert "Traceback" not in error
