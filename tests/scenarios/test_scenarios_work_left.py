"""Goal: what is told of a command's time is right soon, and until then it is not told.

Method: properties over any order of planning, doing and sparing; and a command of worlds whose kinds cost from 20 ms to
0.6 s, run in the runner's own order of chunks by simulated processes, where the true time left is known.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.scenarios import runner
from relaysim.scenarios.runner import Batch
from relaysim.scenarios.work_left import Work

KINDS = ("a", "b", "c")

_steps = st.lists(
    st.one_of(
        st.tuples(st.just("plan"), st.sampled_from(KINDS), st.integers(0, 50)),
        st.tuples(st.just("did"), st.sampled_from(KINDS), st.integers(1, 30), st.none() | st.floats(0, 100)),
        st.tuples(st.just("spare"), st.sampled_from(KINDS), st.none() | st.integers(0, 40)),
        st.tuples(st.just("elsewhere"), st.sampled_from(KINDS), st.floats(0, 10)),
    ),
    max_size=40,
)


@given(_steps, st.integers(1, 8))
def test_done_never_exceeds_the_total_and_the_share_never_falls(steps: list[tuple[object, ...]], jobs: int) -> None:
    work, before = Work(jobs), 0.0
    for at, step in enumerate(steps):
        match step:
            case ("plan", str(kind), int(worlds)):
                work.plan(kind, worlds)
            case ("did", str(kind), int(worlds), None | float() as seconds):
                work.did(kind, worlds, seconds, float(at))
            case ("spare", str(kind), None | int() as worlds):
                work.spare([kind], worlds)
            case ("elsewhere", str(kind), float(seconds)):
                work.known_elsewhere(kind, seconds)
        assert 0 <= work.done <= work.total
        assert before <= work.fraction <= 1.0
        before = work.fraction
        left = work.seconds_left(float(at))
        assert left is None or left >= 0.0


# Against the true time

COSTS = {"quick": 0.02, "usual": 0.1, "slow": 0.6}
WORLDS = {"quick": 6000, "usual": 2000, "slow": 1200}
START_SECONDS = 3.0
CHUNK = 20


def simulated(work: Work, chunks: list[tuple[str, int]], jobs: int) -> list[tuple[float, float, float | None]]:
    """Run the chunks on so many processes; returns the share of worlds done, the time, and what was told to be left."""
    draw = random.Random(5)
    free = [(START_SECONDS, number) for number in range(jobs)]
    ends: list[tuple[float, int, str, int, float]] = []
    for number, (kind, worlds) in enumerate(chunks):
        at, process = heapq.heappop(free)
        took = worlds * COSTS[kind] * draw.uniform(0.8, 1.2)
        heapq.heappush(free, (at + took, process))
        ends.append((at + took, number, kind, worlds, took))
    told = []
    for at, _, kind, worlds, took in sorted(ends):
        work.did(kind, worlds, took, at)
        told.append((work.done / work.total, at, work.seconds_left(at)))
    return told


def wrong_by(told: list[tuple[float, float, float | None]], since: float) -> float:
    """The largest error of what was told once so much was done, as a share of the truth; but for the time of a chunk
    or two at the end, since nobody knows how far the processes are with what they were given last."""
    end = told[-1][1]
    errors = []
    for share, at, left in told:
        if share >= since and end - at > 1.5 * CHUNK * max(COSTS.values()):
            assert left is not None, (share, at)
            errors.append(abs(left - (end - at)) / (end - at))
    return max(errors)


def own_order(worlds: Mapping[str, int], size: int) -> list[tuple[str, int]]:
    batches = [Batch(kind, "", count, "direct") for kind, count in worlds.items()]
    return [(batches[place].key, count) for place, _, count in runner._chunks(batches, size)]


@pytest.mark.parametrize("jobs", [1, 2, 8])
@pytest.mark.parametrize("order", [("quick", "usual", "slow"), ("slow", "usual", "quick")])
def test_the_time_left_is_right_by_30_percent_once_a_fifth_is_done(order: tuple[str, ...], jobs: int) -> None:
    work = Work(jobs)
    for kind in order:
        work.plan(kind, WORLDS[kind])
    chunks = own_order({kind: WORLDS[kind] for kind in order}, CHUNK)
    assert sum(count for _, count in chunks) == sum(WORLDS.values())
    assert wrong_by(simulated(work, chunks, jobs), since=0.2) < 0.3


def one_after_the_other(worlds: Mapping[str, int], size: int) -> Iterator[tuple[str, int]]:
    for kind, count in worlds.items():
        for first in range(0, count, size):
            yield kind, min(size, count - first)


def test_another_measurement_is_scaled_by_what_is_seen_here() -> None:
    work = Work(2)
    for kind, worlds in WORLDS.items():
        work.plan(kind, worlds)
        work.known_elsewhere(kind, 3.0 * COSTS[kind])  # measured on a machine that is three times slower
    told = simulated(work, list(one_after_the_other(WORLDS, CHUNK)), 2)
    assert wrong_by(told, since=0.2) < 0.3


def test_nothing_is_told_while_most_of_the_work_is_of_unknown_kinds() -> None:
    work = Work(2)
    for kind, worlds in WORLDS.items():
        work.plan(kind, worlds)
    told = simulated(work, list(one_after_the_other(WORLDS, CHUNK)), 2)
    # The mean of what is done would say a minute here, of what takes minutes.
    assert all(left is None for share, _, left in told if share < 6000 / 9200)
    assert wrong_by(told, since=0.9) < 0.3


def test_before_anything_is_done_an_earlier_run_tells() -> None:
    work = Work(2)
    work.plan("quick", 1000)
    assert work.seconds_left(0.0) is None
    work.known_elsewhere("quick", 0.02)
    assert work.seconds_left(0.0) == pytest.approx(10.0)


def test_a_time_that_has_run_out_is_told_no_longer() -> None:
    work = Work(1)
    work.plan("a", 10)
    work.did("a", 4, 4.0, 4.0)
    work.did("a", 4, 4.0, 8.0)
    assert work.seconds_left(8.0) == pytest.approx(2.0)
    assert work.seconds_left(9.5) == pytest.approx(0.5)
    assert work.seconds_left(30.0) is None  # and not "0 s" for as long as it takes


def test_work_that_nobody_planned_has_no_time_left() -> None:
    work = Work(1)
    work.did("log", 5, 1.0, 1.0)
    assert work.is_open
    assert work.seconds_left(1.0) is None


def test_of_several_batches_the_first_few_worlds_of_each_come_first() -> None:
    chunks = own_order({"quick": 100, "slow": 40, "one": 1}, 10)
    assert chunks[:3] == [("quick", 5), ("slow", 2), ("one", 1)]
    for kind, count in (("quick", 100), ("slow", 40), ("one", 1)):
        assert sum(worlds for of, worlds in chunks if of == kind) == count
    seeds = [
        seed
        for place, first, count in runner._chunks([Batch("a", "", 33, "sdk", first=7), Batch("b", "", 5, "sdk")], 4)
        if place == 0
        for seed in range(first, first + count)
    ]
    assert seeds == list(range(7, 40))
    assert all(one < other for one, other in pairwise(seeds))
