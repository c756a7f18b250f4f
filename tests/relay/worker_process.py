"""A relay with the policy `drain` as a process of its own, for tests that kill it.

    python worker_process.py SOCKET

It takes messages as lines of JSON from its standard input, one answer line for each that was handed in, and pushes what it
sends on the list `sent` of the server behind SOCKET.

    python worker_process.py SOCKET doomed

Each line of its standard input is a message, a moment ("before" or "after") and a step of the store. A child, forked so
that it need not import everything anew, answers the message until it sends SIGKILL to itself at that moment: nothing is
tidied up. The answer line is its exit code.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from typing import Any

import openai
import redis.asyncio

from relaysim import relay
from relaysim.relay.drain import store_scripts

LEASE_SECONDS = 2.5
"""Long enough for a process that waits for the processor among a dozen others to renew it: a lost lease is another test."""

SWEEP_SECONDS = 0.2
STORE_TIMEOUT_SECONDS = 0.33
PATIENCE_SECONDS = 60.0
"""How long a doomed worker that never comes to its moment lives."""


class DyingClient(redis.asyncio.Redis):
    """Kills its process before a script is sent, or once it was processed."""

    when = ""
    sha = ""

    async def evalsha(self, sha: str, *arguments: Any) -> Any:  # type: ignore[override]
        if (self.when, self.sha) == ("before", sha):
            os.kill(os.getpid(), signal.SIGKILL)
        reply = await super().evalsha(sha, *arguments)
        if (self.when, self.sha) == ("after", sha):
            os.kill(os.getpid(), signal.SIGKILL)
        return reply


def worker_over(client: redis.asyncio.Redis) -> relay.Drain:
    async def send(conversation: str, text: str, *, message_ids: tuple[str, ...]) -> None:
        await client.rpush("sent", json.dumps([conversation, text, message_ids]))

    return relay.drain(
        openai.AsyncOpenAI(http_client=openai.DefaultAsyncHttpxClient(trust_env=False, verify=False)),
        client,
        send,
        lease_seconds=LEASE_SECONDS,
        sweep_seconds=SWEEP_SECONDS,
        store_timeout_seconds=STORE_TIMEOUT_SECONDS,
        burst_gap_seconds=0.0,
        poll_first_seconds=0.05,
        poll_cap_seconds=0.05,
    )


async def serve(socket: str) -> None:
    worker = worker_over(redis.asyncio.Redis(unix_socket_path=socket))
    sweeping = asyncio.create_task(worker.serve())
    while line := await asyncio.to_thread(sys.stdin.readline):
        message = relay.Message(*json.loads(line))
        await worker.handle(message)
        print(json.dumps(message.id), flush=True)
    sweeping.cancel()
    await worker.aclose()


async def serve_until_death(socket: str, message: relay.Message, when: str, step: str) -> None:
    client = DyingClient(unix_socket_path=socket)
    script = getattr(store_scripts, step.upper())
    await client.script_load(script)
    client.when, client.sha = when, hashlib.sha1(script.encode()).hexdigest()
    await worker_over(client).handle(message)
    await asyncio.sleep(PATIENCE_SECONDS)


def doom(socket: str) -> None:
    for line in sys.stdin:
        *message, when, step = json.loads(line)
        child = os.fork()
        if not child:
            asyncio.run(serve_until_death(socket, relay.Message(*message), when, step))
            os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    if sys.argv[2:] == ["doomed"]:
        doom(sys.argv[1])
    else:
        asyncio.run(serve(sys.argv[1]))
