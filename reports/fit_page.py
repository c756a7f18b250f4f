"""A fit as one page, in the manner of `relaysim.reports.html`, and as a whole results folder with its `profile.toml`.

The order is the reader's: how conflicts ended, what that says of the claims, the profile's numbers, the figures, and what
was read. Whatever came from a log is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from relaysim.reports.fit import (
    CLAIMED,
    claim_interval_words,
    ending_words,
    family_words,
    headline,
    lead,
    notes,
    numbers_words,
    share_words,
)
from relaysim.reports.html import cell_table, figure_list, render_page, timing_facts
from relaysim.reports.publish import publish_folder, publish_page
from relaysim.reports.summary import SYMBOLS, interval_words, limit_words, observed_words, percent, trials_words

PROFILE = "profile.toml"

_FIGURES = {
    "endings": (
        "How conflicts ended",
        "The dot is the observed share, the line its 99 % interval, the diamond what the fix claims. Each row has a "
        "scale of its own.",
    ),
    "freed": (
        "How fast a cancelled run frees its thread",
        "A log never says when a thread became free: only that it was not at one attempt and was at the next. Between "
        "those moments nothing but the model draws the line. What is drawn without a model is of the conflicts that were "
        "seen: runs that were free before they could be met are missing there.",
    ),
}


def publish_fit(
    results: Mapping[str, Any],
    *,
    profile: str,
    name: str,
    timing: Mapping[str, Any] | None = None,
    out: Path | None = None,
) -> Path:
    """Write `results.json`, `timing.json`, `profile.toml`, the figures and `index.html`, and return the folder
    (see `relaysim.reports.publish.publish_folder`)."""
    return publish_folder(
        results,
        lambda folder: render_fit(folder, results, timing),
        name=name,
        timing=timing,
        out=out,
        files={PROFILE: profile},
    )


def render_fit(folder: Path, results: Mapping[str, Any], timing: Mapping[str, Any] | None = None) -> Path:
    """Draw the figures and `index.html` into the folder, and return the page's path."""
    from relaysim.reports.fit_figures import draw_fit

    figures = draw_fit(results)
    return publish_page(folder, figures, fit_html(results, timing=timing, figures=figures))


def fit_html(
    results: Mapping[str, Any],
    *,
    timing: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """The page. `figures` are inline SVG by name (see `relaysim.reports.fit_figures.draw_fit`)."""
    sections = [
        ("endings", "How conflicts ended", _endings(results)),
        ("claims", "Claims", _claims(results)),
        ("numbers", "The profile", _numbers(results)),
        ("figures", "Figures", figure_list(_FIGURES, figures or {})),
        ("log", "What was read", _log(results)),
        ("limits", "What this rests on", _limits(timing)),
    ]
    return render_page(headline(results), lead(results), sections, code_version=str(results["code_version"]))


def _endings(results: Mapping[str, Any]) -> str:
    rows = []
    for entry in results["conflicts"]["endings"]:
        claimed = CLAIMED.get(entry["ending"])
        rows.append(
            (
                escape(ending_words(entry["ending"])),
                [
                    trials_words(entry),
                    percent(entry["observed"]),
                    interval_words(entry),
                    "" if claimed is None else f"{claimed * 100:g} %",
                    share_words(entry["profile"]),
                ],
            )
        )
    message = "".join(f"<li>{escape(each)}</li>" for each in notes(results))
    listed = f"<ul>{message}</ul>" if message else ""
    if not rows:
        return "<p>No message that met an active run has an ending in the log.</p>" + listed
    return cell_table(("count / n", "share", "99 % interval", "claimed", "profile"), rows) + listed


def _claims(results: Mapping[str, Any]) -> str:
    rows = [
        (
            f'<span class="id">{escape(claim["id"])}</span><span class="title">{escape(claim["title"])}</span>',
            [
                f'<span class="verdict {claim["verdict"]}"><span aria-hidden="true">{SYMBOLS[claim["verdict"]]}</span> '
                f"{claim['verdict']}</span>",
                trials_words(claim),
                escape(observed_words(claim)),
                claim_interval_words(claim),
                escape(limit_words(claim)),
            ],
        )
        for claim in results["claims"]
    ]
    description = cell_table(("verdict", "count / n", "observed", "interval", "limit"), rows) if rows else ""
    if family := family_words(results):
        description += f"<p>{escape(family, quote=False)}</p>"
    others = "".join(
        f'<dt>{escape(each["id"])}</dt><dd>{escape(each["title"])}: <span class="quiet">{escape(each["why"])}</span></dd>'
        for each in results["untold"]
    )
    return description + (f"<h3>What this log cannot tell</h3><dl>{others}</dl>" if others else "")


def _numbers(results: Mapping[str, Any]) -> str:
    rows = [
        (
            f'<span class="id">{escape(each["number"])}</span>',
            [escape(each["status"]), f"{each['n']:,}", escape(numbers_words(each))],
        )
        for each in results["numbers"]
    ]
    message = "".join(
        f"<dt>{escape(each['number'])}</dt><dd>{escape(each['said'])}</dd>" for each in results["numbers"]
    )
    return (
        cell_table(("", "observations", "value, with 95 % interval"), rows)
        + f"<dl>{message}</dl><p>All other numbers, and those that are kept, are the profile {escape(results['base'])}'s. "
        f"<code>{PROFILE}</code> beside this page has them all, each with what it rests on; a scenario takes it with "
        f'<code>profile = "path/to/{PROFILE}"</code>, a command with <code>--set profile=path/to/{PROFILE}</code>.</p>'
    )


def _log(results: Mapping[str, Any]) -> str:
    log = results["log"]
    counts = {name: count for name, count in log.items() if isinstance(count, int)}
    blocks = [("the log", counts), ("the relay's lines", log["relay_lines"])]
    blocks += [(name, results[key]) for name, key in (("runs", "runs"), ("outcomes", "outcomes"))]
    return "".join(_facts(name, each) for name, each in blocks if each)


def _facts(title: str, counts: Mapping[str, int]) -> str:
    cells = "".join(f"<span><b>{escape(name.replace('_', ' '))}</b> {count:,}</span>" for name, count in counts.items())
    return f'<h4>{escape(title)}</h4><p class="facts-line">{cells}</p>'


def _limits(timing: Mapping[str, Any] | None) -> str:
    return f"""<ul>
<li>Counts are of lines, and exact whatever the order in which workers wrote them. They are of what was logged: lines that
a collector dropped are missing here too.</li>
<li>Intervals of shares are Clopper and Pearson's at 99 %, of the effective number of trials: conflicts are taken in up to
64 portions in the order of the log, and what these differ by more than chance makes the interval wider.</li>
<li>Times are log-normal by assumption. Their intervals are those of the profile likelihood at 95 %; a share of stuck runs is
added where the Akaike criterion falls by two, which two retries can never show: to them it is a wide spread. What the log
does not identify is not fitted.</li>
<li>A request's duration passes by one half before the API acts on it, as the profile assumes.</li>
<li>A log tells what the relay did, not what customers saw.</li>
</ul>{timing_facts(timing)}"""
