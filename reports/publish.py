"""From results to a folder that people and CI can read: one call after a run, or again later from the folder alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from relaysim.reports.results import (
    canonical,
    link_latest,
    read_previous,
    read_results,
    results_folder,
    write_results,
    write_text,
    write_timing,
)


def publish_folder(
    results: Mapping[str, Any],
    render: Callable[[Path], object],
    *,
    name: str,
    timing: Mapping[str, Any] | None = None,
    out: Path | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write `results.json`, `timing.json` and the `files` (texts by name), let `render` add the page, return the folder.

    The folder is `reports/out/<name>` below the current directory, and `reports/out/latest` then links to it; with
    `out` it is that folder and there is no link.
    """
    folder = results_folder(name, out)
    for file, text in (files or {}).items():
        write_text(folder / file, text)
    write_results(folder, results)
    write_timing(folder, timing or {})
    render(folder)
    if out is None:
        link_latest(folder)
    return folder


def publish_page(folder: Path, figures: Mapping[str, str], html: str) -> Path:
    """Write the figures (SVG by name, in the place of all that were there) and `index.html`; return the page's path."""
    from relaysim.reports.figures import write_figures

    if figures or (folder / "figures").is_dir():
        write_figures(folder / "figures", figures)
    page = folder / "index.html"
    write_text(page, html)
    return page


def publish(
    results: Mapping[str, Any], *, name: str, timing: Mapping[str, Any] | None = None, out: Path | None = None
) -> Path:
    """Write `results.json`, `timing.json`, the figures and `index.html`, and return the folder.

    The folder is `reports/out/<name>` below the current directory, and `reports/out/latest` then links to it; with
    `out` it is that folder and there is no link. Results of an earlier run in the same folder are kept as
    `previous.json`, and the page tells what changed since.
    """
    previous = read_previous(results_folder(name, out))
    files = {} if previous is None else {"previous.json": canonical(previous)}
    return publish_folder(results, render, name=name, timing=timing, out=out, files=files)


def render(folder: Path) -> Path:
    """Draw the figures and `index.html` from what lies in the folder, and return the page's path.

    Raises ResultsError for a folder whose results cannot be read.
    """
    from relaysim.reports.figures import draw_all
    from relaysim.reports.html import render_html

    results = read_results(folder)
    timing_path, previous_path = folder / "timing.json", folder / "previous.json"
    timing = json.loads(timing_path.read_text(encoding="utf-8")) if timing_path.is_file() else None
    previous = read_results(previous_path) if previous_path.is_file() else None
    figures = draw_all(results)
    return publish_page(folder, figures, render_html(results, timing=timing, previous=previous, figures=figures))
