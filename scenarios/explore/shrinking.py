"""A failing world made small: fewer faults, durations, customers, messages and workers, and the same thing goes wrong.

Every candidate is a world that is run and judged. One counts if what went wrong still does, so each that is kept is a
failure in itself and no guess.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from relaysim.scenarios.explore.delta_debugging import fewest, shortest
from relaysim.scenarios.explore.hunting import Breach, breaches_in
from relaysim.scenarios.explore.small_worlds import small_world
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.runner import Lane, session
from relaysim.sim.kernel import DrawKey, Draws, Recording
from relaysim.sim.kernel.distributions import Constant
from relaysim.sim.trace.schema import named
from relaysim.sim.world import Result, WorldSettings, run_world
from relaysim.sim.world.exploration import Tape, TapedDraw
from relaysim.sim.world.explored_faults import explored
from relaysim.sim.world.settings import FAULT_LISTS, ScriptedMessage, WorkerGroup

_SMALL_WORLDS: Final = 80
"""Small worlds that are tried."""

_SINGLE_STRIKES_MAX: Final = 40
"""Of more strikes than this it is not tried which single ones matter."""

_RUNS_MAX: Final = 250
"""Candidates that are run at the most. What is found must not depend on how fast that goes."""

_SAME_OCCASION_SECONDS: Final = 1.0
"""A decision that another candidate makes within so long of this one may be the same one under another number."""


@dataclass(frozen=True, slots=True)
class Case:
    """A world whose every choice is given.

    Attributes:
        settings: with neither tape nor strategy.
        seed: whose draws all others are.
        strikes, seconds: the choices of its tape.
    """

    settings: WorldSettings
    seed: int
    strikes: Mapping[DrawKey, float]
    seconds: Mapping[DrawKey, float]

    @property
    def tape(self) -> Tape:
        """The tape of this world."""
        return Tape(seed=self.seed, strikes=_draws_of(self.strikes), seconds=_draws_of(self.seconds))

    @property
    def deviations(self) -> int:
        """In how many choices it differs from a world in which nothing strikes and all takes the median."""
        return len(self.strikes) + len(self.seconds)


def _draws_of(choices: Mapping[DrawKey, float]) -> tuple[TapedDraw, ...]:
    return tuple(
        TapedDraw(entity=key.entity, purpose=key.purpose, index=key.number, value=value)
        for key, value in choices.items()
    )


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is left of a failure.

    Attributes:
        seed: of the world that was made small; the small one may be another one, whose draws are those of `case.seed`.
        case, breach, result: the small world, what goes wrong in it, and what its run left.
        runs, seconds: what it took, in worlds and in real time.
    """

    seed: int
    case: Case
    breach: Breach
    result: Result
    runs: int
    seconds: float


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


class _Shrinker:
    def __init__(self, scenario: Scenario, seed: int, event: str, lane: Lane) -> None:
        self._root, self._seed, self._event, self._lane = scenario.root_seed, seed, event, lane
        self._scenario = scenario
        self._started = time.monotonic()
        self._runs = 0
        self._breach: Breach | None = None
        self._result: Result | None = None
        self._recording = self._tried = Recording()
        self._medians: dict[DrawKey, float] = {}

    def shrink(self) -> Shrunk:
        """See `shrink`."""
        whole = self._whole()
        # Where messages are scripted the world is as small as its scenario made it.
        small = None if whole.settings.workload.bursts is None else self._small(whole)
        case = self._without_schedule(small or whole)
        case = self._up_to_the_last_strike(case)
        case = self._fewer_durations(case)
        case = self._scripted(case)
        if not case.settings.schedule:  # which names messages by their places
            case = self._up_to_the_last_message(case)
            case = self._fewer_conversations(case)
        case = self._fewer_kinds_of_strike(case)
        case = self._fewer_strikes(case)
        if not case.settings.schedule:
            case = self._fewer_messages(case)
        case = self._fewer_workers(case)
        case = self._fewer_durations(self._fewer_strikes(case))
        case = self._fewer_faults(case)
        assert self._breach is not None
        assert self._result is not None
        return Shrunk(self._seed, case, self._breach, self._result, self._runs, time.monotonic() - self._started)

    def _whole(self) -> Case:
        """The world as it was found, on its tape."""
        given = self._scenario.world_settings()
        recording = Recording()
        run_world(given, root_seed=self._root, seed=self._seed, lane=self._lane, recording=recording)
        if given.strategy != "independent":
            given, _ = explored(given, self._root, self._seed)
        settings = given.model_copy(update={"strategy": "independent", "swarm": None, "strata": None})
        self._medians = {key: median for key, (_, median) in recording.seconds.items()}
        seconds = {key: drawn for key, (drawn, median) in recording.seconds.items() if drawn != median}
        case = Case(settings, self._seed, recording.strikes, seconds)
        if not self._fails(case):
            raise CannotReplayError(
                f"{self._scenario.name}, seed {self._seed}: does not fail when its choices are played back"
            )
        return case

    def _small(self, whole: Case) -> Case | None:
        """A small world in which the same goes wrong, if one is soon found: with one customer, few messages, and one or two
        of the faults that struck. In a large one each strike moves all that follow, so that few can be taken away."""
        assert self._result is not None
        hits = self._result.observation["fault_hits"]
        struck = [(name, place) for name in FAULT_LISTS for place, count in enumerate(hits.get(name, ())) if count]
        is_stuck = any(key.purpose == "stuck" for key in whole.strikes)
        for attempt in range(_SMALL_WORLDS):
            settings = small_world(whole.settings, Draws(self._root, self._seed), attempt, struck, is_stuck)
            recording = Recording()
            self._runs += 1
            result = run_world(
                settings, root_seed=self._root, seed=attempt, lane=self._lane, keep_trace=True, recording=recording
            )
            if not breaches_in(result.observation, (self._event,)):
                continue
            seconds = {key: drawn for key, (drawn, median) in recording.seconds.items() if drawn != median}
            case = Case(settings.model_copy(update={"strategy": "independent"}), attempt, recording.strikes, seconds)
            if case.deviations < whole.deviations and self._fails(case):
                self._medians = {key: median for key, (_, median) in recording.seconds.items()}
                return case
        return None

    def _fails(self, case: Case) -> bool:
        """Whether the same goes wrong in this world; keeps what its run left."""
        if self._runs >= _RUNS_MAX:
            return False
        self._runs += 1
        recording = Recording()
        settings = case.settings.model_copy(update={"tape": case.tape})
        result = run_world(
            settings, root_seed=self._root, seed=0, lane=self._lane, keep_trace=True, recording=recording
        )
        found = breaches_in(result.observation, (self._event,))
        if found:
            (self._breach,), self._result = found, result
        if found or not self._recording.times:
            self._recording = recording
        self._tried = recording
        return bool(found)

    # What is taken away, in turn

    def _without_schedule(self, case: Case) -> Case:
        free = replace(case, settings=case.settings.model_copy(update={"schedule": ()}))
        return free if case.settings.schedule and self._fails(free) else case

    def _up_to_the_last_strike(self, case: Case) -> Case:
        """Without what strikes after it has gone wrong: what comes later changes nothing of what comes before."""
        strikes = list(case.strikes.items())
        needed = shortest(len(strikes), lambda number: self._fails(replace(case, strikes=dict(strikes[:number]))))
        return replace(case, strikes=dict(strikes[:needed]))

    def _up_to_the_last_message(self, case: Case) -> Case:
        messages = case.settings.workload.messages
        if case.settings.workload.bursts is not None:
            return case
        made = [self._with_workload(case, messages=messages[:number]) for number in range(1, len(messages) + 1)]
        return made[shortest(len(made) - 1, lambda number: self._fails(made[number]))]

    def _fewer_kinds_of_strike(self, case: Case) -> Case:
        """Without all strikes of one fault at once: of single ones the next may take the place."""
        kinds = list(dict.fromkeys(_fault_of(key) for key in case.strikes))

        def without(kept: Sequence[str]) -> Case:
            return replace(case, strikes={key: u for key, u in case.strikes.items() if _fault_of(key) in kept})

        kept = fewest(kinds, lambda kept: self._fails_somehow(without(kept)) is not None)
        return self._fails_somehow(without(kept)) or case

    def _fewer_durations(self, case: Case) -> Case:
        def fails(kept: Sequence[tuple[DrawKey, float]]) -> bool:
            return self._fails(replace(case, seconds=dict(kept)))

        for apart in (math.inf, 10.0, 3.0, 1.5):
            # Mostly none matters, or a few that lie far from the median.
            far = [each for each in case.seconds.items() if self._distance(*each) >= apart]
            if len(far) < len(case.seconds) and fails(far):
                case = replace(case, seconds=dict(far))
                break
        return replace(case, seconds=dict(fewest(list(case.seconds.items()), fails)))

    def _distance(self, key: DrawKey, seconds: float) -> float:
        """How many times as long as its median a duration is, or the median as it."""
        median = self._medians.get(key, 0.0)
        return math.inf if not median or not seconds else max(seconds / median, median / seconds)

    def _fewer_strikes(self, case: Case) -> Case:
        """Without one strike after the other, from the last one on; those after it may then have other numbers."""
        for key in reversed(list(case.strikes)):
            if key in case.strikes and len(case.strikes) <= _SINGLE_STRIKES_MAX:
                kept = {other: u for other, u in case.strikes.items() if other != key}
                case = self._fails_somehow(replace(case, strikes=kept)) or case
        return case

    def _scripted(self, case: Case) -> Case:
        """The same messages at the same times, named one by one."""
        workload = case.settings.workload
        if workload.bursts is None and not workload.answers_probability:
            return case
        assert self._result is not None
        offset = max((run.age_seconds for run in workload.initial_runs), default=0.0)
        messages = tuple(
            ScriptedMessage(
                conversation=int(event.conversation.removeprefix("c")),
                at_seconds=Constant(kind="constant", value=max(0.0, at - offset)),
            )
            for at, event in _of_kind(self._result, "message.sent")
            if event.retry_of is None
        )
        made = self._with_workload(case, messages=messages, bursts=None, answers_probability=0.0)
        return made if self._fails(made) else case

    def _fewer_conversations(self, case: Case) -> Case:
        conversations = sorted({each.conversation for each in case.settings.workload.messages})

        def without(kept: Sequence[int]) -> Case:
            messages = tuple(each for each in case.settings.workload.messages if each.conversation in kept)
            return self._with_workload(case, messages=messages) if messages else case

        if case.settings.workload.bursts is not None or len(conversations) < 2:
            return case
        kept = fewest(conversations, lambda kept: bool(kept) and self._fails_somehow(without(kept)) is not None)
        return self._fails_somehow(without(kept)) or case

    def _fewer_messages(self, case: Case) -> Case:
        """Without one message after the other. Those of a conversation that come later then have other names."""
        position = 0
        while position < len(case.settings.workload.messages) > 1:
            messages = case.settings.workload.messages
            made = self._with_workload(case, messages=messages[:position] + messages[position + 1 :])
            renamed = _renamed(made, messages, position)
            smaller = self._fails_somehow(renamed)
            if smaller is None:
                position += 1
            else:
                case = smaller
        return case

    def _fewer_workers(self, case: Case) -> Case:
        groups = case.settings.workers
        if len(groups) != 1:
            return case
        for count in range(1, groups[0].count):
            fewer = (WorkerGroup(count=count, settings=groups[0].settings),)
            faults = case.settings.host_faults
            if any(number > count for fault in faults for number in fault.workers or ()):
                continue
            made = replace(case, settings=case.settings.model_copy(update={"workers": fewer}))
            if self._fails(made):
                return made
        return case

    def _fewer_faults(self, case: Case) -> Case:
        """Faults that hit nothing are switched off; they keep their places, which key draws."""
        assert self._result is not None
        hits = self._result.observation["fault_hits"]
        changed = {}
        for name in FAULT_LISTS:
            faults = list(getattr(case.settings, name))
            for position, count in enumerate(hits.get(name, ())):
                if not count:
                    faults[position] = faults[position].model_copy(update={"probability": 0.0})
            while faults and faults[-1].probability == 0.0:
                faults.pop()
            changed[name] = tuple(faults)
        made = replace(case, settings=case.settings.model_copy(update=changed))
        return made if self._fails(made) else case

    def _with_workload(self, case: Case, **changed: Any) -> Case:
        workload = case.settings.workload.model_copy(update=changed)
        return replace(case, settings=case.settings.model_copy(update={"workload": workload}))

    def _fails_somehow(self, case: Case) -> Case | None:
        """The case if it fails, or the same with strikes that have moved: what happens before one has changed how many
        occasions like it come first."""
        times = self._recording.times
        planned = [(key, times.get(key[:2], {}).get(key.number), u) for key, u in case.strikes.items()]
        for _ in range(min(3, len(planned) + 1)):
            if self._fails(case):
                return case
            moved = {_at_about(key, at, self._tried.times): u for key, at, u in planned}
            if moved == case.strikes:
                return None
            case = replace(case, strikes=moved)
        return None


def _at_about(key: DrawKey, at: float | None, times: Mapping[tuple[str, str], Mapping[int, float]]) -> DrawKey:
    """The decision of the same kind that another world made at about the same time."""
    made = times.get(key[:2])
    if at is None or not made:
        return key
    number, nearest = min(made.items(), key=lambda each: abs(each[1] - at))
    return key._replace(number=number) if abs(nearest - at) <= _SAME_OCCASION_SECONDS else key


def _renamed(case: Case, before: Sequence[ScriptedMessage], position: int) -> Case:
    """Messages are named by their numbers: those after one that is gone have the name of the one before."""
    conversation = before[position].conversation
    gone = sum(each.conversation == conversation for each in before[: position + 1])

    def renamed(key: DrawKey) -> DrawKey:
        name, dot, number = key.entity.partition(".m")
        if name != f"c{conversation}" or not dot or not number.isdecimal() or int(number) <= gone:
            return key
        return key._replace(entity=f"{name}.m{int(number) - 1}")

    return replace(
        case,
        strikes={renamed(key): value for key, value in case.strikes.items()},
        seconds={renamed(key): value for key, value in case.seconds.items()},
    )


def _fault_of(key: DrawKey) -> str:
    """Which fault a strike is of, as far as its key tells."""
    owner = key.entity.split(" ")[0] if key.entity.startswith("host-fault-") else ""
    return owner or f"{key.purpose.split(' ')[0].split('-')[0]} {key.purpose.rpartition(' ')[2]}"


def _of_kind(result: Result, kind: str) -> list[tuple[float, Any]]:
    return [(time, named(kind, fields)) for time, _, its_kind, fields in result.records or () if its_kind == kind]
