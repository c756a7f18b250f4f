"""The retry budget: repetitions stay a small share of requests, whatever fails.

Without one, every worker that repeats a failed request three times multiplies by four the load of a backend that is
failing because of its load. With one, repetitions are paid for by requests that were sent for the first time.
"""

import asyncio


class RetryBudget:
    """A bucket of tokens: a request brings a part of one, a repetition takes a whole one, and time brings some too.

    Args:
        ratio: tokens that each request brings, 0 to 1.
        reserve: tokens at the start, and the most that time brings back; a bucket holds at most twice this, or 10.
        refill_per_second: tokens that time brings, above 0, so that a worker whose every request fails still tries.
    """

    __slots__ = ("_at", "_capacity", "_ratio", "_refill", "_reserve", "_tokens")

    def __init__(self, ratio: float, reserve: int, refill_per_second: float) -> None:
        self._ratio = ratio
        self._reserve = float(max(reserve, 1))
        self._capacity = 2 * max(self._reserve, 5.0)
        self._refill = refill_per_second
        self._tokens = float(reserve)
        self._at: float | None = None

    def note_request(self) -> None:
        """A request was sent for the first time."""
        self._tokens = min(self._capacity, self._tokens + self._ratio)

    def take(self) -> float:
        """Take a token for a repetition: returns 0.0, or how many seconds to wait before asking again."""
        now = asyncio.get_running_loop().time()
        if self._at is not None and self._tokens < self._reserve:
            self._tokens = min(self._reserve, self._tokens + (now - self._at) * self._refill)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._refill

    @property
    def tokens(self) -> float:
        """Repetitions that are allowed now."""
        return self._tokens
