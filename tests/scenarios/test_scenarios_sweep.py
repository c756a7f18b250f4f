"""Goal: a sweep counts what one uninterrupted run in one process counts, whatever happened on the way; and its points are
those that were typed, each checked before anything runs.

Method: worlds that take no time and that kill or stop the process that runs them; the command in this process, and as one of
its own where it is killed. What is compared is the whole of `results.json`.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import observe, observe_failing, write
from sweep_stand_ins import (
    FOLDER,
    observe_interrupted,
    observe_losing_a_worker,
    observe_losing_every_worker,
)

from relaysim.scenarios import cli, engines, runner
from relaysim.scenarios.chunks import Chunk, Journal
from relaysim.scenarios.commands.command_line import UsageError
from relaysim.scenarios.commands.sweep import sweep
from relaysim.scenarios.engines import LocalEngine, LostWorkerError
from relaysim.scenarios.load import load
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.runner import Observe, Progress
from relaysim.scenarios.sweep import sweep_worlds
from relaysim.scenarios.sweep.points import load_plan
from relaysim.scenarios.verdicts import verify_scenario

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
GRID = ("--grid", "relay.settings.first_wait_seconds=1,2")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    # Also while somebody edits the sources.
    monkeypatch.setattr(importlib.import_module("relaysim.scenarios.timing"), "code_version", lambda: "0.1.0+tested")
    # Drawing takes seconds and is tested where it is done.
    monkeypatch.setattr(importlib.import_module("relaysim.reports.sweep_figures"), "draw_sweep", lambda _: {})
    write(tmp_path)


@pytest.fixture
def own_workers() -> Iterator[None]:
    """Worker processes that know this test's folder, from which they learn whether one of them has died already."""
    engines._end_workers()
    yield
    engines._end_workers()


def parsed(*arguments: str) -> argparse.Namespace:
    return cli.command_parser().parse_args(["sweep", "small.toml", *arguments])


def run(*arguments: str, observe: Observe = observe, jobs: int = 1, out: str = "out") -> int:
    return sweep(parsed("--replications", "600", "--out", out, "--jobs", str(jobs), *arguments), observe)


def results(out: str = "out") -> str:
    return (Path(out) / "results.json").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def whole(kept: Path) -> str:
    """The results of a run that nothing disturbed; its folder is `undisturbed`."""
    if not (kept / "results.json").exists():
        assert run(*GRID, out=str(kept)) == 0
    shutil.copytree(kept, "undisturbed")
    return results("undisturbed")


def lines(out: str = "out") -> list[bytes]:
    return (Path(out) / "chunks.jsonl").read_bytes().splitlines(keepends=True)


# What is counted


def test_points_are_counted_and_judged(whole: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(whole)
    assert (data["schema"], data["kind"], data["scenario"], data["lane"]) == (1, "sweep", "small", "direct")
    assert data["axes"] == [{"path": "relay.settings.first_wait_seconds", "values": [1, 2]}]
    first, second = data["points"]
    assert [point["values"] for point in (first, second)] == [
        {"relay.settings.first_wait_seconds": 1},
        {"relay.settings.first_wait_seconds": 2},
    ]
    assert first["hash"] != second["hash"]
    assert first["replications"] == 600
    assert first["outcomes"]["messages"] == 1200
    assert [(claim["id"], claim["count"], claim["n"], claim["verdict"]) for claim in first["claims"]] == [
        ("first-retry", 1140, 1200, "inconclusive"),
        ("wait", 1140, 1200, "refuted"),
        ("transparent", 60, 1200, "refuted"),
    ]
    assert not {"expected", "as_expected"} & set(first["claims"][0])
    assert first["replay"] == ("relaysim replay small.toml --seed {seed} --set relay.settings.first_wait_seconds=1")


def test_two_processes_and_one_give_the_same_file(whole: str) -> None:
    assert run(*GRID, jobs=2) == 0
    assert results() == whole


def test_a_sweep_of_one_point_is_what_verify_counts() -> None:
    assert run() == 0
    (point,) = json.loads(results())["points"]
    assert point["values"] == {}
    scenario = load_plan("small.toml").scenario
    summary = runner.run_batches(
        [runner.Batch("main", scenario.to_json(), 600, "direct")], observe=observe, chunk_size=97
    )[0]["main"]
    assert point["fingerprint"] == summary.fingerprint
    assert point["latency"]["reply_seconds"] == summary.spreads["reply_seconds"].to_dict()


def test_each_chunk_is_a_line_on_the_fixed_grid(whole: str) -> None:
    with Journal(Path("undisturbed/chunks.jsonl")) as journal:
        found = list(journal.chunks())
    assert [each.place for each in found] == [(0, 250), (250, 250), (500, 100)] * 2
    assert len({each.key for each in found}) == 2
    assert max(map(len, lines("undisturbed"))) < 16_000


def test_points_that_are_the_same_worlds_run_once() -> None:
    calls = []

    def counted(settings: Any, root_seed: int, seed: int, lane: Any) -> Any:
        calls.append(seed)
        return observe(settings, root_seed, seed, lane)

    Path("points.csv").write_text("root_seed\n8\n7\n8\n")
    assert run("--list", "points.csv", observe=counted) == 0
    assert len(calls) == 2 * 600
    one, _, again = json.loads(results())["points"]
    assert one == again


# Going on


def test_what_is_done_is_not_run_again(whole: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*GRID, observe=observe_failing, out="undisturbed") == 0
    assert results("undisturbed") == whole
    assert "undisturbed/chunks.jsonl: 1,200 replications done already\n" in capsys.readouterr().err
    assert len(lines("undisturbed")) == 6


def test_more_replications_need_only_those_that_are_missing(whole: str) -> None:
    assert run(*GRID, "--replications", "1000", out="undisturbed") == 0
    assert run(*GRID, "--replications", "1000") == 0
    assert results("undisturbed") == results()
    # The short chunk at the end of the first run is not on the grid of the second, and no part of it.
    assert len(lines("undisturbed")) == 6 + 2 * 2
    assert run(*GRID, observe=observe_failing, out="undisturbed") == 0
    assert results("undisturbed") == whole


def test_an_interrupted_sweep_goes_on(whole: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(*GRID, observe=observe_interrupted)
    assert (
        "of 1,200 replications done, 250 of them kept: a stretch of 250 seeds of a point is kept once it is whole; the same "
        "command goes on from there, with 950 to run\n"
    ) in capsys.readouterr().err
    assert len(lines()) == 1
    assert not Path("out/results.json").exists()
    assert run(*GRID) == 0
    assert results() == whole
    assert len(lines()) == 6


_KILLED = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}, {root!r}]
from sweep_stand_ins import observe_stopping
from relaysim.scenarios import cli, timing
from relaysim.scenarios.commands.sweep import sweep
timing.code_version = lambda: "0.1.0+tested"
sweep(cli.command_parser().parse_args(["sweep", "small.toml", *sys.argv[1:]]), observe_stopping)
"""


def _is_gone(group: int) -> bool:
    """Whether a group of processes has ended, seen a tenth of a second later."""
    threading.Event().wait(0.1)
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_command_goes_on_where_it_was(whole: str, tmp_path: Path, jobs: int) -> None:
    os.mkfifo(tmp_path / "pipe")
    program = _KILLED.format(here=str(HERE), root=str(ROOT))
    arguments = [*GRID, "--replications", "600", "--out", "out", "--jobs", str(jobs), "--quiet"]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], start_new_session=True)
    try:
        with (tmp_path / "pipe").open() as pipe:
            assert pipe.readline() == "waiting\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = len(lines())
        assert before == 1 if jobs == 1 else before < 6
        # Worker processes of the killed command are perhaps still there, and hold nothing that matters.
        assert run(*GRID) == 0
        assert results() == whole
        assert len(lines()) == 6
        assert any(_is_gone(process.pid) for _ in range(300)), "worker processes outlive the command that was killed"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.usefixtures("own_workers")
def test_a_lost_worker_is_replaced_and_its_seeds_are_run_again(whole: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*GRID, observe=observe_losing_a_worker, jobs=2) == 0
    assert results() == whole
    told = capfd.readouterr().err
    died = re.search(
        r"relaysim: a worker process died while it ran ((?:small, seed \d+(?: or )?)+): killed, or out", told
    )
    # The other process's chunk may stand before it.
    assert died is not None
    assert "small, seed 300" in died[1].split(" or ")
    assert "; running what it had again" in told
    assert len(lines()) == 6


class Deadly(LocalEngine):
    """An engine of two processes of which one dies whenever a call comes to a seed; the rest is run here."""

    def __init__(self, seed: int) -> None:
        super().__init__(1)
        self.jobs, self.seed = 2, seed

    def run(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], **options: Any) -> Iterator[Any]:
        for call in calls:
            _, _, first, count, *_ = call
            if first <= self.seed < first + count:
                raise LostWorkerError("a worker process died")
            yield function(*call)


def test_a_piece_that_kills_every_worker_is_run_alone_and_then_given_up() -> None:
    plan = load_plan("small.toml")
    its = sweep_worlds.worlds_of(plan, version="0.1.0+tested", replications=600, lane=None)
    ran = sweep_worlds.Ran()
    said = "a worker process died; it died each of 3 times, also alone, with seeds 300 to 311"
    with Journal(Path("chunks.jsonl")) as journal:
        with pytest.raises(LostWorkerError) as caught:
            sweep_worlds.run_worlds(its, journal, Deadly(300), ran, tell=lambda text: None, observe=observe)
        assert str(caught.value) == said
        # Whatever else could be done is kept: all whole chunks but the one of these seeds.
        assert sorted(each.first for each in journal.chunks()) == [0, 500]
    assert ran.lost == 6


@pytest.mark.soak
@pytest.mark.usefixtures("own_workers")
def test_a_seed_that_kills_every_worker_ends_the_sweep(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_worlds, "TRIES", 2)  # each costs the seconds that a process takes to start
    with pytest.raises(UsageError, match="it died each of 2 times, also alone, with seeds"):
        run(observe=observe_losing_every_worker, jobs=2)
    # Whatever else could be done is kept.
    with Journal(Path("out/chunks.jsonl")) as journal:
        assert sorted(each.first for each in journal.chunks()) == [0, 500]
    assert "Traceback" not in capfd.readouterr().err


def peak_bytes(call: Callable[[], object]) -> int:
    """The most memory that Python's objects took meanwhile."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Broken:
    """An engine of two processes that loses the first calls, draws once more, and then works; its calls are `drawn`."""

    jobs, parent = 2, os.getpid()

    def __init__(self, *, interrupted: bool = False) -> None:
        self.interrupted = interrupted
        self.old: Iterator[tuple[Any, ...]] | None = None
        self.drawn: list[int] = []

    def run(
        self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], *, ordered: bool = True
    ) -> Generator[Any, None, None]:
        drawn = iter(calls)
        if self.old is None:
            self.old = drawn
            self.drawn += [next(drawn)[0] for _ in range(3)]
            raise KeyboardInterrupt if self.interrupted else LostWorkerError("lost")
            yield
        assert list(self.old) == []
        for call in drawn:
            self.drawn.append(call[0])
            yield function(*call)


def test_what_a_lost_worker_had_comes_after_all_the_rest_and_once() -> None:
    plan = load_plan("small.toml", grids=[GRID[1]])
    summaries = []
    for engine in (LocalEngine(1), Broken()):
        its = sweep_worlds.worlds_of(plan, version="0.1.0+tested", replications=600, lane=None)
        ran = sweep_worlds.Ran()
        with Journal(Path(f"{type(engine).__name__}.jsonl")) as journal:
            sweep_worlds.run_worlds(its, journal, engine, ran, tell=print, observe=observe)
        assert ran.cost.replications == 1200
        assert [each.places.left for each in its] == [0, 0]
        summaries.append([each.summary.to_plain() for each in its])
    assert summaries[0] == summaries[1]
    assert isinstance(engine, Broken)
    assert engine.drawn[:4] == [0, 1, 2, 3]
    assert engine.drawn[-3:] == [0, 1, 2]
    assert len(engine.drawn) == 3 + len(set(engine.drawn))


def test_memory_does_not_grow_with_what_is_still_to_be_run() -> None:
    """A billion replications, of which the first few are run; a list of their chunks would take hundreds of megabytes."""
    plan = load_plan("small.toml")

    def interrupted(engine: engines.Engine) -> None:
        its = sweep_worlds.worlds_of(plan, version="0.1.0+tested", replications=10**9, lane=None)
        with (
            Journal(Path(f"{type(engine).__name__}.jsonl")) as journal,
            pytest.raises(KeyboardInterrupt),
        ):
            sweep_worlds.run_worlds(its, journal, engine, sweep_worlds.Ran(), tell=print, observe=observe_interrupted)

    assert peak_bytes(lambda: interrupted(LocalEngine(1))) < 8_000_000
    assert peak_bytes(lambda: interrupted(Broken(interrupted=True))) < 8_000_000


# Lines that do not count


def test_a_torn_line_is_told_and_run_again(whole: str, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Path("undisturbed/chunks.jsonl")
    journal.write_bytes(b"".join(lines("undisturbed"))[:-100])
    assert run(*GRID, "--quiet", out="undisturbed") == 0
    assert results("undisturbed") == whole
    assert capsys.readouterr().err == (
        "relaysim: undisturbed/chunks.jsonl: line 6 is cut off or damaged, as when a writer is killed; those seeds are "
        "run again\n"
    )
    assert len(lines("undisturbed")) == 7


def test_equal_lines_count_once_in_whatever_order(whole: str) -> None:
    Path("out").mkdir()
    written = lines("undisturbed")
    Path("out/chunks.jsonl").write_bytes(b"".join([*reversed(written), *written]))
    assert run(*GRID, observe=observe_failing) == 0
    assert results() == whole


def test_lines_of_the_same_seeds_that_differ_are_exit_code_4(whole: str, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Path("undisturbed/chunks.jsonl")
    with Journal(journal) as opened:
        found = list(opened.chunks())
        other = dict(found[4].summary) | {"digest": "f" * 32}
        opened.append(Chunk(found[4].key, *found[4].place, other))
    Path("undisturbed/results.json").unlink()
    assert run(*GRID, out="undisturbed") == 4
    assert (
        "relaysim: small with relay.settings.first_wait_seconds=2: not deterministic: undisturbed/chunks.jsonl: "
        "seeds 250 to 499: lines 5 and 7 differ\n"
    ) in capsys.readouterr().err
    assert not Path("undisturbed/results.json").exists()


def test_other_code_other_scenarios_and_other_lanes_do_not_count(
    whole: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("--grid", "relay.settings.first_wait_seconds=1,4", out="undisturbed") == 0
    assert len(lines("undisturbed")) == 9
    assert "600 replications done already" in (told := capsys.readouterr().err)
    assert "3 lines of other scenarios or other code, which count for nothing here" in told
    assert run(*GRID, "--lane", "sdk", out="undisturbed") == 0
    assert len(lines("undisturbed")) == 15
    monkeypatch.setattr(importlib.import_module("relaysim.scenarios.timing"), "code_version", lambda: "0.1.0+other")
    assert run(*GRID, out="undisturbed") == 0
    assert len(lines("undisturbed")) == 21


def test_a_relay_from_elsewhere_is_known_by_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "bots"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for file, factory in ((tmp_path / "one_bot.py", "one_bot:make"), (package / "two_bot.py", "bots.two_bot:make")):
        seen = set()
        for content in ("a = 1\n", "a = 2\n"):
            file.write_text(content)
            sweep_worlds.source_digest.cache_clear()
            seen.add(sweep_worlds.source_digest(factory))
        assert len(seen) == 2
    (package / "helper.py").write_text("b = 1\n")
    before = sweep_worlds.source_digest("bots.two_bot:make")
    sweep_worlds.source_digest.cache_clear()
    assert sweep_worlds.source_digest("bots.two_bot:make") != before
    assert sweep_worlds.source_digest("relaysim.relay:drain") == ""
    assert "bots" not in sys.modules  # it was looked at in a world of its own


def test_a_second_sweep_into_the_same_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    with Journal(Path("out/chunks.jsonl")), pytest.raises(UsageError) as caught:
        run()
    assert str(caught.value) == (
        "out/chunks.jsonl: another process is writing it; wait for that one, or name another folder with --out"
    )


def test_progress_counts_what_was_reused_and_not_its_rate(whole: str) -> None:
    progress = Progress(done=700, total=1100, elapsed_seconds=10.0, reused=500)
    assert (progress.rate, progress.seconds_left) == (20.0, 20.0)
    Path("undisturbed/chunks.jsonl").write_bytes(b"".join(lines("undisturbed")[:2]))
    plan = load_plan("small.toml", grids=[GRID[1]])
    its = sweep_worlds.worlds_of(plan, version="0.1.0+tested", replications=600, lane=None)
    ran, seen = sweep_worlds.Ran(), list[Progress]()
    with Journal(Path("undisturbed/chunks.jsonl")) as journal:
        sweep_worlds.take_up(its, journal, ran)
        sweep_worlds.run_worlds(its, journal, LocalEngine(1), ran, tell=print, progress=seen.append, observe=observe)
    assert ran.reused == 500
    assert ran.cost.replications == 700
    assert {(each.total, each.reused) for each in seen} == {(1200, 500)}
    assert [each.done for each in seen] == sorted({each.done for each in seen})
    assert seen[-1].done == 1200


def test_a_world_that_raises_is_named_with_its_point() -> None:
    with pytest.raises(UsageError) as caught:
        run(*GRID, observe=observe_failing)
    assert str(caught.value) == (
        "small with relay.settings.first_wait_seconds=1, seed 5: RuntimeError: the relay fell over; see it: relaysim "
        "replay small.toml --seed 5 --set relay.settings.first_wait_seconds=1"
    )


# Points


def test_a_grid_is_every_combination_the_last_one_fastest() -> None:
    plan = load_plan(
        "small.toml",
        grids=[
            "relay.settings.attempts=2, 3",
            "profile_overrides.cancel_seconds={kind='uniform', low=1, high=2},0.5",
            "profile=claimed,typical",
        ],
        sets=["root_seed=9"],
    )
    assert [tuple(point.values.values()) for point in plan.points[:3]] == [
        (2, {"kind": "uniform", "low": 1, "high": 2}, "claimed"),
        (2, {"kind": "uniform", "low": 1, "high": 2}, "typical"),
        (2, 0.5, "claimed"),
    ]
    assert len(plan.points) == 8
    assert plan.points[-1].scenario.relay.settings == {"attempts": 3}
    assert plan.points[-1].scenario.backend.name == "typical"
    assert {point.scenario.root_seed for point in plan.points} == {9}


def test_a_list_is_a_point_per_line(tmp_path: Path) -> None:
    Path("points.csv").write_bytes(
        b"\xef\xbb\xbfworkload.messages,profile\r\n"
        b'"[{at_seconds = 1.0}, {at_seconds = 2.0}]",claimed\r\n\r\n[{at_seconds = 3.0}],"typical"\r\n'
    )
    plan = load_plan("small.toml", listed=Path("points.csv"))
    assert [point.values for point in plan.points] == [
        {"workload.messages": [{"at_seconds": 1.0}, {"at_seconds": 2.0}], "profile": "claimed"},
        {"workload.messages": [{"at_seconds": 3.0}], "profile": "typical"},
    ]


def test_rows_that_spreadsheets_leave_empty_do_not_count() -> None:
    Path("points.csv").write_text("root_seed,relay.settings.attempts\n7,2\n,\n\n  \n8,3\n,\n", encoding="utf-8")
    plan = load_plan("small.toml", listed=Path("points.csv"))
    assert [list(point.values.values()) for point in plan.points] == [[7, 2], [8, 3]]


def test_a_policy_file_is_the_relay_of_every_point(capsys: pytest.CaptureFixture[str]) -> None:
    settings = "[settings]\nfirst_wait_seconds = 3.5\nattempts = 5\n"
    Path("tuned.toml").write_text(f'schema = 1\npolicy = "cancel_and_retry"\n{settings}', encoding="utf-8")
    assert run("--policy", "tuned.toml", "--grid", "relay.settings.attempts=2,4") == 0
    data = json.loads(results())
    assert data["factory"] == "relaysim.relay:cancel_and_retry"
    for attempts, point in zip((2, 4), data["points"], strict=True):
        swept = ["relay.settings.first_wait_seconds=3.5", f"relay.settings.attempts={attempts}"]
        assert point["hash"] == load("small.toml", swept).hash
        assert "first_wait_seconds" in point["replay"]
    Path("tuned.toml").write_text("schema = 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"^tuned.toml: "):
        run("--policy", "tuned.toml")


def test_what_a_points_value_makes_senseless_can_be_taken_away() -> None:
    with pytest.raises(ScenarioError) as caught:
        load_plan("incident", grids=["profile=claimed,typical"])
    assert str(caught.value).endswith("(or take the map away with --set map.drop=true)")
    plan = load_plan("incident", grids=["profile=claimed,typical"], sets=["map.drop=true"])
    assert [point.scenario.map for point in plan.points] == [None, None]


@pytest.mark.parametrize(
    ("grids", "said"),
    [
        (["root_seed"], "--grid root_seed: gives no values: write PATH=V1,V2,..., e.g. relay.settings.attempts=2,3,4"),
        (["root_seed="], "--grid root_seed=: gives no values"),
        (["root_seed=[1,2"], "--grid root_seed=[1,2: has a bracket or brace that nothing closes"),
        (["title='a,b"], "--grid title='a,b: has a quote that nothing closes"),
        (["root_seed=1,,2"], "--grid root_seed=1,,2: has an empty value: between two commas there must be one"),
        (["root_seed=1,2,1"], "--grid root_seed=1,2,1: has the value 1 twice"),
        (["root_seed=1", "root_seed=2"], "--grid root_seed: is there twice"),
        (["relay.settings.waits=[1.0]", "relay.settings={}"], "--grid relay.settings: one of relay.settings and"),
        (["replications=1,2"], "--grid replications: cannot be swept; say how many worlds each point gets with"),
        (["root_seed=1,-2,3"], "--grid root_seed=-2: root_seed: must be 0 or more, not -2"),
        (["profile=claimed,typcal"], "--grid profile=typcal: profile: "),
        (["relay.settings.attempts=3,0"], "--grid relay.settings.attempts=0: relay.settings: "),
        ([f"root_seed={','.join(map(str, range(101)))}", f"title={','.join(map(str, range(100)))}"], "--grid: makes 1"),
    ],
)
def test_a_bad_grid_is_told_before_anything_runs(grids: list[str], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_plan("small.toml", grids=grids)
    assert str(caught.value).startswith(said)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "points.csv: is empty; its first line must name paths, e.g. relay.settings.attempts,root_seed"),
        (b"root_seed\n", "points.csv: has no points: below the line of paths there must be a line for each"),
        (b"root_seed,\n1,2\n", "points.csv, line 1, column 2: '' is no path: write keys with dots in between"),
        (
            b"root_seed;profile\n1;claimed\n",
            "points.csv, line 1: has semicolons between its paths; a list is read with commas",
        ),
        (b"root_seed,root_seed\n1,2\n", "points.csv, line 1: root_seed: is there twice"),
        (b"root_seed,title\n1\n", "points.csv, line 2: has 1 value, and line 1 names 2 paths"),
        (b"root_seed,title\n1,a\n\n ,b\n", "points.csv, line 4, column 1 (root_seed): is empty; write the value"),
        (b"root_seed,title\n1,a\n-2,b\n", "points.csv, line 3, column 1 (root_seed): root_seed: must be 0 or more, n"),
        (b'root_seed\n1\n\n  \n""\n2\n', "points.csv, line 5, column 1 (root_seed): is empty; write the value"),
        (b'root_seed,title\n1,a\n""\n', "points.csv, line 3: has 1 value, and line 1 names 2 paths"),
        (b'""\n1\n', "points.csv, line 1, column 1: '' is no path: write keys with dots in between"),
        (b'root_seed\n"1\n', "points.csv: line 2: is no CSV: unexpected end of data"),
        (b"root_seed\n\xff\n", "points.csv: is not UTF-8, at byte 10"),
    ],
)
def test_a_bad_list_is_told_with_line_and_column(content: bytes, said: str) -> None:
    Path("points.csv").write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        load_plan("small.toml", listed=Path("points.csv"))
    assert str(caught.value).startswith(said)
    assert len(caught.value.problems) == 1


def test_every_bad_point_is_told_at_once() -> None:
    Path("points.csv").write_text("root_seed,relay.settings.attempts\n-1,2\n1,0\nx,2\n")
    with pytest.raises(ScenarioError) as caught:
        load_plan("small.toml", listed=Path("points.csv"))
    assert [str(problem).partition(")")[0] for problem in caught.value.problems] == [
        "points.csv, line 2, column 1 (root_seed",
        "points.csv, line 3, column 2 (relay.settings.attempts",
        "points.csv, line 4, column 1 (root_seed",
    ]


# The command


def typed(*arguments: str) -> int:
    return cli.main(["sweep", *arguments, "--jobs", "1"])


def test_the_command_prints_a_table_and_writes_a_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_observe", observe)
    assert typed("small.toml", *GRID) == 0
    streams = capsys.readouterr()
    assert streams.out.startswith("No point of 2 keeps every claim; at each 5.00 % of messages fail")
    assert "Report: reports/out/sweep-small/latest/index.html\n" in streams.out
    assert streams.err.startswith("small: 200 replications in ")
    assert streams.err.endswith(": 2 points\n")
    folder = Path("reports/out/sweep-small/latest")
    assert Path("reports/out/latest").readlink().parent == Path("sweep-small")
    assert json.loads((folder / "timing.json").read_text(encoding="utf-8"))["reused"] == 0
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["relay.settings.first_wait_seconds"] for row in rows] == ["1", "2"]
    assert (rows[0]["transparent.verdict"], rows[0]["transparent.count"], rows[0]["lost"]) == ("refuted", "10", "10")
    assert typed("small.toml", *GRID, "--json", "--quiet") == 0
    again = capsys.readouterr()
    assert again.err == ""
    assert again.out == (folder / "results.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.toml"], "relaysim: nowhere.toml: there is no such file"),
        (
            ["small.toml", *GRID, "--list", "x.csv"],
            "relaysim: --list: excludes --grid: the points come from one or the",
        ),
        (["small.toml", "--list", "x.csv"], "relaysim: x.csv: cannot be read: no such file or directory"),
        (["small.toml", "--out", "small.toml"], "relaysim: --out small.toml: cannot be made"),
        (["small.toml", "--name", "../up"], "relaysim: --name ../up: '../up' cannot name"),
        (["small.toml", "--scheduler", "tcp://x"], "relaysim: --scheduler: is for --engine dask; give that, too"),
        (["small.toml", "--engine", "dask"], "relaysim: --engine dask: needs --scheduler ADDRESS"),
        (["small.toml", "--engine", "dask", "--scheduler", "x"], "relaysim: --jobs: on a cluster there are as many"),
        (["small.toml", "--replications", f"1{'0' * 9}1"], "--replications: must be 1,000,000,000 or fewer"),
        (["small.toml", "--replications", "9" * 99], "--replications: must be 1,000,000,000 or fewer"),
        (["small.toml", "--replications", "0"], "must be a whole number, 1 or more"),
    ],
)
def test_exit_code_2_for_bad_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(*arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert said in streams.err
    assert "Traceback" not in streams.err


def test_real_worlds_are_the_same_in_two_processes_and_in_one() -> None:
    arguments = ("sweep", "race", *GRID, "--replications", "60", "--quiet", "--json")
    for jobs in ("1", "2"):
        assert cli.main([*arguments, "--jobs", jobs, "--out", jobs]) == 0
    assert results("1") == results("2")
    waits = [point["latency"]["wait_seconds"]["max"] for point in json.loads(results("1"))["points"]]
    assert waits == [1.0, 2.0]


def test_strata_are_weighed_as_verify_weighs_them() -> None:
    assert (
        cli.main(["sweep", "rare_stuck", "--replications", "20", "--quiet", "--json", "--jobs", "1", "--out", "x"]) == 0
    )
    (point,) = json.loads(results("x"))["points"]
    entry, _ = verify_scenario(load("rare_stuck"), replications=20, lane_check=0)
    assert point["strata"] == entry["strata"]
    for mine, theirs in zip(point["claims"], entry["claims"], strict=True):
        assert mine == {name: theirs[name] for name in mine}


def test_the_documentation_names_every_key(whole: str) -> None:
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    data = json.loads(whole)
    named = [*data, *data["points"][0], *data["axes"][0], *json.loads(lines("undisturbed")[0])]
    assert [name for name in named if f"`{name}`" not in page] == []


def test_the_examples_of_the_documentation_run() -> None:
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    block = page.partition("    relay.settings.first_wait_seconds,")[2].partition("\n\n")[0]
    table = "relay.settings.first_wait_seconds," + block.replace("\n    ", "\n")
    Path("points.csv").write_text(table, encoding="utf-8")
    commands = re.findall(r"^    relaysim (sweep .*)$", page, re.MULTILINE)
    ran = []
    for number, typed_in in enumerate(commands):
        if "--engine dask" in typed_in:
            continue
        given = cli.command_parser().parse_args([*shlex.split(typed_in), "--quiet", "--jobs", "1"])
        given.replications, given.out = 2, Path(str(number))
        assert sweep(given, observe) == 0
        ran.append(len(json.loads(results(str(number)))["points"]))
    assert ran == [4, 6, 3, 1, 2, 2]
