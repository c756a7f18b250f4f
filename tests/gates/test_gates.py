"""Gates that can fail: each promise, and the same promise on something broken on purpose.

Every row of the table is judged twice, as shipped and broken. A row in which the verdict stays the same is a gate that
guards nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from scipy.stats import kstest

from relaysim.reports.claims import ClaimSpec, Tally, judge
from relaysim.reports.statistics import clopper_pearson
from relaysim.scenarios.load import load
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.runner import Batch, run_batches
from relaysim.sim.backends.calibration import share_free, times_to_retries
from relaysim.sim.backends.profile import load_profile
from relaysim.sim.backends.threads import thread_errors
from relaysim.sim.doors import ApiError
from relaysim.sim.kernel import Draws
from relaysim.sim.world import Result, Session, run_world

pytestmark = pytest.mark.usefixtures("one_session")

RARE_SEED = 295
"""A world of `incident` in which the cancelled run outlives both retries: one in a hundred. After a change that moves draws
look for another."""


def verdicts(scenario: str, claims: tuple[str, ...], replications: int, sets: tuple[str, ...] = ()) -> dict[str, str]:
    """The verdicts on claims of a scenario, from this many replications; without its map and curve."""
    loaded = load(scenario, sets=sets)
    specs = {each.id: each.spec() for each in loaded.claims if each.id in claims}
    summaries, _ = run_batches([Batch("main", loaded.to_json(), replications, "direct", claims)], jobs=1)
    return {claim: str(judge(specs[claim], summaries["main"].tallies[claim])["verdict"]) for claim in claims}


def verdict(scenario: str, claim: str, replications: int, sets: tuple[str, ...] = ()) -> str:
    """The verdict on one claim."""
    return verdicts(scenario, (claim,), replications, sets)[claim]


@cache
def shipped_verdict(scenario: str, claim: str, replications: int) -> str:
    """The verdict on a scenario as it is shipped: several rows ask for the same one."""
    return verdict(scenario, claim, replications)


def relay_of(name: str) -> str:
    return f'relay.factory="broken_relays:{name}"'


def median_for(share: float) -> float:
    """The median time-to-free at which this share of conflicts is over at the first retry."""
    profile = load_profile("claimed")
    assert profile.cancel_seconds.kind == "lognormal"
    first, _ = times_to_retries(profile, 4000)
    low, high = 0.1, 10.0
    for _ in range(30):
        middle = math.sqrt(low * high)
        high, low = (
            (high, middle) if share_free(first, middle, profile.cancel_seconds.log_sigma) > share else (middle, low)
        )
    return low


SHORT_PAIR = """
schema = 1
extends = "rapid_pair"
name = "short_pair"
title = "the rapid pair with runs that end before anybody loses patience"
profile_overrides = { run_seconds = 3.0 }
"""

BROKEN: list[tuple[str, str, str, int, tuple[str, ...]]] = [
    # what is broken, scenario, claim, replications, how
    ("no retry", "stuck_run", "stuck-wait", 20, ("relay.settings.attempts=1",)),
    ("no retry", "persistent_failure", "persistent-wait", 20, ("relay.settings.attempts=1",)),
    ("no lock", "short_pair", "locks-hold", 20, (relay_of("unlocked"),)),
    ("texts swapped", "persistent_failure", "persistent-wait", 20, (relay_of("swaps_its_texts"),)),
    ("first wait 1 s", "race", "race-wait", 20, ("relay.settings.first_wait_seconds=1",)),
    ("first wait 1 s", "stuck_run", "stuck-wait", 20, ("relay.settings.first_wait_seconds=1",)),
    ("no last wait", "persistent_failure", "persistent-wait", 20, ("relay.settings.wait_after_last_failure=false",)),
    ("refused cancel raised", "stuck_run", "stuck-wait", 20, ('relay.settings.cancel_error="raise"',)),
    ("cancel without its thread", "race", "race-wait", 20, ("relay.settings.cancel_with_thread_id=false",)),
    ("reply sent twice", "stuck_run", "transparent", 20, (relay_of("replies_twice"),)),
    ("no text sent", "stuck_run", "transparent", 20, (relay_of("stays_silent"),)),
    ("a line of the log reworded", "race", "log-lines", 20, (relay_of("makes_up_log_lines"),)),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "scenario", "claim", "replications", "sets"), BROKEN)
def test_a_promise_is_verified_as_shipped_and_refuted_when_broken(
    broken: str,
    scenario: str,
    claim: str,
    replications: int,
    sets: tuple[str, ...],
    gates_on_path: None,
    tmp_path: Path,
) -> None:
    if scenario == "short_pair":
        scenario = str(tmp_path / "short_pair.toml")
        Path(scenario).write_text(SHORT_PAIR, encoding="utf-8")
    assert shipped_verdict(scenario, claim, replications) == "verified"
    assert verdict(scenario, claim, replications, sets) == "refuted", broken


@dataclass(frozen=True)
class Conflict:
    """What one world of `incident` showed of its conflict, in seconds of virtual time."""

    until_free: float
    """From the cancel's processing until the thread was free."""
    until_retry: float
    """From the cancel's processing until the second append's."""
    counts: dict[str, int]

    @property
    def recovered_at_first_retry(self) -> bool:
        return self.counts["recovered_at_2"] == 1


def conflict_of(result: Result) -> Conflict:
    """Read from the trace."""
    assert result.records is not None
    appends = {
        fields[0]
        for _, _, kind, fields in result.records
        if kind == "request" and fields[1:3] == ("c1.m2#1", "messages.create")
    }
    served = [time for time, _, kind, fields in result.records if kind == "served" and fields[0] in appends]
    cancelling, cancelled = (
        next(time for time, _, kind, fields in result.records if kind == "run.state" and fields[2] == state)
        for state in ("cancelling", "cancelled")
    )
    return Conflict(cancelled - cancelling, served[1] - cancelling, result.observation["counts"])


@cache
def conflicts(seeds: range, median_seconds: float | None = None) -> list[Conflict]:
    """The conflicts of these worlds of `incident`, at another median time-to-free if one is given."""
    sets = () if median_seconds is None else (f"profile_overrides.cancel_seconds.median={median_seconds}",)
    scenario = load("incident", sets=sets)
    settings = scenario.world_settings()
    with Session():
        return [
            conflict_of(run_world(settings, root_seed=scenario.root_seed, seed=seed, lane="direct", keep_trace=True))
            for seed in seeds
        ]


def first_retry_verdict(median_seconds: float) -> str:
    """The verdict on `first-retry` from 20,000 trials, of which as many recover as the worlds' own times say.

    A world's outcome follows from its drawn time-to-free (see below), so that the share is the probability that the drawn
    time is shorter than the time until the retry, averaged over worlds: far more exact than to count which recovered.
    """
    cancel_seconds = load_profile("claimed").cancel_seconds
    assert cancel_seconds.kind == "lognormal"
    n = 20_000
    times = [each.until_retry for each in conflicts(range(100), median_seconds)]
    count = round(n * share_free(times, median_seconds, cancel_seconds.log_sigma))
    (spec,) = (each.spec() for each in load("incident").claims if each.id == "first-retry")
    tally = Tally.of_single_trials(count, n)
    return str(judge(spec, tally)["verdict"])


def test_a_first_retry_at_88_percent_is_no_90_percent() -> None:
    """Time-to-free at p = 0.88: two points off, one point of margin, 20,000 trials."""
    shipped = load_profile("claimed").cancel_seconds
    assert shipped.kind == "lognormal"
    assert first_retry_verdict(shipped.median) == "verified"
    assert first_retry_verdict(median_for(0.88)) == "refuted"


@pytest.mark.soak
def test_twenty_thousand_worlds_at_88_percent_are_no_90_percent() -> None:
    """The same from whole worlds, counted and not computed."""
    n = 20_000
    assert verdict("incident", "first-retry", n) == "verified"
    slower = f"profile_overrides.cancel_seconds.median={median_for(0.88)}"
    assert verdict("incident", "first-retry", n, (slower,)) == "refuted"


def test_without_retries_nothing_recovers() -> None:
    sets = ("relay.settings.attempts=1",)
    claims = ("first-retry", "second-retry", "polite-failure")
    assert verdicts("incident", claims, 100, sets) == dict.fromkeys(claims, "refuted")


def test_a_backend_that_words_its_refusal_otherwise_is_not_recovered_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refused append says what a refused creation says: the relay no longer knows what it met."""

    def swapped(thread_id: str, run_id: str) -> ApiError:
        return thread_errors.run_while_active(thread_id, run_id)

    assert verdict("race", "race-wait", 20) == "verified"
    assert verdict("race", "log-lines", 20) == "verified"
    monkeypatch.setattr(thread_errors, "append_while_active", swapped)
    assert verdict("race", "race-wait", 20) == "refuted"
    assert verdict("race", "log-lines", 20) == "refuted"


MEAN_SECONDS, GAP_SECONDS = 2.0, 2.5


def attempt_of(counts: dict[str, int]) -> int:
    """The attempt that recovered, 0 if none did."""
    return counts["conflicts"] + 1 if counts["not_recovered"] == 0 else 0


def memoryless(folder: Path) -> Scenario:
    """`incident` with a memoryless time-to-free and equal time between attempts, so that retries are independent."""
    request, mean, gap = 0.25, MEAN_SECONDS, GAP_SECONDS
    # From the cancel's processing to the first retry's: half a request, the wait, half a request. After that: the rest
    # of the refused append, the refused cancel, the wait, half an append.
    waits = [gap - request, gap - 2 * request, gap - 2 * request, gap - 2 * request, 1.0]
    file = folder / "memoryless.toml"
    file.write_text(
        f"""
        schema = 1
        extends = "incident"
        name = "memoryless"
        title = "retries that know nothing of each other"
        map = {{ drop = true }}
        profile_overrides.cancel_seconds = {{ kind = "exponential", mean = {mean} }}
        profile_overrides.request_seconds = {request}
        relay.settings = {{ attempts = 5, waits = {waits} }}
        """,
        encoding="utf-8",
    )
    return load(str(file))


def test_independent_retries_agree_with_the_closed_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt that finds the thread free is the first after the drawn time, and times are drawn without memory."""
    uniforms: list[float] = []
    draw = Draws.uniform

    def watched(self: Draws, entity: str, purpose: str, index: int | None = None) -> float:
        drawn = draw(self, entity, purpose, index)
        if purpose == "cancel-seconds":
            uniforms.append(drawn)
        return drawn

    monkeypatch.setattr(Draws, "uniform", watched)
    scenario = memoryless(tmp_path)
    settings = scenario.world_settings()
    attempts: set[int] = set()
    with Session():
        for seed in range(400, 550):
            result = run_world(settings, root_seed=scenario.root_seed, seed=seed, lane="direct", keep_trace=True)
            conflict = conflict_of(result)
            assert conflict.until_free == pytest.approx(-MEAN_SECONDS * math.log(1 - uniforms[-1]), abs=1e-5)
            assert conflict.until_retry == pytest.approx(GAP_SECONDS, abs=0.01)
            gaps = conflict.until_free / GAP_SECONDS
            # Locks and the relay's own steps take milliseconds: a time that ends with a gap may go either way.
            if abs(gaps - round(gaps)) > 0.02:
                expected = math.ceil(gaps) + 1
                assert attempt_of(conflict.counts) == (expected if expected <= 5 else 0)
                attempts.add(attempt_of(conflict.counts))
    assert len(uniforms) == 150
    assert attempts == {0, 2, 3, 4, 5}
    # So the k-th retry is the first that finds the thread free with P(k) = (1-p)^(k-1) p, p = 1 - exp(-gap / mean), if
    # draws are uniform.
    assert kstest(uniforms, "uniform").pvalue > 0.001


@pytest.mark.soak
def test_three_thousand_worlds_of_independent_retries_agree_with_the_closed_form(tmp_path: Path) -> None:
    """The same from whole worlds: the share that each retry recovers, counted."""
    probability = -math.expm1(-GAP_SECONDS / MEAN_SECONDS)
    scenario = memoryless(tmp_path)
    settings = scenario.world_settings()
    n = 3000
    recovered: dict[int, int] = {}
    with Session():
        for seed in range(n):
            counts = run_world(settings, root_seed=scenario.root_seed, seed=seed, lane="direct").observation["counts"]
            assert counts["met_active_run"] == 1
            recovered[attempt_of(counts)] = recovered.get(attempt_of(counts), 0) + 1
    for retry in (1, 2, 3, 4):
        low, high = clopper_pearson(recovered[retry + 1], n, 0.001)
        assert low <= (1 - probability) ** (retry - 1) * probability <= high, (retry, recovered)
    low, high = clopper_pearson(recovered[0], n, 0.001)
    assert low <= (1 - probability) ** 4 <= high


def test_incidents_outcome_is_never_drawn() -> None:
    """Every replication has exactly one conflict, and what becomes of it follows from the drawn time alone."""
    outcomes = ("recovered_at_2", "recovered_at_3", "friendly_failure")
    seen: set[str] = set()
    for conflict in [*conflicts(range(100), None), *conflicts(range(RARE_SEED, RARE_SEED + 1))]:
        assert conflict.counts["met_active_run"] == 1
        assert conflict.recovered_at_first_retry == (conflict.until_free <= conflict.until_retry)
        assert sum(conflict.counts[name] for name in outcomes) == 1
        seen.update(name for name in outcomes if conflict.counts[name])
    assert seen == set(outcomes)


def test_a_claim_that_met_nothing_is_inconclusive_not_passed() -> None:
    spec = ClaimSpec(id="x", title="x", kind="never", event="log_mismatch", among="met_active_run")
    assert judge(spec, Tally())["verdict"] == "inconclusive"
