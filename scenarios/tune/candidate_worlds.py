"""The worlds of a candidate: the scenario with other settings, under each profile, always the same seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from relaysim.scenarios.document import PathError, parse_path, parse_setting
from relaysim.scenarios.load import load, variant
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.own_policies import HOME
from relaysim.scenarios.policy import check_api, policy_sets
from relaysim.scenarios.problems import Problem, ScenarioError
from relaysim.scenarios.replication_summary import Summary
from relaysim.scenarios.runner import Batch, Cost, Lane, Observe, Progress, run_batches
from relaysim.scenarios.strata_tallies import refuse_strata
from relaysim.scenarios.tune.space import SPACES
from relaysim.sim.validation_words import did_you_mean

#: Fields of a scenario that a search does not look at: why not, and the option to use.
_ELSEWHERE: Mapping[str, tuple[str, str]] = {
    "profile": ("a search runs under --profiles", "--profiles"),
    "replications": ("--replications and --held-out say how many worlds are run", "--replications"),
}
DRAIN = "drain"
#: Of a profile all but its numbers.
_WORDS = {"name", "title", "basis"}


@dataclass(frozen=True, slots=True)
class Tuned:
    """A scenario whose relay is one that can be tuned, once for each profile.

    scenario   as it was asked for, with the relay's present settings
    policy     the relay's name
    profiles   the same scenario under each profile, by the profile's name; where another one given has that name too, by
               what was given, which is a path or a shipped name
    """

    scenario: Scenario
    policy: str
    profiles: Mapping[str, Scenario]

    @property
    def base(self) -> dict[str, Any]:
        """The present settings, with which all are compared."""
        return dict(self.scenario.relay.settings)


def load_tuned(name_or_path: str, policy: str | None, profiles: Sequence[str], sets: Sequence[str] = ()) -> Tuned:
    """A scenario to tune.

    Args:
        name_or_path: of the scenario.
        policy: one of `SPACES`; None: the scenario's own relay. Another one than that begins with its defaults.
        profiles: names or paths of profiles, each of which must fit the scenario and be another backend; empty: the
            scenario's own.
        sets: `PATH=VALUE`; none of what a search does not look at.

    Raises:
        ScenarioError: with every problem that was found.
    """
    if problems := _without_effect(sets):
        raise ScenarioError(problems)
    scenario = load(name_or_path, sets, check_relay=False)
    own = scenario.relay.factory
    wanted = own.removeprefix(HOME) if policy is None else policy
    if wanted not in SPACES:
        where = "--policy" if policy is not None else scenario.origin.given
        suggestion = did_you_mean(wanted, list(SPACES), what="can be tuned")
        raise ScenarioError([Problem(where, "", f"{wanted!r} has no settings that could be tuned", suggestion)])
    check_api(wanted, scenario, "--policy" if policy is not None else scenario.origin.given)
    more: Sequence[str] = () if own == f"{HOME}{wanted}" else policy_sets(wanted, {}, scenario)[0]
    scenario = load(name_or_path, [*more, *sets])
    refuse_strata(scenario)
    return Tuned(scenario, wanted, _under_each(scenario, profiles or (scenario.profile,)))


def _without_effect(sets: Sequence[str]) -> list[Problem]:
    problems = []
    for typed in sets:
        try:
            path, value = parse_setting(typed)
            first, *deeper = parse_path(path)
        except PathError:
            continue  # `load` says what is wrong with it
        if str(first) in _ELSEWHERE:
            why, option = _ELSEWHERE[str(first)]
            suggestion = "leave it out" if deeper else f"give {option} {value}"
            problems.append(Problem(f"--set {typed}", "", f"has no effect here, since {why}", suggestion))
    return problems


def _under_each(scenario: Scenario, profiles: Sequence[str]) -> dict[str, Scenario]:
    """The scenario under each profile, by the profile's label. Raises ScenarioError."""
    typed = f"--profiles {','.join(profiles)}"
    problems = [
        Problem(typed, "", f"{profile} is given twice", "give it once")
        for profile, times in Counter(profiles).items()
        if times > 1
    ]
    made: dict[str, Scenario] = {}  # by what was given
    for profile in dict.fromkeys(profiles):
        try:
            made[profile] = variant(scenario, {"profile": profile})
        except ScenarioError as error:
            problems += [_by_option(each, profile) for each in error.problems]
    numbers = {profile: under.backend.model_dump(exclude=_WORDS) for profile, under in made.items()}
    problems += [
        Problem(typed, "", f"{one} and {other} have the same numbers, so they are one backend", "give one of them")
        for one, other in combinations(made, 2)
        if numbers[one] == numbers[other]
    ]
    if problems:
        raise ScenarioError(list(dict.fromkeys(problems)))
    labels = _labels(made)
    return {labels[profile]: under for profile, under in made.items()}


def _by_option(problem: Problem, profile: str) -> Problem:
    """A problem with a profile as `load` tells it; where that is about the name itself, it was given by another option."""
    if (problem.file, problem.path) != (f"--set profile={profile}", "profile"):
        return problem
    return Problem(f"--profiles {profile}", "", problem.message, problem.suggestion, problem.page)


def _labels(made: Mapping[str, Scenario]) -> dict[str, str]:
    """What each profile is called, whatever their order: by its name, if that is no other's name and no other's path."""
    times = Counter(under.backend.name for under in made.values())
    return {
        given: under.backend.name if times[under.backend.name] == 1 and under.backend.name not in made else given
        for given, under in made.items()
    }


def with_drain(tuned: Tuned) -> Tuned | None:
    """The same scenario under each profile with the relay `drain` and its defaults; None if it is tuned itself."""
    if tuned.policy == DRAIN:
        return None
    sets = policy_sets(DRAIN, {}, tuned.scenario)[0]
    values = dict(parse_setting(typed) for typed in sets)
    return Tuned(
        tuned.scenario, DRAIN, {profile: variant(scenario, values) for profile, scenario in tuned.profiles.items()}
    )


@dataclass(slots=True)
class Worlds:
    """Runs candidates, always in the same worlds: seeds from 0 of one root seed, under every profile.

    The same candidate is run once. `cost` adds up what was run.
    """

    tuned: Tuned
    root_seed: int
    replications: int
    lane: Lane
    jobs: int
    observe: Observe | None
    cost: Cost

    def run(
        self, settings: Mapping[str, Any], progress: Callable[[Progress], None] | None = None
    ) -> dict[str, Summary]:
        """What the relay with these settings did, by profile. Raises as `run_batches` does."""
        values = {"root_seed": self.root_seed, "relay.settings": dict(settings)}
        batches = [
            Batch(
                profile,
                variant(scenario, values).to_json(),
                self.replications,
                self.lane,
                claims=(),
                rows=True,
                values=tuple(values.items()),
            )
            for profile, scenario in self.tuned.profiles.items()
        ]
        summaries, cost = run_batches(batches, jobs=self.jobs, progress=progress, observe=self.observe)
        self.cost.add(cost)
        return summaries
