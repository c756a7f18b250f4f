"""`python -m tests.benchmarks.intake [--quick] [--json FILE]`: how fast `relaysim-relay` takes webhooks in.

The program runs on one core, with Redis (an append-only file, synced every second), the simulated API in real time, the
provider's API and the client on the others. The client sends signed webhooks of one message each at a steady rate, whatever
has been answered by then, on connections that stay open; a webhook's time runs from the moment at which it was due. It is
measured with taking in alone, while few conversations are answered that write again and again, and while each message begins
another conversation, of which as many are answered as may be.

How long the program stood ready while others had its core is given as well: on a machine with neighbours the wall clock
measures them. The processor's time for a webhook does not depend on them much.

The goal: 200 webhooks a second on one core, 99 of 100 acknowledged within 0.1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from relaysim.sim.providers import Attempt, CustomerMessage, WhatsApp
from tests.benchmarks.measure import machine

sys.path.append(str(Path(__file__).parents[1] / "relay" / "program"))
from program_runs import Phone, Program, environment_of, keeping_server, running

GOAL_SECONDS = 0.1
RATE = 200.0
CONNECTIONS = 64


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.intake", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    options = parser.parse_args()
    rounds, seconds = (1, 10.0) if options.quick else (3, 30.0)
    cores = sorted(os.sched_getaffinity(0))
    command = "python -m tests.benchmarks.intake" + (" --quick" if options.quick else "")
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    where = {"command": command, "date": date, **machine()}
    print(f"{command}, {date}, {where['cpus']} CPUs, {where['platform']}, {where['python']}")
    print(
        f"{rounds} rounds of {seconds:.0f} s at {RATE:.0f} webhooks a second; the program on one core; least - greatest\n"
    )
    figures: dict[str, Any] = {"where": where}
    os.sched_setaffinity(0, set(cores[1:]) or set(cores))
    for name, (conversations, variables) in CASES.items():
        found = [measured(conversations, variables, seconds, cores[0]) for _ in range(rounds)]
        figures[name] = found
        print(name)
        for key in found[0]:
            values = sorted(each[key] for each in found)
            print(f"  {key:34}{values[len(values) // 2]:10.3f}  ({values[0]:.3f} - {values[-1]:.3f})")
        p99 = sorted(each["acknowledged within, 99 % (s)"] for each in found)[len(found) // 2]
        print(f"  -> goal {GOAL_SECONDS} s: {'reached' if p99 <= GOAL_SECONDS else 'missed'}\n")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


CASES = {
    "taking in alone (RELAY_ANSWERING_MAX=0)": (1_000_000, {"RELAY_ANSWERING_MAX": "0"}),
    "50 conversations, all answered": (50, {}),
    "each message from another conversation, as many answered as may be": (1_000_000, {}),
}
"""By what is measured: conversations that write in turn, and variables."""


@contextmanager
def served_api() -> Iterator[dict[str, str]]:
    """The simulated API in a process of its own, in real time."""
    command = [sys.executable, "-m", "relaysim.scenarios", "serve", "--port", "0", "--json", "--any-assistant"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield {"OPENAI_BASE_URL": told["base_url"], "OPENAI_API_KEY": "sk-simulated"}
        finally:
            process.terminate()


def measured(conversations: int, variables: dict[str, str], seconds: float, core: int) -> dict[str, float]:
    """One round: figures by what they are."""
    provider = WhatsApp()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        how = stack.enter_context(keeping_server(folder / "redis"))
        store = stack.enter_context(redis.Redis(**how))
        phone = stack.enter_context(Phone(provider))
        api = stack.enter_context(served_api())
        environment = {**environment_of(provider, phone.url, f"unix://{how['unix_socket_path']}", folder), **api}
        (folder / "policy.toml").write_text('schema = 1\npolicy = "drain"\n')  # the defaults
        environment |= {"RELAY_STOP_SECONDS": "25", **variables}
        program = stack.enter_context(running(environment, folder))
        os.sched_setaffinity(program.process.pid, {core})
        for thread in Path(f"/proc/{program.process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
        before, delay_before = cpu_seconds(program), delay_seconds(program)
        began = time.monotonic()
        waits, statuses = asyncio.run(_load(program, provider, conversations, seconds))
        took = time.monotonic() - began
        cpu, delay = cpu_seconds(program) - before, delay_seconds(program) - delay_before
        waits.sort()
        accepted = len(list(store.scan_iter("relay:message:*", count=10_000)))
        return {
            "webhooks a second": len(waits) / took,
            "acknowledged within, 50 % (s)": waits[len(waits) // 2],
            "acknowledged within, 99 % (s)": waits[int(0.99 * len(waits))],
            "acknowledged within, all (s)": waits[-1],
            "within 0.1 s by its own clock, share": _share_within(program, GOAL_SECONDS),
            "not acknowledged": float(sum(status != 200 for status in statuses)),
            "messages in Redis": float(accepted),
            "texts sent meanwhile": float(len(phone.taken)),
            "processor time, share of the core": cpu / took,
            "processor time, ms a webhook": 1000 * cpu / len(waits),
            "waited for the core, share": delay / took,
        }


def cpu_seconds(program: Program) -> float:
    """Of the program's process so far."""
    fields = Path(f"/proc/{program.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _share_within(program: Program, seconds: float) -> float:
    """Of all webhooks so far: from their head to their answer, without what the client's side waited for."""
    told = dict(
        line.rsplit(" ", 1)
        for line in program.ask("GET", "/metrics")[1].decode().splitlines()
        if line.startswith("relay_webhook_seconds")
    )
    within = float(told[f'relay_webhook_seconds_bucket{{le="{seconds}"}}'])
    return within / float(told["relay_webhook_seconds_count"])


def delay_seconds(program: Program) -> float:
    """How long it was ready to run while others had its core: what a shared machine adds to each wait."""
    return int(Path(f"/proc/{program.process.pid}/schedstat").read_text().split()[1]) / 1e9


async def _load(
    program: Program, provider: WhatsApp, conversations: int, seconds: float
) -> tuple[list[float], list[int]]:
    count = round(RATE * seconds)
    requests = []
    for number in range(count):
        conversation = f"c{number % conversations + 1}"
        told = CustomerMessage(f"{conversation}.m{number}", conversation, f"Message {number}", 1.8e9, number)
        request = provider.webhook([told], Attempt())
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        length = f"content-length: {len(request.body)}\r\n\r\n"
        requests.append(f"POST /webhook HTTP/1.1\r\n{head}{length}".encode() + request.body)
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    waits: list[float] = []
    statuses: list[int] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
        while True:
            due, request = await waiting.get()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            waits.append(time.monotonic() - due)
            statuses.append(int(head.split()[1]))
            waiting.task_done()

    tasks = [asyncio.create_task(connection()) for _ in range(CONNECTIONS)]
    began = time.monotonic()
    for number, request in enumerate(requests):
        due = began + number / RATE
        if (left := due - time.monotonic()) > 0:
            await asyncio.sleep(left)
        waiting.put_nowait((due, request))
    await waiting.join()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return waits, statuses


if __name__ == "__main__":
    sys.exit(main())
