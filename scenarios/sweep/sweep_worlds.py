"""The worlds of a sweep: which chunks are still to be run, running them wherever the engine runs them, and the journal.

A chunk that takes long is computed in pieces, by as many processes as there are, and put together here. What is merged went
through the journal's own form, also in the run that computed it: a run that was taken up again and one that was never broken
off add up the same data.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import Any, Final

from relaysim.scenarios.chunks import CHUNK, Chunk, DifferingChunksError, Journal, Key, Places, grid
from relaysim.scenarios.engines import ClusterError, Engine, LocalEngine, LostWorkerError
from relaysim.scenarios.replication_summary import Summary
from relaysim.scenarios.runner import Batch, ChunkResult, Cost, Lane, Observe, Progress, first_few, run_chunk
from relaysim.scenarios.strata_tallies import strata_of
from relaysim.scenarios.sweep.points import Plan, Point
from relaysim.scenarios.timing import code_version
from relaysim.sim.counted import counted

TRIES: Final = 3
"""How often a piece is run alone before it is given up, and how many are before all are."""

_PIECES_PER_JOB: Final = 24
_IN_PROCESS_MAX: Final = 48


@dataclass(slots=True)
class Worlds:
    """All worlds of one key: a point's, or those of several points that differ in nothing that matters to a world."""

    key: Key
    batch: Batch
    places: Places
    summary: Summary = field(default_factory=Summary)


@dataclass(slots=True)
class Ran:
    """What a run of the worlds took, and what it found in the journal.

    `reused` counts replications that were done before, `others` chunks of other runs, `torn` the lines passed over, `lost`
    how often workers were lost.
    """

    cost: Cost = field(default_factory=Cost)
    reused: int = 0
    others: int = 0
    torn: tuple[int, ...] = ()
    lost: int = 0


def worlds_of(plan: Plan, *, version: str, replications: int | None, lane: Lane | None) -> list[Worlds]:
    """For each point its worlds, all of them missing; equal points share theirs."""
    made: dict[Key, Worlds] = {}
    return [_worlds(point, made, version, replications, lane) for point in plan.points]


def _worlds(point: Point, made: dict[Key, Worlds], version: str, replications: int | None, lane: Lane | None) -> Worlds:
    scenario = point.scenario
    lane = lane or scenario.lane
    count = replications or scenario.replications
    key = Key(scenario.hash, version, scenario.root_seed, lane, factory=source_digest(scenario.relay.factory))
    if key not in made:
        values = tuple(point.values.items())
        in_strata = strata_of(scenario) is not None
        batch = Batch(str(len(made)), scenario.to_json(), count, lane, values=values, in_strata=in_strata)
        made[key] = Worlds(key, batch, Places(count))
    return made[key]


@lru_cache(maxsize=64)
def source_digest(factory: str) -> str:
    """A digest of the module that a factory is in, and of the modules beside it if it is in a package; "" for the relay's
    own and the simulator's, which are part of the code version."""
    module = factory.partition(":")[0]
    if module.partition(".")[0] == "relaysim":
        return ""
    from relaysim.sim.world import file_of

    origin = file_of(factory)
    if origin is None:
        return ""
    files = sorted(origin.parent.glob("*.py")) if "." in module else [origin]
    digest = sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


# The journal


def take_up(worlds: Sequence[Worlds], journal: Journal, ran: Ran) -> None:
    """Add what the journal has of these worlds to their summaries; it is then no longer missing.

    Raises:
        DifferingChunksError: if it has two different chunks of the same seeds.
        JournalError: if it cannot be read.
    """
    by_key: dict[Key, tuple[Worlds, dict[tuple[int, int], tuple[bytes, int]]]] = {
        each.key: (each, {}) for each in worlds
    }
    for chunk in journal.chunks():
        if chunk.key not in by_key:
            ran.others += 1
            continue
        its, seen = by_key[chunk.key]
        found = bytes.fromhex(chunk.digest)
        digest, line = seen.setdefault(chunk.place, (found, chunk.line))
        if digest != found:
            last = chunk.first + chunk.count - 1
            raise DifferingChunksError(chunk.key, chunk.first, last, (line, chunk.line))
        if its.places.add(chunk.place):
            its.summary.merge(Summary.from_plain(chunk.summary))
            ran.reused += chunk.count
    ran.torn = tuple(journal.torn)


# Running


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some seeds of a chunk, `count` from `first`; `chunk` is the place of the chunk, `worlds` the number of its worlds."""

    worlds: int
    chunk: tuple[int, int]
    first: int
    count: int


def run_worlds(
    worlds: Sequence[Worlds],
    journal: Journal,
    engine: Engine,
    ran: Ran,
    *,
    tell: Callable[[str], None],
    progress: Callable[[Progress], None] | None = None,
    observe: Observe | None = None,
) -> None:
    """Run what is missing, writing each chunk that is done into the journal.

    Args:
        worlds: after `take_up`.
        journal: open.
        engine: where they are run.
        ran: what is added to.
        tell: takes a sentence for the user: workers that were lost.
        progress: called after each piece.
        observe: what runs a replication, see `relaysim.scenarios.runner.run_batches`.

    Raises:
        ReplicationError: if a replication raises.
        LostWorkerError: if workers are lost again and again without anything being done.
        ClusterError: if a worker of a cluster runs other code.
        JournalError: if the journal cannot be written.
    """
    each_once = list({each.key: each for each in worlds}.values())
    started = monotonic()
    left = sum(each.places.left for each in each_once)
    total, done = ran.reused + left, ran.reused

    def report(key: str = "", worlds: int = 0, seconds: float | None = None) -> None:
        if progress is not None:
            progress(Progress(done, total, monotonic() - started, ran.reused, key, worlds, seconds))

    if not left:
        report()
        return
    size = min(CHUNK, max(1, left // (engine.jobs * _PIECES_PER_JOB)))
    pieces = _pieces(each_once, size)
    parts: dict[tuple[int, tuple[int, int]], Summary] = {}
    try:
        with closing(_results(pieces, each_once, engine, ran, left, observe, tell)) as results:
            for piece, found in results:
                place = (piece.worlds, piece.chunk)
                part = parts.setdefault(place, Summary()).merge(found.summary)
                if part.replications == piece.chunk[1]:
                    _keep(each_once[piece.worlds], piece.chunk, parts.pop(place), journal)
                done += piece.count
                ran.cost.replications += piece.count
                ran.cost.processes[found.process] = max(found.peak_bytes, ran.cost.processes.get(found.process, 0))
                report(each_once[piece.worlds].batch.key, piece.count, found.seconds)
    finally:
        ran.cost.seconds += monotonic() - started


def _pieces(worlds: Sequence[Worlds], size: int) -> Iterator[_Piece]:
    """What is missing, one piece after the other: of a billion replications there are millions. Of several points the first
    few worlds of each come first, so that early on it is known what each one's worlds cost."""
    ahead: dict[tuple[int, tuple[int, int]], int] = {}
    for index, each in enumerate(worlds) if len(worlds) > 1 else ():
        chunk = next(iter(each.places.missing()), None)
        if chunk is not None:
            ahead[index, chunk] = first_few(min(each.places.left, chunk[1]), size)
            yield _Piece(index, chunk, chunk[0], ahead[index, chunk])
    for index, each in enumerate(worlds):
        for chunk in each.places.missing():
            done = ahead.get((index, chunk), 0)
            for first, count in grid(chunk[1] - done, chunk[0] + done, size):
                yield _Piece(index, chunk, first, count)


def _keep(worlds: Worlds, place: tuple[int, int], summary: Summary, journal: Journal) -> None:
    plain = summary.to_plain()
    journal.append(Chunk(worlds.key, *place, plain))
    worlds.summary.merge(Summary.from_plain(json.loads(json.dumps(plain))))
    worlds.places.add(place)


_Found = tuple[_Piece, ChunkResult]


class _Queue:
    """Pieces in order, and those that were lost with a worker after all others.

    An engine draws in threads of its own, and perhaps once more after it has failed: it then gets nothing.
    """

    def __init__(self, pieces: Iterable[_Piece]) -> None:
        self._new = enumerate(pieces)
        self._lost: deque[tuple[int, _Piece]] = deque()
        self._out: dict[int, _Piece] = {}
        self._round = 0
        self._lock = Lock()

    def draw(self) -> Iterator[tuple[int, _Piece]]:
        """Hand out each piece with its number, until `take_back`."""
        mine = self._round
        while (each := self._next(mine)) is not None:
            yield each

    def _next(self, mine: int) -> tuple[int, _Piece] | None:
        with self._lock:
            if mine != self._round:
                return None
            each = next(self._new, None)
            if each is None and self._lost:
                each = self._lost.popleft()
            if each is not None:
                self._out[each[0]] = each[1]
            return each

    def done(self, number: int) -> _Piece:
        """The piece of that number, which was handed out and is done."""
        with self._lock:
            return self._out.pop(number)

    def take_back(self) -> None:
        """Put what was handed out and is not done behind all the rest: one of these may be what ends workers."""
        with self._lock:
            self._round += 1
            self._lost.extend(self._out.items())
            self._out.clear()


def _results(
    pieces: Iterable[_Piece],
    worlds: Sequence[Worlds],
    engine: Engine,
    ran: Ran,
    left: int,
    observe: Observe | None,
    tell: Callable[[str], None],
) -> Generator[_Found, None, None]:
    """Each piece and what its worlds left; what was lost with a worker is run again."""
    if isinstance(engine, LocalEngine) and (engine.jobs == 1 or left <= _IN_PROCESS_MAX):
        yield from _here(pieces, worlds, engine.parent, observe)
        return
    queue = _Queue(pieces)
    version = worlds[0].key.code_version

    def run(drawn: Iterable[tuple[int, _Piece]]) -> Generator[_Found, None, None]:
        calls = _calls(drawn, worlds, engine.parent, observe)
        with closing(engine.run(run_piece, calls, ordered=False)) as results:
            for found, worker_version in results:
                if worker_version and worker_version != version:
                    raise ClusterError(
                        f"a worker that has joined the cluster runs other code: {worker_version}, not {version}"
                    )
                yield queue.done(found.place), found

    some = True
    while some:
        some = False
        try:
            with closing(run(queue.draw())) as results:
                for found in results:
                    some = True
                    yield found
            return
        except LostWorkerError as error:
            ran.lost += 1
            tell(f"{error}; running what it had again")
            queue.take_back()
    culprits: list[_Piece] = []
    for number, piece in queue.draw():
        for _ in range(TRIES):
            try:
                yield from run([(number, piece)])
                break
            except LostWorkerError as error:
                ran.lost += 1
                lost = error
        else:
            culprits.append(piece)
            if len(culprits) == TRIES:
                break  # so it is not the pieces
    if culprits:
        ranges = "; ".join(f"seeds {each.first} to {each.first + each.count - 1}" for each in culprits)
        raise LostWorkerError(f"{lost}; it died each of {TRIES} times, also alone, with {ranges}") from lost


def _here(pieces: Iterable[_Piece], worlds: Sequence[Worlds], parent: int, observe: Observe | None) -> Iterator[_Found]:
    from relaysim.scenarios.runner import session

    with session(observe):
        for number, piece in enumerate(pieces):
            yield piece, run_chunk(number, worlds[piece.worlds].batch, piece.first, piece.count, observe, parent)


def _calls(
    drawn: Iterable[tuple[int, _Piece]], worlds: Sequence[Worlds], parent: int, observe: Observe | None
) -> Iterator[tuple[Any, ...]]:
    for number, piece in drawn:
        yield number, worlds[piece.worlds].batch, piece.first, piece.count, observe, parent


def run_piece(
    number: int, batch: Batch, first: int, count: int, observe: Observe | None, parent: int
) -> tuple[ChunkResult, str]:
    """`relaysim.scenarios.runner.run_chunk`, and on another machine the version of the code that ran it."""
    return run_chunk(number, batch, first, count, observe, parent), "" if parent else _version()


@lru_cache(maxsize=1)
def _version() -> str:
    return code_version()


def versions_here(factories: Sequence[str]) -> dict[str, str]:
    """The version of the code, and the digests of the relays that are not part of it, for comparing machines."""
    from relaysim.scenarios.runner import here_on_path

    here_on_path()
    versions = {"relaysim": code_version()}
    versions.update({each: source_digest(each) for each in factories if source_digest(each)})
    return versions


def torn_words(ran: Ran, journal: Journal) -> str:
    """What to tell of lines that were passed over."""
    lines = ", ".join(map(str, ran.torn[:5])) + (", ..." if len(ran.torn) > 5 else "")
    which = f"line {lines} is" if len(ran.torn) == 1 else f"lines {lines} are"
    return f"{journal.path}: {which} cut off or damaged, as when a writer is killed; those seeds are run again"


def reused_words(ran: Ran, journal: Journal) -> list[str]:
    """What to tell of the lines that count, and of those that do not."""
    lines = []
    if ran.reused:
        lines.append(f"{journal.path}: {counted(ran.reused, 'replication')} done already")
    if others := ran.others + journal.foreign:
        lines.append(
            f"{journal.path}: {counted(others, 'line')} of other scenarios or other code, which count for nothing here"
        )
    return lines
