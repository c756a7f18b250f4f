"""What the simulated server's library does not know, WAIT and INFO, and commands that wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from fakeredis import _msgs as msgs
from fakeredis._command_args_parsing import Int, Timeout
from fakeredis._commands import Signature
from fakeredis._core._database import CommandItem
from fakeredis._helpers import NoResponse, SimpleError
from fakeredis._socket import BaseFakeSocket

from relaysim.sim.redis.info import info_text
from relaysim.sim.redis.planned_signatures import PlannedSignature

BLOCKING: Final = frozenset(
    {
        *("BLPOP", "BRPOP", "BLMOVE", "BLMOVEM", "BRPOPLPUSH", "BLMPOP"),
        *("BZPOPMIN", "BZPOPMAX", "BZMPOP", "XREAD", "XREADGROUP"),
    }
)
"""The commands that may block; those on streams do if they say BLOCK."""

WAITING: Final = frozenset(name.encode() for name in (*BLOCKING, "WAIT"))
"""The commands whose reply may come later than they are processed."""

OWN_COMMANDS: Final[dict[str, Any]] = {
    "wait": Signature("wait", "wait_for_replicas", (Int, Int), flags=msgs.FLAG_NO_SCRIPT),  # type: ignore[arg-type]
    "info": Signature("info", "tell_about_itself", (), (bytes,), flags=msgs.FLAG_NO_SCRIPT),  # type: ignore[arg-type]
    # The library's own does not wait for a list that is not there yet.
    "blmove": Signature("blmove", "move_blocking", (bytes, bytes, bytes, bytes, Timeout), flags=msgs.FLAG_NO_SCRIPT),  # type: ignore[arg-type]
}
"""The commands that are processed here."""

_name_to_func: Final[Any] = BaseFakeSocket._name_to_func

_known: Final[dict[str, PlannedSignature]] = {}
"""The library's commands that have been asked for, by name: every server here is of one kind and version."""


class Blocked:
    """A blocking command that found nothing, in place of its reply.

    Attributes:
        timeout: how many seconds it waits; 0: for ever.
    """

    __slots__ = ("_fields", "_into", "_look", "_shape", "_socket", "timeout")

    def __init__(self, timeout: float | None, look: Callable[[bool], Any], shape: Callable[[Any], Any] | None) -> None:
        self.timeout = timeout or 0.0
        self._look = look
        self._shape = shape

    def begin(self, socket: Waits, fields: list[bytes], into: list[Any]) -> None:
        """It is this command's, on this connection, and its reply is to be put there."""
        self._socket = socket
        self._fields = fields
        self._into = into

    @property
    def database(self) -> Any:
        """What it waits for is in there."""
        return self._socket._db

    def again(self) -> bool:
        """Look once more, after something has been written; whether there is a reply now."""
        socket, fields = self._socket, self._fields
        if socket._server is None or not any(field in self.database._dict for field in fields[1:]):
            return False
        if fields[0].upper() == b"XREAD":  # by now, `$` would be another entry
            for database in socket._server.dbs.values():
                database.time = time.time()
            found = self._look(False)
            if found is not None:
                self._put(found)
            return found is not None
        # As a new command: what the library looks at for BLMOVE is what was there the first time.
        return type(socket.reply_to(fields, self._into)) is not Blocked

    def end(self) -> None:
        """Its time is up: nothing is the reply."""
        self._put(None)

    @property
    def reply(self) -> Any:
        """The reply, once there is one."""
        return self._into[0]

    def _put(self, found: Any) -> None:
        self._into.append(self._socket._decode_result(found if self._shape is None else self._shape(found)))


class Waits:
    """A connection that also answers WAIT and INFO, and lets others wait; how long, and what WAIT says, the link decides."""

    _server: Any
    _db: Any
    version: Any
    _in_transaction: bool
    _script_resp: Any
    _decode_result: Any
    _begun: Blocked | None = None
    _captured: list[Any] | None = None

    knows_info = False
    """Only where clients of the code under test connect: without it the factory's client is one that may not ask."""

    def _name_to_func(self, cmd_name: str) -> tuple[Callable[..., Any] | None, Signature]:
        known = _known.get(cmd_name)
        if known is not None:
            return getattr(self, known.func_name, None), known
        own = OWN_COMMANDS.get(cmd_name)
        if own is not None and (cmd_name != "info" or self.knows_info):
            return getattr(self, own.func_name), own
        function, signature = _name_to_func(self, cmd_name)
        if own is None:
            signature = _known[cmd_name] = PlannedSignature(signature)
        return function, signature

    def wait_for_replicas(self, replicas: int, timeout: int) -> int:
        """How many replicas have confirmed."""
        if timeout < 0:
            raise SimpleError("ERR timeout is negative")
        confirmed: int = self._server.confirmed
        return confirmed

    def tell_about_itself(self, *sections: bytes) -> bytes:
        """INFO."""
        return info_text(self._server, self.version, sections)

    def move_blocking(self, source: bytes, destination: bytes, out: bytes, into: bytes, timeout: float) -> Any:
        """BLMOVE."""
        if not {out.upper(), into.upper()} <= {b"LEFT", b"RIGHT"}:
            raise SimpleError(msgs.SYNTAX_ERROR_MSG)

        def look(first: bool) -> bytes | None:
            taken = self._list_at(source)
            if not taken.value:
                return None
            given = taken if destination == source else self._list_at(destination)
            element: bytes = taken.value.pop(0 if out.upper() == b"LEFT" else -1)
            given.value.insert(0 if into.upper() == b"LEFT" else len(given.value), element)
            for each in (taken, given) if given is not taken else (taken,):
                each.updated()
                each.writeback()
            return element

        return self._blocking(timeout, look)

    def _list_at(self, key: bytes) -> Any:
        item: Any = CommandItem(key, self._db, item=self._db.get(key), default=[])
        if not isinstance(item.value, list):
            raise SimpleError(msgs.WRONGTYPE_MSG)
        return item

    def _xreadgroup(self, *args: Any) -> Any:
        # Asked whether it is the first look, the library's own takes entries and gives them to nobody.
        return super()._xreadgroup(*args[:-1], False)  # type: ignore[misc]

    def _blocking(
        self, timeout: float | None, func: Callable[[bool], Any], shape: Callable[[Any], Any] | None = None
    ) -> Any:
        found = func(True)
        if found == {}:  # of XREADGROUP
            found = None
        if found is not None or self._in_transaction or self._script_resp is not None:
            return found if shape is None else shape(found)
        self._begun = Blocked(timeout, func, shape)
        return NoResponse()

    def process_into(self, fields: list[bytes], into: list[Any]) -> None:
        """Process a command, with its replies put there."""
        self._captured = into
        try:
            self._process_command(fields)  # type: ignore[attr-defined]
        finally:
            self._captured = None

    def reply_to(self, fields: list[bytes], into: list[Any]) -> Any:
        """Process a command; its reply, which is also put there, or that it has to wait."""
        self.process_into(fields, into)
        begun = self._begun
        if begun is not None:
            self._begun = None
            begun.begin(self, fields, into)
            return begun
        return into[0] if into else None
