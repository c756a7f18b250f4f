"""At which places in a trace what stands: the records that a story's causes are made of, by what they are about."""

from __future__ import annotations

from relaysim.sim.trace.reader import TraceReader
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    LoopBlocked,
    MessageSent,
    MessageStored,
    RedisCommand,
    RedisFaultStruck,
    RequestServed,
    ResponseReceived,
    RunState,
    TaskCancelled,
    UnhandledException,
    WebhookFailed,
)


class Places(TraceReader):
    """Reads a trace for them. A place counts records from 0.

    Attributes:
        sent: by message.
        started, ended, failed: by delivery: where it was begun, had ended, and was not acknowledged, each the first time.
        served, answered: by request.
        states: by run and state, where it came into that state first.
        stored: where each message of a thread was stored.
        tried: by delivery, or worker outside of one, the keys that it tried to set and found set.
        exceptions, blocked: with their times and workers; `cancelled`: tasks.
        refused: commands of Redis that got a 0, with their times and workers.
        faults: of Redis.
    """

    def __init__(self) -> None:
        self.sent: dict[str, int] = {}
        self.started: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.failed: dict[str, int] = {}
        self.served: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        self.states: dict[tuple[str, str], int] = {}
        self.stored: list[tuple[int, MessageStored]] = []
        self.tried: dict[str, set[str]] = {}
        self.exceptions: list[tuple[int, float, str, UnhandledException]] = []
        self.blocked: list[tuple[int, float, str, LoopBlocked]] = []
        self.cancelled: list[tuple[int, TaskCancelled]] = []
        self.refused: list[tuple[int, float, str, RedisCommand]] = []
        self.faults: list[int] = []

    def last_fault(self, place: int) -> int:
        """The last fault of Redis before a place; -1: none."""
        return max((each for each in self.faults if each <= place), default=-1)

    def on_message_sent(self, time: float, entity: str, event: MessageSent) -> None:
        self.sent.setdefault(event.message_id, self.index)

    def on_handling_start(self, time: float, entity: str, event: HandlingStart) -> None:
        self.started.setdefault(event.delivery, self.index)

    def on_handling_end(self, time: float, entity: str, event: HandlingEnd) -> None:
        self.ended.setdefault(event.delivery, self.index)

    def on_webhook_failed(self, time: float, entity: str, event: WebhookFailed) -> None:
        self.failed.setdefault(event.delivery, self.index)

    def on_served(self, time: float, entity: str, event: RequestServed) -> None:
        self.served.setdefault(event.request_id, self.index)

    def on_response(self, time: float, entity: str, event: ResponseReceived) -> None:
        self.answered.setdefault(event.request_id, self.index)

    def on_run_state(self, time: float, entity: str, event: RunState) -> None:
        self.states.setdefault((event.run_id, event.state), self.index)

    def on_message_stored(self, time: float, entity: str, event: MessageStored) -> None:
        self.stored.append((self.index, event))

    def on_redis(self, time: float, entity: str, event: RedisCommand) -> None:
        if event.command.upper() == "SET" and event.reply in ("nil", None):
            self.tried.setdefault(event.delivery or entity, set()).add(event.key)
        if event.reply == 0:
            self.refused.append((self.index, time, entity, event))

    def on_exception(self, time: float, entity: str, event: UnhandledException) -> None:
        self.exceptions.append((self.index, time, entity, event))

    def on_loop_blocked(self, time: float, entity: str, event: LoopBlocked) -> None:
        self.blocked.append((self.index, time, entity, event))

    def on_task_cancelled(self, time: float, entity: str, event: TaskCancelled) -> None:
        self.cancelled.append((self.index, event))

    def on_redis_fault(self, time: float, entity: str, event: RedisFaultStruck) -> None:
        self.faults.append(self.index)
