"""Which faults strike: by name, number, time and chance; and that each is counted exactly as often as it took effect."""

from __future__ import annotations

from fnmatch import fnmatchcase
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.sim.faults import AtOccasions, AtTimes, FaultPlan, When
from relaysim.sim.kernel import Draws
from relaysim.sim.kernel.distributions import Constant, Uniform

NAMES = ("runs.create", "runs.list", "messages.create")


class Fault(NamedTuple):
    """A fault of which only its conditions matter."""

    when: When


class Occasion(NamedTuple):
    """Something that faults watch; `key` keys its draws."""

    name: str
    now: float
    key: int


def meets(plan: FaultPlan[Fault], occasion: Occasion) -> int | None:
    """The fault that hits an occasion, by its draw."""
    return plan.first_hit(plan.watching(occasion.name), occasion.now, lambda position, _: draw(occasion, position))


def draw(occasion: Occasion, position: int) -> float:
    return Draws(1, 0).uniform("occasion", f"fault-{position}", occasion.key)


probabilities = st.sampled_from((0.0, 0.3, 0.8, 1.0))
windows = st.none() | st.tuples(st.integers(0, 8), st.integers(1, 8)).map(lambda pair: (pair[0], sum(pair)))
numbers = st.none() | st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple)
conditions = st.builds(
    AtOccasions,
    st.sampled_from(("*", "runs.*", "messages.create", "nothing")),
    probabilities,
    windows,
    numbers,
    st.none() | st.integers(1, 3),
    st.just(1.0),
)
fault_lists = st.lists(conditions.map(Fault), max_size=5)
occasions = st.builds(Occasion, st.sampled_from(NAMES), st.integers(0, 16).map(float), st.integers(0, 50))


def expected_hits(faults: list[Fault], met: list[Occasion]) -> list[int | None]:
    """The same from the conditions alone, read as they are documented."""
    hits: list[int | None] = []
    for index, occasion in enumerate(met):
        found = None
        for position, fault in reversed(list(enumerate(faults))):
            when = fault.when
            assert isinstance(when, AtOccasions)
            number = sum(fnmatchcase(each.name, when.pattern) for each in met[: index + 1])
            low, high = when.window_seconds or (0, 1000)
            if (
                fnmatchcase(occasion.name, when.pattern)
                and (when.nth is None or number in when.nth)
                and low <= occasion.now < high
                and (when.strikes_max is None or hits.count(position) < when.strikes_max)
                and draw(occasion, position) < when.probability
            ):
                found = position
        hits.append(found)
    return hits


@given(fault_lists, st.lists(occasions, max_size=25))
def test_the_first_fault_whose_conditions_all_hold_decides(faults: list[Fault], met: list[Occasion]) -> None:
    plan = FaultPlan(faults)
    hits = [meets(plan, occasion) for occasion in met]
    assert hits == expected_hits(faults, met)
    assert plan.fired == [hits.count(position) for position in range(len(faults))]


@given(
    st.lists(conditions.map(lambda when: Fault(when._replace(nth=None, strikes_max=None))), max_size=5),
    st.lists(occasions, max_size=25),
    st.randoms(),
)
def test_whoever_meets_the_same_occasion_meets_the_same_fault(
    faults: list[Fault], met: list[Occasion], random: Random
) -> None:
    first = FaultPlan(faults)
    found = {occasion: meets(first, occasion) for occasion in met}
    order = [each for each in met if random.random() < 0.7]
    random.shuffle(order)
    second = FaultPlan(faults)
    assert [meets(second, occasion) for occasion in order] == [found[occasion] for occasion in order]


@given(st.sets(st.integers(1, 30), min_size=1))
def test_the_nth_are_counted_among_the_occasions_watched_also_when_another_fault_decides(nth: set[int]) -> None:
    plan = FaultPlan([Fault(AtOccasions("runs.*", nth=(2, 5))), Fault(AtOccasions("*", nth=tuple(nth)))])
    hits = []
    for number in range(1, 31):
        assert meets(plan, Occasion("messages.create", 0.0, 0)) == (1 if 2 * number - 1 in nth else None)
        hits.append(meets(plan, Occasion("runs.create", 0.0, 0)))
    by_number = [0 if number in (2, 5) else 1 if 2 * number in nth else None for number in range(1, 31)]
    assert hits == by_number


def test_a_window_has_its_beginning_and_not_its_end() -> None:
    plan = FaultPlan([Fault(AtOccasions(window_seconds=(1.0, 2.0)))])
    times = (0.0, 0.999999, 1.0, 1.5, 1.999999, 2.0, 3.0)
    assert [meets(plan, Occasion("x", time, 0)) for time in times] == [None, None, 0, 0, 0, None, None]


@pytest.mark.parametrize(("probability", "drawn"), [(0.0, 0), (1.0, 0), (0.5, 3)])
def test_only_a_probability_between_0_and_1_needs_a_draw(probability: float, drawn: int) -> None:
    plan, asked = FaultPlan([Fault(AtOccasions(probability=probability))]), []

    def note(position: int, number: int) -> float:
        asked.append((position, number))
        return 0.5

    for _ in range(3):
        assert plan.first(plan.watching("x"), 0.0, note) == (0 if probability == 1.0 else None)
    assert asked == [(0, number) for number in range(1, 1 + drawn)]


@given(st.lists(st.booleans(), max_size=20), st.none() | st.integers(1, 5))
def test_what_strikes_has_fired_only_once_it_takes_effect(effects: list[bool], strikes_max: int | None) -> None:
    plan = FaultPlan([Fault(AtOccasions(strikes_max=strikes_max))])
    ((position, when),) = plan.watching("x")
    strikes = fired = 0
    for effect in effects:
        struck = plan.strikes(position, when, 0.0, lambda *_: 0.5)
        assert struck == (strikes_max is None or strikes < strikes_max)
        strikes += struck
        if struck and effect:
            plan.fire(position)
            fired += 1
        assert plan.fired == [fired]


def test_hits_is_a_strike_that_takes_effect_at_once() -> None:
    plan = FaultPlan([Fault(AtOccasions(nth=(2,)))])
    ((position, when),) = plan.watching("x")
    assert [plan.hits(position, when, 0.0, lambda *_: 0.5) for _ in range(3)] == [False, True, False]
    assert plan.fired == [1]


def test_after_a_stop_nothing_strikes_and_what_has_fired_stays_counted() -> None:
    plan = FaultPlan([Fault(AtOccasions())])
    assert meets(plan, Occasion("x", 0.0, 0)) == 0
    plan.stopped = True
    assert meets(plan, Occasion("x", 0.0, 0)) is None
    assert plan.fired == [1]
    assert plan.occasions(0) == 2


@given(fault_lists, st.lists(conditions.map(Fault), max_size=2), st.lists(occasions, max_size=30), st.data())
def test_a_changed_plan_goes_on_with_what_it_keeps_and_begins_with_what_is_new(
    faults: list[Fault], added: list[Fault], met: list[Occasion], data: st.DataObject
) -> None:
    kept = data.draw(st.lists(st.sampled_from(range(len(faults))), unique=True)) if faults else []
    half = len(met) // 2
    plan = FaultPlan(faults)
    for occasion in met[:half]:
        meets(plan, occasion)
    changed = plan.changed(kept, added)
    assert changed.faults == (*(faults[position] for position in kept), *added)
    assert changed.fired == [plan.fired[position] for position in kept] + [0] * len(added)
    before = list(changed.fired)
    # What the kept ones have counted goes on; of the plan that they come from nothing changes.
    unchanged = list(plan.fired)
    for occasion in met[half:]:
        numbers = [changed.occasions(position) for position in range(len(changed.faults))]
        hit = meets(changed, occasion)
        for position, fault in enumerate(changed.faults):
            watches = isinstance(fault.when, AtOccasions) and fnmatchcase(occasion.name, fault.when.pattern)
            assert changed.occasions(position) == numbers[position] + watches
        if hit is not None:
            before[hit] += 1
    assert changed.fired == before
    assert plan.fired == unchanged
    for place, position in enumerate(kept):
        when = faults[position].when
        assert isinstance(when, AtOccasions)
        assert changed.occasions(place) == sum(fnmatchcase(each.name, when.pattern) for each in met)


def test_a_changed_plan_keeps_a_limit_that_was_reached() -> None:
    plan = FaultPlan([Fault(AtOccasions("nothing")), Fault(AtOccasions(strikes_max=1))])
    assert meets(plan, Occasion("x", 0.0, 0)) == 1
    assert meets(plan.changed([1]), Occasion("x", 0.0, 0)) is None


@given(st.integers(0, 20), st.floats(0, 1), st.integers(0, 100))
def test_strikes_at_times_are_drawn_one_by_one(times: int, probability: float, seed: int) -> None:
    uniform = Draws(1, seed).uniform
    span = Uniform(kind="uniform", low=10.0, high=20.0)
    always = AtTimes(Constant(kind="constant", value=3.0), 2, 1.0)
    plan = FaultPlan([Fault(AtOccasions()), Fault(AtTimes(span, times, probability)), Fault(always)])
    strikes = plan.timed(
        lambda position, number: uniform(f"{position}", "strikes", number),
        lambda position, number: uniform(f"{position}", "at", number),
    )
    expected = [
        (1, number, 10.0 + 10.0 * uniform("1", "at", number))
        for number in range(times)
        if uniform("1", "strikes", number) < probability
    ]
    assert strikes == [*expected, (2, 0, 3.0), (2, 1, 3.0)]
    assert plan.fired == [0, 0, 0]
    assert plan.watching("x") == ((0, AtOccasions()),)
