"""The journal of a long run: one line of JSON for each chunk of seeds that is done, so that a run can be taken up again.

    with Journal(folder / "chunks.jsonl") as journal:
        for chunk in journal.chunks():      # what is done already
            ...
        journal.append(Chunk(key, 250, 250, summary.to_plain()))

The file only ever grows. A line goes out in one write and is on the disk (fsync) before `append` returns, so whoever is
killed loses the chunks that were still being computed, and no more. A line that was cut off by that, or damaged later, does
not fit its own digest: it is passed over and its seeds are run again. The next line never joins it, because a file that
does not end with a line's end gets one before anything is added.

Seeds are cut on a fixed grid (`grid`), whatever the number of processes, so two runs of the same worlds have the same
chunks. A chunk counts if its `Key` is exactly that of the run: another version of the code, or a scenario that differs in
anything that its hash covers, has other chunks, which may stand in the same file. Equal chunks count once, however often
they were written; chunks of one key and the same seeds that differ are proof that something is not deterministic.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from filelock import FileLock

from relaysim.scenarios.file_locks import FileLockError, lock_file
from relaysim.scenarios.system_errors import reason_of

SCHEMA: Final = 1
CHUNK: Final = 250
"""Seeds in a chunk; the last one of a run may have fewer."""

_DIGEST_BYTES = 16


class JournalError(Exception):
    """A journal that cannot be opened or written; the message names the file and says what to do."""


class DifferingChunksError(Exception):
    """Two lines tell different things of the same seeds: `first` to `last` of `key`, in lines `lines` (from 1)."""

    def __init__(self, key: Key, first: int, last: int, lines: tuple[int, int]) -> None:
        super().__init__(key, first, last, lines)
        self.key, self.first, self.last, self.lines = key, first, last, lines

    def __str__(self) -> str:
        one, other = self.lines
        return f"seeds {self.first} to {self.last}: lines {one} and {other} differ"


@dataclass(frozen=True, slots=True)
class Key:
    """What must be the same for two runs of a seed to be the same: everything but the seed.

    `scenario` is the scenario's hash; `claims` are those that were tallied, None for all of the scenario's; `factory` is a
    digest of the relay's source where that is not part of the code version, else "".
    """

    scenario: str
    code_version: str
    root_seed: int
    lane: str
    claims: tuple[str, ...] | None = None
    factory: str = ""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Key:
        """The key as a line has it."""
        claims = plain["claims"]
        return cls(**{**plain, "claims": None if claims is None else tuple(claims)})


@dataclass(frozen=True, slots=True)
class Chunk:
    """`count` seeds from `first`, and what they showed (see `Summary.to_plain`).

    `line` is the number of its line in the journal, from 1; `digest` that of all the rest.
    """

    key: Key
    first: int
    count: int
    summary: Mapping[str, Any]
    line: int = 0
    digest: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """The seeds: the first one, and how many."""
        return self.first, self.count


def grid(count: int, first: int = 0, size: int = CHUNK) -> Iterator[tuple[int, int]]:
    """The chunks `(first, count)` of so many seeds from `first`, cut at the multiples of `size`, one after the other."""
    end = first + count
    while first < end:
        stop = min(end, (first // size + 1) * size)
        yield first, stop - first
        first = stop


class Places:
    """Which chunks of `total` seeds from 0 are done. A chunk takes a bit, up to the last one that is done."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.left = total  # seeds in the chunks that are not done
        self._done = bytearray()

    def add(self, place: tuple[int, int]) -> bool:
        """A chunk is done. False, and nothing is changed, if it was done before or is none of the grid's."""
        first, count = place
        if first % CHUNK or not 0 <= first < self.total or count != min(CHUNK, self.total - first) or self._has(first):
            return False
        byte, bit = divmod(first // CHUNK, 8)
        if byte >= len(self._done):
            self._done.extend(bytes(byte + 1 - len(self._done)))
        self._done[byte] |= 1 << bit
        self.left -= count
        return True

    def missing(self) -> Iterator[tuple[int, int]]:
        """The chunks that are not done when their turn comes, in order."""
        return (place for place in grid(self.total) if not self._has(place[0]))

    def _has(self, first: int) -> bool:
        byte, bit = divmod(first // CHUNK, 8)
        return byte < len(self._done) and bool(self._done[byte] >> bit & 1)


def encode(chunk: Chunk) -> bytes:
    """The chunk's line, with its end."""
    record = {
        "schema": SCHEMA,
        "key": asdict(chunk.key),
        "first": chunk.first,
        "count": chunk.count,
        "summary": chunk.summary,
    }
    return (_text({**record, "digest": _digest(record)}) + "\n").encode()


def _text(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(record: Mapping[str, Any]) -> str:
    return blake2b(_text(record).encode(), digest_size=_DIGEST_BYTES).hexdigest()


@dataclass(slots=True)
class Journal:
    """A journal that is open for this process alone. A context manager.

    `torn` has the numbers of the lines that were passed over because they are cut off or damaged, `foreign` counts those
    that have another format; both are known when `chunks` has gone through.
    """

    path: Path
    torn: list[int] = field(default_factory=list)
    foreign: int = 0
    _file: BinaryIO | None = None
    _lock: FileLock | None = None
    _broken: bool = False

    def __enter__(self) -> Self:
        """Open and lock the file, making it if there is none. The lock ends with the process, however that ends.

        Raises:
            JournalError: if that cannot be done, or another process has it open.
        """
        try:
            new = not self.path.exists()
            # Unbuffered: what was not written whole must not be written later by accident.
            self._file = self.path.open("a+b", buffering=0)
            if new:
                _sync_folder(self.path.parent)
        except OSError as error:
            self.__exit__(None, None, None)
            raise JournalError(f"{self.path}: cannot be opened: {reason_of(error)}") from error
        taken = "another process is writing it; wait for that one, or name another folder with --out"
        try:
            self._lock = lock_file(self.path.with_name(f".{self.path.name}.lock"), taken)
        except FileLockError as error:
            self.__exit__(None, None, None)
            raise JournalError(f"{self.path}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock is not None:
            self._lock.release()

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk, in the order of the lines. Only one line at a time is held in memory.

        Raises:
            JournalError: if the file cannot be read.
        """
        self.torn, self.foreign = [], 0
        try:
            with self.path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip() and (chunk := self._decoded(line, number)) is not None:
                        yield chunk
        except OSError as error:
            raise JournalError(f"{self.path}: cannot be read: {reason_of(error)}") from error

    def _decoded(self, line: bytes, number: int) -> Chunk | None:
        try:
            record = json.loads(line)
            digest = record.pop("digest")
            sound = digest == _digest(record)
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            sound = False
        if not sound:
            self.torn.append(number)
            return None
        if record.get("schema") != SCHEMA:
            self.foreign += 1
            return None
        key = Key.from_plain(record["key"])
        return Chunk(key, record["first"], record["count"], record["summary"], number, digest)

    def append(self, chunk: Chunk) -> None:
        """Add a chunk's line; it is on the disk when this returns.

        Raises:
            JournalError: if it cannot be written whole; nothing more can then be added.
        """
        assert self._file is not None, "used as a context manager"
        if self._broken:
            raise JournalError(f"{self.path}: nothing can be added after a write that failed")
        line = encode(chunk)
        try:
            if not self._ends_a_line():
                line = b"\n" + line
            self._broken = True
            written = self._file.write(line)
            if written != len(line):
                raise OSError(errno.ENOSPC, "no space left on the device")
            os.fsync(self._file.fileno())
            self._broken = False
        except OSError as error:
            raise JournalError(f"{self.path}: cannot be written: {reason_of(error)}") from error

    def _ends_a_line(self) -> bool:
        assert self._file is not None
        end = self._file.seek(0, os.SEEK_END)
        if not end:
            return True
        self._file.seek(end - 1)
        return self._file.read(1) == b"\n"


def _sync_folder(folder: Path) -> None:
    """Make the new file's name last, too, where folders can be synchronised."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
