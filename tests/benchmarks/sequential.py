"""How often a sequential verdict is wrong: `python -m tests.benchmarks.sequential [--runs N] [--error ALPHA]`.

Trials come from a seeded generator of known rate and are looked at as `relaysim verify --sequential` looks at worlds. Each
line has the share of runs with each verdict, where they stopped, and the share that was *wrong*: at a claim's limit nothing
but the wrong verdict is left to fear. Last, for contrast, ordinary Clopper-Pearson intervals, looked at just as often.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
from numpy.random import Generator

from relaysim.reports.claims import ClaimSpec, Tally
from relaysim.reports.confidence_sequences import ConfidenceSequence
from relaysim.reports.statistics import clopper_pearson
from relaysim.scenarios.sequential import looks

Runs = Callable[[Generator, list[int]], Iterator[Tally]]


def single(rate: float) -> Runs:
    """One trial in each replication."""

    def run(generator: Generator, at: list[int]) -> Iterator[Tally]:
        steps = np.diff([0, *at])
        for n, count in zip(at, generator.binomial(steps, rate).cumsum().tolist(), strict=True):
            yield Tally.of_single_trials(count, n)

    return run


def clustered(rate: float, correlation: float) -> Runs:
    """Two trials and more in each replication, nine on average; with correlation 1 they all fare alike."""

    def run(generator: Generator, at: list[int]) -> Iterator[Tally]:
        trials = 1 + generator.geometric(1 / 8, at[-1])
        if correlation == 1:
            events = np.where(generator.random(at[-1]) < rate, trials, 0)
        else:
            strength = 1 / correlation - 1
            events = generator.binomial(trials, generator.beta(rate * strength, (1 - rate) * strength, at[-1]))
        kinds = list(zip(events.tolist(), trials.tolist(), strict=True))
        for n in at:
            yield Tally(dict(Counter(kinds[:n])))

    return run


def _claim(kind: str, **numbers: float) -> ClaimSpec:
    return ClaimSpec.from_mapping({"id": kind, "title": kind, "kind": kind, "event": "event", **numbers})


BELOW, ABOVE = _claim("below", limit=0.001), _claim("above", limit=0.99)
BETWEEN = _claim("between", target=0.09, margin=0.01)
#: Claim, what the trials are, their generator, the verdicts that are wrong, the largest number of replications.
CASES: list[tuple[ClaimSpec, str, Runs, tuple[str, ...], int]] = [
    (BELOW, "0.1 %, the limit", single(0.001), ("verified",), 40_000),
    (BELOW, "just below it", single(0.001 - 1e-9), ("refuted",), 40_000),
    (BELOW, "0.05 %", single(0.0005), ("refuted",), 40_000),
    (BELOW, "never", single(0.0), ("refuted",), 40_000),
    (BELOW, "0.2 %", single(0.002), ("verified",), 40_000),
    (ABOVE, "99 %, the limit", single(0.99), ("verified",), 40_000),
    (ABOVE, "99.5 %", single(0.995), ("refuted",), 40_000),
    (BETWEEN, "10 %, an edge", single(0.1), ("refuted",), 40_000),
    (BETWEEN, "just above it", single(0.1 + 1e-9), ("verified",), 40_000),
    (BETWEEN, "9 %, the middle", single(0.09), ("refuted",), 40_000),
    (BETWEEN, "12 %", single(0.12), ("verified",), 40_000),
    (BELOW, "0.1 %, clustered 0.05", clustered(0.001, 0.05), ("verified",), 10_000),
    (BELOW, "0.1 %, clustered 0.3", clustered(0.001, 0.3), ("verified",), 10_000),
    (BELOW, "0.1 %, all alike", clustered(0.001, 1), ("verified",), 10_000),
    (ABOVE, "99 %, clustered 0.3", clustered(0.99, 0.3), ("verified",), 10_000),
    (BETWEEN, "10 %, clustered 0.3", clustered(0.1 + 1e-9, 0.3), ("verified",), 10_000),
]


def measure(spec: ClaimSpec, run: Runs, maximum: int, *, runs: int, error: float) -> tuple[dict[str, float], float]:
    """The share of runs with each verdict, and the mean number of replications at which they stopped."""
    generator = np.random.default_rng(20251104)
    found = dict.fromkeys(("verified", "refuted", "inconclusive"), 0)
    stopped = 0
    for _ in range(runs):
        sequence = ConfidenceSequence(spec, error=error)
        for tally in run(generator, looks(maximum)):
            sequence.look(tally)
            if sequence.stopped_at is not None:
                break
        stopped += sequence.stopped_at or maximum
        found[sequence.verdict] += 1
    return {verdict: number / runs for verdict, number in found.items()}, stopped / runs


def excluded(rate: float, maximum: int, *, runs: int, alpha: float) -> float:
    """The share of runs in which some ordinary interval, looked at as often, did not hold the true rate."""
    generator = np.random.default_rng(20251104)
    wrong = 0
    for _ in range(runs):
        for tally in single(rate)(generator, looks(maximum)):
            low, high = clopper_pearson(tally.count, tally.n, alpha)
            if not low <= rate <= high:
                wrong += 1
                break
    return wrong / runs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How often a sequential verdict is wrong.")
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--error", type=float, default=0.01)
    arguments = parser.parse_args()
    print(f"{arguments.runs:,} runs, error {arguments.error:g}")
    print(
        f"{'claim':<22} {'true rate':<22} {'verified':>9} {'refuted':>9} {'undecided':>9} {'stopped at':>11} {'WRONG':>8}"
    )
    for spec, named, run, wrong, maximum in CASES:
        limit = " to ".join(f"{100 * edge:g}" for edge in spec.limits)
        shares, stopped = measure(spec, run, maximum, runs=arguments.runs, error=arguments.error)
        told = " ".join(f"{100 * share:8.2f}%" for share in shares.values())
        mistaken = 100 * sum(shares[verdict] for verdict in wrong)
        print(f"{spec.kind + ' ' + limit + ' %':<22} {named:<22} {told} {stopped:>11,.0f} {mistaken:7.2f}%", flush=True)
    for rate in (0.001, 0.09, 0.9):
        share = excluded(rate, 40_000, runs=arguments.runs, alpha=arguments.error)
        print(
            f"ordinary intervals at every look: {100 * rate:g} % was excluded in {100 * share:.1f} % of runs",
            flush=True,
        )


if __name__ == "__main__":
    main()
