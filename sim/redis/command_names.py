"""What commands are called, as faults and traces name them: a script by its first line, if that does."""

from __future__ import annotations

import re
from hashlib import sha1
from typing import Final

Read = tuple[bytes, bytes, str, str]
"""A command's name and first key, as bytes and as text."""

_SCRIPT_NAME: Final = re.compile(rb"--[ \t]*([A-Za-z_][\w.:-]*)[ \t]*\r?(?:\n|\Z)")
"""A script's first line, where it is a comment of one word."""

_OF_SCRIPTS: Final = frozenset((b"EVAL", b"EVALSHA", b"SCRIPT"))
_KEYED_ELSEWHERE: Final = frozenset((b"EVAL", b"EVALSHA", b"WAIT"))


class CommandNames:
    """The names of one server's commands. A server that forgets a script does not unname it."""

    __slots__ = ("_script_names", "_texts")

    def __init__(self) -> None:
        self._texts: dict[tuple[bytes, bytes], tuple[str, str]] = {}
        self._script_names: dict[bytes, str] = {}

    def read(self, fields: list[bytes]) -> Read:
        """A command's name and first key, as bytes and as text. A script is named by its first line, if that does."""
        command = fields[0].upper()
        key = _key_of(command, fields)
        if command in _OF_SCRIPTS and len(fields) > 1:
            name = self._script_names.get(fields[1])
            if name is None and command != b"EVALSHA":
                name = self._learn_name(command, fields)
            if name:
                return command, key, name, key.decode("utf-8", "replace")
        texts = self._texts.get((command, key))
        if texts is None:
            texts = self._texts[command, key] = command.decode("latin-1"), key.decode("utf-8", "replace")
        return command, key, *texts

    def _learn_name(self, command: bytes, fields: list[bytes]) -> str:
        """The name of a script that is seen for the first time, "" if it has none."""
        if command == b"EVAL":
            script = fields[1]
        elif len(fields) == 3 and fields[1].upper() == b"LOAD":
            script = fields[2]
        else:
            return ""
        first_line = _SCRIPT_NAME.match(script)
        name = first_line.group(1).decode() if first_line else ""
        self._script_names[script] = self._script_names[sha1(script, usedforsecurity=False).hexdigest().encode()] = name
        return name if command == b"EVAL" else ""


def _key_of(command: bytes, fields: list[bytes]) -> bytes:
    """The first key of a command; the one a lock is about."""
    if command in _KEYED_ELSEWHERE:
        return fields[3] if len(fields) > 3 and fields[2] != b"0" else b""
    return fields[1] if len(fields) > 1 else b""
