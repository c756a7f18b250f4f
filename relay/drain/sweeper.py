"""The sweep: finds conversations whose inbox is not empty and whose lease has run out, since their worker is gone."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relaysim.relay.drain.drain_settings import DrainSettings
from relaysim.relay.drain.store import Lease, Store, StoreUnavailable
from relaysim.relay.drain.store_failures import OF_SINGLE_KEYS
from relaysim.relay.telemetry import Telemetry

_SLOWDOWN_MAX: Final = 16
"""How many times rarer sweeps become, by doubling, while each of them meets a bug."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a worker looks after what others leave.

    is_sweeping        whether `serve` is running
    swept_seconds_ago  since a sweep last went through, None if none has
    failing_because    why the latest sweep did not, as a sentence with the remedy; None if it did, or there was none yet
    """

    is_sweeping: bool
    swept_seconds_ago: float | None
    failing_because: str | None

    @property
    def is_good(self) -> bool:
        """Whether sweeps happen and nothing is known to be wrong."""
        return self.is_sweeping and self.failing_because is None


class Sweeper:
    """Sweeps for one worker; all workers sweep, and whoever is first takes a conversation over.

    Args:
        store: where to look.
        settings: how often.
        token: makes the token of a new lease.
        begin: starts to drain a conversation under a lease.
        telemetry: what was found.
    """

    def __init__(
        self,
        store: Store,
        settings: DrainSettings,
        token: Callable[[], str],
        begin: Callable[[Lease], None],
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._settings = settings
        self._token = token
        self._begin = begin
        self._telemetry = telemetry
        self._stopped = False
        self._is_running = False
        self._swept_at: float | None = None
        self._failing_because: str | None = None
        self._bugs_in_a_row = 0

    @property
    def health(self) -> Health:
        """Whether sweeps happen, and if not, why."""
        since = None if self._swept_at is None else asyncio.get_running_loop().time() - self._swept_at
        return Health(self._is_running, since, self._failing_because)

    async def run(self) -> None:
        """Sweep until `stop`, whatever a sweep raises: what dead workers left waits for nothing else."""
        self._is_running = True
        self._telemetry.sweeping(True)
        try:
            while not self._stopped:
                # Jittered, so that workers started together do not all look at once.
                pause = self._settings.sweep_seconds * (0.75 + 0.25 * random.random())
                await asyncio.sleep(pause * min(2**self._bugs_in_a_row, _SLOWDOWN_MAX))
                if not self._stopped:
                    await self._sweep_safely()
        finally:
            self._is_running = False
            self._telemetry.sweeping(False)

    async def _sweep_safely(self) -> None:
        try:
            await self.sweep()
        except StoreUnavailable as error:
            self._failing_because = str(error.failure)
            self._telemetry.redis_unavailable("sweep", error.failure.reason, error.failure.remedy)
        except Exception as error:
            # A bug, or a key that no relay wrote. Whatever it is may pass, and others' conversations wait.
            self._bugs_in_a_row += 1
            self._failing_because = f"a bug: {type(error).__name__}"
            self._telemetry.sweep_failed(error, self._bugs_in_a_row)
        else:
            self._bugs_in_a_row = 0
            self._failing_because = None
            self._swept_at = asyncio.get_running_loop().time()

    def stop(self) -> None:
        """Take nothing over any more."""
        self._stopped = True

    async def sweep(self) -> int:
        """Take over what is left behind; returns how many conversations.

        Raises:
            StoreUnavailable: Redis did not answer, or refused one of the conversations, the others being looked after.
        """
        depth = await self._store.depth()
        self._telemetry.inbox_depth(depth)
        # Mostly nothing waits anywhere, and this plain read says so.
        found = await self._store.due(self._settings.sweep_batch) if depth else []
        rescued = 0
        refused: StoreUnavailable | None = None
        for conversation in found:
            if self._stopped:
                break
            try:
                lease = await self._claim(conversation)
            except StoreUnavailable as error:
                if error.failure.reason not in OF_SINGLE_KEYS:
                    raise
                # It comes first in every sweep from now on, and must not stand in the way of the others.
                refused = error
                continue
            if lease is not None:
                rescued += 1
                self._telemetry.lease_taken(conversation, lease.epoch, "sweep")
                self._begin(lease)
        self._telemetry.sweep(len(found), rescued)
        if refused is not None:
            raise refused
        return rescued

    async def _claim(self, conversation: str) -> Lease | None:
        # Twice under one token: if only the answer was lost, the lease that it granted is not lost with it.
        token = self._token()
        try:
            return await self._store.claim(conversation, token=token)
        except StoreUnavailable:
            return await self._store.claim(conversation, token=token)
