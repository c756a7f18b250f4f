"""Requests that are repeated: waits drawn at random, a budget, and an end."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from relaysim.relay.drain.backend import BackendError, Busy, Conflict, Unavailable
from relaysim.relay.drain.budget import RetryBudget
from relaysim.relay.drain.drain_settings import DrainSettings
from relaysim.relay.telemetry import Telemetry

T = TypeVar("T")

GRACE_SECONDS: Final = 2.0
"""How long, past the time at which the last request may be sent, its answer is awaited."""


def longest_delay(settings: DrainSettings) -> float:
    """Seconds that an apology may leave after its message's time is over: the look under way then, a run that is being
    stopped and its last request, and the steps of the store; or a text of the conversation that leaves meanwhile."""
    return max(settings.cancel_patience_seconds + 2 * GRACE_SECONDS + 1.0, settings.send_timeout_seconds)


class OutOfTimeError(Exception):
    """A request was repeated until its time was over, and was not answered."""


def longest_wait(settings: DrainSettings, doublings: int) -> float:
    """Seconds that a wait before a repetition may take: they double with each failure, up to a cap."""
    return min(settings.retry_cap_seconds, settings.retry_first_seconds * 2.0 ** min(doublings, 30))


def full_jitter(settings: DrainSettings, doublings: int) -> float:
    """Seconds to wait before something is done again: drawn between 0 and the longest wait."""
    return longest_wait(settings, doublings) * random.random()


class Requests:
    """Sends one conversation's requests, and paces what is sent again.

    Args:
        settings: the waits.
        budget: shared by all conversations of a worker.
        telemetry: where repetitions are counted.
        check: called before each request; raises if none may be sent any more.
    """

    def __init__(
        self, settings: DrainSettings, budget: RetryBudget, telemetry: Telemetry, check: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._budget = budget
        self._telemetry = telemetry
        self._check = check

    async def repeat(
        self,
        operation: str,
        request: Callable[[], Awaitable[T]],
        until: float,
        *,
        before_again: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Send a request that does no harm when it is processed twice, until it is answered.

        Args:
            operation: what it is called in the telemetry.
            request: sends it.
            until: the loop's time at which the last one may be sent. An answer is awaited for `GRACE_SECONDS` longer, and
                not for as long as a request may take: what must end by a deadline could not.
            before_again: awaited before each repetition; what it raises ends them.

        Raises:
            OutOfTimeError: there was no answer in time.
            BackendError: it was refused for good.
        """
        failures = 0
        while True:
            try:
                return await self.once(operation, request, again=failures > 0, until=until)
            except (Busy, Unavailable) as error:
                failures += 1
                await self.wait(operation, error, failures, until)
            if before_again is not None:
                await before_again()

    async def once(
        self, operation: str, request: Callable[[], Awaitable[T]], *, until: float, again: bool = False
    ) -> T:
        """Send a request now, and await its answer until `GRACE_SECONDS` after `until`.

        Args:
            operation, request: as for `repeat`.
            until: the loop's time.
            again: it is a repetition, which `wait` has paid for.

        Raises:
            OutOfTimeError: there was no answer in time, so that its fate is unknown; or time was over before.
            BackendError: it was refused, or failed.
        """
        ends_at = until + GRACE_SECONDS
        if asyncio.get_running_loop().time() >= ends_at:
            raise OutOfTimeError(f"no time is left for {operation}")
        self._check()
        if not again:
            self._budget.note_request()
        limit = asyncio.timeout_at(ends_at)
        try:
            async with limit:
                return await request()
        except Conflict:
            raise  # is no failure
        except BackendError as error:
            self._telemetry.api_error(operation, str(error))
            raise
        except TimeoutError as error:
            if not limit.expired():
                raise
            self._telemetry.api_error(operation, "no answer in time")
            raise OutOfTimeError(f"no answer to {operation} in time") from error

    async def wait(self, operation: str, error: BackendError, failures: int, until: float) -> None:
        """Wait before a repetition: full jitter, at least as long as the server asked for, and for the budget's leave.

        Raises:
            OutOfTimeError: the repetition would be too late.
        """
        loop = asyncio.get_running_loop()
        seconds = self._backoff(failures)
        if isinstance(error, Busy) and error.after_seconds is not None:
            seconds += error.after_seconds
        self._telemetry.retry(operation, type(error).__name__.lower(), seconds)
        await self._sleep(seconds, until, error)
        while (missing := self._budget.take()) > 0.0:
            self._telemetry.budget_exhausted(operation)
            # Many wait for the same token: jittered, so that they do not ask again all at once.
            await self._sleep(missing * (1.0 + random.random()), until, error)
        self._telemetry.budget(self._budget.tokens)
        if loop.time() >= until:
            raise OutOfTimeError(str(error)) from error

    def _backoff(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return full_jitter(self._settings, failures - 1)

    async def _sleep(self, seconds: float, until: float, error: BackendError) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() + seconds >= until:
            await asyncio.sleep(max(0.0, until - loop.time()))
            raise OutOfTimeError(str(error)) from error
        await asyncio.sleep(seconds)
