"""A sweep as a page (`templates/sweep.html`), and as a whole results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from relaysim.reports import sweep_words
from relaysim.reports.page import render_page, stories_that_fit
from relaysim.reports.publish import publish_folder
from relaysim.reports.results import canonical

#: What a page has room for; the files have all points.
ROWS_MAX, DETAILS_MAX = 400, 60


def publish_sweep(
    results: Mapping[str, Any],
    *,
    name: str,
    timing: Mapping[str, Any] | None = None,
    out: Path | None = None,
    stories: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write `results.json`, `results.csv`, `stories.json`, `timing.json`, the figures and `index.html`; return the folder
    (see `relaysim.reports.publish.publish_folder`)."""
    from relaysim.reports.sweep_figures import draw_sweep

    files = {"results.csv": sweep_words.results_csv(results), "stories.json": canonical(list(stories))}
    page = partial(sweep_html, stories=stories)
    return publish_folder(results, draw_sweep, page, name=name, timing=timing, out=out, files=files)


def sweep_html(
    results: Mapping[str, Any],
    *,
    timing: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
    stories: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page. `figures` are inline SVG by name (see `relaysim.reports.sweep_figures.draw_sweep`), `stories` are first
    failures of the worst and the best point (see `relaysim.scenarios.first_failures`)."""
    limits = {"rows_max": ROWS_MAX, "details_max": DETAILS_MAX, "stories": stories_that_fit(stories)}
    return render_page("sweep.html", results, sweep_words, timing=timing, figures=figures, **limits)
