"""The profile's numbers from what was read: fitted where the log identifies them, kept from the base profile elsewhere.

- `request_seconds`: how long the requests to cancel took, by the dates of the lines before and after them.
- `cancel_seconds`: the time from a cancel to the freed thread. No line says it; it lies between the last attempt that was
  refused and the one that was not, and beyond the last for messages that gave up. Episodes that events make whole give
  their own moments. For all others the counts by attempt are exact, and the moments follow from the waits in the log and
  from the latency of requests, over which the probability is averaged. Where the conflicts do not give two numbers, they
  mostly give one: the base profile's shape is kept, and how long its times are is fitted (`scaled`). Where they give only a
  bound, the base's times are kept inside it, or moved to it (`bounded`), so that no profile contradicts the log it is from.
- `run_seconds` and `stuck_probability`: from `run_ended` events. A run's end lies between two looks at it; runs that were
  cancelled, or given up, lasted at least as long.

Stuck runs are in the endings as well. Where `cancel_seconds` was fitted from them, the profile must not add them again: it
has no stuck runs then, or, where the events show a share that never ends by itself, their cancels take as long as all do.

Longer than 400 lines because the estimates fall back on one another (fitted, scaled, bounded, kept), and are read
in that order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from relaysim.reports.statistics import rounded
from relaysim.scenarios.fit.intervals import Amounts, Intervals
from relaysim.scenarios.fit.likelihood import (
    CONFIDENCE,
    CRITICAL,
    MEDIAN_SECONDS,
    LogNormalFit,
    Observation,
    Parameter,
    fit_lognormal,
    fit_scale,
    log_likelihood,
    turnbull,
)
from relaysim.scenarios.fit.reading import FAILED, Reading
from relaysim.scenarios.tune.closed_form import Backend, cdf, survival
from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.threads.states import EXPIRY_SECONDS
from relaysim.sim.counted import counted
from relaysim.sim.kernel import Draws
from relaysim.sim.kernel.distributions import Distribution

if TYPE_CHECKING:
    from relaysim.scenarios.fit.likelihood import Array

PLANNED_WAITS: Final = (2.0, 4.0, 8.0)
"""What the relay waits by default; assumed where a log does not tell."""
ATTEMPTS: Final = 3
RETRIES_MAX: Final = 12
FEWEST: Final = 20
"""Of fewer times nothing is fitted."""

_NODES = 512
_QUEUE_NODES = 8
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number of the profile. `table` is what the profile gets, without its basis; None: the base's is kept.

    `basis` is a sentence: what was fitted from what, or why nothing was. `fit` is there if something was tried.
    """

    number: str
    n: int
    table: dict[str, Any] | None
    basis: str
    fit: LogNormalFit | None = None
    follows: bool = False
    """Whether it is no fit of its own, but what the fit of another number leaves."""
    scale: Parameter | None = None
    """By how much the base's times were multiplied, or what the log allows them to be multiplied by."""
    bounded: bool = False
    """Whether the base's times were moved to the nearest that the log allows."""

    @property
    def status(self) -> str:
        """`kept`, `follows`, `bounded`, `scaled` or `fitted`."""
        if self.table is None:
            return "kept"
        if self.follows:
            return "follows"
        return "bounded" if self.bounded else "fitted" if self.scale is None else "scaled"

    def to_dict(self) -> dict[str, Any]:
        """As plain data for `results.json`."""
        entry: dict[str, Any] = {
            "number": self.number,
            "n": self.n,
            "status": self.status,
            "said": self.basis,
        }
        if self.table is not None:
            entry["value"] = self.table
        if self.fit is not None:
            entry["model"] = "lognormal" if self.fit.stuck is None else "lognormal and stuck"
            entry["median_seconds"] = _shown(self.fit.median)
            entry["sigma"] = _shown(self.fit.sigma)
            if self.fit.stuck is not None:
                entry["stuck"] = _shown(self.fit.stuck)
            entry["aic"] = {name: round(value, 3) for name, value in self.fit.aic.items()}
        if self.scale is not None:
            entry["scale"] = _shown(self.scale)
        return entry


def _shown(parameter: Parameter) -> dict[str, Any]:
    return {
        "value": _significant(parameter.value),
        "interval": [None if end is None else _significant(end) for end in (parameter.low, parameter.high)],
    }


def _significant(value: float) -> float:
    """To as many digits as mean anything and no more, so that the last bits reach no file."""
    return float(f"{value:.{_DIGITS}g}")


@dataclass(frozen=True, slots=True)
class Retries:
    """When each retry came: `moments[k]` has equally likely seconds from the first cancel to the retry k + 1.

    `afters` has how long each of these threads had to be taken for there to be a conflict: 0 where the cancel came after
    the first refusal, and the time to the first append where the check before it had requested the cancel. `waits` are
    the median waits in all before each retry; `from_log` says whether the log told them. `attempts` is how many a relay
    makes, most often; `relays` has `(attempts, share)` of the conflicts for each number of them, and is empty where the log
    has several and does not say how often each.
    """

    moments: tuple[tuple[float, ...], ...]
    afters: tuple[float, ...]
    waits: tuple[float, ...]
    from_log: bool
    attempts: int
    relays: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Estimates:
    """All numbers, and what figures and words about them need."""

    numbers: tuple[Estimate, ...]
    retries: Retries
    observations: tuple[Observation, ...]
    steps: tuple[tuple[float, float], ...]
    """Turnbull's estimate of the time from a cancel to the freed thread."""
    profile: Profile
    """The base with all that was fitted in its place."""

    def freed_by(self, seconds: Array) -> Array:
        """The share of cancelled runs whose threads the profile has freed by then, for each time; stuck ones included."""
        return 1 - survival(Backend.of(self.profile), seconds)

    def of(self, number: str) -> Estimate:
        """The estimate of one of the profile's numbers."""
        return next(each for each in self.numbers if each.number == number)


def estimate(reading: Reading, base: Profile) -> Estimates:
    """Every number that a log may tell, from what was read; what it does not tell is the base profile's."""
    request = _request_seconds(reading)
    retries = _retries(reading, base, request)
    observations = _freed(reading, retries)
    cancel = _cancel_seconds(reading, retries, observations, base)
    numbers = (cancel, request, *_without_stuck_twice(cancel, *_run_numbers(reading, base)))
    tables: dict[str, Any] = {each.number: each.table for each in numbers if each.table is not None}
    tables["basis"] = {**base.basis, **{each.number: each.basis for each in numbers if each.table is not None}}
    return Estimates(
        numbers,
        retries,
        tuple(observations),
        tuple((round(at, 4), round(share, 6)) for at, share in turnbull(observations)) if observations else (),
        type(base).model_validate({**base.model_dump(exclude_none=True), **tables}),
    )


# Requests


def _plain(intervals: Intervals) -> list[Observation]:
    return [Observation((low,), (high,), count) for low, high, count in intervals.weights()]


def _request_seconds(reading: Reading) -> Estimate:
    n = reading.requests.total
    if n < FEWEST:
        shortage = "no two dated lines around" if not n else f"only {counted(n, 'pair')} of dated lines around"
        return Estimate(
            "request_seconds", n, None, f"{shortage} a request to cancel, with a date to the hundredth or finer"
        )
    fit = fit_lognormal(_plain(reading.requests), may_stick=False)
    assert fit is not None
    if not fit.identified:
        return Estimate(
            "request_seconds", n, None, f"all {counted(n, 'request')} took as long as far as the dates tell", fit
        )
    slow = f"; {reading.slow_requests:,} slower than 10 s are left out" if reading.slow_requests else ""
    basis = f"fitted from {counted(n, 'request')} to cancel{slow}; {_interval_words(fit)}"
    return Estimate("request_seconds", n, _table(fit), basis, fit)


def _table(fit: LogNormalFit) -> dict[str, Any]:
    return {"kind": "lognormal", "median": _significant(fit.median.value), "sigma": _significant(fit.sigma.value)}


def _interval_words(fit: LogNormalFit) -> str:
    intervals = f"{CONFIDENCE * 100:g} % intervals: median {_ends(fit.median)} s, sigma {_ends(fit.sigma)}"
    return intervals if fit.stuck is None else f"{intervals}, share that is stuck {_ends(fit.stuck)}"


def _ends(parameter: Parameter) -> str:
    return f"{parameter.low:.3g} to {parameter.high:.3g}"


# The time to the freed thread


def _retries(reading: Reading, base: Profile, request: Estimate) -> Retries:
    """When each retry was acted upon, seen from when the first cancel was."""
    attempts = min(_most_common(reading), RETRIES_MAX + 1)
    longest = max([*reading.recovered, *reading.failed_after, 2])
    count = max(attempts - 1, min(longest - 1, RETRIES_MAX), 1)
    waits, from_log = _waits(reading, count)
    draws, arrival = Draws(0, 0), base.request_arrival_fraction
    sample = base.request_seconds.sampler
    if request.fit is not None and request.table is not None:
        spread = type(base).model_validate({**base.model_dump(), "request_seconds": request.table}).request_seconds
        sample = spread.sampler
    counted = max(reading.ended - reading.joined.total(), 1)
    early = min(reading.early / counted, 1.0)
    moments: list[list[float]] = [[] for _ in range(count)]
    afters: list[float] = []

    def latencies(name: str) -> list[float]:
        return [sample(each) for each in _evenly(draws, name)]

    appends = [latencies(f"append {retry}") for retry in range(count)]
    cancels = [latencies(f"cancel {retry}") for retry in range(count + 1)]
    before, refusals = latencies("append"), latencies("refused")
    are_early, spots = _evenly(draws, "early"), _evenly(draws, "wait")
    for node in range(_NODES):
        passed = (1 - arrival) * cancels[0][node]
        after = 0.0
        if are_early[node] < early:
            # Cancelled at the check; the first append was refused after it, and so was the cancel after that.
            after = passed + arrival * before[node]
            passed += before[node] + refusals[node]
        afters.append(after)
        for retry in range(count):
            append = appends[retry][node]
            moments[retry].append(passed + arrival * append + _quantile(waits[retry], spots[node]))
            passed += append + cancels[retry + 1][node]
    middle = tuple(rounded(each.middle() or 0.0) for each in waits)
    relays = _relays(reading, attempts)
    return Retries(tuple(map(tuple, moments)), tuple(afters), middle, from_log, attempts, relays)


def _relays(reading: Reading, most_common: int) -> tuple[tuple[int, float], ...]:
    known = {attempts: number for attempts, number in sorted(reading.attempts.items()) if attempts >= 1}
    total = sum(known.values())
    if len(known) <= 1:
        return ((most_common, 1.0),)
    if total < reading.met:
        return ()  # events name it only where a message gave up
    return tuple((min(attempts, RETRIES_MAX + 1), number / total) for attempts, number in known.items())


def _evenly(draws: Draws, name: str) -> list[float]:
    """Probabilities for all nodes, one in each of as many equal parts, in an order of their own: a Latin hypercube.

    Each latency's own distribution is met as well as so many nodes can; drawn freely, its slow tail is off by chance, and
    everything that is fitted with it, always in the same direction.
    """
    order = sorted(range(_NODES), key=lambda node: draws.uniform("fit", name, node))
    ranks = [0.0] * _NODES
    for rank, node in enumerate(order):
        ranks[node] = (rank + 0.5) / _NODES
    return ranks


def _most_common(reading: Reading) -> int:
    known = {attempts: number for attempts, number in reading.attempts.items() if attempts >= 1}
    if known:
        return max(known, key=lambda attempts: (known[attempts], attempts))
    return max(max(reading.recovered, default=0), ATTEMPTS)


def _waits(reading: Reading, count: int) -> tuple[list[Amounts], bool]:
    """What was waited in all before each retry. From events, or else from the lines, or else as planned."""
    found: list[Amounts] = []
    from_log = True
    total = 0.0
    for retry in range(1, count + 1):
        amounts = reading.waited_events.get(retry + 1) or reading.waited.get(retry)
        if amounts is None and (single_waits := reading.waited_alone.get(retry)) is not None:
            amounts = Amounts()
            for seconds, number in single_waits.weights():
                amounts.add(total + seconds, number)
        if amounts is None:
            from_log = from_log and bool(found) and retry > 1 and not reading.recovered[retry + 1]
            planned = PLANNED_WAITS[retry - 1] if retry <= len(PLANNED_WAITS) else 2.0**retry
            amounts = Amounts()
            amounts.add(total + planned)
        found.append(amounts)
        total = amounts.middle() or 0.0
    return found, from_log


def _quantile(amounts: Amounts, probability: float) -> float:
    if (one := amounts.one) is not None:
        return one
    passed = 0
    for seconds, count in amounts.weights():
        passed += count
        if passed >= probability * amounts.total:
            return seconds
    return amounts.high


def _freed(reading: Reading, retries: Retries) -> list[Observation]:
    """All endings: whole episodes by their own moments, the others by their attempt."""
    observations = _plain(reading.free)
    never = (math.inf,) * _NODES
    afters = retries.afters if any(retries.afters) else ()
    for ending in sorted(reading.recovered):
        left = reading.recovered[ending] - reading.joined[ending]
        retry = min(ending - 1, len(retries.moments))
        if left > 0:
            before = retries.moments[retry - 2] if retry > 1 else retries.afters
            observations.append(Observation(before, retries.moments[retry - 1], left, afters))
    for attempts in sorted(reading.failed_after):
        left = reading.failed_after[attempts] - reading.failed_joined[attempts]
        retry = min(attempts - 1, len(retries.moments))
        if left > 0 and retry >= 1:  # who tries once has seen nothing
            observations.append(Observation(retries.moments[retry - 1], never, left, afters))
    return observations


def _cancel_seconds(reading: Reading, retries: Retries, observations: Sequence[Observation], base: Profile) -> Estimate:
    number = "cancel_seconds"
    n = sum(each.count for each in observations)
    if reading.locked:
        locked = counted(reading.locked, "conflict")
        return Estimate(number, n, None, f"{locked} waited for a conversation's lock, and no run was cancelled")
    if not n:
        met = (
            f"none of {counted(reading.met, 'conflict')} has an ending in the log"
            if reading.met
            else f"of {counted(reading.refused_alone, 'conflict')} only the API's refusals tell, and nothing of the end"
            if reading.refused_alone
            else "no message met an active run"
        )
        return Estimate(number, n, None, f"{met}; at least {FEWEST} are needed")
    if n < FEWEST:
        shortage = f"only {counted(n, 'message')} met an active run and ended; at least {FEWEST} are needed"
        return _as_allowed(shortage, observations, base, None)
    fit = fit_lognormal(observations)
    assert fit is not None
    if not fit.identified:
        return _as_allowed(_unknown(reading, retries, fit), observations, base, fit)
    joined = reading.joined.total()
    how = f"{joined:,} of them with their own moments" if joined else "by the attempt that got through"
    if reading.early:
        how += f", {reading.early:,} of them cancelled before they were refused"
    waits = "" if retries.from_log else "; the waits are not in the log and were taken as planned"
    basis = f"fitted from {counted(n, 'conflict')}, {how}{waits}; {_interval_words(fit)}"
    if fit.stuck is None:
        return Estimate(number, n, _table(fit), basis, fit)
    # What never ended while anybody looked; no log can say how long that lasts.
    longest = max(max(each.lows) for each in observations)
    parts = [
        {"weight": _significant(1 - fit.stuck.value), "distribution": _table(fit)},
        {
            "weight": _significant(fit.stuck.value),
            "distribution": {
                "kind": "uniform",
                "low": _significant(min(longest, float(EXPIRY_SECONDS))),
                "high": float(EXPIRY_SECONDS),
            },
        },
    ]
    basis += "; how long the stuck ones last is assumed: up to the API's expiry"
    return Estimate(number, n, {"kind": "mixture", "parts": parts}, basis, fit)


def _as_allowed(why: str, observations: Sequence[Observation], base: Profile, fit: LogNormalFit | None) -> Estimate:
    """The base's shape with as long times as the log tells, if it tells, or else as it allows."""
    number, n, shape = "cancel_seconds", sum(each.count for each in observations), base.cancel_seconds
    scale = fit_scale(observations, lambda seconds: cdf(shape, seconds))
    low, high = scale.low, scale.high
    if low is not None and high is not None and n >= FEWEST:
        allowed = (
            f"the shape is {base.name}'s, its times {scale.value:.3g} of theirs, fitted from {counted(n, 'conflict')}"
        )
        basis = f"{allowed} ({CONFIDENCE * 100:g} % interval {_ends(scale)}); {why}"
        return Estimate(number, n, _scaled(shape, scale.value), basis, fit, scale=scale)
    highest = log_likelihood(observations, lambda seconds: cdf(shape, seconds / scale.value))
    backend = Backend.of(base)
    if 2 * (highest - log_likelihood(observations, lambda seconds: 1 - survival(backend, seconds))) <= CRITICAL:
        return Estimate(number, n, None, why, fit, scale=scale)
    factor = min(max(1.0, low or 0.0), math.inf if high is None else high)
    if factor == 1:
        basis = f"{base.name}'s stuck runs contradict the log, which has fewer: they were taken away; {why}"
    else:
        allowed = f"{'at most' if factor < 1 else 'at least'} {factor:.3g}"
        basis = (
            f"{base.name}'s times contradict the log, which allows {allowed} of them ({CONFIDENCE * 100:g} % interval): "
            f"the nearest that it allows were taken; {why}"
        )
    return Estimate(number, n, _scaled(shape, factor), basis, fit, scale=scale, bounded=True)


def _scaled(shape: Distribution, factor: float) -> dict[str, Any]:
    return _rounded(shape.scaled(factor).model_dump(exclude_none=True))


def _rounded(table: dict[str, Any]) -> dict[str, Any]:
    """The same with numbers that say no more than they mean."""
    shown: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, float):
            shown[key] = _significant(value)
        elif isinstance(value, dict):
            shown[key] = _rounded(value)
        elif isinstance(value, (list, tuple)):
            shown[key] = [_rounded(each) for each in value]
        else:
            shown[key] = value
    return shown


def _unknown(reading: Reading, retries: Retries, fit: LogNormalFit) -> str:
    """Why the time to the freed thread is not identified, with what is known."""
    endings = [*sorted(reading.recovered), *([FAILED] if reading.failed else [])]
    first = retries.waits[0]
    if endings == [2]:
        endings_words = f"all {reading.recovered[2]:,} recovered at the first retry"
    elif endings == [FAILED]:
        endings_words = f"all {reading.failed:,} gave up"
    elif len(endings) == 2:
        names = ["gave up" if each == FAILED else f"recovered at attempt {each}" for each in endings]
        endings_words = f"all {reading.ended:,} either {names[0]} or {names[1]}, and one share cannot give two numbers"
    else:
        endings_words = f"{reading.ended:,} endings are too few to give two numbers"
    known = []
    if fit.median.high is not None and fit.median.high < MEDIAN_SECONDS[1]:
        known.append(f"at most {fit.median.high:.3g} s")
    if fit.median.low is not None:
        known.append(f"at least {fit.median.low:.3g} s")
    median_words = f"; the median is {' and '.join(reversed(known))}" if known else ""
    return f"{endings_words} (first wait {first:g} s): the log-normal's two numbers are not identified{median_words}"


# Runs


def _run_numbers(reading: Reading, base: Profile) -> tuple[Estimate, Estimate]:
    completed = reading.run_endings["completed"]
    n = reading.runs.total
    stuck_kept = "no share of runs that never end shows in the log"
    if completed < FEWEST:
        shortage = (
            "no run is seen to complete" if not completed else f"only {counted(completed, 'run')} seen to complete"
        )
        why = f"{shortage}: only the events run_ended tell"
        return Estimate("run_seconds", n, None, why), Estimate("stuck_probability", n, None, why)
    queue = [base.queue_seconds.sample((node + 0.5) / _QUEUE_NODES) for node in range(_QUEUE_NODES)]
    observations = [
        Observation(
            tuple(max(low - each, 0.0) for each in queue),
            tuple(max(high - each, 1e-3) for each in queue),
            count,
        )
        for low, high, count in reading.runs.weights()
    ]
    fit = fit_lognormal(observations)
    assert fit is not None
    if not fit.identified:
        why = f"the log-normal's two numbers do not follow from {counted(n, 'run')}"
        return Estimate("run_seconds", n, None, why, fit), Estimate("stuck_probability", n, None, stuck_kept)
    endings = ", ".join(f"{count:,} {name}" for name, count in sorted(reading.run_endings.items()))
    basis = f"fitted from {counted(n, 'run')} ({endings}), the base profile's queue_seconds taken off"
    basis = f"{basis}; {_interval_words(fit)}"
    runs = Estimate("run_seconds", n, _table(fit), basis, fit)
    if fit.stuck is None:
        return runs, Estimate("stuck_probability", n, None, stuck_kept)
    share = f"{CONFIDENCE * 100:g} % interval {_ends(fit.stuck)}"
    stuck_basis = (
        f"fitted from {counted(n, 'run')}: those that were not seen to end beyond what the log-normal leaves; {share}"
    )
    return runs, Estimate("stuck_probability", n, {"value": _significant(fit.stuck.value)}, stuck_basis)


def _without_stuck_twice(cancel: Estimate, runs: Estimate, stuck: Estimate) -> tuple[Estimate, ...]:
    """The numbers of runs, such that all runs together free their threads after a cancel as was fitted from all endings."""
    if cancel.table is None:
        return runs, stuck
    if stuck.table is None:
        basis = "stuck runs are in cancel_seconds, which was fitted from all endings"
        return runs, Estimate("stuck_probability", cancel.n, {"value": 0.0}, basis, follows=True)
    basis = "as cancel_seconds, which was fitted from all endings, those of stuck runs included"
    return runs, stuck, Estimate("stuck_cancel_seconds", cancel.n, cancel.table, basis, cancel.fit, follows=True)


def predicted(estimates: Estimates) -> Mapping[int, float] | None:
    """The share of each ending under the profile's time to the freed thread, fitted or kept.

    None where the log has no endings; where only a part of the conflicts has moments of its own and the others were
    cancelled before they were refused, since these two parts have no moments in common; and where the log does not say how
    many conflicts each of several relays had.
    """
    retries = estimates.retries
    if not estimates.observations or not retries.relays:
        return None
    if any(retries.afters) and any(len(each.lows) == 1 for each in estimates.observations):
        return None
    free = [_free_by(estimates.freed_by, moments, retries.afters) for moments in retries.moments]
    shares: dict[int, float] = {}
    failed = 0.0
    for attempts, part in retries.relays:
        made = free[: max(attempts - 1, 1)]
        for at, share in enumerate(made):
            shares[at + 2] = shares.get(at + 2, 0.0) + part * (share - (made[at - 1] if at else 0.0))
        failed += part * (1 - made[-1])
    return {**dict(sorted(shares.items())), FAILED: failed}


def _free_by(freed_by: Callable[[Array], Array], moments: Sequence[float], afters: Sequence[float]) -> float:
    """The share of the observed conflicts that are over by a retry; see `Observation` on `afters`."""
    import numpy as np

    by, before = (freed_by(np.array(each)).tolist() for each in (moments, afters))
    plain = [share for share, after in zip(by, afters, strict=True) if not after]
    late = [pair for *pair, after in zip(by, before, afters, strict=True) if after]
    seen = math.fsum(1 - earlier for _, earlier in late)
    over = math.fsum(share - earlier for share, earlier in late)
    return (math.fsum(plain) + (len(late) * over / seen if seen > 0 else 0.0)) / len(moments)
