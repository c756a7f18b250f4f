"""A worker process is killed, and another one finishes its work: real processes, a real server, sockets in between.

The API's time can stand still, so that a run is under way for as long as a test wants.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from relaysim.relay import Outcome
from relaysim.sim.backends.threads.fixtures import ServedOpenAI

WORKER = Path(__file__).with_name("worker_process.py")
SPEED = 20.0
"""Virtual seconds of the API per real second: its runs take about half a second."""

PATIENCE_SECONDS = 60.0
"""How long a test waits for what takes a second on a machine with nothing else to do."""

Worker = subprocess.Popen[str]


@pytest.fixture(scope="module")
def api() -> Iterator[ServedOpenAI]:
    with ServedOpenAI(speed=SPEED) as served:
        yield served


@pytest.fixture(scope="module")
def store(valkey_connection: dict[str, Any]) -> Iterator[redis.Redis]:
    with redis.Redis(**valkey_connection, decode_responses=True) as client:
        client.flushall()
        yield client


@contextmanager
def started(connection: dict[str, Any], api: ServedOpenAI, *mode: str) -> Iterator[Worker]:
    """A worker process, killed in the end if it still lives."""
    command = [sys.executable, "-W", "ignore", str(WORKER), connection["unix_socket_path"], *mode]
    environment = {**os.environ, **api.environment()}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as worker:
        try:
            yield worker
        finally:
            worker.kill()


@pytest.fixture(scope="module")
def heir(valkey_connection: dict[str, Any], api: ServedOpenAI, store: redis.Redis) -> Iterator[Worker]:
    """The worker that lives on through all tests."""
    with started(valkey_connection, api) as worker:
        yield worker


@pytest.fixture(scope="module")
def doomed(valkey_connection: dict[str, Any], api: ServedOpenAI) -> Iterator[Worker]:
    """Makes workers that kill themselves at a moment one chooses."""
    with started(valkey_connection, api, "doomed") as worker:
        yield worker


def until(happened: Callable[[], Any]) -> Any:
    """What `happened` returns once it is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return result


def tell(worker: Worker, *words: str) -> Any:
    """Give a process a line; returns its answer."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(words) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def sent(store: redis.Redis, conversation: str) -> list[Any]:
    """What a customer got, and for which messages."""
    lines = [json.loads(line) for line in store.lrange("sent", 0, -1)]
    return [[text, ids] for to, text, ids in lines if to == conversation]


def outcome(store: redis.Redis, conversation: str, id: str) -> str | None:
    return store.hget(f"relay:message:{conversation}:{id}", "outcome")


def test_another_worker_finishes_what_a_killed_one_began(
    api: ServedOpenAI, store: redis.Redis, heir: Worker, valkey_connection: dict[str, Any]
) -> None:
    customer = "customer 7"
    with started(valkey_connection, api) as killed:
        api.set_speed(0)
        assert tell(killed, "m1", customer, "Bom dia") == "m1"
        run_id = until(lambda: store.hget(f"relay:conversation:{customer}", "run"))
        assert tell(killed, "m2", customer, "Está aberto?") == "m2"
        killed.send_signal(signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
    until(lambda: int(store.hget(f"relay:conversation:{customer}", "epoch")) >= 2)

    api.set_speed(SPEED)
    until(lambda: outcome(store, customer, "m2"))
    assert heir.poll() is None
    assert [outcome(store, customer, id) for id in ("m1", "m2")] == [Outcome.ANSWERED, Outcome.ANSWERED]
    thread = store.get(f"thread:{customer}")
    runs = api.runs(thread)
    assert [run["status"] for run in runs] == ["completed", "completed"]
    assert run_id in [run["id"] for run in runs]
    said = api.transcript(thread)
    assert [text for role, text in said if role == "user"] == ["Bom dia", "Está aberto?"]
    answers = [text for role, text in said if role == "assistant"]
    assert sent(store, customer) == [[answers[0], ["m1"]], [answers[1], ["m2"]]]
    until(lambda: store.get(f"relay:lease:{customer}") is None)
    assert not store.exists(f"relay:inbox:{customer}", f"relay:texts:{customer}", "relay:due")


MOMENTS = [
    ("after", "accept", Outcome.ANSWERED, 1),
    ("after", "intend", Outcome.ANSWERED, 1),
    ("before", "started", Outcome.ANSWERED, 1),
    ("before", "begin_send", Outcome.ANSWERED, 1),
    ("after", "begin_send", Outcome.UNKNOWN, 0),
    ("before", "end", Outcome.UNKNOWN, 1),
    ("after", "end", Outcome.ANSWERED, 1),
]


@pytest.fixture(scope="module")
def exit_codes(api: ServedOpenAI, heir: Worker, doomed: Worker) -> dict[str, int]:
    """Of workers that were killed at each of the moments. All are killed before any test looks, so that their leases run out
    together, in real time."""
    return {
        f"{when} {step}": tell(doomed, "m1", f"customer of {when} {step}", "Bom dia", when, step)
        for when, step, *_ in MOMENTS
    }


@pytest.mark.parametrize(("when", "step", "ends", "sends"), MOMENTS)
def test_wherever_it_is_killed_a_message_ends_once(
    when: str,
    step: str,
    ends: Outcome,
    sends: int,
    api: ServedOpenAI,
    store: redis.Redis,
    heir: Worker,
    exit_codes: dict[str, int],
) -> None:
    """Two of these moments are the residue: whether the text left is known to nobody, and it is not sent again."""
    customer = f"customer of {when} {step}"
    assert exit_codes[f"{when} {step}"] == -signal.SIGKILL
    until(lambda: outcome(store, customer, "m1"))
    assert outcome(store, customer, "m1") == ends
    until(lambda: store.get(f"relay:lease:{customer}") is None)
    assert heir.poll() is None
    assert [ids for _, ids in sent(store, customer)] == [["m1"]] * sends
    thread = store.get(f"thread:{customer}")
    assert [run["status"] for run in api.runs(thread)] == ["completed"]
    assert [text for role, text in api.transcript(thread) if role == "user"] == ["Bom dia"]
