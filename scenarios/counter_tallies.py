"""What a scenario's own counters counted in many replications, and where that says nothing of single messages."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relaysim.reports.claims import CounterBound, detail_name
from relaysim.reports.counters import nothing_matched_words
from relaysim.reports.statistics import rounded
from relaysim.sim.counted import counted
from relaysim.sim.world.counters import Counter as Definition

#: The `reason` of a claim whose counter was also counted outside of all messages.
UNASSIGNED = "counted outside of messages"


@dataclass(slots=True)
class CounterTally:
    """How many messages had it how often, and how often it happened outside of any message's handling."""

    messages: Counter[int] = field(default_factory=Counter)
    outside: int = 0

    def add(self, found: Mapping[str, Any]) -> None:
        """Add one replication, as its observation has it."""
        self.messages.update(found["per_message"])
        self.outside += found["outside"]

    def merge(self, other: CounterTally) -> None:
        """Add other replications."""
        self.messages.update(other.messages)
        self.outside += other.outside

    def to_plain(self) -> dict[str, Any]:
        """All of it as plain data, fit for JSON; `from_plain` reads it."""
        return {"messages": [list(each) for each in sorted(self.messages.items())], "outside": self.outside}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> CounterTally:
        """What `to_plain` wrote."""
        return cls(Counter(dict(plain["messages"])), plain["outside"])

    def to_dict(self) -> dict[str, Any]:
        """As `results.json` has it: how often in all and outside of any handling, how many messages there were and with it,
        and how often a message had it."""
        times = sum(each * messages for each, messages in self.messages.items())
        messages = self.messages.total()
        found: dict[str, Any] = {
            "total": times + self.outside,
            "outside": self.outside,
            "messages": messages,
            "with_any": messages - self.messages[0],
        }
        if messages:
            found["mean"] = rounded(times / messages)
            found |= {f"p{percent}": self._quantile(percent / 100) for percent in (50, 90, 99)}
            found["max"] = max(self.messages)
        return found

    def _quantile(self, share: float) -> int:
        rank = max(1, math.ceil(share * self.messages.total()))
        for times in sorted(self.messages):
            rank -= self.messages[times]
            if rank <= 0:
                return times
        raise AssertionError("the messages hold every rank")


def unassigned_words(event: str, counters: Mapping[str, CounterTally]) -> str:
    """Why a claim about messages cannot be verified by a counter: some of it belongs to no message; else nothing."""
    bound = CounterBound.of(event)
    tally = None if bound is None else counters.get(bound.counter)
    if bound is None or tally is None or not tally.outside:
        return ""
    return (
        f"{bound.counter} was counted {tally.outside:,} times outside of any message's handling, so nobody knows which "
        "messages had more of it; claim its sum per world, or count something that is done in the handling"
    )


def counter_entries(counters: Mapping[str, CounterTally], definitions: Sequence[Definition]) -> dict[str, Any]:
    """Each counter as `results.json` has it. One that matched nothing says under `nothing_matched` what it looked for:
    perhaps that never happened, and perhaps it is misspelt."""
    looked_for = {each.name: each.definition for each in definitions}
    entries = {name: tally.to_dict() for name, tally in sorted(counters.items())}
    for name, entry in entries.items():
        if not entry["total"]:
            entry["nothing_matched"] = looked_for[name]
    return entries


def note_nothing_matched(claim: dict[str, Any], counters: Mapping[str, Any]) -> None:
    """Say of a claim about a counter that matched nothing that this is all it rests on: `nothing_matched`, and in `why`.

    It keeps its verdict: what is forbidden rightly never happens.

    Args:
        claim: as `judge` made it.
        counters: as `counter_entries` made them.
    """
    names = dict.fromkeys((detail_name(claim["event"]), claim.get("where", "")))
    patterns = [found["nothing_matched"] for name in names if "nothing_matched" in (found := counters.get(name, {}))]
    if patterns:
        claim["nothing_matched"] = " and ".join(patterns)
        words = nothing_matched_words(claim["nothing_matched"], counted(claim["replications"], "world"))
        claim["why"] = f"{claim['why']}; {words}"
