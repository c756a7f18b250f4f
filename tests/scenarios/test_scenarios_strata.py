"""Goal: a rate put together from strata is the rate of the worlds as they come, and known better.

Method: a world whose only failure has a probability that can be written down, run with strata and without; intervals against
the exact distribution of two binomial counts; files with strata that cannot be.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenario_stand_ins import SMALL, observe, write
from scipy import stats

from relaysim.reports import betting
from relaysim.reports.claims import ClaimSpec, Tally
from relaysim.reports.results import build_results
from relaysim.reports.stratified import Stratum, judge_stratified, stratified_interval, stratified_rate
from relaysim.reports.verify_page import verify_html
from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.runner import Batch, ReplicationError, run_batches
from relaysim.scenarios.verdicts import verify_scenario
from relaysim.sim.world import WorldSettings, run_world
from relaysim.sim.world.strata import Strata

# The run in the way is stuck in 4 % of the worlds. Its cancel then takes 1 s in three quarters of them, which the first
# retry outlives, and 60 s in the others, which nothing does. Nothing else can fail: P(apology) = 0.04 / 4 = 1 %.
RARE = """
schema = 1
extends = "race"
name = "rare"
title = "An apology in one world of a hundred"
replications = 400
check_lanes = 0

[profile_overrides]
stuck_probability = 0.04

[profile_overrides.stuck_cancel_seconds]
kind = "mixture"
parts = [
    { weight = 3, distribution = { kind = "constant", value = 1.0 } },
    { weight = 1, distribution = { kind = "constant", value = 60.0 } },
]

[strata]
entity = "{c1}/run/0"
purpose = "stuck"
probability = "stuck_probability"

[[claims]]
id = "race-wait"
drop = true

[[claims]]
id = "transparent"
drop = true

[[claims]]
id = "log-lines"
drop = true

[[claims]]
id = "apology"
title = "an apology in fewer than one world of 20"
kind = "below"
event = "friendly_failure"
limit = 0.05
expect = "verified"
reason = "one world of 100"
"""
TRUE_RATE = 0.01


@pytest.fixture
def rare(tmp_path: Path) -> Scenario:
    return load(write(tmp_path, RARE, "rare.toml"))


@pytest.fixture
def plain(tmp_path: Path) -> Scenario:
    return load(write(tmp_path, RARE, "rare.toml"), ["strata.enabled=false"])


# What the strata do to the worlds


def test_strata_and_worlds_as_they_come_agree_with_the_known_rate_and_strata_know_it_better(
    rare: Scenario, plain: Scenario
) -> None:
    replications = 600
    (stratified,) = verify_scenario(rare, replications=replications)[0]["claims"]
    (as_they_come,) = verify_scenario(plain, replications=replications)[0]["claims"]
    for claim in (stratified, as_they_come):
        low, high = claim["interval"]
        assert low <= TRUE_RATE <= high
        assert claim["n"] == replications
        assert claim["verdict"] == "verified"
    widths = [high - low for low, high in (stratified["interval"], as_they_come["interval"])]
    # The weighed bounds pay for holding without an assumption; those of worlds as they come are exact.
    assert widths[0] < widths[1]
    stuck, others = stratified["strata"]
    assert (stuck["probability"], others["probability"]) == (0.04, 0.96)
    assert stuck["n"] == others["n"] == replications / 2
    assert others["count"] == 0
    assert stuck["observed"] == pytest.approx(0.25, abs=3 * (0.25 * 0.75 / 300) ** 0.5)
    assert stratified["observed"] == pytest.approx(0.04 * stuck["observed"])
    assert "strata" not in as_they_come


def test_a_replayed_seed_is_in_the_stratum_that_it_was_in(rare: Scenario) -> None:
    (claim,) = verify_scenario(rare, replications=60)[0]["claims"]
    for example in claim["examples"]:
        assert rare.strata is not None
        assert rare.strata.stratum_of(example["seed"]) == 0
        again = run_world(rare.world_settings(), root_seed=rare.root_seed, seed=example["seed"], lane="direct")
        assert again.fingerprint == example["fingerprint"]
        assert again.observation["counts"]["friendly_failure"] == 1
    assert claim["examples"]


def test_in_both_lanes_a_seed_is_in_the_same_stratum(rare: Scenario) -> None:
    entry, _ = verify_scenario(rare, replications=6, lane_check=6)
    assert entry["lane_check"] == {"seeds": 6, "equal": True}


def test_all_that_is_not_conditioned_is_drawn_as_ever(rare: Scenario, plain: Scenario) -> None:
    """A world whose run is not stuck anyway is the same world in the stratum of those."""
    for seed in (1, 3, 5):
        with_strata, without = (
            run_world(each.world_settings(), root_seed=each.root_seed, seed=seed, lane="direct")
            for each in (rare, plain)
        )
        assert rare.strata is not None
        assert rare.strata.stratum_of(seed) == 1
        assert with_strata.fingerprint == without.fingerprint


@pytest.mark.parametrize("replications", [400, 20])
def test_a_draw_that_nobody_asks_for_makes_it_inconclusive(tmp_path: Path, replications: int) -> None:
    """With few worlds it would be so anyway; but more of them would not help."""
    text = RARE.replace('purpose = "stuck"', 'purpose = "stcuk"')
    entry, _ = verify_scenario(load(write(tmp_path, text, "rare.toml")), replications=replications)
    (claim,) = entry["claims"]
    assert claim["verdict"] == "inconclusive"
    assert claim["why"] == "never met: strata[0] hit nothing"
    assert "needed_replications" not in claim


def test_the_same_results_however_the_seeds_are_cut(rare: Scenario) -> None:
    def stand_in(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
        return observe(settings, root_seed, seed, lane) | {"fault_hits": {"strata": [1]}}

    batch = Batch("main", rare.to_json(), 90, "direct", in_strata=True)
    whole = run_batches([batch], observe=stand_in, chunk_size=90)[0]["main"]
    assert run_batches([batch], observe=stand_in, chunk_size=7)[0]["main"] == whole
    assert sorted(whole.tallies) == ["apology", "apology@0", "apology@1"]
    assert whole.tallies["apology@0"].n + whole.tallies["apology@1"].n == whole.tallies["apology"].n == 90


def test_what_cannot_weigh_strata_does_not_count_them(rare: Scenario, plain: Scenario) -> None:
    with pytest.raises(
        ReplicationError, match=r"which `verify` and `sweep` alone weigh; add --set strata\.enabled=false"
    ):
        run_batches([Batch("main", rare.to_json(), 3, "direct")], observe=observe)
    assert run_batches([Batch("main", plain.to_json(), 3, "direct")], observe=observe)[0]["main"].replications == 3


def test_the_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, RARE, "rare.toml")
    assert main(["verify", path, "--sequential", "--jobs", "1", "--out", str(tmp_path / "out")]) == 2
    assert "has strata, which cannot be looked at while they come" in capsys.readouterr().err
    assert main(["compare", path, "--replications", "2", "--jobs", "1", "--out", str(tmp_path / "out")]) == 2
    assert "strata: only `verify` and `sweep` weigh strata, and this command counts worlds" in capsys.readouterr().err


def test_the_page_tells_the_strata_apart(rare: Scenario) -> None:
    page = verify_html(build_results("x", [verify_scenario(rare, replications=100)[0]]))
    assert "in a stratum of probability 0.04" in page
    assert "counts and waits are of the worlds that were run, and not weighed" in page


# Which replication is in which stratum


def test_every_stretch_of_seeds_has_each_stratum_in_about_its_share() -> None:
    strata = Strata(entity="e", purpose="p", edges=(0.0, 0.5, 0.75, 1.0), shares=(0.1, 0.3, 0.6))
    for first in (0, 1000, 123_456):
        for length in (100, 1000):
            found = Counter(strata.stratum_of(seed) for seed in range(first, first + length))
            for number, share in enumerate((0.1, 0.3, 0.6)):
                assert abs(found[number] - share * length) <= 10


def test_strata_without_shares_take_turns() -> None:
    strata = Strata(entity="e", purpose="p", probability="stuck_probability")
    assert [strata.stratum_of(seed) for seed in range(6)] == [0, 1, 0, 1, 0, 1]


def test_the_thread_that_is_named_is_the_conversations_own(rare: Scenario) -> None:
    assert rare.strata is not None
    (hits,) = run_world(rare.world_settings(), root_seed=1, seed=0, lane="direct").observation["fault_hits"]["strata"]
    assert hits >= 1
    assert rare.strata.conversations_named() == [1]


def test_a_scenarios_hash_knows_its_strata_and_nothing_else_changed() -> None:
    assert (
        load("race").hash != load("race", ["strata={entity='e', purpose='p', edges=[0.0,0.5,1.0], enabled=false}"]).hash
    )


# Files


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("strata.edges=[0.0, 0.5, 1.0]", "give either `edges` or `probability`"),
        ("strata.probability=stuck", "the profile has no number 'stuck'; did you mean `stuck_probability`"),
        ("profile_overrides.stuck_probability=0.0", "stuck_probability is 0, which leaves one part empty"),
        ("strata.shares=[0.5, 0.6]", "`shares` must be above 0, with a sum of 1"),
        ("strata.shares=[1.0]", "there are 2 parts, so `shares` must be 2 numbers, not 1"),
        ("strata.index=-1", "strata.index"),
        ("strata.entity='{c7}/run/0'", "strata.entity names conversation 7, but there are 1"),
        ("claims[0].among=messages", "claims[0].among: with strata, the trials of a claim are whole replications"),
        (
            "curve={x={path='workers[0].count', values=[1], name='x'}, claim='apology', band=[0.0,1.0], replications=3}",
            "curve: a scenario with strata has no map and no curve",
        ),
    ],
)
def test_strata_that_cannot_be_are_refused(tmp_path: Path, setting: str, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(write(tmp_path, RARE, "rare.toml"), [setting])
    assert said in str(caught.value)


@pytest.mark.parametrize("edges", [[0.0, 1.0], [0.1, 0.5, 1.0], [0.0, 0.7, 0.6, 1.0], [0.0, 0.5, 0.9]])
def test_edges_that_are_none_are_refused(tmp_path: Path, edges: list[float]) -> None:
    text = RARE.replace('probability = "stuck_probability"', f"edges = {edges}")
    with pytest.raises(ScenarioError, match="must rise from 0 to 1"):
        load(write(tmp_path, text, "rare.toml"))


def test_a_claim_about_values_has_no_strata(tmp_path: Path) -> None:
    text = SMALL + '\n[strata]\nentity = "e"\npurpose = "p"\nedges = [0.0, 0.5, 1.0]\n'
    with pytest.raises(ScenarioError, match="a claim is about how often something happens, not about values"):
        load(write(tmp_path, text), check_relay=False)


# The interval


@pytest.mark.parametrize("probability", [0.001, 0.02, 0.5])
@pytest.mark.parametrize("sizes", [(5, 20), (10, 10), (2, 40)])
def test_each_bound_misses_the_true_rate_as_rarely_as_promised(probability: float, sizes: tuple[int, int]) -> None:
    """Exactly: over all pairs of counts, with their binomial probabilities."""
    alpha = 0.05
    counts = [np.arange(size + 1) for size in sizes]
    bounds = np.array(
        [
            [
                stratified_interval(
                    [Stratum(probability, first, sizes[0]), Stratum(1 - probability, second, sizes[1])], alpha
                )
                for second in counts[1]
            ]
            for first in counts[0]
        ]
    )
    for rates in product((0.0, 0.01, 0.2, 0.5, 0.95, 1.0), (0.0, 0.001, 0.01, 0.1, 0.6, 1.0)):
        rate = probability * rates[0] + (1 - probability) * rates[1]
        chance = np.outer(*(stats.binom.pmf(*each) for each in zip(counts, sizes, rates, strict=True)))
        assert chance[bounds[:, :, 0] > rate + 1e-12].sum() <= alpha
        assert chance[bounds[:, :, 1] < rate - 1e-12].sum() <= alpha


def test_one_stratum_has_the_interval_of_worlds_as_they_come() -> None:
    alone = stratified_interval([Stratum(1.0, 7, 1000)], 0.025)
    expected = betting.bounds(betting.Worlds.counted({(1, 1): 7, (0, 1): 993}, 1), 0.025, planned=1000)
    assert alone == pytest.approx(expected, abs=1e-12)
    # Two strata that are run in proportion to their probabilities are worlds as they come.
    assert stratified_interval([Stratum(0.2, 3, 200), Stratum(0.8, 4, 800)], 0.025) == pytest.approx(
        expected, abs=1e-12
    )


def test_where_all_succeeds_the_absence_of_failures_says_more_than_the_successes() -> None:
    strata = [Stratum(0.02, 1000, 1000), Stratum(0.98, 1000, 1000)]
    low, high = stratified_interval(strata, 0.01, by_absence=True)
    assert low > 0.98
    assert high == 1


def test_the_absence_of_an_event_is_the_mirror_image() -> None:
    events = [Stratum(0.1, 3, 50), Stratum(0.9, 1, 80)]
    mirrored = [Stratum(each.probability, each.n - each.count, each.n) for each in events]
    low, high = stratified_interval(events, 0.01)
    assert stratified_interval(mirrored, 0.01, by_absence=True) == (pytest.approx(1 - high), pytest.approx(1 - low))
    assert stratified_rate(events) == pytest.approx(0.1 * 3 / 50 + 0.9 / 80)


def tally(count: int, n: int) -> Tally:
    return Tally.of_single_trials(count, n)


def spec(kind: str, **numbers: float) -> ClaimSpec:
    return ClaimSpec.from_mapping({"id": "x", "title": "x", "kind": kind, "event": "e", **numbers})


@pytest.mark.parametrize(
    ("claim", "counts", "verdict"),
    [
        (spec("below", limit=0.02), (200, 0), "verified"),
        (spec("below", limit=0.002), (200, 0), "refuted"),
        (spec("below", limit=0.004), (200, 0), "inconclusive"),
        (spec("above", limit=0.98), (800, 1000), "verified"),
        (spec("between", target=0.5, margin=0.1), (1000, 500), "verified"),
        (spec("never"), (0, 0), "verified"),
        (spec("never"), (1, 0), "refuted"),
        (spec("absent"), (0, 0), "verified"),
        (spec("absent"), (1, 0), "inconclusive"),
    ],
)
def test_verdicts_are_on_the_weighed_rate(claim: ClaimSpec, counts: tuple[int, int], verdict: str) -> None:
    entry = judge_stratified(claim, [tally(each, 1000) for each in counts], [0.02, 0.98])
    assert entry["verdict"] == verdict
    assert entry["observed"] == pytest.approx(0.02 * counts[0] / 1000 + 0.98 * counts[1] / 1000)
    low, high = entry["interval"]
    assert low <= entry["observed"] <= high
    assert (entry["count"], entry["n"]) == (sum(counts), 2000)


def test_what_would_decide_does() -> None:
    claim, probabilities = spec("below", limit=0.004), [0.02, 0.98]
    needed = judge_stratified(claim, [tally(150, 1000), tally(0, 1000)], probabilities)["needed"]
    half = round(needed * 1.01 / 2)  # with whole counts, a little more than with parts of them
    decided = judge_stratified(claim, [tally(round(0.15 * half), half), tally(0, half)], probabilities)
    assert decided["verdict"] == "verified"
    assert needed > 2000


def test_a_stratum_without_replications_decides_nothing() -> None:
    entry = judge_stratified(spec("below", limit=0.5), [tally(0, 1000), Tally()], [0.5, 0.5])
    assert (entry["verdict"], entry["interval"], entry["observed"]) == ("inconclusive", [0.0, 1.0], None)
    with pytest.raises(ValueError, match="a stratum needs trials"):
        stratified_rate([Stratum(0.5, 0, 0)])
