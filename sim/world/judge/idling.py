"""L6 and L7: what a relay asks of Redis without need, and leases that run out while their holders are well."""

from __future__ import annotations

from relaysim.sim.trace.subjects import Lease
from relaysim.sim.world.judge.disturbances import Disturbances
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.history_records import Claim
from relaysim.sim.world.judge.judge_settings import JudgeSettings

_CALM_SECONDS = 10.0
"""Between the look that finds a conversation and the request for its lease nothing takes so long, if nothing is wrong."""

_FRESH_SECONDS = 5.0
"""What was taken or let go so lately may be news to whoever asks."""

_MARGIN = 0.15
"""Share of a lease by which its holder may take it for lost before Redis does."""


def check_claims(history: History, disturbances: Disturbances, findings: Findings) -> None:
    """L6: nobody asks for the lease of a conversation that somebody has held for 5 s, nor twice for that of one in which
    nothing waits; judged where neither Redis nor the worker had been disturbed for 10 s.

    Would miss: needless commands of other kinds; what a disturbance before it may explain.
    """
    idle: dict[str, int] = {}
    for claim in history.claims:
        conversation, holder = claim.conversation, claim.holder
        findings.check("L6")
        if claim.granted:
            idle.pop(conversation, None)
            continue
        since = claim.time - _CALM_SECONDS
        if disturbances.redis_disturbed(since, claim.time) or disturbances.worker_disturbed(
            claim.worker, since, claim.time
        ):
            continue
        if holder is not None:
            if holder.began < claim.time - _FRESH_SECONDS and not holder.restored:
                findings.breach(
                    "L6",
                    f"{claim.worker} asked for {conversation}'s lease at {at(claim.time)}, which {holder.worker} had held "
                    f"since {at(holder.began)}",
                    conversation=conversation,
                    worker=claim.worker,
                    at=claim.time,
                )
        elif _was_free(history, claim):
            idle[conversation] = idle.get(conversation, 0) + 1
            if idle[conversation] == 2:
                findings.breach(
                    "L6",
                    f"{claim.worker} asked for {conversation}'s lease at {at(claim.time)}, as somebody had before, and "
                    "nothing waited there",
                    conversation=conversation,
                    worker=claim.worker,
                    at=claim.time,
                )


def _was_free(history: History, claim: Claim) -> bool:
    leases = history.leases.get(claim.conversation, ())
    before = [each for each in leases if each.began <= claim.time]
    return not before or (before[-1].ended or claim.time) < claim.time - _FRESH_SECONDS


def check_leases_kept(
    history: History, settings: JudgeSettings, disturbances: Disturbances, findings: Findings
) -> None:
    """L7: a lease does not run out while its holder works and Redis answers: a renewal that was not answered is sent again
    at once. Judged of leases whose holder had done something under them, and was well from the last renewal on, if Redis
    had been well for as long as a step may take, or a renewal be away, and a second, when the holder had to give it up, and
    for as long as a step may take before the last renewal: who waits for a step then gives up after it.

    Would miss: leases that nobody needed any more; a holder that renews late each time, and still in time.
    """
    promised = settings.promises.lease
    if promised is None or promised.renew_seconds is None:
        return
    needed = max(settings.promises.step_timeout_seconds, promised.renew_seconds) + settings.slack_seconds
    for conversation, leases in history.leases.items():
        for lease in leases:
            if lease.ended is None or lease.first_action is None or lease.restored:
                continue
            findings.check("L7")
            if lease.how != "expired" or disturbances.worker_disturbed(lease.worker, lease.renewed, lease.ended):
                continue
            a_step_ago = lease.renewed - settings.promises.step_timeout_seconds
            if disturbances.redis_strikes(a_step_ago - settings.slack_seconds, lease.renewed + settings.slack_seconds):
                continue  # its holder may not have heard of its last renewal, or was about to give up another step
            given_up = lease.ended - _MARGIN * promised.seconds
            if given_up - _calm_since(disturbances, lease) > needed:
                findings.breach(
                    "L7",
                    f"{conversation}'s lease ran out at {at(lease.ended)} while {lease.worker} held it, was well, and Redis "
                    f"answered: it had been renewed last at {at(lease.renewed)}",
                    conversation=conversation,
                )


def _calm_since(disturbances: Disturbances, lease: Lease) -> float:
    """From when on, between a lease's last renewal and its end, nothing was wrong with Redis."""
    assert lease.ended is not None
    return max([lease.renewed, *disturbances.redis_strikes(lease.renewed, lease.ended)])
