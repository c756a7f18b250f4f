"""A sweep as one page, in the manner of `relaysim.reports.html`, and as a whole results folder.

The order is the reader's: the claims at each point, the figure, what each point counted, and what all this rests on.
Whatever came from a scenario is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from relaysim.reports.html import figure_list, render_page, timing_facts
from relaysim.reports.publish import publish_folder, publish_page
from relaysim.reports.summary import SYMBOLS, interval_words, limit_words, number
from relaysim.reports.sweep import (
    claim_at,
    claim_words,
    claims_of,
    headline,
    lead,
    notes,
    point_words,
    results_csv,
    short_names,
    value_words,
    varying,
)

#: What a page has room for; the files have all points.
ROWS_MAX, DETAILS_MAX = 400, 60
_FIGURES = {
    "rates": (
        "The rates over one quantity",
        "Each line is an interval (99 %, shared by the claims of one family) with its verdict: ✔ verified, ✘ refuted, "
        "? inconclusive. The band is what the claim allows. Claims without a rate are in the table alone.",
    ),
    "heat": (
        "The rates over two quantities",
        "In percent, with the verdict: ✔ verified, ✘ refuted, ? inconclusive. The darker, the higher the rate among the "
        "cells of one claim. Claims without a rate are in the table alone.",
    ),
}


def publish_sweep(
    results: Mapping[str, Any], *, name: str, timing: Mapping[str, Any] | None = None, out: Path | None = None
) -> Path:
    """Write `results.json`, `results.csv`, `timing.json`, the figures and `index.html`, and return the folder
    (see `relaysim.reports.publish.publish_folder`)."""
    return publish_folder(
        results,
        lambda folder: render_sweep(folder, results, timing),
        name=name,
        timing=timing,
        out=out,
        files={"results.csv": results_csv(results)},
    )


def render_sweep(folder: Path, results: Mapping[str, Any], timing: Mapping[str, Any] | None = None) -> Path:
    """Draw the figures and `index.html` into the folder, and return the page's path."""
    from relaysim.reports.sweep_figures import draw_sweep

    figures = draw_sweep(results)
    return publish_page(folder, figures, sweep_html(results, timing=timing, figures=figures))


def sweep_html(
    results: Mapping[str, Any],
    *,
    timing: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """The page. `figures` are inline SVG by name (see `relaysim.reports.sweep_figures.draw_sweep`)."""
    sections = [
        ("claims", "Claims at each point", _claims(results)),
        ("figures", "Figure", figure_list(_FIGURES, figures or {})),
        ("points", "Points", _points(results)),
        ("limits", "What this rests on", _limits(results, timing)),
    ]
    return render_page(headline(results), lead(results), sections, code_version=str(results["code_version"]))


def _claims(results: Mapping[str, Any]) -> str:
    axes, claims = varying(results), claims_of(results)
    heads = short_names(axes) if axes else ["scenario"]
    head = "".join(f"<th scope='col' class='n'>{escape(each)}</th>" for each in [*heads, "worlds"])
    head += "".join(
        f"<th scope='col' class='n'>{escape(claim['id'])}<span class='where'>{escape(limit_words(claim))}</span></th>"
        for claim in claims
    )
    body = []
    for point in results["points"][:ROWS_MAX]:
        cells = [value_words(point["values"][axis["path"]]) for axis in axes] or [results["scenario"]]
        row = "".join(f"<th scope='row' class='n'>{escape(cell)}</th>" for cell in cells)
        row += f"<td class='n'>{point['replications']:,}</td>"
        row += "".join(_claim(claim_at(point, claim["id"])) for claim in claims)
        body.append(f"<tr>{row}</tr>")
    shown = len(body)
    message = [*notes(results)]
    if shown < len(results["points"]):
        message.append(f"These are the first {shown:,} of {len(results['points']):,} points; results.csv has all.")
    titles = "".join(f"<li><b>{escape(claim['id'])}</b> {escape(claim['title'])}</li>" for claim in claims)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>\n'
        f"<p class='quiet'>{' '.join(f'{SYMBOLS[each]} {each}' for each in ('verified', 'refuted', 'inconclusive'))}. "
        "Below each rate is its interval: 99 %, shared by the claims of one family.</p>"
        + "".join(f"<p>{escape(each)}</p>" for each in message)
        + (f"<ul class='plain quiet'>{titles}</ul>" if titles else "")
    )


def _claim(claim: Mapping[str, Any] | None) -> str:
    if claim is None:
        return "<td></td>"
    interval = f'<span class="where">{escape(interval_words(claim))}</span>'
    return f"<td class='n {claim['verdict']}'>{escape(claim_words(claim))}{interval}</td>"


def _points(results: Mapping[str, Any]) -> str:
    points = results["points"]
    description = "".join(_point(results, point) for point in points[:DETAILS_MAX])
    if len(points) > DETAILS_MAX:
        description += f"<p>These are the first {DETAILS_MAX} of {len(points):,} points; results.json has all.</p>"
    return description


def _point(results: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    facts = [
        ("profile", point["profile"]),
        ("factory", point["factory"]),
        ("hash", point["hash"]),
        ("root seed", point["root_seed"]),
        ("fingerprint", point["fingerprint"]),
    ]
    description = "".join(f"<dt>{name}</dt><dd>{escape(str(message))}</dd>" for name, message in facts)
    counts = {**point["outcomes"], **{name: count for name, count in point["counts"].items() if count}}
    counted = "".join(
        f"<span><b>{escape(name.replace('_', ' '))}</b> {count:,}</span>" for name, count in counts.items()
    )
    waits = "".join(
        f"<li>{escape(name.replace('_', ' '))}: median {number(each['p50'])}, 90 % {number(each['p90'])}, "
        f"99 % {number(each['p99'])}, longest {number(each['max'])} ({each['n']:,})</li>"
        for name, each in point["latency"].items()
    )
    broken = "".join(
        f"<li>{escape(name)}: broken {each['breaches']:,} times</li>"
        for name, each in point["invariants"].items()
        if each["breaches"]
    )
    replay = escape(point["replay"].replace("{seed}", "0"))
    return (
        f'<details><summary><span class="id">{escape(point_words(results, point))}</span></summary>\n'
        f'<dl>{description}</dl><p class="facts-line">{counted}</p>'
        + (f"<ul class='plain'>{waits}{broken}</ul>" if waits or broken else "")
        + f"<pre><code>{replay}</code></pre></details>\n"
    )


def _limits(results: Mapping[str, Any], timing: Mapping[str, Any] | None) -> str:
    description = "".join(
        f"<span><b>{name}</b> {escape(str(message))}</span>"
        for name, message in (
            ("scenario", results["title"]),
            ("hash", results["hash"]),
            ("lane", results["lane"]),
            ("factory", results["factory"]),
        )
    )
    return f"""<p class="facts-line">{description}</p><ul>
<li>World i is the same at every point as far as the points' values leave it so: every draw is keyed by what it is for. The
points are thus not independent of each other, and a curve over them is smoother than its intervals.</li>
<li>Each interval holds at 99 % by itself, the claims of one family sharing the 1 % at each point. Among many points one in a
hundred misses by chance: do not pick the best of many points and believe its interval.</li>
<li>Claims are judged as <code>relaysim verify</code> judges them. No verdict is expected here, so none is a surprise.</li>
</ul>{timing_facts(timing)}"""
