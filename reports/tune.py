"""A tuning in words and numbers: how its values are written, what stands beside what, and what it recommends.

The terminal, the figures and the page read `results.json` through this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.claims import ALPHA
from reports.paired import share_differing_at_most
from reports.summary import percent

CONFIDENCE = f"{(1 - ALPHA) * 100:g} %"
SHORT = {
    "failures": "failures",
    "added_delay": "added delay",
    "api_calls": "API calls",
    "never_appended": "never appended",
    "all_failed": "failed, of all",
    "all_requests": "all requests",
    "lost": "lost",
}
"""Heads of columns."""

MARKS = {"better": "▼", "worse": "▲", "open": "?", "same": "=", "unknown": "–"}
LEGEND = (
    "▼ less, so better; ▲ more, so worse; ? not told apart (the interval holds zero); = the same in every world; "
    "– too few worlds to tell"
)
PRESENT = "present settings"
#: What results call the breaches that customers see, in one sum.
_SEEN = "transparency_breaches"


def value_words(unit: str, value: float | None) -> str:
    """A value of an objective with its unit."""
    if value is None:
        return "none"
    if unit == "share":
        return percent(value)
    return f"{value:.2f} s" if unit == "s" else f"{value:.3f}"


def difference_words(unit: str, value: float | None) -> str:
    """A difference, signed; shares in points of a hundred."""
    if value is None:
        return "none"
    if unit == "share":
        return f"{value * 100:+.2f} points"
    return f"{value:+.2f} s" if unit == "s" else f"{value:+.3f}"


def interval_words(unit: str, interval: Sequence[float] | None, *, signed: bool = False) -> str:
    """An interval, or "" where there is none."""
    if interval is None:
        return ""
    scale, digits, mark = {"share": (100, 2, " %"), "s": (1, 2, " s")}.get(unit, (1, 3, ""))
    sign = "+" if signed else ""
    ends = [f"{end * scale:{sign}.{digits}f}" for end in interval]
    return f"{ends[0]} to {ends[1]}{'' if signed and unit == 'share' else mark}"


def measures(results: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """The objectives, then what is told beside them."""
    return [*results["objectives"], *results["beside"]]


def headline(results: Mapping[str, Any]) -> str:
    """One line: what was found."""
    place = results["recommended"]
    name = f"{results['policy']} in {results['scenario']}"
    if place is None:
        return f"{name}: {'too few worlds to judge by' if _too_few(results) else 'nothing found to recommend'}"
    if _everywhere(results["judged"][place]):
        return f"{name}: better in everything, under every profile"
    better, others = _sorted_out(results, results["judged"][place])
    shown = [
        *([f"better in {_listed(better)}"] if better else []),
        *([f"not told apart everywhere in {_listed(list(others))}"] if others else []),
    ]
    return f"{name}: {', '.join(shown)}"


def _everywhere(judged: Mapping[str, Any]) -> bool:
    return all(grade == "better" for grade in judged["grade"].values())


def _too_few(results: Mapping[str, Any]) -> bool:
    return bool(results["held_out"]["replications"] < results["held_out"]["replications_min"])


def _sorted_out(results: Mapping[str, Any], judged: Mapping[str, Any]) -> tuple[list[str], dict[str, list[str]]]:
    """The objectives that are better under every profile; and of each other one, by how much it could be worse under
    those profiles where it is not told apart."""
    better: list[str] = []
    others: dict[str, list[str]] = {}
    for each in results["objectives"]:
        doubts = [
            f"{_at_most(each['unit'], found[each['id']], results['held_out']['replications'])} under {profile}"
            for profile, found in judged["by_profile"].items()
            if found[each["id"]]["verdict"] != "better"
        ]
        if doubts:
            others[SHORT[each["id"]]] = doubts
        else:
            better.append(SHORT[each["id"]])
    return better, others


def _at_most(unit: str, found: Mapping[str, Any], worlds: int) -> str:
    """How much worse an objective could be that was not told apart."""
    if found["verdict"] == "same":
        other = percent(share_differing_at_most(worlds, ALPHA))
        return f"the same in each of {worlds:,} worlds, so another in at most {other} of all,"
    return f"worse by at most {difference_words(unit, found['difference_interval'][1]).removeprefix('+')}"


def lead(results: Mapping[str, Any]) -> str:
    """What was done."""
    held_out = results["held_out"]
    return (
        f"{len(results['trials'])} trials of {results['replications']:,} worlds under each of "
        f"{_listed(list(results['profiles']))}; {len(results['judged'])} of the best judged again in "
        f"{held_out['replications']:,} worlds each that the search never saw, paired with the present settings."
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def settings_words(settings: Mapping[str, Any]) -> str:
    """Settings on one line."""
    return ", ".join(f"{name} = {_setting(value)}" for name, value in settings.items()) or "all defaults"


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def changes(results: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of some settings those that are searched and change what the relay does today."""
    searched = [each["name"] for each in results["parameters"]]
    now = results["present"]["settings"]
    return {name: settings[name] for name in searched if name in settings and settings[name] != now.get(name)}


def recommendation(results: Mapping[str, Any]) -> str:
    """What to do, in a few sentences."""
    place = results["recommended"]
    if place is None:
        if _too_few(results):
            held_out = results["held_out"]
            return (
                f"Keep the present settings: {held_out['replications']:,} held-out worlds are too few to judge by; give "
                f"--held-out at least {held_out['replications_min']:,}, better thousands."
            )
        return (
            "Keep the present settings: none of the candidates judged on held-out seeds is better in some objective and "
            "worse in none under every profile."
        )
    judged = results["judged"][place]
    ids = [each["id"] for each in results["objectives"]]
    units = {each["id"]: each["unit"] for each in results["objectives"]}
    better, others = _sorted_out(results, judged)
    if not others:
        said = [f"Take candidate {place + 1}: better in every objective under every profile."]
    else:
        where = f"better in {_listed(better)} under every profile" if better else "better in no objective everywhere"
        doubts = "; ".join(f"{name}: {_listed(each)}" for name, each in others.items())
        said = [
            f"Candidate {place + 1} is {where}. Not told apart from the present settings: {doubts}.",
            "Take it if you can accept that; otherwise keep the present settings, or judge again in more worlds "
            "(--held-out).",
        ]
    for profile, found in judged["by_profile"].items():
        parts = [
            f"{SHORT[each]} {difference_words(units[each], found[each]['difference'])} "
            f"({interval_words(units[each], found[each]['difference_interval'], signed=True) or 'no interval'})"
            for each in ids
        ]
        said.append(f"Under {profile}: {', '.join(parts)}.")
    said.append(f"In brackets the {CONFIDENCE} intervals; better is one that lies below zero.")
    return " ".join(said)


def excess_words(name: str, count: int) -> str:
    """By how much more often a promise was broken: `name` is an invariant, or stands for all that customers see."""
    breaches = f"{count:,} {'breach' if count == 1 else 'breaches'} more"
    if name == _SEEN:
        return f"customers saw {breaches}"
    number, _, promise = name.partition("-")
    return f"{breaches} of {number}, {promise.replace('-', ' ')!r},"


def notes(results: Mapping[str, Any]) -> list[str]:
    """What must be known to read the tables."""
    said = []
    fragile = [str(place) for place, each in enumerate(results["judged"], 1) if each["fragile"]]
    if fragile:
        said.append(
            f"Fragile: {'candidate' if len(fragile) == 1 else 'candidates'} {_listed(fragile)} "
            f"{'is' if len(fragile) == 1 else 'are'} better under one profile and not under another."
        )
    for place, each in enumerate(results["judged"], 1):
        for profile, excess in each["excess"].items():
            for name, count in excess.items():
                said.append(f"Candidate {place} under {profile}: {excess_words(name, count)} than at present.")
    infeasible = sum(not trial["feasible"] for trial in results["trials"])
    if infeasible:
        said.append(
            f"{infeasible} of {len(results['trials'])} trials broke a promise more often than the present settings in "
            "the same worlds, and were put aside."
        )
    return said


def compared_values(results: Mapping[str, Any], trial: Mapping[str, Any]) -> list[float]:
    """What a trial's worlds showed, averaged over the profiles, of what the closed form computes."""
    beside = [each["id"] for each in results["beside"]]
    found = dict(zip([each["id"] for each in results["objectives"]], trial["values"], strict=True))
    values = []
    for compared in results["closed_form"]["compared"].values():
        if compared in found:
            values.append(found[compared])
        else:
            shares = [each[beside.index(compared)] for each in trial["beside"].values()]
            values.append(sum(shares) / len(shares))
    return values


def agreement_words(results: Mapping[str, Any]) -> list[str]:
    """How far the front that was found and that of the closed form agree, and worlds with arithmetic."""
    block = results["closed_form"]
    told = [each for each in block["held_out"] if each["inside"] is not None]
    inside = sum(each["inside"] for each in told)
    said = []
    if told:
        said.append(
            f"{inside} of {len(told)} values measured in held-out worlds have the computed one in their {CONFIDENCE} "
            "interval."
        )
    front, found = len(block["front"]), len(block["found"])
    said.append(
        f"Of {block['grid']:,} settings computed, {front} fail no more than the {PRESENT} and are beaten by no other. By "
        f"the same arithmetic the {found} found ones lie at most {percent(block['off_front'])} of the {PRESENT}' values "
        f"behind that front, and would have to be {percent(block['uncovered'])} better to reach all of it: that much a "
        "longer search could still gain."
    )
    return said
