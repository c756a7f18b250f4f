"""Which case of what went wrong in a world a command shows: the one that `verify` names as a claim's example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from relaysim.reports.claims import ClaimSpec, happened, measure
from relaysim.sim.validation_words import did_you_mean
from relaysim.sim.world.invariants import INVARIANTS

if TYPE_CHECKING:
    from relaysim.scenarios.model import Scenario


_ALL_CLAIMS: Final = "`relaysim list` has a scenario's claims, and `relaysim docs promises` the invariants"


class NoSuchClaimError(ValueError):
    """Neither a claim of the scenario nor an invariant has this name."""


def subject_of(detail: Mapping[str, Any]) -> str | None:
    """The message that a detail of an observation is about, or else the conversation: what a story has in its focus."""
    name = detail.get("message") or detail.get("conversation")
    return None if name is None else str(name)


def example_of(scenario: Scenario, claim: str, observation: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """What `verify` says of this world as an example of a claim or an invariant, and how many such cases there were.

    The first is empty where the world is no example of it.

    Raises:
        NoSuchClaimError: see there.
    """
    spec = scenario.specs().get(claim)
    if spec is None:
        claim = next((name for name in INVARIANTS if name.partition("-")[0] == claim), claim)
        if claim not in INVARIANTS:
            known = [*scenario.specs(), *INVARIANTS]
            there = did_you_mean(claim, known, what="there are", everything=_ALL_CLAIMS)
            raise NoSuchClaimError(f"no claim of {scenario.name} and no invariant has this name; {there}")
        spec = ClaimSpec(id=claim, title=claim, kind="never", event=INVARIANTS[claim])
    _, _, offending, detail = measure(spec, observation)
    return (detail, happened(observation, spec.event) or 1) if offending else ({}, 0)
