"""When a world's faults stop, and when it has come to rest.

A relay's promises of safety hold at every instant; those of liveness (every message ends) can only be judged once the
world is kind: all faults stop, dead workers start again, Redis is back, and whatever is outstanding has time to end.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from relaysim.sim.kernel import Record

SETTLE_SECONDS: Final = 120.0

_IDLE_KINDS: Final = frozenset({"redis", "redis.fault", "redis.back", "log", "printed"})
"""Kinds of events that go on when nothing is left to do: a relay that serves reads Redis, meets its faults, and may log
and print."""


class Liveness(BaseModel):
    """The phase without faults at the end of a world."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    faults_stop_seconds: float = Field(
        gt=0,
        le=864_000,
        description="virtual time at which all faults stop: dead workers start again, paused ones go on, Redis is back",
    )
    settle_seconds: float = Field(
        default=SETTLE_SECONDS,
        gt=0,
        le=864_000,
        description="the world ends once customers and webhooks are done and nothing but Redis commands and log lines "
        "has happened for this long",
    )


class Quiescence:
    """How long nothing has happened in a trace."""

    def __init__(self) -> None:
        self._read = 0
        self._since = 0.0

    def since(self, records: list[Record]) -> float:
        """The time of the last event that counts, 0.0 if there was none; `records` must only have grown."""
        for index in range(len(records) - 1, self._read - 1, -1):
            if records[index].kind not in _IDLE_KINDS:
                self._since = records[index].time
                break
        self._read = len(records)
        return self._since
