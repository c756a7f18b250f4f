"""The one reader of a trace: builds messages, handlings, requests, runs, texts and leases, and ties them together.

Nothing is judged here, and nothing is known of a relay. Events of one instant are taken in the order in which the trace has
them, which for Redis is the order in which the server processed its commands.

Whoever needs more of the order in which things happened derives a class and extends the methods of the kinds concerned;
each has taken its event in when it returns.

More than 400 lines, because it is one method for each kind of event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from relaysim.sim.trace.contents import Content, Contents
from relaysim.sim.trace.given_texts import GivenText
from relaysim.sim.trace.joining import Joining
from relaysim.sim.trace.lock_keys import form_of, lets_go_or_extends
from relaysim.sim.trace.operation_roles import OperationRoles
from relaysim.sim.trace.reader import TraceReader
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    HostCrash,
    HostPause,
    HostResume,
    LeaseBack,
    LeaseGone,
    LeaseReleased,
    LeaseTaken,
    LockExpired,
    LogLine,
    LoopBlocked,
    MessageDeleted,
    MessageSent,
    MessageStored,
    MetadataNoted,
    RedisCommand,
    RequestSent,
    RequestServed,
    ResponseReceived,
    RunMetadata,
    RunMisses,
    RunReads,
    RunState,
    RunWindow,
    RunWrites,
    TextEnds,
    TextFate,
    TextSent,
    ThreadDeleted,
    UnhandledException,
)
from relaysim.sim.trace.subjects import Handling, Lease, Message, Request, Run, StoredText, Text, TextKind

ENDED_STATES: Final = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})
"""The states in which a run ends; the table of states has the same, see tests/sim/trace/test_trace_chronicle.py."""


class Chronicle(TraceReader):
    """What a trace tells, once it is read.

    Args:
        roles: what the API's operations do.
        threads: the conversation of each thread that was there from the start; others are learned from what is stored.
        apologies: texts that are known to be apologies.
        notices: texts that are known to be neither answers nor apologies.

    Attributes:
        messages, handlings, requests, runs: by their ids or deliveries, in the order of their appearance.
        sends: in their order.
        leases: per conversation, in their order.
        threads: the conversation of each thread.
        named_threads: per thread the conversation in whose handling a request first named it.
        stored: per thread, what was stored for customers, in its order.
        homes: the thread in which each message's words were stored first.
        contents: what stands in threads, of whomever.
        given: what relays gave threads in another way than as a customer's message.
        locks_expired: locks that ran out while their holders went on.
        locks: the forms of keys that are locks, see `relaysim.sim.trace.lock_keys`; the judge does not read them.
        redis_commands: how many there were.
        exceptions: those that no code received, with when and on which worker.
        refusals: what the API said when it refused requests, each once.
    """

    def __init__(
        self,
        roles: OperationRoles,
        threads: Mapping[str, str] | None = None,
        apologies: frozenset[str] = frozenset(),
        notices: frozenset[str] = frozenset(),
    ) -> None:
        self.roles = roles
        self._appends, self._starts = roles.appends, roles.starts
        self.threads = dict(threads or {})
        self.messages: dict[str, Message] = {}
        self.handlings: dict[str, Handling] = {}
        self._standing_still: dict[str, list[Handling]] = {}
        self.requests: dict[str, Request] = {}
        self.runs: dict[str, Run] = {}
        self.sends: list[Text] = []
        self.leases: dict[str, list[Lease]] = {}
        self.named_threads: dict[str, str] = {}
        self.stored: dict[str, list[StoredText]] = {}
        self.homes: dict[str, str] = {}
        self.contents = Contents()
        self.given: list[GivenText] = []
        self.locks_expired: list[LockExpired] = []
        self.locks: set[str] = set()
        self._keys_set: dict[str, tuple[str, str]] = {}  # by key, who set it last, and in which handling
        self.redis_commands = 0
        self.exceptions: list[tuple[float, str, UnhandledException]] = []
        self.blocked_loops: list[LoopBlocked] = []
        self.refusals: dict[str, None] = {}
        self._joining = Joining(self.threads.get, apologies, notices, self._has_seen_end, self.covered_by)
        self._written: dict[str, int] = {}
        self._holders: dict[str, Lease] = {}
        self._active: dict[str, Run] = {}
        self._last_sends: dict[str, Text] = {}
        self._threads_of: dict[str, list[str]] = {}
        for thread, conversation in self.threads.items():
            self._threads_of.setdefault(conversation, []).append(thread)
        self._places: dict[str, dict[str, int]] = {}
        self._reach: dict[str, int] = {}
        self._seen_ended: set[tuple[str, str]] = set()
        self._lists: dict[tuple[str, str], float] = {}

    def read(self, records: Iterable[tuple[float, str, str, Any]]) -> None:
        super().read(records)
        self._joining.settle(self.sends)

    @property
    def has_leases(self) -> bool:
        """Whether some worker ever held a lease."""
        return bool(self.leases)

    def covers(self, run: Run, message_id: str) -> bool:
        """Whether a message was in the thread when the run was created, and the run read it."""
        if not self.contents.reads_all(run):
            return message_id in self.contents.messages_read_by(run)
        return self._places.get(run.thread, {}).get(message_id, run.reach) < run.reach

    def covered_by(self, run: Run) -> list[str]:
        """The messages that were in the thread when the run was created, and that the run read."""
        if not self.contents.reads_all(run):
            return list(self.contents.messages_read_by(run))
        return [each for each, place in self._places.get(run.thread, {}).items() if place < run.reach]

    def kind_of(self, send: Text) -> TextKind:
        """What a text is: an answer, an apology or a notice. To be asked once the trace has been read."""
        return self._joining.kind_of(send, self.handlings.get(send.delivery))

    def is_declared(self, send: Text) -> bool:
        """Whether a text is one that the scenario or the relay declares."""
        return self._joining.declares_all_of(send.text)

    def declared_in(self, text: str) -> list[str]:
        """The texts that the scenario or the relay declares and that this one holds."""
        return self._joining.declared_in(text)

    def own_words_of(self, send: Text) -> str:
        """A text without the messages that it repeats as they were written."""
        return self._joining.without_customers_words(send.text)

    def repeated_by(self, send: Text) -> Message | None:
        """The message of a text's conversation, written before it was sent, that all of the text's words are of."""
        return self._joining.repeated_by(send)

    def messages_in(self, text: str) -> list[Message]:
        """The messages whose words a text holds whole, in the order in which it has them."""
        return [found.message for found in self._joining.messages_in(text)]

    # Customers and webhooks

    def on_message_sent(self, time: float, entity: str, event: MessageSent) -> None:
        number = self._written.get(event.conversation, 0)
        self._written[event.conversation] = number + 1
        message = Message(event.message_id, event.conversation, event.text, event.retry_of, time, number)
        self.messages[event.message_id] = message
        self._joining.add_message(message)

    def on_handling_start(self, time: float, entity: str, event: HandlingStart) -> None:
        message = self.messages.get(event.message_id)
        handling = Handling(event.delivery, event.message_id, message, event.delivery_number, entity, time)
        self.handlings[event.delivery] = handling
        if message is not None:
            message.handlings.append(handling)
        if entity in self._standing_still:
            self._standing_still[entity].append(handling)

    def on_handling_end(self, time: float, entity: str, event: HandlingEnd) -> None:
        handling = self.handlings.get(event.delivery)
        if handling is not None:
            handling.end, handling.outcome, handling.error_class = time, event.outcome, event.error_class
        message = self.messages.get(event.delivery.rpartition("#")[0])
        if event.error_class is None and message is not None and message.accepted is None:
            message.accepted = time

    def on_host_pause(self, time: float, entity: str, event: HostPause) -> None:
        self._standing_still.setdefault(entity, [])

    def on_host_resume(self, time: float, entity: str, event: HostResume) -> None:
        self._go_on(entity, time)

    def on_host_crash(self, time: float, entity: str, event: HostCrash) -> None:
        self._go_on(entity, time)

    def _go_on(self, worker: str, time: float) -> None:
        """What came to a process that stood still, as a program's does, was held by its machine, and nobody knew of it."""
        for handling in self._standing_still.pop(worker, ()):
            handling.begin_late(time)

    def on_log(self, time: float, entity: str, event: LogLine) -> None:
        handling = self.handlings.get(event.delivery)
        if handling is not None:
            handling.logs.append(event.text)

    def on_exception(self, time: float, entity: str, event: UnhandledException) -> None:
        self.exceptions.append((time, entity, event))

    def on_loop_blocked(self, time: float, entity: str, event: LoopBlocked) -> None:
        self.blocked_loops.append(event)

    # The API

    def on_request(self, time: float, entity: str, event: RequestSent) -> None:
        delivery, operation, thread, run = event.context, event.operation, event.thread_id, event.run_id
        request = Request(event.request_id, entity, delivery, operation, thread, run, time, self.index)
        self.requests[event.request_id] = request
        request.appends = operation in self._appends
        request.starts = operation in self._starts
        handling = self.handlings.get(delivery)
        if handling is not None:
            handling.steps.append((time, "request", request))
            if thread is not None and handling.conversation:
                self.named_threads.setdefault(thread, handling.conversation)
        if thread is not None:
            conversation = request.conversation = self.threads.get(thread)
            lease = None if conversation is None else self._holders.get(conversation)
            if conversation is None and handling is not None and handling.conversation:
                # Whose thread it is nobody knows yet; that its worker does something for this conversation is known.
                of_handling = self._holders.get(handling.conversation)
                if of_handling is not None and of_handling.worker == entity and of_handling.first_action is None:
                    of_handling.first_action = time
            if lease is not None and lease.worker == entity:
                request.lease = lease
                if lease.first_action is None:
                    lease.first_action = time
                if operation in self.roles.shows_turn and run is not None:
                    lease.looked.add(run)
        if request.conversation is None and (operation in self.roles.opens or (thread is not None and not delivery)):
            # For which of its worker's conversations it is, nobody can tell.
            for lease in self._holders.values():
                if lease.worker == entity and lease.first_action is None:
                    lease.first_action = time

    def on_served(self, time: float, entity: str, event: RequestServed) -> None:
        request = self.requests.get(event.request_id)
        if request is None:
            return
        request.served_at = time
        request.served_status, request.error_message, request.detail = event.status, event.error_message, event.detail
        if request.error_message is not None:
            self.refusals[request.error_message] = None
        if event.status in self.roles.refusal_statuses:
            # Known from the runs' states, not from the message: a backend that words it differently still refuses.
            request.refused_by = self._active.get(request.thread or "")
        elif event.status == 200 and request.operation in self.roles.cancels and request.run in self.runs:
            self.runs[request.run].cancels.append(request)
        handling = self.handlings.get(request.delivery)
        if handling is not None:
            handling.steps.append((time, "served", request))
            if request.appends and request.refused_by is not None:
                handling.met_active_run = True

    def on_response(self, time: float, entity: str, event: ResponseReceived) -> None:
        request = self.requests.get(event.request_id)
        if request is None:
            return
        request.answered = time
        request.status, request.failure = event.status, event.failure
        handling = self.handlings.get(request.delivery)
        if handling is not None:
            handling.steps.append((time, "response", request))
        served = request.served_at
        if request.failed or served is None:
            return
        if request.run is not None:
            run = self.runs.get(request.run)
            if run is not None and run.ended is not None and served >= run.ended:
                self._seen_ended.add((request.worker, run.id))
        elif request.thread is not None and (
            request.operation in self.roles.lists_turns or request.operation in self.roles.shows_ends
        ):
            self._lists[request.worker, request.thread] = served

    def on_run_state(self, time: float, entity: str, event: RunState) -> None:
        thread, state = event.thread_id, event.state
        run = self.runs.get(event.run_id)
        if run is None:
            request = self.requests.get(event.cause)
            run = self.runs[event.run_id] = Run(event.run_id, thread, request, time, self._reach.get(thread, 0))
            run.index = self.index
            if request is not None:
                request.run_made = run
        run.states.append((time, state))
        if state in ENDED_STATES:
            run.ended = time
            if self._active.get(thread) is run:
                del self._active[thread]
        else:
            self._active[thread] = run

    def on_run_metadata(self, time: float, entity: str, event: RunMetadata) -> None:
        if (run := self.runs.get(event.run_id)) is not None:
            run.metadata.update((name, value) for name, _, value in (pair.partition("=") for pair in event.pairs))

    def on_run_reads(self, time: float, entity: str, event: RunReads) -> None:
        run = self.runs.get(event.run_id)
        self.given.append(GivenText(event.thread_id, event.text, event.cause, time, event.source, run))

    def on_metadata_noted(self, time: float, entity: str, event: MetadataNoted) -> None:
        self.given.append(GivenText(event.thread_id, event.text, event.cause, time, "metadata"))

    def on_run_window(self, time: float, entity: str, event: RunWindow) -> None:
        self.contents.narrow(event.run_id, event.messages)

    def on_run_misses(self, time: float, entity: str, event: RunMisses) -> None:
        self.contents.miss(event.run_id, event.message_ids)

    def on_run_writes(self, time: float, entity: str, event: RunWrites) -> None:
        if (run := self.runs.get(event.run_id)) is not None:
            self._joining.add_reply(event.text, run)

    def on_message_deleted(self, time: float, entity: str, event: MessageDeleted) -> None:
        dropped = event.cause in self.runs
        self.contents.delete_message(event.thread_id, event.message_id, self.index, dropped=dropped)

    def on_thread_deleted(self, time: float, entity: str, event: ThreadDeleted) -> None:
        self.contents.delete_thread(event, time, self.index)
        if (run := self._active.pop(event.thread_id, None)) is not None:
            run.ended = time

    def on_message_stored(self, time: float, entity: str, event: MessageStored) -> None:
        thread, cause, text = event.thread_id, event.cause, event.text
        if event.role != "user":
            run = self.runs.get(cause)
            self.contents.add(thread, Content(self.index, time, event.message_id, text, cause, (), run))
            if run is not None:
                run.messages.append((time, text))
                self._joining.add_reply(text, run)
            else:
                self.given.append(GivenText(thread, text, cause, time, "replies"))
            return
        here = self._places.get(thread, {})
        found = self._joining.told_apart(text, self.messages_in(text), here, self.homes)
        if thread not in self.threads and found:
            self.learn_thread(thread, self._owner_of(found, cause))
        place = self._reach[thread] = self._reach.get(thread, 0) + 1
        places = self._places.setdefault(thread, {})
        for message in found:
            places.setdefault(message.id, place - 1)
            self.homes.setdefault(message.id, thread)
        stored = StoredText(thread, text, cause, time, tuple(found))
        self.stored.setdefault(thread, []).append(stored)
        self.contents.add(thread, Content(self.index, time, event.message_id, text, cause, stored.messages, None))

    def _owner_of(self, found: list[Message], cause: str) -> str:
        """Whose a thread is that nobody knew: the conversation's whose words it got first. If it got several ones' at once,
        that in whose handling this happened."""
        owners = {each.conversation for each in found}
        request = self.requests.get(cause)
        handling = None if request is None else self.handlings.get(request.delivery)
        if handling is not None and handling.conversation in owners:
            return handling.conversation
        return found[0].conversation

    def learn_thread(self, thread: str, conversation: str) -> None:
        """From now on this thread is known to be the conversation's."""
        self.threads[thread] = conversation
        self._threads_of.setdefault(conversation, []).append(thread)

    # Redis

    def on_redis(self, time: float, entity: str, event: RedisCommand) -> None:
        self.redis_commands += 1
        key = event.key
        if event.command == "SET":
            if event.reply == "OK":
                self._keys_set[key] = entity, event.delivery
        elif self._keys_set.get(key) == (entity, event.delivery) and lets_go_or_extends(event.command):
            self.locks.add(form_of(key))  # what another takes away may be a cache that is cleared

    def on_lease_taken(self, time: float, entity: str, event: LeaseTaken) -> None:
        self._hold(time, event, restored=False)

    def on_lease_back(self, time: float, entity: str, event: LeaseBack) -> None:
        self._hold(time, event, restored=True)

    def _hold(self, time: float, event: LeaseTaken | LeaseBack, *, restored: bool) -> Lease:
        self._end_lease(time, event.conversation, "taken")
        lease = self._holders[event.conversation] = Lease(event.conversation, event.worker, time, restored)
        self.leases.setdefault(event.conversation, []).append(lease)
        return lease

    def on_lease_released(self, time: float, entity: str, event: LeaseReleased) -> None:
        self._end_lease(time, event.conversation, "released")

    def on_lease_gone(self, time: float, entity: str, event: LeaseGone) -> None:
        self._end_lease(time, event.conversation, event.how)

    def _end_lease(self, time: float, conversation: str, how: str) -> None:
        lease = self._holders.pop(conversation, None)
        if lease is not None:
            lease.ended, lease.how = time, how

    def on_lease_expired(self, time: float, entity: str, event: LockExpired) -> None:
        self.locks_expired.append(event)
        self.locks.add(form_of(event.key))

    # Texts to customers

    def on_send(self, time: float, entity: str, event: TextSent) -> None:
        delivery, conversation, text = event.delivery, event.conversation, event.text
        send = Text(time, self.index, entity, delivery, conversation, text)
        self.sends.append(send)
        self._last_sends[entity] = send
        handling = self.handlings.get(delivery)
        if handling is not None:
            handling.steps.append((time, "send", send))
        lease = self._holders.get(conversation)
        if lease is not None and lease.worker == entity:
            send.lease = lease
            if lease.first_action is None:
                lease.first_action = time
        self._joining.find_author(send)
        run = send.run
        if run is not None:
            send.informed = self._has_seen_end(entity, run)

    def _has_seen_end(self, worker: str, run: Run) -> bool:
        listed = self._lists.get((worker, run.thread), -1.0)
        return (worker, run.id) in self._seen_ended or (run.ended is not None and listed >= run.ended)

    def on_send_for(self, time: float, entity: str, event: TextEnds) -> None:
        send = self._last_sends.get(entity)
        if send is None:
            return
        send.names = event.message_ids
        for each in send.names:
            message = self.messages.get(each)
            if message is not None:
                message.sends.append(send)

    def on_send_fate(self, time: float, entity: str, event: TextFate) -> None:
        send = self._last_sends.get(entity)
        if send is not None:
            send.fate = event.fate
