"""L1 to L4: whether what must happen happens in time, unless something was wrong with the world."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from relaysim.sim.trace.subjects import Lease, Message
from relaysim.sim.world.judge.disturbances import Disturbances
from relaysim.sim.world.judge.endings import ending_deadline, not_over
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.history_records import Release
from relaysim.sim.world.judge.judge_settings import JudgeSettings

_CALM_SECONDS = 12.0
"""A refusal may have its cause so long before or after it: a command that was lost holds its sender up, and a replica lags
before the failover that shows it."""

_API_SHADOW_SECONDS = 60.0
"""For so long after a failed request a relay may be slow to send the thread's next one: it paces itself."""


def check_outcomes_in_time(
    history: History,
    ledger: Mapping[str, str | None],
    settings: JudgeSettings,
    disturbances: Disturbances,
    findings: Findings,
) -> None:
    """L1: the text that ends a message leaves at most 90 s after its acceptance, or after the end of the last disturbance
    that began before that: a Redis fault, a failed request on its thread, a dead, paused or slow holder of its lease, a
    failed send, or a time in which no worker was there. A stuck run is none.

    And of a relay that declares how many messages may wait no handling raises while nothing is wrong, unless so many do:
    Redis and the worker had been well for 12 s, and are for 12 more.

    Would miss: how late a message ended for which no text was sent; lateness behind a chain of disturbances, each of which
    gives 90 s more.
    """
    waiting_max = settings.promises.waiting_max
    if waiting_max is not None and history.knows_acceptances:
        _check_refusals(history, settings, waiting_max, disturbances, findings)
    for message in history.messages.values():
        if message.accepted is None:
            continue
        findings.check("L1")
        reached = message.reached
        ended_at = reached[0].time if reached else None
        if ended_at is None and ledger.get(message.id) is not None:
            continue
        if ended_at is not None and ended_at <= message.accepted + settings.promises.deadline_seconds:
            continue
        deadline = ending_deadline(message.accepted, message.conversation, ended_at, settings, disturbances)
        facts = {"message": message.id, "conversation": message.conversation}
        if ended_at is None:
            # S1 counts what a failover may have lost.
            if not not_over(deadline, settings) and not disturbances.acknowledged_message_lost(message):
                findings.breach("L1", f"{message.id}, accepted at {at(message.accepted)}, has not ended", **facts)
        elif ended_at > deadline:
            findings.breach(
                "L1",
                f"{message.id}, accepted at {at(message.accepted)}, ended at {at(ended_at)}; it had until {at(deadline)}",
                **facts,
            )


def _check_refusals(
    history: History, settings: JudgeSettings, waiting_max: int, disturbances: Disturbances, findings: Findings
) -> None:
    for handling in history.handlings.values():
        message = handling.message
        if handling.error_class is None or handling.end is None or message is None:
            continue
        begin, end = handling.start - _CALM_SECONDS, handling.end + _CALM_SECONDS
        if disturbances.redis_disturbed(begin, end) or disturbances.worker_disturbed(handling.worker, begin, end):
            continue
        # Whose text has left may not have been noted as ended yet, if its sender died.
        noted = handling.start - settings.promises.deadline_seconds
        waiting = sum(
            each.conversation == message.conversation
            and each.stored_at is not None
            and each.stored_at <= handling.end
            and not any(send.time < noted for send in each.reached)
            for each in history.messages.values()
        )
        if waiting < waiting_max:
            findings.breach(
                "L1",
                f"{handling.worker} refused {message.id} with {handling.error_class} at {at(handling.end)}, when nothing "
                "was wrong",
                message=message.id,
                conversation=message.conversation,
            )


def check_recovery(
    history: History,
    ledger: Mapping[str, str | None] | None,
    settings: JudgeSettings,
    disturbances: Disturbances,
    findings: Findings,
) -> None:
    """L2: when a worker dies that holds the lease of a conversation with messages left, a living one takes it within a lease
    and a sweep, and a second. Counted from the death, the last renewal under way then, or the end of what was wrong with
    Redis; judged only if some worker was well all the time from then on. A message that the server may have lost counts only
    if it was acknowledged and must not be lost.

    What a holder hands back, since its worker is stopped, is taken within a sweep.

    Would miss: conversations whose every message had a text on its way at that instant; a worker that could not take over
    since it was busy with others, if no other one was well.
    """
    promised = settings.promises.lease
    if promised is None or promised.sweep_seconds is None:
        return
    allowed = promised.seconds + promised.sweep_seconds + settings.slack_seconds
    back = [release for release in history.releases if release.command in promised.steps.hand_back]
    left = _by_conversation(history) if history.crashes or back else {}
    for release in back:
        _check_handed_back(history, release, left, ledger, promised.sweep_seconds, settings, disturbances, findings)
    for lease, died in history.crashes:
        conversation = lease.conversation
        waiting = [
            each
            for each in left.get(conversation, ())
            if _waits_at(each, died, ledger) and disturbances.held(each, died, inf)
        ]
        if not waiting or lease.restored:
            continue
        begin = disturbances.redis_calm_after(max(died, lease.renewed), allowed)
        until = begin + allowed
        takers = [each for each in history.leases[conversation] if died < each.began <= until]
        if takers:
            # If the first one had died too, that is another crash, and another recovery.
            if not _is_dead(history, takers[0].worker, takers[0].began):
                findings.check("L2")
            continue
        if until > history.end or not disturbances.some_worker_undisturbed(begin, until):
            continue
        findings.check("L2")
        findings.breach(
            "L2",
            f"{lease.worker} died at {at(died)} with {conversation}'s lease, and by {at(until)} nobody had taken it",
            conversation=conversation,
            message=waiting[0].id,
        )


def _check_handed_back(
    history: History,
    release: Release,
    left: Mapping[str, list[Message]],
    ledger: Mapping[str, str | None] | None,
    sweep_seconds: float,
    settings: JudgeSettings,
    disturbances: Disturbances,
    findings: Findings,
) -> None:
    conversation, time = release.lease.conversation, release.time
    waiting = [
        each
        for each in left.get(conversation, ())
        if _waits_at(each, time, ledger) and disturbances.held(each, time, inf)
    ]
    if not waiting:
        return
    begin = disturbances.redis_calm_after(time, sweep_seconds + settings.slack_seconds)
    until = begin + sweep_seconds + settings.slack_seconds
    if any(time < each.began <= until for each in history.leases[conversation]):
        findings.check("L2")
        return
    if until > history.end or not disturbances.some_worker_undisturbed(begin - sweep_seconds, until):
        return
    findings.check("L2")
    findings.breach(
        "L2",
        f"{release.lease.worker} handed {conversation} back at {at(time)}, and by {at(until)} nobody had taken it",
        conversation=conversation,
        message=waiting[0].id,
    )


def _by_conversation(history: History) -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = {}
    for message in history.messages.values():
        found.setdefault(message.conversation, []).append(message)
    return found


def _waits_at(message: Message, time: float, ledger: Mapping[str, str | None] | None) -> bool:
    if message.stored_at is None or message.stored_at > time:
        return False
    reached = message.reached
    if reached:
        return reached[0].time > time
    return ledger is not None and ledger.get(message.id) is None


def _is_dead(history: History, worker: str, time: float) -> bool:
    return any(each.kind == "crash" and each.begin <= time < each.end for each in history.down.get(worker, ()))


def check_first_actions(
    history: History, settings: JudgeSettings, disturbances: Disturbances, findings: Findings
) -> None:
    """L3 and L4: who takes a lease sends the conversation's first request, or a text, within the longest time for which a
    burst may be collected, and a second. L4 where the worker held another lease meanwhile, L3 where it did not.

    Judged where neither Redis nor the worker was disturbed, no request failed meanwhile, and none on the conversation's
    threads for a minute before. Redis not for as long before as a step is awaited either: one that was sent while it was
    away may take the lease for a worker that has given up on it.

    Would miss: bursts collected too long, and conversations held up, later under the same lease.
    """
    if settings.promises.burst.cap_seconds is None:
        return
    allowed = settings.promises.burst.cap_seconds + settings.slack_seconds
    by_worker: dict[str, list[Lease]] = {}
    for leases in history.leases.values():
        for lease in leases:
            by_worker.setdefault(lease.worker, []).append(lease)
    for leases in by_worker.values():
        leases.sort(key=lambda each: each.began)
        held_until = float("-inf")
        for position, lease in enumerate(leases):
            until = lease.began + allowed
            others = held_until >= lease.began or (position + 1 < len(leases) and leases[position + 1].began <= until)
            ended = float("inf") if lease.ended is None else lease.ended
            held_until = max(held_until, ended)
            promise = "L4" if others else "L3"
            first = lease.first_action
            if first is not None and first <= until:
                findings.check(promise)
                continue
            if min(ended, history.end) <= until or lease.restored:
                continue
            if _is_excused(history, lease, until, settings, disturbances):
                since = _heard_of(history, lease)
                until = max(until, since + allowed)
                if (first is not None and first <= until) or ended <= until:
                    continue
                if disturbances.redis_strikes(since, until) or _is_held_up(history, lease, until, disturbances):
                    continue
            findings.check(promise)
            action = "did nothing for it" if first is None else f"did the first thing for it at {at(first)}"
            meanwhile = ", while it served others" if others else ""
            findings.breach(
                promise,
                f"{lease.worker} took {lease.conversation}'s lease at {at(lease.began)} and {action}{meanwhile}",
                conversation=lease.conversation,
                worker=lease.worker,
                at=lease.began,
            )


def _heard_of(history: History, lease: Lease) -> float:
    """When the handling that took a lease had returned, so that its worker knew what Redis had granted; infinite if it has
    not, or raised."""
    handling = history.handlings.get(lease.delivery or "")
    return inf if handling is None or handling.end is None or handling.error_class is not None else handling.end


def _is_held_up(history: History, lease: Lease, until: float, disturbances: Disturbances) -> bool:
    return (
        disturbances.worker_disturbed(lease.worker, lease.began, until)
        or disturbances.api_disturbed(lease.began, until)
        or any(
            disturbances.api_disturbed(lease.began - _API_SHADOW_SECONDS, until, thread)
            for thread, conversation in history.threads.items()
            if conversation == lease.conversation
        )
    )


def _is_excused(
    history: History, lease: Lease, until: float, settings: JudgeSettings, disturbances: Disturbances
) -> bool:
    began = lease.began
    return disturbances.redis_disturbed(began - settings.promises.step_timeout_seconds, until) or _is_held_up(
        history, lease, until, disturbances
    )
