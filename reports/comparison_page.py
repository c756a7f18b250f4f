"""A comparison as a page (`templates/comparison.html`), and as a whole results folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relaysim.reports import comparison
from relaysim.reports.compared_verdicts import mark
from relaysim.reports.page import render_page
from relaysim.reports.publish import publish_folder


def publish_comparison(
    results: Mapping[str, Any], *, name: str, timing: Mapping[str, Any] | None = None, out: Path | None = None
) -> Path:
    """Write `results.json`, `timing.json`, the figures and `index.html`, and return the folder
    (see `relaysim.reports.publish.publish_folder`)."""
    from relaysim.reports.comparison_figures import draw_comparison

    return publish_folder(results, draw_comparison, comparison_html, name=name, timing=timing, out=out)


def comparison_html(
    results: Mapping[str, Any],
    *,
    timing: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """The page. `figures` are inline SVG by name (see `relaysim.reports.comparison_figures.draw_comparison`)."""
    return render_page("comparison.html", results, comparison, timing=timing, figures=figures, mark=mark)
