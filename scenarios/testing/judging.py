"""The verdicts on a relay in some worlds of a scenario, for one test: passed, or an exception that says what went wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from relaysim.reports.answers.numbers import claim_words
from relaysim.reports.answers.of_relay import unjudged_breaches, unjudged_losses
from relaysim.reports.answers.wrongs import count_words
from relaysim.reports.claims import ClaimSpec
from relaysim.reports.counters import nothing_matched_words
from relaysim.reports.results import doctor_command, replay_of
from relaysim.scenarios.load import load
from relaysim.scenarios.replication_summary import Summary
from relaysim.scenarios.runner import Batch, LostWorkerError, ReplicationError, run_batches
from relaysim.scenarios.testing.check_errors import Checked, CheckFailedError, NotShownError
from relaysim.scenarios.testing.running_test import RunningTest
from relaysim.scenarios.testing.world_story import world_story
from relaysim.scenarios.verdicts import judged
from relaysim.sim.counted import counted
from relaysim.sim.world.invariants import INVARIANTS

if TYPE_CHECKING:
    from relaysim.scenarios.model import Scenario
    from relaysim.scenarios.runner import Lane

JUDGED_AT_LEAST: Final = 7
"""Of fewer worlds than this only what happened in them is said: what half of all worlds have, six miss once in 64 times."""

_SEEDS_NAMED: Final = 5  # as many examples as a tally keeps


class _Broken(NamedTuple):
    """A claim that single worlds have refuted: the first of their seeds with the fingerprints, and how many they are."""

    spec: ClaimSpec
    seeds: dict[int, str]
    worlds: int


class Judging:
    """Judges one scenario's relay.

    Args:
        scenario: as loaded. Its strata are left out: each world counts as it comes.
        lane: in which worlds are run; None: the scenario's.
        claim: the only claim that is judged; None: all are.
        test: who asks; None: no test that anybody knows of.
        key: what its seeds are kept under; empty: the test's own name.
    """

    def __init__(
        self,
        scenario: Scenario,
        lane: Lane | None = None,
        *,
        claim: str | None = None,
        test: RunningTest | None = None,
        key: str = "",
    ) -> None:
        if scenario.strata is not None and scenario.strata.enabled:
            origin = scenario.origin
            scenario = load(origin.given, [*origin.sets, "strata.enabled=false"], origin.factory, option=origin.option)
        self._scenario, self._lane, self._test, self._key = scenario, lane or scenario.lane, test, key
        specs = scenario.specs()
        self._specs = specs if claim is None else {claim: specs[claim]}
        self._replay = scenario.origin.replay_template()
        factory = scenario.own_relay
        self._who = scenario.name if factory is None else f"{factory} in {scenario.name}"

    def judge_seeds(self, seeds: Sequence[int], known: Sequence[int] = (), *, jobs: int = 1) -> Checked:
        """Run worlds and judge them: first those that failed once, and if they fail again no others.

        Args:
            seeds: without repetitions.
            known: those that failed once.
            jobs: processes.

        Raises:
            CheckFailedError, NotShownError: as of `relaysim.check`.
        """
        __tracebackhide__ = True
        # Seeds that were chosen because they failed say nothing about a rate, unless they are among those asked for.
        asked = self.run([seed for seed in known if seed in seeds], jobs)
        if known:
            self.judge_known(known, asked, self.run([seed for seed in known if seed not in seeds], jobs))
        summary = self.run([seed for seed in seeds if seed not in known], jobs).merge(asked)
        return self.judge(summary, tuple(dict.fromkeys([*known, *seeds])), len(seeds))

    def judge_known(self, known: Sequence[int], *summaries: Summary) -> None:
        """Judge only what single worlds can refute. Raises CheckFailedError."""
        __tracebackhide__ = True
        together = Summary()
        for summary in summaries:
            together.merge(summary)
        if broken := self._broken(together):
            which = "this seed" if len(known) == 1 else "these seeds"
            self._fail(broken, known, note=f"{which} failed before; no other was run")

    def run(self, seeds: Sequence[int], jobs: int = 1) -> Summary:
        """What the worlds of these seeds showed. Raises NotShownError if one does not come to its end."""
        __tracebackhide__ = True
        text, found = self._scenario.to_json(), Summary()
        batches = [Batch(f"{first}", text, count, self._lane, first=first) for first, count in _stretches(seeds)]
        try:
            summaries, _ = run_batches(batches, jobs=jobs)
        except ReplicationError as error:
            replay = self._replay.replace("{seed}", str(error.seed))
            words = " ".join(str(error).split())
            # Its message says what went wrong, and its line shows it; pytest would print the chain before it, whole.
            raise NotShownError(f"{words}; nothing is judged", seed=error.seed, replay=replay) from None
        except LostWorkerError as error:
            raise NotShownError(f"{self._who}: {' '.join(str(error).split())}") from None
        for summary in summaries.values():
            found.merge(summary)
        return found

    def _broken(self, summary: Summary) -> list[_Broken]:
        """The claims that a single world refutes and that some of these do."""
        if any(each["kind"] == "raised" for each in summary.obstacles.entries(summary.replications)):
            return []  # of an adapter that does not work nothing is judged
        found: list[_Broken] = []
        for spec in self._specs.values():
            if spec.expect != "refuted" and (spec.rules.occurrence_refutes or spec.rules.reads_series):
                tally = summary.tallies[spec.id]
                if tally.examples:
                    found.append(_Broken(spec, _seeds_of(tally.examples), _offending(spec, tally.worlds)))
        return found

    def judge(self, summary: Summary, ran: tuple[int, ...], asked: int) -> Checked:
        """What all worlds show. Raises as `judge_seeds`."""
        __tracebackhide__ = True
        entry = judged(self._scenario, summary, self._lane)
        claims = [claim for claim in entry["claims"] if claim["id"] in self._specs]
        if broken := self._broken(summary):
            self._fail(broken, ran)
        few = asked < JUDGED_AT_LEAST
        is_own = self._scenario.own_relay is not None
        if not few and (wrong := [claim for claim in claims if _is(claim, "refuted")]):
            self._fail_by_rates(wrong, ran)
        if is_own:
            self._judge_losses(entry, ran)
        if obstacles := entry.get("obstacles"):
            raise NotShownError(f"{self._who}: nothing is judged: {'; '.join(each['text'] for each in obstacles)}")
        if not few and (unexpected := [claim for claim in claims if _is(claim, "verified")]):
            lines = [
                f"“{each['title']}” holds, and {each['expected']} was expected: {each['reason']}" for each in unexpected
            ]
            raise CheckFailedError("\n".join([f"{self._who}: {counted(asked, 'seed')} show otherwise", *lines]))
        if not few and (unknown := [claim for claim in claims if _is(claim, "inconclusive")]):
            lines = [f"“{claim['title']}”: {claim['why']}" for claim in unknown]
            raise NotShownError("\n".join([f"{self._who}: {counted(asked, 'seed')} do not show it", *lines]))
        if not few and is_own and entry.get("unjudged_deadline"):
            raise NotShownError(
                f"{self._who}: webhooks are repeated there, a handle took {entry['longest_handling']:.3g} s, and no "
                "provider's deadline was judged; name a provider, such as whatsapp"
            )
        self._note(ran)
        for claim in claims:
            if "nothing_matched" in claim:
                words = nothing_matched_words(claim["nothing_matched"], counted(len(ran), "seed"))
                warnings.warn(f"{self._who}: “{claim['title']}” is {claim['verdict']}, and {words}", stacklevel=2)
        verdicts = {claim["id"]: str(claim["verdict"]) for claim in claims}
        return Checked(self._scenario.name, ran, verdicts, {**entry["counts"], **entry["outcomes"]})

    def _fail(self, broken: Sequence[_Broken], ran: Sequence[int], note: str = "") -> None:
        """Say which claims single worlds have refuted, under which seeds, and tell the story of one."""
        __tracebackhide__ = True
        failing = sorted({seed for each in broken for seed in each.seeds})
        most = max(each.worlds for each in broken)
        self._note(ran, failing, most)
        seeds = _named(list(broken[0].seeds) if len(broken) == 1 else failing, most)
        title = f"{self._who} fails under {most:,} of {counted(len(ran), 'seed')}: {seeds}" + (
            f" ({note})" if note else ""
        )
        lines = [f"“{each.spec.title}” is false under {_named(list(each.seeds), each.worlds)}" for each in broken]
        seed, fingerprint = next(iter(broken[0].seeds.items()))
        self._raise(title, lines, seed, fingerprint, broken[0].spec.id)

    def _fail_by_rates(self, claims: Sequence[Mapping[str, Any]], ran: Sequence[int]) -> None:
        __tracebackhide__ = True
        self._note(ran)
        lines = [f"“{claim['title']}” is false: {claim_words(claim)}" for claim in claims]
        examples = [(example, claim["id"]) for claim in claims for example in claim["examples"][:1]]
        title = f"{self._who} fails over {counted(len(ran), 'seed')}"
        if not examples:
            raise CheckFailedError("\n".join([title, *lines]))
        example, claim_id = examples[0]
        self._raise(title, lines, example["seed"], example["fingerprint"], claim_id)

    def _judge_losses(self, entry: Mapping[str, Any], ran: Sequence[int]) -> None:
        """Messages that were left without anything, and what else customers noticed, where no claim is about that."""
        __tracebackhide__ = True
        results = {"scenarios": [entry]}
        noticed = "lost" if unjudged_losses(results) else next((each for _, each in unjudged_breaches(results)), "")
        if not noticed:
            return
        (name,) = (each for each, count in INVARIANTS.items() if count == noticed)
        seeds = _seeds_of(entry["invariants"][name]["examples"])
        self._note(ran, list(seeds), len(seeds))
        lost, messages = entry["outcomes"]["lost"], entry["outcomes"]["messages"]
        told = f"{lost:,} of {counted(messages, 'message')} got nothing"
        line = f"{told if noticed == 'lost' else count_words(entry, noticed)}, and no claim is about that"
        seed, fingerprint = next(iter(seeds.items()))
        self._raise(f"{self._who} fails under {_named(list(seeds), len(seeds))}", [line], seed, fingerprint, name)

    def _raise(self, title: str, lines: Sequence[str], seed: int, fingerprint: str, claim: str) -> None:
        __tracebackhide__ = True
        story = world_story(self._scenario, seed, self._lane, claim)
        if story.fingerprint != fingerprint:
            lines = [*lines, f"seed {seed} gave two worlds; why, says: {doctor_command(self._replay, self._lane)}"]
        replay = replay_of(self._replay, seed, claim)
        error = CheckFailedError("\n".join([title, *lines]), story=story.lines, seed=seed, replay=replay)
        if self._test is None:  # pytest has a section for it
            error.add_note("\n".join([*story.lines, f"See it again: {replay}"]))
        raise error

    def _note(self, ran: Sequence[int], failing: Sequence[int] = (), failures: int = 0) -> None:
        if self._test is not None:
            self._test.note(self._key, ran, failing, failures)


def _is(claim: Mapping[str, Any], verdict: str) -> bool:
    """Whether this is its verdict, and not the expected one."""
    return bool(claim["verdict"] == verdict != claim["expected"])


def _seeds_of(examples: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    return {example["seed"]: example["fingerprint"] for example in examples}


def _offending(spec: ClaimSpec, worlds: Mapping[tuple[int, int], int]) -> int:
    """In how many worlds a claim was broken that a single one breaks."""
    if spec.rules.reads_series:  # there the events are the values that are right
        return sum(times for (events, trials), times in worlds.items() if events < trials)
    return sum(times for (events, _), times in worlds.items() if events)


def _named(seeds: Sequence[int], count: int) -> str:
    shown = ", ".join(str(seed) for seed in seeds[:_SEEDS_NAMED])
    return shown if count <= min(len(seeds), _SEEDS_NAMED) else f"{shown}, ..."


def _stretches(seeds: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Seeds as stretches of consecutive ones: the first, and how many."""
    first = end = None
    for seed in sorted(seeds):
        if first is not None and seed == end:
            end += 1
            continue
        if first is not None and end is not None:
            yield first, end - first
        first, end = seed, seed + 1
    if first is not None and end is not None:
        yield first, end - first
