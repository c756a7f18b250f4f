"""Gates that can fail: each promise, and the same promise on something broken on purpose.

Every row of the table is judged twice, as shipped and broken. A row in which the verdict stays the same is a gate that
guards nothing.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from relaysim.reports.claims import ClaimSpec, Tally, judge
from relaysim.reports.statistics import clopper_pearson, success_at
from relaysim.scenarios.load import load
from relaysim.scenarios.runner import Batch, run_batches
from relaysim.sim.openai import ApiError, errors
from relaysim.sim.openai.calibration import share_free, times_to_retries
from relaysim.sim.openai.profile import load_profile
from relaysim.sim.world import Session, run_world


def verdict(scenario: str, claim: str, replications: int, sets: tuple[str, ...] = ()) -> str:
    """The verdict on one claim of a scenario, from this many replications; without its map and curve."""
    loaded = load(scenario, sets=sets)
    (spec,) = (each.spec() for each in loaded.claims if each.id == claim)
    batch = Batch("main", loaded.to_json(), replications, "direct", (claim,))
    summaries, _ = run_batches([batch], jobs=2)
    return str(judge(spec, summaries["main"].tallies[claim])["verdict"])


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
    assert verdict(scenario, claim, replications) == "verified"
    assert verdict(scenario, claim, replications, sets) == "refuted", broken


def test_a_first_retry_at_88_percent_is_no_90_percent() -> None:
    """Time-to-free at p = 0.88: two points off, one point of margin, 20,000 trials."""
    n = 20_000
    assert verdict("incident", "first-retry", n) == "verified"
    slower = f"profile_overrides.cancel_seconds.median={median_for(0.88)}"
    assert verdict("incident", "first-retry", n, (slower,)) == "refuted"


def test_without_retries_nothing_recovers() -> None:
    sets = ("relay.settings.attempts=1",)
    assert verdict("incident", "first-retry", 1000, sets) == "refuted"
    assert verdict("incident", "second-retry", 1000, sets) == "refuted"
    assert verdict("incident", "polite-failure", 1000, sets) == "refuted"


def test_a_backend_that_words_its_refusal_otherwise_is_not_recovered_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refused append says what a refused creation says: the relay no longer knows what it met."""

    def swapped(thread_id: str, run_id: str) -> ApiError:
        return errors.run_while_active(thread_id, run_id)

    assert verdict("race", "race-wait", 20) == "verified"
    assert verdict("race", "log-lines", 20) == "verified"
    monkeypatch.setattr(errors, "append_while_active", swapped)
    assert verdict("race", "race-wait", 20) == "refuted"
    assert verdict("race", "log-lines", 20) == "refuted"


def test_independent_retries_agree_with_the_closed_form(tmp_path: Path) -> None:
    """With a memoryless time-to-free and equal time between attempts, retries are independent: P(k) = (1-p)^(k-1) p."""
    request, mean, gap = 0.25, 2.0, 2.5
    probability = -math.expm1(-gap / mean)
    # From the cancel's processing to the first retry's: half a request, the wait, half a request. After that: the rest
    # of the refused append, the refused cancel, the wait, half an append.
    waits = [gap - request, gap - 2 * request, gap - 2 * request, gap - 2 * request, 1.0]
    file = tmp_path / "memoryless.toml"
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
    scenario = load(str(file))
    settings = scenario.world_settings()
    n = 3000
    recovered: dict[int, int] = {}
    with Session():
        for seed in range(n):
            counts = run_world(settings, root_seed=scenario.root_seed, seed=seed, lane="direct").observation["counts"]
            assert counts["met_active_run"] == 1
            attempt = counts["conflicts"] + 1 if counts["not_recovered"] == 0 else 0
            recovered[attempt] = recovered.get(attempt, 0) + 1
    for retry in (1, 2, 3, 4):
        low, high = clopper_pearson(recovered[retry + 1], n, 0.001)
        assert low <= success_at(retry, probability) <= high, (retry, recovered)
    low, high = clopper_pearson(recovered[0], n, 0.001)
    assert low <= (1 - probability) ** 4 <= high


def test_incidents_outcome_is_never_drawn() -> None:
    """Every replication has exactly one conflict, and what becomes of it follows from the drawn time alone."""
    scenario = load("incident")
    settings = scenario.world_settings()
    seen: set[str] = set()
    with Session():
        for seed in range(400):
            result = run_world(settings, root_seed=scenario.root_seed, seed=seed, lane="direct", keep_trace=seed < 60)
            counts = result.observation["counts"]
            assert counts["met_active_run"] == 1
            seen.update(name for name in ("recovered_at_2", "recovered_at_3", "friendly_failure") if counts[name])
            if result.records is not None:
                assert counts["recovered_at_2"] == (1 if _free_in_time(result.records) else 0)
    assert seen == {"recovered_at_2", "recovered_at_3", "friendly_failure"}


def _free_in_time(records: list[tuple[float, str, str, tuple[Any, ...]]]) -> bool:
    """Whether the cancelled run had ended when the second append was processed."""
    appends = {
        fields[0]
        for _, _, kind, fields in records
        if kind == "request" and fields[1:3] == ("c1.m2#1", "messages.create")
    }
    served = [time for time, _, kind, fields in records if kind == "served" and fields[0] in appends]
    cancelled = [time for time, _, kind, fields in records if kind == "run.state" and fields[2] == "cancelled"]
    return cancelled[0] <= served[1]


def test_a_claim_that_met_nothing_is_inconclusive_not_passed() -> None:
    spec = ClaimSpec(id="x", title="x", kind="never", event="log_mismatch", among="met_active_run")
    assert judge(spec, Tally())["verdict"] == "inconclusive"
