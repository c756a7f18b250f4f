"""A page from a template: everything inside it, no script, nothing fetched, readable in light and in dark.

The templates stand in `templates/`: `page.html` is the frame, `parts.html` what several pages show alike, and each command
that judges has one, with its figures' captions and the order that its reader needs. They escape every value, so whatever
came from a scenario, a trace or a log is text. What a template calls is the module that has its words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from relaysim.reports import summary
from relaysim.reports.answers import answer_of
from relaysim.reports.counters import counters_of
from relaysim.reports.results import canonical
from relaysim.sim.counted import counted

if TYPE_CHECKING:
    from jinja2 import Environment

#: What a page may weigh, in bytes.
SIZE_MAX = 2 * 1024 * 1024

_STORIES_BYTES_MAX = SIZE_MAX // 2

_ANSWER_ROWS_MAX = 20
"""Lines of one group of the answer's table: a page begins with it, and has everything below."""


def render_page(
    template: str,
    results: Mapping[str, Any],
    words: ModuleType,
    *,
    timing: Mapping[str, Any] | None,
    figures: Mapping[str, str] | None,
    **more: Any,
) -> str:
    """The page of some results.

    Args:
        template: its file in `templates/`.
        results, timing: as they stand in `results.json` and `timing.json`.
        words: the module with the words that the template calls.
        figures: inline SVG by name; without them none are shown.
        more: what else the template reads.

    Raises ValueError should the page weigh more than `SIZE_MAX` bytes.
    """
    return render_plain(
        template,
        results=results,
        answer=answer_of(results),
        rows_of_answer=_ANSWER_ROWS_MAX,
        words=words,
        timing=timing or {},
        figures=figures or {},
        **more,
    )


def stories_that_fit(stories: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first ones, as many as a page has room for: as HTML they weigh about as much as they do as JSON."""
    shown, room = [], _STORIES_BYTES_MAX
    for each in stories:
        room -= len(canonical(each).encode())
        if room < 0:
            break
        shown.append(each)
    return shown


def render_plain(template: str, **values: Any) -> str:
    """A page of a template that is about no single results. Raises ValueError likewise."""
    page = _templates().get_template(template).render(**values)
    page = re.sub(r"(?<=\d) %", "\u00a0%", page)  # a number and its unit stay on one line
    if (size := len(page.encode())) > SIZE_MAX:
        raise ValueError(f"the page weighs {size:,} bytes, more than {SIZE_MAX:,}")
    return page


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("relaysim.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["thousands"] = "{:,}".format
    templates.filters["counted"] = counted
    templates.globals["summary"] = summary
    templates.globals["counters_of"] = counters_of
    return templates
