"""What `doctor` does: the same seeds in several ways, and for each seed that parts, the one condition that makes it part.

First a survey. All worlds run in a process, then once more in the same one, and in other processes that differ from the
first in the hash seed and in one condition more: the order, the date, the environment. What agrees in spite of both agrees
under each. A scenario of which a world parts is run again in processes that differ in a single condition, and in one that
differs in none. Where worlds of two processes differ under equal conditions, the cause is noise, and more pairs of processes
run with the real clock or the system's entropy held: what makes both agree again is the cause. Every other parting is due to
the condition in which its way differs.

Then the places. A seed that parts is run again in a pair of processes that differ in the same condition, watched: the first
reading that comes out otherwise in the two is where the cause enters. Where readings have no value that can be seen, it is
the last one of the cause's kind before the parting.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final, NamedTuple

from relaysim.scenarios.determinism.causes import CauseName
from relaysim.scenarios.determinism.conditions import Conditions
from relaysim.scenarios.determinism.evidence import Evidence, Place
from relaysim.scenarios.determinism.fresh_process import Ending, Job, WorldToRun, do_all
from relaysim.scenarios.determinism.traces import Difference, first_difference
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.runner import Lane

HASH_SEEDS: Final = (2, 3, 4, 5)
"""Several: a set of two texts has the same order under every second one."""

_FEW: Final = 3
"""Seeds that run under the second and every further hash seed, and under held conditions."""

_PLACES_MAX: Final = 3

AGAIN, FRESH, OPPOSITE = "again in the same process", "in a fresh process", "in the opposite order"
HASHED, LATER, ELSEWHERE = "with other hash seeds", "at another date", "in another environment"
WAYS: Final = (AGAIN, FRESH, OPPOSITE, HASHED, LATER, ELSEWHERE)


class Subject(NamedTuple):
    """What is examined: a scenario in a lane."""

    scenario: Scenario
    lane: Lane


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause, at the smallest seed that showed it.

    `ways` are those in which the scenario's worlds parted for it; `difference` is None where the pair that was run to look
    closer agreed, or one of the two did not come to its end.
    """

    subject: Subject
    cause: CauseName
    seed: int
    ways: tuple[str, ...]
    difference: Difference | None
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Examination:
    """`agreed` says of each subject and way how many seeds agreed with the first run, of how many."""

    subjects: Sequence[Subject]
    seeds: int
    agreed: Mapping[tuple[int, str], tuple[int, int]]
    findings: Sequence[Finding]
    errors: Mapping[int, str] = field(default_factory=dict)  # of subjects none of whose worlds come to their end


@dataclass(frozen=True, slots=True)
class _Suspicion:
    """Worlds of one scenario that parted in some ways for one condition: the job that shows it, given the plain one."""

    scenario: int
    condition: str
    worlds: tuple[WorldToRun, ...]
    ways: tuple[str, ...]
    hash_seed: int = 1

    @property
    def world(self) -> WorldToRun:
        return self.worlds[0]


_NOISE, _STATE, _HASH, _DATE, _PLACE = "noise", "state", "hash", "date", "place"


def examine(
    subjects: Sequence[Subject],
    *,
    seeds: int,
    at_once: int,
    hash_seeds: Sequence[int] = HASH_SEEDS,
    progress: Callable[[str, int, int], None] | None = None,
) -> Examination:
    """Examine scenarios; each process runs all of them.

    Args:
        subjects: the scenarios.
        seeds: how many worlds of each, from seed 0.
        at_once: processes at a time.
        hash_seeds: those with which worlds run besides 1.
        progress: told what is done, how many processes of it have ended, and of how many; first that none has.

    Raises:
        FreshProcessError: if a process ends without results.
    """
    plain = Job([each.scenario.to_json() for each in subjects], ())
    worlds = [WorldToRun(place, each.lane, seed) for place, each in enumerate(subjects) for seed in range(seeds)]

    def run(what: str, jobs: Sequence[Job]) -> list[list[Ending]]:
        if progress is not None:
            progress(what, 0, len(jobs))
        return do_all(jobs, at_once, None if progress is None else lambda done: progress(what, done, len(jobs)))

    surveyed = _survey(plain, worlds, hash_seeds, run)
    reference = {ending.world: ending for ending in surveyed.reference}
    agreed: dict[tuple[int, str], tuple[int, int]] = {}
    for way, _, endings in surveyed.others:
        for place in range(len(subjects)):
            those = [each for each in endings if each.world.scenario == place]
            bad = [each.world for each in those if not _same(each, reference[each.world])]
            good, of = agreed.get((place, way), (0, 0))
            if way != HASHED or of == 0:
                good, of = len(those) - len(bad), len(those)
            elif bad:
                good = min(good, of - len(bad))
            agreed[place, way] = (good, of)
    suspicions = list(_suspicions(len(subjects), surveyed, reference))
    findings = _explain(subjects, plain, worlds, suspicions, run) if suspicions else []
    errors = {
        place: reference[worlds[place * seeds]].error
        for place in range(len(subjects))
        if all(reference[world].error for world in worlds if world.scenario == place)
    }
    return Examination(subjects, seeds, agreed, findings, errors)


_Run = Callable[[str, Sequence[Job]], list[list[Ending]]]


def _same(one: Ending, other: Ending) -> bool:
    """Errors are compared by their class: their words may hold an address."""
    mine, its = ((each.fingerprint, each.sent, each.error.partition(":")[0]) for each in (one, other))
    return mine == its


# The survey


class _Survey(NamedTuple):
    reference: list[Ending]
    others: list[tuple[str, int, list[Ending]]]  # the way, the hash seed, the endings


class _Packed(NamedTuple):
    """A process that differs from the first in its hash seed and in one condition more, or in the hash seed alone."""

    way: str | None
    hash_seed: int
    job: Job


def _survey(plain: Job, worlds: Sequence[WorldToRun], hash_seeds: Sequence[int], run: _Run) -> _Survey:
    """All worlds in as few processes as show all ways: to start one takes longer than to run some worlds.

    A world that agrees although two conditions differ agrees under each of them. Where one parts, its scenario is run
    again under each single condition that may be the reason, and in a process that differs in nothing.
    """
    pure = {
        OPPOSITE: replace(plain, worlds=worlds[::-1]),
        LATER: replace(plain, worlds=worlds, conditions=Conditions(clock="ahead")),
        ELSEWHERE: replace(plain, worlds=worlds, elsewhere=True),
    }
    packed = [
        _Packed(way, hash_seed, replace(pure[way], hash_seed=hash_seed))
        for way, hash_seed in zip(pure, hash_seeds, strict=False)
    ]
    few = [world for world in worlds if world.seed < _FEW]
    packed += [_Packed(None, each, replace(plain, worlds=few, hash_seed=each)) for each in hash_seeds[len(pure) :]]
    alone = [way for way in pure if way not in {each.way for each in packed}]
    again = replace(plain, worlds=[*worlds, *worlds])
    first, *endings = run("the survey", [again, *(each.job for each in packed), *(pure[way] for way in alone)])
    half = len(worlds)
    reference = {ending.world: ending for ending in first[:half]}

    def parted(its: Iterable[Ending]) -> set[WorldToRun]:
        return {each.world for each in its if not _same(each, reference[each.world])}

    found: dict[str, list[Ending]] = {AGAIN: first[half:], **dict(zip(alone, endings[len(packed) :], strict=True))}
    suspects = {each.scenario for its in (first[half:], *endings) for each in parted(its)}
    doubtful = [each.way for each, its in zip(packed, endings, strict=False) if each.way is not None and parted(its)]
    planned = [FRESH, *doubtful] if suspects else []
    jobs = [replace(plain, worlds=worlds) if way == FRESH else pure[way] for way in planned]
    jobs = [replace(job, worlds=[each for each in job.worlds if each.scenario in suspects]) for job in jobs]
    apart = dict(zip(planned, run("one condition at a time", jobs), strict=True)) if jobs else {}
    others: list[tuple[str, int, list[Ending]]] = []
    for each, its in zip(packed, endings, strict=False):
        single = apart.get(each.way or "", [])
        # What parts under one condition alone says nothing of the hash seed that it was run with.
        blamed = parted(single)
        others.append((HASHED, each.hash_seed, [ending for ending in its if ending.world not in blamed]))
        if each.way is not None:
            retried = {ending.world for ending in single}
            found[each.way] = [*single, *(ending for ending in its if ending.world not in retried)]
    fresh = apart.get(FRESH, [])
    known = {ending.world for ending in fresh}
    rest = [ending for ending in (endings[0] if endings else first[half:]) if ending.world not in known]
    found[FRESH] = [*fresh, *rest]
    others += [(way, 1, its) for way, its in found.items()]
    return _Survey(first[:half], others)


def _suspicions(subjects: int, surveyed: _Survey, reference: Mapping[WorldToRun, Ending]) -> Iterator[_Suspicion]:
    for place in range(subjects):
        parted: dict[str, dict[WorldToRun, int]] = {}
        for way, hash_seed, endings in surveyed.others:
            for ending in endings:
                if ending.world.scenario == place and not _same(ending, reference[ending.world]):
                    parted.setdefault(way, {}).setdefault(ending.world, hash_seed)
        noise = parted.get(FRESH, {})
        if noise:
            # Whatever else parted may be noise as well: mended first, it hides the others no more.
            yield _Suspicion(place, _NOISE, _by_seed(noise), tuple(way for way in WAYS if way in parted))
            continue
        state = {**parted.get(AGAIN, {}), **parted.get(OPPOSITE, {})}
        if state:
            ways = tuple(way for way in (AGAIN, OPPOSITE) if way in parted)
            yield _Suspicion(place, _STATE, _by_seed(state), ways)
        for condition, way in ((_HASH, HASHED), (_DATE, LATER), (_PLACE, ELSEWHERE)):
            if way in parted:
                found = _by_seed(parted[way])
                yield _Suspicion(place, condition, found, (way,), parted[way][found[0]])


def _by_seed(worlds: Iterable[WorldToRun]) -> tuple[WorldToRun, ...]:
    return tuple(sorted(set(worlds), key=lambda world: world.seed))


# A closer look


def _explain(
    subjects: Sequence[Subject], plain: Job, worlds: Sequence[WorldToRun], suspicions: Sequence[_Suspicion], run: _Run
) -> list[Finding]:
    # Whatever keeps state is to be met by its first world.
    ordered = sorted(suspicions, key=lambda each: each.condition != _STATE)
    planned = {"": _watching(plain, (each.world for each in ordered))}
    for hash_seed, those in _grouped(ordered, _HASH):
        planned[f"{_HASH}{hash_seed}"] = replace(_watching(plain, those), hash_seed=hash_seed)
    for condition, changes in (
        (_NOISE, {}),
        (_DATE, {"conditions": Conditions(clock="ahead")}),
        (_PLACE, {"elsewhere": True}),
    ):
        those = [each.world for each in ordered if each.condition == condition]
        if those:
            planned[condition] = replace(_watching(plain, those), **changes)
    preceded = [each.world for each in ordered if each.condition == _STATE]
    if preceded:
        chain: list[WorldToRun] = []
        last_places = []
        for last in preceded:
            chain += [each for each in worlds if each.scenario == last.scenario]
            last_places.append(len(chain))
            chain.append(last)
        planned[_STATE] = replace(plain, worlds=chain, watched=frozenset(last_places))
    noisy = [world for each in ordered if each.condition == _NOISE for world in each.worlds[:_FEW]]
    held = {"clock": Conditions(clock="held"), "entropy": Conditions(entropy="held")}
    held["both"] = Conditions("held", "held")
    twins = [(name, replace(plain, worlds=noisy, conditions=its)) for name, its in held.items() for _ in "ab" if noisy]
    endings = run("a closer look", [*planned.values(), *(job for _, job in twins)])
    looked = {
        name: {ending.world: ending for ending in its}
        for name, its in zip(planned, endings[: len(planned)], strict=True)
    }
    pairs = endings[len(planned) :]
    cured: dict[str, set[int]] = {}
    for number, name in enumerate(held if noisy else ()):
        one, other = pairs[2 * number], pairs[2 * number + 1]
        still = {mine.world.scenario for mine, its in zip(one, other, strict=True) if not _same(mine, its)}
        cured[name] = {world.scenario for world in noisy} - still
    return [
        finding
        for each in suspicions
        for finding in _findings(
            subjects[each.scenario],
            each,
            looked[""][each.world],
            looked[f"{_HASH}{each.hash_seed}" if each.condition == _HASH else each.condition][each.world],
            {name for name, scenarios in cured.items() if each.scenario in scenarios},
        )
    ]


def _watching(plain: Job, worlds: Iterable[WorldToRun]) -> Job:
    chosen = list(dict.fromkeys(worlds))
    return replace(plain, worlds=chosen, watched=frozenset(range(len(chosen))))


def _grouped(suspicions: Iterable[_Suspicion], condition: str) -> list[tuple[int, list[WorldToRun]]]:
    those = sorted((each for each in suspicions if each.condition == condition), key=lambda each: each.hash_seed)
    return [
        (hash_seed, [each.world for each in group])
        for hash_seed, group in groupby(those, key=lambda each: each.hash_seed)
    ]


def _findings(
    subject: Subject, suspicion: _Suspicion, one: Ending, other: Ending, cured: Collection[str]
) -> Iterator[Finding]:
    difference = None if one.error or other.error else first_difference(one.trace, other.trace)
    evidence = Evidence(one, other, difference)
    for cause in _causes(suspicion, evidence, cured, parted=not _same(one, other)):
        yield Finding(
            subject, cause, suspicion.world.seed, suspicion.ways, difference, evidence.places(cause)[:_PLACES_MAX]
        )


def _causes(
    suspicion: _Suspicion, evidence: Evidence, cured: Collection[str], *, parted: bool
) -> tuple[CauseName, ...]:
    if suspicion.condition == _STATE:
        # Other addresses are given out in a process in which worlds have run.
        return (evidence.strongest("kept state", "address order", "file"),)
    if suspicion.condition == _HASH:
        return (evidence.strongest("hash order", "address order"),)
    if suspicion.condition == _DATE:
        return ("real time",)
    if suspicion.condition == _PLACE:
        return ("environment",)
    if not parted:
        # Two processes at the same moment agree, and an earlier one did not: something has changed meanwhile that stays.
        return (evidence.strongest("unknown", "file"),)
    single: list[CauseName] = []
    if "clock" in cured:
        single.append("real time")
    if "entropy" in cured:
        single.append("entropy")
    if len(single) == 2:  # one of the pairs agreed by chance
        return (evidence.strongest(*single),)
    if single:
        return tuple(single)
    if "both" in cured and evidence.strongest("unknown", "thread") != "thread":  # a thread may be as far by chance
        return ("real time", "entropy")
    # What C code reads of clocks and chance by itself is not held; where it is called from shows all the same.
    return (evidence.strongest("unknown", "thread", "process", "file", "address order", "real time", "entropy"),)
