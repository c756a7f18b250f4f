"""Goal: the command that `verify` prints beside an example shows that very case first, whatever else went wrong there."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relaysim.scenarios.cli import main
from relaysim.sim.world import INVARIANTS, Session
from relaysim.sim.world.invariants import BREACH_TITLES


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
    assert "did you mean `transparent`?" in said


def test_the_story_of_a_promise_is_headed_by_what_happened_and_its_code_stands_behind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = ["replay", "rapid_pair", "--seed", "0", "--lane", "direct"]
    head = (
        "A message was stored after one that was written later: rapid_pair, seed 0, lane direct (S14-order-of-writing)"
    )
    for claim in ("S14", "S14-order-of-writing"):
        assert main([*one, "--claim", claim]) == 0
        assert capsys.readouterr().out.splitlines()[0] == head
    assert main([*one, "--claim", "S12"]) == 0  # which this world does not break
    assert capsys.readouterr().out.startswith("rapid_pair, seed 0, lane direct: ")


def test_every_promise_has_a_plain_title() -> None:
    assert BREACH_TITLES.keys() == INVARIANTS.keys()
    assert len(set(BREACH_TITLES.values())) == len(BREACH_TITLES)
    assert not [title for title in BREACH_TITLES.values() if re.search(r"\b[STL]\d", title) or len(title) > 72]
