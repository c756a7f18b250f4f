"""Where a relay's code held up its own event loop: in how many replications, how often, and for how long at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from relaysim.sim.counted import counted

PLACES_MAX = 3
"""So many places are told, those first that blocked longest."""


@dataclass(slots=True)
class BlockTally:
    """One line of the relay's, in some replications.

    Attributes:
        replications: in how many it blocked.
        seed: the first of those.
        times: how often in all.
        seconds: virtual seconds, the longest time.
        for_ever: whether some time it had not ended at the world's end.
    """

    replications: int
    seed: int
    times: int
    seconds: float
    for_ever: bool = False

    def merge(self, other: BlockTally) -> None:
        """Add other replications."""
        self.replications += other.replications
        self.seed = min(self.seed, other.seed)
        self.times += other.times
        self.seconds = max(self.seconds, other.seconds)
        self.for_ever = self.for_ever or other.for_ever


def add(tallies: dict[str, BlockTally], other: Mapping[str, BlockTally]) -> None:
    """Add other replications' tallies, by the lines."""
    for place, tally in other.items():
        if place in tallies:
            tallies[place].merge(tally)
        else:
            tallies[place] = replace(tally)


def observed(found: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, BlockTally]:
    """The tallies of one replication."""
    return {
        place: BlockTally(1, seed, each["times"], each["seconds"], each.get("for_ever", False))
        for place, each in found.items()
    }


def entries(tallies: Mapping[str, BlockTally], replay: str) -> list[dict[str, Any]]:
    """Their entries in `results.json`, the longest first; `replay` has `{seed}` where a seed goes."""
    ordered = sorted(tallies.items(), key=lambda named: (not named[1].for_ever, -named[1].seconds, named[0]))
    return [
        {"place": place, **asdict(each), "replay": replay.replace("{seed}", str(each.seed))} for place, each in ordered
    ]


def _how_long(entry: Mapping[str, Any]) -> str:
    return "for ever" if entry["for_ever"] else f"for up to {entry['seconds']:.2g} s at a time"


def sentences(scenario: Mapping[str, Any]) -> list[str]:
    """What the answer says of them."""
    blocked = scenario.get("blocked_loops", ())
    if not blocked:
        return []
    told = [
        f"{each['place'] or 'a line of a library'} {_how_long(each)} (in "
        f"{each['replications']:,} of {counted(scenario['replications'], 'world')})"
        for each in blocked[:PLACES_MAX]
    ]
    more = f", and {counted(len(blocked) - PLACES_MAX, 'further line')}" if len(blocked) > PLACES_MAX else ""
    return [
        f"A blocking call held up its event loop, in {scenario['scenario']}: {', '.join(told)}{more}. Meanwhile that worker "
        "does nothing else: it takes no message, no timeout fires, no lock is renewed. Await there what does not block, or "
        "do it in asyncio.to_thread.",
        f"  See it: {blocked[0]['replay']}",
    ]
