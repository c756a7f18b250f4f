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
from relaysim.sim.kernel import ALL_OF, DrawKey
from relaysim.sim.kernel.distributions import Constant
from relaysim.sim.world.names import customer_number, message_name
from relaysim.sim.world.settings import FAULT_LISTS, ScriptedMessage, WorkerGroup

_SAME_OCCASION_SECONDS: Final = 1.0
"""A decision that another candidate makes within so long of this one may be the same one under another number."""

_MOVES_MAX: Final = 1
"""How often strikes of one candidate are followed to where their occasions have moved."""


class Reducer:
    """Makes one failing case small. Each step leaves in `case` the smallest that still fails: what was run last and failed.

    Args:
        run: runs a candidate; None if no more may be run, and then nothing more is taken away.
        case: fails.
        failing: its run.

    Attributes:
        case: what is left.
        failing: its run.
        is_over: whether no more could be run.
    """

    def __init__(self, run: Callable[[Case], Trial | None], case: Case, failing: Trial) -> None:
        self._run = run
        self.case = case
        self.failing = failing
        self.is_over = False
        self._tried = failing

    def fails(self, case: Case) -> bool:
        """Whether the same goes wrong in this world; it is what is left, if so."""
        trial = None if self.is_over else self._run(case)
        if trial is None:
            self.is_over = True
            return False
        self._tried = trial
        if trial.breach is not None:
            self.case, self.failing = case, trial
        return trial.breach is not None

    def trim(self) -> None:
        """Name the messages one by one, and keep those of the customer with whom it goes wrong, if they are enough.

        That is quickly done, and each run of what comes after takes a fraction of the time.
        """
        self._without_schedule()
        self._scripted()
        if self._names_no_places:
            self._one_conversation()
        self._without_what_nobody_asks_for()

    def reduce(self, medians: Mapping[DrawKey, float]) -> None:
        """Take away until no single choice can be, unless no more may be run.

        Args:
            medians: of the durations.
        """
        self.up_to_the_last_strike()
        if self._names_no_places:
            self._up_to_the_last_message()
        self._calm_after_the_last_strike()
        self._near_the_median(medians)
        self._fewer_kinds_of_duration()
        if self._names_no_places:
            self._from_the_first_message()
        self._fewer_kinds_of_strike()
        self._shorter_kinds_of_strike()
        before = None
        while before != self.case.size and not self.is_over:
            before = self.case.size
            self._fewer_chains()
            self._fewer_durations()
            if self._names_no_places:
                self._fewer_messages()
            self._fewer_strikes()
            self._whole_chains()
            self._even_durations()
            self._slow_actors()
            self._fewer_workers()
        self._fewer_faults()

    @property
    def _names_no_places(self) -> bool:
        """Whether messages may be taken away: holds name them by their places."""
        return not self.case.settings.schedule

    # The workload

    def _without_schedule(self) -> None:
        if self.case.settings.schedule:
            self.fails(_with_settings(self.case, schedule=()))

    def _scripted(self) -> None:
        """The same messages at the same times, named one by one."""
        workload = self.case.settings.workload
        if workload.bursts is None and not workload.answers_probability:
            return
        offset = max((run.age_seconds for run in workload.initial_runs), default=0.0)
        messages = tuple(
            ScriptedMessage(
                conversation=self._number_of(event.conversation) or 1,
                at_seconds=Constant(kind="constant", value=max(0.0, at - offset)),
            )
            for at, event in records_of_kind(self.failing.result, "message.sent")
            if event.retry_of is None
        )
        self.fails(_with_workload(self.case, messages=messages, bursts=None, answers_probability=0.0))

    def _one_conversation(self) -> None:
        """Only the customer with whom it goes wrong."""
        workload, breach = self.case.settings.workload, self.failing.breach
        named = "" if breach is None or breach.conversation is None else breach.conversation
        number = self._number_of(named)
        messages = tuple(each for each in workload.messages if each.conversation == number)
        if workload.bursts is None and 0 < len(messages) < len(workload.messages):
            self._fails_somehow(_with_workload(self.case, messages=messages))

    def _number_of(self, conversation: str) -> int | None:
        settings = self.case.settings
        return customer_number(conversation, settings.workload.conversations, settings.names)

    def _up_to_the_last_message(self) -> None:
        case, count = self.case, len(self.case.settings.workload.messages)
        if case.settings.workload.bursts is None:
            shortest(count - 1, lambda number: self.fails(_with_messages(case, range(number + 1))))

    def _from_the_first_message(self) -> None:
        """Without messages that come before it begins to go wrong."""
        case, count = self.case, len(self.case.settings.workload.messages)
        if case.settings.workload.bursts is None:
            shortest(
                count - 1, lambda number: self._fails_somehow(_with_messages(case, range(count - 1 - number, count)))
            )

    def _fewer_messages(self) -> None:
        """As few messages as it takes. Those of a conversation that come later then have other names."""
        case, places = self.case, range(len(self.case.settings.workload.messages))
        if len(places) > 1:
            fewest(places, lambda kept: bool(kept) and self._fails_somehow(_with_messages(case, kept)))

    def _fewer_workers(self) -> None:
        settings = self.case.settings
        if len(settings.workers) != 1:
            return
        (group,) = settings.workers
        named = max((number for fault in settings.host_faults for number in fault.workers or ()), default=1)
        for count in range(named, group.count):
            fewer = (WorkerGroup(count=count, settings=group.settings),)
            if self.fails(_with_settings(self.case, workers=fewer)):
                return

    # What strikes

    def _without_what_nobody_asks_for(self) -> None:
        """Without strikes and durations that no decision of the failing run was made for."""
        asked, taken = self.failing.recording.times, self.failing.recording.seconds
        strikes = {key: u for key, u in self.case.strikes.items() if key.number in asked.get(key[:2], {})}
        seconds = {key: value for key, value in self.case.seconds.items() if key in taken}
        if len(strikes) < len(self.case.strikes) or len(seconds) < len(self.case.seconds):
            self.fails(replace(self.case, strikes=strikes, seconds=seconds))

    def up_to_the_last_strike(self) -> None:
        """Without what strikes after it has gone wrong: what comes later changes nothing of what comes before."""
        case, strikes = self.case, list(self.case.strikes.items())
        shortest(len(strikes), lambda number: self.fails(replace(case, strikes=dict(strikes[:number]))))

    def _calm_after_the_last_strike(self) -> None:
        """Faults stop when nothing strikes any more, so that the world is sooner at rest."""
        liveness, times = self.case.settings.liveness, self.failing.recording.times
        struck = [times.get(key[:2], {}).get(key.number, math.inf) for key in self.case.strikes]
        stop = max((math.ceil(at) + 1.0 for at in struck if at < math.inf), default=1.0)
        if liveness is None or stop >= liveness.faults_stop_seconds or math.inf in struck:
            return
        calm = liveness.model_copy(update={"faults_stop_seconds": stop})
        self.fails(_with_settings(self.case, liveness=calm))

    def _fewer_kinds_of_strike(self) -> None:
        """Without all strikes of one fault at once: of single ones the next may take the place."""
        case = self.case
        kinds = list(dict.fromkeys(_fault_of(key) for key in case.strikes))

        def fails(kept: Sequence[str]) -> bool:
            return self._fails_somehow(_only(case, (key for key in case.strikes if _fault_of(key) in kept)))

        fewest(kinds, fails)

    def _shorter_kinds_of_strike(self) -> None:
        """Of each fault that strikes often only the first time, the last, or as few of the first as it takes."""
        for kind in dict.fromkeys(_fault_of(key) for key in self.case.strikes):
            case = self.case
            own = [key for key in case.strikes if _fault_of(key) == kind]

            def only(kept: Sequence[DrawKey], case: Case = case, own: Sequence[DrawKey] = own) -> Case:
                return _without(case, set(own) - set(kept))

            if len(own) > 1 and not self._fails_somehow(only(own[:1])) and not self._fails_somehow(only(own[-1:])):
                shortest(len(own), lambda number: self.fails(only(own[:number])))  # noqa: B023 - called at once

    def _fewer_chains(self) -> None:
        """Without chains of strikes."""
        case = self.case
        chains = [[key for key in chain.keys if key in case.strikes] for chain in chains_of(case.strikes)]
        fewest(chains, lambda kept: self._fails_somehow(_only(case, chained.from_iterable(kept))))

    def _fewer_strikes(self) -> None:
        """Without one strike after the other, from the last one on; those after it may then have other numbers."""
        for key in reversed(list(self.case.strikes)):
            if key in self.case.strikes:
                self._fails_somehow(_without(self.case, {key}))

    def _whole_chains(self) -> None:
        """Strikes of one draw's entity and purpose with gaps between them, as one chain without any."""
        for pair in dict.fromkeys(key[:2] for key in self.case.strikes):
            own = sorted(key for key in self.case.strikes if key[:2] == pair)
            if own[-1].number - own[0].number + 1 == len(own):
                continue
            value = min(self.case.strikes[key] for key in own)
            filled = {DrawKey(*pair, number): value for number in range(own[0].number, own[-1].number + 1)}
            self.fails(replace(self.case, strikes={**_without(self.case, own).strikes, **filled}))

    def _fewer_faults(self) -> None:
        """Faults that hit nothing are switched off; they keep their places, which key draws."""
        hits = self.failing.result.observation["fault_hits"]
        changed = {}
        for name in FAULT_LISTS:
            faults = list(getattr(self.case.settings, name))
            for position, count in enumerate(hits.get(name, ())):
                if not count:
                    faults[position] = faults[position].model_copy(update={"probability": 0.0})
            while faults and faults[-1].probability == 0.0:
                faults.pop()
            changed[name] = tuple(faults)
        self.fails(_with_settings(self.case, **changed))

    # How long things take

    def _near_the_median(self, medians: Mapping[DrawKey, float]) -> None:
        """With the median in place of durations that are near it: mostly none matters, or a few that lie far off."""
        for apart in (math.inf, 10.0, 3.0, 1.5):
            seconds = self.case.seconds
            far = {key: each for key, each in seconds.items() if _times_apart(each, medians.get(key)) >= apart}
            if len(far) < len(seconds) and self.fails(replace(self.case, seconds=far)):
                return

    def _fewer_kinds_of_duration(self) -> None:
        """With the median in place of all durations of one kind at once."""
        case = self.case
        kinds = list(dict.fromkeys(_kind_of(key) for key in case.seconds))

        def fails(kept: Sequence[str]) -> bool:
            seconds = {key: each for key, each in case.seconds.items() if _kind_of(key) in kept}
            return self.fails(replace(case, seconds=seconds))

        fewest(kinds, fails)

    def _fewer_durations(self) -> None:
        """With the median in place of one duration after the other, many at once where that can be."""
        case = self.case
        fewest(list(case.seconds.items()), lambda kept: self.fails(replace(case, seconds=dict(kept))))

    def _even_durations(self) -> None:
        """One and the same thing takes equally long each time, as long as it took at most, from the first time on."""
        for pair in dict.fromkeys(key[:2] for key in self.case.seconds):
            own = {key: seconds for key, seconds in self.case.seconds.items() if key[:2] == pair}
            numbers = range(min(own).number, max(own).number + 1)
            even = {DrawKey(*pair, number): max(own.values()) for number in numbers}
            if len(chains_of(own, alike=True)) > 1:
                others = {key: seconds for key, seconds in self.case.seconds.items() if key not in own}
                self.fails(replace(self.case, seconds={**others, **even}))

    def _slow_actors(self) -> None:
        """All that a worker does of one kind takes equally long, as long as any of it took."""
        for actor, purpose in dict.fromkeys((_actor_of(key), key.purpose) for key in self.case.seconds):
            own = {
                key: seconds
                for key, seconds in self.case.seconds.items()
                if (_actor_of(key), key.purpose) == (actor, purpose)
            }
            if len(chains_of(own, alike=True)) > 1:
                others = {key: seconds for key, seconds in self.case.seconds.items() if key not in own}
                self.fails(
                    replace(self.case, seconds={**others, DrawKey(actor + ALL_OF, purpose, 0): max(own.values())})
                )

    def _fails_somehow(self, case: Case) -> bool:
        """Whether the case fails, or the same with strikes that have moved: what happens before one has changed how many
        occasions like it come first."""
        times = self.failing.recording.times
        planned = [(key, times.get(key[:2], {}).get(key.number), u) for key, u in case.strikes.items()]
        for _ in range(1 + min(_MOVES_MAX, len(planned))):
            if self.fails(case):
                return True
            moved = {_at_about(key, at, self._tried.recording.times): u for key, at, u in planned}
            if moved == case.strikes or self.is_over:
                return False
            case = replace(case, strikes=moved)
        return False


def _with_settings(case: Case, **changed: Any) -> Case:
    return replace(case, settings=case.settings.model_copy(update=changed))


def _with_workload(case: Case, **changed: Any) -> Case:
    return _with_settings(case, workload=case.settings.workload.model_copy(update=changed))


def _only(case: Case, kept: Iterable[DrawKey]) -> Case:
    return replace(case, strikes={key: case.strikes[key] for key in kept})


def _without(case: Case, gone: Iterable[DrawKey]) -> Case:
    left_out = set(gone)
    return _only(case, (key for key in case.strikes if key not in left_out))


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
    messages, its = case.settings.workload.messages, case.settings.names
    places = set(kept)
    names: dict[str, str] = {}
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    for place, message in enumerate(messages):
        whose = message.conversation
        before[whose] = before.get(whose, 0) + 1
        after[whose] = after.get(whose, 0) + (place in places)
        name = message_name(whose, before[whose], its)
        names[name] = message_name(whose, after[whose], its) if place in places else ""

    def renamed(choices: Mapping[DrawKey, float]) -> dict[DrawKey, float]:
        made = {key._replace(entity=names.get(key.entity, key.entity)): value for key, value in choices.items()}
        return {key: value for key, value in made.items() if key.entity}

    made = _with_workload(case, messages=tuple(messages[place] for place in sorted(places)))
    return replace(made, strikes=renamed(case.strikes), seconds=renamed(case.seconds))


def _actor_of(duration: DrawKey) -> str:
    return duration.entity.partition("/")[0]


def _kind_of(duration: DrawKey) -> str:
    return duration.purpose.split(" ")[0]


def _fault_of(key: DrawKey) -> str:
    """Which fault a strike is of, as far as its key tells."""
    owner = key.entity.split(" ")[0] if key.entity.startswith("host-fault-") else ""
    return owner or f"{key.purpose.split(' ')[0].split('-')[0]} {key.purpose.rpartition(' ')[2]}"
