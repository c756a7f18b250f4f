"""A failing world made small: fewer faults, durations, customers, messages and workers, and the same thing goes wrong.

Mostly the same goes wrong in a small world of its own, with one customer and one or two of the faults that struck: such
worlds are tried first, since in a large one each strike moves all that follow, so that few can be taken away. What was
found there, or the world itself, is then reduced choice by choice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from relaysim.scenarios.explore.cases import Case, Trial
from relaysim.scenarios.explore.hunting import Breach, breaches_in
from relaysim.scenarios.explore.reductions import Reducer
from relaysim.scenarios.explore.small_worlds import Struck, small_world, strikes_of
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.runner import Lane, session
from relaysim.sim.faults import chosen
from relaysim.sim.kernel import DrawKey, Draws, Recording
from relaysim.sim.world import Result, WorldSettings, run_world
from relaysim.sim.world.explored_faults import explored
from relaysim.sim.world.settings import FAULT_LISTS

_RECORDS_MAX: Final = 45_000
"""How much is run at the most, in records of traces, a few seconds' worth. What is found must not depend on a clock."""

_RECORDS_FOR_SMALL_WORLDS: Final = 22_000
"""After so much of that no other small world is looked for."""

_BLIND_ATTEMPTS: Final = 12
"""Small worlds that are tried before it is known what the last strike is that the failure needs."""

_ATTEMPTS_MIN: Final = 40
"""So many small worlds are tried in any case, unless one fails."""

_FEW: Final = 3
"""So few choices are a story already: no other small world is looked for."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is left of a failure.

    Attributes:
        seed: of the world that was made small; the small one may be another one, whose draws are those of `case.seed`.
        case, breach, result: the small world, what goes wrong in it, and what its run left.
        runs, seconds: what it took, in worlds and in real time.
        is_minimal: whether no single choice can be left out; else it ended before that was tried of each.
    """

    seed: int
    case: Case
    breach: Breach
    result: Result
    runs: int
    seconds: float
    is_minimal: bool


class CannotReplayError(RuntimeError):
    """A failing world did not fail when its choices were played back."""


def shrink(scenario: Scenario, seed: int, event: str, lane: Lane) -> Shrunk:
    """Make one failing world small.

    Args:
        scenario: with the strategy that drew the world.
        seed: of the world.
        event: the count that must stay 0.
        lane: in which it failed.

    Raises:
        CannotReplayError: see there.
    """
    with session(None):
        return _Shrinker(scenario, seed, event, lane).shrink()


def as_one_world(settings: WorldSettings, root_seed: int, seed: int) -> WorldSettings:
    """The settings of one world of many, with its strategy's and its swarm's faults for good."""
    if settings.strategy != "independent":
        settings, _ = explored(settings, root_seed, seed)
    uniform = Draws(root_seed, seed).uniform
    faults = {name: chosen(getattr(settings, name), name, settings.swarm, uniform) for name in FAULT_LISTS}
    return settings.model_copy(update={**faults, "strategy": "independent", "swarm": None, "strata": None})


def on_tape(settings: WorldSettings, seed: int, recording: Recording) -> Case:
    """A world that was run, as a case: all that was decided in it is on its tape."""
    seconds = {key: drawn for key, (drawn, median) in recording.seconds.items() if drawn != median}
    return Case(settings, seed, dict(recording.strikes), seconds)


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failing case, its run, the medians of its durations, and whether nothing of it can be left out."""

    case: Case
    trial: Trial
    medians: dict[DrawKey, float]
    is_minimal: bool = False


class _Shrinker:
    def __init__(self, scenario: Scenario, seed: int, event: str, lane: Lane) -> None:
        self._root, self._seed, self._event, self._lane = scenario.root_seed, seed, event, lane
        self._scenario = scenario
        self._started = time.monotonic()
        self._runs = 0
        self._records = 0
        self._known: dict[str, Trial] = {}
        self._next_attempt = 0

    def shrink(self) -> Shrunk:
        """See `shrink`."""
        whole = self._whole()
        trimmer = self._reducer(whole)
        trimmer.trim()
        whole = _Failure(trimmer.case, trimmer.failing, whole.medians)
        best: _Failure | None = None
        # Where messages are scripted the world is as small as its scenario made it.
        if self._scenario.workload.bursts is not None:
            best = self._best_small_world(whole)
        if best is None:
            best = self._reduced(whole)
        breach = best.trial.breach
        assert breach is not None
        return Shrunk(
            self._seed,
            best.case,
            breach,
            best.trial.result,
            self._runs,
            time.monotonic() - self._started,
            is_minimal=best.is_minimal,
        )

    def _whole(self) -> _Failure:
        """The world as it was found, on its tape."""
        given = self._scenario.world_settings()
        trial = self._run_world(given, self._seed)
        settings = as_one_world(given, self._root, self._seed)
        failure = self._played_back(settings, self._seed, trial)
        if failure is None:
            raise CannotReplayError(
                f"{self._scenario.name}, seed {self._seed}: does not fail when its choices are played back"
            )
        return failure

    def _played_back(self, settings: WorldSettings, seed: int, trial: Trial) -> _Failure | None:
        """The world of this run with all its choices on a tape; None if it does not fail like that."""
        case = on_tape(settings, seed, trial.recording)
        again = self._run(case)
        if again is None or again.breach is None:
            return None
        return _Failure(case, again, {key: median for key, (_, median) in trial.recording.seconds.items()})

    # Running

    def _run_world(self, settings: WorldSettings, seed: int) -> Trial:
        recording = Recording()
        self._runs += 1
        result = run_world(
            settings, root_seed=self._root, seed=seed, lane=self._lane, keep_trace=True, recording=recording
        )
        self._records += len(result.records or ())
        return Trial(next(iter(breaches_in(result.observation, (self._event,))), None), result, recording)

    def _run(self, case: Case) -> Trial | None:
        """The run of a case; None if it has not been run before, and no more may be."""
        settings = case.settings.model_copy(update={"tape": case.tape})
        name = settings.model_dump_json()
        trial = self._known.get(name)
        if trial is None:
            if self._records >= _RECORDS_MAX:
                return None
            trial = self._known[name] = self._run_world(settings, 0)
        return trial

    def _reducer(self, failure: _Failure) -> Reducer:
        return Reducer(self._run, failure.case, failure.trial)

    def _reduced(self, failure: _Failure) -> _Failure:
        reducer = self._reducer(failure)
        reducer.trim()
        reducer.reduce(failure.medians)
        return _Failure(reducer.case, reducer.failing, failure.medians, is_minimal=not reducer.is_over)

    # Small worlds

    def _best_small_world(self, whole: _Failure) -> _Failure | None:
        """The smallest of what a few small worlds in which the same goes wrong are reduced to; None if there is none."""
        best: _Failure | None = None
        last: Struck | None = None
        while self._records < _RECORDS_FOR_SMALL_WORLDS or (best is None and self._next_attempt < _ATTEMPTS_MIN):
            if self._next_attempt == _BLIND_ATTEMPTS and best is None:
                last = self._last_needed(whole)
            found = self._small_world(whole, last)
            if found is None:
                continue
            reduced = self._reduced(found)
            if best is None or reduced.case.size < best.case.size:
                best = reduced
            if best.case.deviations <= _FEW:
                break
        return best

    def _small_world(self, whole: _Failure, last: Struck | None) -> _Failure | None:
        """Try one more small world."""
        attempt, self._next_attempt = self._next_attempt, self._next_attempt + 1
        struck = sorted(set(strikes_of(whole.trial).values()))
        is_stuck = any(key.purpose == "stuck" for key in whole.case.strikes)
        settings = small_world(whole.case.settings, Draws(self._root, self._seed), attempt, struck, last, is_stuck)
        trial = self._run_world(settings, attempt)
        if trial.breach is None:
            return None
        # The faults of a small world are what they are: only how long things take is its strategy's.
        return self._played_back(settings.model_copy(update={"strategy": "independent"}), attempt, trial)

    def _last_needed(self, whole: _Failure) -> Struck | None:
        """The last strike without which the world does not fail; what strikes after it comes too late to matter."""
        reducer = self._reducer(whole)
        reducer.up_to_the_last_strike()
        strikes = list(reducer.case.strikes)
        return strikes_of(whole.trial).get(strikes[-1]) if strikes else None
