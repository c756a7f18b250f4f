"""What the judge reads in a trace beyond the chronicle: what Redis commands meant, what was wrong when, who broke a lease.

Nothing is judged here. Events of one instant are taken in the order in which the trace has them, which for Redis is the
order in which the server processed its commands.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.lease_keys import CONVERSATION, LeaseKeys
from relaysim.sim.trace.operation_roles import OperationRoles
from relaysim.sim.trace.schema import (
    HandlingStart,
    HostCrash,
    HostPause,
    HostRestart,
    HostResume,
    HostSlow,
    HostStop,
    LeaseBack,
    LeaseReleased,
    LeaseTaken,
    Received,
    RedisBack,
    RedisCommand,
    RedisFaultStruck,
    RequestSent,
    RequestServed,
    ResponseReceived,
    TextSent,
)
from relaysim.sim.trace.subjects import Lease, Request
from relaysim.sim.world.judge.history_records import Claim, Interval, LateStep, ProcessedStep, Release
from relaysim.sim.world.judge.promises import LeasePromise

_ALONE = ("slow", "command_late")
"""Faults of Redis of which each tells of its own end."""


_SLOWEST_SECONDS = 1.0
"""No command that is under way takes longer, unless it is a late one."""


class History(Chronicle):
    """What a trace tells the judge.

    Args:
        roles: what the API's operations do.
        threads: the conversation of each thread that was there from the start; others are learned from what is stored.
        lease: what the relay promises of its leases; None: it has none.
        apologies: texts that are known to be apologies.
        notices: texts that are known to be neither answers nor apologies.

    Attributes:
        releases: the leases that their holders let go, in their order.
        handovers: per conversation, where in the trace its holder took messages over from a run, or ended some.
        ends: per conversation, when its holder ended some.
        lookups, creations: per thread, the requests that show its runs and messages, and those that add to them.
        failures: per thread, the requests that failed.
        cancels: the accepted ones.
        stale: appends, creations and cancels that left without their conversation's lease.
        stale_looks: likewise, of requests that only look.
        claims: requests for leases, in their order.
        begun_sends: per conversation, when its holder noted that a text is about to be sent.
        late_steps: those that took effect out of their order.
        steps: how many appends, creations and cancels left.
        crashes: leases whose holder died, or was dead already, and when.
        lives: how often a worker that was restarted has begun.
        down: per worker, when it was dead, paused or slow.
        redis: when something was wrong with Redis.
        received: per conversation, what its customer got when.
    """

    def __init__(
        self,
        roles: OperationRoles,
        threads: Mapping[str, str],
        lease: LeasePromise | None,
        apologies: frozenset[str],
        notices: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(roles, threads, apologies, notices)
        # What changes a thread: a worker without the lease must not begin one.
        self._step_operations = roles.appends | roles.starts | roles.cancels
        self._look_operations = roles.shows_turn | roles.lists_turns | roles.lists_messages
        self.releases: list[Release] = []
        self.handovers: dict[str, list[int]] = {}
        self.ends: dict[str, list[float]] = {}
        self.lookups: dict[str, list[Request]] = {}
        self.creations: dict[str, list[Request]] = {}
        self.failures: dict[str, list[Request]] = {}
        self.cancels: list[Request] = []
        self.stale: list[Request] = []
        self.stale_looks: list[Request] = []
        self.claims: list[Claim] = []
        self.begun_sends: dict[str, list[float]] = {}
        self.late_steps: list[LateStep] = []
        self.steps = 0
        self.crashes: list[tuple[Lease, float]] = []
        self.lives: dict[str, int] = {}
        self.workers: set[str] = set()
        self.down: dict[str, list[Interval]] = {}
        self.redis: list[Interval] = []
        self.received: dict[str, list[tuple[float, str]]] = {}
        self._declares_end = lease is not None and bool(lease.steps.end)
        self._lease_keys: LeaseKeys[str] | None = None
        self._step_of: dict[str, str] = {}
        self._in_order: frozenset[str] = frozenset()
        self._taken_steps: dict[str, list[ProcessedStep]] = {}
        self._struck_late: dict[tuple[str, str], list[float]] = {}  # by command and key, when it should have come
        self._arrives_late: float | None = None  # the instant at which the next command is a late one
        self._looks: dict[str, list[LeaseKeys[str]]] = {}  # by command, the keys of inboxes that it reads
        if lease is not None:
            before, _, after = lease.key.partition(CONVERSATION)
            self._lease_keys = LeaseKeys(before, after)
            self._step_of = lease.steps.meanings
            self._in_order = frozenset(lease.steps.in_order)
            for command, key in lease.steps.looks:
                before, _, after = key.partition(CONVERSATION)
                self._looks.setdefault(command, []).append(LeaseKeys(before, after))
        self._cancelled: set[str] = set()
        self._inbox_reads: dict[str, tuple[float, str]] = {}
        self._read_at: dict[tuple[str, str], list[float]] = {}
        self._last_commands: dict[str, tuple[float, str, str, str]] = {}
        self._unnamed: dict[str, Release] = {}
        self._crashed: set[str] = set()
        self._opened: dict[tuple[str, str], list[str]] = {}

    @property
    def knows_acceptances(self) -> bool:
        """Whether it is known which step of the relay accepts a message."""
        return "accept" in self._step_of.values()

    @property
    def knows_ends(self) -> bool:
        """Whether the holders of leases tell when messages have ended; else what one does next may be about any message."""
        return self.has_leases and self._declares_end

    def was_handed_back(self, lease: Lease) -> bool:
        """Whether a holder let this lease go with all that waits, for whoever comes next."""
        return any(
            release.lease is lease and self._step_of.get(release.command) == "hand_back" for release in self.releases
        )

    def life_of(self, worker: str, time: float) -> int:
        """How often a worker had crashed by then."""
        return sum(each.kind == "crash" and each.begin <= time for each in self.down.get(worker, ()))

    # Customers and webhooks

    def on_received(self, time: float, entity: str, event: Received) -> None:
        self.received.setdefault(event.conversation, []).append((time, event.text))

    def on_handling_start(self, time: float, entity: str, event: HandlingStart) -> None:
        super().on_handling_start(time, entity, event)
        self.workers.add(entity)

    # The API

    def on_request(self, time: float, entity: str, event: RequestSent) -> None:
        super().on_request(time, entity, event)
        operation, thread, run = event.operation, event.thread_id or "", event.run_id or ""
        if operation in self._step_operations:
            request = self.requests[event.request_id]
            self.steps += 1
            if request.lease is None and request.conversation is not None:
                self.stale.append(request)
            read = self._inbox_reads.get(request.conversation or "")
            if read is not None and read[1] == entity:
                request.decided = read[0]
            if operation in self.roles.cancels:
                self._cancelled.add(run)
            else:
                self.creations.setdefault(thread, []).append(request)
        elif operation in self._look_operations:
            request = self.requests[event.request_id]
            self.lookups.setdefault(thread, []).append(request)
            if request.lease is None and request.conversation is not None:
                self.stale_looks.append(request)

    def on_served(self, time: float, entity: str, event: RequestServed) -> None:
        super().on_served(time, entity, event)
        request = self.requests.get(event.request_id)
        if request is None or event.status != 200:
            return
        if request.operation in self.roles.cancels:
            self.cancels.append(request)
        elif request.operation in self.roles.opens and not request.delivery:
            # Outside of a handling a worker serves several conversations: what was opened at all may be for any of them.
            self._opened.setdefault((request.worker, ""), []).append(str(event.detail))

    def on_response(self, time: float, entity: str, event: ResponseReceived) -> None:
        super().on_response(time, entity, event)
        request = self.requests.get(event.request_id)
        if request is None:
            return
        if request.failed:
            self.failures.setdefault(request.thread or "", []).append(request)
        elif request.succeeded and request.delivery and request.operation in self.roles.opens:
            # One whose answer was lost is nobody's: whoever asked does not know its name, and cannot bind it.
            self._opened.setdefault((request.worker, request.delivery), []).append(str(request.detail))

    # Redis

    def on_redis(self, time: float, entity: str, event: RedisCommand) -> None:
        self.redis_commands += 1  # as the chronicle does, without the cost of a call for the most frequent event
        late, self._arrives_late = self._arrives_late, None
        conversation = None if self._lease_keys is None else self._lease_keys.conversation_of(event.key)
        if conversation is None:
            if event.command in self._looks:
                self._note_look(time, entity, event)
            return
        delivery, command, reply = event.delivery, event.command, event.reply
        self._last_commands[conversation] = (time, entity, command, delivery)
        if self._unnamed:
            release = self._unnamed.pop(conversation, None)
            if release is not None and release.time == time and release.lease.worker == entity:
                release.command = command
        if (reply < 0) if isinstance(reply, int) else reply.startswith("error"):
            return  # it was refused: the lease was another's, or the step came too late
        step = self._step_of.get(command)
        if command in self._in_order:
            self._note_order(time, conversation, event, is_late=late == time)
        if step == "claim":
            granted = reply != 0
            self.claims.append(Claim(time, entity, conversation, self._holders.get(conversation), granted))
            return
        if step == "accept":
            message = self.messages.get(delivery.rpartition("#")[0])
            if message is not None:
                message.acceptances.append(time)
                if message.stored_at is None:
                    message.stored_at = time
                    message.stored_index = self.index
            return
        if step == "read_inbox":
            if late != time:  # whoever sent it has given it up
                self._note_inbox_read(time, entity, conversation)
            return
        holder = self._holders.get(conversation)
        if holder is None or holder.worker != entity:
            return
        if step == "renew":
            if reply != 0:  # what PEXPIRE says of a key that is gone
                holder.renewed = time
        elif step == "bind_thread":
            opened = self._opened.pop((entity, delivery), [])
            # Outside of a handling nobody can say which is bound here: of several that were opened, or if its worker has
            # other conversations too, since the step may be one that was sent again.
            is_only_one = delivery or sum(each.worker == entity for each in self._holders.values()) == 1
            if is_only_one and len(opened) == 1 and opened[0] not in self.threads:
                self.learn_thread(opened[0], conversation)
        elif step == "begin_send":
            self.begun_sends.setdefault(conversation, []).append(time)
        elif step in ("hand_over", "end"):
            self.handovers.setdefault(conversation, []).append(self.index)
            if step == "end":
                self.ends.setdefault(conversation, []).append(time)

    def _note_order(self, time: float, conversation: str, event: RedisCommand, *, is_late: bool) -> None:
        """A step that must keep the order of sending has taken effect."""
        lease = self._holders.get(conversation)
        if lease is None:
            return
        taken = self._taken_steps.setdefault(conversation, [])
        struck = self._struck_late.get((event.command, event.key)) if is_late else None
        if struck:
            # Of several that were late perhaps another one, sent before it; or the WAIT behind it was the late one.
            sent_at = max(struck[-1], *self._struck_late.get(("WAIT", ""), (0.0,)))
            others = (
                each
                for each in taken
                if each.lease is lease and each.command != event.command and not each.is_late
                if each.time > sent_at + _SLOWEST_SECONDS
            )
            if lease.began <= sent_at and (other := next(others, None)) is not None:
                self.late_steps.append(LateStep(time, lease, event.command, sent_at, other.command))
        taken.append(ProcessedStep(time, lease, event.command, is_late))

    def _note_look(self, time: float, entity: str, event: RedisCommand) -> None:
        for keys in self._looks[event.command]:
            conversation = keys.conversation_of(event.key)
            if conversation is not None and not str(event.reply).startswith("error"):
                self._note_inbox_read(time, entity, conversation)

    def _note_inbox_read(self, time: float, worker: str, conversation: str) -> None:
        self._inbox_reads[conversation] = (time, worker)
        self._read_at.setdefault((conversation, worker), []).append(time)

    def decided_at(self, request: Request, conversation: str) -> float:
        """What its worker knew of a conversation when a request left is as old as this; see `Request.decided`. Of a thread
        of which nobody could know whose it was when the request left, too."""
        if request.conversation is not None:
            return request.decided
        times = self._read_at.get((conversation, request.worker), [])
        place = bisect_right(times, request.left)
        return times[place - 1] if place else request.decided

    def _hold(self, time: float, event: LeaseTaken | LeaseBack, *, restored: bool) -> Lease:
        lease = super()._hold(time, event, restored=restored)
        known = self._last_commands.get(lease.conversation)
        if known is not None and known[:2] == (time, lease.worker):
            lease.delivery = known[3]
        if lease.worker in self._crashed:
            # It was dead before Redis processed what it had sent.
            self.crashes.append((lease, time))
        return lease

    def on_lease_released(self, time: float, entity: str, event: LeaseReleased) -> None:
        conversation = event.conversation
        lease = self._holders.get(conversation)
        super().on_lease_released(time, entity, event)
        if lease is None:
            return
        active = [self._active[each] for each in self._threads_of.get(conversation, ()) if each in self._active]
        runs = [(run, run.id in self._cancelled or run.state == "cancelling") for run in active]
        release = Release(lease, time, self.index, runs)
        self.releases.append(release)
        known = self._last_commands.get(conversation)
        if known is not None and known[0] == time and known[1] == lease.worker:
            release.command = known[2]
        else:
            self._unnamed[conversation] = release

    def on_redis_fault(self, time: float, entity: str, event: RedisFaultStruck) -> None:
        kind = event.fault
        if kind == "command_late":
            self._struck_late.setdefault((event.command, event.key), []).append(time)
        # A lost command or reply holds its sender up for its own timeout; what lasts, lasts until Redis is back, and what is
        # late until it has come.
        end = time + 10.0 if kind in ("reply_lost", "command_lost") else float("inf")
        self.redis.append(Interval(time, end, kind))

    def on_redis_back(self, time: float, entity: str, event: RedisBack) -> None:
        # Every slow time and every late command tells of its own end; of the times in which the server was gone only the
        # last one does.
        alone = event.fault if event.fault in _ALONE else None
        if alone == "command_late":
            self._arrives_late = time
        for interval in self.redis:
            if interval.end == float("inf") and (interval.kind == alone if alone else interval.kind not in _ALONE):
                interval.end = time
                if alone:
                    return

    # Workers

    def on_host_crash(self, time: float, entity: str, event: HostCrash) -> None:
        super().on_host_crash(time, entity, event)
        self.workers.add(entity)
        self._crashed.add(entity)
        for interval in self.down.get(entity, ()):
            if interval.kind == "stop":
                interval.end = min(interval.end, time)
        self.down.setdefault(entity, []).append(Interval(time, float("inf"), "crash"))
        self.crashes += [(lease, time) for lease in self._holders.values() if lease.worker == entity]

    def on_host_stop(self, time: float, entity: str, event: HostStop) -> None:
        self.down.setdefault(entity, []).append(Interval(time, float("inf"), "stop"))

    def on_host_restart(self, time: float, entity: str, event: HostRestart) -> None:
        self._crashed.discard(entity)
        self.lives[entity] = self.lives.get(entity, 1) + 1
        for interval in self.down.get(entity, ()):
            if interval.kind == "crash":
                interval.end = min(interval.end, time)

    def on_host_pause(self, time: float, entity: str, event: HostPause) -> None:
        super().on_host_pause(time, entity, event)
        self.down.setdefault(entity, []).append(Interval(time, time + event.seconds, "pause"))

    def on_host_resume(self, time: float, entity: str, event: HostResume) -> None:
        super().on_host_resume(time, entity, event)
        for interval in self.down.get(entity, ()):
            if interval.kind == "pause":
                interval.end = min(interval.end, max(time, interval.begin))

    def on_host_slow(self, time: float, entity: str, event: HostSlow) -> None:
        self.down.setdefault(entity, []).append(Interval(time, time + event.seconds, "slow"))

    # Texts

    def on_send(self, time: float, entity: str, event: TextSent) -> None:
        super().on_send(time, entity, event)
        read = self._inbox_reads.get(event.conversation)
        if read is not None and read[1] == entity:
            self.sends[-1].decided = read[0]
