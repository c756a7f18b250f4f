"""How long a request takes, drawn: the one place, for worlds and for sockets."""

from __future__ import annotations

from collections.abc import Callable

from relaysim.sim.backends.profile import Profile


class RequestLatency:
    """The latencies of one world's requests.

    Args:
        profile: its `request_seconds`, and `slow_seconds` with their probability.
        uniform: a keyed draw, see `relaysim.sim.kernel.Draws.uniform`.
        enabled: whether requests take time at all.
    """

    __slots__ = ("_arrival_fraction", "_enabled", "_request_seconds", "_slow_probability", "_slow_seconds", "_uniform")

    def __init__(self, profile: Profile, uniform: Callable[[str, str, int], float], *, enabled: bool = True) -> None:
        self._uniform = uniform
        self._enabled = enabled
        self._request_seconds = profile.request_seconds.sampler
        self._slow_probability = profile.slow_probability
        self._slow_seconds = None if profile.slow_seconds is None else profile.slow_seconds.sampler
        self._arrival_fraction = profile.request_arrival_fraction

    def seconds(self, key: str, index: int) -> float:
        """From an attempt's leaving the client to its answer's arrival, both ways; 0 if requests take no time.

        Args:
            key, index: key the attempt's draws.
        """
        if not self._enabled:
            return 0.0
        uniform = self._uniform
        if self._slow_probability > 0 and uniform(key, "slow", index) < self._slow_probability:
            assert self._slow_seconds is not None
            return self._slow_seconds(uniform(key, "slow-seconds", index))
        return self._request_seconds(uniform(key, "request-seconds", index))

    def way_out(self, seconds: float) -> float:
        """How much of these seconds pass until the request arrives at the service."""
        return seconds * self._arrival_fraction
