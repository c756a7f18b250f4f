"""What every figure is made with: its colours, its size, and how it becomes the SVG of a page.

A figure is drawn with names in place of colours, since it is wanted in several: a page's figure follows the page, one in a
file of its own the system, and those for slides (`figure_files`) have theirs fixed. Text stays text, so that it can be read
out, searched and set in the reader's own font. Colours are Okabe and Ito's, and never carry a meaning alone.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN, VERMILLION, ORANGE, SKY = "#009E73", "#D55E00", "#E69F00", "#56B4E9"
VERDICT_COLOURS = {"verified": GREEN, "refuted": VERMILLION, "inconclusive": ORANGE}

INK, QUIET, RULE, BLUE = "relaysim:ink", "relaysim:quiet", "relaysim:rule", "relaysim:blue"
"""Names of the colours that differ in light and in dark: text, what is said beside it, thin lines, and the blue, which is
too dark on a dark page, where the palette's sky blue takes its place."""

LIGHT: Final = {INK: "#1c1c1e", QUIET: "#63636b", RULE: "#d4d4da", BLUE: "#0072B2"}
DARK: Final = {INK: "#ececf0", QUIET: "#a2a2ad", RULE: "#3d3d46", BLUE: "#56B4E9"}

_PLACEHOLDERS: Final = {BLUE: "#0a0b0c", INK: "#010203", QUIET: "#040506", RULE: "#070809"}
"""What an SVG is written with before variables of CSS take their places."""

_PAGE_FONTS: Final = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif"

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # matplotlib's own, so that the layout is the same on every machine
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # names and titles may hold dollar signs
    "axes.edgecolor": RULE,
    "axes.labelcolor": QUIET,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "lines.solid_capstyle": "round",
}
_WIDTH = 7.6  # inches; 72 to the inch in an SVG


@dataclass(frozen=True)
class Drawing:
    """A figure before it is drawn.

    Attributes:
        name: of its file, and what the ids in its SVG begin with.
        title: what it shows, in a line.
        description: the same with its numbers, for who cannot see it.
        draw: makes it, with this module's colours; to be called by `drawn` alone.
    """

    name: str
    title: str
    description: str
    draw: Callable[[], Figure]


@contextmanager
def drawn(drawing: Drawing, colours: Mapping[str, str]) -> Iterator[Figure]:
    """The figure, and matplotlib's settings while it is written; `colours` by name, as in `LIGHT`."""
    import matplotlib
    from matplotlib.colors import get_named_colors_mapping

    known = get_named_colors_mapping()
    known.update(colours)
    try:
        with warnings.catch_warnings(), matplotlib.rc_context():
            matplotlib.rcdefaults()  # a matplotlibrc of somebody's own changes nothing
            matplotlib.rcParams.update({**_SETTINGS, "svg.hashsalt": drawing.name})
            # Text stays text in an SVG; `figure_files` refuses what no font of its own has.
            warnings.filterwarnings("ignore", message=r"Glyph \d+")
            yield drawing.draw()
    finally:
        for name in colours:
            del known[name]


def label_of(claim: Mapping[str, Any]) -> str:
    """What a figure calls a claim: its id, or the name that somebody gave it for their own slides."""
    return str(claim.get("label", claim["id"]))


def svgs(drawings: Mapping[str, Drawing]) -> dict[str, str]:
    """Each figure as the SVG of a page, by name."""
    return {name: inline_svg(drawing) for name, drawing in drawings.items()}


def inline_svg(drawing: Drawing) -> str:
    """A figure's SVG as it can stand in a page, whose colours it takes: no wider than it was drawn, and in a narrower page
    it shrinks."""
    with drawn(drawing, _PLACEHOLDERS) as figure:
        svg = plain_svg(figure, drawing)
    svg = re.sub(r'\s(?:xmlns:xlink|xmlns|version)="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    for name, placeholder in _PLACEHOLDERS.items():
        svg = svg.replace(placeholder, f"var(--{name.partition(':')[2]}, {LIGHT[name]})")
    svg = svg.replace("font-family: 'DejaVu Sans'", f"font-family: {_PAGE_FONTS}")
    size = re.match(r'<svg[^>]*?\bwidth="([\d.]+)pt"', svg)
    width = math.ceil(float(size[1])) if size else 0
    svg = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", svg, count=2)
    labelled = f'{drawing.name}-text"'
    return svg.replace(labelled, f'{labelled} style="max-width: {width * 4 // 3}px"', 1)


def plain_svg(figure: Figure, drawing: Drawing, **options: Any) -> str:
    """A figure's SVG with ids of its own, a title and a description; without a document type and metadata.

    `options` are those of matplotlib's `savefig`.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    figure.savefig(
        buffer, **{"format": "svg", "metadata": {"Date": None, "Creator": None}, "bbox_inches": "tight"} | options
    )
    svg = buffer.getvalue()
    name = drawing.name
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    title, description = escape(drawing.title), escape(drawing.description)
    labels = f'<title id="{name}-title">{title}</title><desc id="{name}-text">{description}</desc>'
    svg = svg.replace("<svg", f'<svg role="img" aria-labelledby="{name}-title {name}-text"', 1)
    return re.sub(r"(<svg[^>]*>)", lambda match: match[1] + "\n" + labels, svg, count=1)


_DARK_VARIABLES: Final = "; ".join(f"--{name.partition(':')[2]}: {colour}" for name, colour in DARK.items())


def standalone(svg: str) -> str:
    """A page's figure as a file of its own, which follows the system's light or dark setting."""
    style = f"<style>@media (prefers-color-scheme: dark) {{svg {{{_DARK_VARIABLES}}}}}</style>"
    named = svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return DECLARATION + re.sub(r"(</desc>)", rf"\1{style}", named, count=1) + "\n"


DECLARATION: Final = '<?xml version="1.0" encoding="utf-8"?>\n'
"""What a file of SVG begins with."""


def blank(height: float) -> Figure:
    """An empty figure as wide as every other, so many inches high."""
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH, height))


def bare(axes: Axes, *, grid: Literal["x", "y", "both"] | None = None) -> None:
    """Take the frame and the tick marks away; `grid` says across which axes there are thin lines behind the data."""
    if grid is not None:
        axes.grid(axis=grid, color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
