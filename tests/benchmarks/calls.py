"""The SDK's calls, recorded in a simulated world, and replayed on plain asyncio against canned answers.

Both sides make the same calls with the same arguments, get the same status, headers and bodies, and build their clients
in the same way and equally often. What the replay lacks is what the simulator adds: network, service, kernel, trace.
What it has in addition is a real thread: each client's first call asks for the platform in one, and the simulator runs
such jobs inline. The fence's audit hook cannot be taken out of a process again and looks on in both; outside a world it
does next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai

from relaysim.sim.backends.threads.backend import THREADS
from relaysim.sim.doors import Network, SimTransport, keyed_retry_jitter, load_profile
from relaysim.sim.doors.transport import API_KEY, BASE_URL
from relaysim.sim.kernel import EPOCH_SECONDS, Fence, Host, Kernel

METHODS = ("create", "retrieve", "list", "cancel")


@dataclass(slots=True)
class Script:
    """What one client was asked, call by call, and what the network answered."""

    calls: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    answers: list[tuple[int, list[tuple[bytes, bytes]], bytes]] = field(default_factory=list)


def client_on(transport: httpx2.AsyncBaseTransport) -> openai.AsyncOpenAI:
    """A client as the `sdk` lane builds it."""
    http_client = openai.DefaultAsyncHttpxClient(transport=transport, trust_env=False)
    return openai.AsyncOpenAI(api_key=API_KEY, base_url=BASE_URL, http_client=http_client)


def _resource(client: openai.AsyncOpenAI, name: str) -> Any:
    threads = client.beta.threads
    return {"threads": threads, "messages": threads.messages, "runs": threads.runs}[name]


class RecordingTransport(SimTransport):
    """The simulated transport, which also writes down its answers."""

    script: Script

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        self.script.answers.append((response.status_code, list(response.headers.raw), response.content))
        return response


def recording_client(host: Host, network: Network, script: Script) -> openai.AsyncOpenAI:
    """A client of the `sdk` lane that writes down what is called and what is answered."""
    transport = RecordingTransport(host, network)
    transport.script = script
    client = client_on(transport)

    def watch(resource: Any, name: str, method: str) -> None:
        original = getattr(resource, method)

        def call(*args: Any, **kwargs: Any) -> Any:
            script.calls.append((name, method, args, kwargs))
            return original(*args, **kwargs)

        setattr(resource, method, call)

    for name in ("threads", "messages", "runs"):
        resource = _resource(client, name)
        for method in METHODS:
            if hasattr(resource, method):
                watch(resource, name, method)
    return client


class CannedTransport(httpx2.AsyncBaseTransport):
    """Answers at once, in order."""

    def __init__(self, script: Script) -> None:
        self._answers = iter(script.answers)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        status, headers, content = next(self._answers)
        return httpx2.Response(status, headers=headers, content=content)


async def replay(scripts: list[Script]) -> int:
    """Make all calls; returns the number of requests."""
    for script in scripts:
        client = client_on(CannedTransport(script))
        resources = {name: _resource(client, name) for name in ("threads", "messages", "runs")}
        for name, method, args, kwargs in script.calls:
            with suppress(openai.BadRequestError):
                await getattr(resources[name], method)(*args, **kwargs)
    return sum(len(script.answers) for script in scripts)


# The same calls without relay and Redis: one conversation, talked to by the SDK alone


async def converse(client: openai.AsyncOpenAI) -> None:
    """Three turns of a conversation as the relay leads it, one refused append in each."""
    threads = client.beta.threads
    thread = await threads.create()
    for turn in range(3):
        await threads.runs.list(thread.id, limit=10)
        await threads.messages.create(thread.id, role="user", content=f"Question {turn}")
        run = await threads.runs.create(thread.id, assistant_id="asst_relaysim")
        with suppress(openai.BadRequestError):
            await threads.messages.create(thread.id, role="user", content="Too early")
        while run.status != "completed":
            await asyncio.sleep(1.0)
            run = await threads.runs.retrieve(run.id, thread_id=thread.id)
        await threads.messages.list(thread.id, limit=1, order="desc")


_PROFILE = load_profile("claimed", overrides={"run_seconds": {"kind": "constant", "value": 3.0}})


def conversation(fence: Fence, seed: int, make_client: Callable[[Host, Network], openai.AsyncOpenAI]) -> int:
    """`converse` in a world of its own, with kernel, network, service and trace; returns the number of requests."""
    kernel = Kernel(1, seed)
    fence.attach(kernel)
    try:
        service = THREADS.start(kernel, _PROFILE, now=lambda: EPOCH_SECONDS + kernel.now, trace=kernel.trace)
        network = Network(kernel, service, _PROFILE)
        host = kernel.host("w1")
        task = host.spawn(converse(make_client(host, network)))
        kernel.run()
        task.result()
        kernel.close()
    finally:
        fence.attach(None)
    return sum(record.kind == "request" for record in kernel.trace.records)


def record_conversations(seeds: range) -> list[Script]:
    """What `converse` calls and is answered, per seed."""
    scripts = []
    with Fence() as fence, keyed_retry_jitter():
        for seed in seeds:
            script = Script()
            conversation(fence, seed, lambda host, network, script=script: recording_client(host, network, script))
            scripts.append(script)
    return scripts
