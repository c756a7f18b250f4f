"""A fit as a page (`templates/fit.html`), and as a whole results folder with its `profile.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relaysim.reports import fit_words
from relaysim.reports.page import render_page
from relaysim.reports.publish import publish_folder
from relaysim.reports.runs import LATEST, ROOT

PROFILE = "profile.toml"


def profile_path(name: str, out: Path | None = None) -> Path:
    """Where the next command finds the profile, once it is written: by the link of the name, or where `out` says."""
    return (ROOT / name / LATEST if out is None else out) / PROFILE


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
    from relaysim.reports.fit_figures import draw_fit

    files = {PROFILE: profile}
    return publish_folder(results, draw_fit, fit_html, name=name, timing=timing, out=out, files=files)


def fit_html(
    results: Mapping[str, Any],
    *,
    timing: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """The page. `figures` are inline SVG by name (see `relaysim.reports.fit_figures.draw_fit`)."""
    return render_page("fit.html", results, fit_words, timing=timing, figures=figures, profile_file=PROFILE)
