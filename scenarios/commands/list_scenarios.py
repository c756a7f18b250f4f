"""The command `list`: the shipped scenarios and what they claim."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import UsageError, say, say_json
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from relaysim.scenarios.model import Scenario


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no options of its own."""


def run(arguments: argparse.Namespace) -> int:
    """The command."""
    from relaysim.scenarios.load import load
    from relaysim.scenarios.problems import ScenarioError
    from relaysim.scenarios.scenario_files import shipped

    try:
        scenarios = [load(name, check_relay=False) for name in shipped()]
    except ScenarioError as error:
        raise UsageError(str(error)) from error
    if arguments.json:
        say_json([_listed(scenario) for scenario in scenarios])
        return 0
    for scenario in scenarios:
        say(f"{scenario.name}: {scenario.title}")
        say(
            f"    {counted(scenario.replications, 'replication')}, lane {scenario.lane}, profile {scenario.backend.name}"
        )
        for claim in scenario.claims:
            built = " (by construction)" if claim.by_construction else ""
            say(f"    {claim.id:<16} {claim.expect:<12}{built} {claim.title}: {claim.reason}")
    return 0


def _listed(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "description": " ".join(scenario.description.split()),
        "hash": scenario.hash,
        "replications": scenario.replications,
        "lane": scenario.lane,
        "profile": scenario.backend.name,
        "factory": scenario.relay.factory,
        "claims": [
            {
                "id": claim.id,
                "title": claim.title,
                "kind": claim.kind,
                "expected": claim.expect,
                "by_construction": claim.by_construction,
                "reason": claim.reason,
            }
            for claim in scenario.claims
        ],
    }
