"""What a sweep found, in words and as a table for other programs: the terminal, the figures and the page read this.

A sweep has a verdict of each claim at each point. Which verdict was expected is not asked: a scenario expects them of
itself, and the points are other scenarios.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relaysim.reports.counters import nothing_matched_words
from relaysim.reports.summary import SYMBOLS, interval_words, observed_words, percent
from relaysim.sim.counted import counted

KIND = "sweep"


def varying(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The axes that take more than one value."""
    return [axis for axis in results["axes"] if len(axis["values"]) > 1]


def numeric(axis: Mapping[str, Any]) -> bool:
    """Whether every value of an axis is a number."""
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in axis["values"])


#: Where most paths begin; what follows says enough.
_HOMES = ("relay.settings.", "profile_overrides.", "workload.")


_ITEM = re.compile(r"(\w+)\[(\d+)\]")


def short_names(axes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What axes are called where there is little room: their paths without the beginning, unless two would be the same."""
    paths = [str(axis["path"]) for axis in axes]
    ends = list(paths)
    for home in _HOMES:
        ends = [end.removeprefix(home) for end in ends]
    if len(set(ends)) < len(ends):
        return [each.replace("_", " ") for each in paths]
    return [_plain(each) for each in ends]


def _plain(path: str) -> str:
    """A path as a reader says it: `messages[1].at_seconds` is "message 2 at seconds"."""
    words = [
        _ITEM.sub(lambda found: f"{found[1].removesuffix('s')} {int(found[2]) + 1}", each) for each in path.split(".")
    ]
    return " ".join(words).replace("_", " ")


def in_order(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The points along their axes: numbers from the least to the greatest, other values as they were given."""
    axes = [
        (axis["path"], sorted(axis["values"]) if numeric(axis) else list(axis["values"])) for axis in varying(results)
    ]
    return sorted(results["points"], key=lambda point: [values.index(point["values"][path]) for path, values in axes])


def value_words(value: Any) -> str:
    """A value of an axis."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def point_words(results: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    """A point by its values, as somebody would type them."""
    return ", ".join(f"{path}={value_words(value)}" for path, value in point["values"].items()) or results["scenario"]


def counts_of(point: Mapping[str, Any]) -> dict[str, int]:
    """What a point's worlds counted: every outcome, and the other counts that are not 0."""
    return {**point["outcomes"], **{name: count for name, count in point["counts"].items() if count}}


def claims_of(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Each claim as the first point that has it tells of it. A point may have a claim that others lack."""
    found: dict[str, Mapping[str, Any]] = {}
    for point in results["points"]:
        for claim in point["claims"]:
            found.setdefault(claim["id"], claim)
    return list(found.values())


def claim_at(point: Mapping[str, Any], identifier: str) -> Mapping[str, Any] | None:
    """A point's claim of that id."""
    return next((claim for claim in point["claims"] if claim["id"] == identifier), None)


def claim_words(claim: Mapping[str, Any]) -> str:
    """The verdict's symbol and what was observed."""
    observed = observed_words(claim) if claim["n"] else "never met"
    return f"{SYMBOLS[claim['verdict']]} {observed}"


def lead(results: Mapping[str, Any]) -> str:
    """What was run, in a sentence."""
    worlds = sum(point["replications"] for point in results["points"])
    over = ", ".join(f"{axis['path']} ({counted(len(axis['values']), 'value')})" for axis in varying(results))
    return f"{results['title']}. {counted(worlds, 'world')}{f' over {over}' if over else ''}, lane {results['lane']}."


def notes(results: Mapping[str, Any]) -> list[str]:
    """What must be known to read the table."""
    told = [*_nothing_matched(results)]
    unmet = [point for point in results["points"] if point["never_met"]]
    if not unmet:
        return told
    which = "; ".join(f"{point_words(results, point)}: {', '.join(point['never_met'])}" for point in unmet[:5])
    more = f"; and {counted(len(unmet) - 5, 'more point')}" if len(unmet) > 5 else ""
    return [*told, f"Faults that hit nothing, so that no claim is verified there: {which}{more}"]


def _nothing_matched(results: Mapping[str, Any]) -> Iterator[str]:
    """Counters with a claim that matched nothing, each with the number of points."""
    found: dict[tuple[str, str], int] = {}
    for point in results["points"]:
        for claim in point["claims"]:
            if "nothing_matched" in claim:
                key = claim["nothing_matched"], claim["title"]
                found[key] = found.get(key, 0) + 1
    for (pattern, title), points in found.items():
        where = f"at {points:,} of {counted(len(results['points']), 'point')}"
        yield f"“{title}”, {where}: {nothing_matched_words(pattern)}"


# For other programs

_QUANTILES = ("n", "mean", "p50", "p90", "p99", "max")


def results_csv(results: Mapping[str, Any]) -> str:
    """A line per point: its values, its claims, its counts, its durations, and what its worlds are known by."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(_lines(results))
    return text.getvalue()


def _lines(results: Mapping[str, Any]) -> Iterator[list[Any]]:
    paths = [axis["path"] for axis in results["axes"]]
    claims = [claim["id"] for claim in claims_of(results)]
    points = results["points"]
    counts = sorted({name for point in points for block in ("outcomes", "counts") for name in point[block]})
    series = sorted({name for point in points for name in point["latency"]})
    yield [
        *paths,
        "replications",
        *(f"{claim}.{column}" for claim in claims for column in ("verdict", "count", "n", "observed", "low", "high")),
        *counts,
        *(f"{name}.{column}" for name in series for column in _QUANTILES),
        "hash",
        "fingerprint",
    ]
    for point in points:
        details = {**point["counts"], **point["outcomes"]}
        yield [
            *(_cell(point["values"][path]) for path in paths),
            point["replications"],
            *(cell for claim in claims for cell in _claim_cells(claim_at(point, claim))),
            *(details.get(name, "") for name in counts),
            *(point["latency"].get(name, {}).get(column, "") for name in series for column in _QUANTILES),
            point["hash"],
            point["fingerprint"],
        ]


def _cell(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return json.dumps(value, ensure_ascii=False)
    return value


def _claim_cells(claim: Mapping[str, Any] | None) -> list[Any]:
    if claim is None:
        return [""] * 6
    observed = "" if claim["observed"] is None else claim["observed"]
    return [claim["verdict"], claim["count"], claim["n"], observed, *claim["interval"]]


def points_description(results: Mapping[str, Any], identifier: str) -> str:
    """A claim at all points, in a line for those who cannot see the figure."""
    details = []
    for point in results["points"]:
        claim = claim_at(point, identifier)
        if claim is not None and claim["n"]:
            words = f"{percent(claim['observed'])} ({interval_words(claim)}) {claim['verdict']}"
            details.append(f"{point_words(results, point)}: {words}")
    return "; ".join(details)
