"""A simulated server in a thread of its own, for tests of code that talks to a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.http_protocol import CONNECTIONS_MAX
from relaysim.sim.doors.server.listener import Listener
from relaysim.sim.doors.simulation import ApiSettings

T = TypeVar("T")
P = ParamSpec("P")

_STOP_SECONDS = 30.0


class BackgroundServer:
    """A context manager: the server runs inside the block, and its thread has ended after it.

        with BackgroundServer(ApiSettings(assistants="any"), speed=0) as running:
            client = openai.OpenAI(base_url=running.base_url, api_key="sk-any")
            ...
            running.advance(30.0)

    Args:
        settings: what the API is like; by default `ApiSettings()`.
        speed: virtual seconds per real second; 0: time only moves by `advance`, and requests take no time.
        start_seconds: as of `SimulatedServer`.
        host, port: where to listen; port 0 is a free one.
        connections_max: how many connections are served at once.

    Attributes:
        server: the application. It belongs to the server's thread: reach it through `call`.
    """

    def __init__(
        self,
        settings: ApiSettings | None = None,
        *,
        speed: float = 1.0,
        start_seconds: float | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self.server = SimulatedServer(ApiSettings() if settings is None else settings, speed, start_seconds)
        self._listener = Listener(self.server, host, port, connections_max)
        self._thread = threading.Thread(target=self._run, name="relaysim-server", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        """Start.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError(f"the server did not stop within {_STOP_SECONDS:g} s")
        if self._failure is not None:
            raise self._failure

    @property
    def url(self) -> str:
        """Scheme, address and port."""
        return self._listener.url

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as `base_url`."""
        return self._listener.base_url

    @property
    def control_url(self) -> str:
        """Where the control API is."""
        return self._listener.control_url

    def call(self, function: Callable[Concatenate[SimulatedServer, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(server, *args, **kwargs)`, called in the server's thread at the present virtual instant.

        Returns what it returns, once the effect is complete, or raises what it raises.

        Raises:
            RuntimeError: the server does not run.
        """
        loop = self._loop
        if loop is None or loop.is_closed():
            raise RuntimeError("the server does not run: use it inside its `with` block")

        async def there() -> T:
            with self.server.present():
                result = function(self.server, *args, **kwargs)
            await self._listener.settled()
            return result

        return asyncio.run_coroutine_threadsafe(there(), loop).result()

    def advance(self, seconds: float) -> float:
        """Let virtual seconds pass at once; returns the virtual instant then.

        Raises:
            ValueError: for a negative, infinite or undefined duration.
        """
        return self.call(SimulatedServer.advance, seconds)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        await self._listener.start()
        self._ready.set()
        await self._stop.wait()
        await self._listener.stop()
