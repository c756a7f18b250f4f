"""The command `figures`: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relaysim.reports.results import build_results, canonical, write_results
from relaysim.scenarios.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def results() -> dict[str, Any]:
    claim = {
        "id": "answered",
        "title": "answered in time",
        "kind": "above",
        "event": "replied",
        "among": "messages",
        "verdict": "verified",
        "n": 400,
        "count": 399,
        "observed": 0.9975,
        "interval": [0.98, 1.0],
        "limit": [0.95, 1.0],
        "confidence": 0.99,
    }
    waits = {"n": 400, "never": 1, "p50": 3.0, "p90": 8.5, "p99": 20.25}
    return build_results("v", [{"scenario": "small", "profile": "typical", "claims": [claim], "reply_or_never": waits}])


@pytest.fixture
def run(here: Path) -> Path:
    write_results(here / "run", results())
    return Path("run")


def test_every_figure_is_written_in_every_format(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "run"]) == 0
    assert capsys.readouterr().out == (
        "forest: Observed rates with their intervals against their limits\n"
        "latency: How long customers wait for a reply\n"
        "Written to run/slides, each as svg, png, pdf\n"
    )
    names = sorted(each.name for each in (run / "slides").iterdir())
    assert names == [f"{name}.{each}" for name in ("forest", "latency") for each in ("pdf", "png", "svg")]


def test_the_last_run_is_taken_where_none_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures"]) == 2
    assert "relaysim: reports/out/latest: there are no results: " in capsys.readouterr().err
    write_results(here / "reports" / "out" / "latest", results())
    assert main(["figures", "--format", "svg", "--only", "latency"]) == 0
    assert Path("reports/out/latest/slides/latency.svg").is_file()


def test_what_is_asked_for_is_what_is_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["figures", "run/results.json", "--only", "forest", "--format", "pdf,svg", "--theme", "dark", "--json"]
    titles = ["--title", "forest=Nobody  is\nforgotten", "--title", "answered=has an answer within 20 s"]
    assert main([*arguments, *titles, "--out", "a/b"]) == 0
    (figure,) = json.loads(capsys.readouterr().out)["figures"]
    assert figure == {
        "name": "forest",
        "title": "Nobody is forgotten",
        "files": ["a/b/forest-dark.svg", "a/b/forest-dark.pdf"],
    }
    svg = Path("a/b/forest-dark.svg").read_text()
    assert ">Nobody is forgotten</text>" in svg
    assert ">has an answer within 20 s</text>" in svg
    assert ">answered</text>" not in svg


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "forrest"], "--only forrest: there is no figure 'forrest'; did you mean `forest`?"),
        (["--format", "jpeg"], "--format jpeg: there is no format 'jpeg'; there are: svg, png, pdf"),
        (["--format", ","], "--format: names no format; there are: svg, png, pdf"),
        (
            ["--title", "latncy=Waits"],
            "--title latncy: there is no figure and no claim 'latncy'; did you mean `latency`?",
        ),
        (["--title", "Waits"], "--title Waits: must be NAME=TEXT, such as forest='What one shall see'"),
        (["--title", "answered="], "--title answered: a claim needs a name; leave the option out for 'answered'"),
        (["--title", "latency=a\x07b"], "--title latency: 'a\\x07b' holds a character that cannot be printed"),
        (["--only", "forest", "--title", "latency=Waits"], "--title latency: the figure is not among those of --only"),
        (["--title", "latency=客"], "figure latency: '客' has the letter '客', which the font of a PNG has not"),
        (["--out", "run/results.json"], "the results cannot be written: "),
    ],
)
def test_a_mistake_is_told_in_a_line(
    arguments: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["figures", "run", *arguments]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"relaysim: {message}")
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_all_mistakes_are_told_at_once(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "run", "--only", "a", "--format", "b", "--title", "c=d"]) == 2
    assert capsys.readouterr().err.startswith("relaysim: 3 problems\n")


def test_results_without_figures_say_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_results(here, build_results("v", [{"scenario": "s", "claims": []}]))
    assert main(["figures", "."]) == 2
    assert capsys.readouterr().err == (
        "relaysim: .: these results have no figures; name a run of `verify`, `compare`, `sweep`, `tune` or `fit` that "
        "judged something: relaysim figures RUN (more: relaysim docs figures)\n"
    )


@pytest.mark.parametrize(
    "damaged", [{"schema": 1, "scenarios": [{}]}, {"schema": 1, "scenarios": [3]}, {"schema": 1, "kind": "tune"}]
)
def test_results_that_lack_what_a_figure_needs_are_refused(
    damaged: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "results.json").write_text(canonical(damaged))
    assert main(["figures", "."]) == 2
    told = capsys.readouterr().err
    assert told.startswith("relaysim: .: ")
    assert told.count("\n") == 1
