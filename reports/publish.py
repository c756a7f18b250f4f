"""From results to a folder that people and CI can read: one call after a run, or again later from the folder alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.results import (
    canonical,
    link_latest,
    read_previous,
    read_results,
    results_folder,
    write_results,
    write_text,
    write_timing,
)


def publish(
    results: Mapping[str, Any], *, name: str, timing: Mapping[str, Any] | None = None, out: Path | None = None
) -> Path:
    """Write `results.json`, `timing.json`, the figures and `index.html`, and return the folder.

    The folder is `reports/out/<name>` below the current directory, and `reports/out/latest` then links to it; with
    `out` it is that folder and there is no link. Results of an earlier run in the same folder are kept as
    `previous.json`, and the page tells what changed since.
    """
    folder = results_folder(name, out)
    if (previous := read_previous(folder)) is not None:
        write_text(folder / "previous.json", canonical(previous))
    write_results(folder, results)
    write_timing(folder, timing or {})
    render(folder)
    if out is None:
        link_latest(folder)
    return folder


def render(folder: Path) -> Path:
    """Draw the figures and `index.html` from what lies in the folder, and return the page's path.

    Raises ResultsError for a folder whose results cannot be read.
    """
    from reports.figures import draw_all, write_figures
    from reports.html import render_html

    results = read_results(folder)
    timing_path, previous_path = folder / "timing.json", folder / "previous.json"
    timing = json.loads(timing_path.read_text(encoding="utf-8")) if timing_path.is_file() else None
    previous = read_results(previous_path) if previous_path.is_file() else None
    figures = draw_all(results)
    write_figures(folder / "figures", figures)
    page = folder / "index.html"
    write_text(page, render_html(results, timing=timing, previous=previous, figures=figures))
    return page
