"""Goal: whoever blocks an event loop is told where, for how long, and what that means, whatever the verdicts are.

Method: a bot that sleeps in a coroutine, judged in a few worlds; tallies in every order.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.reports.timeline import render_timeline
from relaysim.scenarios import blocked_loops
from relaysim.scenarios.blocked_loops import BlockTally
from relaysim.scenarios.load import load
from relaysim.sim.backends import backend_named
from relaysim.sim.world import run_world

BOT = """
import asyncio, time
class Bot:
    def __init__(self, send): self.send = send
    async def handle(self, message):
        await asyncio.to_thread(time.sleep, 4.0)
        time.sleep(1.5)
        await self.send(message.conversation, "Sorry")
def make(client, redis, send): return Bot(send)
"""


def test_a_line_that_blocks_its_loop_is_observed_and_one_in_a_thread_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sleeping_bot.py").write_text(BOT, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    scenario = load("rapid_pair", factory="sleeping_bot:make")
    observation = run_world(scenario.world_settings(), root_seed=1, seed=0).observation
    assert observation["blocked"] == {"sleeping_bot.py:7": {"times": 6, "seconds": 1.5}}


def test_the_answer_names_the_longest_first_and_what_it_means() -> None:
    tallies = {
        f"bot.py:{line}": BlockTally(2, 3, 4, seconds) for line, seconds in ((1, 0.5), (2, 12.0), (3, 1.0), (4, 2.0))
    }
    entries = blocked_loops.entries(tallies, "relaysim replay race --seed {seed}")
    first, second = blocked_loops.sentences({"scenario": "race", "replications": 5, "blocked_loops": entries})
    assert first.startswith(
        "A blocking call held up its event loop, in race: bot.py:2 for up to 12 s at a time (in 2 of 5 worlds), bot.py:4 for"
    )
    assert "and 1 further line. Meanwhile that worker does nothing else" in first
    assert second == "  See it: relaysim replay race --seed 3"
    assert blocked_loops.sentences({"scenario": "race", "replications": 5}) == []


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(1, 4), st.floats(0.1, 9.0)), max_size=6)
)
def test_tallies_do_not_depend_on_their_order(found: list[tuple[str, int, int, float]]) -> None:
    ways: list[dict[str, BlockTally]] = []
    for order in (found, found[::-1]):
        tallies: dict[str, BlockTally] = {}
        for place, seed, times, seconds in order:
            blocked_loops.add(tallies, blocked_loops.observed({place: {"times": times, "seconds": seconds}}, seed))
        ways.append(tallies)
    assert ways[0] == ways[1]
    assert sum(each.replications for each in ways[0].values()) == len(found)


FOR_EVER = """
import threading
class Bot:
    def __init__(self, send): self.lock = threading.Lock()
    async def handle(self, message):
        self.lock.acquire()
        self.lock.acquire()
def make(client, redis, send): return Bot(send)
"""


def test_a_loop_that_never_goes_on_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stuck_bot.py").write_text(FOR_EVER, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    scenario = load("race", factory="stuck_bot:make")
    result = run_world(scenario.world_settings(), root_seed=1, seed=0, keep_trace=True)
    told = [each[3] for each in result.records or () if each[2] == "loop.blocked"]
    assert [(each.delivery, each.place, each.is_over) for each in told] == [
        ("c1.m1#1", "stuck_bot.py:7", False),
        ("c1.m2#1", "stuck_bot.py:7", False),
    ]
    story = render_timeline(result.records or [], 120, "c1", roles=backend_named("threads").roles)
    assert any("never goes on: its event loop is blocked for ever at stuck_bot.py:7" in line for line in story)
    entries = blocked_loops.entries(blocked_loops.observed(result.observation["blocked"], 0), "")
    (sentence, _) = blocked_loops.sentences({"scenario": "race", "replications": 1, "blocked_loops": entries})
    assert "stuck_bot.py:7 for ever (in 1 of 1 world)" in sentence
