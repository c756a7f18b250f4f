"""The figures of some results as files for slides and papers: SVG, PNG and PDF, in fixed colours, under titles of one's own.

What a page shows follows the page. A file that is put elsewhere can follow nothing: its colours are written out, its SVG
needs no variable, class or style sheet, and the same results give the same bytes wherever matplotlib and Pillow are of the
same releases.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from relaysim.reports.drawing import DARK, DECLARATION, INK, LIGHT, Drawing, drawn, plain_svg
from relaysim.reports.results import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS: Final = ("svg", "png", "pdf")

THEMES: Final = {"light": (LIGHT, "#ffffff"), "dark": (DARK, "#161618")}
"""Colours by name, and what lies behind them."""

_DOTS: Final = 300
"""Dots of a PNG per inch; a figure is about 7 inches wide."""
_PADDING: Final = 0.15
_HEADING_SIZE, _HEADING_GAP, _HEADING_LETTER = 13, 0.16, 0.112
"""A heading's size in points, and in inches how far it stands above the figure and how wide its letters are."""
_FONTS: Final = "'DejaVu Sans', Verdana, sans-serif"


class FigureError(ValueError):
    """A figure that cannot be written in a format; the message says why, in a line."""


def drawings_of(results: Mapping[str, Any]) -> dict[str, Drawing]:
    """Every figure of the results of any command, by name; none of a command whose results have no figures."""
    from relaysim.reports.comparison_figures import draw_comparison
    from relaysim.reports.figures import draw_all
    from relaysim.reports.fit_figures import draw_fit
    from relaysim.reports.sweep_figures import draw_sweep
    from relaysim.reports.tune_figures import draw_tuning

    by_kind = {"comparison": draw_comparison, "fit": draw_fit, "sweep": draw_sweep, "tune": draw_tuning}
    kind = results.get("kind")
    draw = draw_all if kind is None else by_kind.get(str(kind))
    return {} if draw is None else draw(results)


def _entries_of(results: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What has claims: a scenario, or a point of a sweep."""
    for key in ("scenarios", "points"):
        for entry in results.get(key) or ():
            if "claims" in entry:
                yield entry


def claim_ids(results: Mapping[str, Any]) -> list[str]:
    """The ids of all claims that figures may name, in the order in which they stand."""
    return list(dict.fromkeys(str(claim["id"]) for entry in _entries_of(results) for claim in entry["claims"]))


def with_labels(results: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """The results with other names for some claims, by id, in their figures."""

    def relabelled(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [
            {
                **entry,
                "claims": [
                    {**claim, "label": labels[claim["id"]]} if claim["id"] in labels else claim
                    for claim in entry.get("claims", ())
                ],
            }
            for entry in entries
        ]

    return {**results, **{key: relabelled(results[key]) for key in ("scenarios", "points") if results.get(key)}}


def write_figure(
    folder: Path,
    drawing: Drawing,
    formats: Sequence[str] = FORMATS,
    *,
    heading: str | None = None,
    theme: str = "light",
    transparent: bool = False,
) -> list[Path]:
    """Write a figure as `<name>.<format>`, or `<name>-dark.<format>`, and return the paths.

    Args:
        folder: is created.
        formats: some of `FORMATS`.
        heading: what stands above it: by default the figure's own title; "" for nothing.
        theme: one of `THEMES`.
        transparent: nothing lies behind the figure.

    Raises FigureError for letters that a format cannot show, and OSError if a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = drawing.name if theme == "light" else f"{drawing.name}-{theme}"
    paths = []
    for each in formats:
        paths.append(folder / f"{name}.{each}")
        write_bytes(paths[-1], figure_bytes(drawing, each, heading=heading, theme=theme, transparent=transparent))
    return paths


def figure_bytes(
    drawing: Drawing, file_format: str, *, heading: str | None = None, theme: str = "light", transparent: bool = False
) -> bytes:
    """A figure as one file; see `write_figure`."""
    colours, paper = THEMES[theme]
    words = drawing.title if heading is None else heading
    titled = Drawing(drawing.name, words or drawing.title, drawing.description, drawing.draw)
    options: dict[str, Any] = {
        "facecolor": "none" if transparent else paper,
        "bbox_inches": "tight",
        "pad_inches": _PADDING,
    }
    with drawn(titled, colours) as figure:
        if words:
            _head(figure, words)
        if file_format == "svg":
            return _svg(figure, titled, options)
        _check_letters(figure, titled, file_format)
        return _png(figure, titled, options) if file_format == "png" else _pdf(figure, titled, options)


def _head(figure: Figure, words: str) -> None:
    """Write a title above everything that is drawn, on as many lines as its width needs."""
    box = figure.get_tightbbox()  # in inches
    wide, high = figure.get_size_inches()
    figure.text(
        box.x0 / wide,
        (box.y1 + _HEADING_GAP) / high,
        textwrap.fill(words, max(20, int(box.width / _HEADING_LETTER))),
        ha="left",
        va="bottom",
        color=INK,
        fontsize=_HEADING_SIZE,
        fontweight="bold",
    )


def _svg(figure: Figure, drawing: Drawing, options: Mapping[str, Any]) -> bytes:
    svg = plain_svg(figure, drawing, **options)
    # What matplotlib says in a style sheet is inherited as well as it is selected.
    svg, sheets = re.subn(r"\s*<defs>\s*<style[^>]*>\*\{([^}]*)\}</style>\s*</defs>", "", svg)
    if sheets != 1:
        raise AssertionError(f"{drawing.name}: matplotlib wrote {sheets} style sheets where it wrote one")
    svg = svg.replace("<svg", '<svg style="stroke-linejoin: round; stroke-linecap: butt"', 1)
    return (DECLARATION + svg.replace("font-family: 'DejaVu Sans'", f"font-family: {_FONTS}") + "\n").encode()


def _png(figure: Figure, drawing: Drawing, options: Mapping[str, Any]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    metadata = {"Title": drawing.title, "Description": drawing.description, "Software": None}
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS, metadata=metadata, **options)
    return buffer.getvalue()


def _pdf(figure: Figure, drawing: Drawing, options: Mapping[str, Any]) -> bytes:
    import matplotlib
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    FigureCanvasPdf(figure)
    metadata = {
        "Title": drawing.title,
        "Subject": drawing.description,
        "Creator": None,
        "Producer": None,
        "CreationDate": None,
    }
    buffer = io.BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": 42}):  # letters that other programs can select and edit
        figure.savefig(buffer, format="pdf", metadata=metadata, **options)
    return buffer.getvalue()


def _check_letters(figure: Figure, drawing: Drawing, file_format: str) -> None:
    """Refuse what would be drawn as an empty box. An SVG has its text as text, for the reader's fonts."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.text import Text

    known = get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap()
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if absent := [letter for letter in text.get_text() if ord(letter) not in known and not letter.isspace()]:
            raise FigureError(
                f"figure {drawing.name}: {text.get_text()!r} has the letter {absent[0]!r}, which the font of a "
                f"{file_format.upper()} has not; write it in other letters, or as SVG alone (--format svg)"
            )
