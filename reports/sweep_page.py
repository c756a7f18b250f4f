"""A sweep as a page (`templates/sweep.html`), and as a whole results folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relaysim.reports import sweep_words
from relaysim.reports.page import render_page
from relaysim.reports.publish import publish_folder

#: What a page has room for; the files have all points.
ROWS_MAX, DETAILS_MAX = 400, 60


def publish_sweep(
    results: Mapping[str, Any], *, name: str, timing: Mapping[str, Any] | None = None, out: Path | None = None
) -> Path:
    """Write `results.json`, `results.csv`, `timing.json`, the figures and `index.html`, and return the folder
    (see `relaysim.reports.publish.publish_folder`)."""
    from relaysim.reports.sweep_figures import draw_sweep

    files = {"results.csv": sweep_words.results_csv(results)}
    return publish_folder(results, draw_sweep, sweep_html, name=name, timing=timing, out=out, files=files)


def sweep_html(
    results: Mapping[str, Any],
    *,
    timing: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """The page. `figures` are inline SVG by name (see `relaysim.reports.sweep_figures.draw_sweep`)."""
    limits = {"rows_max": ROWS_MAX, "details_max": DETAILS_MAX}
    return render_page("sweep.html", results, sweep_words, timing=timing, figures=figures, **limits)
