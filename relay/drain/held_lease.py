"""The lease under which a worker has a conversation, renewed while it lasts, and what may be done under it.

Nothing is sent once the worker can know that its lease is gone: it was told so by Redis, or it has not been able to renew
it for so long that, by its own clock, it may have lapsed. A request that is already on its way then is dropped unread.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from relaysim.relay.drain.drain_settings import RENEWALS_PER_LEASE
from relaysim.relay.drain.store import Lease, LeaseLost, Store, StoreUnavailable
from relaysim.relay.telemetry import Telemetry

T = TypeVar("T")

_STEP_SECONDS_MAX: Final = 30.0
"""How long a step is repeated while renewals succeed: Redis is there then, and refuses this very step."""

_STEP_WAIT_SECONDS: Final = 0.25
"""The longest wait before a step that Redis did not answer is repeated."""


class HeldLease:
    """One lease, from its taking to its end.

    Args:
        lease: as taken.
        store: where it is renewed.
        lease_seconds: how long it lasts unless renewed.
        telemetry: where failures are counted.
    """

    def __init__(self, lease: Lease, store: Store, lease_seconds: float, telemetry: Telemetry) -> None:
        self.lease = lease
        self._store = store
        self._interval = lease_seconds / RENEWALS_PER_LEASE
        self._telemetry = telemetry
        self.lost_because: str | None = None
        self.is_ending = False

    def check(self) -> None:
        """Raise `LeaseLost` if the lease is gone as far as can be known here."""
        if self.lost_because is not None:
            raise LeaseLost(self.lost_because)
        if asyncio.get_running_loop().time() >= self.lease.valid_until:
            self.lost_because = "not renewed in time"
            raise LeaseLost(self.lost_because)

    async def step(self, name: str, call: Callable[[Lease], Awaitable[T]]) -> T:
        """Take a step in Redis under the lease, again until it is answered: every step may be repeated.

        Raises:
            LeaseLost: the lease is gone, or Redis was unavailable for longer than it lasts.
            StoreUnavailable: Redis is there, and has refused this step for half a minute.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _STEP_SECONDS_MAX
        while True:
            self.check()
            try:
                return await call(self.lease)
            except StoreUnavailable as error:
                self._telemetry.redis_unavailable(name, error.failure.reason, error.failure.remedy)
                if loop.time() >= until:
                    raise
                await asyncio.sleep(_STEP_WAIT_SECONDS * (0.5 + 0.5 * random.random()))
            except LeaseLost:
                self.lost_because = "taken by another worker"
                self._telemetry.fence_rejected(self.lease.conversation, name)
                raise

    async def keep(self, holder: asyncio.Task[None]) -> None:
        """Renew the lease until it is lost; then cancel the task that works under it."""
        loop = asyncio.get_running_loop()
        pause = self._interval
        while True:
            await asyncio.sleep(pause)
            pause = self._interval
            try:
                self.check()
                self.lease = await self._store.renew(self.lease)
            except StoreUnavailable as error:
                self._telemetry.redis_unavailable("renew", error.failure.reason, error.failure.remedy)
                pause = min(_STEP_WAIT_SECONDS, max(0.0, self.lease.valid_until - loop.time()))
            except LeaseLost:
                if self.is_ending:  # it was released while this renewal was on its way
                    return
                if self.lost_because is None:
                    self.lost_because = "taken by another worker"
                holder.cancel()
                return
