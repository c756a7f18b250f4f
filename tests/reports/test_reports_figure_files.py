"""Goal: a figure can be put on a slide as it is: in its colours, under one's own title, the same file every time.

Method: the figures of invented results in each format, read again: SVG as XML, PNG by its pixels, PDF by its objects.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from report_samples import sample_results

from relaysim.reports.drawing import Drawing, inline_svg, svgs
from relaysim.reports.figure_files import (
    FORMATS,
    THEMES,
    FigureError,
    claim_ids,
    drawings_of,
    figure_bytes,
    with_labels,
    write_figure,
)
from relaysim.reports.results import canonical

SVG = "{http://www.w3.org/2000/svg}"
#: A variable, a class, a style sheet, or anything that is fetched.
_NOT_ALONE = r"var\(|class=|<style|@import|url\((?!#)|href=\"(?!#)|currentColor"


@pytest.fixture(scope="module")
def drawings() -> dict[str, Drawing]:
    return drawings_of(sample_results())


def texts(svg: bytes) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("theme", THEMES)
def test_an_svg_stands_alone(drawings: dict[str, Drawing], theme: str) -> None:
    for drawing in drawings.values():
        svg = figure_bytes(drawing, "svg", theme=theme)
        root = ElementTree.fromstring(svg)
        assert root.tag == f"{SVG}svg"
        assert root.get("width", "").endswith("pt")  # programs that place it ask for a size
        assert re.search(_NOT_ALONE, svg.decode()) is None
        colours, paper = THEMES[theme]
        assert f"fill: {paper}" in svg.decode()
        assert colours["relaysim:ink"] in svg.decode()
        assert [each.text for each in root.iter(f"{SVG}title")] == [drawing.title]
        assert [each.text for each in root.iter(f"{SVG}desc")] == [drawing.description]


def test_what_does_not_stand_alone_would_be_seen(drawings: dict[str, Drawing]) -> None:
    assert re.search(_NOT_ALONE, inline_svg(drawings["forest"])) is not None


def ink(picture: Image.Image) -> float:
    """The share of dots that are not the background."""
    counted = picture.getcolors(picture.width * picture.height)
    assert counted is not None
    background = picture.getpixel((0, 0))
    return sum(count for count, colour in counted if colour != background) / (picture.width * picture.height)


@pytest.mark.parametrize(("theme", "paper"), [("light", (255, 255, 255)), ("dark", (0x16, 0x16, 0x18))])
def test_a_png_is_a_picture(drawings: dict[str, Drawing], theme: str, paper: tuple[int, int, int]) -> None:
    picture = Image.open(io.BytesIO(figure_bytes(drawings["latency"], "png", theme=theme)))
    picture.load()
    assert picture.width > 1800
    assert picture.convert("RGB").getpixel((0, 0)) == paper
    assert 0.02 < ink(picture.convert("RGB")) < 0.6
    assert picture.info["Title"] == drawings["latency"].title
    assert "5 of 40,000 never" in picture.info["Description"]


def test_nothing_lies_behind_a_transparent_figure(drawings: dict[str, Drawing]) -> None:
    picture = Image.open(io.BytesIO(figure_bytes(drawings["latency"], "png", transparent=True)))
    assert picture.mode == "RGBA"
    assert picture.getpixel((0, 0)) == (255, 255, 255, 0)
    assert "#ffffff" not in figure_bytes(drawings["latency"], "svg", transparent=True).decode()


def objects_of(pdf: bytes) -> dict[int, bytes]:
    """The objects of a PDF by number, each found where the file's table says that it is."""
    assert pdf.startswith(b"%PDF-1.")
    assert pdf.rstrip().endswith(b"%%EOF")
    (start,) = re.findall(rb"startxref\s+(\d+)", pdf)
    table = pdf[int(start) :]
    assert table.startswith(b"xref")
    entries = re.findall(rb"(\d{10}) (\d{5}) ([nf])", table)
    found = {}
    for number, (offset, _, use) in enumerate(entries):
        if use == b"n":
            body = pdf[int(offset) :]
            assert body.startswith(b"%d 0 obj" % number)
            found[number] = body[: body.index(b"endobj")]
    return found


def test_a_pdf_is_a_page_with_its_text(drawings: dict[str, Drawing]) -> None:
    objects = objects_of(figure_bytes(drawings["latency"], "pdf", heading="Nobody waits"))
    assert sum(b"/Type /Page\n" in each or b"/Type /Page " in each for each in objects.values()) == 1
    streams = [re.search(rb"stream\r?\n(.*)endstream", each, re.DOTALL) for each in objects.values()]
    drawn = [zlib.decompress(each[1]) for each in streams if each is not None and each[1][:1] == b"\x78"]
    assert any(b" Tj" in each or b" TJ" in each for each in drawn)  # text, not outlines
    assert any(b"/Title (Nobody waits)" in each for each in objects.values())
    assert not any(b"CreationDate" in each for each in objects.values())


def test_a_heading_is_written_and_is_the_title(drawings: dict[str, Drawing]) -> None:
    svg = figure_bytes(drawings["latency"], "svg", heading="We cost $5 a month, and $2 of them & nothing <else>")
    assert "We cost $5 a month, and $2 of them & nothing <else>" in texts(svg)
    (title,) = ElementTree.fromstring(svg).iter(f"{SVG}title")
    assert title.text == "We cost $5 a month, and $2 of them & nothing <else>"
    assert drawings["latency"].title in texts(figure_bytes(drawings["latency"], "svg"))
    none = figure_bytes(drawings["latency"], "svg", heading="")
    assert drawings["latency"].title not in texts(none)
    (title,) = ElementTree.fromstring(none).iter(f"{SVG}title")
    assert title.text == drawings["latency"].title  # who cannot see it is still told what it is


def test_a_long_heading_stays_within_the_figure(drawings: dict[str, Drawing]) -> None:
    short, long = (
        Image.open(io.BytesIO(figure_bytes(drawings["latency"], "png", heading=words)))
        for words in ("Waits", "What customers wait for who write a second time before " * 4)
    )
    assert abs(long.width - short.width) <= 2
    assert long.height > short.height + 100


def test_a_claim_is_called_by_its_label_in_every_figure() -> None:
    label = "answered at the first retry, as it was said before the board"
    results = sample_results()
    drawings = drawings_of(with_labels(results, {"first-retry": label}))
    for name in ("forest", "map-incident", "recovery"):
        drawing = drawings[name]
        told = " ".join(texts(figure_bytes(drawing, "svg")))
        assert label in told, name
        assert "first-retry" not in told
        assert label in drawing.description
        assert "first-retry" not in drawing.description
    assert svgs(drawings_of(results)) == svgs(drawings_of(with_labels(results, {})))
    assert "first-retry" in claim_ids(results)


def test_figures_of_results_that_were_read_are_those_of_the_run() -> None:
    results = sample_results()
    assert svgs(drawings_of(json.loads(canonical(results)))) == svgs(drawings_of(results))
    assert drawings_of({"kind": "something newer"}) == {}


@pytest.mark.parametrize("file_format", ["png", "pdf"])
def test_letters_that_cannot_be_drawn_are_refused(drawings: dict[str, Drawing], file_format: str) -> None:
    with pytest.raises(
        FigureError, match=rf"figure latency: '客' has the letter '客', .* {file_format.upper()} has not"
    ):
        figure_bytes(drawings["latency"], file_format, heading="客")
    assert "客" in texts(figure_bytes(drawings["latency"], "svg", heading="客"))


_PROGRAM = """
import hashlib, sys
from report_samples import sample_results
from relaysim.reports.figure_files import FORMATS, drawings_of, figure_bytes
for name, drawing in drawings_of(sample_results()).items():
    for each in FORMATS:
        print(name, each, hashlib.sha256(figure_bytes(drawing, each, heading="Ação & waits")).hexdigest())
"""


def test_the_same_results_are_the_same_bytes_in_any_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(hash_seed: str, time_zone: str, folder: Path) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": time_zone}
        environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), environment.get("PYTHONPATH", "")])
        return subprocess.run(
            [sys.executable, "-c", _PROGRAM], env=environment, cwd=folder, check=True, capture_output=True, text=True
        ).stdout

    exec(_PROGRAM, {})  # in this process, with a hash seed that was drawn for it
    here = capsys.readouterr().out
    # Somebody's own settings of matplotlib change nothing.
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nlines.linewidth: 5\nsvg.fonttype: path\npdf.fonttype: 3\n")
    assert told("7", "America/Sao_Paulo", tmp_path) == here
    assert len(here.splitlines()) == len(FORMATS) * len(drawings_of(sample_results()))


def test_files_are_named_by_figure_theme_and_format(tmp_path: Path, drawings: dict[str, Drawing]) -> None:
    drawing: Any = drawings["latency"]
    assert [each.name for each in write_figure(tmp_path / "new", drawing)] == [
        "latency.svg",
        "latency.png",
        "latency.pdf",
    ]
    assert [each.name for each in write_figure(tmp_path, drawing, ["svg"], theme="dark")] == ["latency-dark.svg"]
