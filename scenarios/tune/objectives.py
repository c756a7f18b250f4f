"""What is minimised: failures, delay and API calls, each a ratio of two sums over the worlds of a policy.

`cancel_and_retry` and `retry_on_lock` are judged by their conflicts: the messages whose append was refused because a run was
active. The other policies clear no conflicts one by one, or not in this way alone, so they are judged by all messages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relaysim.reports.paired import Totals
from relaysim.scenarios.replication_summary import ROW_COUNTS, Summary

#: Which counts of a world stand for its replies' waits, summed up, and their number.
_REPLY_MILLISECONDS, _REPLIES = "reply_milliseconds", "replies"


@dataclass(frozen=True, slots=True)
class Objective:
    """One of the three: `events` per `among`, times `scale`, in `unit`; less is better."""

    id: str
    title: str
    unit: str
    events: str
    among: str
    scale: float = 1.0

    def totals(self, summary: Summary) -> Totals:
        """Events and trials of each world, in the order of the seeds."""
        rows = [summary.rows[seed] for seed in sorted(summary.rows)]

        def column(name: str) -> list[int]:
            if name == _REPLIES:
                return [len(row.reply_seconds) for row in rows]
            if name == _REPLY_MILLISECONDS:
                return [round(1000 * math.fsum(row.reply_seconds)) for row in rows]
            place = ROW_COUNTS.index(name)
            return [row.counts[place] for row in rows]

        return Totals(column(self.events), column(self.among))

    def value(self, summary: Summary) -> float | None:
        """Over all worlds; None where nothing could have happened."""
        found = self.totals(summary).ratio
        return None if found is None else found * self.scale

    def describe(self) -> dict[str, str]:
        """As results have it."""
        return {"id": self.id, "title": self.title, "unit": self.unit}


_OF_CONFLICTS = (
    Objective(
        "failures",
        "messages that met an active run and ended in an apology, or in nothing",
        "share",
        "met_and_failed",
        "met_active_run",
    ),
    Objective(
        "added_delay",
        "from the first refusal to the append's success, or to giving up",
        "s",
        "clearing_milliseconds",
        "met_active_run",
        0.001,
    ),
    Objective(
        "api_calls",
        "API requests from the first refusal on, until then",
        "requests",
        "clearing_requests",
        "met_active_run",
    ),
)
_OF_MESSAGES = (
    Objective("failures", "messages that ended in an apology, or in nothing", "share", "failed", "messages"),
    Objective(
        "added_delay", "from a message to its reply, of those that got one", "s", _REPLY_MILLISECONDS, _REPLIES, 0.001
    ),
    Objective("api_calls", "API requests per message", "requests", "requests", "messages"),
)
IDS = tuple(objective.id for objective in _OF_CONFLICTS)
_CLEARS = frozenset({"cancel_and_retry", "retry_on_lock"})


def objectives(policy: str, ids: Sequence[str] = IDS) -> tuple[Objective, ...]:
    """The objectives of a policy, in the order of `IDS`."""
    known = _OF_CONFLICTS if policy in _CLEARS else _OF_MESSAGES
    return tuple(each for each in known if each.id in ids)


#: Kinds of a breach that customers see pass into each other: where an answer is found in the end, "lost" turns into
#: "an apology for what was answered". So they are held to their sum.
TRANSPARENCY = "transparency_breaches"


def breaches(summary: Summary) -> dict[str, int]:
    """How often each promise was broken: the six kinds that customers see in one sum, all others each by itself."""
    others = {name: tally.count for name, tally in sorted(summary.invariants.items()) if not name.startswith("T")}
    return {TRANSPARENCY: summary.counts.get(TRANSPARENCY, 0), **others}


def gain(then: Sequence[Sequence[float]], now: Sequence[Sequence[float]]) -> float:
    """What is gained where least is, as a share of the present value: over all profiles and objectives.

    1 if nothing is left anywhere, 0 if some value stays as it is, below 0 if one gets worse.
    """
    shares = [
        _share(new, old) for news, olds in zip(then, now, strict=True) for new, old in zip(news, olds, strict=True)
    ]
    return min(shares)


def _share(new: float, old: float) -> float:
    if old == 0:
        return 0.0 if new == 0 else -math.inf
    return (old - new) / old


def means(by_profile: Mapping[str, Sequence[float]]) -> tuple[float, ...]:
    """Each objective's mean over the profiles, which count alike."""
    rows = list(by_profile.values())
    return tuple(math.fsum(column) / len(rows) for column in zip(*rows, strict=True))


def secondary_measures(policy: str) -> tuple[Objective, ...]:
    """What is told of a candidate too, though it is not searched for: what the objectives might hide."""
    if policy not in _CLEARS:
        return (
            Objective("lost", "messages that no reply covers", "share", "lost", "messages"),
            Objective("all_failed", "of all messages, failed in whatever way", "share", "failed", "messages"),
        )
    return (
        Objective(
            "never_appended",
            "of those that met an active run, never appended",
            "share",
            "not_recovered",
            "met_active_run",
        ),
        Objective("all_failed", "of all messages, failed in whatever way", "share", "failed", "messages"),
        Objective(
            "all_requests", "API requests per message, from its arrival to its end", "requests", "requests", "messages"
        ),
    )
