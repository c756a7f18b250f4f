"""L5: how often failed requests are repeated, and after which waits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from math import exp, log
from typing import Any, NamedTuple

from relaysim.sim.counted import counted
from relaysim.sim.trace.subjects import Request
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.judge_settings import JudgeSettings
from relaysim.sim.world.judge.promises import RetryPromise
from relaysim.sim.world.judge.world_facts import WorldFacts

_EQUAL_MAX = 2
"""Two jittered waits may be equal by chance, once in some million pairs; a third one is not."""

_ASKED_FOR = frozenset({429, 503})
"""Statuses with which a server may say for how long to wait, in whole seconds."""


_TOO_MANY_REQUESTS = 429

_EARLY_SECONDS = 0.01
"""A repetition may leave so much earlier than it was asked to: times are rounded."""

_GROWTH_EVIDENCE = log(1e6)
"""Waits that are drawn as promised look as if they did not grow in fewer than one of a million worlds."""

_RAREST = 1e-3
"""No single wait is held to be less likely than this: it may be no repetition after all."""


_PAIRS_MAX = 4
"""Repetitions that a breach names as its facts."""


class _Pair(NamedTuple):
    """A request that failed, and its repetition."""

    failed: Request
    again: Request

    @property
    def wait(self) -> float:
        """Seconds between them."""
        assert self.failed.answered is not None
        return self.again.left - self.failed.answered


class _Growth:
    """Evidence against the promise that waits grow: that each is drawn evenly between 0 and the longest for its number.

    A bet on short waits, which pays `0.5 / sqrt(share of the longest)`: on average no more than its stake, however many
    repetitions there are (Vovk and Wang, 2021, calibrate p-values so). One that never came is taken for one after the
    longest wait.
    """

    def __init__(self, promised: RetryPromise) -> None:
        self._promised = promised
        self.evidence = 0.0
        self.shortest: list[tuple[int, float]] = []
        self.pairs: list[_Pair] = []

    def repeated(self, failures: int, pair: _Pair) -> None:
        """A request was repeated after so many failures in a row."""
        wait = pair.wait
        longest = self._promised.longest_wait(failures)
        if longest is None or failures < 2:  # the first wait is as long with and without growth
            return
        share = min(1.0, max(wait / longest, _RAREST)) if longest > 0 else 1.0
        self.evidence += log(0.5) - 0.5 * log(share)
        self.shortest.append((failures, wait))
        self.pairs.append(pair)

    def not_repeated(self, failures: int) -> None:
        """It was not repeated any more."""
        if failures >= 2:
            self.evidence += log(0.5)


def check_repeats(history: History, settings: JudgeSettings, facts: WorldFacts, findings: Findings) -> None:
    """L5: at every instant a worker has repeated failed requests at most as often as its budget allows: a share of its
    requests so far, a reserve for each of its lives, and some per second. And the waits before them are jittered: no
    third one of the same number of failures is equal to the tick. A relay that declares how long they may be is held to
    that (`_Growth`), and one that declares to heed `Retry-After` repeats nothing earlier than a 429 asked for, looks at runs
    apart, of which the regular next one may come in between. And for a message no more runs are created than are declared.

    A repetition is the same operation on the same thread and run, after a failure, a 408, 409, 429 or a status of 500 or
    more, and under the same lease with no message ended in between (or, without leases, in the same handling). A look at a
    run is one only if it comes sooner than the next regular look. Whole seconds after a 429 or 503 are what the server
    asked for.

    Would miss: repetitions of what names no thread, under no lease and in no handling; too many repetitions in a
        short time after a long time without any; fixed waits that a world meets less than three times; repetitions by
        the next holder of a lease.
    """
    calls: dict[str, int] = {}
    repeats: dict[str, int] = {}
    judged: set[str] = set()
    latest: dict[Hashable, tuple[Request, int]] = {}
    waits: dict[tuple[int, float], list[_Pair]] = {}
    pairs: dict[str, list[_Pair]] = {}
    budget = settings.promises.retries
    lease_starts_of = _lease_starts_of(history)
    has_failures = bool(history.failures)
    growth = _Growth(budget)
    for request in history.requests.values() if has_failures else ():
        worker = request.worker
        calls[worker] = calls.get(worker, 0) + 1
        doer: Hashable = request.delivery if request.lease is None else id(request.lease)
        if not doer and request.thread is None:
            doer = request.id  # a worker that serves several conversations: for which of them, nobody can tell
        key = (worker, doer, request.operation, request.thread, request.run)
        earlier, failures = latest.get(key, (None, 0))
        if earlier is None or not _is_repeat(history, earlier, request, settings):
            if earlier is not None and earlier.failed:
                growth.not_repeated(failures + 1)
            latest[key] = (request, 0)
            continue
        pair = _Pair(earlier, request)
        pairs.setdefault(worker, []).append(pair)
        failures += 1
        latest[key] = (request, failures)
        repeats[worker] = repeats.get(worker, 0) + 1
        findings.check("L5")
        _check_wait(history, pair, failures, waits, findings)
        growth.repeated(failures, pair)
        if budget.heeds_retry_after:
            _check_asked(history, pair, facts, findings)
        lives = history.lives.get(worker, 1)
        allowed = (
            budget.ratio * calls[worker]
            + budget.reserve * lives
            + budget.refill_per_second * request.left
            + len(lease_starts_of.get(worker, ()))
        )
        if repeats[worker] > allowed and worker not in judged:
            judged.add(worker)
            findings.breach(
                "L5",
                f"{worker} had repeated {repeats[worker]} of {counted(calls[worker], 'request')} by "
                f"{at(request.left)}, more than its "
                f"budget of {allowed:.1f}",
                **_facts(history, pairs[worker][-_PAIRS_MAX:]),
            )
    for last, failures in latest.values():
        if last.failed:
            growth.not_repeated(failures + 1)
    if growth.evidence > _GROWTH_EVIDENCE:
        shown = ", ".join(f"{wait:.3f} s after failure {failures}" for failures, wait in growth.shortest[:8])
        findings.breach(
            "L5",
            f"the waits before repetitions did not grow from failure to failure ({shown}, ...): drawn as promised they are "
            f"so short in one world of {exp(min(growth.evidence, 700.0)):.0e}",
            **_facts(history, growth.pairs[:_PAIRS_MAX]),
        )
    if settings.promises.runs_max is not None:
        _check_runs(history, settings.promises.runs_max, findings)


def _facts(history: History, pairs: Sequence[_Pair]) -> dict[str, Any]:
    """What a breach names of repetitions: the requests, each that failed before its repetition, and whose the last was."""
    last = pairs[-1].again
    handling = None if last.conversation else history.handlings.get(last.delivery)
    conversation = last.conversation or ("" if handling is None else handling.conversation)
    about = {"conversation": conversation} if conversation else {}
    return {**about, "worker": last.worker, "at": last.left, "requests": [each.id for pair in pairs for each in pair]}


def _check_asked(history: History, pair: _Pair, facts: WorldFacts, findings: Findings) -> None:
    earlier, request = pair
    asked = facts.asked_seconds.get(earlier.id)
    if asked is None or earlier.status != _TOO_MANY_REQUESTS or earlier.failure is not None:
        return
    wait = pair.wait
    if request.operation not in history.roles.shows_turn and wait < asked - _EARLY_SECONDS:
        findings.breach(
            "L5",
            f"{request.worker} repeated {request.operation} at {at(request.left)}, {wait:.3f} s after a 429 that had "
            f"asked for {asked:g} s",
            **_facts(history, [pair]),
        )


def _check_runs(history: History, runs_max: int, findings: Findings) -> None:
    """How many runs were created for each message that got a text, before that one left, on the thread in which it stood:
    under one lease, since the next holder may not know of the last ones."""
    made: dict[tuple[str, int], list[Request]] = {}
    for run in history.runs.values():
        if run.request is None or not run.request.succeeded:
            continue
        if history.has_leases and run.request.lease is None:
            continue  # under which one it was created nobody knows, as while Redis fails over
        for name in history.covered_by(run):
            message = history.messages.get(name)
            if message is None or not message.reached or message.reached[0].time <= run.created:
                continue
            key = (name, id(run.request.lease))
            requests = made.setdefault(key, [])
            requests.append(run.request)
            if len(requests) == runs_max + 1:
                findings.breach(
                    "L5",
                    f"{len(requests)} {history.roles.words.run}s had been created for {name} by {at(run.created)}, more "
                    f"than the {runs_max} that there are at most",
                    message=name,
                    conversation=message.conversation,
                    runs_made_by=[each.id for each in requests],
                )


def _lease_starts_of(history: History) -> dict[str, list[float]]:
    """When each worker took its leases: the first request of a lease may repeat, unknowingly, one of an earlier lease."""
    found: dict[str, list[float]] = {}
    for leases in history.leases.values():
        for lease in leases:
            found.setdefault(lease.worker, []).append(lease.began)
    return found


def _is_repeat(history: History, earlier: Request, request: Request, settings: JudgeSettings) -> bool:
    if not earlier.failed or earlier.answered is None or earlier.answered > request.left:
        return False
    is_look = request.operation in history.roles.shows_turn
    if is_look and request.left - earlier.answered >= settings.promises.poll_seconds:
        return False
    handling = None if request.conversation else history.handlings.get(request.delivery)
    conversation = request.conversation or ("" if handling is None else handling.conversation)
    # Outside of a handling, on a thread of which nobody knows whose it is, it may be for any message that has not ended.
    lists = [history.ends.get(conversation, [])] if conversation else history.ends.values()
    return not any(_has_between(ends, earlier.left, request.left) for ends in lists)


def _has_between(times: Sequence[float], after: float, until: float) -> bool:
    position = bisect_right(times, after)
    return position < len(times) and times[position] <= until


def _check_wait(
    history: History,
    pair: _Pair,
    failures: int,
    waits: dict[tuple[int, float], list[_Pair]],
    findings: Findings,
) -> None:
    wait = pair.wait
    if pair.failed.status in _ASKED_FOR and wait == round(wait):
        return
    equal = waits.setdefault((failures, wait), [])
    equal.append(pair)
    if len(equal) == _EQUAL_MAX + 1:
        findings.breach(
            "L5",
            f"{len(equal)} times, at {', '.join(at(each.again.left) for each in equal)}, a request was repeated after its "
            f"failure number {failures} and a wait of exactly {wait:.6f} s",
            **_facts(history, equal),
        )
