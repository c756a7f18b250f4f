"""Goal: the pages of `compare`, `sweep` and `tune` tell how it still fails, and each story's line shows that world again.

Method: few real worlds of shipped scenarios; the line of each story is typed.
"""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from tune_stand_ins import arguments

from relaysim.reports import comparison_figures, sweep_figures
from relaysim.scenarios.cli import main
from relaysim.scenarios.commands.tune import tune
from relaysim.scenarios.first_failures import tuned_failures
from relaysim.scenarios.tune.candidate_worlds import load_tuned

DIRECT = ("--lane", "direct", "--jobs", "1", "--quiet", "--out", "out")
PAGE_BYTES_MAX = 400_000
"""What such a page weighs with its stories, its figures aside; none came near."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None) -> None:
    monkeypatch.chdir(tmp_path)
    for module, name in (
        (comparison_figures, "draw_comparison"),
        (sweep_figures, "draw_sweep"),
    ):
        monkeypatch.setattr(module, name, lambda _: {})


def stories_of_page() -> list[dict[str, Any]]:
    """The stories, each of which stands in the page as lanes, with the line that replays it."""
    stories: list[dict[str, Any]] = json.loads(Path("out/stories.json").read_text(encoding="utf-8"))
    page = Path("out/index.html").read_text(encoding="utf-8")
    assert len(page.encode()) < PAGE_BYTES_MAX
    assert "<script" not in page
    plain = html.unescape(page).replace("\u00a0", " ")
    for number, story in enumerate(stories, 1):
        assert f'id="story-{number}"' in page
        assert story["title"] in plain
        assert not re.match(r"[STL]\d", story["title"])
        assert all(line in plain for line in story["replay"])
        assert story["causes"], story["title"]
        assert story["rows"]
    assert f'id="story-{len(stories) + 1}"' not in page
    return stories


def replayed(story: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the line below a story says."""
    capsys.readouterr()
    (line,) = story["replay"]
    command, *rest = shlex.split(line)
    assert command == "relaysim"
    assert main([*rest, "--json", "--lane", "direct"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_a_sweep_tells_of_its_worst_point_and_of_its_best_one(capsys: pytest.CaptureFixture[str]) -> None:
    grid = ("--grid", "relay.settings.attempts=1,3", "--replications", "6")
    assert main(["sweep", "race", *grid, *DIRECT]) == 0
    results = json.loads(Path("out/results.json").read_text(encoding="utf-8"))
    stories = stories_of_page()
    assert {story["title"].partition(":")[0] for story in stories} == {
        f"relay.settings.attempts={each}" for each in (1, 3)
    }
    for story in stories:
        attempts = int(story["title"].partition(":")[0].partition("=")[2])
        point = next(each for each in results["points"] if each["values"] == {"relay.settings.attempts": attempts})
        named = [each["id"] for each in point["claims"] if each["verdict"] == "refuted"]
        named += [name for name, each in point["invariants"].items() if each["breaches"]]
        assert set(story["of"]) <= set(named)
        told = replayed(story, capsys)
        assert told["seed"] == story["seed"]
        assert told["wrong"][0].startswith(story["text"])


def test_where_a_sweep_has_no_claims_the_first_message_that_fails_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "race", "--set", "claims=[]", "--replications", "2", *DIRECT]) == 0
    point = json.loads(Path("out/results.json").read_text(encoding="utf-8"))["points"][0]
    (first, *others) = stories_of_page()
    assert point["outcomes"]["failed"]
    assert bool(others) == (len([each for each in point["invariants"].values() if each["breaches"]]) > 1)
    assert replayed(first, capsys)["seed"] == first["seed"]


def test_each_compared_policy_under_which_messages_fail_has_a_story(capsys: pytest.CaptureFixture[str]) -> None:
    policies = ("--policies", "check_then_act,cancel_and_retry,drain", "--replications", "4")
    assert main(["compare", "race", *policies, *DIRECT]) == 0
    results = json.loads(Path("out/results.json").read_text(encoding="utf-8"))
    stories = stories_of_page()
    failing = [each["policy"] for each in results["policies"] if each["counts"]["failed"]]
    assert failing
    assert sorted({name for story in stories for name in story["of"]}) == sorted(failing)
    for story in stories:
        told = replayed(story, capsys)
        assert told["fingerprint"] == story.get("fingerprint", told["fingerprint"])
        assert f": {story['message']}" in told["stories"][0][0]


def test_tuned_settings_are_told_with_what_still_fails_under_each_profile(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the scenario has a map whose values do not fit another profile, and settings were set."""
    sets = ("--set", "relay.settings.first_wait_seconds=2.5", "--profiles", "claimed,typical")
    small = ("--budget", "1", "--replications", "20", "--held-out", "20", "--judged", "1", "--out", "out")
    assert tune(arguments("incident", *small, *sets)) == 0
    stories = stories_of_page()
    assert [story["title"] for story in stories] == [
        f"present settings under {profile}, held-out seed {story['seed']}"
        for profile, story in zip(("claimed", "typical"), stories, strict=True)
    ]
    for story in stories:
        assert replayed(story, capsys)["fingerprint"] == story["fingerprint"]


def test_settings_under_which_nothing_fails_have_no_story(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = load_tuned("incident", None, ("claimed",))
    results = {"recommended": None, "held_out": {"root_seed": 1, "replications": 3}, "lane": "direct"}
    seen: list[int] = []

    def calm(*_: Any, seed: int, **__: Any) -> Any:
        seen.append(seed)
        return type("World", (), {"observation": {"details": {}}})

    monkeypatch.setattr("relaysim.sim.world.run_world", calm)
    assert tuned_failures(results, tuned, tuned.base) == []
    assert seen == [0, 1, 2]
