"""A tuning in words and numbers: how its values are written, what stands beside what, and what it recommends.

The terminal, the figures and the page read `results.json` through this module.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from relaysim.reports.claims import ALPHA
from relaysim.reports.paired import share_differing_at_most
from relaysim.reports.summary import percent
from relaysim.sim.counted import counted, plural

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
    "– too few worlds, or too few that differ, to tell"
)
PRESENT = "present settings"
#: What results call the breaches that customers see, in one sum.
_SEEN = "transparency_breaches"
_DIGITS_MAX = 9  # more decimals than this are not written
_TIMES_MIN = 0.0001  # a smaller multiple is not told apart from others


def value_words(unit: str, value: float | None) -> str:
    """A value of an objective with its unit."""
    if value is None:
        return "none"
    if unit == "share":
        return percent(value)
    digits = _digits([value], 2 if unit == "s" else 3)
    return f"{value:.{digits}f} s" if unit == "s" else f"{value:.{digits}f}"


def _digits(values: Sequence[float], digits: int) -> int:
    """So many decimals, or as many more as none of the values needs to differ from zero, if it does."""
    while digits < _DIGITS_MAX and any(value and not float(f"{value:.{digits}f}") for value in values):
        digits += 1
    return digits


def difference_words(unit: str, value: float | None) -> str:
    """A difference, signed; shares in points of a hundred."""
    if value is None:
        return "none"
    scale, usual, mark = {"share": (100, 2, " points"), "s": (1, 2, " s")}.get(unit, (1, 3, ""))
    return f"{value * scale:+.{_digits([value * scale], usual)}f}{mark}"


def interval_words(unit: str, interval: Sequence[float] | None, *, signed: bool = False) -> str:
    """An interval, or "" where there is none."""
    if interval is None:
        return ""
    scale, usual, mark = {"share": (100, 2, " %"), "s": (1, 2, " s")}.get(unit, (1, 3, ""))
    sign = "+" if signed else ""
    digits = _digits([end * scale for end in interval], usual)
    ends = [f"{end * scale:{sign}.{digits}f}" for end in interval]
    return f"{ends[0]} to {ends[1]}{'' if signed and unit == 'share' else mark}"


def measures(results: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """The objectives, then what is told beside them."""
    return [*results["objectives"], *results["beside"]]


def heads(ids: Iterable[str]) -> list[str]:
    """Heads of the columns of some objectives."""
    return [SHORT[each] for each in ids]


def waits_words(entry: Mapping[str, Any]) -> str:
    """The waits of some settings as a reader counts them, "2, 3, 4 s"; "" for a relay without such waits."""
    waits = entry.get("waits")
    if waits is None:
        return ""
    if not waits:
        return "no waits"
    jitter = entry["settings"].get("jitter", "none")
    return f"{', '.join(f'{each:.3g}' for each in waits)} s{'' if jitter == 'none' else f', {jitter} jitter'}"


def grade_sentence(results: Mapping[str, Any], place: int) -> str:
    """What was shown of a candidate, as a part of a sentence."""
    better, others = _sorted_out(results, results["judged"][place])
    if not others:
        return "better in every objective under every profile"
    shown = f"better in {_listed(better)} under every profile" if better else "better in no objective everywhere"
    return f"{shown}, not told apart everywhere in {_listed(list(others))}"


def too_few_worlds(results: Mapping[str, Any]) -> bool:
    """Whether there were too few held-out worlds to recommend anything by."""
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
        return f"the same in each of {counted(worlds, 'world')}, so another in at most {other} of all,"
    return f"worse by at most {difference_words(unit, found['difference_interval'][1]).removeprefix('+')}"


def lead(results: Mapping[str, Any]) -> str:
    """What was done."""
    held_out = results["held_out"]
    profiles = list(results["profiles"])
    searched = (
        f"{counted(len(results['trials']), 'trial')} of {counted(results['replications'], 'world')} under "
        f"{'each of ' if len(profiles) > 1 else ''}{_listed(profiles)}"
    )
    if not results["judged"]:
        return f"{searched}; none of them to be judged again beside the {PRESENT}."
    return (
        f"{searched}; {len(results['judged'])} of the best judged again in {counted(held_out['replications'], 'world')} "
        f"each that the search never saw, paired with the {PRESENT}."
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def settings_words(settings: Mapping[str, Any], waits: str = "") -> str:
    """Settings on one line, perhaps with the waits that they make, see `waits_words`."""
    made = f"waits {waits}: " if waits and waits != "no waits" else f"{waits}: " if waits else ""
    return made + (", ".join(f"{name} = {_setting(value)}" for name, value in settings.items()) or "all defaults")


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
        if not results["judged"]:
            return "Keep the present settings: the search found no others to judge; give it more trials (--budget)."
        if too_few_worlds(results):
            held_out = results["held_out"]
            return (
                "Keep the present settings: too few to judge by, "
                f"{counted(held_out['replications'], 'held-out world')}; give "
                f"--held-out at least {held_out['replications_min']:,}, better thousands."
            )
        sentences = [
            "Keep the present settings: none of the candidates judged on held-out seeds is shown to be better in some "
            "objective and worse in none under every profile."
        ]
        if wanting := _for_want_of_worlds(results):
            which = f"{plural('candidate', len(wanting))} {_listed(wanting)}"
            sentences.append(f"Of {which} too few worlds differ to tell; give more --held-out.")
        return " ".join(sentences)
    judged = results["judged"][place]
    ids = [each["id"] for each in results["objectives"]]
    units = {each["id"]: each["unit"] for each in results["objectives"]}
    better, others = _sorted_out(results, judged)
    if not others:
        sentences = [f"Take candidate {place + 1}: better in every objective under every profile."]
    else:
        where = f"better in {_listed(better)} under every profile" if better else "better in no objective everywhere"
        doubts = "; ".join(f"{name}: {_listed(each)}" for name, each in others.items())
        sentences = [
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
        sentences.append(f"Under {profile}: {', '.join(parts)}.")
    sentences.append(f"In brackets the {CONFIDENCE} intervals; better is one that lies below zero.")
    return " ".join(sentences)


def _for_want_of_worlds(results: Mapping[str, Any]) -> list[str]:
    """The candidates that might be recommended if more worlds told them from the present settings."""
    places = []
    for place, judged in enumerate(results["judged"], 1):
        found = [[by[each["id"]] for each in results["objectives"]] for by in judged["by_profile"].values()]
        if any(judged["excess"].values()) or any(one["verdict"] == "worse" for each in found for one in each):
            continue
        open_ones = [one for each in found for one in each if _differs_too_rarely(results, one)]
        hopeful = all(any(one["verdict"] == "better" or one in open_ones for one in each) for each in found)
        if open_ones and hopeful:
            places.append(str(place))
    return places


def _differs_too_rarely(results: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    least = results["held_out"].get("differing_min", 0)
    return (
        found["verdict"] == "unknown" and not too_few_worlds(results) and found.get("worlds_differing", least) < least
    )


def _rarely_differing(results: Mapping[str, Any]) -> list[str]:
    """Of which objectives nothing is claimed, because they differ in too few worlds."""
    sentences = []
    least = results["held_out"].get("differing_min", 0)
    for profile in results["judged"][0]["by_profile"] if results["judged"] else ():
        for each in results["objectives"]:
            rare = [
                f"candidate {place} ({judged['by_profile'][profile][each['id']]['worlds_differing']})"
                for place, judged in enumerate(results["judged"], 1)
                if _differs_too_rarely(results, judged["by_profile"][profile][each["id"]])
            ]
            if rare:
                sentences.append(
                    f"Under {profile}, {SHORT[each['id']]} differ from the {PRESENT}' in fewer than "
                    f"{counted(least, 'world')}, too few "
                    f"to claim anything: {', '.join(rare)}."
                )
    return sentences


def excess_words(name: str, count: int) -> str:
    """By how much more often a promise was broken: `name` is an invariant, or stands for all that customers see."""
    breaches = f"{counted(count, 'breach')} more"
    if name == _SEEN:
        return f"customers saw {breaches}"
    number, _, promise = name.partition("-")
    return f"{breaches} of {number}, {promise.replace('-', ' ')!r},"


def notes(results: Mapping[str, Any]) -> list[str]:
    """What must be known to read the tables."""
    sentences = []
    fragile = [str(place) for place, each in enumerate(results["judged"], 1) if each["fragile"]]
    if fragile:
        sentences.append(
            f"Fragile: {plural('candidate', len(fragile))} {_listed(fragile)} "
            f"{'is' if len(fragile) == 1 else 'are'} better under one profile and not under another."
        )
    for place, each in enumerate(results["judged"], 1):
        for profile, excess in each["excess"].items():
            for name, count in excess.items():
                sentences.append(f"Candidate {place} under {profile}: {excess_words(name, count)} than at present.")
    sentences += _rarely_differing(results)
    infeasible = sum(not trial["feasible"] for trial in results["trials"])
    if infeasible:
        sentences.append(
            f"{infeasible} of {counted(len(results['trials']), 'trial')} broke a promise more often than the "
            "present settings in "
            f"the same worlds, and {'was' if infeasible == 1 else 'were'} put aside."
        )
    return sentences


def grade_words(results: Mapping[str, Any], index: int, profile: str) -> str:
    """How a judged candidate fared under a profile; "" where there is nothing to say."""
    judged = results["judged"][index]
    words = ["✔ recommended"] if results["recommended"] == index else []
    words += {"better": ["better in everything"], "partly": ["partly better"]}.get(judged["grade"][profile], [])
    return ", ".join([*words, "fragile"] if judged["fragile"] else words)


def held_out_rows(results: Mapping[str, Any]) -> dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]]:
    """What held-out worlds and the closed form say: by candidate and profile, each value with its objective's unit."""
    units = {each["id"]: each["unit"] for each in measures(results)}
    names = {None: PRESENT} | {each["trial"]: f"candidate {at}" for at, each in enumerate(results["judged"], 1)}
    rows: dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]] = {}
    for each in results["closed_form"]["held_out"]:
        rows.setdefault((names[each["trial"]], each["profile"]), []).append((units[each["objective"]], each))
    return rows


def compared_measures(results: Mapping[str, Any]) -> list[str]:
    """By what the closed form compares each objective, in the order of its values."""
    return [results["closed_form"]["compared"][each["id"]] for each in results["objectives"]]


def agreement_words(results: Mapping[str, Any]) -> list[str]:
    """How far the front that was found and that of the closed form agree, and worlds with arithmetic."""
    block = results["closed_form"]
    details = [each for each in block["held_out"] if each["inside"] is not None]
    inside = sum(each["inside"] for each in details)
    sentences = []
    if details:
        sentences.append(
            f"For {inside} of {counted(len(details), 'value')} measured in held-out worlds the computed one "
            f"lies in the {CONFIDENCE} "
            "interval."
        )
    front = len(block["front"])
    if not front:
        return [*sentences, f"Of {counted(block['grid'], 'setting')} computed, none fails no more than the {PRESENT}."]
    one = front == 1
    sentences.append(
        f"Of {counted(block['grid'], 'setting')} computed, {front:,} {'fails' if one else 'fail'} no more than "
        f"the {PRESENT} and "
        f"{'is' if one else 'are'} beaten by no other: {'it is' if one else 'they are'} the computed front."
    )
    return [*sentences, *_behind_words(block), *_gap_words(block)]


def _behind_words(block: Mapping[str, Any]) -> list[str]:
    """How far the found settings lie behind the computed front. Those that fail more than it does are counted apart."""
    found = len(block["found"])
    more = sum(each["fails_more"] for each in block["found"])
    rest = found - more
    if not found:
        return ["The search found no settings to compare with it."]
    message, all_found = [], "the one setting found" if found == 1 else f"the {found:,} settings found"
    if more:
        which = all_found if not rest else f"{more:,} of {all_found}"
        left_out = f", and {'is' if more == 1 else 'are'} left out of the next line" if rest else ""
        message.append(
            f"By the same arithmetic {which} {'fails' if more == 1 else 'fail'} more than the {PRESENT}{left_out}."
        )
    if not rest:
        return message
    if block["off_front"]:
        which = f"The other {'one' if rest == 1 else f'{rest:,}'}" if more else f"By the same arithmetic {all_found}"
        message.append(
            f"{which} {'lies' if rest == 1 else 'lie'} behind that front by at most {_times(block['off_front'])} the "
            f"{PRESENT}' value, in every objective at once."
        )
    else:
        which = f"the other {'one' if rest == 1 else f'{rest:,}'}" if more else all_found
        words = f"{which} is not" if rest == 1 else f"none of {which} is"
        message.append(f"By the same arithmetic {words} beaten by that front in every objective.")
    return message


def _gap_words(block: Mapping[str, Any]) -> list[str]:
    """How far the found settings are from covering the computed front: the additive epsilon indicator, in words."""
    if not block["found"]:
        return []
    if not block["uncovered"]:
        return ["To every point of the computed front there is a found one that is as good."]
    return [
        f"The largest gap from the computed front to the nearest found one is {_times(block['uncovered'])} the {PRESENT}' "
        "value, in the objective where it is widest; a longer search could narrow it."
    ]


def _times(share: float) -> str:
    """A multiple, to two significant digits and without an exponent."""
    if share < _TIMES_MIN:
        return f"less than {_TIMES_MIN:.4f} times"
    digits = max(0, 1 - math.floor(math.log10(float(f"{share:.1e}"))))
    return f"{float(f'{share:.1e}'):,.{digits}f} times"
