"""Why it went wrong: the records of a trace that a breach came from, each set of them of a known kind.

A cause is found by rule, from what happened and in which order, and never from words. What is found is what the trace
shows together with the breach: a lock key that differs, the arrival of a message that was overtaken, a lease that ran out
while its holder went on, the send that is the breach itself. A story keeps all of these records, however short it is made.

More than 400 lines, because it is one rule for each kind of cause.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from relaysim.reports.story_cause_kinds import Cause, CauseKind
from relaysim.reports.story_facts import reply_kept_in, run_left_in
from relaysim.reports.story_places import Places
from relaysim.reports.story_wait_causes import KINDS as OF_WAITS
from relaysim.reports.story_wait_causes import WaitCauses
from relaysim.sim.trace.chronicle import ENDED_STATES, Chronicle
from relaysim.sim.trace.conversation_evidence import Evidence
from relaysim.sim.trace.crashes import Crashes
from relaysim.sim.trace.holds import Hold, Holds
from relaysim.sim.trace.subjects import Handling, Message, Request, Run, Text

Record = tuple[float, str, str, Sequence[Any]]

PLACES_MAX: Final = 10
"""Records of all causes of one story: so many fit into the shortest story that people are shown, told whole."""


_RESIDUES: Final[Mapping[str, str]] = {
    "residue_lost_lease": "breach_S7",
    "residue_orphan_run": "breach_S8",
    "residue_stored_twice": "breach_S13",
    "residue_stored_late": "breach_S14",
    "residue_unknown": "breach_S1",
    "residue_refused": "breach_S1",
    "residue_cut_off": "breach_L1",
}
"""What no relay can prevent comes from the same as the breach that it would be; `residue_lost_writes` would be several."""

_OF_SENDS: Final = frozenset(
    {"wrong_conversation", "duplicate_reply", "out_of_order"}
    | {f"breach_{each}" for each in ("S1", "S2", "S3", "S6", "S11", "S12", "S15")}
)
_OF_APOLOGIES: Final = frozenset(
    {"apology_despite_cover", "answered_but_apologised", "friendly_failure", "generic_failure", "failed", "lost"}
)
_OF_ORDER: Final = frozenset({"out_of_order", "breach_S3", "breach_S14"})
_OF_LOSSES: Final = frozenset({"lost", "duplicate_reply", "breach_S1", "breach_S2", "breach_L1", "breach_L2"})
_OF_REPEATS: Final = _OF_LOSSES | {"breach_S9", "breach_S13", "failed"}
_OF_LEASES: Final = frozenset({"breach_S4", "breach_S7"})


def find_causes(records: Sequence[Record], chronicle: Chronicle, breach: Mapping[str, Any]) -> list[Cause]:
    """The causes of a breach that the trace shows, those nearest to it first, with at most `PLACES_MAX` places in all.

    Args:
        records: the trace.
        chronicle: of that trace.
        breach: what an observation says of it: `kind`, and, where it names them, `conversation`, `message`, `run` and
            `received`; its sentence is not read.
    """
    finder = _Finder(records, chronicle, breach)
    found: list[Cause] = []
    told: set[int] = set()
    for cause in finder.all():
        places = tuple(sorted({each for each in cause.places if each >= 0}))
        is_new = not any(set(places) <= set(each.places) and cause.kind is each.kind for each in found)
        if places and is_new and len(told.union(places)) <= PLACES_MAX:
            found.append(Cause(cause.kind, places))
            told.update(places)
    return found


class _Finder:
    """The rules. Each yields causes whose places need not be in order."""

    def __init__(self, records: Sequence[Record], chronicle: Chronicle, breach: Mapping[str, Any]) -> None:
        self._records = records
        self._chronicle = chronicle
        self._evidence = Evidence(chronicle)
        self._breach = breach
        self._kind = str(breach.get("kind", ""))
        self._message: Message | None = chronicle.messages.get(str(breach.get("message", "")))
        self._conversation = str(breach.get("conversation") or (self._message.conversation if self._message else ""))
        self._run = str(breach.get("run", ""))
        received = breach.get("received", ())
        self._texts = (received,) if isinstance(received, str) else tuple(received)
        self._kind = self._would_be()
        self._places, self._holds_reader, self._crashes = Places(), Holds(), Crashes()
        for reader in (self._places, self._holds_reader, self._crashes):
            reader.read(records)
        self._holds = [each for each in self._holds_reader.holds if self._is_own(each)]
        self._sends = self._breaching_sends()
        if self._message is None and self._kind == "duplicate_reply":
            self._message = self._answered_twice()
        self._deliveries = self._deliveries_in_question()
        self._handlings = [each for each in chronicle.handlings.values() if each.conversation == self._conversation]
        self._begin, self._end = self._window()

    def all(self) -> Iterator[Cause]:
        """Every cause, by the rules in their order."""
        if self._kind in OF_WAITS:
            # What else went wrong in such a conversation had nothing to do with it: the judge excuses what had.
            yield from WaitCauses(self._records, self._chronicle, self._places, self._holds, self._breach).all()
            return
        rules: list[Callable[[], Iterator[Cause]]] = [
            self._the_send,
            self._taken_meanwhile,
            self._stored_twice,
            self._foreign_thread,
            self._overtaken,
            self._cancelled,
            self._outlived,
            self._different_locks,
            self._lost_locks,
            self._released_early,
            self._without_lease,
            self._the_step,
            self._exception,
            self._run_failed,
            self._reply_kept,
            self._left_at_work,
            self._send_unknown,
            self._answer_lost,
            self._crash,
            self._redis_fault,
            self._in_the_way,
            self._loop_blocked,
            self._task_cancelled,
            self._delivered_again,
            self._at_once,
            self._never_taken_up,
        ]
        for rule in rules:
            yield from rule()

    # What it is about

    def _would_be(self) -> str:
        """The breach's kind; of a residue that of the breach that it would be."""
        if self._kind != "residue_lost_writes":
            return _RESIDUES.get(self._kind, self._kind)
        if self._run:
            return "breach_S5"
        if self._message is None or not self._message.sends:
            return "breach_S1"
        return "breach_S2" if len(self._message.reached) > 1 else "breach_S14"

    def _is_own(self, hold: Hold) -> bool:
        if hold.kind == "lease":
            return hold.key == self._conversation
        return self._evidence.conversation_of(hold.delivery, key=hold.key) == self._conversation

    def _breaching_sends(self) -> list[Text]:
        sends = [each for each in self._chronicle.sends if each.conversation == self._conversation]
        message = self._message
        if self._kind in _OF_APOLOGIES:
            deliveries = set() if message is None else {each.delivery for each in message.handlings}
            name = "" if message is None else message.id
            return [
                each
                for each in sends
                if self._chronicle.kind_of(each) == "apology" and (name in each.names or each.delivery in deliveries)
            ]
        if self._kind not in _OF_SENDS:
            return []
        if self._kind in ("breach_S2", "breach_S1") and message is not None:
            return message.reached[:2] if len(message.reached) > 1 else message.sends[-1:]
        if self._kind == "breach_S3" and message is not None:
            own = message.sends[:1]
            later = [each for each in sends if own and each.time < own[0].time and each.names]
            return [*later[-1:], *own]
        found = [each for each in sends if each.text in self._texts]
        if self._run:
            found = [each for each in found if each.run is not None and each.run.id == self._run] or found
        last = found[-1:]
        if self._kind == "duplicate_reply" and last:
            covered = set() if last[0].run is None else set(self._chronicle.covered_by(last[0].run))
            before = [
                each
                for each in sends
                if each.index < last[0].index
                and each.run is not None
                and (each.run is last[0].run or covered & set(self._chronicle.covered_by(each.run)))
            ]
            return [*before[-1:], *last]
        if self._kind == "out_of_order" and last:
            later = [each for each in sends if each.index < last[0].index and each.run is not None]
            return [*later[-1:], *last]
        return found[:2]

    def _answered_twice(self) -> Message | None:
        """The message that two texts answer, the last one written of several."""
        covered = [set() if each.run is None else set(self._chronicle.covered_by(each.run)) for each in self._sends]
        shared = [self._chronicle.messages[each] for each in set.intersection(*covered)] if covered else []
        own = [each for each in shared if each.conversation == self._conversation]
        return max(own, key=lambda each: each.number, default=None)

    def _deliveries_in_question(self) -> set[str]:
        """Of the message in question, else of the texts in question: what was done in these is nearest to the breach."""
        if self._message is not None:
            return {each.delivery for each in self._message.handlings}
        run = self._chronicle.runs.get(self._run)
        return {each.delivery for each in self._sends if each.delivery} | (
            {run.delivery} if run and run.delivery else set()
        )

    def _window(self) -> tuple[float, float]:
        """Virtual seconds: from when what is in question began until it had gone wrong."""
        begin = self._message.sent_at if self._message is not None else 0.0
        ends = [each.time for each in self._sends]
        if self._chronicle.has_leases:  # whose handlings only take messages in
            return begin, max(ends, default=float("inf"))
        for delivery in self._deliveries:
            handling = self._chronicle.handlings.get(delivery)
            if handling is not None:
                ends.append(float("inf") if handling.end is None else handling.end)
        if self._message is not None and any(each.delivery == "" for each in self._chronicle.sends):
            ends.append(float("inf"))
        return begin, max(ends, default=float("inf"))

    def _is_in_window(self, time: float | None) -> bool:
        return time is not None and self._begin <= time <= self._end

    def _is_in_question(self, request: Request | None) -> bool:
        return request is not None and (
            request.delivery in self._deliveries
            or (not request.delivery and self._conversation_of(request) == self._conversation)
        )

    def _conversation_of(self, request: Request) -> str:
        return self._evidence.conversation_of(request.delivery, thread=request.thread)

    def _requests(self) -> list[Request]:
        return [each for each in self._chronicle.requests.values() if self._conversation_of(each) == self._conversation]

    def _served(self, request: Request | None) -> int:
        return -1 if request is None else self._places.served.get(request.id, -1)

    def _own_runs(self) -> list[Run]:
        """The runs that were to answer what is in question."""
        name = self._message.id if self._message is not None else ""
        return [
            each
            for each in self._chronicle.runs.values()
            if each.id == self._run
            or (each.delivery and each.delivery in self._deliveries)
            or (name and name in self._chronicle.covered_by(each))
        ]

    # What the breach is

    def _the_send(self) -> Iterator[Cause]:
        if self._sends:
            kept = [self._sends[0], self._sends[-1]] if self._kind not in _OF_APOLOGIES else self._sends[-1:]
            yield Cause(CauseKind.BREACHING_SEND, tuple(each.index for each in kept))

    def _taken_meanwhile(self) -> Iterator[Cause]:
        """What a worker keeps for itself, and not for each message, is that of the message that it took last."""
        if self._kind != "wrong_conversation":
            return
        for sent in self._sends:
            own = self._chronicle.handlings.get(sent.delivery)
            if own is None or own.conversation == sent.conversation:
                continue
            meanwhile = [
                each
                for each in self._chronicle.handlings.values()
                if each.worker == own.worker
                and each.conversation == sent.conversation
                and own.start <= each.start <= sent.time
            ]
            if meanwhile:
                last = max(meanwhile, key=lambda each: each.start)
                yield Cause(CauseKind.TAKEN_MEANWHILE, (self._places.started.get(last.delivery, -1),))
                return

    def _stored(self, message: Message) -> list[tuple[int, str, Request | None]]:
        """Where a message was stored, at which place in the trace, and by which request."""
        return [
            (place, event.thread_id, self._chronicle.requests.get(event.cause))
            for place, event in self._places.stored
            if message in self._chronicle.messages_in(event.text) and event.role == "user"
        ]

    def _stored_twice(self) -> Iterator[Cause]:
        if self._kind not in ("breach_S9", "breach_S13") or self._message is None:
            return
        by_thread: dict[str, list[Request | None]] = {}
        for _, thread, request in self._stored(self._message):
            by_thread.setdefault(thread, []).append(request)
        for requests in by_thread.values():
            if len(requests) > 1:
                yield Cause(CauseKind.STORED_TWICE, tuple(self._served(each) for each in requests[:2]))

    def _foreign_thread(self) -> Iterator[Cause]:
        if self._kind not in ("breach_S12", "wrong_conversation"):
            return
        for message in [self._message] if self._message is not None else self._chronicle.messages.values():
            for _, thread, request in self._stored(message):
                owner = self._evidence.threads.get(thread, message.conversation)
                if owner != message.conversation and self._conversation in (owner, message.conversation):
                    yield Cause(
                        CauseKind.FOREIGN_THREAD, (self._places.sent.get(message.id, -1), self._served(request))
                    )
                    return

    def _overtaken(self) -> Iterator[Cause]:
        message = self._message
        if self._kind not in _OF_ORDER or message is None:
            return
        own = next(((place, request) for place, _, request in self._stored(message)), (len(self._records), None))
        for later in self._chronicle.messages.values():
            if later.conversation != message.conversation or later.number <= message.number:
                continue
            passed = next(((place, request) for place, _, request in self._stored(later)), None)
            if passed is not None and passed[0] < own[0]:
                arrived = message.handlings[0].delivery if message.handlings else ""
                yield Cause(
                    CauseKind.OVERTAKEN,
                    (
                        self._places.sent.get(message.id, -1),
                        self._places.started.get(arrived, -1),
                        self._places.sent.get(later.id, -1),
                        self._served(passed[1]),
                        self._served(own[1]),
                    ),
                )
                return

    # Runs

    def _cancelled(self) -> Iterator[Cause]:
        for run in self._own_runs():
            for request in self._places_of_cancels(run):
                is_another = (run.delivery or "") != request.delivery or (
                    run.request is not None and run.request.worker != request.worker
                )
                ended = self._places.states.get((run.id, run.state), -1) if run.ended is not None else -1
                if run.state in ENDED_STATES and run.state != "cancelled":
                    yield Cause(CauseKind.CANCEL_TOO_LATE, (self._served(request), ended))
                elif is_another and run.request is not None:
                    yield Cause(CauseKind.CANCELLED, (self._served(run.request), self._served(request), ended))
        for request in self._requests():  # of another's run that was in the way
            met = self._chronicle.runs.get(request.run or "")
            if met is None or request.operation not in self._chronicle.roles.cancels or met.ended is None:
                continue
            if self._is_in_question(request) and met.state != "cancelled":
                ended = self._places.states.get((met.id, met.state), -1)
                yield Cause(CauseKind.CANCEL_TOO_LATE, (self._served(request), ended))

    def _places_of_cancels(self, run: Run) -> list[Request]:
        return [
            each
            for each in self._chronicle.requests.values()
            if each.operation in self._chronicle.roles.cancels and each.run == run.id and each.served_at is not None
        ]

    def _outlived(self) -> Iterator[Cause]:
        refused = [
            each
            for each in self._chronicle.requests.values()
            if each.conflict and self._is_in_question(each) and self._is_in_window(each.served_at)
        ]
        if not refused or self._kind in _OF_ORDER:
            return
        last = refused[-1]
        run = last.refused_by
        assert run is not None
        followed = [
            each
            for each in self._chronicle.requests.values()
            if self._is_in_question(each) and each.index > last.index and each.operation == last.operation
        ]
        if any(each.served_status == 200 for each in followed):
            return  # it got through in the end
        ended = -1 if run.ended is None else self._places.states.get((run.id, run.state), -1)
        yield Cause(
            CauseKind.OUTLIVED_WAITS,
            (self._made(run), self._served(refused[0]), self._served(last), ended),
        )

    def _made(self, run: Run) -> int:
        """Where a run was created, or was first seen."""
        return run.index if run.request is None else self._served(run.request)

    def _run_failed(self) -> Iterator[Cause]:
        for run in self._own_runs():
            if run.state in ("failed", "expired", "incomplete") and self._kind not in _OF_ORDER:
                yield Cause(CauseKind.RUN_FAILED, (self._made(run), self._places.states.get((run.id, run.state), -1)))

    def _reply_kept(self) -> Iterator[Cause]:
        if self._kind not in _OF_LOSSES or self._message is None:
            return
        for handling in self._message.handlings:
            kept = reply_kept_in(self._chronicle, handling)
            if kept is not None:
                places = (self._served(kept[1]), self._places.ended.get(handling.delivery, -1))
                yield Cause(CauseKind.REPLY_KEPT, places)

    def _left_at_work(self) -> Iterator[Cause]:
        if (
            self._kind not in _OF_LOSSES
            or self._message is None
            or self._evidence.background_requests(self._conversation)
        ):
            return
        for handling in self._message.handlings:
            left = run_left_in(self._chronicle, handling)
            if left is not None:
                ended = -1 if left.ended is None else self._places.states.get((left.id, left.state), -1)
                yield Cause(CauseKind.LEFT_AT_WORK, (self._places.ended.get(handling.delivery, -1), ended))

    # Locks and leases

    def _different_locks(self) -> Iterator[Cause]:
        locks = [each for each in self._holds if each.kind == "lock" and self._overlaps(each)]
        ordered = sorted(locks, key=lambda each: self._distance(each.delivery))
        for one, other in combinations(ordered, 2):
            if one.key == other.key or (one.worker, one.delivery) == (other.worker, other.delivery):
                continue
            if not _at_once(one, other) or not self._both_asked(one, other):
                continue
            theirs = [{each.key for each in locks if each.delivery == hold.delivery} for hold in (one, other)]
            tried = [self._places.tried.get(hold.delivery or hold.worker, set()) for hold in (one, other)]
            if not theirs[0] & theirs[1] and not theirs[0] & tried[1] and not theirs[1] & tried[0]:
                yield Cause(CauseKind.DIFFERENT_LOCKS, (one.begin, other.begin))
                return

    def _distance(self, delivery: str) -> int:
        return 0 if delivery in self._deliveries else 1

    def _both_asked(self, one: Hold, other: Hold) -> bool:
        threads = [
            {each.thread for each in self._requests() if each.delivery == hold.delivery and each.worker == hold.worker}
            for hold in (one, other)
        ]
        return bool(threads[0] & threads[1] - {None})

    def _overlaps(self, hold: Hold) -> bool:
        return hold.began <= self._end and (hold.ended is None or hold.ended >= self._begin)

    def _lost_locks(self) -> Iterator[Cause]:
        kinds = {"expired": CauseKind.LOCK_RAN_OUT, "lost": CauseKind.LOCK_LOST, "deleted": CauseKind.LOCK_DELETED}
        for place, hold in enumerate(self._holds):
            kind = kinds.get(hold.how)
            if kind is None or not self._is_in_window(hold.ended):
                continue
            if hold.kind == "lease" and not self._went_on(hold) and self._kind != "breach_L7":
                continue
            following = next(
                (each for each in self._holds[place + 1 :] if each.key == hold.key and each.begin > hold.end), None
            )
            fault = self._places.last_fault(hold.end) if hold.how == "lost" else -1
            yield Cause(kind, (hold.begin, fault, hold.end, -1 if following is None else following.begin))
            return

    def _went_on(self, hold: Hold) -> bool:
        """Whether a lease's holder did something for the conversation after it had gone and before it had it again."""
        again = next((each.begin for each in self._holds if each.worker == hold.worker and each.begin > hold.end), None)
        did = [each.index for each in self._requests() if each.worker == hold.worker]
        did += [each.index for each in self._chronicle.sends if each.worker == hold.worker]
        return any(hold.end < each and (again is None or each < again) for each in did)

    def _released_early(self) -> Iterator[Cause]:
        if self._kind not in ("breach_S8", "breach_S10"):
            return
        for hold in self._holds:
            if hold.kind != "lease" or hold.how != "released" or hold.ended is None:
                continue
            runs = [each for each in self._chronicle.runs.values() if each.id == self._run]
            for run in runs:
                if run.created <= hold.ended and (run.ended is None or run.ended > hold.ended):
                    yield Cause(CauseKind.RELEASED_EARLY, (self._made(run), hold.end))
                    return
            message = self._message
            if not runs and message is not None and message.accepted is not None and message.accepted <= hold.ended:
                ended = message.sends[0].time if message.sends else float("inf")
                if ended > hold.ended:
                    arrived = self._places.ended.get(message.handlings[0].delivery, -1)
                    yield Cause(CauseKind.RELEASED_EARLY, (self._places.sent.get(message.id, -1), arrived, hold.end))
                    return

    def _without_lease(self) -> Iterator[Cause]:
        if self._kind not in _OF_LEASES:
            return
        for request in self._requests():
            is_it = not self._run or (request.run_made is not None and request.run_made.id == self._run)
            if is_it and request.served_at is not None and not self._held(request.worker, request.index):
                yield Cause(
                    CauseKind.WITHOUT_LEASE, (self._last_end(request.worker, request.index), self._served(request))
                )
                return
        for send in self._chronicle.sends:
            is_own = send.conversation == self._conversation and not self._run
            if is_own and not self._held(send.worker, send.index):
                yield Cause(CauseKind.WITHOUT_LEASE, (self._last_end(send.worker, send.index), send.index))
                return

    def _held(self, worker: str, place: int) -> bool:
        """Whether a worker held the conversation's lease then."""
        return any(
            each.kind == "lease" and each.worker == worker and each.begin < place and not -1 < each.end < place
            for each in self._holds
        )

    def _last_end(self, worker: str, place: int) -> int:
        return max((each.end for each in self._holds if each.worker == worker and each.end < place), default=-1)

    def _the_step(self) -> Iterator[Cause]:
        run = self._chronicle.runs.get(self._run)
        if run is None or self._kind not in ("breach_S4", "breach_S5", "breach_S6", "breach_S8", "breach_S13"):
            return
        cancels = self._places_of_cancels(run)[-1:] if self._kind == "breach_S5" else []
        began = -1
        if self._kind == "breach_S4" and run.request is not None:
            worker, left = run.request.worker, run.request.index
            began = max((each.begin for each in self._holds if each.worker == worker and each.begin < left), default=-1)
        yield Cause(CauseKind.BREACHING_STEP, (began, self._made(run), *(self._served(each) for each in cancels)))

    # The relay, its workers, and what reached them

    def _exception(self) -> Iterator[Cause]:
        for delivery in sorted(self._deliveries, key=lambda each: self._places.ended.get(each, -1)):
            handling = self._chronicle.handlings.get(delivery)
            if handling is not None and handling.error_class is not None:
                yield Cause(CauseKind.EXCEPTION, (self._places.ended.get(delivery, -1),))
        workers = {each.worker for each in self._handlings}
        for place, _, worker, event in self._places.exceptions:
            if event.delivery in self._deliveries or (not event.delivery and worker in workers):
                yield Cause(CauseKind.EXCEPTION, (place,))

    def _crash(self) -> Iterator[Cause]:
        if self._kind in _OF_ORDER:
            return
        for handling in self._in_question():
            crash = self._crashes.first_after(handling.worker, handling.start)
            ended = self._answered_at()
            if crash is not None and crash[0] <= min(self._end, ended):
                begun = self._places.started.get(handling.delivery, -1)
                accepted = self._places.ended.get(handling.delivery, -1)
                yield Cause(CauseKind.CRASH, (accepted if -1 < accepted < crash[1] else begun, crash[1]))
                return
        for hold in self._holds:
            crash = self._crashes.first_after(hold.worker, hold.began)
            if crash is not None and (hold.ended is None or crash[0] <= hold.ended) and crash[0] <= self._end:
                yield Cause(CauseKind.CRASH, (hold.begin, crash[1]))
                return

    def _redis_fault(self) -> Iterator[Cause]:
        """What befell the whole server between a message's acceptance and its end."""
        message = self._message
        if message is None or message.accepted is None or self._kind not in _OF_LOSSES:
            return
        ended = next(
            (self._places.ended[each.delivery] for each in message.handlings if each.end == message.accepted), -1
        )
        for place in self._places.faults:
            time, _, _, event = self._records[place]
            if not event.key and message.accepted <= time <= self._end:  # type: ignore[attr-defined]
                yield Cause(CauseKind.REDIS_FAULT, (ended, place))
                return

    def _in_the_way(self) -> Iterator[Cause]:
        """For what did not end in time: the run that its conversation had all that time, the oldest first."""
        message = self._message
        if self._kind != "breach_L1" or message is None:
            return
        ended = min((each.time for each in message.sends), default=float("inf"))
        texts = [each.index for each in message.sends[:1]]
        for run in self._chronicle.runs.values():
            is_own = self._evidence.threads.get(run.thread) == self._conversation
            if is_own and run.created < ended and (run.ended is None or run.ended > message.sent_at):
                last = -1 if run.ended is None else self._places.states.get((run.id, run.state), -1)
                sent = self._places.sent.get(message.id, -1)
                yield Cause(CauseKind.RUN_IN_THE_WAY, (sent, self._made(run), last, *texts))
                return

    def _in_question(self) -> list[Handling]:
        return [each for each in self._handlings if each.delivery in self._deliveries]

    def _answered_at(self) -> float:
        """When the message had got its first text; infinite: never."""
        message = self._message
        if message is None:
            return float("inf")
        times = [each.time for each in message.sends]
        times += [
            each.time
            for each in self._chronicle.sends
            if each.run is not None and message.id in self._chronicle.covered_by(each.run)
        ]
        return (
            max(times, default=float("inf"))
            if self._kind in ("breach_S1", "breach_S2")
            else min(times, default=float("inf"))
        )

    def _answer_lost(self) -> Iterator[Cause]:
        if self._kind in _OF_APOLOGIES:
            return
        requests = self._requests()
        for request in requests:
            changes = request.appends or request.starts
            if not changes or not request.is_uncertain(float("inf")) or request.served_at is None:
                continue
            again = next(
                (
                    each
                    for each in requests
                    if each.index > request.index
                    and each.operation == request.operation
                    and each.thread == request.thread
                ),
                None,
            )
            if again is not None:
                lost = self._places.answered.get(request.id, -1)
                yield Cause(CauseKind.ANSWER_LOST, (self._served(request), lost, self._served(again)))
                return

    def _send_unknown(self) -> Iterator[Cause]:
        message = self._message
        if message is None:
            return
        for place, send in enumerate(message.sends):
            if send.fate.startswith("unknown"):
                again = message.sends[place + 1 : place + 2]
                yield Cause(CauseKind.SEND_UNKNOWN, (send.index, *(each.index for each in again)))
                return

    def _delivered_again(self) -> Iterator[Cause]:
        if self._kind not in _OF_REPEATS:
            return
        sent_in = [self._chronicle.handlings.get(each.delivery) for each in self._sends[::-1]]
        messages = [self._message, *(None if each is None else each.message for each in sent_in)]
        for message in messages:
            if message is not None and len(message.handlings) > 1:
                first, second = message.handlings[:2]
                failed = self._places.failed.get(first.delivery, self._places.started.get(first.delivery, -1))
                yield Cause(CauseKind.DELIVERED_AGAIN, (failed, self._places.started.get(second.delivery, -1)))
                return

    def _loop_blocked(self) -> Iterator[Cause]:
        workers = {each.worker for each in self._in_question()}
        blocks = [each for each in self._places.blocked if each[2] in workers and self._is_in_window(each[1])]
        if blocks:
            longest = max(blocks, key=lambda each: (not each[3].is_over, each[3].seconds))
            yield Cause(CauseKind.LOOP_BLOCKED, (longest[0],))

    def _task_cancelled(self) -> Iterator[Cause]:
        for place, event in self._places.cancelled:
            if event.delivery in self._deliveries:
                yield Cause(CauseKind.TASK_CANCELLED, (place,))
                return

    def _at_once(self) -> Iterator[Cause]:
        """Two handlings that asked the same thread for something at once, in a conversation that nobody ever locked."""
        if self._holds or self._kind not in (_OF_SENDS | _OF_APOLOGIES | _OF_ORDER | {"breach_S13"}):
            return
        own = self._in_question()
        for one in own:
            for other in self._handlings:
                is_at_once = other.start <= (one.end or float("inf")) and one.start <= (other.end or float("inf"))
                if other is not one and is_at_once and self._asked_the_same(one, other):
                    places = tuple(self._places.started.get(each.delivery, -1) for each in (one, other))
                    yield Cause(CauseKind.AT_ONCE, places)
                    return

    def _asked_the_same(self, one: Handling, other: Handling) -> bool:
        threads = [
            {each.thread for each in self._chronicle.requests.values() if each.delivery == handling.delivery} - {None}
            for handling in (one, other)
        ]
        return bool(threads[0] & threads[1])

    def _never_taken_up(self) -> Iterator[Cause]:
        message = self._message
        if message is None or message.accepted is None or self._stored(message) or message.sends or self._sends:
            return
        if any(each.delivery in ("", *self._deliveries) for each in self._requests() if each.left >= message.sent_at):
            return  # that may have been for it
        ended = next(
            (self._places.ended.get(each.delivery, -1) for each in message.handlings if each.end is not None), -1
        )
        yield Cause(CauseKind.NEVER_TAKEN_UP, (self._places.sent.get(message.id, -1), ended))


def _at_once(one: Hold, other: Hold) -> bool:
    ends = [float("inf") if each.ended is None else each.ended for each in (one, other)]
    return one.began < ends[1] and other.began < ends[0]


def kinds_of(causes: Collection[Cause]) -> list[str]:
    """Their kinds' names, each once."""
    return list(dict.fromkeys(each.kind.name for each in causes))
