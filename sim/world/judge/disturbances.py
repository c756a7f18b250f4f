"""What was wrong with a world, when, and for whom: what excuses a relay for a while.

Computed only where something looks like a breach, which in most worlds is nowhere.
"""

from __future__ import annotations

from functools import cached_property
from math import inf
from typing import Final

from relaysim.sim.redis.redis_faults import LOSSES
from relaysim.sim.trace.subjects import Lease, Message
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.history_records import Interval
from relaysim.sim.world.judge.judge_settings import JudgeSettings
from relaysim.sim.world.judge.written_order import is_known_later

_LOSING: Final = ("restart", "failover")


class Disturbances:
    """Of one world.

    Args:
        history: its trace, read.
        settings: which faults lose writes.
    """

    def __init__(self, history: History, settings: JudgeSettings) -> None:
        self._history = history
        self._settings = settings

    def is_known_later(self, message: Message, other: Message) -> bool:
        """Whether a message was written later than another one, and the relay can know it."""
        if not is_known_later(message, other, self._settings.order_seconds):
            return False
        if not self._settings.order_seconds:
            return True
        # Where the order in which they came counts: a failover may have taken the other one back, which came again then.
        since, its = self._kept_since(message), self._kept_since(other)
        return since is None or its is None or its < since

    def _kept_since(self, message: Message) -> float | None:
        """Since when the relay's store had this message without having lost it again; None: not known."""
        lost, accepted = self._settings.lost_seconds, message.accepted
        kept = (
            acceptance
            for acceptance in message.acceptances
            if not any(
                each.begin - lost[each.kind] <= acceptance <= each.begin
                and not (self.confirmed_by_replicas and accepted is not None and accepted <= each.begin)
                for each in self.losses
            )
        )
        return next(kept, None)

    # Redis

    @cached_property
    def losses(self) -> list[Interval]:
        """The times from which on the server lacks writes that it had: from the oldest lost one to its return."""
        lost = self._settings.lost_seconds
        return [
            Interval(each.begin, each.end, each.kind)
            for each in self._history.redis
            if each.kind in _LOSING and each.kind in lost
        ]

    def writes_lost(self, begin: float, end: float, before: float = inf) -> bool:
        """Whether writes that were made between these instants may have been lost, and that by a third one."""
        lost = self._settings.lost_seconds
        return any(each.begin - lost[each.kind] <= end and begin <= each.begin <= before for each in self.losses)

    def acknowledged_writes_lost(self, begin: float, end: float, before: float = inf) -> bool:
        """The same, of a relay that promises nothing about them: one that waits for replicas loses none."""
        return not self.confirmed_by_replicas and self.writes_lost(begin, end, before)

    def request_forgotten(self, left: float, until: float) -> bool:
        """Whether what was noted of a request before it left may have been lost before another instant."""
        step = self._settings.promises.step_timeout_seconds
        return self.acknowledged_writes_lost(left - step, left, until)

    @property
    def confirmed_by_replicas(self) -> bool:
        """Whether the relay promises that no failover loses what it acknowledged."""
        return self._settings.promises.confirming_replicas > 0

    def held(self, message: Message, begin: float, end: float) -> bool:
        """Whether the relay's store surely had this message from the one instant to the other.

        It had one that it took in by `begin`, unless it may have lost that again by `end`. A relay whose messages replicas
        confirm loses none of which it said that it had it: whose `handle` had returned. A handling that raised says that
        the message was not taken, so that it comes again; it is taken in anew then.
        """
        confirmed = message.accepted if self.confirmed_by_replicas else None
        lost = self._settings.lost_seconds
        for acceptance in message.acceptances:
            if acceptance > begin:
                break
            if not any(
                each.begin - lost[each.kind] <= acceptance <= each.begin <= end
                and (confirmed is None or confirmed > max(begin, each.begin))
                for each in self.losses
            ):
                return True
        return False

    def acknowledged_message_lost(self, message: Message) -> bool:
        """Whether the server may have lost a message that it had, each time that it took it in, and nothing is promised
        about that. Of a relay that does not say when that is: when its first handling had returned."""
        if self.confirmed_by_replicas:
            return False
        if message.acceptances:
            return not self.held(message, inf, inf)
        return message.accepted is not None and self.writes_lost(message.accepted, message.accepted)

    def redis_calm_after(self, begin: float, seconds: float) -> float:
        """The first instant, `begin` or later, from which nothing was wrong with Redis for so many seconds."""
        for each in sorted(self._history.redis, key=lambda interval: interval.begin):
            if each.begin <= begin + seconds and each.end > begin:
                begin = each.end
        return begin

    def redis_disturbed(self, begin: float, end: float) -> bool:
        """Whether something was wrong with Redis between these instants."""
        return any(each.begin <= end and each.end >= begin for each in self._history.redis)

    def redis_strikes(self, begin: float, end: float) -> list[float]:
        """The latest instants between these at which each thing was wrong with Redis: of what hits single commands, whose
        senders are held up afterwards, when it did."""
        found = []
        for each in self._history.redis:
            if each.kind in LOSSES:
                # One that comes late is one of its own when it comes.
                found += [
                    time
                    for time in (each.begin, each.end)
                    if begin <= time <= end and (time == each.begin or each.kind == "command_late")
                ]
            elif each.begin <= end and each.end >= begin:
                found.append(min(each.end, end))
        return found

    # Workers

    def worker_disturbed(self, worker: str, begin: float, end: float) -> bool:
        """Whether a worker was dead, paused or slow between these instants."""
        return any(each.begin <= end and each.end >= begin for each in self._history.down.get(worker, ()))

    def some_worker_undisturbed(self, begin: float, end: float) -> bool:
        """Whether some worker was alive and undisturbed from the one instant to the other."""
        return any(not self.worker_disturbed(worker, begin, end) for worker in self._history.workers)

    @cached_property
    def nobody_there(self) -> list[Interval]:
        """The times in which every worker was dead or paused."""
        workers = self._history.workers
        edges = []
        for worker in sorted(workers):
            begin, end = -1.0, -1.0
            for each in sorted(self._history.down.get(worker, ()), key=lambda interval: interval.begin):
                if each.kind == "slow":
                    continue
                if each.begin > end and end >= 0:
                    edges += [(begin, 1), (end, -1)]
                    begin = each.begin
                elif end < 0:
                    begin = each.begin
                end = max(end, each.end)
            if end >= 0:
                edges += [(begin, 1), (end, -1)]
        found, away, since = [], 0, 0.0
        for time, change in sorted(edges):
            away += change
            if away == len(workers) and change > 0:
                since = time
            elif away == len(workers) - 1 and change < 0:
                found.append(Interval(since, time, "nobody"))
        return found

    # The API

    def api_disturbed(self, begin: float, end: float, thread: str | None = None) -> bool:
        """Whether a request failed between these instants, on this thread or on any."""
        failures = self._history.failures
        for each in failures.values() if thread is None else (failures.get(thread, ()),):
            for request in each:
                if request.left <= end and request.answered is not None and request.answered >= begin:
                    return True
        return False

    # Conversations

    def of_conversation(self, conversation: str) -> list[Interval]:
        """All that kept this conversation's messages from ending, by its beginning."""
        history = self._history
        found = [*history.redis, *self.nobody_there]
        for lease in history.leases.get(conversation, ()):
            ended = float("inf") if lease.ended is None else lease.ended
            for each in history.down.get(lease.worker, ()):
                if each.begin <= ended and each.end >= lease.began:
                    # A dead worker's conversations are for the others; the moment of its death is the disturbance.
                    moment = max(each.begin, lease.began)
                    found.append(Interval(moment, moment, "crash") if each.kind == "crash" else each)
        for thread, each_conversation in history.threads.items():
            if each_conversation == conversation:
                found += [
                    Interval(request.left, request.answered, "api")
                    for request in history.failures.get(thread, ())
                    if request.answered is not None
                ]
        timeout = self._settings.promises.send_timeout_seconds
        for send in history.sends:
            if send.conversation == conversation and send.fate != "delivered":
                found.append(Interval(send.time, send.time + timeout, "send"))
        return sorted(found, key=lambda interval: interval.begin)

    def sender_disturbed(self, conversation: str, since: float, until: float = inf) -> bool:
        """Whether, between these instants, something may have kept a holder of the lease from recording a send."""
        history = self._history
        if any(each.end >= since and each.begin <= until for each in history.redis):
            return True
        for lease in history.leases.get(conversation, ()):
            if (lease.ended is not None and lease.ended < since) or lease.began > until:
                continue
            if lease.how in ("expired", "lost", "taken") and lease.ended is not None and lease.ended <= until:
                return True
            if any(each.end >= since and each.begin <= until for each in history.down.get(lease.worker, ())):
                return True
        return False

    def lost_under(self, lease: Lease, time: float) -> bool:
        """Whether the server had lost this lease, so that its worker could not know by then.

        A worker may rely on a lease for its length after the last confirmation, which came before the loss at the latest.
        """
        ended = float("inf") if lease.ended is None else lease.ended
        promised = self._settings.promises.lease
        seconds = 0.0 if promised is None else promised.seconds
        return any(
            lease.began <= each.end and ended >= each.begin and time <= each.begin + seconds for each in self.losses
        )
