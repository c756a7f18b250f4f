"""Rate limits: how many requests of a kind, and how many tokens, the service takes in a minute.

Documented are the limits' numbers (of Threads: GET 1000 per minute, POST 300, creating runs 200, DELETE 300) and that a
refusal is a 429 whose Retry-After, where there is one, is in whole seconds. How the real service counts is not: the token
bucket here (full at first, as large as a minute's allowance, refilled continuously) is inferred. So is that the start of a
turn counts as a POST as well, and that a refused request costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from relaysim.sim.backends import errors
from relaysim.sim.backends.calls import Call, Operation
from relaysim.sim.backends.profile import Profile

_MINUTE: Final = 60


class _Bucket:
    """An allowance per minute, full at first and refilled continuously.

    What is left is counted in sixtieths, so that a rate of whole numbers per minute stays exact in binary fractions of
    a second: whoever waits as long as it was told finds what it waited for.
    """

    __slots__ = ("_at", "_sixtieths", "per_minute")

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self._sixtieths = float(per_minute * _MINUTE)
        self._at = now

    def refill(self, now: float) -> None:
        """Bring what is left up to now; a clock that was set back adds nothing."""
        elapsed = max(0.0, now - self._at)
        self._at = now
        self._sixtieths = min(float(self.per_minute * _MINUTE), self._sixtieths + elapsed * self.per_minute)

    def left(self) -> float:
        """How much is left."""
        return self._sixtieths / _MINUTE

    def seconds_until(self, amount: int) -> float:
        """Seconds until so much is there; 0 if it is, infinite if it never will be."""
        if amount > self.per_minute:
            return math.inf
        return max(0.0, (amount * _MINUTE - self._sixtieths) / self.per_minute)

    def spend(self, amount: int) -> None:
        """Take so much out."""
        self._sixtieths -= amount * _MINUTE


class RateLimits:
    """The limits of one service, and what is left of them.

    Args:
        now: seconds on any clock that does not run backwards; the service's, in a world.
        operations: the API's.
        turn_starts: the names of those that start a turn, in whatever conversation.
        gets_per_minute: requests by GET; None: no limit. So for each of the others, which are at least 1.
        posts_per_minute: requests by POST, those that start turns included.
        runs_per_minute: requests that start a turn.
        deletes_per_minute: requests by DELETE.
        tokens_per_minute: tokens of the turns that are started.

    Raises:
        ValueError: a limit below 1.
    """

    __slots__ = ("_buckets", "_now", "_tokens")

    def __init__(
        self,
        now: Callable[[], float],
        operations: Iterable[Operation],
        turn_starts: Collection[str],
        gets_per_minute: int | None = None,
        posts_per_minute: int | None = None,
        runs_per_minute: int | None = None,
        deletes_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
    ) -> None:
        start = now()

        def bucket(name: str, per_minute: int | None) -> _Bucket | None:
            if per_minute is None:
                return None
            if per_minute < 1:
                raise ValueError(f"{name} must be at least 1, or None for no limit, not {per_minute}")
            return _Bucket(per_minute, start)

        self._now = now
        by_method = {
            "GET": bucket("gets_per_minute", gets_per_minute),
            "POST": bucket("posts_per_minute", posts_per_minute),
            "DELETE": bucket("deletes_per_minute", deletes_per_minute),
        }
        turns = bucket("runs_per_minute", runs_per_minute)
        self._tokens = bucket("tokens_per_minute", tokens_per_minute)
        self._buckets: dict[str, Sequence[_Bucket]] = {}
        for operation in operations:
            under = (by_method.get(operation.method), turns if operation.name in turn_starts else None)
            self._buckets[operation.name] = [each for each in under if each is not None]

    @classmethod
    def from_profile(
        cls,
        profile: Profile,
        now: Callable[[], float],
        operations: Iterable[Operation],
        turn_starts: Collection[str],
    ) -> RateLimits | None:
        """The limits that a profile names; None if it names none."""
        limits = (
            profile.gets_per_minute,
            profile.posts_per_minute,
            profile.runs_per_minute,
            profile.deletes_per_minute,
            profile.tokens_per_minute,
        )
        return None if all(limit is None for limit in limits) else cls(now, operations, turn_starts, *limits)

    def admit(self, call: Call, tokens: int = 0) -> errors.ApiError | None:
        """Count a request that has arrived, if every limit that it falls under has room for it.

        Args:
            call: the request. Operations that the API does not have count as nothing.
            tokens: how many tokens it asks for; counted for whatever operation they are given.

        Returns:
            None if it may be processed. Else the 429 to answer with: nothing is spent then, and its Retry-After is the
            least number of whole seconds after which there is room, absent if there never will be (more tokens at once
            than a minute has).
        """
        now = self._now()
        buckets = self._buckets.get(call.operation, ())
        for bucket in buckets:
            bucket.refill(now)
        wait = max((bucket.seconds_until(1) for bucket in buckets), default=0.0)
        if wait > 0:
            return errors.too_many_requests(_whole(wait))
        pool = self._tokens
        if pool is not None and tokens > 0:
            pool.refill(now)
            wait = pool.seconds_until(tokens)
            if wait > 0:
                return errors.too_many_tokens(
                    limit=pool.per_minute,
                    used=math.ceil(pool.per_minute - pool.left()),
                    requested=tokens,
                    retry_after_seconds=_whole(wait),
                )
            pool.spend(tokens)
        for bucket in buckets:
            bucket.spend(1)
        return None


def _whole(seconds: float) -> int | None:
    return None if math.isinf(seconds) else max(1, math.ceil(seconds))
