"""Takes what a client writes to Redis apart, in whatever pieces it comes."""

from __future__ import annotations

from typing import NamedTuple


class Commands(NamedTuple):
    """The commands that are whole by now.

    fields  of each
    raw     all of them, as the client wrote them
    """

    fields: list[list[bytes]]
    raw: bytes


class CommandStream:
    """What one client writes.

    Attributes:
        is_readable: False once something came that is no command: from then on bytes are handed on as they are.
    """

    def __init__(self) -> None:
        self.is_readable = True
        self._kept = b""

    def feed(self, data: bytes) -> Commands:
        """Take bytes, and give the commands that are whole."""
        kept = self._kept + data
        found: list[list[bytes]] = []
        position = 0
        try:
            while self.is_readable and position < len(kept):
                fields, position = _command(kept, position)
                if fields:
                    found.append(fields)
        except _UnfinishedError:
            pass
        except ValueError:
            self.is_readable = False
        if not self.is_readable:
            position = len(kept)
        self._kept = kept[position:]
        return Commands(found, kept[:position])


class _UnfinishedError(Exception):
    """More is to come."""


def _command(data: bytes, position: int) -> tuple[list[bytes], int]:
    """A command's fields, and where the next begins."""
    line, position = _line(data, position)
    if not line.startswith(b"*"):
        return line.split(), position  # as people type it
    fields = []
    for _ in range(int(line[1:])):
        length, position = _line(data, position)
        if not length.startswith(b"$"):
            raise ValueError("not the length of a text")
        end = position + int(length[1:])
        if len(data) < end + 2:
            raise _UnfinishedError
        fields.append(data[position:end])
        position = end + 2
    return fields, position


def _line(data: bytes, position: int) -> tuple[bytes, int]:
    end = data.find(b"\n", position)
    if end < 0:
        raise _UnfinishedError
    return data[position:end].rstrip(b"\r"), end + 1
