"""Goal: a story's lanes have what lasted and what happened, in the order of the trace, and a page shows them to everyone."""

from __future__ import annotations

import copy
import json
import re
import sys
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from report_samples import lock_lost_trace, sample_results

from relaysim.reports.story import tell_story
from relaysim.reports.story_lanes import lanes_of
from relaysim.reports.story_lines import own_first
from relaysim.reports.verify_page import verify_html
from relaysim.scenarios.ablations.ablation_list import BY_NAME, scenario_path
from relaysim.scenarios.breached import subject_of
from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.sim.backends import backend_named
from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.world import run_world

WORLDS = Path(__file__).parents[1] / "sim" / "world"


def drawn(
    scenario: str, breach: str, sets: tuple[str, ...] = (), factory: str | None = None
) -> tuple[dict[str, Any], Any]:
    """The lanes of a world's first breach of this kind, and its records."""
    loaded = load(scenario, sets, factory)
    result = run_world(loaded.world_settings(), root_seed=loaded.root_seed, seed=0, lane="direct", keep_trace=True)
    detail = result.observation["details"][breach][0]
    roles, looks = backend_named(loaded.api).roles, result.observation["looks"]
    records = result.records or []
    story = tell_story(records, subject_of(detail), roles=roles, looks=looks, breach=detail)
    return lanes_of(story, records), records


@pytest.fixture
def bots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(WORLDS), *sys.path])


def lane(drawn: dict[str, Any], kind: str) -> list[int]:
    return [number for number, each in enumerate(drawn["lanes"]) if each["kind"] == kind]


def bars(drawn: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each for each in drawn["bars"] if each["kind"] == kind]


def test_the_race_has_every_lane_and_each_bar_from_its_beginning_to_its_end() -> None:
    race, records = drawn("race", "failed")
    assert [each["kind"] for each in race["lanes"]] == ["customer", "worker", "worker", "redis", "thread"]
    assert [len(bars(race, kind)) for kind in ("handling", "run", "work")] == [2, 2, 0]
    begun = {f"{time:.3f}" for time, _, kind, _ in records if kind == "handling.start"}
    assert {each["began"] for each in bars(race, "handling")} <= begun
    locks = bars(race, "lock")
    taken = [
        event.key for _, _, kind, event in records if kind == "redis" and event.command == "SET" and event.reply == "OK"
    ]
    assert sorted(each["label"].partition(": ")[2] for each in locks)[0].startswith("lock:")
    assert len(locks) == len(taken)
    assert {each["how"] for each in locks} == {"released"}
    assert {each["how"] for each in bars(race, "run")} == {"cancelled", "completed"}


def test_times_go_down_and_bars_of_a_column_never_overlap() -> None:
    for name, breach in (("race", "failed"), ("peak_hour", "breach_S14"), ("responses_stuck_turn", "lost")):
        found, _ = drawn(name, breach)
        times = [float(each["time"]) for each in found["rows"]]
        assert times == sorted(times)
        for one, other in combinations(found["bars"], 2):
            if (one["lane"], one["column"]) == (other["lane"], other["column"]):
                assert one["last"] <= other["first"] or other["last"] <= one["first"], (one, other)
        for each in found["bars"]:
            assert 0 <= each["first"] <= each["last"] < len(found["rows"])
            assert each["column"] < found["lanes"][each["lane"]]["columns"]
        for each in found["rows"]:
            assert each.get("lane", 0) < len(found["lanes"])


def test_causes_have_rows_and_rows_have_causes() -> None:
    race, _ = drawn("race", "failed")
    for number, cause in enumerate(race["causes"], start=1):
        assert cause["rows"], cause
        assert all(number in race["rows"][row]["causes"] for row in cause["rows"])


def test_faults_are_marked() -> None:
    sets = (f"relay.factory={BY_NAME['acknowledge_first'].factory}",)
    crashed, _ = drawn(scenario_path(BY_NAME["acknowledge_first"].scenario), "breach_S1", sets)
    assert any(each.get("fault") for each in crashed["rows"])


def test_what_is_done_outside_of_handle_has_bars_and_rows(bots: None) -> None:
    worked, records = drawn("race", "lost", (), "background_bots:consumer")
    outside = bars(worked, "work")
    assert {worked["lanes"][each["lane"]]["kind"] for each in outside} == {"worker"}
    first = min(time for time, _, kind, event in records if kind == "request" and not event.context)
    assert min(float(each["began"]) for each in outside) == pytest.approx(first, abs=0.001)
    failed = [each for each in worked["rows"] if each.get("traceback")]
    assert failed
    assert failed[0]["traceback"][0].startswith("background_bots.py:")


def test_a_traceback_begins_with_the_relays_own_innermost_step() -> None:
    steps = ("bot.py:3 in handle: self.a()", "bot.py:9 in a: json.loads(x)", "json/decoder.py:355 in raw_decode: raise")
    assert own_first(steps, "bot.py:9") == (steps[1], steps[0], "json/decoder.py in raw_decode, a library")
    assert own_first(steps[:2], "bot.py:9") == (steps[1], steps[0])
    assert own_first((), "") == ()


def test_an_empty_trace_and_one_without_a_failure_can_be_drawn() -> None:
    assert lanes_of(tell_story([], roles=ROLES), [])["rows"] == []
    calm = [record for record in lock_lost_trace() if record[1] != "worker-2" and record[3][:1] != ("m2",)]
    assert lanes_of(tell_story(calm, roles=ROLES), calm)["rows"]


class Page(HTMLParser):
    """The ids and the links of a page, and what stands in its stories."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.add(tag)
        if named.get("id"):
            self.ids.add(str(named["id"]))
        if tag == "a":
            self.links.append(str(named.get("href")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("race")
    main(["verify", "race", "--replications", "2", "--lane", "direct", "--quiet", "--recheck", "0", "--out", str(out)])
    return out


def test_each_refuted_claim_and_broken_promise_leads_to_its_story(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    stories = json.loads((folder / "stories.json").read_text(encoding="utf-8"))
    (entry,) = results["scenarios"]
    failed = [each["id"] for each in entry["claims"] if each["verdict"] == "refuted"]
    failed += [name for name, each in entry["invariants"].items() if each["breaches"]]
    assert sorted(each for story in stories for each in story["of"]) == sorted(failed)
    text = (folder / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    told = {link for link in page.links if link.startswith("#story-")}
    assert told == {f"#story-{number + 1}" for number in range(len(stories))}
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert not {"script", "img", "link", "iframe"} & page.tags
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", text.partition('<section id="stories"')[2][:20_000])


def test_the_same_worlds_have_the_same_stories(folder: Path, tmp_path: Path) -> None:
    arguments = ["verify", "race", "--replications", "2", "--lane", "sdk", "--quiet", "--recheck", "0"]
    main([*arguments, "--out", str(tmp_path)])
    assert (tmp_path / "stories.json").read_bytes() == (folder / "stories.json").read_bytes()


def test_a_world_that_is_another_one_now_has_no_story(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relaysim.scenarios.first_failures import first_failures

    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert first_failures(results, [load("race")])
    other = copy.deepcopy(results)
    for claim in [*other["scenarios"][0]["claims"], *other["scenarios"][0]["invariants"].values()]:
        for example in claim["examples"]:
            example["fingerprint"] = "0" * 32
    assert first_failures(other, [load("race")]) == []

    def raises(*_: Any, **__: Any) -> None:
        raise LookupError("only the first time")

    monkeypatch.setattr("relaysim.sim.world.run_world", raises)
    assert first_failures(results, [load("race")]) == []


def test_a_page_has_as_many_stories_as_it_has_room_for(folder: Path) -> None:
    stories = json.loads((folder / "stories.json").read_text(encoding="utf-8"))
    many = [{**stories[0], "of": [f"claim-{number}"]} for number in range(400)]
    page = verify_html(sample_results(), stories=many)
    found = Page(page).ids
    shown = sum(each.startswith("story-") for each in found)
    assert 20 < shown < 400
    assert f"{400 - shown} stories more would make the page too heavy" in page


def test_a_comparison_tells_of_the_world_in_which_two_policies_differ_most(tmp_path: Path) -> None:
    arguments = ["compare", "race", "--replications", "2", "--lane", "direct", "--quiet", "--out", str(tmp_path)]
    assert main([*arguments, "--policies", "cancel_and_retry,drain"]) == 0
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    (story,) = json.loads((tmp_path / "stories.json").read_text(encoding="utf-8"))
    (difference,) = results["differences"]
    more = max(zip(difference["example"]["failed"], (difference["policy"], difference["against"]), strict=True))
    assert (story["of"], story["seed"]) == ([more[1]], difference["example"]["seed"])
    assert "DIFFERENT_LOCKS" in {cause["kind"] for cause in story["causes"]}
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert {"stories", "story-1"} <= page.ids
    assert "#stories" in page.links


def test_what_customers_wrote_is_text_and_not_markup(folder: Path) -> None:
    stories = json.loads((folder / "stories.json").read_text(encoding="utf-8"))
    for row in stories[0]["rows"]:
        if "text" in row:
            row["text"] = "<b onclick=x>"
    page = verify_html(sample_results(), stories=stories)
    assert "<b onclick" not in page
    assert "&lt;b onclick=x&gt;" in page
