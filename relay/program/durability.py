"""Whether the server keeps what it has taken: nothing is acknowledged before that is known.

A Redis without its append-only file loses on a restart what it has taken in: minutes of it (with snapshots) or all of it.
The provider would not deliver that again. So nothing is taken in while the server says that it keeps no such file, unless
replicas confirm each step (`wait_replicas`), or the configuration accepts it. A server that does not say (INFO is not
permitted, or left out, as by rented servers) is taken as it is, and that is said in the log.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import redis.asyncio

from relaysim.relay.drain.store_failures import failure_of
from relaysim.relay.telemetry import emit
from relaysim.relay.telemetry.events import Level

_NEVER_TOLD: Final = frozenset({"not_permitted", "unknown_command", "refused", "client_error"})


class DurabilityWatch:
    """Asks the server, and asks on until nothing forbids taking messages in.

    Args:
        client: of the server.
        accepts_loss: whether a server that forgets is accepted.
        timeout_seconds: how long it may take to answer.
        pause_seconds: between two questions.
    """

    def __init__(
        self, client: redis.asyncio.Redis, *, accepts_loss: bool, timeout_seconds: float, pause_seconds: float
    ) -> None:
        self._client = client
        self._accepts_loss = accepts_loss
        self._timeout_seconds = timeout_seconds
        self._pause_seconds = pause_seconds
        self.refusal: str | None = "Redis has not yet said whether it keeps what it takes"

    async def run(self) -> None:
        """Ask until it is known that messages may be taken in."""
        reported = ""
        while True:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    info = await self._client.info("persistence")
            except Exception as error:  # whatever the client raises
                failure = failure_of(error)
                if failure.reason in _NEVER_TOLD:
                    emit("redis_durability", "warning", keeps="not_said")
                    self.refusal = None
                    return
                self.refusal = str(failure)
            else:
                keeps = _keeps(info)
                refuses = keeps is False and not self._accepts_loss
                said = "not_said" if keeps is None else "yes" if keeps else "no"
                if said != reported:
                    reported = said
                    level: Level = "error" if refuses else "info" if keeps else "warning"
                    emit("redis_durability", level, keeps=said, refused=refuses)
                if not refuses:
                    self.refusal = None
                    return
                self.refusal = (
                    "Redis forgets what it took when it is restarted (no append-only file): set appendonly yes there, "
                    'or accept it with RELAY_WHEN_REDIS_FORGETS="warn"'
                )
            await asyncio.sleep(self._pause_seconds)


def _keeps(info: Mapping[str, Any]) -> bool | None:
    enabled = info.get("aof_enabled")
    return None if enabled is None else str(enabled) == "1"
