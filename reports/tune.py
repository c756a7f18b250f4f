"""A tuning in words and numbers: how its values are written, what stands beside what, and what it recommends.

The terminal, the figures and the page read `results.json` through this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.claims import ALPHA
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

MARKS = {"better": "▼", "worse": "▲", "open": "?", "same": "="}
LEGEND = "▼ less, so better; ▲ more, so worse; ? not told apart; = the same in every world"
PRESENT = "present settings"


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
        return f"{name}: nothing found that beats the present settings"
    if _everywhere(results["judged"][place]):
        return f"{name}: better in everything, under every profile"
    return f"{name}: better settings found"


def _everywhere(judged: Mapping[str, Any]) -> bool:
    return all(judged["wins_all"].values())


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
        return (
            "Keep the present settings: none of the candidates judged on held-out seeds is better somewhere and worse "
            "nowhere under every profile."
        )
    judged = results["judged"][place]
    ids = [each["id"] for each in results["objectives"]]
    units = {each["id"]: each["unit"] for each in results["objectives"]}
    said = [f"Take candidate {place + 1}."]
    for profile, found in judged["by_profile"].items():
        parts = [
            f"{SHORT[each]} {difference_words(units[each], found[each]['difference'])} "
            f"({interval_words(units[each], found[each]['difference_interval'], signed=True) or 'no interval'})"
            for each in ids
        ]
        said.append(f"Under {profile}: {', '.join(parts)}.")
    if _everywhere(judged):
        said.append(f"All of these {CONFIDENCE} intervals exclude zero.")
    else:
        said.append("Not all of these intervals exclude zero, and none lies on the wrong side of it.")
    return " ".join(said)


def notes(results: Mapping[str, Any]) -> list[str]:
    """What must be known to read the tables."""
    said = []
    fragile = [str(place) for place, each in enumerate(results["judged"], 1) if each["fragile"]]
    if fragile:
        said.append(
            f"Fragile: {'candidate' if len(fragile) == 1 else 'candidates'} {_listed(fragile)} "
            f"{'wins' if len(fragile) == 1 else 'win'} under one profile and not under another."
        )
    for place, each in enumerate(results["judged"], 1):
        for profile, excess in each["excess"].items():
            for name, count in excess.items():
                said.append(f"Candidate {place} under {profile}: {name} broken {count} times more than at present.")
    infeasible = sum(not trial["feasible"] for trial in results["trials"])
    if infeasible:
        said.append(
            f"{infeasible} of {len(results['trials'])} trials broke a promise more often than the present settings in "
            "the same worlds, and were put aside."
        )
    return said
