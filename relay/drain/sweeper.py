"""The sweep: finds conversations whose inbox is not empty and whose lease has run out, since their worker is gone."""

import asyncio
import random
from collections.abc import Callable

from relaysim.relay.drain.drain_settings import DrainSettings
from relaysim.relay.drain.store import Lease, Store, StoreUnavailable
from relaysim.relay.telemetry import Telemetry


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

    async def run(self) -> None:
        """Sweep until `stop`."""
        while not self._stopped:
            # Jittered, so that workers started together do not all look at once.
            await asyncio.sleep(self._settings.sweep_seconds * (0.75 + 0.25 * random.random()))
            try:
                if not self._stopped:
                    await self.sweep()
            except StoreUnavailable:
                self._telemetry.redis_unavailable("sweep")

    def stop(self) -> None:
        """Take nothing over any more."""
        self._stopped = True

    async def sweep(self) -> int:
        """Take over what is left behind; returns how many conversations.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        depth = await self._store.depth()
        self._telemetry.inbox_depth(depth)
        # Mostly nothing waits anywhere, and this plain read says so.
        found = await self._store.due(self._settings.sweep_batch) if depth else []
        rescued = 0
        for conversation in found:
            if self._stopped:
                break
            lease = await self._claim(conversation)
            if lease is not None:
                rescued += 1
                self._telemetry.lease_taken(conversation, lease.epoch, "sweep")
                self._begin(lease)
        self._telemetry.sweep(len(found), rescued)
        return rescued

    async def _claim(self, conversation: str) -> Lease | None:
        # Twice under one token: if only the answer was lost, the lease that it granted is not lost with it.
        token = self._token()
        try:
            return await self._store.claim(conversation, token=token)
        except StoreUnavailable:
            return await self._store.claim(conversation, token=token)
