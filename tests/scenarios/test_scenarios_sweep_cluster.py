"""Goal: a sweep on a Dask cluster counts what it counts here, also when a worker is killed; and no worker that runs other
code counts anything.

Method: a real scheduler and real workers as processes of their own, on the loopback interface.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import observe, write
from sweep_stand_ins import FOLDER, observe_losing_a_worker

from relaysim.scenarios import cli
from relaysim.scenarios.commands.command_line import UsageError
from relaysim.scenarios.commands.sweep import sweep
from relaysim.scenarios.engines import ClusterEngine, ClusterError
from relaysim.scenarios.runner import Observe
from relaysim.scenarios.sweep import sweep_worlds

pytest.importorskip("distributed")

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


class Cluster:
    """A scheduler, and workers as they are started; all of them end with the block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", FOLDER: str(folder)}
        self._start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self._wait(lambda: self.file.exists() and self.file.read_text().endswith("}"))  # there, and written to its end
        self.address: str = json.loads(self.file.read_text())["address"]

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--scheduler-file", str(self.file), *arguments]
        with (self.folder / "cluster.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(command, stdout=log, stderr=log, env=self._environment, cwd=self.folder)
            )
        return self.processes[-1]

    def worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until the scheduler knows it."""
        from distributed import Client

        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder))
        with Client(self.address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            known = len(client.scheduler_info(n_workers=-1)["workers"])
            process = self._start("dask_worker", *options, *arguments)
            client.wait_for_workers(known + 1, timeout=60)
        return process

    def _wait(self, until: object) -> None:
        for _ in range(600):
            if until():  # type: ignore[operator]
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "cluster.log").read_text())

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
        for process in self.processes:
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as held:
        made = Cluster(tmp_path_factory.mktemp("cluster"))
        held.callback(made.end)
        made.worker()
        made.worker("--nthreads", "2")  # the later option counts
        yield made


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.import_module("relaysim.reports.sweep_figures"), "draw_sweep", lambda _: {})
    write(tmp_path)


def run(*arguments: str, observe: Observe | None = observe, out: str = "out", scenario: str = "small.toml") -> str:
    given = ["sweep", scenario, "--grid", "relay.settings.first_wait_seconds=1,2", "--quiet", "--out", out, *arguments]
    assert sweep(cli.command_parser().parse_args(given), observe) == 0
    return (Path(out) / "results.json").read_text(encoding="utf-8")


def on(cluster: Cluster) -> tuple[str, ...]:
    return "--engine", "dask", "--scheduler", cluster.address


def test_a_cluster_counts_what_this_machine_counts(cluster: Cluster) -> None:
    assert run(*on(cluster), "--replications", "600") == run("--jobs", "1", "--replications", "600", out="here")
    here, there = (Path(folder, "chunks.jsonl").read_text().splitlines() for folder in ("here", "out"))
    assert sorted(here) == sorted(there)


def test_real_worlds_are_the_same_there(cluster: Cluster) -> None:
    given = ("--replications", "12")
    there = run(*on(cluster), *given, observe=None, scenario="race")
    assert there == run("--jobs", "1", *given, observe=None, scenario="race", out="here")


def test_a_worker_with_other_code_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        importlib.import_module("relaysim.scenarios.sweep.sweep_worlds"), "code_version", lambda: "0.1.0+other"
    )
    with pytest.raises(UsageError) as caught:
        run(*on(cluster))
    assert str(caught.value).startswith("worker tcp://127.0.0.1:")
    assert " runs other code than this process: {'relaysim': '0.1.0+" in str(caught.value)
    assert not Path("out/results.json").exists()


def test_a_worker_without_the_relays_module_is_named(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("from relay import cancel_and_retry as make\n")
    with pytest.raises(UsageError) as caught:
        run(*on(cluster), "--factory", "only_here:make", "--replications", "2")
    assert str(caught.value).startswith("worker tcp://127.0.0.1:")
    assert "only_here" in str(caught.value)


def test_nobody_there_is_one_clear_error() -> None:
    with pytest.raises(ClusterError) as caught, ClusterEngine("tcp://127.0.0.1:1", str, connect_seconds=0.5):
        pass
    assert str(caught.value).startswith("--scheduler tcp://127.0.0.1:1: no Dask scheduler answers there")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nonsense", "is no address of a scheduler"),
        ("127.0.0.1", "is no address of a scheduler"),
        (":8786", "is no address of a scheduler"),
        ("tcp://a b:1", "is no address of a scheduler"),
        ("tcp://x:99999", "is no address of a scheduler"),
        ("nonsense://x:1", "is no address of a scheduler"),
        ("inproc://x/1", "is no address of a scheduler"),
        ("tls://127.0.0.1:8786", "needs certificates"),
    ],
)
def test_what_is_no_address_is_told_without_trying(
    address: str, said: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried(*_: object, **__: object) -> None:
        raise AssertionError("an address that cannot be one was tried")

    monkeypatch.setattr("distributed.Client", tried)
    monkeypatch.setattr(ClusterEngine, "_ask", tried)
    assert cli.main(["sweep", "small.toml", "--engine", "dask", "--scheduler", address, "--out", "out"]) == 2
    told = capfd.readouterr().err
    assert told.startswith(f"relaysim: --scheduler {address}: {said}")
    assert told.count("\n") == 1


def test_nobody_there_leaves_no_client_behind(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ClusterError), ClusterEngine("tcp://127.0.0.1:1", str, connect_seconds=0.5):
        pass
    gc.collect()
    assert capfd.readouterr().err == ""


def test_what_is_no_scheduler_is_told(cluster: Cluster) -> None:
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        worker = next(iter(client.scheduler_info()["workers"]))
    with (
        pytest.raises(ClusterError, match=r"no Dask scheduler answers there \(it is a Worker\)"),
        ClusterEngine(worker, str),
    ):
        pass


def test_an_interrupt_prints_nothing_of_its_own(
    cluster: Cluster, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Small calls, so that results are on their way when the connection is closed."""
    gc.collect()  # a connection that an earlier test broke off may complain when it is collected
    caplog.clear()
    capfd.readouterr()
    for take in (1, 7, 20, 33, 50):
        with (
            ClusterEngine(cluster.address, str) as engine,
            closing(engine.run(pow, ((2, each) for each in range(1000)), ordered=False)) as found,
        ):
            assert len(list(islice(found, take))) == take
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []
    assert capfd.readouterr().err == ""


def test_a_killed_worker_costs_nothing_but_time(cluster: Cluster) -> None:
    """The last one, because a worker is then missing."""
    assert run(*on(cluster), "--replications", "1500", observe=observe_losing_a_worker) == run(
        "--jobs", "1", "--replications", "1500", out="here"
    )
    ended = [process.poll() for process in cluster.processes]
    assert sorted(ended, key=str) == [-signal.SIGKILL, None, None]


@pytest.mark.parametrize("when", [pytest.param("first", marks=pytest.mark.soak), "during"])
def test_a_scheduler_that_is_killed_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], when: str
) -> None:
    monkeypatch.setattr(ClusterEngine.__init__, "__kwdefaults__", {"connect_seconds": 2.0})
    run("--jobs", "1", "--replications", "600", out="here")
    with ExitStack() as held:
        made = Cluster(tmp_path)
        held.callback(made.end)
        made.worker()
        kept = sweep_worlds._keep

        def kill(*arguments: Any) -> None:
            if when == "during":
                kept(*arguments)
            made.processes[0].kill()
            monkeypatch.setattr(sweep_worlds, "_keep", kept)
            if when == "first":
                kept(*arguments)

        monkeypatch.setattr(sweep_worlds, "_keep", kill)
        capfd.readouterr()
        given = ["sweep", "small.toml", "--grid", "relay.settings.first_wait_seconds=1,2", "--quiet", "--out", "out"]
        monkeypatch.setattr(cli.sweep, "sweep", lambda arguments: sweep(arguments, observe))
        assert cli.main([*given, "--replications", "600", *on(made)]) == 2
        gc.collect()
        told = capfd.readouterr().err
        assert told.startswith(f"relaysim: the scheduler at {made.address} cannot be reached any more; ")
        assert told.endswith(
            " of 1,200 replications kept in out/chunks.jsonl; the same command goes on from there, or, without "
            "--engine and --scheduler, on this machine\n"
        )
        assert told.count("\n") == 1
        assert Path("out/chunks.jsonl").read_bytes()
    assert run("--jobs", "1", "--replications", "600") == Path("here/results.json").read_text(encoding="utf-8")


def test_a_cluster_without_workers_is_one_clear_error(tmp_path: Path) -> None:
    with ExitStack() as held:
        alone = Cluster(tmp_path)
        held.callback(alone.end)
        with (
            pytest.raises(ClusterError, match="the scheduler has no workers; start some with `dask worker tcp://"),
            ClusterEngine(alone.address, str),
        ):
            pass
