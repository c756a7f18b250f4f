"""A worker's files are its own, over its restarts, and gone with its world; the project stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from world_bench import run, settings, told

from relaysim.sim.kernel import EPOCH_SECONDS, LeavesSimulationError
from relaysim.sim.world import Session
from relaysim.sim.world.world import start_of

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The world's end leaves this machine as it was: the folder of these tests, the current one, and what is open."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Session():
        run(settings("files_bot:make", relay={"steps": ["count"]}))
        before = _outside(tmp_path)
        yield
        assert _outside(tmp_path) == before


def _outside(folder: Path) -> tuple[Any, ...]:
    source = (HERE / "files_bot.py").stat()
    names = [sorted(each.name for each in place.iterdir()) for place in (HERE, folder)]
    return names, source.st_size, source.st_mtime_ns, len([*Path("/proc/self/fd").iterdir()]), Path.cwd()


def _sent(*steps: str, **tables: Any) -> list[tuple[str, Any]]:
    """What three messages, two to w1 with a power cut between them and one to w2, find."""
    workload = {"messages": [{"at_seconds": at, "worker": worker} for at, worker in ((1, 1), (4, 2), (12, 1))]}
    cut = [{"kind": "crash", "workers": [1], "at_seconds": 9.0, "seconds": 1.0}]
    result = run(settings("files_bot:make", workload=workload, host_faults=cut, relay={"steps": [*steps]}, **tables))
    return [(entity, eval(text)) for _, entity, _, _, _, text in told(result, "send")]


def test_files_outlive_a_restart_and_no_world() -> None:
    for _ in range(2):
        assert _sent("count") == [("w1", 1), ("w2", 1), ("w1", 2)]
        assert _sent("database") == [("w1", 1), ("w2", 1), ("w1", 2)]


def test_a_power_cut_frees_locks_and_loses_buffers() -> None:
    first = (1, "")
    assert _sent("locks") == [("w1", first), ("w2", first), ("w1", first)]


def test_the_project_is_read_and_never_changed() -> None:
    assert _sent("project") == [("w1", (1, True, 1)), ("w2", (1, True, 1)), ("w1", (1, True, 1))]
    assert _sent("removing") == [("w1", (True, False, False)), ("w2", (True, False, False))]  # and then there is none


def test_folders_and_links_to_nowhere() -> None:
    found = (["moved", "moved/b.txt", "moved/c.txt"], False, True)
    assert _sent("folders") == [("w1", found), ("w2", found), ("w1", found)]
    assert _sent("read_only") == [("w1", 1), ("w2", 1), ("w1", 1)]


def test_temporary_files_have_the_same_names_in_each_world() -> None:
    first, second = _sent("temporary"), _sent("temporary")
    assert first == second
    assert [found[:3] for _, found in first] == [(True, False, 0)] * 3
    assert len({found[3] for _, found in first}) == 3


def test_times_are_the_worlds() -> None:
    (_, found), *_ = _sent("times")
    assert found == ((start_of(7, 0) * 1000 + 1125) * 1_000_000, EPOCH_SECONDS, False)


def test_what_sqlite_reads_of_time_and_chance_is_the_worlds() -> None:
    first, second = _sent("functions"), _sent("functions")
    assert first == second
    row, *others = [found[0] for _, found in first]
    at = [f"{datetime.fromtimestamp(start_of(7, 0) + seconds, UTC):%H:%M:%S}" for seconds in (1, 4, 12)]
    assert row == (
        *(f"2025-11-04 {at[0]}", f"2025-11-05 {at[0]}", "2025-11-04", at[0], f"2025-11-04 {at[0]}"),
        *(at[0], f"{at[0][-2:]}.125", "2024-03-02", "2025-01-01", None, None),
    )
    assert [other[4] for other in others] == [f"2025-11-04 {each}" for each in at[1:]]
    drawn = [found[1] for _, found in first]
    assert all(number != 0 and len(octets) == 8 and within == 1 for number, octets, within in drawn)
    assert len({number for number, _, _ in drawn}) == len({octets for _, octets, _ in drawn}) == 3
    assert all(sorted(found[2]) == [*range(9)] for _, found in first)
    assert len({tuple(found[2]) for _, found in first}) == 3


def test_errors_are_those_of_the_path_that_was_given() -> None:
    (_, said), *_ = _sent("errors")
    assert said == [
        "FileNotFoundError folder.txt",
        "FileNotFoundError no_such_file.txt",
        "FileExistsError world",
        "OSError world",
        "FileNotFoundError no_such_file.txt",
        "FileNotFoundError no_such_file.txt",
        "FileExistsError files_bot.py",
        "PermissionError a",
    ]


def test_what_opens_files_past_the_substitutes_is_refused() -> None:
    with pytest.raises(LeavesSimulationError, match=r"changing files_bot_past.txt past `open`"):
        _sent("past_it")
