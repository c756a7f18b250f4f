"""The best that the search found, judged on seeds that it never saw, paired with the present settings.

A search that takes the best of many noisy values flatters what it took; so nothing that it measured counts here. The
candidates are ordered by what the search saw, the judgement is by other worlds, and the recommendation goes to the first
in that order which holds and which no other such candidate beats in everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from relaysim.reports.claims import ALPHA
from relaysim.reports.paired import Estimate, Totals, ratio, ratio_difference, share_difference, worlds_differing
from relaysim.reports.statistics import rounded
from relaysim.scenarios.replication_summary import Summary
from relaysim.scenarios.tune.closed_form import dominates
from relaysim.scenarios.tune.objectives import Objective, breaches, gain
from relaysim.scenarios.tune.study import Found, Trial

Grade = Literal["better", "partly", "not"]

#: Of fewer worlds nothing is claimed: a failure in a hundred has hardly been seen in them, and an interval that rests on a
#: standard error needs some.
WORLDS_MIN = 100
#: A share that differs from the present settings' in fewer worlds is not claimed on, whatever its interval says: what so few
#: worlds decide may be another thing with the next seeds.
DIFFERING_MIN = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate on held-out seeds.

    by_profile  per profile and objective: value and interval, difference from the present settings and interval, and
                whether that is `better`, `worse`, `open` (the interval holds 0: not told apart), `same` (no world
                differs) or `unknown` (there are too few worlds, or too few that differ, or no interval); in how many
                worlds the two differ
    excess      per profile: by how much more often each promise was broken, where it was
    """

    by_profile: Mapping[str, Mapping[str, Mapping[str, Any]]]
    excess: Mapping[str, Mapping[str, int]]

    def grade(self, profile: str, ids: Sequence[str]) -> Grade:
        """What was shown of it under a profile.

        `better`    in every objective
        `partly`    in some; of each other one it is known by how much it could be worse at most (the interval's end),
                    which may be more than what is gained: to be not told apart is not to be no worse
        `not`       in none, or one is worse or unknown, or a promise was broken more often
        """
        verdicts = {self.by_profile[profile][each]["verdict"] for each in ids}
        if self.excess[profile] or "better" not in verdicts or verdicts & {"worse", "unknown"}:
            return "not"
        return "better" if verdicts == {"better"} else "partly"

    def fragile(self, ids: Sequence[str]) -> bool:
        """Whether it is better, at least partly, under some profile, and not under another."""
        return len({self.grade(profile, ids) == "not" for profile in self.by_profile}) > 1


def front(trials: Sequence[Trial]) -> list[Trial]:
    """The feasible trials that no other feasible one dominates; of equal ones the first."""
    feasible = [trial for trial in trials if trial.found.feasible]
    kept: dict[tuple[float, ...], Trial] = {}
    for trial in feasible:
        values = trial.found.values
        if values not in kept and not any(dominates(other.found.values, values) for other in feasible):
            kept[values] = trial
    return list(kept.values())


def choose(
    trials: Sequence[Trial],
    present: Found,
    count: int,
    computed_gain: Callable[[Trial], float] | None = None,
    *,
    leave_out: Callable[[Trial], bool] = lambda trial: False,
) -> list[Trial]:
    """Which trials to judge: of the front those that gain most where they gain least, then whoever is farthest from those.

    Those that gain everywhere have half of the places. The first of these goes to the feasible trial that gains most where
    it gains least by `computed_gain`, if anything does: in few worlds failures are a matter of chance, and what is computed
    has none. All are in the order of the gain that the search saw. Trials to `leave_out`, such as the present settings
    themselves, are not judged, nor is what they beat.
    """
    candidates = sorted(
        (trial for trial in front(trials) if not leave_out(trial)), key=lambda trial: _order(trial, present)
    )
    chosen: list[Trial] = []
    feasible = [trial for trial in trials if trial.found.feasible and not leave_out(trial)]
    if computed_gain is not None and feasible:
        best = max(feasible, key=lambda trial: (computed_gain(trial), -trial.number))
        if computed_gain(best) > 0:
            chosen.append(best)
            candidates = candidates if best in candidates else [*candidates, best]
    gaining = [trial for trial in candidates if trial not in chosen and _gain(trial.found, present) > 0]
    chosen += gaining[: min(max(1, count // 2 - len(chosen)), count - len(chosen))]
    chosen = chosen or candidates[:1]
    spans = _spans([trial.found.values for trial in candidates])
    while len(chosen) < min(count, len(candidates)):
        others = [trial for trial in candidates if trial not in chosen]
        chosen.append(max(others, key=lambda each: (_nearest(each, chosen, spans), -each.number)))
    return sorted(chosen, key=lambda trial: _order(trial, present))


def _order(trial: Trial, present: Found) -> tuple[float, float, int]:
    """The largest gain first; of those that gain as much where they gain least, the one that gains most in all."""
    in_all = math.fsum(
        (other_value - value) / other_value if other_value else 0.0
        for profile, values in present.by_profile.items()
        for value, other_value in zip(trial.found.by_profile[profile], values, strict=True)
    )
    return -_gain(trial.found, present), -in_all, trial.number


def _gain(found: Found, present: Found) -> float:
    return gain([found.by_profile[name] for name in present.by_profile], list(present.by_profile.values()))


def _spans(values: Sequence[tuple[float, ...]]) -> list[float]:
    return [max(column) - min(column) or 1.0 for column in zip(*values, strict=True)]


def _nearest(trial: Trial, chosen: Sequence[Trial], spans: Sequence[float]) -> float:
    return min(
        math.fsum(
            ((value - other_value) / span) ** 2
            for value, other_value, span in zip(trial.found.values, other.found.values, spans, strict=True)
        )
        for other in chosen
    )


def judge(candidate: Mapping[str, Summary], present: Mapping[str, Summary], measures: Sequence[Objective]) -> Judged:
    """A candidate's held-out worlds against the present settings', by profile."""
    by_profile = {
        profile: {each.id: _compare(each, candidate[profile], present[profile]) for each in measures}
        for profile in present
    }
    excess: dict[str, dict[str, int]] = {}
    for profile, summary in present.items():
        now, then = breaches(summary), breaches(candidate[profile])
        more = {name: then.get(name, 0) - now.get(name, 0) for name in sorted({*now, *then})}
        excess[profile] = {name: count for name, count in more.items() if count > 0}
    return Judged(by_profile, excess)


def measured(summaries: Mapping[str, Summary], measures: Sequence[Objective]) -> dict[str, dict[str, Any]]:
    """Values with their intervals, by profile and objective."""
    return {
        profile: {
            each.id: {**_shown(each, ratio(each.totals(summary), ALPHA)), **_counted(each, each.totals(summary))}
            for each in measures
        }
        for profile, summary in summaries.items()
    }


def _counted(objective: Objective, totals: Totals) -> dict[str, int]:
    """Of a share how many there were, and among how many."""
    return {"count": sum(totals.events), "among": sum(totals.among)} if objective.unit == "share" else {}


def _shown(objective: Objective, found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {"value": None, "interval": None}
    interval = found.interval and [rounded(end * objective.scale) for end in found.interval]
    return {"value": rounded(found.value * objective.scale), "interval": interval}


def _compare(objective: Objective, candidate: Summary, present: Summary) -> dict[str, Any]:
    candidate_totals, present_totals = objective.totals(candidate), objective.totals(present)
    value = _shown(objective, ratio(candidate_totals, ALPHA))
    of_two = share_difference if objective.unit == "share" else ratio_difference
    difference = _shown(objective, of_two(candidate_totals, present_totals, ALPHA))
    return {
        **value,
        **_counted(objective, candidate_totals),
        "difference": difference["value"],
        "difference_interval": difference["interval"],
        "verdict": verdict(objective.unit, candidate_totals, present_totals, difference["interval"]),
        "worlds_differing": worlds_differing(candidate_totals, present_totals),
    }


def verdict(unit: str, candidate: Totals, present: Totals, interval: Sequence[float] | None) -> str:
    """What a candidate's worlds, the present settings' and the interval of the difference allow to say, see `Judged`."""
    if len(candidate.events) < WORLDS_MIN:
        return "unknown"
    if list(candidate.events) == list(present.events) and list(candidate.among) == list(present.among):
        return "same"
    if interval is None or (unit == "share" and worlds_differing(candidate, present) < DIFFERING_MIN):
        return "unknown"
    if interval[0] <= 0 <= interval[1]:
        return "open"
    return "better" if interval[1] < 0 else "worse"


def recommended(judged: Sequence[Judged], ids: Sequence[str]) -> int | None:
    """The place of the candidate to take; None if there is none.

    Those that are better in everything under every profile come before those that are so partly, and both in the order of
    the search. Of all these the first is taken that no other one beats, see `_beats`.
    """
    graded = [{each.grade(profile, ids) for profile in each.by_profile} for each in judged]
    good = [place for enough in _GOOD for place, grades in enumerate(graded) if grades <= enough]
    good = list(dict.fromkeys(good))
    return next((place for place in good if not any(_beats(judged[each], judged[place]) for each in good)), None)


_GOOD: tuple[set[Grade], ...] = ({"better"}, {"better", "partly"})


def _beats(one: Judged, other: Judged) -> bool:
    """Whether a candidate had less of everything that was measured, under every profile, and of something really less."""
    pairs = [
        (found["value"], other.by_profile[profile][name]["value"])
        for profile, measures in one.by_profile.items()
        for name, found in measures.items()
    ]
    known = [(mine, its) for mine, its in pairs if mine is not None and its is not None]
    return (
        len(known) == len(pairs) and all(mine <= its for mine, its in known) and any(mine < its for mine, its in known)
    )
