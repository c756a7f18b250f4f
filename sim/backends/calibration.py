"""Where the numbers of the profile `claimed` come from: `python -m relaysim.sim.backends.calibration`.

The incident report claims that 90 % of conflicts are over at the first retry and 99 % at the second, with waits of 2 and
4 s. For a log-normal time from the cancel to the freed thread this fixes both of its parameters, given the latency of
the requests in between: the retry is processed some latency after the wait, and the clock of the freed thread starts
when the cancel is processed, not when its answer arrives. The script solves the two equations over 40,000 keyed draws of
these latencies.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from relaysim.sim.backends.profile import Profile, load_profile
from relaysim.sim.kernel import Draws

FIRST_RETRY, SECOND_RETRY = 0.90, 0.99
FIRST_WAIT_SECONDS, SECOND_WAIT_SECONDS = 2.0, 4.0

_DRAWS = 40_000
_NORMAL = NormalDist()


def times_to_retries(profile: Profile, count: int = _DRAWS) -> tuple[list[float], list[float]]:
    """Seconds from the cancel's processing to the first and to the second retry's, for `count` keyed draws."""
    draws, sample, arrival = Draws(0, 0), profile.request_seconds.sampler, profile.request_arrival_fraction
    first, second = [], []
    for index in range(count):
        cancel, append, again, last = (sample(draws.uniform("calibration", name, index)) for name in "abcd")
        until_first = (1 - arrival) * cancel + FIRST_WAIT_SECONDS + arrival * append
        first.append(until_first)
        second.append(until_first + (1 - arrival) * append + again + SECOND_WAIT_SECONDS + arrival * last)
    return first, second


def share_free(times: list[float], median: float, sigma: float) -> float:
    """The probability that the thread is free at these times, averaged."""
    return math.fsum(_NORMAL.cdf(math.log(time / median) / sigma) for time in times) / len(times)


def solve(profile: Profile) -> tuple[float, float]:
    """Median (seconds) and sigma for which the claim is true, to about five digits."""
    first, second = times_to_retries(profile)

    def median_for(sigma: float) -> float:
        low, high = 0.01, 10.0
        for _ in range(40):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if share_free(first, middle, sigma) > FIRST_RETRY else (low, middle)
        return low

    low, high = 0.3, 3.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if share_free(second, median_for(middle), middle) > SECOND_RETRY else (low, middle)
    return median_for(low), low


def main() -> None:
    """Print the solution and what the shipped profile gives."""
    profile = load_profile("claimed")
    median, sigma = solve(profile)
    print(f"solution: median = {median:.4f} s, sigma = {sigma:.4f}")
    shipped = profile.cancel_seconds
    if shipped.kind == "lognormal":
        for name, times, share in zip(
            ("first", "second"), times_to_retries(profile), (FIRST_RETRY, SECOND_RETRY), strict=True
        ):
            free = share_free(times, shipped.median, shipped.log_sigma)
            print(f"shipped profile: free at the {name} retry {free:.4f}, claimed {share}")


if __name__ == "__main__":
    main()
