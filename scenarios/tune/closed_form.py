"""Failures, delay and API calls of `cancel_and_retry` without a simulation.

A conflict is over once the cancelled run has freed its thread, some time T after the cancel was processed, and the
distribution of T is the profile's. Retry k comes at a time that the waits and the API's latency make up (see
`relaysim.sim.backends.calibration`), so that

    P(not free at retry k) = E[S(t_k)],    S(t) = P(T > t),

where the expectation is over latencies and jitter. These events are nested: who fails at retry k has failed at all
before. So the share that is never appended is that of the last retry, and each wait, cancel and append counts with the
share of conflicts that get that far.

The expectation is taken over keyed draws, the same for all settings, so that two settings differ by what they are and
not by chance. Left out: requests that fail, runs that end by themselves before the cancel reaches them, other workers
that create a run meanwhile, and what becomes of the message once it is appended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from relaysim.relay import RetrySettings
from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.threads.states import EXPIRY_SECONDS
from relaysim.sim.kernel import Draws
from relaysim.sim.kernel.distributions import Constant, Distribution, Exponential, LogNormal, Mixture, Uniform

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Numbers = NDArray[numpy.float64]

Candidate = TypeVar("Candidate")

#: Draws of latency and jitter that the expectation is taken over.
DRAWS = 2048


@dataclass(frozen=True, slots=True)
class Expected:
    """What a conflict comes to.

    failures    share of conflicts whose message is never appended, 0 to 1
    delay       seconds from the first refusal to the append's success or to giving up, on average
    calls       requests in that time, on average
    """

    failures: float
    delay: float
    calls: float

    def as_tuple(self) -> tuple[float, float, float]:
        """The three in the order of the objectives."""
        return self.failures, self.delay, self.calls


@dataclass(frozen=True, slots=True)
class Backend:
    """What the closed form needs of a backend. Times are in seconds.

    free         how long a cancelled run takes to free its thread, if it is not stuck
    stuck        share of runs whose cancel takes `stuck_free` instead (None: until they expire)
    request      one API request; a share `slow` of them takes `slow_request` instead
    arrival      share of a request's duration that passes before the server acts on it
    free_scale, request_scale   factors on these times, to ask what another backend would do
    """

    free: Distribution
    request: Distribution
    stuck: float = 0.0
    stuck_free: Distribution | None = None
    slow: float = 0.0
    slow_request: Distribution | None = None
    arrival: float = 0.5
    free_scale: float = 1.0
    request_scale: float = 1.0

    @classmethod
    def of(cls, profile: Profile) -> Backend:
        """The backend of a profile."""
        return cls(
            free=profile.cancel_seconds,
            request=profile.request_seconds,
            stuck=profile.stuck_probability,
            stuck_free=profile.stuck_cancel_seconds,
            slow=profile.slow_probability,
            slow_request=profile.slow_seconds,
            arrival=profile.request_arrival_fraction,
        )

    def perturbed(self, *, free_scale: float = 1.0, request_scale: float = 1.0, stuck: float | None = None) -> Backend:
        """Another backend: times scaled, another share of stuck runs."""
        return replace(
            self,
            free_scale=self.free_scale * free_scale,
            request_scale=self.request_scale * request_scale,
            stuck=self.stuck if stuck is None else stuck,
        )


@lru_cache(maxsize=8192)
def expected(settings: RetrySettings, backend: Backend, draws: int = DRAWS) -> Expected:
    """The objectives of some settings. Where every retry may fail and none is left, waiting goes on as they say.

    The expectation over latencies and jitter is taken over so many draws: fewer are faster and less exact. `cancel_error`,
    `cancel_with_thread_id` and the locks are taken to be as by default. Results are kept: a search asks for the whole grid
    of settings twice, for where to begin and for how near it came.
    """
    import numpy as np

    waits = settings.planned_waits
    arrival = backend.arrival
    cancels_once = settings.cancels == "first_conflict"
    at = np.zeros(draws)  # from the first cancel's processing to the present moment
    left = np.ones(draws)  # share of conflicts that have got so far
    delay = calls = 0.0
    for retry in range(1, settings.attempts + 1):
        spent = np.zeros(draws)
        if retry == 1 or not cancels_once:
            cancel = _requests(backend, "cancel", retry, draws)
            calls += float(left.mean())
            spent = spent + cancel
            at = at + (cancel if retry > 1 else (1 - arrival) * cancel)
        if retry <= len(waits):
            wait = waits[retry - 1] * _jitter(settings.jitter, retry, draws)
            spent, at = spent + wait, at + wait
        if retry == settings.attempts:
            delay += float((left * spent).mean())
            break
        append = _requests(backend, "append", retry, draws)
        delay += float((left * (spent + append)).mean())
        calls += float(left.mean())
        left = survival(backend, at + arrival * append)
        at = at + append
    return Expected(float(left.mean()), delay, calls)


def survival(backend: Backend, seconds: Numbers) -> Numbers:
    """The probability that a cancelled run holds its thread for longer than so many seconds, for each of them."""
    free = 1 - cdf(backend.free, seconds / backend.free_scale)
    if not backend.stuck:
        return free
    slow = backend.stuck_free
    stuck = (seconds < EXPIRY_SECONDS).astype(float) if slow is None else 1 - cdf(slow, seconds)
    return (1 - backend.stuck) * free + backend.stuck * stuck


def _requests(backend: Backend, what: str, index: int, draws: int) -> Numbers:
    import numpy as np

    plain = _sampled(backend.request, what, index, draws) * backend.request_scale
    if not backend.slow or backend.slow_request is None:
        return plain
    slow = _uniforms(f"{what} slow", index, draws) < backend.slow
    return np.where(slow, _sampled(backend.slow_request, f"{what} slow seconds", index, draws), plain)


def _jitter(kind: str, index: int, draws: int) -> Numbers | float:
    if kind == "none":
        return 1.0
    uniforms = _uniforms("jitter", index, draws)
    return uniforms if kind == "full" else (1 + uniforms) / 2


def _sampled(distribution: Distribution, what: str, index: int, draws: int) -> Numbers:
    return _samples(distribution.model_dump_json(), what, index, draws, distribution.sampler)


_SAMPLES: dict[tuple[str, str, int, int], Any] = {}


def _samples(key: str, what: str, index: int, draws: int, sampler: Callable[[float], float]) -> Numbers:
    import numpy as np

    found = _SAMPLES.get((key, what, index, draws))
    if found is None:
        found = _SAMPLES[key, what, index, draws] = np.array([sampler(u) for u in _uniforms(what, index, draws)])
    return found


@cache
def _uniforms(what: str, index: int, draws: int) -> Numbers:
    """One uniform in each of so many strata of (0, 1), in keyed order: they lie more evenly than independent ones."""
    import numpy as np

    keyed = Draws(0, 0)
    keys = np.array([keyed.uniform("closed form", f"{what} {index} order", each) for each in range(draws)])
    inside = np.array([keyed.uniform("closed form", f"{what} {index}", each) for each in range(draws)])
    uniforms: Numbers = (np.argsort(np.argsort(keys, kind="stable"), kind="stable") + inside) / draws
    return uniforms


def cdf(distribution: Distribution, seconds: Numbers) -> Numbers:
    """The probability of at most so many seconds, for each of them."""
    import numpy as np
    from scipy import special

    result: Any
    match distribution:
        case Constant():
            result = (seconds >= distribution.value).astype(float)
        case Uniform():
            width = distribution.high - distribution.low
            result = np.clip((seconds - distribution.low) / width, 0, 1) if width else seconds >= distribution.low
        case Exponential():
            result = -np.expm1(-np.maximum(seconds, 0) / distribution.mean)
        case LogNormal():
            logs = np.log(np.maximum(seconds, 1e-300) / distribution.median)
            result = special.ndtr(logs / distribution.log_sigma)
        case Mixture():
            total = sum(part.weight for part in distribution.parts)
            result = sum(part.weight / total * cdf(part.distribution, seconds) for part in distribution.parts)
    return np.asarray(result, dtype=float)


def front(candidates: Iterable[tuple[Candidate, tuple[float, ...]]]) -> list[tuple[Candidate, tuple[float, ...]]]:
    """Those of the candidates that no other one equals in all objectives and beats in one, by ascending values."""
    kept: list[tuple[Candidate, tuple[float, ...]]] = []
    for candidate, values in sorted(candidates, key=lambda each: each[1]):
        if not any(dominates(other, values) for _, other in kept):
            kept.append((candidate, values))
    return kept


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether one is nowhere larger than the other, and somewhere smaller."""
    return one != other and all(value <= other_value for value, other_value in zip(one, other, strict=True))
