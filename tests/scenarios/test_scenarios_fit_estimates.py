"""Goal: the profile behind a log is found again, as surely as its intervals say; what a log cannot tell is not made up.

Method: logs of known backends, by the arithmetic of the retries and from whole worlds; and a likelihood whose best point is
known in closed form.
"""

from __future__ import annotations

import math
import random
from itertools import pairwise
from pathlib import Path

import pytest
from fit_logs import Backend, relay_log, stamp

from relaysim.relay.log_lines import PLAIN
from relaysim.scenarios.fit.estimates import Estimates, estimate, predicted
from relaysim.scenarios.fit.intervals import AMOUNTS_MAX, INTERVALS_MAX, Amounts, Intervals
from relaysim.scenarios.fit.likelihood import Observation, Parameter, fit_lognormal, turnbull
from relaysim.scenarios.fit.reading import FAILED, Reading, read_logs
from relaysim.scenarios.load import load
from relaysim.sim.backends.profile import load_profile
from relaysim.sim.kernel import Draws
from relaysim.sim.world import Session, run_world

TYPICAL = load_profile("typical")


def fitted(tmp_path: Path, text: str) -> tuple[Estimates, Reading]:
    path = tmp_path / "relay.log"
    path.write_text(text, encoding="utf-8")
    reading = read_logs([str(path)])
    return estimate(reading, TYPICAL), reading


def holds(parameter: Parameter, value: float) -> bool:
    assert parameter.low is not None
    assert parameter.high is not None
    return parameter.low <= value <= parameter.high


# The truth is found again


def drawn(number: int) -> Backend:
    draws = Draws(20251104, 1)
    return Backend(
        median=0.4 * 6 ** draws.uniform("fit", "median", number), sigma=0.8 + draws.uniform("fit", "sigma", number)
    )


@pytest.mark.parametrize(
    ("numbers", "held"), [(range(5), 4), pytest.param(range(20), 18, marks=pytest.mark.soak)], ids=["five", "twenty"]
)
def test_drawn_profiles_lie_in_their_intervals(tmp_path: Path, numbers: range, held: int) -> None:
    medians = sigmas = 0
    for number in numbers:
        backend = drawn(number)
        found, reading = fitted(tmp_path, relay_log(backend, 2000, number))
        assert (reading.ended, reading.joined.total()) == (2000, 0)
        fit = found.of("cancel_seconds").fit
        assert fit is not None
        assert fit.identified
        medians += holds(fit.median, backend.median)
        sigmas += holds(fit.sigma, backend.sigma)
    # At 95 % each, 19 of 20 are expected.
    assert medians >= held
    assert sigmas >= held


def test_episodes_with_moments_of_their_own_say_the_same_as_counts(tmp_path: Path) -> None:
    for number in range(2):
        counted, _ = fitted(tmp_path, relay_log(drawn(number), 1000, number))
        joined, reading = fitted(tmp_path, relay_log(drawn(number), 1000, number, events=True))
        assert (reading.ended, reading.joined.total()) == (1000, 1000)
        one, other = counted.of("cancel_seconds").fit, joined.of("cancel_seconds").fit
        assert one is not None
        assert other is not None
        assert holds(one.median, other.median.value)
        assert holds(one.sigma, other.sigma.value)


@pytest.mark.parametrize("events", [False, True], ids=["lines", "lines and events"])
def test_runs_that_the_check_had_begun_to_cancel_are_seen_only_if_slow(tmp_path: Path, events: bool) -> None:
    backend = Backend(0.62, 1.05, checked=True)
    found, reading = fitted(tmp_path, relay_log(backend, 4000, 6, events=events))
    # A fifth and more of the threads were free by the append, and left no conflict.
    assert 2000 < reading.ended < 3200
    assert reading.early == reading.met == reading.ended
    assert reading.joined.total() == 0
    fit = found.of("cancel_seconds").fit
    assert fit is not None
    assert holds(fit.median, 0.62)
    assert holds(fit.sigma, 1.05)


def test_the_profile_of_whole_worlds(tmp_path: Path) -> None:
    scenario = load("incident")
    settings = scenario.world_settings()
    lines: list[str] = []
    with Session():
        for seed in range(400):
            world = run_world(settings, root_seed=scenario.root_seed, seed=seed, lane="direct", keep_trace=True)
            assert world.records is not None
            for time, _, kind, fields in world.records:
                if kind == "log":
                    lines.append(f"{stamp(100 * seed + time)} {fields[2]}")
    found, reading = fitted(tmp_path, "\n".join(lines) + "\n")
    assert reading.ended == reading.met == 400
    # The worker whose run was cancelled says so, and its customer had an apology.
    assert reading.taken_away > 300
    cancel, request = found.of("cancel_seconds").fit, found.of("request_seconds").fit
    assert cancel is not None
    assert request is not None
    assert cancel.identified
    truth = load_profile("claimed")
    assert holds(cancel.median, 0.62)
    assert holds(cancel.sigma, 1.05)
    assert holds(request.median, 0.3)
    assert truth.request_seconds.kind == "lognormal"
    assert holds(request.sigma, truth.request_seconds.log_sigma)


def test_where_every_conflict_was_seen_late_the_slow_spread_is_not_mistaken_for_a_slow_median(tmp_path: Path) -> None:
    # Half of the threads and more were free by the append: only the slow ones left a conflict.
    found, reading = fitted(tmp_path, relay_log(Backend(0.3, 1.5, checked=True), 12_000, 8))
    assert reading.early == reading.ended
    fit = found.of("cancel_seconds").fit
    assert fit is not None
    assert holds(fit.median, 0.3)
    assert holds(fit.sigma, 1.5)
    shares = predicted(found)
    assert shares is not None
    assert math.isclose(sum(shares.values()), 1.0)
    for ending, count in [*reading.recovered.items(), (FAILED, reading.failed)]:
        assert math.isclose(shares[ending], count / reading.ended, abs_tol=5e-3)


def test_relays_with_different_numbers_of_attempts_are_censored_each_at_its_own_last(tmp_path: Path) -> None:
    three, five = Backend(0.62, 1.6), Backend(0.62, 1.6, waits=(2.0, 4.0, 8.0, 16.0, 32.0))
    text = relay_log(three, 2000, 1) + relay_log(five, 4000, 2)
    found, reading = fitted(tmp_path, text)
    assert dict(reading.attempts) == {3: 2000, 5: 4000}
    assert set(reading.failed_after) == {3, 5}
    fit = found.of("cancel_seconds").fit
    assert fit is not None
    assert fit.stuck is None
    assert holds(fit.median, 0.62)
    assert holds(fit.sigma, 1.6)
    # Of all conflicts, a third of which had two retries.
    shares = predicted(found)
    assert shares is not None
    assert math.isclose(sum(shares.values()), 1.0)
    for ending, count in [*reading.recovered.items(), (FAILED, reading.failed)]:
        assert math.isclose(shares[ending], count / 6000, abs_tol=0.01)
    # The same from whole episodes, each of which has its own moments.
    text = relay_log(three, 600, 1, events=True) + relay_log(five, 1200, 2, events=True)
    joined, reading = fitted(tmp_path, text)
    assert reading.joined.total() == reading.ended
    assert joined.of("cancel_seconds").fit is not None
    assert joined.of("cancel_seconds").fit.stuck is None  # type: ignore[union-attr]
    assert sum(each.count for each in joined.observations) == reading.ended


def test_a_share_of_stuck_runs_where_four_retries_show_it(tmp_path: Path) -> None:
    backend = Backend(0.6, 0.7, stuck=0.08, waits=(1.0, 1.0, 1.0, 2.0, 4.0))
    found, _ = fitted(tmp_path, relay_log(backend, 3000, 4))
    cancel = found.of("cancel_seconds")
    assert cancel.fit is not None
    assert cancel.fit.stuck is not None
    assert holds(cancel.fit.stuck, 0.08)
    assert holds(cancel.fit.median, 0.6)
    assert cancel.table is not None
    assert cancel.table["kind"] == "mixture"
    # Without any, nobody is said to be stuck.
    plain, _ = fitted(tmp_path, relay_log(Backend(0.6, 0.7, waits=(1.0, 1.0, 1.0, 2.0, 4.0)), 3000, 5))
    assert plain.of("cancel_seconds").fit is not None
    assert plain.of("cancel_seconds").fit.stuck is None  # type: ignore[union-attr]


def test_the_fit_explains_the_endings(tmp_path: Path) -> None:
    found, reading = fitted(tmp_path, relay_log(Backend(0.62, 1.05), 1500, 9))
    shares = predicted(found)
    assert shares is not None
    assert math.isclose(sum(shares.values()), 1.0)
    # Two numbers for two free shares: the best fit meets them.
    for ending, count in [*reading.recovered.items(), (FAILED, reading.failed)]:
        assert math.isclose(shares[ending], count / 1500, abs_tol=2e-4)


def test_without_dates_the_base_profiles_latency_is_taken(tmp_path: Path) -> None:
    found, reading = fitted(tmp_path, relay_log(Backend(0.62, 1.05), 1500, 9, dates=False))
    assert reading.unread.dated == 0
    assert found.of("request_seconds").table is None
    fit = found.of("cancel_seconds").fit
    assert fit is not None
    assert holds(fit.median, 0.62)
    assert holds(fit.sigma, 1.05)


def test_waits_are_read_where_no_run_is_named(tmp_path: Path) -> None:
    unnamed = "[Relay] The error names no run, so none is cancelled"
    lines = []
    for number in range(40):
        lines += [PLAIN.active_run_detected % (1, 3), unnamed, PLAIN.waiting % 3000]
        if number % 4 == 0:
            lines += [PLAIN.active_run_detected % (2, 3), unnamed, PLAIN.waiting % 5000, PLAIN.created % 3]
        else:
            lines += [PLAIN.created % 2]
    found, reading = fitted(tmp_path, "\n".join(lines))
    assert reading.waited == {}
    assert found.retries.from_log
    assert found.retries.waits == (3.0, 8.0)


def test_waits_of_a_run_that_is_cancelled_once_are_read(tmp_path: Path) -> None:
    lines = []
    for number in range(40):
        lines += [
            PLAIN.active_run_detected % (1, 3),
            PLAIN.attempting_to_cancel % f"run_{number}",
            PLAIN.cancellation_requested % f"run_{number}",
            PLAIN.waiting % 1000,
            PLAIN.active_run_detected % (2, 3),
            PLAIN.waiting % 2500,
            PLAIN.created % 3,
        ]
    found, _ = fitted(tmp_path, "\n".join(lines))
    assert found.retries.from_log
    assert found.retries.waits == (1.0, 3.5)


def test_other_waits_are_read_from_the_log(tmp_path: Path) -> None:
    found, _ = fitted(tmp_path, relay_log(Backend(1.5, 1.2, waits=(1.0, 3.0, 3.0)), 1500, 2))
    assert found.retries.from_log
    assert found.retries.waits[:2] == (1.0, 4.0)
    fit = found.of("cancel_seconds").fit
    assert fit is not None
    assert holds(fit.median, 1.5)


# What cannot be known


@pytest.mark.parametrize(
    ("endings", "said", "status"),
    [
        ({2: 500}, "all 500 recovered at the first retry", "bounded"),
        ({FAILED: 500}, "all 500 gave up", "bounded"),
        ({2: 450, 3: 50}, "all 500 either recovered at attempt 2 or recovered at attempt 3", "scaled"),
        ({2: 450, FAILED: 50}, "all 500 either recovered at attempt 2 or gave up", "scaled"),
        ({}, "no message met an active run", "kept"),
        ({2: 7, 3: 1}, "only 8 messages met an active run", "kept"),
        ({FAILED: 8}, "only 8 messages met an active run", "bounded"),
    ],
)
def test_what_is_not_identified_is_said_and_kept_as_far_as_the_log_allows(
    endings: dict[int, int], said: str, status: str
) -> None:
    reading = Reading()
    for ending, count in endings.items():
        if ending == FAILED:
            reading.failed_after[3] = count
        else:
            reading.recovered[ending] = count
    reading.attempts[3] = max(sum(endings.values()), 1)
    found = estimate(reading, TYPICAL)
    cancel = found.of("cancel_seconds")
    assert said in cancel.basis
    assert cancel.status == status
    assert (cancel.table is None) == (status == "kept")
    assert found.of("run_seconds").table is None
    assert (predicted(found) is None) == (not endings)


def test_an_upper_bound_is_all_that_a_first_retry_tells() -> None:
    fit = fit_lognormal([Observation((0.0,), (2.3,), 500)])
    assert fit is not None
    assert not fit.identified
    assert fit.median.low is None
    assert fit.median.high is not None
    assert fit.median.high < 2.3


# Runs


def test_run_durations_between_two_looks(tmp_path: Path) -> None:
    source = random.Random(5)
    queue = TYPICAL.queue_seconds
    lines = []
    for number in range(2000):
        life = queue.sample(source.random()) + 12.0 * math.exp(0.65 * source.gauss(0, 1))
        stuck = source.random() < 0.03
        cut = source.uniform(0, 200)
        at, status = (cut, "cancelled") if cut < min(life, 60) else (life, "completed")
        about = f'"conversation": "{number:08x}", "run": "run_{number}"'
        head = '{"timestamp": "2025-11-04T12:00:00.000000Z", "level": "info", "event": '
        if status == "completed" and (stuck or life > 60):
            lines.append(f'{head}"lost_reply", {about}, "reason": "given_up"}}')
        else:
            # Seen at the first look after it: looks are 1.3 s apart.
            seen = math.ceil(at / 1.3) * 1.3
            lines.append(f'{head}"run_ended", {about}, "status": "{status}", "seconds": {seen:.3f}}}')
    found, reading = fitted(tmp_path, "\n".join(lines))
    runs, stuck_share = found.of("run_seconds"), found.of("stuck_probability")
    assert reading.run_endings.total() == 2000
    assert runs.fit is not None
    assert holds(runs.fit.median, 12.0)
    assert holds(runs.fit.sigma, 0.65)
    assert runs.fit.stuck is not None
    assert holds(runs.fit.stuck, 0.03)
    assert stuck_share.table is not None


# The likelihood


def test_exactly_known_times_give_the_closed_form() -> None:
    source = random.Random(11)
    logs = [source.gauss(-0.5, 0.9) for _ in range(400)]
    observations = [Observation((math.exp(each) * 0.9999,), (math.exp(each) * 1.0001,), 1) for each in logs]
    fit = fit_lognormal(observations, may_stick=False)
    assert fit is not None
    mean = math.fsum(logs) / 400
    deviation = math.sqrt(math.fsum((each - mean) ** 2 for each in logs) / 400)
    assert math.isclose(fit.median.value, math.exp(mean), rel_tol=1e-4)
    assert math.isclose(fit.sigma.value, deviation, rel_tol=1e-4)
    # The profile of the mean: n * ln(1 + (m - mean)^2 / deviation^2) is at most the quantile.
    half = deviation * math.sqrt(math.exp(3.841458820694124 / 400) - 1)
    assert math.isclose(fit.median.low or 0, math.exp(mean - half), rel_tol=1e-3)
    assert math.isclose(fit.median.high or 0, math.exp(mean + half), rel_tol=1e-3)


def test_turnbulls_estimate_meets_the_shares_of_a_grid() -> None:
    observations = [
        Observation((0.0,), (2.0,), 90),
        Observation((2.0,), (6.0,), 9),
        Observation((6.0,), (math.inf,), 1),
    ]
    assert [(round(at, 2), round(share, 6)) for at, share in turnbull(observations)] == [(2.0, 0.9), (6.0, 0.99)]


def test_turnbulls_estimate_of_overlapping_intervals() -> None:
    # Peto's and Turnbull's textbook case: mass can only lie where intervals end one after another.
    observations = [
        Observation((0.0,), (1.0,), 1),
        Observation((0.0,), (3.0,), 1),
        Observation((2.0,), (3.0,), 1),
        Observation((2.0,), (math.inf,), 1),
    ]
    points = turnbull(observations)
    assert [round(at, 2) for at, _ in points] == [1.0, 3.0]
    # By symmetry of the two-cell likelihood p * (p + q) * q * q with p + q = 1: p = 1/3.
    assert math.isclose(points[0][1], 1 / 3, abs_tol=1e-6)


def test_what_is_seen_late_is_weighted_by_how_likely_it_was_to_be_seen() -> None:
    def free(seconds: float) -> float:
        return 0.5 * math.erfc(-math.log(seconds / 0.3) / 1.5 / math.sqrt(2))

    # A slow request puts off both the first look and all others.
    afters = (0.05, 0.1, 0.3, 1.0, 4.0)
    ends = [afters, tuple(2 + each for each in afters), tuple(6 + each for each in afters), (math.inf,) * 5]
    seen = math.fsum(1 - free(each) for each in afters)
    observations = []
    for lows, highs in pairwise(ends):
        inside = math.fsum(
            (1.0 if math.isinf(high) else free(high)) - free(low) for low, high in zip(lows, highs, strict=True)
        )
        observations.append(Observation(lows, highs, round(1e6 * inside / seen), afters))
    fit = fit_lognormal(observations, may_stick=False)
    assert fit is not None
    assert math.isclose(fit.median.value, 0.3, rel_tol=0.01)
    assert math.isclose(fit.sigma.value, 1.5, rel_tol=0.01)


# In bounded memory


def test_intervals_and_amounts_stay_few() -> None:
    source = random.Random(1)
    intervals, amounts = Intervals(), Amounts()
    for _ in range(50_000):
        low = source.uniform(0, 1000)
        intervals.add(low, low + source.uniform(0, 1000))
        amounts.add(low)
    assert len(intervals.weights()) <= INTERVALS_MAX
    assert len(amounts.weights()) <= AMOUNTS_MAX
    assert intervals.total == sum(count for _, _, count in intervals.weights()) == 50_000
    assert amounts.total == sum(count for _, count in amounts.weights()) == 50_000
    assert abs((amounts.middle() or 0) - 500) < 10
