"""The figures of a tuning: the trials and their front, and how the judged differ from the present settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reports.figures import BLUE, GREEN, INK, QUIET, RULE, VERMILLION, bare, blank, draw_svg
from reports.tune import CONFIDENCE, MARKS, SHORT, difference_words, interval_words, value_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {"better": GREEN, "worse": VERMILLION, "open": QUIET, "same": QUIET}


def draw_tuning(results: Mapping[str, Any]) -> dict[str, str]:
    """Every figure that the results have data for, by name."""
    drawn = {"front": front(results), "judged": judged(results), "importance": importance(results)}
    return {name: svg for name, svg in drawn.items() if svg is not None}


def _plotted(objective: Mapping[str, str], value: float) -> float:
    return value * 100 if objective["unit"] == "share" else value


def _label(objective: Mapping[str, str]) -> str:
    unit = {"share": "%", "s": "s"}.get(objective["unit"], "per conflict")
    return f"{SHORT[objective['id']]} ({unit})"


def front(results: Mapping[str, Any]) -> str | None:
    """The trials, two objectives at a time: those on the front ringed and joined by nothing, the judged numbered."""
    objectives = results["objectives"]
    pairs = [(x, y) for y in range(len(objectives)) for x in range(y)]
    if not pairs:
        return None
    present = results["present"]["search"]["values"]
    places = {each["trial"]: place for place, each in enumerate(results["judged"], 1)}

    def draw() -> Figure:
        figure = blank(3.4 if len(pairs) > 1 else 3.8)
        for at, (x, y) in enumerate(pairs):
            axes = figure.add_subplot(1, len(pairs), at + 1)
            _panel(axes, results, (x, y), present, places)
        figure.subplots_adjust(wspace=0.42)
        return figure

    told = "; ".join(
        f"candidate {place}: "
        + ", ".join(
            f"{SHORT[each['id']]} {value_words(each['unit'], value)}"
            for each, value in zip(objectives, results["trials"][trial]["values"], strict=True)
        )
        for trial, place in places.items()
    )
    return draw_svg("front", "Trials of the search and their front", told, draw)


def _panel(
    axes: Axes, results: Mapping[str, Any], pair: tuple[int, int], present: list[float], places: Mapping[int, int]
) -> None:
    x, y = pair
    objectives = results["objectives"]

    def at(values: list[float]) -> tuple[float, float]:
        return _plotted(objectives[x], values[x]), _plotted(objectives[y], values[y])

    here = at(present)
    # Far from the present settings there is nothing to choose from: those points are drawn at the edge.
    edges = [max(2.0 * value, value + 1e-6) for value in here]

    def inside(values: list[float]) -> tuple[float, float]:
        across, up = at(values)
        return min(across, edges[0]), min(up, edges[1])

    for trial in results["trials"]:
        point = inside(trial["values"])
        if not trial["feasible"]:
            axes.plot(*point, marker="x", color=VERMILLION, markersize=4.5, linestyle="none", alpha=0.8)
        elif trial["front"]:
            axes.plot(*point, marker="o", color=BLUE, markersize=5, linestyle="none")
        else:
            axes.plot(*point, marker="o", color=QUIET, markersize=3, linestyle="none", alpha=0.6)
    for trial_number, place in places.items():
        point = inside(results["trials"][trial_number]["values"])
        axes.annotate(
            str(place), point, xytext=(4, 3), textcoords="offset points", fontsize=8, fontweight="bold", color=INK
        )
    axes.plot(*here, marker="D", color=VERMILLION, markersize=6.5, linestyle="none")
    axes.annotate("present", here, xytext=(5, 5), textcoords="offset points", fontsize=8, color=INK)
    axes.axvline(here[0], color=RULE, linewidth=0.8, zorder=0)
    axes.axhline(here[1], color=RULE, linewidth=0.8, zorder=0)
    axes.set_xlabel(_label(objectives[x]), fontsize=8.5)
    axes.set_ylabel(_label(objectives[y]), fontsize=8.5)
    axes.tick_params(length=0, labelsize=8)
    axes.margins(0.08)


def judged(results: Mapping[str, Any]) -> str | None:
    """Each objective's difference from the present settings, under each profile, candidate by candidate."""
    rows = [
        (objective, profile, place, each["by_profile"][profile][objective["id"]])
        for objective in results["objectives"]
        for profile in results["profiles"]
        for place, each in enumerate(results["judged"], 1)
        if each["by_profile"][profile][objective["id"]]["difference"] is not None
    ]
    if not rows:
        return None

    def draw() -> Figure:
        panels = [(objective, profile) for objective in results["objectives"] for profile in results["profiles"]]
        columns = len(results["profiles"])
        lines = len(results["judged"])
        figure = blank((0.22 * lines + 0.75) * len(results["objectives"]))
        for at, (objective, profile) in enumerate(panels):
            axes = figure.add_subplot(len(results["objectives"]), columns, at + 1)
            for each, there, place, found in rows:
                if each is not objective or there != profile:
                    continue
                low, high = found["difference_interval"] or (found["difference"], found["difference"])
                colour = _COLOURS[found["verdict"]]
                ends = [_plotted(objective, low), _plotted(objective, high)]
                axes.plot(ends, [place, place], color=colour, linewidth=2.4)
                axes.plot([_plotted(objective, found["difference"])], [place], marker="o", color=colour, markersize=5)
                axes.annotate(
                    MARKS[found["verdict"]],
                    (1.0, place),
                    xycoords=("axes fraction", "data"),
                    xytext=(6, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8.5,
                    annotation_clip=False,
                )
            axes.axvline(0, color=QUIET, linewidth=1)
            axes.set_ylim(lines + 0.6, 0.4)
            axes.set_yticks(range(1, lines + 1), [str(place) for place in range(1, lines + 1)], fontsize=8)
            axes.set_title(f"{_difference_label(objective)}, {profile}", fontsize=9)
            bare(axes)
            axes.tick_params(labelsize=8)
        figure.subplots_adjust(hspace=0.75, wspace=0.3)
        return figure

    told = "; ".join(
        f"{SHORT[objective['id']]}, {profile}, candidate {place}: "
        f"{difference_words(objective['unit'], found['difference'])} "
        f"({interval_words(objective['unit'], found['difference_interval'], signed=True) or 'no interval'})"
        for objective, profile, place, found in rows
    )
    return draw_svg("judged", f"Differences from the present settings with {CONFIDENCE} intervals", told, draw)


def _difference_label(objective: Mapping[str, str]) -> str:
    unit = {"share": "points", "s": "s"}.get(objective["unit"], "per conflict")
    return f"{SHORT[objective['id']]} ({unit})"


def importance(results: Mapping[str, Any]) -> str | None:
    """How much each setting has to do with each objective; None where too few trials tell."""
    found = results["importance"]
    if not found:
        return None
    names = [each["name"] for each in results["parameters"]]
    objectives = [each["id"] for each in results["objectives"] if each["id"] in found]

    def draw() -> Figure:
        figure = blank(0.27 * len(names) + 0.5)
        for at, objective in enumerate(objectives):
            axes = figure.add_subplot(1, len(objectives), at + 1)
            shares = [found[objective].get(name, 0.0) for name in names]
            axes.barh(range(len(names)), shares, color=BLUE, height=0.6)
            for place, share in enumerate(shares):
                axes.annotate(
                    f"{share * 100:.0f} %",
                    (share, place),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    annotation_clip=False,
                )
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.set_xlim(0, 1)
            axes.set_yticks(range(len(names)), names if at == 0 else [""] * len(names), fontsize=8)
            axes.set_xticks([])
            axes.set_title(SHORT[objective], fontsize=9)
            bare(axes)
        return figure

    told = "; ".join(
        f"{SHORT[objective]}: " + ", ".join(f"{name} {share * 100:.0f} %" for name, share in found[objective].items())
        for objective in objectives
    )
    return draw_svg("importance", "How much each setting has to do with each objective", told, draw)
