"""Shrinking: what is left still fails, nothing of it can be left out, and it is the same again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.scenarios.explore import shrinking
from relaysim.scenarios.explore.cases import Case, Trial, chains_of
from relaysim.scenarios.explore.delta_debugging import fewest
from relaysim.scenarios.explore.hunting import Breach
from relaysim.scenarios.explore.reductions import Reducer
from relaysim.scenarios.explore.shrinking import as_one_world, on_tape
from relaysim.scenarios.load import load
from relaysim.scenarios.runner import session
from relaysim.sim.kernel import DrawKey, Recording
from relaysim.sim.kernel.distributions import Constant
from relaysim.sim.world import Result, WorldSettings, run_world
from relaysim.sim.world.exploration import Tape
from relaysim.sim.world.settings import ScriptedMessage

SUBSETS = st.sets(st.integers(0, 11), max_size=4)


@given(st.lists(SUBSETS, min_size=1, max_size=4))
def test_what_is_left_fails_and_nothing_of_it_can_be_left_out(enough: list[set[int]]) -> None:
    """It fails with any one of several sets of items, and, in between, also with some that are of no use later."""
    tried: list[Sequence[int]] = []

    def fails(kept: Sequence[int]) -> bool:
        tried.append(kept)
        return any(each <= set(kept) for each in enough)

    left = fewest(range(12), fails)
    assert fails(left)
    assert not any(fails([other for other in left if other != each]) for each in left)
    assert left == fewest(range(12), fails)
    assert len(tried) < 400


KEYS = st.builds(DrawKey, st.sampled_from(["w1", "w2"]), st.sampled_from(["a fault-0", "b fault-1"]), st.integers(0, 9))


@given(st.dictionaries(KEYS, st.floats(0, 0.5), max_size=12))
def test_a_tape_of_chains_is_the_same_strikes(strikes: dict[DrawKey, float]) -> None:
    chains = chains_of(strikes)
    assert {key for chain in chains for key in chain.keys} == set(strikes)
    assert all(chain.value <= min(strikes[key] for key in chain.keys) for chain in chains)
    # No two of them could be one.
    ends = {(chain.entity, chain.purpose, chain.index + chain.times) for chain in chains}
    assert not ends & {(chain.entity, chain.purpose, chain.index) for chain in chains}
    drawn = Tape(seed=0, strikes=chains).draws(1)
    for key in strikes:
        assert drawn.rare(*key) <= strikes[key]
        after = key._replace(number=key.number + 1)
        assert after in strikes or drawn.rare(*after) > 0.9


@pytest.fixture(scope="module")
def settings() -> WorldSettings:
    return load("drain_faults").world_settings()


SHORT = [
    "workload.bursts.duration_seconds=20",
    "liveness.faults_stop_seconds=40",
    "liveness.settle_seconds=10",
]


@pytest.mark.parametrize(("strategy", "seed"), [("independent", 3), ("portfolio", 12), ("portfolio", 1)])
def test_a_world_on_its_tape_is_that_world(strategy: str, seed: int) -> None:
    """Also if its swarm has left out what would strike for certain (portfolio's seed 12 has a swarm, seed 1 has moments)."""
    scenario = load("drain_faults", [*SHORT, f"strategy={strategy}", "root_seed=2"])
    given, recording = scenario.world_settings(), Recording()
    with session(None):
        found = run_world(given, root_seed=2, seed=seed, lane="direct", recording=recording)
        case = on_tape(as_one_world(given, 2, seed), seed, recording)
        again = run_world(case.settings.model_copy(update={"tape": case.tape}), root_seed=2, seed=0, lane="direct")
    assert recording.strikes
    assert again.fingerprint == found.fingerprint
    assert again.observation["counts"] == found.observation["counts"]


def test_a_candidate_counts_only_if_the_same_goes_wrong(
    settings: WorldSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: dict[str, int] = {}
    observation = {"counts": counts, "details": {}}
    monkeypatch.setattr(shrinking, "run_world", lambda *_, **__: Result(observation, "", []))
    shrinker = shrinking._Shrinker(load("drain_faults"), 0, "breach_S4", "direct")
    case = Case(settings, 0, {}, {})
    for seed, (seen, fails) in enumerate(
        [({}, False), ({"breach_S1": 3}, False), ({"breach_S1": 1, "breach_S4": 1}, True)]
    ):
        counts.clear()
        counts.update(seen)
        trial = shrinker._run(replace(case, seed=seed))
        assert trial is not None
        assert (trial.breach is not None) is fails


class Needs:
    """Runs no world: a case fails if it has these strikes and durations, and messages of these customers."""

    def __init__(
        self, strikes: set[DrawKey], seconds: set[DrawKey], customers: list[int], runs_max: int = 3000
    ) -> None:
        self._strikes, self._seconds, self._customers = strikes, seconds, customers
        self.left = runs_max

    def run(self, case: Case) -> Trial | None:
        if self.left == 0:
            return None
        self.left -= 1
        written = [each.conversation for each in case.settings.workload.messages]
        enough = all(written.count(each) >= self._customers.count(each) for each in self._customers)
        fails = enough and self._strikes <= set(case.strikes) and self._seconds <= set(case.seconds)
        recording = Recording()
        for key in case.strikes:
            recording.times.setdefault(key[:2], {})[key.number] = float(key.number)
        recording.seconds = {key: (each, 1.0) for key, each in case.seconds.items()}
        breach = Breach("breach_S1", "it went wrong", f"c{self._customers[0]}") if fails else None
        return Trial(breach, Result({"fault_hits": {}}, "", []), recording)


def _messages(customers: list[int]) -> tuple[ScriptedMessage, ...]:
    return tuple(
        ScriptedMessage(conversation=each, at_seconds=Constant(kind="constant", value=place))
        for place, each in enumerate(customers)
    )


def _reduced(needs: Needs, case: Case, failing: Trial) -> Case:
    reducer = Reducer(needs.run, case, failing)
    reducer.trim()
    reducer.reduce({})
    assert needs.left == 0 or not reducer.is_over
    return reducer.case


@given(
    strikes=st.sets(KEYS, max_size=12),
    durations=st.sets(KEYS, max_size=6),
    needed=st.data(),
    customers=st.lists(st.integers(1, 3), min_size=1, max_size=8),
)
def test_a_case_is_left_with_what_it_needs(
    settings: WorldSettings, strikes: set[DrawKey], durations: set[DrawKey], needed: st.DataObject, customers: list[int]
) -> None:
    def part_of(keys: set[DrawKey]) -> set[DrawKey]:
        return needed.draw(st.sets(st.sampled_from(sorted(keys)))) if keys else set()

    wanted = needed.draw(st.lists(st.sampled_from(customers), min_size=1, max_size=2))
    wanted = [each for place, each in enumerate(wanted) if wanted[: place + 1].count(each) <= customers.count(each)]
    needs = Needs(part_of(strikes), part_of(durations), wanted)
    workload = settings.workload.model_copy(update={"bursts": None, "messages": _messages(customers)})
    case = Case(
        settings.model_copy(update={"workload": workload}),
        0,
        dict.fromkeys(sorted(strikes), 0.01),
        dict.fromkeys(sorted(durations), 7.0),
    )
    failing = needs.run(case)
    assert failing is not None
    assert failing.breach is not None
    left = _reduced(needs, case, failing)
    assert needs.left > 0
    assert needs._seconds <= set(left.seconds)
    assert len(chains_of(left.seconds, alike=True)) <= len(chains_of(dict.fromkeys(needs._seconds, 7.0), alike=True))
    # A gap between strikes of one kind may be filled, so that they are one choice.
    assert needs._strikes <= set(left.strikes)
    assert len(chains_of(left.strikes)) <= len(chains_of(dict.fromkeys(needs._strikes, 0.0)))
    assert sorted(each.conversation for each in left.settings.workload.messages) == sorted(wanted)
    again = _reduced(needs, case, failing)
    assert (again.strikes, again.seconds, again.settings) == (left.strikes, left.seconds, left.settings)


@given(st.integers(0, 60))
def test_where_no_more_may_be_run_what_is_left_still_fails(settings: WorldSettings, runs_max: int) -> None:
    keys = [DrawKey("w1", "a fault-0", number) for number in range(8)]
    needs = Needs({keys[2], keys[5]}, set(), [1], runs_max + 1)
    workload = settings.workload.model_copy(update={"bursts": None, "messages": _messages([1, 2, 1])})
    case = Case(settings.model_copy(update={"workload": workload}), 0, dict.fromkeys(keys, 0.01), {})
    failing = needs.run(case)
    assert failing is not None
    left = _reduced(needs, case, failing)
    needs.left = 1
    again = needs.run(left)
    assert again is not None
    assert again.breach is not None
