"""S9: whether what may have been done is looked for before it is done again; and what comes to be all the same (S14)."""

from __future__ import annotations

from bisect import bisect_right

from relaysim.sim.trace.subjects import Message, Request
from relaysim.sim.world.judge.disturbances import Disturbances
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History

_GONE = 404


def check_lookups(history: History, disturbances: Disturbances, findings: Findings) -> None:
    """S9: between an append or a creation of unknown fate and its repetition, its thread's runs were listed, or the run that
    it created was asked for (after an append: or messages were listed), and that was answered, if only that the thread is
    gone. And no text is stored twice.

    Unknown is the fate of a request without an answer, or with half of one, or with a status of 500 or more; not that of one
    whose connection failed. A relay that declares the step which ends messages repeats with what it next creates or
    appends on the thread, unless messages ended in between; of any other only the same request in the same handling is taken
    for a repetition, as the SDK makes them by itself: where it is not known in whose handling requests left, none is. What
    such a relay noted of a request a failover may have lost.

    Would miss: what was looked for and misread; repetitions that only the next conversation's messages bring; for relays
    without leases, texts stored twice.
    """
    judged: set[str] = set()
    for thread, creations in history.creations.items():
        uncertain: list[Request] = []
        for request in creations:
            if uncertain:
                uncertain = _judge(history, thread, request, uncertain, judged, disturbances, findings)
            uncertain.append(request)
    if history.has_leases:
        for thread in history.stored:
            _check_stored(history, thread, judged, disturbances, findings)


def _judge(
    history: History,
    thread: str,
    request: Request,
    uncertain: list[Request],
    judged: set[str],
    disturbances: Disturbances,
    findings: Findings,
) -> list[Request]:
    """Judge a request that may be a repetition; returns which of the earlier ones are still open after it."""
    still: list[Request] = []
    repeated: list[Request] = []
    for earlier in uncertain:
        if not earlier.is_uncertain(request.left) or (earlier.answered is None and _is_over(history, earlier, request)):
            continue
        if not history.knows_ends and (
            not request.delivery
            or earlier.delivery != request.delivery
            or earlier.operation != request.operation
            or earlier.worker != request.worker
        ):
            still.append(earlier)
        elif not history.knows_ends or not _ended_between(history, earlier, request):
            repeated.append(earlier)
    if not repeated:
        return still
    findings.check("S9")
    blind = next(
        (
            earlier
            for earlier in repeated
            if _lookup(history, thread, earlier, request) is None
            # Whose note went with a failover is known to nobody: neither the request, nor what it was for.
            and not (history.knows_ends and disturbances.request_forgotten(earlier.left, request.left))
        ),
        None,
    )
    if blind is not None:
        judged.add(request.id)
        conversation = request.conversation
        findings.breach(
            "S9",
            _said(request, blind),
            **({} if conversation is None else {"conversation": conversation}),
        )
    return still


def _said(request: Request, earlier: Request) -> str:
    """What is wrong with a request, given the one before it of which nobody knew whether it had been carried out."""
    second = f"{request.worker} sent {request.operation} at {at(request.left)}"
    first = f"{earlier.worker}'s {earlier.operation} of {at(earlier.left)}"
    if earlier.answered is None or earlier.answered > request.left:
        return f"{second}, while {first} was still without an answer, and nobody had looked whether it had been carried out"
    ended = earlier.failure or f"status {earlier.status}"
    return f"{second}, without a look whether {first} had been carried out, which had ended in {ended}"


def _is_over(history: History, earlier: Request, request: Request) -> bool:
    """Whether an unanswered attempt is of a handling that nobody goes on with: if ends are not told, another handling's."""
    return not history.knows_ends and earlier.delivery != request.delivery


def _ended_between(history: History, earlier: Request, request: Request) -> bool:
    """Whether the ledger ended messages in between: then what follows is about others."""
    ends = history.ends.get(request.conversation or "", [])
    position = bisect_right(ends, earlier.left)
    return position < len(ends) and ends[position] <= request.left


def _lookup(history: History, thread: str, earlier: Request, request: Request) -> Request | None:
    """The last answered look at what became of a request on this thread, before a later one left; None: there was none."""
    since = earlier.left
    if earlier.answered is not None and earlier.answered <= request.left:
        since = earlier.answered
        if earlier.worker != request.worker:
            # When another worker's attempt failed is not to be known: what was seen under the new lease must do.
            since = min(since, max(earlier.left, _lease_since(history, request)))
    found = None
    for each in history.lookups.get(thread, ()):
        if each.left > request.left:
            break
        early = each.left < since and not _has_found(each, earlier, request)
        if early or not has_told(each) or each.answered is None or each.answered > request.left:
            continue
        if (
            each.operation in history.roles.lists_turns
            or (each.operation in history.roles.lists_messages and earlier.appends)
            or (earlier.run_made is not None and each.run == earlier.run_made.id)
        ):
            found = each
    return found


def has_told(look: Request) -> bool:
    """Whether a look was answered, if only that what it asked for is gone: more nobody is told."""
    return look.succeeded or look.status == _GONE


def _has_found(look: Request, earlier: Request, request: Request) -> bool:
    """Whether somebody else found what a request had made before its sender gave it up: a finding in the ledger is the next
    holders' too, whenever another worker's client times out."""
    return (
        len({look.worker, request.worker, earlier.worker}) == 3
        and earlier.run_made is not None
        and look.answered is not None
        and earlier.left <= look.left
        and earlier.run_made.created <= (look.answered if look.served_at is None else look.served_at)
    )


def landed_after_all(
    history: History, thread: str, message: Message, first: Request | None, second: Request | None
) -> bool:
    """Whether the request that stored a message left before the one that stored a later message, and was beyond recall when
    that one left: nobody knew its fate, it had been given up, and a text had ended the message; and it had not come to be,
    as a look had told, or the API itself, which took the later one: it takes no second turn while one is at work.

    Given up is what failed, what its sender's life did not outlast, and what has no answer when the ledger has ended its
    message: a client that stops waiting leaves no trace. Where a turn shows only once it has ended a look in vain says
    nothing, nor does another turn that was taken: the first may be at work, and is to be left behind.
    """
    if first is None or second is None or first.served_at is None or not first.left < second.left:
        return False
    if not first.is_uncertain(second.left) or history.roles.shows_ends:
        return False
    if not any(each.time <= second.left for each in message.reached):
        return False
    if first.answered is None or first.answered > second.left:
        worker = first.worker
        lives_on = worker == second.worker and history.life_of(worker, first.left) == history.life_of(
            worker, second.left
        )
        if lives_on and not (history.knows_ends and _ended_between(history, first, second)):
            return False  # it had not given it up
    if second.starts and second.run_made is not None and second.run_made.created < first.served_at:
        return True
    look = _lookup(history, thread, first, second)
    return look is not None and look.served_at is not None and look.served_at < first.served_at


def _lease_since(history: History, request: Request) -> float:
    """Since when a request's worker had held the lease when it left; its leaving, if it held none."""
    leases = history.leases.get(request.conversation or "", ())
    held = [each.began for each in leases if each.worker == request.worker and each.began <= request.left]
    return max(held, default=request.left)


def _check_stored(
    history: History, thread: str, judged: set[str], disturbances: Disturbances, findings: Findings
) -> None:
    first: dict[tuple[str, ...], tuple[str, float]] = {}
    for _, text, cause, time, messages in history.stored[thread]:
        # A customer may say the same twice, and both belong there.
        said = (text, *(each.id for each in messages))
        known = first.setdefault(said, (cause, time))
        if known[0] == cause:
            continue
        one, other = history.requests.get(known[0]), history.requests.get(cause)
        if one is None or other is None:
            continue
        if not history.contents.stood(thread, known[0], text, cause):
            first[said] = cause, time  # the first one had gone with its turn
            continue
        findings.check("S9")
        landed = known[1]
        if other.left < one.left:
            one, other, landed = other, one, time
        if other.id in judged:
            continue
        lookup = _lookup(history, thread, one, other)
        sentence = f"{text!r} was stored twice in {thread}: by {one.worker}'s request of {at(one.left)} and by "
        sentence += f"{other.worker}'s of {at(other.left)}"
        conversation = history.threads.get(thread)
        facts = {} if conversation is None else {"conversation": conversation}
        if messages:
            facts["message"] = messages[0].id
        if lookup is not None and lookup.served_at is not None and lookup.served_at < landed:
            findings.residue("stored_twice", f"{sentence}; the first came after it had been looked for", **facts)
        elif disturbances.acknowledged_writes_lost(one.left, other.left):
            findings.residue("stored_twice", f"{sentence}; a failover had lost writes", **facts)
        else:
            findings.breach("S9", sentence, **facts)
