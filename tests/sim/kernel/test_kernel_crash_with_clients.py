"""A host crashes while the real OpenAI SDK and redis-py wait on it: the lock that a `finally` would release stays held."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from typing import Any, Literal

import pytest

from relaysim.sim import redis as simulated_redis
from relaysim.sim.backends.profile import load_profile
from relaysim.sim.backends.threads.backend import THREADS
from relaysim.sim.doors import Network, keyed_retry_jitter, make_client, warm_up
from relaysim.sim.kernel import EPOCH_SECONDS, Fence, Host, Kernel

LOCK_SECONDS = 30.0

CRASHES = [0.0005, 0.002, 0.01, 0.1, 0.3, 1.0, 2.0]
"""Seconds at which the host crashes: while it connects, takes the lock, writes, creates its run, polls."""

Lane = Literal["sdk", "direct"]


class World:
    """A host that answers a message under a lock, and a record of everything it sends."""

    def __init__(self, lane: Lane, said: list[str]) -> None:
        self.kernel = kernel = Kernel(7, 8)
        self.lane = lane
        self.said = said
        profile = load_profile("typical")
        self.service = THREADS.start(kernel, profile, now=lambda: EPOCH_SECONDS + kernel.now, trace=kernel.trace)
        self.network = Network(kernel, self.service, profile)
        self.link = simulated_redis.RedisLink(kernel, lambda u: 0.001 * (0.5 + u))
        self.thread = self.service.create_thread()["id"]
        self.sent: list[tuple[float, str]] = []
        submit, attempt = self.link.submit, self.network.attempt

        def note_submit(worker: str, *args: Any) -> Any:
            self.sent.append((kernel.now, worker))
            return submit(worker, *args)

        def note_attempt(host: Host, *args: Any) -> Any:
            self.sent.append((kernel.now, host.name))
            return attempt(host, *args)

        self.link.submit = note_submit  # type: ignore[method-assign]
        self.network.attempt = note_attempt  # type: ignore[method-assign]

    def start(self, name: str) -> Host:
        host = self.kernel.host(name)
        openai_client = make_client(self.kernel, host, self.network, self.lane)
        redis_client = simulated_redis.make_client(host, self.link, self.lane)
        host.spawn(self._answer(name, openai_client, redis_client))
        return host

    async def _answer(self, name: str, openai_client: Any, redis_client: Any) -> None:
        threads = openai_client.beta.threads
        try:
            async with redis_client.lock("lock:thread", timeout=LOCK_SECONDS, sleep=0.5):
                self.said.append(f"{name} has the lock at {self.kernel.now:.0f} s")
                try:
                    await threads.messages.create(self.thread, role="user", content="Hello")
                    run = await threads.runs.create(self.thread, assistant_id="asst_relaysim")
                    while run.status in ("queued", "in_progress"):
                        await redis_client.set("polled", "1")
                        run = await threads.runs.retrieve(run.id, thread_id=self.thread)
                finally:
                    self.said.append(f"{name} clears up")
                    await redis_client.set("cleared", name)
        except BaseException as error:
            self.said.append(f"{name} meets {type(error).__name__}")
            raise

    @property
    def is_locked(self) -> bool:
        return b"lock:thread" in self.link.server.dbs[0]._dict


@contextmanager
def world(lane: Lane, said: list[str]) -> Iterator[World]:
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", DeprecationWarning)
        warm_up()
        simulated_redis.warm_up()
        fence = stack.enter_context(Fence())
        stack.enter_context(keyed_retry_jitter())
        made = World(lane, said)
        fence.attach(made.kernel)
        try:
            yield made
        finally:
            fence.attach(None)


@pytest.mark.parametrize("crash_at", CRASHES)
@pytest.mark.parametrize("lane", ["sdk", "direct"])
def test_a_crashed_host_sends_nothing_more_and_its_lock_stays(lane: Lane, crash_at: float) -> None:
    said: list[str] = []
    with world(lane, said) as made:
        kernel = made.kernel
        host = made.start("w1")
        kernel.run(until=crash_at)
        sent_before, said_before, was_locked = list(made.sent), list(said), made.is_locked
        host.crash()
        kernel.run(until=crash_at + LOCK_SECONDS / 2)
        gc.collect()
        assert made.is_locked or not was_locked
        kernel.run(until=crash_at + LOCK_SECONDS * 2)
        kernel.close()
        gc.collect()
        assert made.sent == sent_before
        assert said == said_before
        made.link.close()
    del made, host, kernel
    gc.collect()
    assert said == said_before


@pytest.mark.parametrize("lane", ["sdk", "direct"])
def test_another_host_gets_the_lock_when_it_runs_out_and_not_before(lane: Lane) -> None:
    said: list[str] = []
    with world(lane, said) as made:
        first = made.start("w1")
        made.kernel.at(1.0, first.crash)
        made.kernel.at(2.0, made.start, "w2")
        made.kernel.run(until=LOCK_SECONDS + 2)
        assert said == ["w1 has the lock at 0 s", "w2 has the lock at 30 s"]
        made.kernel.close()
        made.link.close()
    assert said[2:] == ["w2 clears up", "w2 meets CancelledError"]


@pytest.mark.parametrize("lane", ["sdk", "direct"])
def test_without_a_crash_closing_the_world_releases_the_lock(lane: Lane) -> None:
    """What the tests above rely on: there is something that a crash must suppress."""
    said: list[str] = []
    with world(lane, said) as made:
        made.start("w1")
        made.kernel.run(until=1.0)
        assert made.is_locked
        made.kernel.close()
        assert not made.is_locked
        made.link.close()
    assert said == ["w1 has the lock at 0 s", "w1 clears up", "w1 meets CancelledError"]


AT_EXIT = """
import json, os, sys
sys.path.insert(0, "tests/sim/kernel")
from relaysim.sim.kernel import power_cut
from test_kernel_crash_with_clients import world

class Loud(list):
    def append(self, text, write=os.write):  # works to the very end of the interpreter, unlike print
        write(1, text.encode() + b"\\n")

def live(marking, closed):
    if not marking:
        power_cut._place = None
    with world("sdk", Loud()) as made:
        host = made.start("w1")
        made.kernel.at(1.0, host.crash)
        made.kernel.run(until=5.0)
        if closed:
            made.kernel.close()
    print("the end", flush=True)

# Each life is that of a process of its own, whose interpreter ends as any does; what it stands on is loaded once.
with world("sdk", []):
    pass
for marking, closed in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        live(marking, closed)
        break
    _, status = os.waitpid(child, 0)
    print("ended", os.waitstatus_to_exitcode(status), flush=True)
"""


def test_nothing_is_released_when_the_interpreter_ends() -> None:
    lives = list(product((True, False), repeat=2))  # whether frames are marked, and whether the world is closed
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT, json.dumps(lives)], capture_output=True, text=True, check=False
    )
    expected = "w1 has the lock at 0 s\nthe end\nended 0\n" * len(lives)
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")
