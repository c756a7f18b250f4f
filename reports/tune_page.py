"""A tuning as a page (`templates/tune.html`), and as a whole results folder with its `policy.toml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from relaysim.reports import tune_words
from relaysim.reports.page import render_page, stories_that_fit
from relaysim.reports.publish import publish_folder
from relaysim.reports.results import canonical

POLICY = "policy.toml"


def publish_tuning(
    results: Mapping[str, Any],
    policy: str,
    *,
    name: str,
    timing: Mapping[str, Any] | None = None,
    out: Path | None = None,
    stories: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write `results.json`, `stories.json`, `timing.json`, `policy.toml`, the figures and `index.html`; return the folder
    (see `relaysim.reports.publish.publish_folder`)."""
    from relaysim.reports.tune_figures import draw_tuning

    files = {POLICY: policy, "stories.json": canonical(list(stories))}
    page = partial(tuning_html, policy=policy, stories=stories)
    return publish_folder(results, draw_tuning, page, name=name, timing=timing, out=out, files=files)


def tuning_html(
    results: Mapping[str, Any],
    policy: str,
    *,
    timing: Mapping[str, Any] | None = None,
    figures: Mapping[str, str] | None = None,
    stories: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page. `policy` is the text of `policy.toml`; `figures` are inline SVG by name; `stories` are first failures of the
    settings to take (see `relaysim.scenarios.first_failures`)."""
    shown = stories_that_fit(stories)
    return render_page("tune.html", results, tune_words, timing=timing, figures=figures, policy=policy, stories=shown)
