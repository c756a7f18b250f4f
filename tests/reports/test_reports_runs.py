"""Where runs are kept, and the list of all of them."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from report_samples import sample_results

from relaysim.reports import listed_runs
from relaysim.reports.results import build_results, canonical, read_results, write_results
from relaysim.reports.runs import LISTED_MAX, link_latest, named, new_run, previous_run, results_folder, write_index

NOON = datetime.datetime(2026, 3, 4, 12, 0, 0, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str, version: str, minute: int = 0) -> Path:
    folder = new_run(name, now=NOON + datetime.timedelta(minutes=minute))
    write_results(folder, {**sample_results(), "code_version": version})
    link_latest(folder)
    return folder


def test_no_run_overwrites_another_not_even_within_a_second() -> None:
    folders = [run("bot", str(at)) for at in range(12)]
    assert [each.name for each in folders[:3]] == ["20260304T120000Z", "20260304T120000Z-02", "20260304T120000Z-03"]
    assert [read_results(each)["code_version"] for each in folders] == [str(at) for at in range(12)]


def test_latest_is_the_last_run_of_its_name_and_of_all() -> None:
    first = run("bot", "1")
    other = run("race", "2", 1)
    assert Path("reports/out/latest").resolve() == other.resolve()
    assert Path("reports/out/bot/latest").resolve() == first.resolve()
    again = run("bot", "3", 2)
    assert Path("reports/out/latest").resolve() == again.resolve() == Path("reports/out/bot/latest").resolve()
    moved = Path("reports").rename("elsewhere")
    assert read_results(moved / "out" / "latest")["code_version"] == "3"  # links survive a move of their parent
    assert named(again, None) == Path("reports/out/bot/latest")
    assert named(Path("x"), Path("x")) == Path("x")


@pytest.mark.parametrize("place", ["reports/out/latest", "reports/out/bot/latest"])
def test_latest_replaces_nothing_but_a_link(place: str) -> None:
    Path(place).mkdir(parents=True)
    with pytest.raises(FileExistsError, match="no link"):
        run("bot", "1")


@pytest.mark.parametrize("name", ["", "..", "latest", "index.html", "a/b"])
def test_a_folder_needs_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        results_folder(name)


def test_the_run_before_is_the_latest_of_the_same_name() -> None:
    assert previous_run("bot") is None
    run("bot", "1")
    run("other", "2", 1)
    assert (previous_run("bot") or {})["code_version"] == "1"
    Path("reports/out/bot/latest/results.json").write_text("{")
    assert previous_run("bot") is None


def test_the_index_lists_runs_newest_first_with_what_changed_and_how_figures_moved() -> None:
    results = sample_results()
    healed = json.loads(canonical(results))
    for scenario in healed["scenarios"]:
        for claim in scenario["claims"]:
            if claim["verdict"] == "refuted":
                claim["verdict"] = "verified"
        for invariant in scenario["invariants"].values():
            invariant["breaches"] = 0
    for at, each in enumerate((healed, results)):
        write_results(new_run("bot", now=NOON + datetime.timedelta(minutes=at)), each)
    page = write_index(Path("reports/out")).read_text(encoding="utf-8")
    assert page.index("2026-03-04 12:01:00") < page.index("2026-03-04 12:00:00")
    assert 'href="bot/' not in page  # these runs have no page
    assert "new in race: " in page
    assert ", 0 resolved, 0 ongoing" in page
    assert "<script" not in page


def test_the_index_reads_each_results_file_once_and_loses_nothing_with_what_it_keeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []

    def counting(folder: Path) -> dict[str, Any]:
        read.append(folder.name)
        return read_results(folder)

    monkeypatch.setattr(listed_runs, "read_results", counting)
    runs = [run("bot", str(at), at) for at in range(4)]
    first = write_index(Path("reports/out")).read_text(encoding="utf-8")
    assert sorted(read) == [each.name for each in runs]
    read.clear()
    assert write_index(Path("reports/out")).read_text(encoding="utf-8") == first
    assert read == []
    runs.append(run("bot", "4", 4))
    write_index(Path("reports/out"))
    assert sorted(read) == [each.name for each in runs[-2:]]  # the one before tells what changed
    assert sum((each / "listed.json").stat().st_size for each in runs) < 0.1 * sum(
        (each / "results.json").stat().st_size for each in runs
    )


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"schema": 0}', '{"schema": 1, "stamps": 3}', "\xff"])
def test_what_is_kept_for_the_index_may_be_damaged_or_of_other_results(damage: str) -> None:
    runs = [run("bot", str(at), at) for at in range(3)]
    before = write_index(Path("reports/out")).read_text(encoding="utf-8")
    (runs[1] / "listed.json").write_text(damage, encoding="latin-1")
    assert write_index(Path("reports/out")).read_text(encoding="utf-8") == before
    write_results(runs[1], {**sample_results(), "code_version": "mended"})
    assert "mended" in write_index(Path("reports/out")).read_text(encoding="utf-8")
    shutil.rmtree(runs[0])
    assert write_index(Path("reports/out")).read_text(encoding="utf-8").count("Problems: ") == 1


def test_the_index_says_what_it_cannot_read_and_how_many_it_leaves_out() -> None:
    for at in range(LISTED_MAX + 2):
        run("bot", str(at), at)
    (sorted(Path("reports/out/bot").iterdir())[-2] / "results.json").write_text('{"schema": 0, "scenarios": []}')
    Path("reports/out/bot/notes").mkdir()
    page = write_index(Path("reports/out")).read_text(encoding="utf-8")
    assert "cannot be read: " in page
    assert "2 older runs" in page
    assert page.count('scope="row"') == LISTED_MAX


def test_a_folder_without_a_finished_run_is_passed_over() -> None:
    """A command that was refused, interrupted or is still at work has made its folder already."""
    results_folder("refused")
    new_run("unfinished", now=NOON)
    assert "There are none yet" in write_index(Path("reports/out")).read_text(encoding="utf-8")
    run("bot", "1")
    (Path("reports/out/interrupted")).mkdir()
    page = write_index(Path("reports/out")).read_text(encoding="utf-8")
    assert 'id="bot"' in page
    assert not any(name in page for name in ("refused", "unfinished", "interrupted"))


def test_a_name_and_an_answer_are_text_wherever_they_stand() -> None:
    folder = new_run("<script>alert(1)<", now=NOON)
    write_results(folder, build_results("<script>", [{**sample_results()["scenarios"][0], "scenario": "<script>"}]))
    assert "<script" not in write_index(Path("reports/out")).read_text(encoding="utf-8")
