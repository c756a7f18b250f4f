"""A comparison as one page, in the manner of `relaysim.reports.html`, and as a whole results folder.

The order is the reader's: side by side, the differences, the figures, who ran how, what to look at, and what all this
rests on. Whatever came from a scenario is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from relaysim.reports.comparison import (
    ARROWS,
    CONFIDENCE,
    LEGEND,
    MEASURES,
    Measure,
    difference_interval_words,
    difference_words,
    direction,
    headline,
    interval_words,
    lead,
    notes,
    same_words,
    settings_words,
    value_words,
)
from relaysim.reports.html import cell_table, figure_list, render_page, timing_facts, with_below
from relaysim.reports.publish import publish_folder, publish_page

_FIGURES = {
    "waiting": (
        "Who is still waiting",
        "The share of messages without a reply, by the time since they were sent. A line that stays flat ends at the "
        "messages that never get one.",
    ),
    "differences": (
        "How far apart",
        "The dot is the difference, the line its interval, the thin line none at all. Each row has a scale of its own; "
        "grey rows are not told apart, and an arrow is an end without limit.",
    ),
}


def publish_comparison(
    results: Mapping[str, Any], *, name: str, timing: Mapping[str, Any] | None = None, out: Path | None = None
) -> Path:
    """Write `results.json`, `timing.json`, the figures and `index.html`, and return the folder
    (see `relaysim.reports.publish.publish_folder`)."""
    return publish_folder(
        results,
        lambda folder: render_comparison(folder, results, timing),
        name=name,
        timing=timing,
        out=out,
    )


def render_comparison(folder: Path, results: Mapping[str, Any], timing: Mapping[str, Any] | None = None) -> Path:
    """Draw the figures and `index.html` into the folder, and return the page's path."""
    from relaysim.reports.comparison_figures import draw_comparison

    figures = draw_comparison(results)
    return publish_page(folder, figures, comparison_html(results, timing=timing, figures=figures))


def comparison_html(
    results: Mapping[str, Any],
    *,
    timing: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """The page. `figures` are inline SVG by name (see `relaysim.reports.comparison_figures.draw_comparison`)."""
    sections = [
        ("together", "Side by side", _side_by_side(results)),
        ("apart", f"Differences from {escape(results['against'])}", _differences(results)),
        ("figures", "Figures", figure_list(_FIGURES, figures or {})),
        ("policies", "Policies", "".join(_policy(policy) for policy in results["policies"])),
        ("invariants", "Invariants", _invariants(results)),
        ("replay", "See for yourself", _examples(results)),
        ("limits", "What this rests on", _limits(results, timing)),
    ]
    return render_page(headline(results), lead(results), sections, code_version=str(results["code_version"]))


# Side by side


def _side_by_side(results: Mapping[str, Any]) -> str:
    policies = results["policies"]
    heads = [escape(policy["policy"]) for policy in policies]
    rows = [("messages", [f"{policy['counts']['messages']:,}" for policy in policies])]
    rows += [
        (escape(measure.title), [_measured(measure, policy["measures"][measure.id]) for policy in policies])
        for measure in MEASURES
    ]
    message = "".join(f"<li>{escape(note)}</li>" for note in notes(results))
    return (
        cell_table(heads, rows)
        + f"<p class='quiet'>Below each number is its {CONFIDENCE} interval. “Reply or never” counts every message, "
        "those without a reply as waiting for ever; percentiles of the messages replied to alone would hide them.</p>"
        + (f"<ul>{message}</ul>" if message else "")
    )


def _measured(measure: Measure, measured: Mapping[str, Any]) -> str:
    return with_below(value_words(measure, measured["value"]), interval_words(measure, measured["interval"]))


# Differences


def _differences(results: Mapping[str, Any]) -> str:
    rows = [
        (
            escape(measure.title),
            [_difference(measure, each["measures"][measure.id], results) for each in results["differences"]],
        )
        for measure in MEASURES
    ]
    return (
        cell_table([escape(each["policy"]) for each in results["differences"]], rows)
        + f"<p class='quiet'>{escape(LEGEND)}. Each policy's number minus that of {escape(results['against'])}, world by "
        f"world paired, with its {CONFIDENCE} interval. Shares differ by points: one point is one message of a "
        "hundred.</p>"
    )


def _difference(measure: Measure, difference: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    which = direction(difference)
    words = f"{ARROWS[which]} {difference_words(measure, difference)}"
    below = difference_interval_words(measure, difference)
    if which == "same":
        below = same_words(results["replications"])
    return with_below(words, below)


# Figures


# Policies


def _policy(policy: Mapping[str, Any]) -> str:
    facts = [
        ("factory", policy["factory"]),
        ("settings", settings_words(policy)),
        ("left out", "; ".join(f"{each['workers']}: {', '.join(each['settings'])}" for each in policy["left_out"])),
        ("never met", ", ".join(policy["never_met"])),
        ("hash", policy["hash"]),
        ("fingerprint", policy["fingerprint"]),
    ]
    description = "".join(f"<dt>{name}</dt><dd>{escape(str(message))}</dd>" for name, message in facts if message)
    counts = "".join(
        f"<span><b>{escape(name.replace('_', ' '))}</b> {count:,}</span>" for name, count in policy["counts"].items()
    )
    return (
        f'<details><summary><span class="id">{escape(policy["policy"])}</span></summary>\n'
        f'<dl>{description}</dl><p class="facts-line">{counts}</p></details>\n'
    )


def _invariants(results: Mapping[str, Any]) -> str:
    policies = results["policies"]
    names = sorted({name for policy in policies for name in policy["invariants"]})
    broken = [name for name in names if any(policy["invariants"].get(name) for policy in policies)]
    rows = [
        (
            escape(name),
            [f"{policy['invariants'][name]:,}" if name in policy["invariants"] else "" for policy in policies],
        )
        for name in broken
    ]
    kept = [name for name in names if name not in broken]
    description = f"<p class='quiet'>Never broken by any: {escape(', '.join(kept))}.</p>" if kept else ""
    heads = [escape(policy["policy"]) for policy in policies]
    return (cell_table(heads, rows) if rows else "") + description


# Examples


def _examples(results: Mapping[str, Any]) -> str:
    message = "".join(_example(each) for each in results["differences"] if each["example"] is not None)
    if not message:
        message = "<p>As many messages failed under every policy in every world.</p>"
    return message + (
        "<p>The same world under another policy is one command away: <code>relaysim replay</code> with the same seed and "
        "the settings that the policy had here.</p>"
    )


def _example(difference: Mapping[str, Any]) -> str:
    example = difference["example"]
    failed, failed_against = example["failed"]
    commands = "\n".join(escape(command) for command in example["replay"])
    return (
        f"<p>World {example['seed']}: {failed:,} messages failed under {escape(difference['policy'])}, "
        f"{failed_against:,} under {escape(difference['against'])}.</p><pre><code>{commands}</code></pre>"
    )


# Limits


def _limits(results: Mapping[str, Any], timing: Mapping[str, Any] | None) -> str:
    description = "".join(
        f"<span><b>{name}</b> {escape(str(message))}</span>"
        for name, message in (
            ("scenario", results["title"]),
            ("hash", results["hash"]),
            ("root seed", results["root_seed"]),
            ("lane", results["lane"]),
            ("profile", results["profile"]),
            ("resamples", f"{results['resamples']:,}"),
        )
    )
    return f"""<p class="facts-line">{description}</p><ul>
<li>World i is the same world for every policy until the policies' own doings part them: every draw is keyed by what it
is for. Customers who try again after an apology make messages of their own.</li>
<li>Worlds are what is independent, so every interval is taken over worlds: shares of one policy are Clopper and
Pearson's with the effective number of messages, totals per message and their differences a jackknife's over worlds,
percentiles a bootstrap's that draws whole worlds, the same for every policy.</li>
<li>Each interval holds at {CONFIDENCE} by itself. Among many rows one in a hundred may miss by chance.</li>
<li>Of rare events few worlds tell little: a jackknife of a handful of worlds with an event, and a 99th percentile of few
messages, have intervals that are too narrow.</li>
<li>The backend, the load and the faults are the scenario's. How policies differ there says nothing of other loads.</li>
</ul>{timing_facts(timing)}"""
