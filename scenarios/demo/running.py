"""The demo, from a free port to a page that can be opened, and the end of all of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from relaysim.scenarios.demo.chat_page import ChatPage
from relaysim.scenarios.demo.chat_world import ChatWorld
from relaysim.sim.outside.programs import Guard

_GRACE_SECONDS = 1


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to the command."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(listening: socket.socket, stop: asyncio.Event, ready: Callable[[str], object]) -> None:
    """Run it until `stop` is set; nothing is left then.

    Args:
        listening: where the page is, bound already.
        stop: ends it.
        ready: told the page's address, once people can write.

    Raises:
        relaysim.sim.outside.programs.ProgramStartError: the relay or its Redis does not start.
    """
    port: int = listening.getsockname()[1]
    with Guard() as guard:
        folder = Path(tempfile.mkdtemp(prefix="relaysim-demo-"))
        guard.remove(folder)
        world = ChatWorld(folder, guard)
        page = ChatPage(world, port)
        server = _Server(
            uvicorn.Config(
                page,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        loop = asyncio.get_running_loop()
        life = loop.create_task(world.run())
        stopped = loop.create_task(stop.wait())
        begun = loop.create_task(world.begun.wait())
        serving: asyncio.Task[None] | None = None
        try:
            await asyncio.wait([life, stopped, begun], return_when=asyncio.FIRST_COMPLETED)
            if begun.done() and not stop.is_set():
                serving = loop.create_task(server.serve([listening]))
                ready(f"http://127.0.0.1:{port}/")
                await asyncio.wait([life, stopped, serving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            page.stopping = True
            server.should_exit = True
            if serving is not None:
                await asyncio.wait([serving])
            for task in (life, stopped, begun):
                task.cancel()
            ended = await asyncio.gather(life, stopped, begun, return_exceptions=True)
    if isinstance(ended[0], Exception) and not isinstance(ended[0], asyncio.CancelledError):
        raise ended[0]
