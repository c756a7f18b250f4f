"""The simulated Redis, as programs on the simulator's clock reach it: what it does not know is no silent difference."""

from __future__ import annotations

import re
from typing import Final

from relaysim.sim.kernel import Kernel
from relaysim.sim.outside.command_stream import CommandStream
from relaysim.sim.outside.program_sockets import REMEDY, LockstepError
from relaysim.sim.redis import RedisAddress, command_names
from relaysim.sim.sockets import Connection, Session

_SCRIPTS: Final = ("EVAL", "EVAL_RO", "SCRIPT", "FUNCTION")
_UNKNOWN_LIBRARY: Final = re.compile(rb"\b(struct|bit)\s*\.\s*[a-z]+\s*\(")
"""Libraries that Redis gives to scripts and the simulated one does not."""


class KnownCommands:
    """The service at the port that a copy knows as Redis'.

    Args:
        address: answers.
        kernel: the world's, which is told of a command that is not known.
        worker: whose copy it is.
    """

    def __init__(self, address: RedisAddress, kernel: Kernel, worker: str) -> None:
        self._address = address
        self._kernel = kernel
        self._worker = worker

    async def connect(self, connection: Connection) -> Session:
        """Take a connection.

        Raises:
            ConnectionRefusedError: the server is down.
        """
        return _Checked(await self._address.connect(connection), self)

    def check(self, fields: list[bytes]) -> None:
        """Let the world end if a command is not known."""
        name = fields[0].decode(errors="replace").upper()
        if name not in command_names():
            self._refuse(f"the command {name}")
        elif name in _SCRIPTS and (found := _UNKNOWN_LIBRARY.search(b" ".join(fields[1:3]))):
            self._refuse(f"a script with Lua's {found[1].decode()}")

    def _refuse(self, what: str) -> None:
        self._kernel.fail(
            LockstepError(f"{self._worker} sends Redis {what}, which the simulated Redis does not know: {REMEDY}")
        )


class _Checked:
    def __init__(self, session: Session, service: KnownCommands) -> None:
        self._session = session
        self._service = service
        self._stream = CommandStream()

    def receive(self, data: bytes) -> None:
        for fields in self._stream.feed(data).fields:
            self._service.check(fields)
        self._session.receive(data)

    def client_finished(self) -> None:
        self._session.client_finished()

    def client_closed(self, *, cancelled: bool) -> None:
        self._session.client_closed(cancelled=cancelled)
