"""Two doors of the same simulated API: in process in virtual time, and over a socket.

A conversation is a coroutine function that takes a door; it is the same for both. In process it runs on a simulated host,
over the socket on a real loop against a server whose clock stands still unless the conversation sleeps (`Door.sleep`) or
lets time flow (`Door.flowing`, for the SDK's own waits and for streams).
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2
import openai

from relaysim.sim.doors import Network, keyed_retry_jitter, warm_up
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings, SimulatedApi
from relaysim.sim.doors.transport import SimTransport
from relaysim.sim.kernel import EPOCH_SECONDS, Fence

KEY = "sk-conformance-0123456789abcdef"
HEADERS = {"authorization": f"Bearer {KEY}", "openai-beta": "assistants=v2"}

# A run is queued for 1 s and in progress for 10 s, a cancel takes 3 s, requests take no time.
FLAT: dict[str, Any] = {
    "queue_seconds": {"kind": "constant", "value": 1.0},
    "run_seconds": {"kind": "constant", "value": 10.0},
    "cancel_seconds": {"kind": "constant", "value": 3.0},
    "stuck_probability": 0.0,
    "request_seconds": {"kind": "constant", "value": 0.0},
    "slow_probability": 0.0,
}


class Response(NamedTuple):
    """An answer as it came over the wire; `json` is its parsed body, or None."""

    status: int
    headers: dict[str, str]
    content: bytes
    json: Any


def error(answer: Response) -> tuple[int, str, str, str | None, str | None]:
    """Status and the four fields of an error body, which are always there."""
    body = answer.json["error"]
    assert set(body) == {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == json.dumps({"error": body}, indent=2, ensure_ascii=False).encode()
    return answer.status, body["message"], body["type"], body["param"], body["code"]


class Door(ABC):
    """One way into the simulated API."""

    client: openai.AsyncOpenAI
    http: httpx2.AsyncClient

    async def send(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> Response:
        """Send one raw request; a body that is bytes goes as it is, None is none, anything else as JSON."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        answer = await self.http.request(
            method, f"/v1{path}", content=content, headers=HEADERS if headers is None else headers
        )
        return Response(answer.status_code, dict(answer.headers), answer.content, _parsed(answer))

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Let so many virtual seconds pass."""

    @abstractmethod
    async def until_turn_is(self, state: str) -> None:
        """Wait until a turn is in that state: what was sent by another task has arrived."""

    @abstractmethod
    def flowing(self) -> Any:
        """A context in which virtual time passes while the client waits."""


Conversation = Callable[[Door], Awaitable[Any]]


class _InProcess(Door):
    def __init__(self, client: openai.AsyncOpenAI, http: httpx2.AsyncClient) -> None:
        self.client = client
        self.http = http

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until_turn_is(self, state: str) -> None:
        await asyncio.sleep(0.001)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        yield


class _Socket(Door):
    def __init__(self, client: openai.AsyncOpenAI, http: httpx2.AsyncClient) -> None:
        self.client = client
        self.http = http

    async def sleep(self, seconds: float) -> None:
        answer = await self.http.post("/_relaysim/clock/advance", json={"seconds": seconds})
        assert answer.status_code == 200, answer.text

    async def until_turn_is(self, state: str) -> None:
        while not (await self.http.get("/_relaysim")).json()["counts"]["runs"].get(state):
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        async def flow() -> None:
            while True:
                await self.sleep(0.25)

        task = asyncio.create_task(flow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def settings_of(**changes: Any) -> ApiSettings:
    """Settings with constant durations; `overrides` adds to them."""
    overrides = {**FLAT, **changes.pop("overrides", {})}
    return ApiSettings.model_validate(
        {"profile": "claimed", "overrides": overrides, "latency": False, "keys": [KEY], "seed": 7, **changes}
    )


def in_process(conversation: Conversation, **changes: Any) -> Any:
    """Hold a conversation in virtual time; returns what it returns."""
    warm_up()  # what the SDK does at first use only must not happen behind the fence
    settings = settings_of(**changes)
    api = SimulatedApi(settings, EPOCH_SECONDS)
    kernel = api.kernel
    host = kernel.host("client")
    transport = SimTransport(host, Network(kernel, api.service, api.profile, settings.faults), api.wire)
    base = "https://api.openai.com"
    http = httpx2.AsyncClient(transport=transport, base_url=base, trust_env=False, timeout=None)
    sdk_http = openai.DefaultAsyncHttpxClient(transport=transport, trust_env=False)
    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{base}/v1", http_client=sdk_http)
    with Fence() as fence, keyed_retry_jitter():
        fence.attach(kernel)
        task = host.spawn(conversation(_InProcess(client, http)))  # type: ignore[arg-type]
        try:
            while not task.done():
                before = kernel.now
                kernel.run(until=before + 3600.0)
                if kernel.now == before and not task.done():
                    raise AssertionError("the conversation waits for something that never happens")
            return task.result()
        finally:
            kernel.close()


def over_a_socket(conversation: Conversation, **changes: Any) -> Any:
    """Hold a conversation with a server on loopback; returns what it returns."""
    with BackgroundServer(settings_of(**changes), speed=0, start_seconds=EPOCH_SECONDS) as running:

        async def hold() -> Any:
            base = running.base_url.removesuffix("/v1")
            async with (
                # Nothing here is encrypted, and certificates take 30 ms to load.
                httpx2.AsyncClient(base_url=base, trust_env=False, timeout=None, verify=False) as http,
                openai.DefaultAsyncHttpxClient(trust_env=False, verify=False) as sdk_http,
            ):
                client = openai.AsyncOpenAI(api_key=KEY, base_url=running.base_url, http_client=sdk_http)
                return await conversation(_Socket(client, http))

        result = asyncio.run(asyncio.wait_for(hold(), timeout=60))
        assert running.server.errors == 0
        return result


DOORS: dict[str, Callable[..., Any]] = {"in process": in_process, "socket": over_a_socket}


def _parsed(answer: httpx2.Response) -> Any:
    try:
        return json.loads(answer.content)
    except ValueError:
        return None
