"""WAIT on the simulated server, whose library does not know the command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fakeredis import _msgs as msgs
from fakeredis._command_args_parsing import Int
from fakeredis._commands import Signature
from fakeredis._helpers import SimpleError
from fakeredis._socket import BaseFakeSocket

_WAIT: Final[Any] = Signature("wait", "wait_for_replicas", (Int, Int), flags=msgs.FLAG_NO_SCRIPT)  # type: ignore[arg-type]

_name_to_func: Final[Any] = BaseFakeSocket._name_to_func


class Waits:
    """A connection that also answers WAIT; how long the answer takes, and what it is, the link decides."""

    _server: Any

    def _name_to_func(self, cmd_name: str) -> tuple[Callable[..., Any] | None, Signature]:
        # Not by `super`: a third of the time of a function that runs for each command, those of scripts too.
        return (self.wait_for_replicas, _WAIT) if cmd_name == "wait" else _name_to_func(self, cmd_name)

    def wait_for_replicas(self, replicas: int, timeout: int) -> int:
        """How many replicas have confirmed."""
        if timeout < 0:
            raise SimpleError("ERR timeout is negative")
        confirmed: int = self._server.confirmed
        return confirmed
