"""Goal: a sweep's page, figure and table say what its results say, escape what came from elsewhere, and are the same bytes
for the same results.

Method: small results by hand, over no, one and two axes; the page is read back as HTML, the table as CSV.
"""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from relaysim.reports.claims import ClaimSpec, Tally, judge
from relaysim.reports.drawing import inline_svg, svgs
from relaysim.reports.sweep_figures import draw_sweep
from relaysim.reports.sweep_page import ROWS_MAX, publish_sweep, sweep_html
from relaysim.reports.sweep_terminal import POINTS_MAX, print_sweep
from relaysim.reports.sweep_words import results_csv, short_names

CLAIMS = (
    ClaimSpec(id="first-retry", title="most <recover>", kind="between", event="e", target=0.9, margin=0.05),
    ClaimSpec(id="quiet", title="nothing is lost", kind="never", event="f"),
)


def point(count: int, **values: Any) -> dict[str, Any]:
    tally = Tally()
    for seed in range(100):
        tally.add(int(seed < count), 1)
    claims = [judge(CLAIMS[0], tally), judge(CLAIMS[1], Tally.of_single_trials(0, 100))]
    return {
        "values": values,
        "hash": "0" * 16,
        "root_seed": 7,
        "lane": "direct",
        "profile": "claimed",
        "factory": "relaysim.relay:cancel_and_retry",
        "replications": 100,
        "claims": claims,
        "outcomes": {"messages": 200},
        "counts": {"requests": count},
        "invariants": {"T1": {"breaches": 1, "checked": 3, "examples": []}},
        "latency": {"wait_seconds": {"n": 2, "mean": 2.0, "p50": 2.0, "p90": 2.0, "p99": 2.0, "max": 2.0}},
        "fingerprint": "f" * 32,
        "never_met": [],
        "replay": "relaysim replay x --seed {seed} --set 'a=<b>'",
    }


def swept(points: list[dict[str, Any]], **axes: list[Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "kind": "sweep",
        "code_version": "0.1.0+x",
        "scenario": "small",
        "title": "A <small> scenario",
        "description": "",
        "hash": "1" * 16,
        "lane": "direct",
        "mode": "realizable",
        "factory": "relaysim.relay:cancel_and_retry",
        "settings": {},
        "confidence": 0.99,
        "axes": [{"path": path.replace("__", "."), "values": values} for path, values in axes.items()],
        "points": points,
    }


def renamed(each: dict[str, Any]) -> dict[str, Any]:
    return each | {"values": {path.replace("__", "."): value for path, value in each["values"].items()}}


def one_axis() -> dict[str, Any]:
    points = [renamed(point(count, relay__settings__wait=wait)) for wait, count in ((4, 60), (1, 90), (2.5, 100))]
    return swept(points, relay__settings__wait=[4, 1, 2.5])


def two_axes(x: int = 3, y: int = 2) -> dict[str, Any]:
    points = [renamed(point(50 + a % 20 + b % 20, a=a, b__c=b)) for a, b in product(range(x), range(y))]
    return swept(points, a=list(range(x)), b__c=list(range(y)))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br", "path", "use", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("path", "use", "rect"):
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("results", [one_axis(), two_axes(), swept([point(90)])])
def test_a_page_is_whole_and_the_same_bytes(results: dict[str, Any]) -> None:
    figures = svgs(draw_sweep(results))
    page = sweep_html(results, timing={"jobs": 2}, figures=figures)
    assert page == sweep_html(results, timing={"jobs": 2}, figures=svgs(draw_sweep(results)))
    reader = _Reader()
    reader.feed(page)
    assert reader.open == []
    assert "A <small> scenario" in "".join(reader.texts)
    assert "<small>" not in page
    assert "most <recover>" in "".join(reader.texts)
    assert not re.search(r"(src|href)=\"(?!#)", page)


def test_the_figure_follows_the_axes() -> None:
    assert list(draw_sweep(one_axis())) == ["rates"]
    assert list(draw_sweep(two_axes())) == ["heat"]
    assert draw_sweep(swept([point(90)])) == {}
    assert draw_sweep(two_axes(13, 13)) == {}
    words = swept([point(90, profile="claimed"), point(50, profile="typical")], profile=["claimed", "typical"])
    assert draw_sweep(words) == {}
    # An axis with a single value is none.
    constant = swept([point(9, a=a, b=1) for a in (1, 2)], a=[1, 2], b=[1])
    assert list(draw_sweep(constant)) == ["rates"]


def test_a_figure_says_its_numbers_in_words_and_in_its_cells() -> None:
    rates = inline_svg(draw_sweep(one_axis())["rates"])
    assert re.search(r"relay\.settings\.wait=4: 60\.00 % \(4\d\.\d\d – 7\d\.\d\d %\) refuted; ", rates)
    heat = inline_svg(draw_sweep(two_axes())["heat"])
    texts = re.findall(r">([^<>]+)</text>", heat)
    assert [text for text in texts if text.startswith("✘ 5")] == [f"✘ {n}.0" for n in (50, 51, 51, 52, 52, 53)]


def test_the_table_for_programs_has_a_line_per_point() -> None:
    rows = list(csv.DictReader(io.StringIO(results_csv(one_axis()))))
    assert [row["relay.settings.wait"] for row in rows] == ["4", "1", "2.5"]
    assert (rows[0]["first-retry.verdict"], rows[0]["first-retry.observed"]) == ("refuted", "0.6")
    assert (rows[0]["messages"], rows[0]["requests"], rows[0]["wait_seconds.p99"]) == ("200", "60", "2.0")
    tables = swept([point(9, a=[1, 2]), point(9, a={"kind": "x"}), point(9, a=True)], a=[[1, 2], {"kind": "x"}, True])
    assert [row["a"] for row in csv.DictReader(io.StringIO(results_csv(tables)))] == ["[1, 2]", '{"kind": "x"}', "true"]


def test_axes_are_called_by_what_tells_them_apart() -> None:
    def names(*paths: str) -> list[str]:
        return short_names([{"path": path} for path in paths])

    assert names("relay.settings.first_wait_seconds", "profile_overrides.cancel_seconds.median") == [
        "first wait seconds",
        "cancel seconds median",
    ]
    assert names("relay.settings.a", "workload.a") == ["relay.settings.a", "workload.a"]


def test_many_points_are_cut_and_said_to_be() -> None:
    results = two_axes(ROWS_MAX // 10 + 1, 10)
    page = sweep_html(results)
    assert page[page.index("<main>") :].count("<tr>") == ROWS_MAX + 1
    assert f"the first {ROWS_MAX} of {ROWS_MAX + 10} points" in page


def test_the_terminal_has_every_claim_of_every_point() -> None:
    from rich.console import Console

    for width in (40, 200):
        stream = io.StringIO()
        print_sweep(Console(file=stream, width=width, force_terminal=True, color_system=None), one_axis())
        said = " ".join(stream.getvalue().split())
        for observed in ("✘ 60.00 %", "? 90.00 %", "? 100 %", "✔ 0 %"):
            assert observed in said
    stream = io.StringIO()
    print_sweep(Console(file=stream, width=200), two_axes(POINTS_MAX, 2))
    assert f"the first {POINTS_MAX} of {2 * POINTS_MAX} points" in stream.getvalue()


def test_the_terminal_names_values_that_have_no_column() -> None:
    from rich.console import Console

    def said(results: dict[str, Any]) -> str:
        stream = io.StringIO()
        print_sweep(Console(file=stream, width=40), results)
        return stream.getvalue()

    wait = renamed(point(90, relay__settings__wait=7))
    assert "\nAt this point: relay.settings.wait=7\n" in said(swept([wait], relay__settings__wait=[7]))
    constant = swept([point(9, a=a, b="x", c=True) for a in (1, 2)], a=[1, 2], b=["x"], c=[True])
    assert "\nAt every point: b=x, c=true\n" in said(constant)
    assert "point: " not in said(one_axis())


def test_a_fault_that_hit_nothing_is_told() -> None:
    results = swept([point(90) | {"never_met": ["faults[0]"]}])
    assert "no claim is verified there: small: faults[0]" in sweep_html(results)


def test_a_folder_has_everything(tmp_path: Path) -> None:
    folder = publish_sweep(two_axes(), name="x", timing={"seconds": 1.0}, out=tmp_path / "out")
    (folder / "figures" / "rates.svg").write_text("of an earlier sweep")
    publish_sweep(two_axes(), name="x", out=tmp_path / "out")
    assert sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*.*")) == [
        "figures/heat.svg",
        "index.html",
        "results.csv",
        "results.json",
        "stories.json",
        "timing.json",
    ]
