"""Goal: what a scenario's worlds tried is what they held: no fault that hit nothing, nobody who never wrote.

Method: scenarios with one thing more or less each, and the shipped ones that suit any bot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from relaysim.reports.answers import answer_of
from relaysim.reports.answers.untried import SUGGESTED, WORDS
from relaysim.scenarios.load import load
from relaysim.scenarios.own_relay import OWN_RELAY, others_load
from relaysim.scenarios.tried import tried
from relaysim.scenarios.verdicts import verify_scenario
from tests.docs.page_links import ROOT

CRASH = 'host_faults=[{kind="crash", on="send", probability=1.0, seconds=5}]'
PAUSE = 'host_faults=[{kind="pause", on="send", probability=1.0, seconds=5}]'
TWICE = 'webhook_faults=[{kind="duplicate", probability=1.0, seconds=5}]'
LATE = 'webhook_faults=[{kind="late", probability=1.0, seconds=5}]'
AWAY = 'redis_faults=[{kind="away", at_seconds=3, seconds=5}]'
LOST = 'faults=[{kind="response_lost", probability=0.1}]'
REFUSED = 'send_faults=[{kind="refused", probability=0.1}]'
AGAIN = "workload.redeliver_seconds=5"


@pytest.mark.parametrize(
    ("name", "sets", "hits", "expected"),
    [
        ("race", (), {}, ["order"]),
        ("stuck_run", (), {}, []),
        ("rapid_pair", (), {}, ["strangers", "order"]),
        ("peak_hour", (), {}, ["strangers", "order"]),
        ("peak_hour", ("workload.duplicate_probability=0.05",), {}, ["strangers", "order", "repeats"]),
        ("peak_hour", ("workload.conversations=1",), {}, ["order"]),
        ("peak_hour", ("workload.bursts.messages_mean=1",), {}, ["strangers"]),
        ("stuck_run", (CRASH,), {"host_faults": [0]}, []),
        ("stuck_run", (CRASH,), {"host_faults": [2]}, ["crashes"]),
        ("stuck_run", (CRASH, AGAIN), {"host_faults": [2]}, ["repeats", "crashes"]),
        ("stuck_run", (PAUSE, AGAIN), {"host_faults": [2]}, []),
        ("stuck_run", (TWICE,), {"webhook_faults": [1]}, ["repeats"]),
        ("stuck_run", (TWICE,), {"webhook_faults": [0]}, []),
        ("stuck_run", (LATE,), {"webhook_faults": [1]}, []),
        ("stuck_run", (AWAY,), {"redis_faults": [1]}, ["redis"]),
        ("stuck_run", (LOST,), {"faults": [1]}, ["api"]),
        ("stuck_run", (REFUSED,), {"send_faults": [1]}, ["sends"]),
    ],
)
def test_tried_is_what_could_be_seen(
    name: str, sets: Sequence[str], hits: Mapping[str, Sequence[int]], expected: list[str]
) -> None:
    assert tried(load(name, sets, check_relay=False), 100, hits) == expected


def test_what_explored_worlds_have_besides_counts_once_it_hits() -> None:
    further = 'explored.redis_faults=[{kind="away", at_seconds=3, seconds=5}]'
    scenario = load("stuck_run", [LOST, further], check_relay=False)
    assert tried(scenario, 100, {"faults": [0], "redis_faults": [0]}) == []
    assert tried(scenario, 100, {"faults": [0], "redis_faults": [3]}) == ["redis"]


def test_all_that_suits_any_bot_tries_what_is_suggested() -> None:
    """The messages of its own number of worlds: a few hundred worlds of the peak hour expect some duplicates."""
    found: set[str] = set()
    for name in OWN_RELAY:
        scenario = load(name, check_relay=False)
        messages = 6000 if name == "peak_hour" else scenario.replications
        found |= set(tried(scenario, messages, {}))
    assert found == set(SUGGESTED)


def test_one_customers_race_alone_does_not_call_a_relay_safe_of_others() -> None:
    factory = "relaysim.relay:drain"
    scenario = load("race", ["workers=[{count=1}]"], factory)
    entry, _ = verify_scenario(scenario, replications=8, lane="direct", lane_check=0)
    found: dict[str, Any] = {"scenarios": [entry], "factory": factory, "try_all": scenario.origin.verify_command}
    answer = answer_of(found)
    assert answer.status == "safe"
    assert answer.found[0].startswith("Not tried, so nothing is known of it: replies to other customers (one customer")
    for name in ("repeats", "crashes", "redis"):
        assert WORDS[name] in answer.found[0]
    assert WORDS["order"] not in answer.found[0]
    assert answer.commands[0] == "relaysim verify --set 'workers=[{count=1}]' --factory relaysim.relay:drain"
    assert answer.to_dict()["found"][0] == answer.found[0]


def test_the_line_for_all_is_named_only_where_all_take_its_settings() -> None:
    assert others_load(load("race", ["workers=[{count=1}]"], "relaysim.relay:drain").origin)
    assert not others_load(load("race", check_relay=False).origin), "no option put its relay in"
    given = load("peak_hour", ["workload.bursts.messages_mean=3"], "relaysim.relay:drain", check_relay=False)
    assert not others_load(given.origin)


def test_the_settings_that_the_page_names_can_be_set() -> None:
    page = (ROOT / "docs" / "own-bot.md").read_text(encoding="utf-8")
    (_, table) = page.split("## What was not tried\n")
    lines = [line for line in table.split("\n## ")[0].splitlines() if "--set" in line]
    assert len(lines) == 4
    for line in lines:
        sets = [quoted or bare for quoted, bare in re.findall(r"--set (?:'([^']+)'|([^\s`]+))", line)]
        assert sets
        load("rapid_pair", sets, check_relay=False)
