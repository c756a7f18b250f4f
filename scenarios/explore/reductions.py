"""Taking away from a failing case whatever it does not need: messages, strikes, durations, workers, large groups first.

Each candidate is run, and counts if the same still goes wrong. So each that is kept is a failure in itself and no guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain as chained
from typing import Any, Final

from relaysim.scenarios.explore.cases import Case, Trial, chains_of, records_of_kind
from relaysim.scenarios.explore.delta_debugging import fewest, shortest
from relaysim.sim.kernel import DrawKey
from relaysim.sim.kernel.distributions import Constant
from relaysim.sim.world.exploration import TapedDraw
from relaysim.sim.world.settings import FAULT_LISTS, ScriptedMessage, WorkerGroup

_SAME_OCCASION_SECONDS: Final = 1.0
"""A decision that another candidate makes within so long of this one may be the same one under another number."""

_MOVES_MAX: Final = 2
"""How often strikes of one candidate are followed to where their occasions have moved."""


class Reducer:
    """Makes one failing case small.

    Args:
        run: runs a candidate; None if no more may be run, and then nothing more is taken away.
        failing: the run of the case with which it begins.

    Attributes:
        failing: the latest run that failed.
    """

    def __init__(self, run: Callable[[Case], Trial | None], failing: Trial) -> None:
        self._run = run
        self.failing = failing
        self._tried = failing

    def fails(self, case: Case) -> bool:
        """Whether the same goes wrong in this world; keeps its run if so."""
        trial = self._run(case)
        if trial is None:
            return False
        self._tried = trial
        if trial.breach is not None:
            self.failing = trial
        return trial.breach is not None

    def trim(self, case: Case) -> Case:
        """The same with its messages named one by one, if it can be those of one customer alone.

        That is quickly done, and each run of what comes after takes a fraction of the time.
        """
        case = self._scripted(self._without_schedule(case))
        if not case.settings.schedule:
            case = self._fewer_conversations(case)
        return self._without_strikes_of_others(case)

    def reduce(self, case: Case, medians: Mapping[DrawKey, float]) -> Case:
        """A case in which the same goes wrong, and from which no single choice can be taken away, unless no more may be run.

        Args:
            case: fails.
            medians: of its durations.
        """
        case = self.up_to_the_last_strike(self.trim(case))
        is_free = not case.settings.schedule  # whose holds name messages by their places
        if is_free:
            case = self._up_to_the_last_message(case)
        case = self._calm_after_the_last_strike(case)
        case = self._fewer_kinds_of_duration(self._near_the_median(case, medians))
        if is_free:
            case = self._from_the_first_message(case)
        case = self._fewer_kinds_of_strike(case)
        case = self._shorter_kinds_of_strike(case)
        while True:
            before = case.size
            if is_free:
                case = self._fewer_messages(case)
            case = self._fewer_strikes(case)
            case = self._whole_chains(case)
            case = self._fewer_durations(case)
            case = self._fewer_workers(case)
            if case.size == before:
                return self._fewer_faults(case)

    # The workload

    def _without_schedule(self, case: Case) -> Case:
        free = replace(case, settings=case.settings.model_copy(update={"schedule": ()}))
        return free if case.settings.schedule and self.fails(free) else case

    def _scripted(self, case: Case) -> Case:
        """The same messages at the same times, named one by one."""
        workload = case.settings.workload
        if workload.bursts is None and not workload.answers_probability:
            return case
        offset = max((run.age_seconds for run in workload.initial_runs), default=0.0)
        messages = tuple(
            ScriptedMessage(
                conversation=int(event.conversation.removeprefix("c")),
                at_seconds=Constant(kind="constant", value=max(0.0, at - offset)),
            )
            for at, event in records_of_kind(self.failing.result, "message.sent")
            if event.retry_of is None
        )
        made = _with_workload(case, messages=messages, bursts=None, answers_probability=0.0)
        return made if self.fails(made) else case

    def _fewer_conversations(self, case: Case) -> Case:
        """Only the customer with whom it goes wrong, or as few as it takes."""
        messages = case.settings.workload.messages
        conversations = sorted({each.conversation for each in messages})
        if case.settings.workload.bursts is not None or len(conversations) < 2:
            return case

        def only(kept: Sequence[int]) -> Case:
            return _with_workload(case, messages=tuple(each for each in messages if each.conversation in kept))

        breach = self.failing.breach
        named = "" if breach is None or breach.conversation is None else breach.conversation.removeprefix("c")
        if named.isdecimal() and int(named) in conversations:
            alone = self._fails_somehow(only([int(named)]))
            if alone is not None:
                return alone
        kept = fewest(conversations, lambda kept: bool(kept) and self._fails_somehow(only(kept)) is not None)
        return self._fails_somehow(only(kept)) or case

    def _up_to_the_last_message(self, case: Case) -> Case:
        messages = case.settings.workload.messages
        if case.settings.workload.bursts is not None:
            return case
        made = [_with_workload(case, messages=messages[:number]) for number in range(1, len(messages) + 1)]
        return made[shortest(len(made) - 1, lambda number: self.fails(made[number]))]

    def _from_the_first_message(self, case: Case) -> Case:
        """Without messages that come before it begins to go wrong."""
        count = len(case.settings.workload.messages)
        if case.settings.workload.bursts is not None or count < 2:
            return case
        found = case

        def fails(number: int) -> bool:
            nonlocal found
            smaller = self._fails_somehow(_with_messages(case, range(count - 1 - number, count)))
            found = found if smaller is None else smaller
            return smaller is not None

        shortest(count - 1, fails)
        return found

    def _fewer_messages(self, case: Case) -> Case:
        """As few messages as it takes. Those of a conversation that come later then have other names."""
        places = range(len(case.settings.workload.messages))
        if len(places) < 2:
            return case
        kept = fewest(places, lambda kept: bool(kept) and self._fails_somehow(_with_messages(case, kept)) is not None)
        return case if len(kept) == len(places) else self._fails_somehow(_with_messages(case, kept)) or case

    def _fewer_workers(self, case: Case) -> Case:
        groups = case.settings.workers
        if len(groups) != 1:
            return case
        for count in range(1, groups[0].count):
            if any(number > count for fault in case.settings.host_faults for number in fault.workers or ()):
                continue
            fewer = (WorkerGroup(count=count, settings=groups[0].settings),)
            made = replace(case, settings=case.settings.model_copy(update={"workers": fewer}))
            if self.fails(made):
                return made
        return case

    # What strikes

    def _without_strikes_of_others(self, case: Case) -> Case:
        """Without strikes, and durations, that no decision of the failing run was made for."""
        recording = self.failing.recording
        asked = recording.times
        strikes = {key: u for key, u in case.strikes.items() if key.number in asked.get(key[:2], {})}
        seconds = {key: value for key, value in case.seconds.items() if key in recording.seconds}
        if len(strikes) == len(case.strikes) and len(seconds) == len(case.seconds):
            return case
        made = replace(case, strikes=strikes, seconds=seconds)
        return made if self.fails(made) else case

    def up_to_the_last_strike(self, case: Case) -> Case:
        """Without what strikes after it has gone wrong: what comes later changes nothing of what comes before."""
        strikes = list(case.strikes.items())
        needed = shortest(len(strikes), lambda number: self.fails(replace(case, strikes=dict(strikes[:number]))))
        return replace(case, strikes=dict(strikes[:needed]))

    def _calm_after_the_last_strike(self, case: Case) -> Case:
        """Faults stop when nothing strikes any more, so that the world is sooner at rest."""
        liveness, times = case.settings.liveness, self.failing.recording.times
        struck = [times.get(key[:2], {}).get(key.number, math.inf) for key in case.strikes]
        if liveness is None:
            return case
        stop = max((math.ceil(at) + 1.0 for at in struck if at < math.inf), default=1.0)
        if stop >= liveness.faults_stop_seconds or math.inf in struck:
            return case
        calm = liveness.model_copy(update={"faults_stop_seconds": stop})
        made = replace(case, settings=case.settings.model_copy(update={"liveness": calm}))
        return made if self.fails(made) else case

    def _fewer_kinds_of_strike(self, case: Case) -> Case:
        """Without all strikes of one fault at once: of single ones the next may take the place."""
        kinds = list(dict.fromkeys(_fault_of(key) for key in case.strikes))

        def only(kept: Sequence[str]) -> Case:
            return replace(case, strikes={key: u for key, u in case.strikes.items() if _fault_of(key) in kept})

        kept = fewest(kinds, lambda kept: self._fails_somehow(only(kept)) is not None)
        return self._fails_somehow(only(kept)) or case

    def _shorter_kinds_of_strike(self, case: Case) -> Case:
        """Of each fault that strikes often only the first time, the last, or as few of the first as it takes."""
        for kind in list(dict.fromkeys(_fault_of(key) for key in case.strikes)):
            own = [key for key in case.strikes if _fault_of(key) == kind]
            if len(own) < 2:
                continue
            for kept in (own[:1], own[-1:]):
                smaller = self._fails_somehow(_without(case, set(own) - set(kept)))
                if smaller is not None:
                    case = smaller
                    break
            else:
                given = case
                needed = shortest(len(own), lambda number: self.fails(_without(given, own[number:])))  # noqa: B023
                case = _without(case, own[needed:])
        return case

    def _fewer_strikes(self, case: Case) -> Case:
        """Without chains of strikes, then without single ones; those after one that is gone may have other numbers."""

        def only(kept: Iterable[DrawKey]) -> Case:
            return replace(case, strikes={key: case.strikes[key] for key in kept})

        chains = [_members(chain, case) for chain in chains_of(case.strikes)]
        kept = fewest(chains, lambda kept: self._fails_somehow(only(chained.from_iterable(kept))) is not None)
        case = self._fails_somehow(only(chained.from_iterable(kept))) or case
        for key in reversed(list(case.strikes)):
            if key in case.strikes:
                case = self._fails_somehow(_without(case, {key})) or case
        return case

    def _whole_chains(self, case: Case) -> Case:
        """Strikes of one draw's entity and purpose with gaps between them, as one chain without any."""
        for pair in dict.fromkeys(key[:2] for key in case.strikes):
            own = sorted(key for key in case.strikes if key[:2] == pair)
            if not own or own[-1].number - own[0].number + 1 == len(own):
                continue
            value = min(case.strikes[key] for key in own)
            filled = {DrawKey(*pair, number): value for number in range(own[0].number, own[-1].number + 1)}
            made = replace(case, strikes={**_without(case, own).strikes, **filled})
            if self.fails(made):
                case = made
        return case

    def _fewer_faults(self, case: Case) -> Case:
        """Faults that hit nothing are switched off; they keep their places, which key draws."""
        hits = self.failing.result.observation["fault_hits"]
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
        return made if self.fails(made) else case

    # How long things take

    def _near_the_median(self, case: Case, medians: Mapping[DrawKey, float]) -> Case:
        """With the median in place of durations that are near it: mostly none matters, or a few that lie far off."""
        for apart in (math.inf, 10.0, 3.0, 1.5):
            far = {key: each for key, each in case.seconds.items() if _times_apart(each, medians.get(key)) >= apart}
            made = replace(case, seconds=far)
            if len(far) < len(case.seconds) and self.fails(made):
                return made
        return case

    def _fewer_kinds_of_duration(self, case: Case) -> Case:
        """With the median in place of all durations of one kind at once."""
        kinds = list(dict.fromkeys(_kind_of(key) for key in case.seconds))

        def only(kept: Sequence[str]) -> Case:
            return replace(case, seconds={key: each for key, each in case.seconds.items() if _kind_of(key) in kept})

        return only(fewest(kinds, lambda kept: self.fails(only(kept))))

    def _fewer_durations(self, case: Case) -> Case:
        """With the median in place of one duration after the other, many at once where that can be."""

        def only(kept: Sequence[tuple[DrawKey, float]]) -> Case:
            return replace(case, seconds=dict(kept))

        return only(fewest(list(case.seconds.items()), lambda kept: self.fails(only(kept))))

    def _fails_somehow(self, case: Case) -> Case | None:
        """The case if it fails, or the same with strikes that have moved: what happens before one has changed how many
        occasions like it come first."""
        times = self.failing.recording.times
        planned = [(key, times.get(key[:2], {}).get(key.number), u) for key, u in case.strikes.items()]
        for _ in range(1 + min(_MOVES_MAX, len(planned))):
            if self.fails(case):
                return case
            moved = {_at_about(key, at, self._tried.recording.times): u for key, at, u in planned}
            if moved == case.strikes:
                return None
            case = replace(case, strikes=moved)
        return None


def _with_workload(case: Case, **changed: Any) -> Case:
    workload = case.settings.workload.model_copy(update=changed)
    return replace(case, settings=case.settings.model_copy(update={"workload": workload}))


def _without(case: Case, gone: Iterable[DrawKey]) -> Case:
    left_out = set(gone)
    return replace(case, strikes={key: u for key, u in case.strikes.items() if key not in left_out})


def _members(chain: TapedDraw, case: Case) -> list[DrawKey]:
    keys = (DrawKey(chain.entity, chain.purpose, chain.index + more) for more in range(chain.times))
    return [key for key in keys if key in case.strikes]


def _times_apart(seconds: float, median: float | None) -> float:
    """How many times as long as its median a duration is, or the median as it."""
    return math.inf if not median or not seconds else max(seconds / median, median / seconds)


def _at_about(key: DrawKey, at: float | None, times: Mapping[tuple[str, str], Mapping[int, float]]) -> DrawKey:
    """The decision of the same kind that another world made at about the same time; a thread's runs are of one kind."""
    if at is None:
        return key
    thread, run, _ = key.entity.rpartition("/run/")
    pairs = [pair for pair in times if run and pair[0].startswith(thread + run) and pair[1] == key.purpose]
    made = {DrawKey(*pair, number): time for pair in pairs or [key[:2]] for number, time in times.get(pair, {}).items()}
    if not made:
        return key
    nearest = min(made, key=lambda other: abs(made[other] - at))
    return nearest if abs(made[nearest] - at) <= _SAME_OCCASION_SECONDS else key


def _with_messages(case: Case, kept: Iterable[int]) -> Case:
    """With the messages at these places. They are named by their numbers, so that later ones get the names of others."""
    messages = case.settings.workload.messages
    places = set(kept)
    names: dict[str, str] = {}
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    for place, message in enumerate(messages):
        whose = message.conversation
        before[whose] = before.get(whose, 0) + 1
        after[whose] = after.get(whose, 0) + (place in places)
        names[f"c{whose}.m{before[whose]}"] = f"c{whose}.m{after[whose]}" if place in places else ""

    def renamed(choices: Mapping[DrawKey, float]) -> dict[DrawKey, float]:
        made = {key._replace(entity=names.get(key.entity, key.entity)): value for key, value in choices.items()}
        return {key: value for key, value in made.items() if key.entity}

    made = _with_workload(case, messages=tuple(messages[place] for place in sorted(places)))
    return replace(made, strikes=renamed(case.strikes), seconds=renamed(case.seconds))


def _kind_of(duration: DrawKey) -> str:
    return duration.purpose.split(" ")[0]


def _fault_of(key: DrawKey) -> str:
    """Which fault a strike is of, as far as its key tells."""
    owner = key.entity.split(" ")[0] if key.entity.startswith("host-fault-") else ""
    return owner or f"{key.purpose.split(' ')[0].split('-')[0]} {key.purpose.rpartition(' ')[2]}"
