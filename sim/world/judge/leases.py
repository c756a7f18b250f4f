"""S4, S5, S7, S8 and S10: what is done under a lease, and how it is let go."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from relaysim.sim.trace.subjects import Lease, Message, Request, Run, Text
from relaysim.sim.world.judge.disturbances import Disturbances
from relaysim.sim.world.judge.findings import Findings, at
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.history_records import Release
from relaysim.sim.world.judge.judge_settings import JudgeSettings
from relaysim.sim.world.judge.lookups import has_told

_CLOCKS_SECONDS = 0.1
"""How far a worker's idea of a time may be from the trace's: it asks over a network."""


def check_steps(history: History, settings: JudgeSettings, disturbances: Disturbances, findings: Findings) -> None:
    """S7: who begins an append, a creation, a cancel or a send holds the conversation's lease at that instant.

    A lease that the server lost may be relied on for its length after the loss: the worker cannot know.

    A relay that declares `guards_looks` holds it for requests that only look, too. And of steps that it declares to be
    `in_order` none takes effect after a later one of the same lease.

    Would miss: a step under an older lease of the very worker that holds the lease again, be it in another delivery; steps
    on threads of which it is not known whose they are.
    """
    findings.check("S7", history.steps + len(history.sends))
    promised = settings.promises.lease
    stale = [*history.stale, *(history.stale_looks if promised is not None and promised.guards_looks else ())]
    begun = [(each.left, each.worker, each.delivery, each.conversation, each.operation) for each in stale]
    begun += [
        (each.time, each.worker, each.delivery, each.conversation, "send")
        for each in history.sends
        if each.lease is None
    ]
    for time, worker, delivery, conversation, step in begun:
        assert conversation is not None
        lease, was_lost = _relied_on(history, disturbances, conversation, worker, delivery, time)
        facts = {"conversation": conversation}
        if lease is None:
            findings.breach("S7", f"{worker} began {step} at {at(time)} and never held {conversation}'s lease", **facts)
            continue
        text = f"{worker} began {step} for {conversation} at {at(time)}, whose lease it had {_end_of(lease)}"
        if was_lost:
            findings.residue("lost_lease", f"{text}; Redis had lost it", **facts)
        else:
            findings.breach("S7", text, **facts)
    for late in history.late_steps:
        findings.breach(
            "S7",
            f"{late.lease.worker}'s step {late.command} for {late.lease.conversation} took effect at {at(late.time)}, "
            f"{late.time - late.sent_at:.3f} s after it should have come, though the step {late.after} had followed it",
            conversation=late.lease.conversation,
        )


def _relied_on(
    history: History, disturbances: Disturbances, conversation: str, worker: str, delivery: str, time: float
) -> tuple[Lease | None, bool]:
    """The lease that a step of this worker can have relied on, though it had ended, and whether Redis had lost it.

    Deliveries of one worker may each take the lease, so the latest one of each is looked at. One that Redis had lost excuses
    the step; else it is the one of the step's own delivery, or the latest.
    """
    latest: dict[str | None, Lease] = {}
    for lease in history.leases.get(conversation, ()):
        if lease.worker == worker and lease.began <= time:
            latest.pop(lease.delivery, None)
            latest[lease.delivery] = lease
    for lease in latest.values():
        if disturbances.lost_under(lease, time):
            return lease, True
    return latest.get(delivery) or next(reversed(latest.values()), None), False


def _end_of(lease: Lease) -> str:
    ended = "" if lease.ended is None else f" at {at(lease.ended)}"
    words = {"expired": "let expire", "lost": "lost", "taken": "lost to another worker"}
    return f"{words.get(lease.how or '', 'released')}{ended}"


def check_runs(history: History, settings: JudgeSettings, disturbances: Disturbances, findings: Findings) -> None:
    """S4: the request that created a run left while its worker held the conversation's lease, and the run's metadata has the
    lease's epoch, if the relay has epochs: one for all runs of a lease, and above those of all earlier leases.

    Would miss: an epoch that is wrong in all runs of a lease and still grows; two active runs of one conversation on two
    threads.
    """
    promised = settings.promises.lease
    epoch_name = None if promised is None else promised.epoch_metadata
    highest: dict[str, tuple[int, Lease]] = {}
    for run in history.runs.values():
        request = run.request
        if request is None:
            continue
        conversation = request.conversation
        if conversation is None:
            continue
        findings.check("S4")
        facts = {"conversation": conversation, "run": run.id}
        if request.lease is None:
            _, was_lost = _relied_on(
                history, disturbances, conversation, request.worker, request.delivery, request.left
            )
            if not was_lost:  # or it is counted as a residue where the step is judged
                findings.breach("S4", f"{request.worker} created {run.id} without {conversation}'s lease", **facts)
            continue
        if epoch_name is None:
            continue
        text = _wrong_epoch(epoch_name, run, request, request.lease, highest, disturbances)
        if text is not None:
            findings.breach("S4", text, **facts)


def _wrong_epoch(
    epoch_name: str,
    run: Run,
    request: Request,
    lease: Lease,
    highest: dict[str, tuple[int, Lease]],
    disturbances: Disturbances,
) -> str | None:
    written = run.metadata.get(epoch_name)
    if written is None or not written.isdecimal():
        return f"{request.worker} created {run.id} without its lease's epoch"
    epoch = int(written)
    if lease.epoch is not None:
        if lease.epoch != epoch:
            return f"{request.worker} created {run.id} under epoch {epoch}, but its lease has epoch {lease.epoch}"
        return None
    lease.epoch = epoch
    known = highest.get(lease.conversation)
    if known is None or known[1].began <= lease.began:
        highest[lease.conversation] = (max(epoch, 0 if known is None else known[0]), lease)
    if known is None or lease.restored or known[1].restored or disturbances.writes_lost(known[1].began, lease.began):
        return None
    if known[1].began < lease.began and epoch <= known[0]:
        return f"{request.worker} created {run.id} under epoch {epoch}, though epoch {known[0]} had been before"
    return None


def check_cancels(history: History, settings: JudgeSettings, disturbances: Disturbances, findings: Findings) -> None:
    """S5: between the creation of a run and its cancel, the holder of the lease took over the run's messages or ended them,
    or each had been named by a text; and its creator, without the lease, apologises for none of them afterwards.

    Runs that no worker created are nobody's, and may be cancelled: after the patience that the relay declares to have with
    them, or once a message of the conversation has waited as long as it may. A ledger that a failover has taken back cannot
    know what a run answers.

    Would miss: a step that took over other messages than this run's; an apology by a creator that holds the lease again,
    and may have the message in its own inbox.
    """
    cancelled: dict[str, list[tuple[float, Run]]] = {}
    for request in history.cancels:
        run = history.runs.get(request.run or "")
        conversation = request.conversation
        if run is None or conversation is None:
            continue
        if run.request is None:
            _check_patience(history, run, request, settings, findings)
            continue
        findings.check("S5")
        cancelled.setdefault(run.request.worker, []).append((request.served_at or request.left, run))
        if _taken_over(history, conversation, run.request, request):
            continue
        left = [
            each
            for each in history.covered_by(run)
            if each in history.messages and not _named_before(history.messages[each], request.index)
        ]
        if not left:
            continue
        text = f"{request.worker} cancelled {run.id} at {at(request.left)}, and nobody had taken over {', '.join(left)}"
        facts = {
            "conversation": conversation,
            "run": run.id,
            "message": left[0],
            "answering": left[0],
            "cancelled_by": request.delivery,
            "cancelled_at_seconds": request.left,
        }
        since = min((each for name in left if (each := history.messages[name].stored_at) is not None), default=0.0)
        if disturbances.acknowledged_writes_lost(min(since, run.request.left), request.left):
            findings.residue("lost_writes", f"{text}; a failover had lost writes", **facts)
        else:
            findings.breach("S5", text, **facts)
    for send in history.sends:
        if send.lease is None and send.run is None and send.names and send.worker in cancelled:
            _check_late_apology(history, send, cancelled[send.worker], findings)


def _check_patience(history: History, run: Run, request: Request, settings: JudgeSettings, findings: Findings) -> None:
    """Whether a run of somebody else's was given its time before it was cancelled."""
    patience, late = settings.promises.foreign_patience_seconds, settings.promises.late_apology
    if not patience:
        return
    findings.check("S5")
    had = request.left - run.created
    if had >= patience - _CLOCKS_SECONDS:
        return
    waits_since = (
        message.stored_at
        for message in history.messages.values()
        if message.conversation == request.conversation and message.stored_at is not None
        if not any(send.time < request.left for send in message.reached)
    )
    until = request.left + _CLOCKS_SECONDS
    if late is not None and any(since + late.after_seconds <= until for since in waits_since):
        return
    findings.breach(
        "S5",
        f"{request.worker} cancelled {run.id}, which somebody else had created, at {at(request.left)}, after {had:.3f} s of "
        f"the {patience:g} s that it has patience",
        conversation=request.conversation,
        run=run.id,
    )


def _taken_over(history: History, conversation: str, creation: Request, cancel: Request) -> bool:
    return any(creation.index < each < cancel.index for each in history.handovers.get(conversation, ()))


def _named_before(message: Message, index: int) -> bool:
    return any(send.index < index for send in message.reached)


def _check_late_apology(history: History, send: Text, cancelled: list[tuple[float, Run]], findings: Findings) -> None:
    for time, run in cancelled:
        names = [each for each in send.names if history.covers(run, each)]
        if time <= send.time and names:
            findings.breach(
                "S5",
                f"{send.worker} apologised at {at(send.time)} for {', '.join(names)}, although its {run.id} had been "
                f"cancelled at {at(time)} by who took them over",
                conversation=send.conversation,
                run=run.id,
                message=names[0],
                received=[send.text],
            )
            return


def check_releases(
    history: History,
    ledger: Mapping[str, str | None] | None,
    settings: JudgeSettings,
    disturbances: Disturbances,
    findings: Findings,
) -> None:
    """S8: when a lease is released, no run that was created or looked at under it is active, unless its cancel was
    requested. S10: and no message waits: one that Redis had accepted, and that a text names only later, or that never ends.

    Nobody can know of a run whose creation seemed to fail; whoever declares `clears_up` asks before it lets the lease go.

    A lease that is handed back goes with all that waits, and is not judged.

    Would miss: S8, a creation that is still on its way and creates its run later; S10, a message that waited and then ended
    without any text.
    """
    promised = settings.promises.lease
    handing_back = promised.steps.hand_back if promised is not None else ()
    accepts = promised is not None and bool(promised.steps.accept)
    waiting = _by_acceptance(history)
    keys = {conversation: [message.stored_index for message in each] for conversation, each in waiting.items()}
    for release in history.releases:
        if release.command in handing_back:
            continue
        findings.check("S8")
        if accepts:
            findings.check("S10")
        _check_runs_left(history, release, promised is not None and promised.clears_up, findings)
        conversation = release.lease.conversation
        messages = waiting.get(conversation, [])
        # Newest first: what is older was there when earlier leases were released.
        for position in range(bisect_left(keys.get(conversation, []), release.index) - 1, -1, -1):
            message = messages[position]
            assert message.stored_at is not None
            if message.stored_at < release.lease.began and _is_old(message, release):
                break
            if not _waits(message, release, ledger) or not disturbances.held(message, release.time, release.time):
                continue
            findings.breach(
                "S10",
                f"{release.lease.worker} released {conversation}'s lease at {at(release.time)} while {message.id}, "
                f"accepted at {at(message.stored_at)}, waited",
                conversation=conversation,
                message=message.id,
            )
            break


def _by_acceptance(history: History) -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = {}
    for message in sorted(history.messages.values(), key=lambda each: each.stored_index):
        if message.stored_at is not None:
            found.setdefault(message.conversation, []).append(message)
    return found


def _is_old(message: Message, release: Release) -> bool:
    """Whether it had been named by a text before the lease began."""
    reached = message.reached
    return bool(reached) and reached[0].time < release.lease.began


def _waits(message: Message, release: Release, ledger: Mapping[str, str | None] | None) -> bool:
    reached = message.reached
    if reached:
        return reached[0].index > release.index
    return ledger is not None and ledger.get(message.id) is None


def _check_runs_left(history: History, release: Release, clears_up: bool, findings: Findings) -> None:
    lease = release.lease
    for run, is_cancelled in release.runs:
        request = run.request
        if request is None or is_cancelled:
            continue
        made = request.lease is lease
        if not made and run.id not in lease.looked:
            continue
        text = f"{lease.worker} released {lease.conversation}'s lease at {at(release.time)} while {run.id} was active"
        facts = {"conversation": lease.conversation, "run": run.id}
        had_an_answer = request.succeeded and request.answered is not None and request.answered <= release.time
        if run.id in lease.looked or had_an_answer or _was_listed(history, run, lease, release):
            findings.breach("S8", text, **facts)
        elif made and clears_up and _was_forgotten(history, request, release):
            findings.breach("S8", f"{text}: nobody had looked what had become of its creation", **facts)
        else:
            findings.residue("orphan_run", f"{text}, of which it could not know", **facts)


def _was_listed(history: History, run: Run, lease: Lease, release: Release) -> bool:
    return any(
        each.operation in history.roles.lists_turns
        and each.lease is lease
        and each.succeeded
        and each.served_at is not None
        and run.created <= each.served_at
        and each.answered is not None
        and each.answered <= release.time
        for each in history.lookups.get(run.thread, ())
    )


def _was_forgotten(history: History, creation: Request, release: Release) -> bool:
    """Whether a holder that could not know what had become of a creation did not even ask before it let the lease go: it had
    no answer since the creation left (that the thread is gone is one), and asked for none since it last told its customer
    something."""
    last_told = max(
        (each.time for each in history.sends if each.lease is release.lease and each.index < release.index), default=0.0
    )
    for each in history.lookups.get(creation.thread or "", ()):
        if each.lease is not release.lease or each.left < creation.left or each.left > release.time:
            continue
        if each.left >= last_told or (has_told(each) and each.answered is not None and each.answered <= release.time):
            return False
    return creation.is_uncertain(release.time)
