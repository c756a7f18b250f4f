"""Behaviours that nobody has proved of the real service, each off unless a profile switches it on."""

from __future__ import annotations

from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.threads.records import RunRecord
from relaysim.sim.kernel import Draws
from relaysim.sim.kernel.distributions import Distribution


class Quirks:
    """The unproven behaviours of one service.

    Args:
        draws: key every duration by the run, and by how often its state has changed.
        lock_linger: seconds for which a run that has ended still locks its thread; None: none.
        stale_read: seconds for which a read of a run still shows it before its last change; None: none.
        list_lag: seconds for which a list of runs does, or lacks a new run; None: none.
    """

    def __init__(
        self,
        draws: Draws,
        lock_linger: Distribution | None,
        stale_read: Distribution | None,
        list_lag: Distribution | None,
    ) -> None:
        self._draws = draws
        self._lock_linger = lock_linger
        self._stale_read = stale_read
        self._list_lag = list_lag

    @classmethod
    def from_profile(cls, profile: Profile, draws: Draws) -> Quirks | None:
        """The quirks of a profile; None if it has none."""
        given = (profile.lock_linger_seconds, profile.stale_read_seconds, profile.list_lag_seconds)
        return None if given == (None, None, None) else cls(draws, *given)

    def note_change(self, run: RunRecord, before: Object | None, now: float) -> None:
        """The run changes now; `before` is what it looked like, None if it was not there."""
        run.changes += 1
        run.stale_view = before
        run.stale_since = now

    def keep_locked(self, run: RunRecord, now: float) -> bool:
        """Whether the thread stays locked although the run ends now; `locked_until` says until when."""
        if self._lock_linger is None:
            return False
        seconds = self._lock_linger.sample(self._draws.uniform(run.key, "lock-linger", 0))
        run.thread.locked_until = now + seconds
        return seconds > 0

    def read(self, run: RunRecord, now: float) -> Object:
        """The run as a read of it shows it."""
        before = run.stale_view
        return before if before is not None and self._lags(run, self._stale_read, "stale-read", now) else run.view

    def listed(self, run: RunRecord, now: float) -> Object | None:
        """The run as a list of runs shows it; None while it lacks it."""
        return run.stale_view if self._lags(run, self._list_lag, "list-lag", now) else run.view

    def _lags(self, run: RunRecord, seconds: Distribution | None, purpose: str, now: float) -> bool:
        if seconds is None:
            return False
        return now < run.stale_since + seconds.sample(self._draws.uniform(run.key, purpose, run.changes))
