"""Scenarios whose replications are divided into strata: what is tallied in each, and what it comes to.

`relaysim verify` and `sweep` put the parts together again with their probabilities. Everything else counts worlds, and a
count over strata says nothing about worlds as they come: such a batch is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from relaysim.reports.claims import ClaimSpec, Tally
from relaysim.reports.stratified import judge_stratified
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.problems import Problem, ScenarioError
from relaysim.scenarios.replication_summary import Summary
from relaysim.sim.world.strata import Strata

UNWEIGHED = "this scenario has strata, which `verify` and `sweep` alone weigh; add --set strata.enabled=false"


def strata_of(scenario: Scenario) -> Strata | None:
    """The scenario's strata, if it has any that are enabled."""
    return scenario.strata if scenario.strata is not None and scenario.strata.enabled else None


def refuse_strata(scenario: Scenario) -> None:
    """For commands that count worlds as they come, before they run any. Raises ScenarioError if there are strata."""
    if strata_of(scenario) is not None:
        message = "only `verify` and `sweep` weigh strata, and this command counts worlds as they come"
        raise ScenarioError([Problem(scenario.origin.given, "strata", message, "add --set strata.enabled=false")])


def specs_in(specs: Sequence[ClaimSpec], stratum: int) -> list[ClaimSpec]:
    """The claims as they are tallied in one stratum."""
    return [replace(spec, id=_name(spec.id, stratum)) for spec in specs]


def judge_in_strata(
    scenario: Scenario, strata: Strata, spec: ClaimSpec, summary: Summary, replay: str
) -> dict[str, Any]:
    """The claim's entry in `results.json`, from what was tallied in each stratum."""
    probabilities = strata.probabilities(scenario.backend)
    tallies = [summary.tallies.get(_name(spec.id, number), Tally()) for number in range(len(probabilities))]
    return judge_stratified(spec, tallies, probabilities, replay=replay)


def shown_strata(scenario: Scenario, strata: Strata, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The strata as results have them: whose draw, its parts, and how many replications fell into each."""
    edges = strata.edges_under(scenario.backend)
    replications = [part["n"] for part in entries[0]["strata"]] if entries else []
    return {
        "entity": strata.entity,
        "purpose": strata.purpose,
        "index": strata.index,
        "edges": list(edges),
        "replications": replications,
    }


def _name(claim: str, stratum: int) -> str:
    return f"{claim}@{stratum}"  # no claim's id has such a sign
