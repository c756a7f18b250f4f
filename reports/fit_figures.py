"""The two figures of a fit: how conflicts ended against what is claimed, and the time to the freed thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relaysim.reports.drawing import BLUE, INK, ORANGE, QUIET, RULE, Drawing, bare, blank
from relaysim.reports.fit_words import CLAIMED, ending_words
from relaysim.reports.summary import interval_words, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ENDINGS_MAX = 8


def draw_fit(results: Mapping[str, Any]) -> dict[str, Drawing]:
    """Every figure that the results have data for, by name."""
    drawn = {"endings": endings(results), "freed": freed(results)}
    return {name: drawing for name, drawing in drawn.items() if drawing is not None}


def endings(results: Mapping[str, Any]) -> Drawing | None:
    """The share of each ending with its interval, and the claimed one beside it; None without conflicts."""
    rows = results["conflicts"]["endings"][:_ENDINGS_MAX]
    if not rows:
        return None

    def draw() -> Figure:
        figure = blank(0.56 * len(rows) + 0.1)
        for index, entry in enumerate(rows):
            axes = figure.add_axes((0.3, 1 - (index + 0.9) / len(rows), 0.4, 0.62 / len(rows)))
            _ending(axes, entry)
        return figure

    description = "; ".join(
        f"{ending_words(entry['ending'])}: {percent(entry['observed'])} ({interval_words(entry)})" for entry in rows
    )
    return Drawing("endings", "How conflicts ended", description, draw)


def _ending(axes: Axes, entry: Mapping[str, Any]) -> None:
    low, high = entry["interval"]
    claimed = CLAIMED.get(entry["ending"])
    shown = [low, high, entry["observed"], *([] if claimed is None else [claimed])]
    margin = max((max(shown) - min(shown)) * 0.15, 1e-4)
    axes.set_xlim(min(shown) - margin, max(shown) + margin)
    axes.set_ylim(-1, 1)
    axes.axhline(0, color=RULE, linewidth=0.8)
    axes.plot([low, high], [0, 0], color=BLUE, linewidth=2.6)
    axes.plot([entry["observed"]], [0], marker="o", markersize=6, color=BLUE)
    words = f"{percent(entry['observed'])} ({interval_words(entry)})"
    if claimed is not None:
        axes.plot([claimed], [0], marker="D", markersize=9, color=ORANGE, markerfacecolor="none", markeredgewidth=1.6)
    axes.text(-0.05, 0.5, ending_words(entry["ending"]), transform=axes.transAxes, va="center", ha="right", fontsize=9)
    axes.text(1.04, 0.62, words, transform=axes.transAxes, va="center", ha="left", fontsize=8.5)
    message = "nothing is claimed" if claimed is None else f"claimed {claimed * 100:g} %"
    axes.text(1.04, 0.12, message, transform=axes.transAxes, va="center", ha="left", fontsize=8, color=QUIET)
    bare(axes)
    axes.set_xticks([])
    axes.set_yticks([])


def freed(results: Mapping[str, Any]) -> Drawing | None:
    """The profile's distribution over the non-parametric estimate; None where there is neither."""
    steps, curve = results["turnbull"], results["curve"]
    if not steps:
        return None

    def draw() -> Figure:
        figure = blank(3.6)
        axes = figure.add_subplot()
        if curve:
            axes.plot([at for at, _ in curve], [share * 100 for _, share in curve], color=BLUE, linewidth=1.8)
            at, share = curve[len(curve) // 2]
            axes.annotate("profile.toml", (at, share * 100), xytext=(6, -12), textcoords="offset points", fontsize=8.5)
        xs = [at for at, _ in steps]
        ys = [share * 100 for _, share in steps]
        if len(steps) <= 12:
            axes.plot(xs, ys, linestyle="none", marker="s", markersize=6, color=ORANGE)
            axes.annotate(
                "as observed", (xs[0], ys[0]), xytext=(-8, 8), ha="right", textcoords="offset points", fontsize=8.5
            )
        else:
            axes.step([xs[0], *xs], [0.0, *ys], where="post", color=ORANGE, linewidth=1.4, linestyle="--")
            axes.annotate("without a model", (xs[0], 8), xytext=(6, 0), textcoords="offset points", fontsize=8.5)
        for seconds in results["retry_seconds"][: max(results["conflicts"]["attempts"] - 1, 1)]:
            axes.axvline(seconds, color=QUIET, linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_xlim(0.02, max(30.0, *(1.2 * each for each in xs)))
        ticks = (0.02, 0.1, 0.5, 2, 10, 30)
        axes.set_xticks(ticks, [f"{each:g}" for each in ticks])
        axes.minorticks_off()
        axes.set_ylim(0, 103)
        axes.set_xlabel("seconds since the cancel; dotted: when the retries come")
        axes.set_ylabel("threads that are free, %")
        axes.tick_params(labelcolor=INK)
        bare(axes, grid="both")
        return figure

    description = "; ".join(f"{percent(share)} free by {number(at)} s" for at, share in steps[:12])
    return Drawing("freed", "Time from a cancel to the freed thread", description, draw)
