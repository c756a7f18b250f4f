"""The worlds of a candidate: the scenario with other settings, under each profile, always the same seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.load import load, variant
from scenarios.model import Scenario
from scenarios.policy import HOME, policy_sets
from scenarios.problems import Problem, ScenarioError, did_you_mean
from scenarios.runner import Batch, Cost, Lane, Observe, Progress, run_batches
from scenarios.strata import refuse_strata
from scenarios.summary import Summary
from scenarios.tune.space import SPACES


@dataclass(frozen=True, slots=True)
class Tuned:
    """A scenario whose relay is one that can be tuned, once for each profile.

    scenario   as it was asked for, with the relay's present settings
    policy     the relay's name
    profiles   the same scenario under each profile, by the profile's name
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
        profiles: names or paths of profiles, each of which must fit the scenario; empty: the scenario's own.
        sets: `PATH=VALUE`.

    Raises:
        ScenarioError: with every problem that was found.
    """
    scenario = load(name_or_path, sets, check_relay=False)
    own = scenario.relay.factory
    wanted = own.removeprefix(HOME) if policy is None else policy
    if wanted not in SPACES:
        where = "--policy" if policy is not None else scenario.origin.given
        said = did_you_mean(wanted, list(SPACES), what="can be tuned")
        raise ScenarioError([Problem(where, "", f"{wanted!r} has no settings that could be tuned", said)])
    more: Sequence[str] = () if own == f"{HOME}{wanted}" else policy_sets(wanted, {}, scenario)[0]
    scenario = load(name_or_path, [*more, *sets])
    refuse_strata(scenario)
    problems: list[Problem] = []
    made: dict[str, Scenario] = {}
    for profile in profiles or (scenario.profile,):
        try:
            under = variant(scenario, {"profile": profile})
        except ScenarioError as error:
            problems += [Problem(f"--profiles {profile}", "", each.message, each.suggestion) for each in error.problems]
            continue
        made[under.backend.name] = under
    if problems:
        raise ScenarioError(problems)
    return Tuned(scenario, wanted, made)


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
