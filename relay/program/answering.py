"""How many conversations one process answers at once, so that answering leaves it time to take webhooks in.

A conversation that is answered costs processor time all along: its turn is looked at, its lease renewed. Beyond the limit
a conversation is handed back as soon as its message is in Redis, and waits there until a sweep, of this process or another,
has room for it. With a limit of 0 a process takes webhooks in and answers none.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from relaysim.relay.drain import Drain
from relaysim.relay.drain.store import Lease
from relaysim.relay.drain.sweeper import Sweeper
from relaysim.relay.program.program_metrics import ProgramMetrics

CLAIM_PAUSE_SECONDS: Final = 0.02
"""Between two conversations that a sweep takes up: begun all at once, they would keep webhooks waiting."""


class PacedSweeper(Sweeper):
    """A sweeper that takes up what there is room for, one after the other."""

    has_room: Callable[[], bool] = staticmethod(lambda: True)

    async def _claim(self, conversation: str) -> Lease | None:
        if not self.has_room():
            return None
        await asyncio.sleep(CLAIM_PAUSE_SECONDS)
        return await super()._claim(conversation)


class LimitedDrain(Drain):
    """`drain` with a limit of conversations that are answered at once; none before `limit` is called."""

    sweeper_class = PacedSweeper
    _answering_max: int | None = None
    _metrics: ProgramMetrics | None = None

    def limit(self, answering_max: int, metrics: ProgramMetrics) -> None:
        """Answer so many at once from now on: 0 or more. Metrics count those that are left to the sweeps."""
        self._answering_max = answering_max
        self._metrics = metrics
        self._sweeper.has_room = self._is_below_limit  # type: ignore[attr-defined]

    @property
    def answering(self) -> int:
        """Conversations that are being answered, or handed back, now."""
        return len(self._drains)

    def _is_below_limit(self) -> bool:
        return self._answering_max is None or len(self._drains) < self._answering_max

    def _has_room(self) -> bool:
        if self._is_below_limit():
            return True
        if self._metrics is not None:
            self._metrics.left_waiting.inc()
        return False
