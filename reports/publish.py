"""From results to a folder that people and CI can read, in one call after a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from relaysim.reports.results import canonical, write_results, write_text, write_timing
from relaysim.reports.runs import link_latest, new_run, previous_run, write_index

if TYPE_CHECKING:
    from relaysim.reports.drawing import Drawing


class _Page(Protocol):
    """The page of some results, as HTML."""

    def __call__(
        self,
        results: Mapping[str, Any],
        *,
        timing: Mapping[str, Any] | None = None,
        figures: Mapping[str, str] | None = None,
    ) -> str: ...


def publish_folder(
    results: Mapping[str, Any],
    draw: Callable[[Mapping[str, Any]], Mapping[str, Drawing]],
    html: _Page,
    *,
    name: str,
    timing: Mapping[str, Any] | None = None,
    out: Path | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write `results.json`, `timing.json`, the `files` (texts by name), the figures and `index.html`; return the folder.

    The folder is a new one below `reports/out/<name>`, and then `latest` links to it and the index of all runs has it
    (`relaysim.reports.runs`). With `out` it is that folder, in which figures of an earlier run are removed.

    Args:
        draw: from results to their figures, by name.
        html: the page with them.
    """
    from relaysim.reports.drawing import svgs
    from relaysim.reports.figures import write_figures

    folder = new_run(name, out)
    for file, text in (files or {}).items():
        write_text(folder / file, text)
    write_results(folder, results)
    write_timing(folder, timing or {})
    figures = svgs(draw(results))
    if figures or (folder / "figures").is_dir():
        write_figures(folder / "figures", figures)
    write_text(folder / "index.html", html(results, timing=timing, figures=figures))
    if out is None:
        link_latest(folder)
        write_index(folder.parent.parent)
    return folder


def publish(
    results: Mapping[str, Any],
    *,
    name: str,
    timing: Mapping[str, Any] | None = None,
    out: Path | None = None,
    stories: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write the folder of judged scenarios, and return it (see `publish_folder`).

    The `stories` of first failures (see `relaysim.scenarios.first_failures`) are in the page, and as data in `stories.json`.
    Results of the last run of this name, or in the same folder, are kept as `previous.json`, and the page tells what changed
    since.
    """
    from relaysim.reports.figures import draw_all
    from relaysim.reports.verify_page import verify_html

    previous = previous_run(name, out)
    files = {} if previous is None else {"previous.json": canonical(previous)}
    files["stories.json"] = canonical(list(stories))
    page = partial(verify_html, previous=previous, stories=stories)
    return publish_folder(results, draw_all, page, name=name, timing=timing, out=out, files=files)
