"""Which case of what went wrong in a world a command shows: the one that `verify` names as a claim's example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from relaysim.reports.claims import ClaimSpec, happened, measure
from relaysim.sim.validation_words import did_you_mean
from relaysim.sim.world.invariants import BREACH_TITLES, INVARIANTS

if TYPE_CHECKING:
    from relaysim.scenarios.model import Scenario


_ALL_CLAIMS: Final = "`relaysim list` has a scenario's claims, and `relaysim docs promises` the invariants"


class NoSuchClaimError(ValueError):
    """Neither a claim of the scenario nor an invariant has this name."""


def subject_of(detail: Mapping[str, Any]) -> str | None:
    """The message that a detail of an observation is about, or else the conversation: what a story has in its focus."""
    name = detail.get("message") or detail.get("conversation")
    return None if name is None else str(name)


def story_title(scenario: Scenario, names: Sequence[str]) -> str:
    """What a story is about, as people say it: the first promise that was broken, or else the first claim that is false."""
    promise = next((BREACH_TITLES[name] for name in names if name in BREACH_TITLES), None)
    if promise is not None:
        return promise
    claim = next((each for each in scenario.claims if each.id in names), None)
    return ", ".join(names) if claim is None else f"“{claim.title}” is false"


def headed(scenario: Scenario, seed: int, lane: str, claim: str | None, shown: Mapping[str, Any]) -> str:
    """The first line of a story in text: of a promise's breach what happened, and its code at the end.

    Args:
        scenario, seed, lane: which world.
        claim: what was asked for, see `example_of`.
        shown: what is shown of it; empty: nothing.
    """
    where = f"{scenario.name}, seed {seed}, lane {lane}"
    name = next((each for each in INVARIANTS if claim in (each, each.partition("-")[0])), None)
    if name is None or not shown or claim in scenario.specs():
        return f"{where}: {scenario.title}"
    return f"{BREACH_TITLES[name]}: {where} ({name})"


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
