"""Where, of all points of a sweep, the claims hold, and where fewest messages fail.

Its statuses: `all hold somewhere`, `none holds all`, `nothing judged`. The best point is one at which every claim holds, if
there is one, and of these the one with fewest messages failed, then most claims verified, then fewest refuted; of equal
ones the first. A point that lets a claim hold, and more messages fail, is nothing to take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from relaysim.reports.answers.answer import Answer, Figure, Group, Line, Table
from relaysim.reports.answers.numbers import share_words
from relaysim.reports.summary import SYMBOLS, percent
from relaysim.reports.sweep_words import (
    claim_at,
    claim_words,
    claims_of,
    in_order,
    notes,
    point_words,
    short_names,
    value_words,
    varying,
)
from relaysim.sim.counted import counted

_CLAIMS_MAX: Final = 3
"""More claims have no columns of their own."""

_LINES_MAX: Final = 8
"""Points that a first screen has room for."""

_VERDICTS: Final = ("verified", "refuted", "inconclusive")


def answer_of_sweep(results: Mapping[str, Any]) -> Answer:
    """The answer; a pure function of the results."""
    points = results["points"]
    claims = claims_of(results)
    best, worst = best_and_worst(points)
    verdicts = _verdicts(best)
    whole = [point for point in points if point["claims"] and _verdicts(point)["verified"] == len(point["claims"])]
    number = counted(len(points), "point")
    shares = {_failed_share(point) for point in points if _messages(point)}
    if not claims:
        status, title = (
            "nothing judged",
            f"No claim was judged at {number}; fewest messages fail at {_name(results, best)}",
        )
    elif whole:
        status = "all hold somewhere"
        title = f"{_all(len(best['claims']))} at {len(whole)} of {number}; best {_name(results, best)}"
    else:
        status = "none holds all"
        title = f"No point of {len(points):,} keeps every claim"
        if len(shares) == 1:
            title += f"; at each {percent(shares.pop())} of messages fail"
        elif shares:
            title += f"; fewest messages fail at {_name(results, best)}: {percent(_failed_share(best))}"
        title += f"; {verdicts['refuted']} of {counted(len(best['claims']), 'claim')} refuted there"
    if _messages(best) and status != "none holds all":
        title += f"; {percent(_failed_share(best))} of messages fail there"
    return Answer(
        status=status,
        tone="good" if whole else "open" if not claims else "bad",
        title=title,
        found=_found(results, best, worst),
        advice=[
            _advice(results, best, status),
            *([_worst_words(points, worst)] if _messages(worst) else []),
        ],
        commands=[str(worst["replay"]).replace("{seed}", "0")] if _messages(worst) else [],
        figures=[_figure(results, point) for point in points if _messages(point)],
        table=_table(results, best),
        notes=[f"! {note}" for note in notes(results)],
    )


def best_and_worst(points: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The point that is best in the sense of this module, and the one where most messages fail."""
    return min(points, key=_order), max(points, key=_failed_share)


def _advice(results: Mapping[str, Any], best: Mapping[str, Any], status: str) -> str:
    """What to do about the choice of a point: none is recommended at which a claim is refuted."""
    if status != "none holds all":
        return f"If the choice is yours, take {_name(results, best)}; else see where production lies, on the page's figures."
    if _verdicts(best)["refuted"]:
        return "Take none of these points: at each, claims are refuted or open. Vary something else, or mend the relay."
    return f"Decide what is open at {_name(results, best)}, where nothing is refuted, with more --replications."


def _worst_words(points: Sequence[Mapping[str, Any]], worst: Mapping[str, Any]) -> str:
    """What the line below the advice shows: no point is called the worst that is like another one."""
    shares = [_failed_share(each) for each in points if _messages(each)]
    if len(shares) > 1 and len(set(shares)) == 1:
        return "No difference between points in how many messages fail; the first world of the first one:"
    if shares.count(_failed_share(worst)) > 1:
        return "The first of the points where most messages fail, in its first world:"
    return "The point where most messages fail, in its first world:"


def _all(claims: int) -> str:
    return "The claim holds" if claims == 1 else f"All {claims} claims hold"


def _name(results: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    """A point by the short names of what varies."""
    axes = varying(results)
    if not axes:
        return point_words(results, point)
    pairs = zip(short_names(axes), axes, strict=True)
    return ", ".join(f"{name} {value_words(point['values'][axis['path']])}" for name, axis in pairs)


def _verdicts(point: Mapping[str, Any]) -> Counter[str]:
    return Counter(dict.fromkeys(_VERDICTS, 0)) + Counter(claim["verdict"] for claim in point["claims"])


def _messages(point: Mapping[str, Any]) -> int:
    return int(point["outcomes"].get("messages", 0)) if "failed" in point["outcomes"] else 0


def _failed_share(point: Mapping[str, Any]) -> float:
    return float(point["outcomes"]["failed"]) / _messages(point) if _messages(point) else 0.0


def _order(point: Mapping[str, Any]) -> tuple[bool, float, int, int]:
    verdicts = _verdicts(point)
    holds = bool(point["claims"]) and verdicts["verified"] == len(point["claims"])
    return not holds, _failed_share(point), -verdicts["verified"], verdicts["refuted"]


def _found(results: Mapping[str, Any], best: Mapping[str, Any], worst: Mapping[str, Any]) -> list[str]:
    sentences = []
    if _messages(best) and best is not worst:
        parts = [
            f"{share_words(point['outcomes']['failed'], _messages(point))} at {_name(results, point)}"
            for point in (best, worst)
        ]
        sentences.append(
            f"Failed, of all messages: {parts[0]}{_ties(results, best)}, up to {parts[1]}{_ties(results, worst)}."
        )
    elif _messages(best):
        sentences.append(f"Failed, of all messages: {share_words(best['outcomes']['failed'], _messages(best))}.")
    for number, claim in enumerate(claims_of(results)[:_CLAIMS_MAX], 1):
        at = Counter(found["verdict"] for point in results["points"] if (found := claim_at(point, claim["id"])))
        told = [f"{each} at {at[each]:,}" for each in _VERDICTS if at[each]]
        told[0] += f" of {counted(at.total(), 'point')}"
        sentences.append(f"Claim {number}, “{claim['title']}”: {', '.join(told)}.")
    return sentences


def _ties(results: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    """That other points have the same share of failed messages, so that none of them is the best or the worst."""
    same = [each for each in results["points"] if _messages(each) and _failed_share(each) == _failed_share(point)]
    return f" and {counted(len(same) - 1, 'more point')} alike" if len(same) > 1 else ""


def _figure(results: Mapping[str, Any], point: Mapping[str, Any]) -> Figure:
    return Figure(
        what="messages that ended in an apology or without any answer",
        who=str(point["factory"]),
        where=point_words(results, point),
        count=point["outcomes"]["failed"],
        among=_messages(point),
        value=_failed_share(point),
    )


def _table(results: Mapping[str, Any], best: Mapping[str, Any]) -> Table:
    """A line for each point, along the axes; before more than fit on a screen stands the best."""
    claims = claims_of(results)
    apart = claims if len(claims) <= _CLAIMS_MAX else []
    heads = (
        ", ".join(short_names(varying(results))) or "scenario",
        "of all failed",
        *(f"claim {number}" for number, _ in enumerate(apart, 1)),
    )
    if claims and not apart:
        heads = (*heads, f"{SYMBOLS['verified']} / {SYMBOLS['refuted']} / {SYMBOLS['inconclusive']} claims")
    lines = []
    ordered = in_order(results)
    if many := len(ordered) > _LINES_MAX:
        ordered.insert(0, best)
    for point in ordered:
        axes = varying(results)
        name = ", ".join(value_words(point["values"][axis["path"]]) for axis in axes) or results["scenario"]
        failed = percent(_failed_share(point)) if _messages(point) else ""
        cells = [name, f"{failed} of {_messages(point):,}" if failed else ""]
        cells += ["" if (found := claim_at(point, claim["id"])) is None else claim_words(found) for claim in apart]
        if claims and not apart:
            verdicts = _verdicts(point)
            cells.append(" / ".join(str(verdicts[each]) for each in _VERDICTS))
        lines.append(Line(tuple(cells)))
    if many:
        return Table((Group("The best", tuple(lines[:1])), Group("All, in order", tuple(lines[1:]))), heads)
    return Table((Group("", tuple(lines)),), heads)
