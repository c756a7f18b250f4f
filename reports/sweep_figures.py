"""A sweep's figure: rates with their intervals over one quantity, or as heat maps over two."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relaysim.reports.answers.numbers import among_words
from relaysim.reports.claim_kinds import CLAIM_KINDS
from relaysim.reports.drawing import BLUE, QUIET, VERDICT_COLOURS, Drawing, bare, blank, label_of
from relaysim.reports.summary import SYMBOLS, limit_words, number
from relaysim.reports.sweep_words import claim_at, claims_of, numeric, points_description, short_names, varying

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More columns or rows than these cannot be read as a heat map; the table has the numbers.
COLUMNS_MAX, ROWS_MAX = 12, 24
_COLUMNS_BESIDE_MAX = 5


def draw_sweep(results: Mapping[str, Any]) -> dict[str, Drawing]:
    """Every figure that the results have data for, by name."""
    axes = varying(results)
    if not all(map(numeric, axes)):
        return {}
    drawn = {}
    if len(axes) == 1:
        drawn["rates"] = rates(results, axes[0])
    if len(axes) == 2:
        drawn["heat"] = heat(results, *axes)
    return {name: drawing for name, drawing in drawn.items() if drawing is not None}


def _drawn_claims(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The claims that have a rate: of `never`, that of the occurrences."""
    return [claim for claim in claims_of(results) if not CLAIM_KINDS[claim["kind"]].reads_series]


_PANEL_LETTERS = 46
"""So many letters stand above a panel of half the width."""


def _panel_title(claim: Mapping[str, Any]) -> str:
    return textwrap.fill(f"{label_of(claim)} ({limit_words(claim)})", _PANEL_LETTERS)


def rates(results: Mapping[str, Any], axis: Mapping[str, Any]) -> Drawing | None:
    """Each claim's rate over one quantity, with its intervals and its limit; a panel for each."""
    claims = [claim for claim in _drawn_claims(results) if _points_of(results, axis, claim["id"])]
    if not claims:
        return None
    (name,) = short_names([axis])

    def draw() -> Figure:
        columns = 1 if len(claims) == 1 else 2
        rows = math.ceil(len(claims) / columns)
        figure = blank(2.5 * rows)
        for index, claim in enumerate(claims):
            panel = figure.add_subplot(rows, columns, index + 1)
            _rate_panel(panel, claim, _points_of(results, axis, claim["id"]))
            if index + columns >= len(claims):
                panel.set_xlabel(name)
        figure.subplots_adjust(hspace=0.5, wspace=0.24)
        return figure

    description = " | ".join(f"{label_of(claim)}: {points_description(results, claim['id'])}" for claim in claims)
    return Drawing("rates", f"Rates with their intervals over {axis['path']}", description, draw)


def _points_of(
    results: Mapping[str, Any], axis: Mapping[str, Any], identifier: str
) -> list[tuple[float, Mapping[str, Any]]]:
    points = []
    for point in results["points"]:
        claim = claim_at(point, identifier)
        if claim is not None and claim["n"]:
            points.append((float(point["values"][axis["path"]]), claim))
    return sorted(points, key=lambda each: each[0])


def _rate_panel(axes: Axes, claim: Mapping[str, Any], points: Sequence[tuple[float, Mapping[str, Any]]]) -> None:
    # A claim of "never" has no room in which it holds.
    has_limits = CLAIM_KINDS[claim["kind"]].has_rate
    floor, ceiling = claim["limit"] if has_limits else (0.0, 0.0)
    edges = [edge for edge, open_end in ((floor, 0.0), (ceiling, 1.0)) if edge != open_end and has_limits]
    seen = [end for _, each in points for end in (*each["interval"], min(1.0, each["observed"]))]
    low, high = min([*seen, *edges]), max([*seen, *edges])
    margin = max((high - low) * 0.14, 1e-4)
    bottom, top = low - margin, high + margin
    if edges:
        axes.axhspan(max(floor, bottom) * 100, min(ceiling, top) * 100, color=BLUE, alpha=0.13, linewidth=0)
    for edge in edges:
        axes.axhline(edge * 100, color=BLUE, linewidth=0.9)
    axes.plot([x for x, _ in points], [_shown(each) for _, each in points], color=QUIET, linewidth=1)
    for x, each in points:
        colour = VERDICT_COLOURS[each["verdict"]]
        axes.plot([x, x], [end * 100 for end in each["interval"]], color=colour, linewidth=2.4)
        axes.annotate(
            SYMBOLS[each["verdict"]],
            (x, _shown(each)),
            ha="center",
            va="center",
            fontsize=9,
            bbox={"boxstyle": "circle,pad=0.12", "facecolor": colour, "edgecolor": "none", "alpha": 0.35},
        )
    axes.set_ylim(bottom * 100, top * 100)
    xs = [x for x, _ in points]
    spread = (max(xs) - min(xs)) or 1.0
    axes.set_xlim(min(xs) - 0.07 * spread, max(xs) + 0.07 * spread)
    if len(xs) <= 8:
        axes.set_xticks(xs, [number(x) for x in xs])
    axes.set_title(_panel_title(claim))
    axes.set_ylabel(f"of {among_words(claim['among'])}" if "among" in claim else "share")
    bare(axes, grid="y")
    ticks = [tick for tick in axes.get_yticks() if bottom * 100 <= tick <= top * 100 and -1e-9 <= tick <= 100 + 1e-9]
    axes.set_yticks(ticks, [f"{number(round(float(tick), 9))} %" for tick in ticks])


def _shown(claim: Mapping[str, Any]) -> float:
    return min(1.0, float(claim["observed"])) * 100


def heat(results: Mapping[str, Any], *axes: Mapping[str, Any]) -> Drawing | None:
    """Each claim's rate over two quantities: the number, the verdict's symbol, and a colour that grows with it."""
    across, up = sorted(axes, key=lambda axis: len(axis["values"]))[::-1]
    if len(across["values"]) > COLUMNS_MAX or len(up["values"]) > ROWS_MAX:
        return None
    claims = _drawn_claims(results)
    if not claims:
        return None
    names = dict(zip((across["path"], up["path"]), short_names([across, up]), strict=True))

    def draw() -> Figure:
        columns = 1 if len(claims) == 1 or len(across["values"]) > _COLUMNS_BESIDE_MAX else 2
        rows = math.ceil(len(claims) / columns)
        figure = blank((0.34 * len(up["values"]) + 0.95) * rows)
        for index, claim in enumerate(claims):
            panel = figure.add_subplot(rows, columns, index + 1)
            _heat_panel(panel, results, claim, across, up)
            if index % columns == 0:
                panel.set_ylabel(names[up["path"]])
            if index + columns >= len(claims):
                panel.set_xlabel(names[across["path"]])
        figure.subplots_adjust(hspace=0.62, wspace=0.2)
        return figure

    description = " | ".join(f"{label_of(claim)}: {points_description(results, claim['id'])}" for claim in claims)
    return Drawing("heat", f"Rates over {across['path']} and {up['path']}, in percent", description, draw)


def _heat_panel(
    axes: Axes,
    results: Mapping[str, Any],
    claim: Mapping[str, Any],
    across: Mapping[str, Any],
    up: Mapping[str, Any],
) -> None:
    from matplotlib.patches import Rectangle

    xs, ys = sorted(across["values"]), sorted(up["values"])
    cells = {}
    for point in results["points"]:
        found = claim_at(point, claim["id"])
        if found is not None and found["n"]:
            cells[point["values"][across["path"]], point["values"][up["path"]]] = found
    shares = [_shown(each) for each in cells.values()] or [0.0]
    low, span = min(shares), (max(shares) - min(shares)) or 1.0
    for (x, y), each in cells.items():
        left, top = xs.index(x), ys.index(y)
        depth = 0.07 + 0.38 * (_shown(each) - low) / span
        axes.add_patch(Rectangle((left + 0.03, top + 0.05), 0.94, 0.9, facecolor=BLUE, alpha=depth, linewidth=0))
        message = f"{SYMBOLS[each['verdict']]} {_shown(each):.{2 if 0 < _shown(each) < 1 else 1}f}"
        axes.text(left + 0.5, top + 0.5, message, ha="center", va="center", fontsize=8.5)
    bare(axes)
    axes.set_xlim(0, len(xs))
    axes.set_ylim(0, len(ys))
    axes.set_xticks([at + 0.5 for at in range(len(xs))], [number(value) for value in xs])
    axes.set_yticks([at + 0.5 for at in range(len(ys))], [number(value) for value in ys])
    axes.set_title(_panel_title(claim))
