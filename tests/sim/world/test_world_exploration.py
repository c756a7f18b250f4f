"""Strategies: worlds that are drawn to meet unlikely orders, and are functions of their seeds all the same."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import pytest

from relaysim.scenarios.load import load
from relaysim.scenarios.problems import ScenarioError
from relaysim.sim.kernel import Draws
from relaysim.sim.world import WorldSettings, run_world
from relaysim.sim.world.exploration import BOUNDS, STRATEGIES, ExploringDraws, mixture_of
from relaysim.sim.world.explored_faults import explored

pytestmark = pytest.mark.usefixtures("one_session")

EXPLORING = [each for each in STRATEGIES if each != "independent"]


@cache
def settings(strategy: str, scenario: str = "drain_faults") -> WorldSettings:
    return load(scenario, [f"strategy={strategy}"]).world_settings()


@cache
def short(strategy: str) -> WorldSettings:
    """A world of `drain_faults` that ends soon."""
    sets = ["first_seconds=1", "duration_seconds=20", "messages_mean=3"]
    sets = [f"workload.bursts.{each}" for each in sets]
    sets += ["liveness.faults_stop_seconds=30", "workload.conversations=1", f"strategy={strategy}"]
    return load("drain_faults", sets).world_settings()


@pytest.mark.parametrize("strategy", EXPLORING)
def test_a_seed_is_one_world_under_every_strategy_and_another_one_than_without(strategy: str) -> None:
    made = short(strategy)
    worlds = [run_world(made, root_seed=3, seed=seed, lane="direct").fingerprint for seed in (1, 2, 1)]
    assert worlds[0] == worlds[2] != worlds[1]
    assert worlds[0] != run_world(short("independent"), root_seed=3, seed=1, lane="direct").fingerprint


def test_both_lanes_draw_the_same_world() -> None:
    for seed in (1, 2):
        lanes = [run_world(short("portfolio"), root_seed=3, seed=seed, lane=lane) for lane in ("direct", "sdk")]
        assert lanes[0].fingerprint == lanes[1].fingerprint


@pytest.mark.parametrize("strategy", ["speed-classes", "pct", "surw"])
def test_durations_stay_within_their_bounds_and_are_drawn_over_decades(strategy: str) -> None:
    def sampler(u: float) -> float:
        return 0.001 * 2.0 ** NormalDist().inv_cdf(u)

    bounds = BOUNDS["redis"]
    made: list[float] = []
    for seed in range(300):
        exploring, plain = ExploringDraws(1, seed, mixture_of(strategy, Draws(1, seed)).latencies), Draws(1, seed)  # type: ignore[arg-type]
        for index in range(3):
            drawn = plain.seconds(sampler, "worker-1", "redis SET k", index)
            seconds = exploring.seconds(sampler, "worker-1", "redis SET k", index)
            assert drawn * bounds.least_factor <= seconds <= max(drawn, bounds.longest_seconds)
            made.append(seconds)
            # What is not in the table is no latency, and stays.
            assert exploring.seconds(sampler, "host-fault-0", "seconds", index) == plain.seconds(
                sampler, "host-fault-0", "seconds", index
            )
    assert max(made) / min(made) > 1000


def test_a_flow_keeps_its_speed_and_a_worker_under_pct_changes_it() -> None:
    def constant(u: float) -> float:
        return 1e-3

    classes = ExploringDraws(1, 0, "speed-classes")
    assert len({classes.seconds(constant, "worker-1", "redis SET k", index) for index in range(64)}) == 1
    kept = 0
    for seed in range(20):
        pct = ExploringDraws(1, seed, "pct")
        speeds = [pct.seconds(constant, "worker-1", "redis SET k", index) for index in range(64)]
        assert 1 <= len(set(speeds)) <= 3
        kept += len(set(speeds)) == 1
        assert speeds[0] != speeds[-1] or kept
    assert kept < 5


def test_faults_keep_their_places_and_no_kind_comes_in_that_the_scenario_does_not_name() -> None:
    for seed in range(20):
        for strategy in ("swarm", "moments"):
            given = settings(strategy)
            made, _ = explored(given, 1, seed)
            for name in ("faults", "host_faults", "redis_faults", "webhook_faults", "send_faults"):
                before, after = getattr(given, name) + getattr(given.explored, name), getattr(made, name)
                assert [fault.kind for fault in after] == [fault.kind for fault in before]
                assert all(0 <= fault.probability <= 1 for fault in after)
                # Whoever checks a file would let them pass.
                assert [type(fault).model_validate(fault.model_dump(exclude_defaults=True)) for fault in after] == list(
                    after
                )
            assert made.swarm is None
    race = settings("moments", "race")
    made, _ = explored(race, 1, 0)
    assert not made.host_faults
    assert not made.redis_faults


def test_explored_worlds_have_other_values_now_and_then_and_others_never() -> None:
    def drawn(strategy: str) -> set[tuple[object, ...]]:
        worlds = [explored(settings(strategy), 1, seed)[0] for seed in range(60)]
        return {
            (
                made.relay.settings.get("creations_max"),
                made.workload.conversations,
                made.profile.runs_per_minute,
            )
            for made in worlds
        }

    creations, conversations, per_minute = map(set, zip(*drawn("moments"), strict=True))
    assert creations == {None, 1, 2}
    assert conversations == {1, 2, 3, 5}
    assert per_minute == {None, 6}
    # The scenario's own worlds have nothing of it, so that what it is called by stays too.
    plain = load("drain_faults", ["explored={vary={}}"])
    assert plain.hash == load("drain_faults").hash


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            "relay.factory",
            "[1]",
            "'relay.factory' cannot vary: name relay.settings.NAME, workload.NAME, profile.NAME or redis.NAME",
        ),
        ("workload.conversations", "[]", "has no other value"),
        ("workload.conversations", "[0]", "workload.conversations = 0: Input should be greater than or equal to 1"),
        (
            "profile.stuck_probability",
            "[2.0]",
            "profile.stuck_probability = 2.0: Input should be less than or equal to 1",
        ),
        ("profile.stuck_probabilty", "[0.5]", "there is no profile.stuck_probabilty"),
    ],
)
def test_what_cannot_vary_is_refused_with_its_place(path: str, value: str, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load("race", [f'explored.vary={{"{path}" = {value}}}'])
    assert said in str(caught.value)


def test_the_settings_of_another_relay_do_not_vary() -> None:
    made = load("drain_faults", factory="relaysim.relay:cancel_and_retry")
    assert {each.partition(".")[0] for each in made.explored.vary} == {"workload", "profile"}


def test_the_portfolio_takes_something_of_everything() -> None:
    mixtures = {mixture_of("portfolio", Draws(1, seed)) for seed in range(200)}
    assert {each.latencies for each in mixtures} == {"drawn", "speed-classes", "pct", "surw"}
    assert {each.faults for each in mixtures} == {"given", "swarm", "moments"}


def test_strata_describe_no_world_of_a_strategy() -> None:
    with pytest.raises(ScenarioError, match=r"set strata\.enabled=false"):
        load("rare_stuck", ["strategy=pct"])
    assert load("rare_stuck", ["strategy=pct", "strata.enabled=false"]).strategy == "pct"


def test_a_strategy_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ScenarioError, match="speed-classes"):
        load("race", ["strategy=fast"])


def test_scenarios_without_a_strategy_keep_their_hash() -> None:
    assert load("drain_faults").hash == load("drain_faults", ["strategy=independent"]).hash
    assert load("drain_faults").hash != load("drain_faults", ["strategy=pct"]).hash
