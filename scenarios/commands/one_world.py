"""What the commands that run a single world share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relaysim.scenarios.commands.command_line import UsageError, load_scenarios, non_negative_int
from relaysim.scenarios.system_errors import one_line

if TYPE_CHECKING:
    from relaysim.scenarios.model import Scenario

SENTENCES_MAX = 4


def add_one_world(parser: argparse.ArgumentParser) -> None:
    """The scenario and the seed."""
    parser.add_argument("scenario", metavar="SCENARIO", help="a shipped scenario's name, or a path")
    parser.add_argument("--seed", type=non_negative_int, required=True, metavar="N", help="the replication's number")


def one_world(arguments: argparse.Namespace, *, keep_trace: bool) -> tuple[Scenario, str, Any]:
    """The scenario, the lane, and what its world did. Raises UsageError where the world does not run to its end."""
    from relaysim.sim.kernel import named
    from relaysim.sim.world import run_world

    (scenario,) = load_scenarios([arguments.scenario], arguments)
    lane = arguments.lane or scenario.lane
    try:
        result = run_world(
            scenario.world_settings(),
            root_seed=scenario.root_seed,
            seed=arguments.seed,
            lane=lane,
            keep_trace=keep_trace,
        )
    except Exception as error:
        raise UsageError(one_line(f"{scenario.name}, seed {arguments.seed}: {named(error)}")) from error
    return scenario, lane, result


def held_against_relay(scenario: Scenario, observation: Mapping[str, Any]) -> dict[str, Any]:
    """The observation with those details only that may be held against this scenario's relay: which lines it writes into
    its log nobody but a claim of the scenario's can say."""
    is_judged = any(claim.event == "log_mismatch" for claim in scenario.claims)
    details = {name: each for name, each in observation["details"].items() if is_judged or name != "log_mismatch"}
    return {**observation, "details": details}


def gravest(observation: Mapping[str, Any], conversation: str | None) -> list[str]:
    """The sentences for the head of a story, at most four: what befell customers, and of each broken promise the first."""
    breaches = [
        sentence
        for kind, details in observation["details"].items()
        if kind.startswith("breach_")
        for sentence in sentences({"details": {kind: details}}, conversation)[:1]
    ]
    first = sentences(observation, conversation)[: max(1, SENTENCES_MAX - len(breaches))]
    return list(dict.fromkeys([*first, *breaches]))[:SENTENCES_MAX]


def obstacle_sentences(observation: Mapping[str, Any]) -> list[str]:
    """What kept this world from showing anything of its relay and is not its fault; what most handlings of many worlds
    raise, one world cannot tell."""
    from relaysim.scenarios.obstacle_tallies import Obstacles

    found = Obstacles()
    found.add(observation["obstacles"], observation["handlings"])
    return [each["text"] for each in found.entries(1) if each["kind"] != "raised"]


def first_breach(observation: Mapping[str, Any]) -> dict[str, Any]:
    """The breach that the claims name as their example, empty if customers noticed nothing."""
    from relaysim.reports.claims import TRANSPARENCY_PARTS

    details = observation["details"]
    for name in ("transparency_breaches", *TRANSPARENCY_PARTS, "late", "over_cost", "over_notices", "undeclared_texts"):
        for detail in details.get(name, ()):
            if "conversation" in detail:
                return dict(detail)
    return {}


def sentences(observation: Mapping[str, Any], conversation: str | None = None) -> list[str]:
    """What went wrong, a sentence per message: of what is told about one, the gravest; or in one conversation only."""
    from relaysim.reports.claims import TRANSPARENCY_PARTS

    details = observation["details"]
    names = dict.fromkeys([*TRANSPARENCY_PARTS, *details])
    facts: dict[str, str] = {}
    for name in names:
        for detail in details.get(name, ()):
            if conversation is not None and detail.get("conversation") != conversation:
                continue
            facts.setdefault(str(detail.get("message") or detail["text"]), str(detail["text"]))
    return list(dict.fromkeys(facts.values()))
