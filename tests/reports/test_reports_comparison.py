"""Goal: a comparison says the same in numbers, on a terminal, in figures and on its page, and hides no missing reply.

Method: three policies in hand-made worlds: one that answers fast and loses every tenth message, one that answers all
slowly, and one that does exactly as the second.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from relaysim.reports.comparison import (
    MEASURES,
    PolicyWorlds,
    difference_words,
    direction,
    measure_policies,
    notes,
    value_words,
)
from relaysim.reports.comparison_figures import draw_comparison
from relaysim.reports.comparison_page import comparison_html, publish_comparison
from relaysim.reports.comparison_terminal import print_comparison
from relaysim.reports.drawing import standalone, svgs
from relaysim.reports.results import canonical
from relaysim.reports.terminal import console_for

WORLDS = 400
BY_ID = {measure.id: measure for measure in MEASURES}


def _worlds(lost: int, seconds: float, requests: int) -> PolicyWorlds:
    """Ten messages in each world; in every other one a request more."""
    zeros = [0] * WORLDS
    counts = {
        "messages": [10] * WORLDS,
        "answered": [10 - lost] * WORLDS,
        "covered": zeros,
        "lost": [lost] * WORLDS,
        "friendly_failure": zeros,
        "generic_failure": zeros,
        "failed": [lost] * WORLDS,
        "transparency_breaches": [lost] * WORLDS,
        "requests": [requests + seed % 2 for seed in range(WORLDS)],
        "redis_commands": [requests * (1 + seed % 2) for seed in range(WORLDS)],
    }
    return PolicyWorlds(counts, [[seconds + 0.1 * (seed % 7)] * (10 - lost) for seed in range(WORLDS)])


def _results() -> dict[str, Any]:
    policies = {"hasty": _worlds(1, 2.0, 50), "patient": _worlds(0, 5.0, 80), "twin": _worlds(0, 5.0, 80)}
    measured, differences = measure_policies(policies, against="patient", key="0f3a", resamples=200, messages_max=10)

    def entry(name: str) -> dict[str, Any]:
        worlds = policies[name]
        return {
            "policy": name,
            "factory": f"bots:{name}",
            "own": name == "patient",
            "hash": "0f3a",
            "fingerprint": "ab" * 16,
            "settings": {"attempts": 5} if name == "patient" else {},
            "workers": [{"workers": "w4", "settings": {"prefix": "x"}}] if name == "hasty" else [],
            "left_out": [{"workers": "w4", "settings": {"prefix": "x"}}] if name == "twin" else [],
            "counts": {count: sum(each) for count, each in worlds.counts.items()},
            "invariants": {"S1": sum(worlds.counts["lost"]), "S2": 0},
            "never_met": ["faults[1]"] if name == "twin" else [],
            "replay": f"relaysim replay small --seed {{seed}} --set relay.factory=bots:{name}",
            **measured[name],
        }

    return {
        "schema": 1,
        "kind": "comparison",
        "code_version": "1+abc",
        "scenario": "small",
        "title": "A small one",
        "description": "",
        "hash": "0f3a",
        "root_seed": 7,
        "profile": "claimed",
        "lane": "direct",
        "replications": WORLDS,
        "confidence": 0.99,
        "resamples": 200,
        "settings": {},
        "against": "patient",
        "policies": [entry(name) for name in policies],
        "differences": [
            {
                "policy": name,
                "against": "patient",
                "measures": measures,
                "example": {"seed": 3, "failed": [1, 0], "replay": ["replay --hasty", "replay --patient"]}
                if name == "hasty"
                else None,
            }
            for name, measures in differences.items()
        ],
    }


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return _results()


def printed(results: dict[str, Any], width: int | None = None) -> str:
    from rich.console import Console

    stream = io.StringIO()
    console = console_for(stream) if width is None else Console(file=stream, width=width, force_terminal=True)
    print_comparison(console, results)
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


def _of(results: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each["measures"] for each in results["differences"] if each["policy"] == name)
    return found


# Numbers


def test_lost_messages_show_as_waits_without_end_and_not_among_the_replied(results: dict[str, Any]) -> None:
    hasty, patient, _ = (policy["measures"] for policy in results["policies"])
    assert hasty["lost"]["value"] == 0.1
    assert hasty["or_never_p50"]["value"] == 2.3
    assert hasty["or_never_p95"] == {"value": "inf", "interval": ["inf", "inf"]}
    assert hasty["replied_p95"]["value"] == 2.6
    assert patient["or_never_p95"]["value"] == patient["replied_p95"]["value"] == 5.6
    assert results["policies"][0]["curve"][89:91] == [2.6, "inf"]
    assert len(results["policies"][0]["curve"]) == 100


def test_differences_are_minus_the_policy_they_are_against(results: dict[str, Any]) -> None:
    hasty = _of(results, "hasty")
    assert (hasty["lost"]["value"], hasty["lost"]["worlds_differing"]) == (0.1, WORLDS)
    assert 0.08 < hasty["lost"]["interval"][0] < 0.1 < hasty["lost"]["interval"][1] < 0.13
    assert hasty["transparency_breaches"] == {"value": 10.0, "interval": None, "worlds_differing": WORLDS}
    assert hasty["replied_p50"]["value"] == -3.0
    assert hasty["or_never_p99"]["value"] == "inf"
    assert hasty["requests"]["value"] == -3.0
    assert hasty["redis_commands"]["value"] == -4.5
    assert hasty["redis_commands"]["interval"][0] < -4.5 < hasty["redis_commands"]["interval"][1] < 0
    assert {each["value"] for each in _of(results, "twin").values()} == {0.0}


def test_a_direction_is_told_only_where_the_interval_has_one(results: dict[str, Any]) -> None:
    hasty, twin = _of(results, "hasty"), _of(results, "twin")
    assert direction(hasty["redis_commands"]) == "less"
    assert direction(hasty["or_never_p95"]) == "more"
    assert direction(hasty["lost"]) == "more"
    assert direction(hasty["requests"]) == "less"
    assert direction(twin["requests"]) == "same"
    assert direction({"value": 1.0, "interval": None, "worlds_differing": 1}) == "unknown"
    assert direction(twin["or_never_p95"]) == "unknown"
    assert direction({"value": 1.0, "interval": [-0.1, 2.1]}) == "unknown"
    assert direction({"value": None, "interval": None}) == "unknown"


def test_without_messages_nothing_is_claimed() -> None:
    nothing = PolicyWorlds({name: [0, 0] for name in _worlds(0, 1.0, 1).counts}, [[], []])
    measured, differences = measure_policies({"a": nothing, "b": nothing}, against="a", key="k", resamples=10)
    assert all(each == {"value": None, "interval": None} for each in measured["a"]["measures"].values())
    assert measured["a"]["curve"] == [None] * 100
    assert {each["value"] for each in differences["b"].values()} == {None}
    assert {direction(each) for each in differences["b"].values()} == {"unknown"}


def test_results_are_canonical_json_and_the_same_each_time(results: dict[str, Any]) -> None:
    assert canonical(results) == canonical(_results())


# Words


def test_words_of_values_and_differences() -> None:
    lost, wait, breaches = BY_ID["lost"], BY_ID["or_never_p95"], BY_ID["transparency_breaches"]
    assert value_words(lost, 0.045) == "4.50 %"
    assert value_words(wait, "inf") == "never"
    assert value_words(wait, None) == "none"
    assert value_words(breaches, 21.777) == "21.78"
    assert difference_words(lost, {"value": -0.0178}) == "−1.78 points"
    assert difference_words(lost, {"value": 0.0}) == "0.00 points"
    assert difference_words(wait, {"value": "-inf"}) == "−∞ s"
    assert difference_words(wait, {"value": 0.0, "both_never": True}) == "both never"
    assert difference_words(breaches, {"value": None}) == "none"


def test_notes_say_whose_settings_were_left_out_and_what_was_never_met(results: dict[str, Any]) -> None:
    assert notes(results) == [
        "patient has the settings that the scenario wrote for it (attempts = 5); the others have what --settings gave "
        "them, and otherwise their defaults.",
        "twin does not know prefix, so w4 ran without; --settings gives it its own.",
        "twin never met faults[1].",
    ]


# The terminal


def test_the_terminal_has_every_measure_twice(results: dict[str, Any]) -> None:
    text = printed(results)
    for measure in MEASURES:
        assert sum(line.strip().startswith(f"{measure.title} ") for line in text.splitlines()) == 2
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert ["messages", "4,000", "4,000", "4,000"] in rows
    assert ["breaches seen, per 100 messages", "+10.00 (in every world) worse", "0.00 ="] in rows
    assert "Farthest apart: in world 3, 1 message failed under hasty, 0 under patient." in text
    assert "\n      replay --hasty\n      replay --patient\n" in text


def test_a_narrow_terminal_has_every_measure_too(results: dict[str, Any]) -> None:
    lines = [line.rstrip() for line in printed(results, width=70).splitlines()]
    assert "  breaches seen, per 100 messages: +10.00 (in every world) worse" in lines
    assert lines.count("hasty") == 2


# Figures and page


def test_figures_say_in_words_what_they_show(results: dict[str, Any]) -> None:
    figures = svgs(draw_comparison(results))
    assert list(figures) == ["waiting", "differences"]
    assert "hasty: half have a reply after 2.3 s, 10.00 % never get one" in figures["waiting"]
    low, high = (100 * each for each in _of(results, "hasty")["lost"]["interval"])
    told = f"lost: no reply covers them, hasty against patient: +10.00 points (+{low:.2f} to +{high:.2f})"
    assert told in figures["differences"]
    assert "10.00 % never" in figures["waiting"]
    assert svgs(draw_comparison(_results())) == figures
    for svg in figures.values():
        assert ElementTree.fromstring(standalone(svg).encode()).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_page_has_both_tables_and_says_what_it_rests_on(results: dict[str, Any]) -> None:
    page = comparison_html(results, timing={"seconds": 3.0}, figures=svgs(draw_comparison(results))).replace(
        "\u00a0", " "
    )
    assert re.findall(r'<section id="([a-z]+)"', page) == [
        "together",
        "apart",
        "figures",
        "policies",
        "invariants",
        "replay",
        "limits",
    ]
    plain = re.sub(r"<[^>]+>", " ", page)
    assert re.search(
        r"<title>None is shown to be better than patient, under which 0 % of messages fail: "
        r"hasty \(.+ %\) is .+, twin \(0 %\) is the",
        page,
    )
    assert (
        plain.count("the same in each of 400 worlds, so at 99 % confidence at most 1.14 % of such worlds differ") == 10
    )
    assert "replay --hasty\nreplay --patient" in plain
    assert "Never broken by any: S2." in plain
    assert not re.search(r"<script|https?:|@import", page)


def test_everything_foreign_is_escaped(results: dict[str, Any]) -> None:
    evil = "<script>alert(1)</script>\"'&"
    changed = {
        **results,
        "scenario": evil,
        "title": evil,
        "against": evil,
        "policies": [
            {
                **policy,
                "policy": evil,
                "factory": evil,
                "settings": {evil: evil},
                "counts": {**policy["counts"], evil: 1},
            }
            for policy in results["policies"]
        ],
        "differences": [{**each, "policy": evil, "against": evil} for each in results["differences"]],
    }
    assert "<script" not in comparison_html(changed, figures=svgs(draw_comparison(changed)))


def test_a_folder_holds_results_page_and_figures_and_nothing_stale(
    results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stale = tmp_path / "pair" / "figures" / "forest.svg"
    stale.parent.mkdir(parents=True)
    stale.write_text("old", encoding="utf-8")
    folder = publish_comparison(results, name="pair", timing={"seconds": 1.5}, out=tmp_path / "pair")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "figures/differences.svg",
        "figures/waiting.svg",
        "index.html",
        "results.json",
        "stories.json",
        "timing.json",
    ]
    assert (folder / "results.json").read_text(encoding="utf-8") == canonical(results)
    assert not (tmp_path / "reports").exists()
    run = publish_comparison(results, name="pair")
    assert (run / "results.json").read_bytes() == (folder / "results.json").read_bytes()
    assert (tmp_path / "reports" / "out" / "latest").resolve() == run.resolve()
