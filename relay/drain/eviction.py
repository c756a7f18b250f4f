"""Whether the server throws away what it holds: looked up when a worker starts, since no step ever shows it.

A server with a limit of memory and a policy of evicting takes messages in as ever, and then loses some of them without a
trace. What follows depends on what the policy may evict:

    allkeys-*   inboxes, and with them accepted messages: nothing is taken in (or, with `when_redis_evicts = "warn"`, said)
    volatile-*  what has a time to live: leases, so that a conversation changes hands early, and the memory of ended
                messages, so that one that is delivered again is answered again. Said, and no more: it is the default of
                most rented servers, and no message is lost by it
    noeviction  nothing: writes fail instead, which is `memory_full`

A server that may not be asked (INFO is not permitted, or not known) is taken as it is.
"""

import asyncio
from typing import Final

from relaysim.relay.drain.drain_settings import DrainSettings
from relaysim.relay.drain.store import Store, StoreUnavailable
from relaysim.relay.drain.store_failures import StoreFailure
from relaysim.relay.telemetry import Telemetry

_NEVER_TOLD: Final = frozenset({"not_permitted", "unknown_command", "refused", "client_error"})
"""Why a server does not say what it evicts, and will not later."""


class EvictionWatch:
    """Looks up, for one worker, whether the server evicts.

    Args:
        store: the server.
        settings: what to do about it, and how often to look again.
        telemetry: where it is reported.

    Attributes:
        refusal: why nothing may be taken in, None if nothing forbids it as far as is known.
        has_looked: whether the server has been asked, and has answered or will never say.
    """

    def __init__(self, store: Store, settings: DrainSettings, telemetry: Telemetry) -> None:
        self._store = store
        self._settings = settings
        self._telemetry = telemetry
        self.refusal: StoreFailure | None = None
        self.has_looked = False

    async def run(self) -> None:
        """Look until it is known, and on as long as messages are refused for it: whoever mends it restarts nothing."""
        reported = ""
        while True:
            try:
                policy = await self._store.eviction()
            except StoreUnavailable as error:
                if error.failure.reason in _NEVER_TOLD:
                    self.has_looked = True
                    return
            else:
                loses_messages = policy is not None and policy.startswith("allkeys")
                refuses = loses_messages and self._settings.when_redis_evicts == "refuse"
                self.refusal = _refusal(policy) if policy is not None and refuses else None
                self.has_looked = True
                if (policy or "") != reported:
                    reported = policy or ""
                    self._telemetry.redis_evicts(policy, refuses)
                if not refuses:
                    return
            await asyncio.sleep(self._settings.sweep_seconds)


def _refusal(policy: str) -> StoreFailure:
    return StoreFailure(
        "evicts",
        f"the server may throw away what it has taken (maxmemory-policy {policy})",
        'set its maxmemory-policy to noeviction, or accept it with when_redis_evicts = "warn"',
    )
