"""Who held which lock or lease, and from when to when, as the trace shows it.

A lock is a key that somebody set if it was not there (`SET NX`) and lets go, extends or loses, see
`relaysim.sim.trace.lock_keys`; a lease is what the relay declares as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from relaysim.sim.trace.lock_keys import form_of, lets_go_or_extends
from relaysim.sim.trace.reader import TraceReader
from relaysim.sim.trace.schema import (
    LeaseBack,
    LeaseGone,
    LeaseReleased,
    LeaseTaken,
    LockExpired,
    LockLost,
    RedisCommand,
)


class Hold:
    """One hold.

    Attributes:
        kind: `lock`, or `lease` of a relay that declares them.
        key: the lock's; of a lease its conversation.
        worker, delivery: whose it is, and in which handling it was taken; "" outside of one or unknown.
        began, begin: when, and at which place in the trace.
        ended, end: likewise; None and -1: it has not.
        how: `released`, `expired`, `lost`, `deleted` by another one, or `taken` by the next one; "" while it lasts.
    """

    __slots__ = ("began", "begin", "delivery", "end", "ended", "how", "key", "kind", "worker")

    def __init__(
        self, kind: Literal["lock", "lease"], key: str, worker: str, delivery: str, began: float, begin: int
    ) -> None:
        self.kind = kind
        self.key = key
        self.worker = worker
        self.delivery = delivery
        self.began = began
        self.begin = begin
        self.ended: float | None = None
        self.end = -1
        self.how = ""


class Holds(TraceReader):
    """Reads a trace for them.

    What a script does to a lock is not in the trace: one that reaches its holder's lock has extended it if the lock is heard
    of again before it is taken anew, and else has released it.

    Attributes:
        holds: all of them, in the order in which they began, once the trace has been read.
    """

    def __init__(self) -> None:
        self.holds: list[Hold] = []
        self._present: dict[tuple[str, str], Hold] = {}
        self._scripts: dict[str, tuple[float, int]] = {}  # lock -> when its holder's script reached it last
        self._locks: set[str] = set()

    def read(self, records: Iterable[tuple[float, str, str, Any]]) -> None:
        super().read(records)
        for key in list(self._scripts):
            self._settle(key)
        self.holds = [each for each in self.holds if each.kind == "lease" or form_of(each.key) in self._locks]

    def _begin(self, kind: Literal["lock", "lease"], key: str, worker: str, delivery: str, time: float) -> None:
        if kind == "lock":
            self._settle(key)
        self._end(kind, key, "taken", time, self.index)
        hold = self._present[kind, key] = Hold(kind, key, worker, delivery, time, self.index)
        self.holds.append(hold)

    def _end(self, kind: str, key: str, how: str, time: float, index: int) -> None:
        hold = self._present.pop((kind, key), None)
        if hold is not None:
            hold.ended, hold.end, hold.how = time, index, how

    def _settle(self, key: str) -> None:
        """Nothing was heard of the lock since that script: it has released it."""
        script = self._scripts.pop(key, None)
        if script is not None:
            self._end("lock", key, "released", *script)

    def on_redis(self, time: float, entity: str, event: RedisCommand) -> None:
        key, reply, verb = event.key, event.reply, event.command.upper()
        if verb == "SET":
            if reply == "OK":
                self._begin("lock", key, entity, event.delivery, time)
            else:
                self._scripts.pop(key, None)  # it is still held, so that script had extended it
            return
        hold = self._present.get(("lock", key))
        if hold is None or not lets_go_or_extends(event.command):
            return
        is_own = (hold.worker, hold.delivery) == (entity, event.delivery)
        if is_own:
            self._locks.add(form_of(key))
        if reply in (0, "0", "nil", None) or str(reply).startswith("error"):
            return
        if verb in ("DEL", "UNLINK"):
            self._scripts.pop(key, None)
            self._end("lock", key, "released" if is_own else "deleted", time, self.index)
        elif verb.startswith("EVAL") and is_own:
            self._scripts[key] = (time, self.index)

    def on_lease_expired(self, time: float, entity: str, event: LockExpired) -> None:
        self._lose(event.key, "expired", time)

    def on_lease_lost(self, time: float, entity: str, event: LockLost) -> None:
        self._lose(event.key, "lost", time)

    def _lose(self, key: str, how: str, time: float) -> None:
        self._locks.add(form_of(key))
        self._scripts.pop(key, None)
        self._end("lock", key, how, time, self.index)

    def on_lease_taken(self, time: float, entity: str, event: LeaseTaken) -> None:
        self._begin("lease", event.conversation, event.worker, "", time)

    def on_lease_back(self, time: float, entity: str, event: LeaseBack) -> None:
        self._begin("lease", event.conversation, event.worker, "", time)

    def on_lease_released(self, time: float, entity: str, event: LeaseReleased) -> None:
        self._end("lease", event.conversation, "released", time, self.index)

    def on_lease_gone(self, time: float, entity: str, event: LeaseGone) -> None:
        self._end("lease", event.conversation, event.how, time, self.index)
