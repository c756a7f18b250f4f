"""The figures of judged scenarios; those of other commands' results have files of their own.

Longer than 400 lines because these figures share their scales, marks and captions.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaysim.reports.claim_kinds import CLAIM_KINDS
from relaysim.reports.drawing import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    QUIET,
    SKY,
    VERDICT_COLOURS,
    VERMILLION,
    Drawing,
    bare,
    blank,
    label_of,
    standalone,
)
from relaysim.reports.results import claims_of, write_text
from relaysim.reports.summary import (
    INCIDENT_CLAIMS,
    SYMBOLS,
    decided_words,
    interval_words,
    limit_words,
    number,
    percent,
    variant_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def forest(results: Mapping[str, Any]) -> Drawing | None:
    """Every rate with its interval against its limit, one row each with a scale of its own; None without rates."""
    rates = [
        (scenario, claim)
        for scenario, claim in claims_of(results)
        if CLAIM_KINDS[claim["kind"]].has_rate and claim["n"]
    ]
    if not rates:
        return None
    ids = list(dict.fromkeys(claim["id"] for _, claim in rates))
    rates.sort(key=lambda each: ids.index(each[1]["id"]))
    # A long name begins farther to the left of its row; the picture is cut to what is drawn.
    left_edge = -max(0.74, _LETTER_OF_ROW * max(len(label_of(claim)) for _, claim in rates))

    def draw() -> Figure:
        row = 0.52
        figure = blank(row * len(rates))
        for index, (scenario, claim) in enumerate(rates):
            axes = figure.add_axes((0.30, 1 - (index + 0.80) / len(rates), 0.40, 0.50 / len(rates)))
            first = index == 0 or rates[index - 1][1]["id"] != claim["id"]
            _forest_row(axes, scenario, claim, left_edge, first=first)
        return figure

    description = "; ".join(
        f"{label_of(claim)} in {scenario['scenario']}: {percent(claim['observed'])} ({interval_words(claim)}), "
        f"limit {limit_words(claim)}, {claim['verdict']}"
        for scenario, claim in rates
    )
    return Drawing("forest", "Observed rates with their intervals against their limits", description, draw)


_LETTER_OF_ROW = 0.0295
"""A letter of a claim's name, in widths of its row's scale."""


def _forest_row(
    axes: Axes, scenario: Mapping[str, Any], claim: Mapping[str, Any], left_edge: float, *, first: bool
) -> None:
    low, high = claim["interval"]
    floor, ceiling = claim["limit"]
    # An open side of a limit is no edge: the band runs out of the picture there.
    edges = [edge for edge, open_end in ((floor, 0.0), (ceiling, 1.0)) if edge != open_end]
    shown = [low, high, claim["observed"], *edges]
    margin = max((max(shown) - min(shown)) * 0.16, 1e-5)
    left, right = max(min(shown) - margin, -0.2 * margin), min(max(shown) + margin, 1 + 0.2 * margin)
    colour = VERDICT_COLOURS[claim["verdict"]]
    axes.set_xlim(left, right)
    axes.set_ylim(-1, 1)
    axes.axvspan(max(floor, left), min(ceiling, right), color=BLUE, alpha=0.16, linewidth=0)
    for edge in edges:
        axes.axvline(edge, color=BLUE, linewidth=1)
    axes.plot([low, high], [0, 0], color=colour, linewidth=2.6)
    axes.plot([claim["observed"]], [0], marker="o", color=colour, markersize=6.5)
    bare(axes)
    axes.set_yticks([])
    axes.set_xticks(edges, [f"{number(edge * 100)} %" for edge in edges], fontsize=8)
    axes.tick_params(axis="x", pad=1)
    variant = variant_of(scenario)
    where = str(scenario["scenario"]) + (f", {variant}" if variant and variant not in str(scenario["scenario"]) else "")
    if first:
        axes.text(left_edge, 0.5, label_of(claim), transform=axes.transAxes, va="bottom", ha="left", fontweight="bold")
    axes.text(left_edge, 0.35, where, transform=axes.transAxes, va="top", ha="left", color=QUIET, fontsize=8.5)
    message = f"{SYMBOLS[claim['verdict']]} {claim['verdict']}"
    axes.text(1.04, 0.5, message, transform=axes.transAxes, va="bottom", ha="left", fontweight="bold")
    numbers = f"{percent(claim['observed'])}  ({interval_words(claim)})"
    axes.text(1.04, 0.35, numbers, transform=axes.transAxes, va="top", ha="left", color=QUIET, fontsize=8.5)


_PANEL_LETTERS = 42
"""So many letters of a name stand above a panel of half the width."""
_TITLE_LINE = 0.16
"""How high, in inches, each line is that a name has more."""


def region_map(scenario: Mapping[str, Any]) -> Drawing | None:
    """Where the claims hold: a verdict per cell, as symbol and colour, with the rate observed; one panel per claim.

    `cells` is a list of rows, one per value of `y`, each with one cell per value of `x`. None without a map.
    """
    block = scenario.get("map")
    if not block:
        return None
    x, y, cells = block["x"], block["y"], block["cells"]
    judged = {identifier for row in cells for cell in row for identifier in cell["verdicts"]}
    labels = {claim["id"]: label_of(claim) for claim in scenario["claims"]}
    ids = [each for each in (*INCIDENT_CLAIMS, *labels, *sorted(judged)) if each in judged]
    ids = list(dict.fromkeys(ids))
    columns = 1 if len(x["values"]) > 8 else 2
    rows = math.ceil(len(ids) / columns)

    def draw() -> Figure:
        lines = max(len(textwrap.wrap(labels.get(identifier, identifier), _PANEL_LETTERS)) for identifier in ids)
        panel, more = 0.36 * len(y["values"]) + 0.85, _TITLE_LINE * (lines - 1)
        figure = blank((panel + more) * rows)
        for index, identifier in enumerate(ids):
            axes = figure.add_subplot(rows, columns, index + 1)
            _map_panel(axes, identifier, labels.get(identifier, identifier), block)
            if index % columns:
                axes.set_ylabel("")
            if index + columns < len(ids):
                axes.set_xlabel("")
        figure.subplots_adjust(hspace=0.62 + more * 1.75 / panel, wspace=0.18)  # in heights of a panel
        return figure

    flat = [cell["verdicts"] for row in cells for cell in row]
    counts = {name: [sum(each.get(name) == verdict for each in flat) for verdict in VERDICT_COLOURS] for name in ids}
    description = "; ".join(
        f"{labels.get(identifier, identifier)}: verified in {some[0]} cells, refuted in {some[1]}, inconclusive in {some[2]}"
        for identifier, some in counts.items()
    )
    name = f"map-{slug(scenario['scenario'])}"
    return Drawing(name, f"Where the claims hold, over {x['name']} and {y['name']}", description, draw)


def _map_panel(axes: Axes, identifier: str, label: str, block: Mapping[str, Any]) -> None:
    from matplotlib.patches import Rectangle

    x, y, cells = block["x"], block["y"], block["cells"]
    for top, row in enumerate(cells):
        for left, cell in enumerate(row):
            verdict = cell["verdicts"].get(identifier)
            if verdict is None:
                continue
            colour = VERDICT_COLOURS[verdict]
            axes.add_patch(Rectangle((left + 0.03, top + 0.05), 0.94, 0.9, facecolor=colour, alpha=0.26, linewidth=0))
            observed = cell.get("observed", {}).get(identifier)
            message = "" if observed is None else f" {observed * 100:.1f}"
            axes.text(left + 0.5, top + 0.5, f"{SYMBOLS[verdict]}{message}", ha="center", va="center", fontsize=8.5)
    bare(axes)
    axes.set_xlim(0, len(x["values"]))
    axes.set_ylim(0, len(y["values"]))
    axes.set_xticks([at + 0.5 for at in range(len(x["values"]))], [number(value) for value in x["values"]])
    axes.set_yticks([at + 0.5 for at in range(len(y["values"]))], [number(value) for value in y["values"]])
    axes.set_xlabel(_axis(x))
    axes.set_ylabel(_axis(y))
    axes.set_title(textwrap.fill(label, _PANEL_LETTERS), fontweight="bold")


def _axis(axis: Mapping[str, Any]) -> str:
    return f"{axis['name']} ({axis['unit']})" if axis.get("unit") else str(axis["name"])


def load_curve(scenario: Mapping[str, Any]) -> Drawing | None:
    """The rate over load with its intervals, and the band that is claimed; None without a curve."""
    block = scenario.get("curve") or {"points": []}
    points = [point for point in block["points"] if point["n"]]
    if not points:
        return None
    band = block.get("band")

    def draw() -> Figure:
        figure = blank(3.4)
        axes = figure.add_subplot()
        loads = [point["x"] for point in points]
        # Intervals may be several times as wide as the rates are apart: those run out of the picture, marked by an arrow.
        highest = 1.5 * max([point["observed"] for point in points] + ([band[1]] if band else []))
        if band:
            axes.axhspan(band[0] * 100, band[1] * 100, color=ORANGE, alpha=0.2, linewidth=0)
            label = f"claimed: {number(band[0] * 100)} – {number(band[1] * 100)} %"
            axes.text(
                0.012, (band[0] + band[1]) * 50, label, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5
            )
        axes.plot(loads, [point["observed"] * 100 for point in points], color=BLUE, linewidth=1.4)
        for point in points:
            low, high = point["interval"]
            axes.plot([point["x"]] * 2, [low * 100, high * 100], color=BLUE, linewidth=2.6, alpha=0.55)
            axes.plot([point["x"]], [point["observed"] * 100], marker="o", color=BLUE, markersize=6)
            axes.annotate(
                f"{point['observed'] * 100:.1f} %",
                (point["x"], point["observed"] * 100),
                xytext=(0, 9),
                textcoords="offset points",
                ha="center",
                fontsize=7.5,
            )
            if high > highest:
                axes.plot([point["x"]], [highest * 100], marker="^", color=BLUE, markersize=7, clip_on=False)
        axes.set_ylim(0, highest * 100)
        spread = (max(loads) - min(loads)) or 1
        ends = (min(loads) - 0.3 * spread, max(loads) + 0.12 * spread)
        if loads[0] > loads[-1]:  # as the scenario counts them: shorter pauses are more load, which grows to the right
            ends = (max(loads) + 0.3 * spread, min(loads) - 0.12 * spread)
        axes.set_xlim(*ends)
        axes.set_xticks(loads, [number(load) for load in loads])
        axes.set_xlabel(_axis(block["x"]) + (", falling to the right" if loads[0] > loads[-1] else ""))
        axes.set_ylabel("messages that fail (%)")
        bare(axes, grid="y")
        return figure

    description = "; ".join(
        f"at {number(point['x'])}: {percent(point['observed'])} ({interval_words(point)})" for point in points
    )
    return Drawing(f"curve-{slug(scenario['scenario'])}", f"Failures over {block['x']['name']}", description, draw)


def sequence(scenario: Mapping[str, Any]) -> Drawing | None:
    """Each rate's band from look to look, until it lies inside the limit or outside; None without looks.

    The scale of the replications is logarithmic, since the looks lie that way.
    """
    claims = [claim for claim in scenario.get("claims", ()) if any(look["n"] for look in claim.get("looks", ()))]
    if not claims:
        return None

    def draw() -> Figure:
        panel = 2.5
        figure = blank(panel * len(claims))
        for index, claim in enumerate(claims):
            axes = figure.add_subplot(len(claims), 1, index + 1)
            _sequence_panel(axes, claim, scenario["sequential"]["maximum"])
            if index + 1 == len(claims):
                axes.set_xlabel("replications (logarithmic)")
        figure.subplots_adjust(hspace=0.5)
        return figure

    description = "; ".join(
        f"{label_of(claim)}: {claim['verdict']}, {decided_words(scenario, claim)}, band {interval_words(claim)}, "
        f"limit {limit_words(claim)}"
        for claim in claims
    )
    name = f"sequence-{slug(scenario['scenario'])}"
    return Drawing(name, "The bands from look to look, and the limits", description, draw)


def _sequence_panel(axes: Axes, claim: Mapping[str, Any], maximum: int) -> None:
    from matplotlib.ticker import NullLocator

    looks = [look for look in claim["looks"] if look["n"]]
    at = [look["n_replications"] for look in looks]
    low, high = ([look[end] * 100 for look in looks] for end in ("low", "high"))
    floor, ceiling = (end * 100 for end in claim["limit"])
    edges = [edge for edge, open_end in ((floor, 0.0), (ceiling, 100.0)) if edge != open_end]
    # The first bands may be many times as wide as the limit; what decides is near it.
    observed = [look["count"] / look["n"] * 100 for look in looks]
    wide = max(high[len(high) // 3] - low[len(low) // 3], (ceiling - floor) * 1.3 if len(edges) == 2 else 0.0, 1e-4)
    bottom = max(-0.02 * wide, min([*edges, *observed[-2:], low[-1]]) - 0.35 * wide)
    top = min(100 + 0.02 * wide, max([*edges, *observed[-2:], high[-1]]) + 0.35 * wide)
    last = max(at[-1] * 1.9, at[0] * 4)
    axes.set_xscale("log")
    axes.set_xlim(at[0] * 0.93, last)
    axes.set_ylim(bottom, top)
    axes.axhspan(max(floor, bottom), min(ceiling, top), color=BLUE, alpha=0.13, linewidth=0)
    for edge in edges:
        axes.axhline(edge, color=BLUE, linewidth=1)
    colour = VERDICT_COLOURS[claim["verdict"]]
    axes.fill_between(at, low, high, color=colour, alpha=0.22, linewidth=0)
    for ends in (low, high):
        axes.plot(at, ends, color=colour, linewidth=1.2, marker=".", markersize=3.5)
    if len(looks) == 1:  # a band of one look has no width to fill
        axes.plot([at[0]] * 2, [low[0], high[0]], color=colour, linewidth=4)
        axes.plot(at, observed, color=INK, marker="_", markersize=9)
    axes.plot(at, observed, color=INK, linewidth=1, linestyle=(0, (4, 2)))
    axes.annotate(
        "observed", (at[-1], observed[-1]), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8.5
    )
    cut = [number for number, *ends in zip(at, low, high, strict=True) if ends[0] < bottom or ends[1] > top]
    if cut:
        message = (
            f"bands up to {cut[-1]:,} go beyond the scale" if len(cut) > 1 else "the first band goes beyond the scale"
        )
        axes.annotate(
            message,
            (0.99, 0.96),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=8,
            color=QUIET,
            style="italic",
        )
    stopped = claim["stopped_at"]
    if stopped is not None:
        axes.axvline(stopped, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    message = f"{SYMBOLS[claim['verdict']]} {claim['verdict']}"
    where = f"at {stopped:,}" if stopped is not None else f"after {at[-1]:,}"
    title = f"{label_of(claim)}: {message} {where} of {maximum:,}, limit {limit_words(claim)}"
    axes.set_title(textwrap.fill(title, 2 * _PANEL_LETTERS), fontweight="bold")
    axes.set_ylabel("%")
    ticks = sequence_ticks(at[0], last)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    bare(axes, grid="x")


def sequence_ticks(first: float, last: float) -> list[int]:
    """1, 2 and 5 times the powers of ten between two numbers of replications; the first one, should there be none."""
    powers = range(len(str(int(last))))
    ticks = [step * 10**power for power in powers for step in (1, 2, 5) if first <= step * 10**power <= last]
    return ticks or [int(first)]


_RECOVERY = (
    ("first-retry", "at the first retry"),
    ("second-retry", "at the second retry"),
    ("polite-failure", "never: friendly apology"),
)


def recovery(results: Mapping[str, Any]) -> Drawing | None:
    """At which attempt messages recovered: claimed against observed, per scenario; None if nobody judged it."""
    observed: dict[str, dict[str, Mapping[str, Any]]] = {}
    for scenario, claim in claims_of(results):
        if claim["id"] in dict(_RECOVERY) and claim["n"]:
            observed.setdefault(str(scenario["scenario"]), {})[claim["id"]] = claim
    if not observed:
        return None
    names = dict(_RECOVERY)
    for claims in observed.values():
        names |= {identifier: label_of(claim) for identifier, claim in claims.items() if "label" in claim}

    def draw() -> Figure:
        bars = len(observed) + 1
        figure = blank(0.25 * bars * len(_RECOVERY) + 0.6)
        axes = figure.add_subplot()
        colours = [BLUE, VERMILLION, GREEN, ORANGE, SKY]
        ticks = []
        for group, (identifier, _) in enumerate(_RECOVERY):
            base = group * (bars + 0.9)
            ticks.append(base + (bars - 1) / 2)
            claimed = next((sum(c[identifier]["limit"]) / 2 for c in observed.values() if identifier in c), None)
            if claimed is not None:
                _bar(axes, base, claimed, "none", f"claimed {number(round(claimed * 100, 6))} %")
            for index, (scenario, claims) in enumerate(observed.items()):
                if identifier in claims:
                    share = claims[identifier]["observed"]
                    symbol = SYMBOLS[claims[identifier]["verdict"]]
                    label = f"{scenario} {percent(share)} {symbol}"
                    _bar(axes, base + index + 1, share, colours[index % len(colours)], label)
        axes.set_yticks(ticks, list(names.values()))
        axes.tick_params(axis="y", labelcolor=INK)
        axes.invert_yaxis()
        axes.set_xlim(0, 130)
        axes.set_xticks([])
        bare(axes)
        return figure

    description = "; ".join(
        f"{scenario}, {label}: {percent(claims[identifier]['observed'])}"
        for identifier, label in names.items()
        for scenario, claims in observed.items()
        if identifier in claims
    )
    return Drawing(
        "recovery", "When messages that met an active run recovered, claimed and observed", description, draw
    )


def _bar(axes: Axes, y: float, share: float, colour: str, label: str) -> None:
    hollow = colour == "none"
    axes.barh(
        y,
        share * 100,
        height=0.78,
        color=colour,
        alpha=1 if hollow else 0.8,
        edgecolor=QUIET if hollow else "none",
        linewidth=1.1,
    )
    axes.text(share * 100 + 1, y, label, va="center", ha="left", fontsize=8.5)


_QUANTILES = ("p50", "p90", "p99")


def latency(results: Mapping[str, Any]) -> Drawing | None:
    """How long customers wait: median, 90th and 99th percentile of all messages per scenario, those without a reply as waits
    that never end; None if not given."""
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for scenario in results["scenarios"]:
        given = scenario.get("reply_or_never")
        if given and given["p50"] is not None:
            rows.append((str(scenario["scenario"]), given))
    if not rows:
        return None

    def draw() -> Figure:
        figure = blank(0.36 * len(rows) + 0.8)
        axes = figure.add_subplot()
        for index, (_, given) in enumerate(rows):
            p50, p90, p99 = (given[name] for name in _QUANTILES)
            far = next(each for each in (p99, p90, p50) if each is not None)
            axes.plot([p50, far], [index, index], color=BLUE, linewidth=1.4, alpha=0.5)
            axes.plot([p50, p50 if p90 is None else p90], [index, index], color=BLUE, linewidth=4, alpha=0.5)
            axes.plot([p50], [index], marker="o", color=BLUE, markersize=7)
            # An arrow where the share beyond never gets a reply.
            axes.plot([far], [index], marker="|" if p99 is not None else ">", color=BLUE, markersize=8)
            label = f"{_wait(p50)}  ·  {_wait(p90)}  ·  {_wait(p99)}"
            if given["never"]:
                label += f"; {given['never']:,} of {given['n']:,} never"
            axes.annotate(label, (far, index), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8.5)
        longest = max(each for _, given in rows for each in (given[name] for name in _QUANTILES) if each is not None)
        axes.set_xlim(0, longest * 1.9 or 1)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlabel("seconds until the customer has a reply, of all messages: median, 90 %, 99 %")
        bare(axes, grid="x")
        return figure

    description = "; ".join(
        f"{name}: "
        + ", ".join(f"{q} {_wait(given[q])}" for q in _QUANTILES)
        + f", {given['never']:,} of {given['n']:,} never"
        for name, given in rows
    )
    return Drawing("latency", "How long customers wait for a reply", description, draw)


def _wait(seconds: float | None) -> str:
    return "never" if seconds is None else f"{number(round(seconds, 1))} s"


def slug(name: str) -> str:
    """A name as part of a file's name or an id."""
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-") or "scenario"


def draw_all(results: Mapping[str, Any]) -> dict[str, Drawing]:
    """Every figure that the results have data for, by name, in the order in which a report shows them."""
    figures: dict[str, Drawing | None] = {"forest": forest(results), "recovery": recovery(results)}
    for scenario in results["scenarios"]:
        figures[f"sequence-{slug(scenario['scenario'])}"] = sequence(scenario)
    for scenario in results["scenarios"]:
        figures[f"curve-{slug(scenario['scenario'])}"] = load_curve(scenario)
    for scenario in results["scenarios"]:
        figures[f"map-{slug(scenario['scenario'])}"] = region_map(scenario)
    figures["latency"] = latency(results)
    return {name: drawing for name, drawing in figures.items() if drawing is not None}


def write_figures(folder: Path, figures: Mapping[str, str]) -> Sequence[Path]:
    """Write each figure to a file of its own in the folder, and return their paths. Those of an earlier run go."""
    for stale in folder.glob("*.svg"):
        if stale.stem not in figures:
            stale.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, svg in figures.items():
        paths.append(folder / f"{name}.svg")
        write_text(paths[-1], standalone(svg))
    return paths
