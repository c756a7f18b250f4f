"""The figures of a tuning: the trials and their front, and how the judged differ from the present settings."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relaysim.reports.drawing import BLUE, GREEN, INK, QUIET, RULE, VERMILLION, Drawing, bare, blank
from relaysim.reports.tune_words import (
    CONFIDENCE,
    MARKS,
    SHORT,
    compared_measures,
    difference_words,
    interval_words,
    measures,
    value_words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]
Box = tuple[float, float, float, float]

#: So many letters of a title stand above half of a figure; how high, in inches, each line is that it has more.
_TITLE_LETTERS = 46
_TITLE_LINE = 0.16
_COLOURS = {"better": GREEN, "worse": VERMILLION, "open": QUIET, "same": QUIET, "unknown": QUIET}


def draw_tuning(results: Mapping[str, Any]) -> dict[str, Drawing]:
    """Every figure that the results have data for, by name."""
    drawn = {
        "front": front(results),
        "judged": judged(results),
        "closed_form": closed_form(results),
        "importance": importance(results),
    }
    return {name: drawing for name, drawing in drawn.items() if drawing is not None}


def _plotted(objective: Mapping[str, str], value: float) -> float:
    return value * 100 if objective["unit"] == "share" else value


def _label(objective: Mapping[str, str]) -> str:
    unit = {"share": "%", "s": "s"}.get(objective["unit"], "per conflict")
    return f"{SHORT[objective['id']]} ({unit})"


def front(results: Mapping[str, Any]) -> Drawing | None:
    """The trials, two objectives at a time: those on the front ringed and joined by nothing, the judged numbered."""
    objectives = results["objectives"]
    pairs = [(x, y) for y in range(len(objectives)) for x in range(y)]
    if not pairs:
        return None
    present = results["present"]["search"]["values"]
    places = {each["trial"]: place for place, each in enumerate(results["judged"], 1)}

    def draw() -> Figure:
        figure = blank(3.4 if len(pairs) > 1 else 3.8)
        figure.subplots_adjust(wspace=0.42)  # before anything is placed by where it comes to lie
        for at, (x, y) in enumerate(pairs):
            axes = figure.add_subplot(1, len(pairs), at + 1)
            _panel(axes, results, (x, y), present, places)
        return figure

    description = "; ".join(
        f"candidate {place}: "
        + ", ".join(
            f"{SHORT[each['id']]} {value_words(each['unit'], value)}"
            for each, value in zip(objectives, results["trials"][trial]["values"], strict=True)
        )
        for trial, place in places.items()
    )
    return Drawing("front", "Trials of the search and their front", description, draw)


def _panel(
    axes: Axes, results: Mapping[str, Any], pair: tuple[int, int], present: list[float], places: Mapping[int, int]
) -> None:
    x, y = pair
    objectives = results["objectives"]

    def at(values: list[float]) -> tuple[float, float]:
        return _plotted(objectives[x], values[x]), _plotted(objectives[y], values[y])

    here = at(present)
    points = [at(trial["values"]) for trial in results["trials"]]
    limits = shown_range(
        here,
        [points[trial] for trial in places],
        [point for point, trial in zip(points, results["trials"], strict=True) if trial["front"]],
    )
    outside = 0
    for trial, point in zip(results["trials"], points, strict=True):
        if not all(low <= value <= high for value, (low, high) in zip(point, limits, strict=True)):
            outside += 1
        elif not trial["feasible"]:
            axes.plot(*point, marker="x", color=VERMILLION, markersize=4.5, linestyle="none", alpha=0.8)
        elif trial["front"]:
            axes.plot(*point, marker="o", color=BLUE, markersize=5, linestyle="none")
        else:
            axes.plot(*point, marker="o", color=QUIET, markersize=3, linestyle="none", alpha=0.6)
    axes.plot(*here, marker="D", color=VERMILLION, markersize=6.5, linestyle="none")
    axes.axvline(here[0], color=RULE, linewidth=0.8, zorder=0)
    axes.axhline(here[1], color=RULE, linewidth=0.8, zorder=0)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    if outside:
        axes.set_title(f"{outside} of {len(points)} trials lie outside", fontsize=8, color=QUIET)
    _label_points(axes, [("present", here), *((str(place), points[trial]) for trial, place in places.items())])
    axes.set_xlabel(_label(objectives[x]), fontsize=8.5)
    axes.set_ylabel(_label(objectives[y]), fontsize=8.5)
    axes.tick_params(length=0, labelsize=8)


def shown_range(
    present: Point, judged: Sequence[Point], front: Sequence[Point]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The limits of both axes: all that was judged, the present settings, and of the front what is no farther from those
    than they lie apart, or than half of the present value. What is worse than that is nothing to choose from."""
    limits = []
    for across in (0, 1):
        kept = [present[across], *(point[across] for point in judged)]
        low, high = min(kept), max(kept)
        reach = max(high - low, 0.5 * abs(present[across]))
        near = [point[across] for point in front if low - reach <= point[across] <= high + reach]
        low, high = min([low, *near]), max([high, *near])
        margin = 0.12 * (high - low) or 0.5 * abs(present[across]) or 0.5
        limits.append((low - margin, high + margin))
    return limits[0], limits[1]


#: Of a label in points: how high it is, how wide each of its letters, and how far from its point it may be set. Its lower
#: left corner is first tried close by, in all directions, and then farther off with a line to the point.
_LABEL_HEIGHT, _LETTER_WIDTH = 8.5, 5.2
_DISTANCES = (5.0, 13.0, 22.0, 31.0)
_DIRECTIONS = tuple(
    (math.cos(turn * math.pi / 6), math.sin(turn * math.pi / 6)) for turn in (1, 11, 5, 7, 3, 9, 0, 6, 2, 4, 8, 10)
)


def _label_points(axes: Axes, labels: Sequence[tuple[str, Point]]) -> None:
    """Write a label beside each point, where it covers no point and no other label."""
    scale = 72 / axes.figure.dpi  # from pixels to points
    spots = [tuple(axes.transData.transform(point) * scale) for _, point in labels]
    frame = axes.get_window_extent()
    room = (frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
    boxes = place_labels([(text, spot) for (text, _), spot in zip(labels, spots, strict=True)], room)
    for (text, point), spot, box in zip(labels, spots, boxes, strict=True):
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        far = math.dist(middle, spot) > 2 * _DISTANCES[0] + _LETTER_WIDTH * len(text) / 2
        axes.annotate(
            text,
            point,
            xytext=(middle[0] - spot[0], middle[1] - spot[1]),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8,
            fontweight="normal" if text == "present" else "bold",
            color=INK,
            arrowprops={"arrowstyle": "-", "color": QUIET, "linewidth": 0.6, "shrinkA": 3, "shrinkB": 2}
            if far
            else None,
        )


def place_labels(labels: Sequence[tuple[str, Point]], room: Box) -> list[Box]:
    """A box for each label, in points, inside the room: the nearest to its point that covers no point and no earlier box;
    where there is none, the one that covers least."""
    taken = [(x - 4.0, y - 4.0, x + 4.0, y + 4.0) for _, (x, y) in labels]
    placed: list[Box] = []
    for text, (x, y) in labels:
        wide, high = _LETTER_WIDTH * len(text), _LABEL_HEIGHT
        tried: list[Box] = []
        for distance in _DISTANCES:
            for right, up in _DIRECTIONS:
                middle = (x + right * (distance + wide / 2), y + up * (distance + high / 2))
                box = (middle[0] - wide / 2, middle[1] - high / 2, middle[0] + wide / 2, middle[1] + high / 2)
                if room[0] <= box[0] and room[1] <= box[1] and box[2] <= room[2] and box[3] <= room[3]:
                    tried.append(box)
        placed.append(min(tried, key=lambda box: math.fsum(_common(box, each) for each in [*taken, *placed])))
    return placed


def _common(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, up)


def judged(results: Mapping[str, Any]) -> Drawing | None:
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
        titles = [_panel_title(objective, profile) for objective, profile in panels]
        row, more = 0.22 * lines + 0.75, _TITLE_LINE * max(title.count("\n") for title in titles)
        figure = blank((row + more) * len(results["objectives"]))
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
            axes.set_title(titles[at], fontsize=9)
            bare(axes)
            axes.tick_params(labelsize=8)
        figure.subplots_adjust(hspace=0.75 + more * 1.75 / row, wspace=0.3)  # in heights of a panel
        return figure

    description = "; ".join(
        f"{SHORT[objective['id']]}, {profile}, candidate {place}: "
        f"{difference_words(objective['unit'], found['difference'])} "
        f"({interval_words(objective['unit'], found['difference_interval'], signed=True) or 'no interval'})"
        for objective, profile, place, found in rows
    )
    return Drawing("judged", f"Differences from the present settings with {CONFIDENCE} intervals", description, draw)


def _panel_title(objective: Mapping[str, str], profile: str) -> str:
    """On one line, or where the profile is called by a long path, on as many as it needs."""
    title = f"{_difference_label(objective)}, {profile}"
    if len(title) > _TITLE_LETTERS:
        title = f"{_difference_label(objective)},\n" + "\n".join(textwrap.wrap(profile, _TITLE_LETTERS))
    return title


def _difference_label(objective: Mapping[str, str]) -> str:
    unit = {"share": "points", "s": "s"}.get(objective["unit"], "per conflict")
    return f"{SHORT[objective['id']]} ({unit})"


def closed_form(results: Mapping[str, Any]) -> Drawing | None:
    """The front by the closed form, and the found one beside it: as its worlds had it, joined to what is computed of the
    same settings. None without a closed form, or with a single objective."""
    block = results["closed_form"]
    if block is None or len(block["compared"]) < 2:
        return None
    known = {each["id"]: each for each in measures(results)}
    compared = [known[each] for each in compared_measures(results)]
    trials = {trial["number"]: trial for trial in results["trials"]}
    found = [(each["values"], _compared_values(results, trials[each["number"]])) for each in block["found"]]
    pairs = [(x, y) for y in range(len(compared)) for x in range(y)]

    def draw() -> Figure:
        figure = blank(3.4 if len(pairs) > 1 else 3.8)
        figure.subplots_adjust(wspace=0.42)
        for place, (x, y) in enumerate(pairs):
            axes = figure.add_subplot(1, len(pairs), place + 1)

            def at(values: Sequence[float], x: int = x, y: int = y) -> Point:
                return _plotted(compared[x], values[x]), _plotted(compared[y], values[y])

            best = [at(each["values"]) for each in block["front"]]
            axes.plot(*zip(*best, strict=True), marker="o", color=QUIET, markersize=2, linestyle="none")
            for expected, seen in ((at(one), at(other)) for one, other in found):
                axes.plot(*zip(expected, seen, strict=True), color=BLUE, linewidth=0.9)
                axes.plot(*expected, marker="o", color=BLUE, markersize=6, linestyle="none", fillstyle="none")
                axes.plot(*seen, marker="o", color=BLUE, markersize=3.4, linestyle="none")
            axes.plot(*at(block["present"]), marker="D", color=VERMILLION, markersize=6, linestyle="none")
            axes.set_xlabel(_label(compared[x]), fontsize=8.5)
            axes.set_ylabel(_label(compared[y]), fontsize=8.5)
            axes.tick_params(length=0, labelsize=8)
        return figure

    description = "; ".join(
        f"trial {each['number'] + 1}: "
        + ", ".join(
            f"{SHORT[one['id']]} computed {value_words(one['unit'], value)}, measured {value_words(one['unit'], measured)}"
            for one, value, measured in zip(compared, expected, seen, strict=True)
        )
        for each, (expected, seen) in zip(block["found"], found, strict=True)
    )
    return Drawing("closed_form", "The front by arithmetic and the front that was found", description, draw)


def _compared_values(results: Mapping[str, Any], trial: Mapping[str, Any]) -> list[float]:
    """What a trial's worlds showed, averaged over the profiles, of what the closed form computes."""
    beside = [each["id"] for each in results["beside"]]
    found = dict(zip([each["id"] for each in results["objectives"]], trial["values"], strict=True))
    values = []
    for compared in compared_measures(results):
        if compared in found:
            values.append(found[compared])
        else:
            shares = [each[beside.index(compared)] for each in trial["beside"].values()]
            values.append(sum(shares) / len(shares))
    return values


def importance(results: Mapping[str, Any]) -> Drawing | None:
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

    description = "; ".join(
        f"{SHORT[objective]}: "
        + ", ".join(f"{name} {found[objective][name] * 100:.0f} %" for name in names if name in found[objective])
        for objective in objectives
    )
    return Drawing("importance", "How much each setting has to do with each objective", description, draw)
