"""L5: how often failed requests are repeated, and after which waits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable

from relaysim.sim.counted import counted
from relaysim.sim.trace.subjects import Request
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.judge_settings import JudgeSettings

_EQUAL_MAX = 2
"""Two jittered waits may be equal by chance, once in some million pairs; a third one is not."""

_ASKED_FOR = frozenset({429, 503})
"""Statuses with which a server may say for how long to wait, in whole seconds."""


def check_repeats(history: History, settings: JudgeSettings, findings: Findings) -> None:
    """L5: at every instant a worker has repeated failed requests at most as often as its budget allows: a share of its
    requests so far, a reserve for each of its lives, and some per second. And the waits before them are jittered: no
    third one of the same number of failures is equal to the tick.

    A repetition is the same operation on the same thread and run, after a failure, a 408, 409, 429 or a status of 500 or
    more, and under the same lease with no message ended in between (or, without leases, in the same handling). A look at a
    run is one only if it comes sooner than the next regular look. Whole seconds after a 429 or 503 are what the server
    asked for.

    Would miss: too many repetitions in a short time after a long time without any; fixed waits that a world meets less
    than three times; repetitions by the next holder of a lease.
    """
    calls: dict[str, int] = {}
    repeats: dict[str, int] = {}
    judged: set[str] = set()
    latest: dict[Hashable, tuple[Request, int]] = {}
    waits: dict[tuple[int, float], list[Request]] = {}
    budget = settings.promises.retries
    lease_starts_of = _lease_starts_of(history)
    has_failures = bool(history.failures)
    for request in history.requests.values() if has_failures else ():
        worker = request.worker
        calls[worker] = calls.get(worker, 0) + 1
        doer: Hashable = request.delivery if request.lease is None else id(request.lease)
        key = (worker, doer, request.operation, request.thread, request.run)
        earlier, failures = latest.get(key, (None, 0))
        if earlier is None or not _is_repeat(history, earlier, request, settings):
            latest[key] = (request, 0)
            continue
        assert earlier.answered is not None
        failures += 1
        latest[key] = (request, failures)
        repeats[worker] = repeats.get(worker, 0) + 1
        findings.check("L5")
        _check_wait(earlier, request, failures, waits, findings)
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
    ends = history.ends.get(request.conversation or "", [])
    position = bisect_right(ends, earlier.left)
    return position == len(ends) or ends[position] > request.left


def _check_wait(
    earlier: Request,
    request: Request,
    failures: int,
    waits: dict[tuple[int, float], list[Request]],
    findings: Findings,
) -> None:
    assert earlier.answered is not None
    wait = request.left - earlier.answered
    if earlier.status in _ASKED_FOR and wait == round(wait):
        return
    equal = waits.setdefault((failures, wait), [])
    equal.append(request)
    if len(equal) == _EQUAL_MAX + 1:
        findings.breach(
            "L5",
            f"{len(equal)} times, at {', '.join(at(each.left) for each in equal)}, a request was repeated after its failure "
            f"number {failures} and a wait of exactly {wait:.6f} s",
        )
