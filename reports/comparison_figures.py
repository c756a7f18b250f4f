"""The two figures of a comparison, drawn as all others are: how long customers wait, and how far policies lie apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relaysim.reports.compared_verdicts import mark
from relaysim.reports.comparison import (
    CONFIDENCE,
    MEASURES,
    Measure,
    difference_interval_words,
    difference_words,
    direction,
)
from relaysim.reports.drawing import BLUE, GREEN, INK, ORANGE, QUIET, SKY, VERMILLION, Drawing, bare, blank
from relaysim.reports.summary import number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colour and dashes of each policy in turn; the name stands beside its line.
_LINES = ((VERMILLION, "-"), (BLUE, "-"), (GREEN, "-"), (ORANGE, "--"), (SKY, "--"), (QUIET, ":"))
#: The lowest share of waiting customers that is drawn, in percent.
_FLOOR = 0.8


def draw_comparison(results: Mapping[str, Any]) -> dict[str, Drawing]:
    """Every figure that the results have data for, by name."""
    drawn = {"waiting": waiting(results), "differences": differences(results)}
    return {name: drawing for name, drawing in drawn.items() if drawing is not None}


def waiting(results: Mapping[str, Any]) -> Drawing | None:
    """The share of messages that still wait for a reply, over time; it ends at those that never get one."""
    lines = []
    for policy in results["policies"]:
        seconds = [float(each) for each in policy["curve"] if each is not None]
        points = [(wait, 100.0 - at) for at, wait in enumerate(seconds, 1) if math.isfinite(wait)]
        if points:
            lines.append((policy["policy"], points, policy["measures"]["lost"]["value"]))
    if not lines:
        return None
    longest = 1.05 * max(points[-1][0] for _, points, _ in lines)

    def draw() -> Figure:
        figure = blank(3.8)
        axes = figure.add_subplot()
        ends = []
        for (name, points, never), (colour, dashes) in zip(lines, _cycled(len(lines)), strict=True):
            xs = [0.0, *(wait for wait, _ in points)]
            ys = [100.0, *(share for _, share in points)]
            if never:
                xs, ys = [*xs, longest], [*ys, never * 100]
            # Below the floor there is nobody left to be drawn.
            axes.plot(xs, [max(share, _FLOOR) for share in ys], color=colour, linestyle=dashes, linewidth=1.8)
            ends.append((max(never * 100, _FLOOR), name, never))
        axes.set_yscale("log")
        axes.set_ylim(_FLOOR, 110)
        axes.set_xlim(0, longest)
        ticks = (100, 50, 20, 10, 5, 2, 1)
        axes.set_yticks(ticks, [f"{each} %" for each in ticks])
        axes.minorticks_off()
        for (_, name, never), at in zip(ends, _spread([end for end, _, _ in ends]), strict=True):
            label = f"{name}\n{percent(never)} never"
            axes.annotate(
                label,
                (longest, at),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                annotation_clip=False,
            )
        axes.set_xlabel("seconds since the message was sent")
        axes.set_ylabel("messages still without a reply")
        bare(axes, grid="y")
        return figure

    description = "; ".join(
        f"{name}: half have a reply after {number(round(_wait_of(points, 50), 1))} s, {percent(never)} never get one"
        for name, points, never in lines
    )
    return Drawing("waiting", "Messages still without a reply, over time", description, draw)


def _wait_of(points: Sequence[tuple[float, float]], share: float) -> float:
    return next((wait for wait, left in points if left <= share), points[-1][0])


def _cycled(count: int) -> list[tuple[str, str]]:
    return [_LINES[at % len(_LINES)] for at in range(count)]


def _spread(ends: Sequence[float]) -> list[float]:
    """Where on a logarithmic scale to write labels that would lie on each other."""
    apart = 1.42
    placed = dict.fromkeys(range(len(ends)), 0.0)
    last = 0.0
    for at in sorted(placed, key=lambda each: ends[each]):
        last = placed[at] = max(ends[at], last * apart)
    return list(placed.values())


def differences(results: Mapping[str, Any]) -> Drawing | None:
    """Each difference with its interval, a row with a scale of its own; None where no policy answers any message."""
    rows = [
        (measure, difference, difference["measures"][measure.id])
        for measure in MEASURES
        for difference in results["differences"]
        if difference["measures"][measure.id]["value"] is not None
    ]
    if not rows:
        return None

    def draw() -> Figure:
        figure = blank(0.46 * len(rows))
        for index, (measure, difference, found) in enumerate(rows):
            axes = figure.add_axes((0.42, 1 - (index + 0.85) / len(rows), 0.32, 0.6 / len(rows)))
            first = index == 0 or rows[index - 1][0] is not measure
            _row(axes, measure, difference["policy"], found, first=first)
        return figure

    description = "; ".join(
        f"{measure.title}, {difference['policy']} against {difference['against']}: {difference_words(measure, found)} "
        f"({difference_interval_words(measure, found) or 'no interval'})"
        for measure, difference, found in rows
    )
    title = f"Differences from {results['against']} with {CONFIDENCE} intervals"
    return Drawing("differences", title, description, draw)


def _row(axes: Axes, measure: Measure, policy: str, found: Mapping[str, Any], *, first: bool) -> None:
    value = float(found["value"])
    low, high = (float(end) for end in found["interval"] or (value, value))
    finite = [each for each in (0.0, value, low, high) if math.isfinite(each)]
    margin = max((max(finite) - min(finite)) * 0.16, 1e-6)
    left, right = min(finite) - margin, max(finite) + margin
    colour = BLUE if direction(found) in ("less", "more") else QUIET
    axes.set_xlim(left, right)
    axes.set_ylim(-1, 1)
    axes.axvline(0, color=QUIET, linewidth=1)
    # An infinite end runs to the edge of the row, and the arrow says that it goes on.
    axes.plot([max(low, left), min(high, right)], [0, 0], color=colour, linewidth=2.6)
    for end, edge, marker in ((low, left, "<"), (high, right, ">")):
        if not math.isfinite(end):
            axes.plot([edge], [0], marker=marker, color=colour, markersize=6, clip_on=False)
    if math.isfinite(value):
        axes.plot([value], [0], marker="o", color=colour, markersize=6)
    bare(axes)
    axes.set_yticks([])
    axes.set_xticks([])
    if first:
        axes.text(-1.28, 0.5, measure.title, transform=axes.transAxes, va="bottom", ha="left", fontsize=8.5)
    axes.text(-1.28, 0.42, policy, transform=axes.transAxes, va="top", ha="left", color=QUIET, fontsize=8)
    words = f"{difference_words(measure, found)} {mark(measure, found)}"
    axes.text(1.04, 0.5, words, transform=axes.transAxes, va="bottom", ha="left", color=INK, fontsize=8.5)
    interval = difference_interval_words(measure, found)
    axes.text(1.04, 0.42, interval, transform=axes.transAxes, va="top", ha="left", color=QUIET, fontsize=8)
