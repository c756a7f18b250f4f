"""The results of a sweep: each point's counts, and its claims judged as `verify` judges them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relaysim.reports.claims import ALPHA
from relaysim.reports.results import SCHEMA
from relaysim.reports.statistics import rounded
from relaysim.reports.sweep_words import KIND
from relaysim.scenarios.runner import Lane
from relaysim.scenarios.sweep.points import Plan, Point
from relaysim.scenarios.sweep.sweep_worlds import Worlds
from relaysim.scenarios.verdicts import judged

#: What `verify` says of a claim and a sweep does not: verdicts are expected of the scenario as it is, not of every point.
_LEFT_OUT = frozenset({"expected", "as_expected", "reason"})
#: What is the same at every point stands once.
_ONCE = frozenset({"scenario", "title", "description", "mode", "settings", "variant", "virtual_seconds", "events"})


def measure(plan: Plan, worlds: Sequence[Worlds], *, code_version: str, lane: Lane | None) -> dict[str, Any]:
    """The content of `results.json`; `worlds` are those of each point, all run."""
    scenario = plan.scenario
    points = [_point(point, its) for point, its in zip(plan.points, worlds, strict=True)]
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "code_version": code_version,
        **scenario.identity(),
        "lane": lane or scenario.lane,
        "mode": scenario.mode,
        "factory": scenario.relay.factory,
        "settings": dict(scenario.origin.settings),
        "confidence": rounded(1 - ALPHA),
        "axes": [
            {"path": path, "values": _distinct([point.values[path] for point in plan.points])} for path in plan.paths
        ],
        "points": points,
    }


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Each value once, in the order in which they come; tables and lists have no hash."""
    found: list[Any] = []
    for value in values:
        # 1 and True are the same to Python, and not to a scenario.
        if not any(value == other and type(value) is type(other) for other in found):
            found.append(value)
    return [plain(value) for value in found]


def plain(value: Any) -> Any:
    """A value of TOML as JSON has it: dates and times as texts."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)


def _point(point: Point, worlds: Worlds) -> dict[str, Any]:
    scenario = point.scenario
    summary = worlds.summary
    lane: Any = worlds.key.lane
    entry = judged(scenario, summary, lane)
    claims = [{name: value for name, value in claim.items() if name not in _LEFT_OUT} for claim in entry["claims"]]
    kept = {name: value for name, value in entry.items() if name not in _ONCE}
    return {
        **kept,
        "values": {path: plain(value) for path, value in point.values.items()},
        "claims": claims,
        "never_met": summary.never_met,
        "replay": scenario.origin.replay_template(),
    }
