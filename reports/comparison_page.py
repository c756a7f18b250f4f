"""A comparison as a page (`templates/comparison.html`), and as a whole results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from relaysim.reports import comparison
from relaysim.reports.compared_verdicts import mark
from relaysim.reports.page import render_page, stories_that_fit
from relaysim.reports.publish import publish_folder
from relaysim.reports.results import canonical


def publish_comparison(
    results: Mapping[str, Any],
    *,
    name: str,
    timing: Mapping[str, Any] | None = None,
    out: Path | None = None,
    stories: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write `results.json`, `stories.json`, `timing.json`, the figures and `index.html`, and return the folder
    (see `relaysim.reports.publish.publish_folder`)."""
    from relaysim.reports.comparison_figures import draw_comparison

    files = {"stories.json": canonical(list(stories))}
    page = partial(comparison_html, stories=stories)
    return publish_folder(results, draw_comparison, page, name=name, timing=timing, out=out, files=files)


def comparison_html(
    results: Mapping[str, Any],
    *,
    timing: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
    stories: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page. `figures` are inline SVG by name (see `relaysim.reports.comparison_figures.draw_comparison`), `stories` are
    of the worlds in which policies differ most, and of other policies' first failures (see
    `relaysim.scenarios.first_failures`)."""
    return render_page(
        "comparison.html",
        results,
        comparison,
        timing=timing,
        figures=figures,
        mark=mark,
        stories=stories_that_fit(stories),
    )
