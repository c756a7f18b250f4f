"""Goal: the figure of the trials shows what there is to choose from, and each label can be read.

Method: points that lie on top of each other, and trials far from all others; where labels come to lie, and the axes' ends;
the colours' contrast as WCAG 2 has it.
"""

from __future__ import annotations

import json
import re
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from relaysim import reports
from relaysim.reports.drawing import inline_svg
from relaysim.reports.results import canonical
from relaysim.reports.tune_figures import closed_form, judged, place_labels, shown_range

ROOM = (0.0, 0.0, 140.0, 150.0)


def test_no_label_covers_another_or_a_point_even_where_points_lie_together() -> None:
    for spots in (
        [(70.0, 75.0), (71.0, 75.0), (72.0, 76.0), (74.0, 74.0), (70.0, 78.0), (71.0, 72.0), (72.0, 72.0)],
        [(5.0, 5.0), (6.0, 6.0), (5.0, 7.0), (135.0, 145.0), (134.0, 146.0), (5.0, 145.0), (135.0, 5.0)],
        [(70.0, 75.0)] * 7,
    ):
        texts = ["present", *map(str, range(1, 7))]
        boxes = place_labels(list(zip(texts, spots, strict=True)), ROOM)
        for one, other in combinations(boxes, 2):
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        for (left, low, right, high), (x, y) in product(boxes, spots):
            assert not (left < x < right and low < y < high)
            assert ROOM[0] <= left <= right <= ROOM[2]
            assert ROOM[1] <= low <= high <= ROOM[3]


def test_the_axes_show_what_was_judged_and_not_what_lies_far_off() -> None:
    present, judged = (1.0, 3.0), [(0.5, 2.8), (0.6, 3.1)]
    (left, right), (low, high) = shown_range(present, judged, [(0.45, 2.0), (100.0, 0.2)])
    assert (left, right) == (0.45 - 0.12 * 0.55, 1.0 + 0.12 * 0.55)
    assert (low, high) == (2.0 - 0.12 * 1.1, 3.1 + 0.12 * 1.1)


def test_the_axes_have_a_width_where_nothing_differs() -> None:
    for same in (0.0, 2.0):
        for low, high in shown_range((same, same), [(same, same)], []):
            assert low < same < high


# The front by arithmetic


def of_fronts(count: int) -> dict[str, Any]:
    """Results of two objectives: so many computed points, and one that was found."""
    objectives = [{"id": "added_delay", "unit": "s"}, {"id": "api_calls", "unit": "requests"}]
    return {
        "objectives": objectives,
        "beside": [],
        "trials": [{"number": 0, "values": [2.0, 2.0], "beside": {}}],
        "closed_form": {
            "compared": {"added_delay": "added_delay", "api_calls": "api_calls"},
            "front": [{"values": [1.0 + at, 5.0 - at]} for at in range(count)],
            "present": [3.0, 3.0],
            "found": [{"number": 0, "values": [2.1, 2.2]}],
        },
    }


def test_the_computed_front_is_to_be_seen_in_both_themes_and_lies_behind_the_found_one() -> None:
    drawing = closed_form(of_fronts(4))
    assert drawing is not None
    svg = inline_svg(drawing)
    marks = re.findall(r"<use [^>]*style=\"fill: var\(--(\w+)", svg)
    dots = [name for name in marks if name != "rule"]  # those of the axes are rules
    assert dots[:4] == ["quiet"] * 4
    assert "blue" in dots[4:]
    assert "quiet" not in dots[4:]
    style = (Path(reports.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    themes = re.findall(r"--paper: (#\w+);.*?--quiet: (#\w+);", style, flags=re.DOTALL)
    assert len(themes) == 2
    for paper, quiet in themes:
        assert contrast(paper, quiet) >= 3


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("count", [0, 1])
def test_a_computed_front_of_hardly_anything_is_drawn_too(count: int) -> None:
    drawing = closed_form(of_fronts(count))
    assert drawing is not None
    assert inline_svg(drawing)


def test_the_front_drawn_from_a_file_is_the_one_that_the_run_drew() -> None:
    results = of_fronts(3)
    results["objectives"] = [{"id": "failures", "unit": "share"}, {"id": "added_delay", "unit": "s"}]
    results["closed_form"]["compared"] = {"failures": "never_appended", "added_delay": "added_delay"}
    results["beside"] = [{"id": "never_appended", "unit": "share"}]
    results["trials"][0]["beside"] = {"claimed": [0.25]}
    drawing = closed_form(results)
    assert drawing is not None
    assert "never appended computed 210 %, measured 25.00 %, added delay" in drawing.description
    assert closed_form(json.loads(canonical(results))).description == drawing.description  # type: ignore[union-attr]


# Profiles that are called by their paths


def test_a_profile_called_by_a_long_path_is_written_out_above_its_panels() -> None:
    paths = [f"reports/out/fitted from the logs of $hot$ days/{name}.toml" for name in ("one", "two")]
    found = {"verdict": "better", "difference": -0.2, "difference_interval": [-0.3, -0.1]}
    drawing = judged(
        {
            "objectives": [{"id": "added_delay", "unit": "s"}],
            "profiles": dict.fromkeys(paths, "hash"),
            "judged": [{"by_profile": {path: {"added_delay": found} for path in paths}}],
        }
    )
    assert drawing is not None
    words = re.findall(r"<text[^>]*>([^<]*)</text>", inline_svg(drawing))
    assert "added delay (s)," in words
    assert sum("$hot$" in each for each in words) == 2
    assert any(each.endswith("one.toml") for each in words)
    assert any(each.endswith("two.toml") for each in words)
