"""One pass over a trace: who held which lease when, which requests and runs and sends there were, what became of them.

Nothing is judged here. Events of one instant are taken in the order in which the trace has them, which for Redis is the
order in which the server processed its commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from relaysim.sim.kernel import Record
from relaysim.sim.openai.states import TERMINAL

EPOCH_METADATA: Final = "relay_epoch"
"""The name under which a relay writes its lease's epoch on a run."""

STEPS: Final = frozenset({"messages.create", "runs.create", "runs.cancel"})
"""Requests that change a thread: a worker without the lease must not begin one."""

CREATIONS: Final = frozenset({"messages.create", "runs.create"})

_LOOKUPS: Final = frozenset({"runs.list", "runs.retrieve", "messages.list"})
_MESSAGE_ID: Final = re.compile(r"\[(c\d+\.m\d+)\]")


class Message:
    """What a customer wrote.

    Attributes:
        accepted: when `handle` first returned without an error.
        first_start: when it was first called.
        stored_at, stored_index: when and where in the trace Redis first processed its acceptance.
        sends: the sends that name it, in their order.
    """

    __slots__ = ("accepted", "conversation", "first_start", "id", "sends", "stored_at", "stored_index")

    def __init__(self, message_id: str, conversation: str) -> None:
        self.id = message_id
        self.conversation = conversation
        self.accepted: float | None = None
        self.first_start: float | None = None
        self.stored_at: float | None = None
        self.stored_index = -1
        self.sends: list[Send] = []

    @property
    def reached(self) -> list[Send]:
        """The sends that name it and are not known to have been refused."""
        return [send for send in self.sends if send.fate != "refused"]


class Tenure:
    """A lease, from its taking to its end.

    Attributes:
        ended, how: when, and by what: `released`, `handed back`, `expired`, `lost` or `taken`; None: it has not.
        restored: it was there again after the server had lost writes.
        first_action: when its worker first sent a request for the conversation, or a text.
        renewed: when it was last renewed.
        looked: the runs that its worker looked at.
        epoch: as its first run's metadata says.
    """

    __slots__ = (
        "began",
        "conversation",
        "ended",
        "epoch",
        "first_action",
        "how",
        "looked",
        "renewed",
        "restored",
        "worker",
    )

    def __init__(self, conversation: str, worker: str, began: float, restored: bool) -> None:
        self.conversation = conversation
        self.worker = worker
        self.began = began
        self.renewed = began
        self.restored = restored
        self.ended: float | None = None
        self.how: str | None = None
        self.first_action: float | None = None
        self.looked: set[str] = set()
        self.epoch: int | None = None


class Request:
    """One attempt at a request of the API.

    Attributes:
        left, index: when it left, and its place in the trace.
        tenure: under which lease of its worker it left; None: it held none, or the request is about no conversation.
        served_at, answered: when the service processed it, and when an answer or a failure reached the worker.
        status, failure: of that answer.
        run_made: the run that it created.
    """

    __slots__ = (
        "answered",
        "conversation",
        "delivery",
        "failure",
        "id",
        "index",
        "left",
        "operation",
        "run",
        "run_made",
        "served_at",
        "status",
        "tenure",
        "thread",
        "worker",
    )

    def __init__(
        self, request_id: str, worker: str, delivery: str, operation: str, thread: str | None, run: str | None
    ) -> None:
        self.id = request_id
        self.worker = worker
        self.delivery = delivery
        self.operation = operation
        self.thread = thread
        self.run = run
        self.conversation: str | None = None
        self.left = 0.0
        self.index = -1
        self.tenure: Tenure | None = None
        self.served_at: float | None = None
        self.answered: float | None = None
        self.status = -1
        self.failure: str | None = None
        self.run_made: Run | None = None

    @property
    def succeeded(self) -> bool:
        """Whether a whole answer of status 200 reached the worker."""
        return self.status == 200 and self.failure is None

    @property
    def failed(self) -> bool:
        """Whether what reached the worker invites a repetition."""
        return self.answered is not None and (
            self.failure is not None or self.status in (0, 408, 409, 429) or self.status >= 500
        )

    def is_uncertain(self, now: float) -> bool:
        """Whether it was unknown at that instant what had become of it: no answer, half an answer, or status >= 500."""
        if self.answered is None or self.answered > now:
            return True
        if self.failure is not None:
            return self.failure != "ConnectError"
        return self.status >= 500


class Run:
    """A run.

    Attributes:
        request: what created it; None: it was there from the start.
        created, ended: when; None: it has not.
        reach: how many of its thread's texts were there when it was created.
        state: its newest one.
        epoch: what its metadata says.
    """

    __slots__ = ("created", "ended", "epoch", "id", "reach", "request", "state", "thread")

    def __init__(self, run_id: str, thread: str, request: Request | None, created: float, reach: int) -> None:
        self.id = run_id
        self.thread = thread
        self.request = request
        self.created = created
        self.reach = reach
        self.ended: float | None = None
        self.state = "queued"
        self.epoch: str | None = None


class Send:
    """One text that a worker sent.

    Attributes:
        names: the messages that it ends, as the relay says.
        fate: `delivered`, `refused`, `unknown_delivered` or `unknown_lost`.
        tenure: the lease of its worker; None: it held none.
        decided: when its worker last read the inbox, or else the time of the send: what it knew.
        run: the run that wrote the text; None: it is an apology.
        informed: whether the worker had seen that run's end.
    """

    __slots__ = (
        "conversation",
        "decided",
        "fate",
        "index",
        "informed",
        "names",
        "run",
        "tenure",
        "text",
        "time",
        "worker",
    )

    def __init__(self, time: float, index: int, worker: str, conversation: str, text: str) -> None:
        self.time = time
        self.index = index
        self.worker = worker
        self.conversation = conversation
        self.text = text
        self.names: tuple[str, ...] = ()
        self.fate = "delivered"
        self.tenure: Tenure | None = None
        self.decided = time
        self.run: Run | None = None
        self.informed = False


class Release:
    """A lease that its holder let go.

    Attributes:
        runs: the runs that were active on the conversation's threads at that instant, with whether their cancel had
            been requested.
        command: the Redis command that did it.
    """

    __slots__ = ("command", "index", "runs", "tenure", "time")

    def __init__(self, tenure: Tenure, time: float, index: int, runs: list[tuple[Run, bool]]) -> None:
        self.tenure = tenure
        self.time = time
        self.index = index
        self.runs = runs
        self.command = ""


class Interval:
    """A time in which something was wrong."""

    __slots__ = ("begin", "end", "kind")

    def __init__(self, begin: float, end: float, kind: str) -> None:
        self.begin = begin
        self.end = end
        self.kind = kind


class History:
    """What a trace tells.

    Args:
        threads: the conversation of each thread that was there from the start; others are learned from what is stored.
        lease_prefix: of the Redis keys that are leases.
        apologies: texts that are known to be no assistant's.

    Attributes:
        messages, requests, runs: by their ids, in the order of their appearance.
        sends, releases: in their order.
        tenures: per conversation.
        handovers: per conversation, where in the trace its holder took messages over from a run, or ended some.
        ends: per conversation, when its holder ended some.
        lookups, creations: per thread, the requests that show its runs and messages, and those that add to them.
        failures: per thread, the requests that failed.
        cancels: the accepted ones.
        stale: appends, creations and cancels that left without their conversation's lease.
        steps: how many appends, creations and cancels left.
        stored: per thread, the customers' texts: text, cause, and time.
        crashes: leases whose holder died, or was dead already, and when.
        lives: how often a worker that was restarted has begun.
        down: per worker, when it was dead, paused or slow.
        redis: when something was wrong with Redis.
        received: per conversation, what its customer got when.
        end: the time of the last event.
    """

    def __init__(self, threads: Mapping[str, str], lease_prefix: str, apologies: frozenset[str]) -> None:
        self.threads = dict(threads)
        self.messages: dict[str, Message] = {}
        self.requests: dict[str, Request] = {}
        self.runs: dict[str, Run] = {}
        self.sends: list[Send] = []
        self.tenures: dict[str, list[Tenure]] = {}
        self.releases: list[Release] = []
        self.handovers: dict[str, list[int]] = {}
        self.ends: dict[str, list[float]] = {}
        self.lookups: dict[str, list[Request]] = {}
        self.creations: dict[str, list[Request]] = {}
        self.failures: dict[str, list[Request]] = {}
        self.cancels: list[Request] = []
        self.stale: list[Request] = []
        self.steps = 0
        self.stored: dict[str, list[tuple[str, str, float]]] = {}
        self.crashes: list[tuple[Tenure, float]] = []
        self.lives: dict[str, int] = {}
        self.workers: set[str] = set()
        self.down: dict[str, list[Interval]] = {}
        self.redis: list[Interval] = []
        self.received: dict[str, list[tuple[float, str]]] = {}
        self.end = 0.0
        self._prefix = lease_prefix
        self._cut = len(lease_prefix)
        self._apologies = apologies
        self._index = -1
        self._holders: dict[str, Tenure] = {}
        self._last_sends: dict[str, Send] = {}
        self._active: dict[str, Run] = {}
        self._threads_of: dict[str, list[str]] = {}
        for thread, conversation in self.threads.items():
            self._threads_of.setdefault(conversation, []).append(thread)
        self._cancelled: set[str] = set()
        self._seen_ended: set[tuple[str, str]] = set()
        self._lists: dict[tuple[str, str], float] = {}
        self._replies: dict[str, Run] = {}
        self._places: dict[str, dict[str, int]] = {}
        self._reach: dict[str, int] = {}
        self._inbox_reads: dict[str, tuple[float, str]] = {}
        self._last_commands: dict[str, tuple[float, str, str]] = {}
        self._unnamed: dict[str, Release] = {}
        self._crashed: set[str] = set()
        self._opened: dict[tuple[str, str], str] = {}

    @property
    def has_leases(self) -> bool:
        """Whether some worker ever held a lease."""
        return bool(self.tenures)

    def covers(self, run: Run, message_id: str) -> bool:
        """Whether a message was in the thread when the run was created."""
        return self._places.get(run.thread, {}).get(message_id, run.reach) < run.reach

    def covered_by(self, run: Run) -> list[str]:
        """The messages that were in the thread when the run was created."""
        return [each for each, place in self._places.get(run.thread, {}).items() if place < run.reach]

    def read(self, records: Iterable[Record]) -> None:
        """Take in a trace."""
        time = 0.0
        readers = {kind: reader.__get__(self) for kind, reader in _READERS.items()}
        get = readers.get
        for self._index, (time, entity, kind, fields) in enumerate(records):
            reader = get(kind)
            if reader is not None:
                reader(time, entity, fields)
        self.end = time

    # Customers and webhooks

    def _sent(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self.messages[fields[0]] = Message(fields[0], fields[1])

    def _received(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self.received.setdefault(fields[0], []).append((time, fields[1]))

    def _start(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self.workers.add(entity)
        message = self.messages[fields[1]]
        if message.first_start is None:
            message.first_start = time

    def _end(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        delivery, _, error = fields
        if error is None:
            message = self.messages[delivery.rpartition("#")[0]]
            if message.accepted is None:
                message.accepted = time

    # The API

    def _request(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        request_id, _, operation, thread, run = fields
        request = self.requests[request_id] = Request(request_id, entity, fields[1], operation, thread, run)
        request.left = time
        request.index = self._index
        conversation = self.threads.get(thread)
        if conversation is not None:
            request.conversation = conversation
            tenure = self._holders.get(conversation)
            if tenure is not None and tenure.worker == entity:
                request.tenure = tenure
                if tenure.first_action is None:
                    tenure.first_action = time
                if operation == "runs.retrieve":
                    tenure.looked.add(run)
        elif operation == "threads.create":
            for tenure in self._holders.values():
                if tenure.worker == entity and tenure.first_action is None:
                    tenure.first_action = time
        if operation in STEPS:
            self.steps += 1
            if request.tenure is None and conversation is not None:
                self.stale.append(request)
            if operation == "runs.cancel":
                self._cancelled.add(run)
            else:
                self.creations.setdefault(thread, []).append(request)
        elif operation in _LOOKUPS:
            self.lookups.setdefault(thread, []).append(request)

    def _served(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        request = self.requests[fields[0]]
        request.served_at = time
        if request.operation == "runs.cancel" and fields[1] == 200:
            self.cancels.append(request)
        elif request.operation == "threads.create" and fields[1] == 200:
            self._opened[request.worker, request.delivery] = fields[3]

    def _response(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        request = self.requests[fields[0]]
        request.answered = time
        _, request.status, request.failure = fields
        if request.failed:
            self.failures.setdefault(request.thread or "", []).append(request)
        elif request.run is not None:
            run = self.runs.get(request.run)
            served = request.served_at
            if run is not None and run.ended is not None and served is not None and served >= run.ended:
                self._seen_ended.add((request.worker, run.id))
        elif request.operation == "runs.list" and request.thread is not None and request.served_at is not None:
            self._lists[request.worker, request.thread] = request.served_at

    def _run_state(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        run_id, thread, state, cause = fields
        run = self.runs.get(run_id)
        if run is None:
            request = self.requests.get(cause)
            run = self.runs[run_id] = Run(run_id, thread, request, time, self._reach.get(thread, 0))
            if request is not None:
                request.run_made = run
        run.state = state
        if state in TERMINAL:
            run.ended = time
            if self._active.get(thread) is run:
                del self._active[thread]
        else:
            self._active[thread] = run

    def _metadata(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        run_id, _, pairs = fields
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name == EPOCH_METADATA:
                self.runs[run_id].epoch = value

    def _stored(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        thread, _, role, cause, text = fields
        if role != "user":
            run = self.runs.get(cause)
            if run is not None:
                self._replies[text] = run
            return
        ids = _MESSAGE_ID.findall(text)
        if thread not in self.threads and ids:
            self._learn(thread, ids[0].partition(".")[0])
        place = self._reach[thread] = self._reach.get(thread, 0) + 1
        places = self._places.setdefault(thread, {})
        for each in ids:
            places.setdefault(each, place - 1)
        self.stored.setdefault(thread, []).append((text, cause, time))

    def _learn(self, thread: str, conversation: str) -> None:
        self.threads[thread] = conversation
        self._threads_of.setdefault(conversation, []).append(thread)

    # Redis

    def _command(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        delivery, command, key, reply = fields
        if not key.startswith(self._prefix):
            return
        conversation = key[self._cut :]
        self._last_commands[conversation] = (time, entity, command)
        if self._unnamed:
            release = self._unnamed.pop(conversation, None)
            if release is not None and release.time == time and release.tenure.worker == entity:
                release.command = command
        if (reply < 0) if isinstance(reply, int) else reply.startswith("error"):
            return  # it was refused: the lease was another's, or the step came too late
        if command == "accept":
            message = self.messages.get(delivery.rpartition("#")[0])
            if message is not None and message.stored_at is None:
                message.stored_at = time
                message.stored_index = self._index
            return
        if command == "inbox":
            self._inbox_reads[conversation] = (time, entity)
            return
        holder = self._holders.get(conversation)
        if holder is None or holder.worker != entity:
            return
        if command == "renew":
            holder.renewed = time
        elif command in ("set_thread", "replace_thread"):
            thread = self._opened.pop((entity, delivery), None)
            if thread is not None and thread not in self.threads:
                self._learn(thread, conversation)
        elif command in ("take_over", "end"):
            self.handovers.setdefault(conversation, []).append(self._index)
            if command == "end":
                self.ends.setdefault(conversation, []).append(time)

    def _taken(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self._hold(time, fields[0], fields[1], restored=False)

    def _back(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self._hold(time, fields[0], fields[1], restored=True)

    def _hold(self, time: float, conversation: str, worker: str, *, restored: bool) -> None:
        self._end_tenure(time, conversation, "taken")
        tenure = self._holders[conversation] = Tenure(conversation, worker, time, restored)
        self.tenures.setdefault(conversation, []).append(tenure)
        if worker in self._crashed:
            # It was dead before Redis processed what it had sent.
            self.crashes.append((tenure, time))

    def _end_tenure(self, time: float, conversation: str, how: str) -> Tenure | None:
        tenure = self._holders.pop(conversation, None)
        if tenure is not None:
            tenure.ended, tenure.how = time, how
        return tenure

    def _released(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        conversation = fields[0]
        tenure = self._end_tenure(time, conversation, "released")
        if tenure is None:
            return
        active = [self._active[each] for each in self._threads_of.get(conversation, ()) if each in self._active]
        runs = [(run, run.id in self._cancelled or run.state == "cancelling") for run in active]
        release = Release(tenure, time, self._index, runs)
        self.releases.append(release)
        known = self._last_commands.get(conversation)
        if known is not None and known[0] == time and known[1] == tenure.worker:
            release.command = known[2]
        else:
            self._unnamed[conversation] = release

    def _gone(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self._end_tenure(time, fields[0], fields[2] if len(fields) > 2 else "expired")

    def _redis_fault(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        kind = fields[0]
        # A lost command or reply holds its sender up for its own timeout; what lasts, lasts until Redis is back.
        end = time + 10.0 if kind in ("reply_lost", "command_lost") else float("inf")
        self.redis.append(Interval(time, end, kind))

    def _redis_back(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        # Every slow time tells of its own end; of those in which the server was gone only the last one does.
        was_slow = bool(fields) and fields[0] == "slow"
        for interval in self.redis:
            if interval.end == float("inf") and (interval.kind == "slow") == was_slow:
                interval.end = time
                if was_slow:
                    return

    # Workers

    def _crash(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self.workers.add(entity)
        self._crashed.add(entity)
        self.down.setdefault(entity, []).append(Interval(time, float("inf"), "crash"))
        self.crashes += [(tenure, time) for tenure in self._holders.values() if tenure.worker == entity]

    def _restart(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self._crashed.discard(entity)
        self.lives[entity] = self.lives.get(entity, 1) + 1
        for interval in self.down.get(entity, ()):
            if interval.kind == "crash":
                interval.end = min(interval.end, time)

    def _pause(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self.down.setdefault(entity, []).append(Interval(time, time + fields[0], "pause"))

    def _resume(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        for interval in self.down.get(entity, ()):
            if interval.kind == "pause":
                interval.end = min(interval.end, max(time, interval.begin))

    def _slow(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self.down.setdefault(entity, []).append(Interval(time, time + fields[0], "slow"))

    # Sends

    def _send(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        _, conversation, text = fields
        send = Send(time, self._index, entity, conversation, text)
        self.sends.append(send)
        self._last_sends[entity] = send
        tenure = self._holders.get(conversation)
        if tenure is not None and tenure.worker == entity:
            send.tenure = tenure
            if tenure.first_action is None:
                tenure.first_action = time
        read = self._inbox_reads.get(conversation)
        if read is not None and read[1] == entity:
            send.decided = read[0]
        run = self._run_of(text)
        if run is not None:
            send.run = run
            listed = self._lists.get((entity, run.thread), -1.0)
            send.informed = (entity, run.id) in self._seen_ended or (run.ended is not None and listed >= run.ended)

    def _run_of(self, text: str) -> Run | None:
        """The run that wrote this text, also where a relay put words around it."""
        run = self._replies.get(text)
        if run is None and text not in self._apologies:
            run = next((each for reply, each in self._replies.items() if reply in text), None)
        return run

    def _send_for(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        send = self._last_sends[entity]
        send.names = fields[2]
        for each in send.names:
            message = self.messages.get(each)
            if message is not None:
                message.sends.append(send)

    def _fate(self, time: float, entity: str, fields: tuple[Any, ...]) -> None:
        self._last_sends[entity].fate = fields[2]


_READERS: Final = {
    "message.sent": History._sent,
    "received": History._received,
    "handling.start": History._start,
    "handling.end": History._end,
    "request": History._request,
    "served": History._served,
    "response": History._response,
    "run.state": History._run_state,
    "run.metadata": History._metadata,
    "message.stored": History._stored,
    "redis": History._command,
    "redis.fault": History._redis_fault,
    "redis.back": History._redis_back,
    "lease.taken": History._taken,
    "lease.back": History._back,
    "lease.released": History._released,
    "lease.gone": History._gone,
    "host.crash": History._crash,
    "host.restart": History._restart,
    "host.pause": History._pause,
    "host.resume": History._resume,
    "host.slow": History._slow,
    "send": History._send,
    "send.for": History._send_for,
    "send.fate": History._fate,
}
