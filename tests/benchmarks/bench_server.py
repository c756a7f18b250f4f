"""`python -m tests.benchmarks.bench_server [--quick] [--json FILE]`: the simulated API on a real socket.

Two servers run side by side, each in a process of its own, under the same uvicorn protocol: a bare ASGI application that
reads the request and answers a canned body, and the simulated API. A third process is the client: 64 connections, each of
which sends its next request as soon as it has the answer to the last. Rounds alternate between the servers. Requests per
second are given of the wall clock and of the server's own CPU time; the goal is judged by the latter, since the machine
may be shared. Then memory: what the simulated API's process holds after 20,000 and after 100,000 requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

GOAL_OF_BARE = 0.5
GOAL_GROWTH = 1.1

CONNECTIONS = 64
STEPS = (20_000, 40_000, 60_000, 80_000, 100_000)
KINDS = ("bare", "simulated")

# As many and as large as those that the SDK sends.
_HEADERS = (
    "host: 127.0.0.1\r\n"
    "accept-encoding: gzip, deflate\r\n"
    "connection: keep-alive\r\n"
    "accept: application/json\r\n"
    "content-type: application/json\r\n"
    "user-agent: AsyncOpenAI/Python 3.54.0\r\n"
    "x-stainless-lang: python\r\n"
    "x-stainless-package-version: 3.54.0\r\n"
    "x-stainless-os: Linux\r\n"
    "x-stainless-arch: x64\r\n"
    "x-stainless-runtime: CPython\r\n"
    "x-stainless-runtime-version: 3.11.7\r\n"
    "authorization: Bearer sk-simulated-0000000000000000\r\n"
    "openai-beta: assistants=v2\r\n"
    "x-stainless-async: async:asyncio\r\n"
    "x-stainless-retry-count: 0\r\n"
    "x-stainless-read-timeout: 600\r\n"
)
_CANNED = json.dumps(
    {
        "id": "thread_" + "a" * 24,
        "object": "thread.message",
        "created_at": 1762257600,
        "thread_id": "thread_" + "a" * 24,
        "role": "user",
        "content": [{"type": "text", "text": {"value": "Question", "annotations": []}}],
        "attachments": [],
        "metadata": {},
        "status": "completed",
    },
    separators=(",", ":"),
).encode()

_CANNED_HEADERS = [
    (b"content-type", b"application/json"),
    (b"x-request-id", b"req_" + b"0" * 32),
    (b"openai-processing-ms", b"0"),
    (b"openai-version", b"2020-10-01"),
    (b"content-length", str(len(_CANNED)).encode()),
]


# The servers


class Bare:
    """A bare ASGI application, with what a listener asks of a server."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Read the request and answer the canned body."""
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": _CANNED_HEADERS})
        await send({"type": "http.response.body", "body": _CANNED})

    def start(self, door: object) -> None:
        """Nothing to start."""

    def end_waiting(self) -> None:
        """Nothing waits."""

    def stop(self) -> None:
        """Nothing to stop."""


async def _serve(kind: str, threads_max: int, records_max: int) -> None:
    from relaysim.sim.doors.server.app import SimulatedServer
    from relaysim.sim.doors.server.listener import Listener, own_process
    from relaysim.sim.doors.simulation import ApiSettings

    if kind == "bare":
        server = cast("SimulatedServer", Bare())
    else:
        settings = ApiSettings(assistants="any", latency=False, threads_max=threads_max, trace_records_max=records_max)
        server = SimulatedServer(settings)
    listener = Listener(server)
    await listener.start()
    own_process()
    print(listener.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await listener.stop()


@dataclass(slots=True)
class Running:
    """A server in a process of its own."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """CPU time that its process has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Memory that its process holds."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def running(kind: str, threads_max: int = 10_000, records_max: int = 100_000) -> Iterator[Running]:
    """A server of that kind, until the block ends."""
    command = [sys.executable, "-m", __spec__.name, "--serve", kind, str(threads_max), str(records_max)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Running(int(process.stdout.readline()), process.pid)
        finally:
            process.communicate("")


# The client


class _Client(asyncio.Protocol):
    """One connection, which asks for its next request as soon as it has the last answer."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = bytearray()
        self._missing = 0  # bytes of the body that have not arrived; 0: the head has not
        self._step = 0
        self._thread = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def _next(self) -> None:
        if self._load.left == 0:
            self._transport.close()
            return
        self._load.left -= 1
        step = self._step % 13
        path, method, body = b"/v1/threads/" + self._thread, b"GET", b""
        if step == 0:
            path, method, body = b"/v1/threads", b"POST", b"{}"
        elif step % 3 == 1:
            path, method, body = path + b"/messages", b"POST", b'{"role":"user","content":"Question %d"}' % self._step
        elif step % 3 == 2:
            path += b"/messages?limit=1&order=desc"  # what relays ask for: the newest answer
        length = b"content-length: %d\r\n" % len(body) if body else b""
        self._sent = time.perf_counter()
        self._transport.write(b"%b %b HTTP/1.1\r\n%b%b\r\n%b" % (method, path, _HEADERS.encode(), length, body))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._missing:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end]).lower()
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(f"unexpected answer: {bytes(self._received)!r}")
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self._missing = end + 4 + length
        if len(self._received) < self._missing:
            return
        self._load.latencies.append(time.perf_counter() - self._sent)
        if self._step % 13 == 0:
            at = self._received.find(b'"id":"thread_') + 6
            self._thread = bytes(self._received[at : at + 31])
        self._received.clear()
        self._missing = 0
        self._step += 1
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.open -= 1
        if self._load.open == 0:
            self._load.done.set_result(None)


@dataclass(slots=True)
class _Load:
    left: int
    done: asyncio.Future[None]
    open: int = CONNECTIONS
    latencies: list[float] = field(default_factory=list)


async def _generate(port: int, requests: int) -> None:
    loop = asyncio.get_running_loop()
    load = _Load(requests, loop.create_future())
    begun = time.perf_counter()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: _Client(load), "127.0.0.1", port)
    await load.done
    seconds = time.perf_counter() - begun
    assert len(load.latencies) == requests, (len(load.latencies), requests)
    cuts = statistics.quantiles(load.latencies, n=100)
    print(json.dumps({"seconds": seconds, "p50": cuts[49], "p99": cuts[98]}))


def send_load(port: int, requests: int) -> dict[str, float]:
    """Send requests over 64 connections, from a process of its own: `seconds` in all, `p50` and `p99` of one."""
    command = [sys.executable, "-m", __spec__.name, "--generate", str(port), str(requests)]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return result


# The measurements


def throughput(rounds: int, requests: int) -> dict[str, Any]:
    """Requests per second and latencies of both servers, in alternating rounds, after one round that does not count."""
    per_wall: dict[str, list[float]] = {kind: [] for kind in KINDS}
    per_cpu: dict[str, list[float]] = {kind: [] for kind in KINDS}
    p99: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(running(kind)) for kind in KINDS}
        for number in range(-1, rounds):
            for kind in KINDS if number % 2 else KINDS[::-1]:
                before = servers[kind].cpu_seconds()
                result = send_load(servers[kind].port, requests)
                taken = servers[kind].cpu_seconds() - before
                if number >= 0:
                    per_wall[kind].append(requests / result["seconds"])
                    per_cpu[kind].append(requests / taken)
                    p99[kind].append(result["p99"])
    print(f"Requests on a real socket, {CONNECTIONS} connections, {rounds} alternating rounds of {requests:,} requests")
    for kind in KINDS:
        print(
            f"  {kind:12}{_spread(per_wall[kind])} per second  {_spread(per_cpu[kind])} per CPU second of the server  "
            f"p99 {_spread([1000 * each for each in p99[kind]], 1)} ms"
        )
    ratios = {
        clock: [ours / bare for ours, bare in zip(each["simulated"], each["bare"], strict=True)]
        for clock, each in (("wall", per_wall), ("cpu", per_cpu))
    }
    verdict = "reached" if statistics.median(ratios["cpu"]) >= GOAL_OF_BARE else "missed"
    print(f"  -> simulated / bare: {_spread(ratios['cpu'], 2)} per CPU second   goal {GOAL_OF_BARE:g}: {verdict}")
    print(f"  -> simulated / bare: {_spread(ratios['wall'], 2)} per second")
    return {
        "per_second": per_wall,
        "per_cpu_second": per_cpu,
        "p99_seconds": p99,
        "ratios": ratios,
        "goal": GOAL_OF_BARE,
    }


def memory(steps: tuple[int, ...]) -> dict[str, Any]:
    """What the process holds after so many requests, with 1,000 threads and 10,000 records kept."""
    held: dict[int, int] = {}
    sent = 0
    with running("simulated", threads_max=1_000, records_max=10_000) as server:
        for step in steps:
            send_load(server.port, step - sent)
            sent = step
            held[step] = server.resident_bytes()
    growth = held[steps[-1]] / held[steps[0]]
    shown = ", ".join(f"{count:,}: {size / 2**20:.1f} MiB" for count, size in held.items())
    verdict = "reached" if growth <= GOAL_GROWTH else "missed"
    print(f"Memory after requests: {shown}")
    print(f"  -> last / first: {growth:.3f}   goal {GOAL_GROWTH:g}: {verdict}")
    return {"resident_bytes": held, "growth": growth, "goal": GOAL_GROWTH}


def _spread(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} - {max(values):,.{digits}f})"


def main() -> int:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_server", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    parser.add_argument("--serve", nargs=3, metavar=("KIND", "THREADS", "RECORDS"), help=argparse.SUPPRESS)
    parser.add_argument("--generate", nargs=2, type=int, metavar=("PORT", "REQUESTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(_serve(options.serve[0], int(options.serve[1]), int(options.serve[2])))
        return 0
    if options.generate is not None:
        asyncio.run(_generate(*options.generate))
        return 0
    figures = {
        "requests": throughput(5, 4_000) if options.quick else throughput(15, 20_000),
        "memory": memory((5_000, 20_000) if options.quick else STEPS),
    }
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
