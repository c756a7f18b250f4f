"""Locks in Redis, as the incident's relay had them: SET NX PX, never renewed, nothing fenced.

A lock that runs out while its holder is still at work is gone without a sign: the next worker gets it, and both go on.
That is the incident's first cause, kept on purpose; the holder notices at the release, and logs it.

redis-py repeats a command whose answer was lost. When that was a SET NX which had already been granted, the repetition
is refused, and the worker waits for its own lock to run out.
"""

import asyncio
import uuid
from types import TracebackType
from typing import Final, Literal, Self

import redis.asyncio

from relaysim.relay.log_lines import logger

RELEASE_SCRIPT: Final = """
if redis.call("GET", KEYS[1]) == ARGV[1] then
    return redis.call("DEL", KEYS[1])
end
return 0
"""
"""Delete a lock only if it still holds the token that took it: an expired lock may be somebody else's by now."""


class LockNotTaken(Exception):
    """A lock was held by others for as long as was waited for it."""


class Locks:
    """The locks of one handling: taken one by one, released in reverse order at the end of the `async with` block."""

    __slots__ = ("_held", "_redis", "_release", "_retry_seconds", "_wait_seconds")

    def __init__(
        self,
        redis_client: redis.asyncio.Redis,
        *,
        release: Literal["token", "delete"],
        retry_seconds: float,
        wait_seconds: float,
    ) -> None:
        self._redis = redis_client
        self._release = release
        self._retry_seconds = retry_seconds
        self._wait_seconds = wait_seconds
        self._held: list[tuple[str, str, str, bool]] = []  # (what it locks, for the log; key; token; surely granted)

    async def take(self, what: str, key: str, lease_seconds: float) -> None:
        """Take the lock `key` for `lease_seconds` (to the millisecond), trying again until `wait_seconds` have passed.

        Raises `LockNotTaken`, or whatever the Redis client raises.
        """
        token = uuid.uuid4().hex
        lease_milliseconds = round(lease_seconds * 1000)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_seconds
        try:
            while not await self._redis.set(key, token, nx=True, px=lease_milliseconds):
                if loop.time() + self._retry_seconds > deadline:
                    raise LockNotTaken(f"the {what} lock was not free within {self._wait_seconds:g} s")
                await asyncio.sleep(self._retry_seconds)
        except LockNotTaken:
            raise
        except BaseException:
            # The SET may have been granted and only its answer lost. Releasing by token is harmless if it was not;
            # a plain DEL would take the lock from whoever has it.
            if self._release == "token":
                self._held.append((what, key, token, False))
            raise
        self._held.append((what, key, token, True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is GeneratorExit:
            return  # The task is being destroyed and can await nothing more: the locks run out by themselves.
        while self._held:
            what, key, token, granted = self._held.pop()
            try:
                if self._release == "token":
                    deleted = await self._redis.eval(RELEASE_SCRIPT, 1, key, token)
                else:
                    deleted = await self._redis.delete(key)
            except Exception as failure:
                # The customer has been served; that the lock now stays until it runs out is no reason to fail.
                logger.warning("[Relay] The %s lock could not be released: %s", what, type(failure).__name__)
            else:
                if granted and not deleted:
                    logger.warning("[Relay] The %s lock ran out before its handling ended", what)
