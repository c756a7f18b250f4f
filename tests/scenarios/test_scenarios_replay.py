"""Goal: the command that `verify` prints beside an example shows that very case first, whatever else went wrong there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relaysim.scenarios.cli import main
from relaysim.sim.world import Session


@pytest.fixture(scope="module", autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json"]) in (0, 1, 3)
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_each_example_is_what_its_command_shows_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In these worlds customers get apologies, answers are late, and a line is missing in a log."""
    direct = ["--lane", "direct", "--set", "relay.settings={ first_wait_seconds = 1.0, attempts = 1 }"]
    asked = ["race", *direct, "--replications", "2", "--recheck", "0", "--jobs", "1", "--quiet"]
    (scenario,) = told(capsys, "verify", *asked, "--out", str(tmp_path))["scenarios"]
    named = [(claim["id"], each) for claim in scenario["claims"] for each in claim["examples"]]
    named += [(name, each) for name, tally in scenario["invariants"].items() for each in tally["examples"]]
    assert len({name for name, _ in named}) >= 3
    assert len({each["detail"]["text"] for _, each in named}) >= 3
    for name, example in named:
        command = shlex.split(example["replay"])
        assert command[-2:] == ["--claim", name]
        shown = told(capsys, *command[1:], "--lane", "direct")
        assert shown["fingerprint"] == example["fingerprint"]
        assert shown["wrong"][0].startswith(example["detail"]["text"])
        about = example["detail"].get("conversation")
        assert about is None or f"conversation {about}," in shown["stories"][0][0]


def test_of_several_cases_it_says_that_it_shows_the_first_and_of_none_that_there_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = ["replay", "peak_hour_before", "--seed", "0", "--lane", "direct"]
    assert " such cases)" in told(capsys, *one, "--claim", "transparent")["wrong"][0]
    none = told(capsys, *one, "--claim", "S12-own-conversation-only")["wrong"]
    assert none[0] == "this world is no example of S12-own-conversation-only"
    assert told(capsys, *one, "--claim", "S12")["wrong"] == ["this world is no example of S12", *none[1:]]


def test_a_claim_that_nobody_made_is_refused_with_those_that_were(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "race", "--seed", "0", "--lane", "direct", "--claim", "transparant"]) == 2
    assert "--claim transparant: " in (said := capsys.readouterr().err)
    assert "did you mean transparent?" in said
