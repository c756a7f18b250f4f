"""Goal: the results folder is canonical, complete, and its exit status follows from the verdicts alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report_samples import sample_results, sample_timing

from relaysim.reports.exit_codes import exit_status
from relaysim.reports.publish import publish
from relaysim.reports.results import (
    ResultsError,
    build_results,
    canonical,
    read_results,
    replay_command,
    write_results,
)
from relaysim.reports.summary import exception_words


def test_the_same_data_is_the_same_bytes() -> None:
    one = {"b": [1, 2.50, (True, None)], "a": {"y": 0.1 + 0.2, "x": "é"}}
    other = {"a": {"x": "é", "y": 0.30000000000000004}, "b": (1, 2.5, [True, None])}
    assert canonical(one) == canonical(other)
    assert canonical(one) == (
        '{\n  "a": {\n    "x": "é",\n    "y": 0.30000000000000004\n  },\n'
        '  "b": [\n    1,\n    2.5,\n    [\n      true,\n      null\n    ]\n  ]\n}\n'
    )


def test_numbers_of_numpy_and_negative_zeros_are_plain_numbers() -> None:
    import numpy

    assert canonical([numpy.float64(0.25), -0.0]) == canonical([0.25, 0.0])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), {1: 2}, {"a": {3}}, object()])
def test_what_is_no_plain_data_is_refused(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical(wrong)


def test_results_are_written_canonically_and_read_back(tmp_path: Path) -> None:
    results = sample_results()
    path = write_results(tmp_path / "new", results)
    text = path.read_bytes().decode()
    assert text == canonical(results)
    assert text.endswith("}\n")
    assert canonical(read_results(tmp_path / "new")) == text
    assert json.loads(text)["schema"] == 1
    assert [each.name for each in path.parent.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("text", "said"), [("{", "no results file"), ("[]", "no list"), ('{"scenarios": []}', "schema")]
)
def test_what_is_no_results_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ResultsError, match=said):
        read_results(tmp_path)


def verdicts(*pairs: tuple[str, str]) -> dict[str, Any]:
    claims = [{"id": "x", "verdict": verdict, "expected": expected} for verdict, expected in pairs]
    return build_results("v", [{"scenario": "s", "claims": claims}])


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([], 0),
        ([("verified", "verified"), ("refuted", "refuted"), ("inconclusive", "inconclusive")], 0),
        ([("refuted", "verified")], 1),
        ([("verified", "refuted")], 1),
        ([("verified", "inconclusive")], 1),
        ([("inconclusive", "verified")], 3),
        ([("inconclusive", "refuted"), ("verified", "verified")], 3),
        ([("inconclusive", "verified"), ("refuted", "verified")], 1),
    ],
)
def test_the_exit_status(pairs: list[tuple[str, str]], status: int) -> None:
    assert exit_status(verdicts(*pairs)) == status


def test_the_replay_command_is_fit_for_a_shell() -> None:
    assert replay_command("race", 7) == "relaysim replay race --seed 7"
    assert replay_command("my files/a.toml", 7, settings={"waits": [1, 2], "text": "a b"}, factory="bot:make") == (
        "relaysim replay 'my files/a.toml' --seed 7 --set 'waits=[1, 2]' --set 'text=a b' --factory bot:make"
    )


def test_a_run_is_published_whole_and_the_next_one_tells_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results = sample_results()
    folder = publish(results, name="incident", timing=sample_timing())
    assert folder.parent == Path("reports/out/incident")
    assert folder.resolve() == Path("reports/out/latest").resolve()
    page = (Path("reports/out/latest") / "index.html").read_text(encoding="utf-8")
    assert "Since the last run" not in page
    figures = sorted(each.name for each in (folder / "figures").iterdir())
    assert figures == ["curve-peak-hour-before.svg", "forest.svg", "latency.svg", "map-incident.svg", "recovery.svg"]
    first = {each.name: each.read_bytes() for each in folder.rglob("*") if each.is_file()}
    second = publish(results, name="incident", timing=sample_timing())
    page = (second / "index.html").read_text(encoding="utf-8")
    assert "Nothing: every count is the same" in page
    assert first == {
        each.name: each.read_bytes() for each in folder.rglob("*") if each.is_file()
    }  # nothing overwritten
    again = {each.name: each.read_bytes() for each in second.rglob("*") if each.is_file()}
    assert {name for name in first if first[name] != again[name]} == {"index.html", "listed.json"}


def test_out_chooses_the_folder_and_leaves_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert publish(build_results("v", []), name="x", out=tmp_path / "here") == tmp_path / "here"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["here"]


def test_importing_the_package_imports_nothing_heavy_and_no_world() -> None:
    code = (
        "import sys\n"
        "from relaysim.reports import figures, statistics, terminal, verify_page\n"
        "heavy = ('scipy', 'matplotlib', 'numpy', 'rich', 'simpy', 'openai', 'redis', 'relaysim.sim.kernel',"
        " 'relaysim.sim.trace', 'relaysim.sim.world', 'relaysim.scenarios', 'relaysim.relay')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_client_of_redis_that_gave_up_is_explained() -> None:
    """As `test_redis_blocking` shows it happen: a wait of 5 s ends with the client's patience, not with the server's."""
    given_up = {
        "what": "TimeoutError ended `serve` (bot.py:20)",
        "text": "Timeout reading from localhost:6379",
        "replications": 2,
        "times": 2,
    }
    assert exception_words({"replications": 3}, given_up).startswith(
        "in 2 of 3 worlds TimeoutError ended `serve` (bot.py:20): redis-py gave up on the reply."
    )
    assert exception_words({"replications": 3}, {**given_up, "text": "no such order"}) == (
        "in 2 of 3 worlds TimeoutError ended `serve` (bot.py:20)"
    )
