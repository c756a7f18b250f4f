"""Replications until every rate is decided, and not one look more.

The looks happen after fixed numbers of replications, counted from seed 0, whatever the verdicts and the processes are. So
the same scenario and code stop at the same number with the same verdicts, in one process or in many.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from relaysim.reports.claims import ALPHA, ClaimSpec, judge
from relaysim.reports.confidence_sequences import ConfidenceSequence
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.replication_summary import Summary
from relaysim.scenarios.runner import Batch, Cost, Observe, Progress, run_batches

FIRST_LOOK = 500
#: From there on every look but the last is at a multiple of this.
_LOOK_STEP = 250
#: Unless told otherwise, a run ends at the latest after this many times the scenario's own number of replications.
MAXIMUM_TIMES = 10


@dataclass(frozen=True, slots=True)
class Sequential:
    """How to look while the replications come.

    `error` (above 0, below 1) is the share of runs in which a family of claims may be decided wrongly; `maximum` (1 or
    more) the number of replications at which a run ends in any case, None for the scenario's own number times
    `MAXIMUM_TIMES`. With `every` (1 or more) worlds are few and slow: the looks happen after every so many, and
    claims without a rate hold the run up until one of them is refuted, which no later world takes back. `heard` is told
    what has been seen after each look but the last.
    """

    error: float = ALPHA
    maximum: int | None = None
    every: int | None = None
    heard: Callable[[Summary], object] | None = None

    def looks_at(self, scenario: Scenario) -> list[int]:
        """After how many replications to look, the last of which is the maximum."""
        maximum = self.maximum_of(scenario)
        if self.every is not None:
            return [*range(self.every, maximum, self.every), maximum]
        return looks(maximum, scenario.replications)

    def maximum_of(self, scenario: Scenario) -> int:
        """The number of replications at which this scenario's run ends in any case."""
        return self.maximum or scenario.replications * MAXIMUM_TIMES


@dataclass(slots=True)
class Sequences:
    """What the looks at one scenario showed: a sequence per claim that has a rate, and where the looks were."""

    error: float
    maximum: int
    looks: list[int]
    of_claim: dict[str, ConfidenceSequence]


def looks(maximum: int, own: int = FIRST_LOOK) -> list[int]:
    """After how many replications to look: 500, then by about a fifth more each time, and at last the maximum.

    A scenario whose own number of replications is smaller has large worlds: the looks then begin at that number.
    """
    found = []
    number = min(own, FIRST_LOOK)
    while number < maximum:
        found.append(number)
        more = -(-number * 6 // 5)
        number = min(more, FIRST_LOOK) if number < FIRST_LOOK else -(-more // _LOOK_STEP) * _LOOK_STEP
    return [*found, maximum]


def run_sequentially(
    scenario: Scenario,
    main: Batch,
    others: Sequence[Batch],
    sequential: Sequential,
    *,
    jobs: int = 1,
    progress: Callable[[Progress], None] | None = None,
    observe: Observe | None = None,
) -> tuple[dict[str, Summary], Sequences, Cost]:
    """Run a scenario's main batch until each claim that has a rate is decided, and the other batches beside it.

    Claims without a rate and the invariants hold nothing up, with one exception: while a configured fault has hit nothing,
    what is verified would be taken back, so the run goes on. A scenario without any rate runs its own number of
    replications, at most the maximum. (With `Sequential.every` claims without a rate count, see there.)

    Args:
        scenario: as loaded.
        main: its own replications; its `count` is not read.
        others: batches of fixed size (map, curve, lane check), run with the first look.
        sequential: the error and the maximum.
        jobs, progress, observe: as for `run_batches`; the total in the progress is what remains at the most.

    Raises:
        ReplicationError, LostWorkerError: see `run_batches`.
    """
    specs: Mapping[str, ClaimSpec] = scenario.specs()
    maximum = sequential.maximum_of(scenario)
    rates = {name: spec for name, spec in specs.items() if spec.rules.has_rate}
    has_looks = bool(rates) or sequential.every is not None
    planned = sequential.looks_at(scenario) if has_looks else [min(scenario.replications, maximum)]
    found = Sequences(
        sequential.error,
        maximum,
        [],
        {name: ConfidenceSequence(spec, error=sequential.error, planned=maximum) for name, spec in rates.items()},
    )
    fixed = sum(batch.count for batch in others)
    summaries: dict[str, Summary] = {}
    cost = Cost()
    before = 0
    for number in planned:
        batch = replace(main, first=before, count=number - before)
        shown = None if progress is None else _shifted(progress, cost, fixed + planned[-1])
        seen, spent = run_batches(
            [batch, *others] if not before else [batch], jobs=jobs, progress=shown, observe=observe
        )
        cost.add(spent)
        for key, summary in seen.items():
            summaries[key] = summaries[key].merge(summary) if key in summaries else summary
        before = number
        found.looks.append(number)
        so_far = summaries[main.key]
        for name, sequence in found.of_claim.items():
            sequence.look(so_far.tallies[name])
        verdicts = {sequence.verdict for sequence in found.of_claim.values()}
        if so_far.obstacles.entries(so_far.replications):
            break  # more worlds would show as little of the relay
        only_rates = bool(rates) and len(rates) == len(specs)
        if sequential.every is not None and not only_rates and not _is_refuted(specs, so_far, verdicts):
            verdicts.add("inconclusive")
        if "inconclusive" not in verdicts and not ("verified" in verdicts and so_far.never_met):
            break
        if sequential.heard is not None and number < planned[-1]:
            sequential.heard(so_far)
    if progress is not None and cost.replications < fixed + planned[-1]:
        progress(Progress(cost.replications, cost.replications, cost.seconds))
    return summaries, found, cost


def _is_refuted(specs: Mapping[str, ClaimSpec], so_far: Summary, of_rates: Collection[str]) -> bool:
    """Whether one of the claims is refuted, which no later world takes back; `of_rates`: the verdicts of the others."""
    if "refuted" in of_rates:
        return True
    without_rate = (spec for spec in specs.values() if not spec.rules.has_rate)
    return any(judge(spec, so_far.tallies[spec.id])["verdict"] == "refuted" for spec in without_rate)


def _shifted(progress: Callable[[Progress], None], cost: Cost, total: int) -> Callable[[Progress], None]:
    """Progress of one look, as progress of them all."""
    done, seconds = cost.replications, cost.seconds

    def show(part: Progress) -> None:
        progress(replace(part, done=done + part.done, total=total, elapsed_seconds=seconds + part.elapsed_seconds))

    return show
