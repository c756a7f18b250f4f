"""A log as blocks of whole lines: bytes, in bounded memory, whatever the bytes are.

A log of gigabytes is mostly other programs' lines, so nothing here looks at single lines: what is counted is counted by
searches over whole blocks, and only where a search finds something are lines told apart.

Compressed logs (gzip, several members too) and UTF-16 with a byte order mark are known by their first bytes.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, cast

from relaysim.scenarios.system_errors import reason_of

BLOCK_BYTES: Final = 512 * 1024
LINE_BYTES_MAX: Final = 1024 * 1024
"""A longer line is skipped: none of the relay's has a thousandth of it, and memory must stay bounded."""
STANDARD_INPUT: Final = "-"

_CHUNK = 128 * 1024
_DECODED = 16 * 1024
_STEP = LINE_BYTES_MAX // 2
_GZIP = b"\x1f\x8b"
_COLOURED: Final = re.compile(rb"\x1b\[()[^\n]*")
_NUL: Final = re.compile(rb"\0()[^\n]*")
"""To the end of the line, so that each counts once; the empty group keeps `findall` from copying what it passes."""
_WIDE: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class LogError(ValueError):
    """A log that cannot be opened; the message says which and why."""


@dataclass(slots=True)
class Bytes:
    """What a log's bytes are like; lines that are counted here are read all the same, but for `too_long`.

    bytes            after decompression
    lines            an unfinished last one included
    carriage_returns lines that end in CR LF
    not_utf8         lines that are no valid UTF-8
    nul              lines with a NUL byte
    coloured         lines with an ANSI escape sequence
    too_long         lines longer than `LINE_BYTES_MAX`, which are skipped
    unfinished       logs whose last line has no end
    broken_off       logs whose compressed data end too early, or are damaged from some place on
    """

    bytes: int = 0
    lines: int = 0
    carriage_returns: int = 0
    not_utf8: int = 0
    nul: int = 0
    coloured: int = 0
    too_long: int = 0
    unfinished: int = 0
    broken_off: int = 0

    def add(self, other: Bytes) -> None:
        """Count those of another log too."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def to_dict(self) -> dict[str, int]:
        """As plain data."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def check_logs(names: Sequence[str]) -> None:
    """See that every log can be opened, before hours are spent on the first.

    Raises LogError with a line for each that cannot, and for a log named twice, by whatever path or link.
    """
    problems = []
    places: dict[tuple[int, int], str] = {}
    for name in dict.fromkeys(names):
        if name == STANDARD_INPUT:
            continue
        path = Path(name)
        try:
            if path.is_dir():
                problems.append(f"{name}: is a folder; name the logs in it")
                continue
            with path.open("rb") as file:
                at = os.fstat(file.fileno())
            same = places.setdefault((at.st_dev, at.st_ino), name)
            if same != name and stat.S_ISREG(at.st_mode):
                problems.append(f"{name}: is the same file as {same}, and would be counted twice")
        except OSError as error:
            problems.append(f"{name}: cannot be read: {reason_of(error)}")
        except ValueError as error:  # a NUL in the name
            problems.append(f"{name!r}: cannot be read: {error}")
    problems += [f"{name}: is named twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    if problems:
        raise LogError("\n".join(problems))


def size_of(names: Sequence[str]) -> int | None:
    """How many bytes the logs have; None if one of them is no plain file, or compressed."""
    size = 0
    for name in names:
        try:
            if name == STANDARD_INPUT or not stat.S_ISREG(Path(name).stat().st_mode):
                return None
            with Path(name).open("rb") as file:
                if file.read(len(_GZIP)) == _GZIP:
                    return None
                size += os.fstat(file.fileno()).st_size
        except OSError as error:
            raise LogError(f"{name}: cannot be read: {reason_of(error)}") from error
    return size


def blocks_of(name: str, found: Bytes) -> Iterator[bytes]:
    """The log's lines, many to a block, each with its end but perhaps the last; `-` is standard input.

    Raises LogError if the log cannot be read. Compressed data that break off end the log, and are counted.
    """
    try:
        if name == STANDARD_INPUT:
            yield from _whole_lines(_opened(sys.stdin.buffer, found), found)
            return
        with Path(name).open("rb") as file:
            yield from _whole_lines(_opened(file, found), found)
    except OSError as error:
        raise LogError(f"{name}: cannot be read: {reason_of(error)}") from error


class _Source(Protocol):
    """What blocks are cut from."""

    def read(self, size: int, /) -> bytes: ...


def _opened(file: BinaryIO, found: Bytes) -> _Source:
    """The same bytes, decompressed and as UTF-8 if they are not."""
    peeking = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", file))
    start = peeking.peek(4)[:4]
    if start.startswith(_GZIP):
        return _opened(cast("BinaryIO", io.BufferedReader(_Decompressed(peeking, found), _CHUNK)), found)
    if start[:2] in _WIDE:
        peeking.read(2)
        return _Narrowed(peeking, _WIDE[start[:2]])
    return peeking


class _Decompressed(io.RawIOBase):
    """What gzip compressed, as far as it is whole."""

    def __init__(self, file: io.BufferedReader, found: Bytes) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="rb")
        self._found = found
        self._over = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """A part: what comes before damaged data is not lost with them."""
        if self._over:
            return 0
        try:
            read = self._file.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile):
            self._found.broken_off += 1
            self._over = True
            return 0
        buffer[: len(read)] = read
        return len(read)


class _Narrowed:
    """UTF-16 as UTF-8."""

    def __init__(self, file: io.BufferedReader, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def read(self, size: int) -> bytes:
        while True:
            read = self._file.read(size)
            narrowed = self._decoder.decode(read, final=not read).encode()
            if narrowed or not read:
                return narrowed


def _whole_lines(file: _Source, found: Bytes) -> Iterator[bytes]:
    rest = b""
    skipping = False
    while True:
        read = file.read(BLOCK_BYTES)
        if not read:
            break
        found.bytes += len(read)
        if skipping:
            end = read.find(b"\n")
            if end < 0:
                continue
            read, skipping = read[end + 1 :], False
        end = read.rfind(b"\n") + 1
        if end:
            block = rest + read[:end] if rest else read[:end]
            rest = read[end:]
            look_at(block, found)
            yield block
        else:
            rest += read
        if len(rest) > LINE_BYTES_MAX:
            found.lines += 1
            found.too_long += 1
            rest, skipping = b"", True
    if rest:
        found.unfinished += 1
        found.lines += 1
        look_at(rest, found)
        yield rest


def look_at(block: bytes, found: Bytes) -> None:
    """Count what is to be counted of a block's bytes."""
    found.lines += block.count(b"\n")
    # A search for a single byte is many times faster than one for two.
    if b"\r" in block:
        found.carriage_returns += block.count(b"\r\n")
    if b"\x1b" in block:
        found.coloured += len(_COLOURED.findall(block))
    if b"\0" in block:
        found.nul += len(_NUL.findall(block))
    if not block.isascii():
        found.not_utf8 += _not_utf8(block)
    found.too_long += sum(end - start > LINE_BYTES_MAX for start, end in long_lines(block))


def _not_utf8(block: bytes) -> int:
    count, at = 0, 0
    view = memoryview(block)
    while at < len(block):
        # Part by part, so that what is decoded for nothing stays in the processor's cache.
        part = view[at : at + _DECODED]
        try:
            at += codecs.utf_8_decode(part, "strict", len(part) < _DECODED)[1]
        except UnicodeDecodeError as error:
            count += 1
            end = block.find(b"\n", at + error.start)
            if end < 0:
                break
            # From the start of a line on, so that what follows a damaged line is read from its first byte.
            at = end + 1
    return count


def long_lines(block: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each line that may be longer than `LINE_BYTES_MAX`: of those that fill a whole step."""
    at = 0
    while at + _STEP <= len(block):
        if block.find(b"\n", at, at + _STEP) >= 0:
            at += _STEP
            continue
        start = block.rfind(b"\n", 0, at) + 1
        end = block.find(b"\n", at)
        end = len(block) if end < 0 else end
        yield start, end
        at = max(end + 1, at + _STEP)
