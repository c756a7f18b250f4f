"""What two or more policies did in the same worlds: the measures, how they are taken, and how they are written.

`measure_policies` turns the worlds of each policy into plain data for `results.json`; the terminal, the figures and the
page read that. It says how far policies lie apart and how sure that is; `compared_verdicts` says of each whether it is
better or worse.

Infinite seconds (a reply that never comes) are the texts `"inf"` and `"-inf"` in results, since JSON has no such
numbers; `float()` reads both kinds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from relaysim.reports.claims import ALPHA, Tally, rate
from relaysim.reports.paired import (
    RESAMPLES,
    WORLDS_MIN,
    Estimate,
    Percentiles,
    Totals,
    Waits,
    percentiles,
    ratio,
    ratio_difference,
    share_difference,
    share_differing_at_most,
    worlds_differing,
    worlds_to_tell_apart,
)
from relaysim.reports.statistics import rounded
from relaysim.reports.summary import percent
from relaysim.sim.counted import counted

KIND = "comparison"
PERCENTS = (50, 95, 99)
CONFIDENCE = f"{(1 - ALPHA) * 100:g} %"

Kind = Literal["share", "per_100", "mean", "seconds"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of a comparison.

    `share` and `per_100` and `mean` are the sum of `counts` over all messages, as a rate, times 100, or as it is;
    a message can be counted once in a `share`, and often in the others. `seconds` are the percentile `at` of the waits
    in `view` (see `relaysim.reports.paired.Percentiles`).

    `role` says what less of it means: for what customers feel (`felt`) and what it costs (`cost`) less is better. Of what
    only tells how (`told`) neither is: who covers two messages by one reply replies less often in their own handling; an
    apology in place of nothing is no failure more; percentiles of those who got a reply are the better the more got none.
    """

    id: str
    title: str
    kind: Kind
    counts: tuple[str, ...] = ()
    at: int = 0
    view: str = ""
    role: Literal["felt", "cost", "told"] = "told"
    short: str = ""


def _waits(view: str, said: str, role: Literal["felt", "told"]) -> tuple[Measure, ...]:
    return tuple(
        Measure(
            f"{view}_p{each}", f"{said}: {each} %", "seconds", at=each, view=view, role=role, short=f"the {each} % wait"
        )
        for each in PERCENTS
    )


MEASURES = (
    Measure("own_reply", "replied to in their own handling", "share", ("answered",)),
    Measure("other_reply", "covered by another message's reply", "share", ("covered",)),
    Measure("lost", "lost: no reply covers them", "share", ("lost",), role="felt", short="lost messages"),
    Measure("apologies", "got an apology", "share", ("friendly_failure", "generic_failure"), short="apologies"),
    Measure("failed", "failed: an apology, or lost", "share", ("failed",), role="felt", short="failures"),
    Measure(
        "transparency_breaches",
        "breaches seen, per 100 messages",
        "per_100",
        ("transparency_breaches",),
        role="felt",
        short="breaches",
    ),
    *_waits("or_never", "time to reply or never", "felt"),
    *_waits("replied", "time to reply, of those replied to", "told"),
    Measure("requests", "API requests per message", "mean", ("requests",), role="cost", short="API requests"),
    Measure(
        "redis_commands", "Redis commands per message", "mean", ("redis_commands",), role="cost", short="Redis commands"
    ),
)


@dataclass(frozen=True, slots=True)
class PolicyWorlds:
    """What one policy did in each world, in the order of the seeds.

    `counts` has a list with one number per world for `messages` and for every count that a measure names; `seconds`
    the time to reply of each message that has a reply.
    """

    counts: Mapping[str, Sequence[int]]
    seconds: Sequence[Sequence[float]]

    def totals(self, measure: Measure) -> Totals:
        """The worlds' events and messages of a measure that is no percentile."""
        events = [sum(world) for world in zip(*(self.counts[name] for name in measure.counts), strict=True)]
        return Totals(events, self.counts["messages"])


def measure_policies(
    policies: Mapping[str, PolicyWorlds],
    *,
    against: str,
    key: str,
    resamples: int = RESAMPLES,
    messages_max: int | None = None,
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Every measure of every policy, and the differences of all others from the policy `against`.

    Args:
        policies: by name, all with the same worlds in the same order.
        against: the name of the policy that the others are compared with.
        key: keys the resamples, e.g. the scenario's hash.
        resamples: of the bootstrap.
        messages_max: the most messages that a world can have, None if that is unknown.

    Returns:
        By policy `{"measures": {id: {"value", "interval"}}, "curve": [...]}`, where the curve has the time to reply or
        never of each percentile from 1 to 100; and by each other policy `{id: {"value", "interval",
        "worlds_differing"}}`, for seconds `both_never` in place of the last; `failed` has `worlds_needed` too where it is
        not told apart (see `relaysim.reports.paired.worlds_to_tell_apart`). A value is None where there are no messages to
        speak of.
    """
    waits = {name: Waits(worlds.seconds, worlds.counts["lost"]) for name, worlds in policies.items()}
    found = percentiles(waits, PERCENTS, key=key, resamples=resamples)
    curves = percentiles(waits, range(1, 101), key=key, resamples=0)
    measured = {
        name: {
            "measures": {each.id: _measured(each, worlds, found[name], messages_max) for each in MEASURES},
            "curve": [_plain(curves[name].values[at, "or_never"]) for at in range(1, 101)],
        }
        for name, worlds in policies.items()
    }
    base = policies[against]
    differences = {
        name: {each.id: _difference(each, worlds, base, found[name], found[against], messages_max) for each in MEASURES}
        for name, worlds in policies.items()
        if name != against
    }
    return measured, differences


def _measured(measure: Measure, worlds: PolicyWorlds, found: Percentiles, messages_max: int | None) -> dict[str, Any]:
    if measure.kind == "seconds":
        return _entry(found.estimate(measure.at, measure.view, ALPHA))
    totals = worlds.totals(measure)
    if measure.kind != "share":
        return _entry(ratio(totals, ALPHA), _factor(measure))
    tally = Tally()
    for events, messages in zip(totals.events, totals.among, strict=True):
        tally.add(events, messages)
    share = rate(tally, alpha=ALPHA, trials_max=messages_max)
    return {"value": share["observed"], "interval": share["interval"] if tally.n else None}


def _difference(
    measure: Measure,
    worlds: PolicyWorlds,
    base: PolicyWorlds,
    found: Percentiles,
    found_base: Percentiles,
    messages_max: int | None,
) -> dict[str, Any]:
    if measure.kind == "seconds":
        both = [each.values[measure.at, measure.view] for each in (found, found_base)]
        entry = _entry(found.difference(found_base, measure.at, measure.view, ALPHA))
        return {**entry, "both_never": both == [math.inf, math.inf]}
    policy_totals, base_totals = worlds.totals(measure), base.totals(measure)
    if measure.kind == "share":
        entry = _entry(share_difference(policy_totals, base_totals, ALPHA, trials_max=messages_max))
        if measure.id == "failed" and entry["interval"] is not None and direction(entry) == "unknown":
            entry["worlds_needed"] = worlds_to_tell_apart(policy_totals, base_totals, ALPHA, trials_max=messages_max)
    else:
        entry = _entry(ratio_difference(policy_totals, base_totals, ALPHA), _factor(measure))
    return {**entry, "worlds_differing": worlds_differing(policy_totals, base_totals)}


def _factor(measure: Measure) -> float:
    return 100.0 if measure.kind == "per_100" else 1.0


def _entry(estimate: Estimate | None, factor: float = 1.0) -> dict[str, Any]:
    if estimate is None:
        return {"value": None, "interval": None}
    interval = estimate.interval
    return {
        "value": _plain(estimate.value * factor),
        "interval": None if interval is None else [_plain(end * factor) for end in interval],
    }


def _plain(value: float | None) -> float | str | None:
    """As JSON can have it."""
    if value is None or math.isfinite(value):
        return None if value is None else rounded(value)
    return "inf" if value > 0 else "-inf"


# Words


def value_words(measure: Measure, value: float | str | None) -> str:
    """A measure's value with its unit; a wait that never ends is "never"."""
    if value is None:
        return "none"
    value = float(value)
    if measure.kind == "share":
        return percent(value)
    if measure.kind == "seconds":
        return f"{value:.1f} s" if math.isfinite(value) else "never"
    return f"{value:.2f}"


def interval_words(measure: Measure, interval: Sequence[float | str] | None) -> str:
    """Both ends of a measure's interval; "" without one."""
    if interval is None:
        return ""
    low, high = (value_words(measure, end) for end in interval)
    for unit in (" %", " s"):
        if low.endswith(unit) and high.endswith(unit):
            low = low.removesuffix(unit)
    return f"{low} – {high}"


def _signed(measure: Measure, value: float | str) -> str:
    value = float(value)
    if not math.isfinite(value):
        return "+∞" if value > 0 else "−∞"
    value *= 100 if measure.kind == "share" else 1
    digits = 1 if measure.kind == "seconds" else 2
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def unit_words(measure: Measure) -> str:
    """The unit of a measure's differences; "" for plain numbers. A point is a hundredth of all messages."""
    return {"share": "points", "seconds": "s"}.get(measure.kind, "")


def difference_words(measure: Measure, difference: Mapping[str, Any]) -> str:
    """A difference with its sign and unit."""
    value = difference["value"]
    if difference.get("both_never"):
        return "both never"
    return "none" if value is None else f"{_signed(measure, value)} {unit_words(measure)}".rstrip()


def difference_interval_words(measure: Measure, difference: Mapping[str, Any]) -> str:
    """The interval of a difference, or that every world has the same one; "" where neither is known."""
    if _in_every_world(difference):
        return "in every world"
    interval = difference["interval"]
    return "" if interval is None else " to ".join(_signed(measure, end) for end in interval)


def _in_every_world(difference: Mapping[str, Any]) -> bool:
    """Whether leaving out a world never moved the difference, so that nothing is known of its error."""
    return difference["interval"] is None and difference.get("worlds_differing", 0) >= WORLDS_MIN


Direction = Literal["less", "more", "same", "unknown"]
LEGEND = "better and worse: the interval lies on one side of 0; ≈ not told apart, = the same in every world"


def direction(difference: Mapping[str, Any]) -> Direction:
    """Whether the policies are told apart: "less" or "more" if the interval lies on one side of 0.

    Without an interval: "same" if no world differs; "less" or "more" if all worlds differ alike; else "unknown".
    """
    if difference["value"] is None:
        return "unknown"
    if _in_every_world(difference):
        return "less" if difference["value"] < 0 else "more"
    if difference["interval"] is None:
        return "same" if difference.get("worlds_differing") == 0 else "unknown"
    low, high = (float(end) for end in difference["interval"])
    return "less" if high < 0 else "more" if low > 0 else "unknown"


def same_words(worlds: int) -> str:
    """What it means that two policies did the same in every world."""
    at_most = percent(share_differing_at_most(worlds, ALPHA))
    same = f"the same in each of {counted(worlds, 'world')}"
    return f"{same}, so at {CONFIDENCE} confidence at most {at_most} of such worlds differ"


def settings_words(policy: Mapping[str, Any]) -> str:
    """A policy's settings, and those of the worker groups that have some of their own."""
    parts = [_pairs(policy["settings"])] if policy["settings"] else []
    parts += [f"{group['workers']}: {_pairs(group['settings'])}" for group in policy["workers"]]
    return "; ".join(parts) or "its defaults"


def left_out_words(policy: Mapping[str, Any]) -> str:
    """The scenario's settings that the policy does not know, by its groups of workers."""
    return "; ".join(f"{each['workers']}: {', '.join(each['settings'])}" for each in policy["left_out"])


def invariants_broken_and_kept(results: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The invariants that some policy broke, and those that none did."""
    found = [policy["invariants"] for policy in results["policies"]]
    names = sorted({name for each in found for name in each})
    broken = [name for name in names if any(each.get(name) for each in found)]
    return broken, [name for name in names if name not in broken]


def _pairs(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in sorted(settings.items()))


def notes(results: Mapping[str, Any]) -> list[str]:
    """What a reader must know to read this comparison rightly, a sentence each."""
    sentences = []
    for policy in results["policies"]:
        others = [each["settings"] for each in results["policies"] if each is not policy]
        if policy["own"] and any(policy["settings"].keys() - each.keys() for each in others):
            sentences.append(
                f"{policy['policy']} has the settings that the scenario wrote for it ({_pairs(policy['settings'])}); "
                "the others have what --settings gave them, and otherwise their defaults."
            )
    sentences += unlike_notes(results)
    counts = {policy["counts"]["messages"] for policy in results["policies"]}
    if len(counts) > 1:
        sentences.append(
            "The numbers of messages differ, because customers try again after the friendly apology: each policy "
            "makes its own part of the load."
        )
    return sentences


def unlike_notes(results: Mapping[str, Any]) -> list[str]:
    """In what policies did not meet the same: settings of workers that one does not know, faults that it never met."""
    sentences = []
    for policy in results["policies"]:
        for group in policy["left_out"]:
            names = ", ".join(group["settings"])
            own: Mapping[str, Any] = next(
                (each["settings"] for each in policy["workers"] if each["workers"] == group["workers"]), {}
            )
            instead = f"had {_pairs(own)} in its place" if own else "ran without; --settings gives it its own"
            sentences.append(f"{policy['policy']} does not know {names}, so {group['workers']} {instead}.")
        if policy["never_met"]:
            sentences.append(f"{policy['policy']} never met {', '.join(policy['never_met'])}.")
    return sentences


def lead(results: Mapping[str, Any]) -> str:
    """How they were compared, in a sentence."""
    worlds = results["replications"]
    return (
        f"{counted(worlds, 'world')} for each policy, the same ones: customers, latencies and faults are "
        f"drawn with the same numbers. Lane {results['lane']}, profile {results['profile']}."
    )
