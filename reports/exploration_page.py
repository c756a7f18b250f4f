"""A failure that `explore` found as a page (`templates/exploration.html`), beside the file that has its world."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relaysim.reports import exploration_terminal
from relaysim.reports.page import render_page


def exploration_html(results: Mapping[str, Any], story: Mapping[str, Any]) -> str:
    """The page of results in which something was found. `story` is that of the small world, as lanes."""
    return render_page("exploration.html", results, exploration_terminal, timing=None, figures=None, story=story)
