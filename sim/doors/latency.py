"""How long a request takes, drawn: the one place, for worlds and for sockets."""

from __future__ import annotations

from relaysim.sim.backends.profile import Profile
from relaysim.sim.kernel import Draws


class RequestLatency:
    """The latencies of one world's requests.

    Args:
        profile: its `request_seconds`, and `slow_seconds` with their probability.
        draws: the world's.
        enabled: whether requests take time at all.
    """

    __slots__ = (
        "_arrival_fraction",
        "_draws",
        "_request_seconds",
        "_slow_probability",
        "_slow_seconds",
        "enabled",
    )

    def __init__(self, profile: Profile, draws: Draws, *, enabled: bool = True) -> None:
        self._draws = draws
        self.enabled = enabled
        self._request_seconds = profile.request_seconds.sampler
        self._slow_probability = profile.slow_probability
        self._slow_seconds = None if profile.slow_seconds is None else profile.slow_seconds.sampler
        self._arrival_fraction = profile.request_arrival_fraction

    def seconds(self, key: str, index: int) -> float:
        """From an attempt's leaving the client to its answer's arrival, both ways; 0 if requests take no time.

        Args:
            key, index: key the attempt's draws.
        """
        if not self.enabled:
            return 0.0
        draws = self._draws
        if self._slow_probability > 0 and draws.rare(key, "slow", index) < self._slow_probability:
            assert self._slow_seconds is not None
            return self._slow_seconds(draws.uniform(key, "slow-seconds", index))
        return draws.seconds(self._request_seconds, key, "request-seconds", index)

    def way_out(self, seconds: float) -> float:
        """How much of these seconds pass until the request arrives at the service."""
        return seconds * self._arrival_fraction
