"""The door of the `sdk` lane: an httpx2 transport under the real OpenAI SDK, one per worker.

The SDK's own code runs untouched: retries, waits, errors, polling helpers, parsing. Two things are set from here, both
because they would not be reproducible otherwise: the client's environment (key, base URL, no proxies, no TLS context,
which also costs 27 ms to build), and the random number that jitters the SDK's waits, which becomes a keyed draw while
`keyed_retry_jitter()` is held.

Every call under `client.beta.threads` emits a DeprecationWarning ("The Assistants API is deprecated in favor of the
Responses API"). Whoever runs worlds silences it, for instance with `warnings.filterwarnings("ignore", "The Assistants
API is deprecated", DeprecationWarning)` inside `warnings.catch_warnings()`.
"""

from __future__ import annotations

import asyncio
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import httpx2
import openai
import openai._base_client

from relaysim.sim.backends import DEFAULT, backend_named
from relaysim.sim.backends.calls import UNKNOWN, Answer, Call
from relaysim.sim.backends.wire import Wire, request_id_header
from relaysim.sim.doors.arrivals import Arrivals, BrokenAnswer, BrokenStreamError, StreamedAnswer
from relaysim.sim.doors.broken_answers import rendered_broken
from relaysim.sim.doors.effects import CONNECT_ERROR, READ_ERROR, READ_TIMEOUT
from relaysim.sim.doors.network import Network
from relaysim.sim.kernel import Draws, Host, current_host, place_of_caller

API_KEY: Final = "sk-simulated-0000000000000000"
BASE_URL: Final = "https://api.openai.com/v1"

JITTER_PURPOSE: Final = "sdk-retry-jitter"

last_attempt: ContextVar[tuple[Draws, str, int] | None] = ContextVar("last_attempt", default=None)
"""What the running task last sent: the SDK asks for its jitter in the task that sent it."""


class SimTransport(httpx2.AsyncBaseTransport):
    """Carries one worker's requests to the simulated service.

    Failures are raised as the httpx2 exceptions that a network would cause (`ConnectError`, `ReadTimeout`, and while the
    body is read `ReadError` and `RemoteProtocolError`), in virtual time; the request's own `timeout` extension is
    honoured. A streamed answer's body yields frames as they arrive.

    Args:
        host: the worker.
        network: latencies, faults and the trace.
        wire: parses and renders; by default one that lets any key in.
    """

    def __init__(self, host: Host, network: Network, wire: Wire | None = None) -> None:
        self._host = host
        self._network = network
        self._wire = network.service.backend.make_wire() if wire is None else wire
        self._read_headers = frozenset(name.encode() for name in self._wire.read_headers)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and wait for its answer.

        Raises:
            httpx2.ConnectError: the connection failed.
            httpx2.ReadTimeout: no answer within the request's read timeout, or its body paused for longer than that.
        """
        body = await request.aread()
        # The wire reads three headers; the SDK sends fifteen, and looking one up by name costs 10 microseconds.
        read = self._read_headers
        headers = {name.decode(): value.decode() for name, value in request.headers.raw if name.lower() in read}
        path = request.url.raw_path.decode("ascii")
        call = self._wire.parse(request.method, path, headers, body)
        sent = self._network.sent
        if sent is not None:
            now, target = self._network.kernel.now, f"{request.method} {path}"
            sent.note_request(now, self._host.name, call.operation, target, request.headers.raw, body)
        if call.operation == UNKNOWN:
            self._network.unknown.append((request.method, path, place_of_caller()))
        timeout = request.extensions.get("timeout") or {}
        arriving = self._network.attempt(self._host, call, timeout.get("read"), timeout.get("connect"))
        try:
            answer = await arriving
        except asyncio.CancelledError:
            self._network.note_unread(self._host.name, arriving)
            raise
        last_attempt.set((self._network.kernel.draws, answer.draw_key, answer.draw_index))
        if answer.failure is not None or answer.stream is not None:
            return self._unusual(answer, call, timeout.get("read"))
        status, answered, content = self._wire.render(answer, call, request_id_header(answer.request_id))
        return httpx2.Response(status, headers=answered, content=content)

    def _unusual(self, answer: Answer, call: Call, read_timeout: float | None) -> httpx2.Response:
        """The response to an attempt that failed on its way, broke, or is answered by a stream."""
        request_id = request_id_header(answer.request_id)
        if isinstance(answer, StreamedAnswer):
            status, answered, _ = self._wire.render(answer, call, request_id)
            return httpx2.Response(status, headers=answered, stream=_Frames(answer.arrivals, read_timeout))
        assert answer.failure is not None
        if not isinstance(answer, BrokenAnswer):
            raise network_error(answer.failure)
        broken = rendered_broken(self._wire, answer, call)
        if broken.breaks is None:
            return httpx2.Response(broken.status, headers=broken.headers, content=broken.content)
        body = _BrokenBody(broken.breaks, broken.content, broken.length)
        return httpx2.Response(broken.status, headers=broken.headers, stream=body)


def network_error(failure: str, lengths: tuple[int, int] | None = None) -> httpx2.TransportError:
    """The exception by which a client of httpx2 learns of a failure, worded as by the real one.

    Args:
        failure: as `Answer.failure` names it.
        lengths: of an answer that breaks off, how many bytes of its body were received, and how many were announced;
            None: a stream, whose length is not told.
    """
    if failure == CONNECT_ERROR:
        return httpx2.ConnectError("All connection attempts failed")
    if failure == READ_TIMEOUT:
        return httpx2.ReadTimeout("")
    if failure == READ_ERROR:
        return httpx2.ReadError("")
    counts = "incomplete chunked read"
    if lengths is not None:
        received, announced = lengths
        counts = f"received {received} bytes, expected {announced}"
    return httpx2.RemoteProtocolError(f"peer closed connection without sending complete message body ({counts})")


class _BrokenBody(httpx2.AsyncByteStream):
    """A body that breaks off before its announced length."""

    def __init__(self, failure: str, content: bytes, length: int) -> None:
        self._failure = failure
        self._content = content
        self._length = length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content
        raise network_error(self._failure, (len(self._content), self._length))


class _Frames(httpx2.AsyncByteStream):
    """The body of a streamed answer: frames, as they arrive."""

    def __init__(self, arrivals: Arrivals, read_timeout: float | None) -> None:
        self._arrivals = arrivals
        self._read_timeout = read_timeout

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                frames = await self._arrivals.read(self._read_timeout)
            except BrokenStreamError as broken:
                raise network_error(broken.failure) from None
            if not frames:
                return
            yield frames

    async def aclose(self) -> None:
        self._arrivals.close()


def openai_client(transport: httpx2.AsyncBaseTransport, base_url: str = BASE_URL) -> openai.AsyncOpenAI:
    """OpenAI's SDK on a transport, with its default timeout (600 s) and retries (2)."""
    http_client = openai.DefaultAsyncHttpxClient(transport=transport, trust_env=False)
    # Given explicitly, so that no environment variable of the machine reaches a world.
    return openai.AsyncOpenAI(api_key=API_KEY, base_url=base_url, http_client=http_client)


_SDK_MODULE: Final[Any] = openai._base_client
_real_random: Callable[[], float] = _SDK_MODULE.random


def _jitter() -> float:
    attempt = last_attempt.get()
    if attempt is None:
        return _real_random()
    draws, key, index = attempt
    return draws.uniform(key, JITTER_PURPOSE, index)


class _Uuids:
    """Module `uuid` as the SDK sees it. It draws a key for each POST and sends it nowhere (OpenAI's API has no idempotency
    keys): those of a relay would be other ones in lane `sdk`.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(uuid, name)

    @staticmethod
    def uuid4() -> uuid.UUID:
        return _NO_UUID if current_host() is not None else uuid.uuid4()


_NO_UUID: Final = uuid.UUID(int=4 << 76 | 8 << 60)


@contextmanager
def keyed_retry_jitter() -> Iterator[None]:
    """While held, the SDK's waits before a retry are jittered by keyed draws, and it draws nothing else of a worker's; calls
    outside a world are not affected.

    The SDK binds `random` early, so its module's name is replaced. May be held over many worlds, and nested.
    """
    before = _SDK_MODULE.random, _SDK_MODULE.uuid
    _SDK_MODULE.random, _SDK_MODULE.uuid = _jitter, _Uuids()
    try:
        yield
    finally:
        _SDK_MODULE.random, _SDK_MODULE.uuid = before


def warm_up(api: str = DEFAULT) -> None:
    """Import and use once everything that a backend's SDK loads lazily, so that the first world is not slower than the rest.

    Sends a few requests to a canned answer on an event loop of its own: call it once per process, outside any world
    and any running loop.
    """
    backend = backend_named(api)
    wire = backend.make_wire()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/refused"):
            return httpx2.Response(404, json={"error": {"message": "", "type": "", "param": None, "code": None}})
        found = wire.routes.find(request.method, request.url.path.removeprefix(wire.base_path))
        listing = found is not None and found[0].name.endswith(".list")
        return httpx2.Response(200, json={"object": "list", "data": [], "has_more": False} if listing else {"id": "x"})

    async def use() -> None:
        async with backend.sdk_client(httpx2.MockTransport(answer)) as client:
            await backend.warm_up(client)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.run(use())


_warm: set[str] = set()


def warm_up_once(api: str) -> None:
    """`warm_up`, once per process; not possible inside a running loop, nor then needed."""
    if api in _warm:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        _warm.add(api)
        warm_up(api)
