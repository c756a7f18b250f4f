"""Replications: in this process, or spread over several through joblib.

A `Batch` is some replications of one scenario in one lane. `run_batches` cuts batches into chunks of seeds, runs the
chunks wherever there is a process free, and merges what they found. Nothing that is found depends on how many processes
there are or how the seeds were cut.

Longer than 400 lines because whoever cuts chunks, runs them and adds them up here speaks of one kind of chunk and its cost.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import relaysim
from relaysim.scenarios.crash_notes import crash_notes
from relaysim.scenarios.engines import LocalEngine, LostWorkerError
from relaysim.scenarios.replication_summary import Summary

if TYPE_CHECKING:
    from relaysim.reports.claims import ClaimSpec
    from relaysim.sim.world import WorldSettings

__all__ = [
    "Batch",
    "ChunkResult",
    "Cost",
    "Lane",
    "LostWorkerError",
    "Observe",
    "Progress",
    "ReplicationError",
    "end_with",
    "here_on_path",
    "run_batches",
    "run_chunk",
    "session",
]

Lane = Literal["sdk", "direct"]
#: What runs one replication: `(settings, root_seed, seed, lane)` to an observation with its fingerprint.
Observe = Callable[["WorldSettings", int, int, Lane], Mapping[str, Any]]

CHUNK_MAX = 250
_WATCH_SECONDS = 2.0
#: Chunks per process, so that all of them end at about the same time and progress is seen.
_CHUNKS_PER_JOB = 24
#: Of several batches one world in so many is run before the rest: one at least, and at most as many.
FIRST_SHARE, FIRST_MAX = 20, 8
#: Fewer replications than this are not worth the second that other processes take to start.
_IN_PROCESS_MAX = 48
#: A process runs one world at a time: what a world is fenced off from belongs to the whole process. A worker of a cluster
#: may have more threads than one.
_ONE_AT_A_TIME = threading.Lock()
#: This process, once it has run worlds; a fork of it is another one.
_RAN: set[int] = set()


class ReplicationError(RuntimeError):
    """A replication that could not be run to its end: the relay or the simulator raised.

    `values` are what the batch had set on top of the scenario, as in `Batch`. `says_all`: the reason names the line and the
    remedy, and a replay would end with the same words.
    """

    def __init__(
        self,
        scenario: str,
        seed: int,
        reason: str,
        values: tuple[tuple[str, Any], ...] = (),
        says_all: bool = False,
    ) -> None:
        super().__init__(scenario, seed, reason, values, says_all)
        self.scenario, self.seed, self.reason, self.values, self.says_all = scenario, seed, reason, values, says_all

    def __str__(self) -> str:
        return f"{self.scenario}, seed {self.seed}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Batch:
    """`count` replications of a scenario (as JSON) in one lane, numbered from `first`.

    `claims` says which claims are tallied (None: all); the fingerprints of the first `fingerprints` seeds are kept, and
    with `rows` each seed's own numbers (see `relaysim.scenarios.replication_summary.Row`).
    `values` are the paths and values in which this scenario differs from the one that was loaded. `in_strata` allows for a
    scenario with strata, and tallies each claim in each of them, too (see `relaysim.scenarios.strata_tallies`). The
    traces of the first `traces` seeds are kept, packed (see `relaysim.scenarios.determinism.traces`).
    """

    key: str
    scenario: str
    count: int
    lane: Lane
    claims: tuple[str, ...] | None = None
    fingerprints: int = 0
    rows: bool = False
    values: tuple[tuple[str, Any], ...] = ()
    first: int = 0
    in_strata: bool = False
    traces: int = 0


@dataclass(slots=True)
class Progress:
    """How far a run is. `rate` is in replications per second of real time, `seconds_left` None until it is known.

    `reused` of those `done` were done before and took no time now. The last ones were `worlds` of the batch `key`, and took
    `process_seconds` of one process, None if that was not measured.
    """

    done: int
    total: int
    elapsed_seconds: float
    reused: int = 0
    key: str = ""
    worlds: int = 0
    process_seconds: float | None = None

    @property
    def rate(self) -> float:
        return (self.done - self.reused) / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.done) / self.rate if self.rate else None


@dataclass(slots=True)
class Cost:
    """What a run took: real time, replications, and the peak memory of each process in bytes."""

    seconds: float = 0.0
    replications: int = 0
    processes: dict[int, int] = field(default_factory=dict)

    def add(self, other: Cost) -> None:
        """Add another run's cost."""
        self.seconds += other.seconds
        self.replications += other.replications
        for process, peak in other.processes.items():
            self.processes[process] = max(peak, self.processes.get(process, 0))

    @property
    def peak_bytes(self) -> int:
        """The processes' peaks, added up."""
        return sum(self.processes.values())


def here_on_path() -> None:
    """Let modules of the current directory be imported: after everything that is installed, whose names they must not take,
    but before the checkout of this project, if it is installed from one. That has a `relay`, a `sim` and more of its own.
    """
    here = str(Path.cwd())
    if here in sys.path or "" in sys.path:
        return
    checkout = Path(relaysim.__file__).resolve().parents[1]
    last = len(sys.path)
    if (checkout / "pyproject.toml").is_file():
        last = next((index for index, path in enumerate(sys.path) if path == str(checkout)), last)
    sys.path.insert(last, here)


def run_batches(
    batches: Sequence[Batch],
    *,
    jobs: int = 1,
    progress: Callable[[Progress], None] | None = None,
    observe: Observe | None = None,
    chunk_size: int | None = None,
) -> tuple[dict[str, Summary], Cost]:
    """Run all batches and return each one's summary under its key, and what it took.

    Args:
        batches: with different keys.
        jobs: processes; with 1, or where there is little to do, everything runs in this one.
        progress: called after every chunk.
        observe: what runs a replication; by default `relaysim.sim.world.run_world`.
        chunk_size: replications per chunk; by default so that all processes have enough to do.

    Raises:
        ReplicationError: if a replication raises.
        LostWorkerError: if a process dies.
        KeyboardInterrupt: if interrupted; other processes are then ended at once.
    """
    total = sum(batch.count for batch in batches)
    jobs = 1 if total <= _IN_PROCESS_MAX else jobs
    size = chunk_size or min(CHUNK_MAX, max(1, total // (jobs * _CHUNKS_PER_JOB)))
    chunks = _chunks(batches, size)
    summaries = {batch.key: Summary() for batch in batches}
    cost = Cost()
    started = time.monotonic()
    done = 0
    for found in _results(batches, chunks, jobs, observe):
        key = batches[found.place].key
        summaries[key].merge(found.summary)
        done += found.summary.replications
        cost.processes[found.process] = max(found.peak_bytes, cost.processes.get(found.process, 0))
        if progress is not None:
            elapsed = time.monotonic() - started
            progress(Progress(done, total, elapsed, 0, key, found.summary.replications, found.seconds))
    cost.seconds, cost.replications = time.monotonic() - started, done
    return summaries, cost


def _chunks(batches: Sequence[Batch], size: int) -> Iterator[tuple[int, int, int]]:
    """The place of a batch, a first seed and a count, at most `size`: of several batches the first few worlds of each, then
    the rest, so that early on it is known what each one's worlds cost."""
    ahead = dict.fromkeys(range(len(batches)), 0)
    if len(batches) > 1:
        for index, batch in enumerate(batches):
            ahead[index] = first_few(batch.count, size)
            yield index, batch.first, ahead[index]
    for index, batch in enumerate(batches):
        end = batch.first + batch.count
        for seed in range(batch.first + ahead[index], end, size):
            yield index, seed, min(size, end - seed)


def first_few(count: int, size: int) -> int:
    """How many of so many worlds are run ahead of all others, in one chunk of at most `size`."""
    return min(size, FIRST_MAX, max(1, count // FIRST_SHARE))


class ChunkResult(NamedTuple):
    """What some seeds of a batch left.

    `seconds` are those of the process that ran them, None if there is nothing to go by: the first world that a process runs
    also imports what the others find there. `peak_bytes` is that process' peak of memory.
    """

    place: int
    summary: Summary
    process: int
    peak_bytes: int
    seconds: float | None


def _results(
    batches: Sequence[Batch], chunks: Iterable[tuple[int, int, int]], jobs: int, observe: Observe | None
) -> Iterator[ChunkResult]:
    if jobs == 1:
        with session(observe):
            for index, first, count in chunks:
                yield run_chunk(index, batches[index], first, count, observe, os.getpid())
        return
    calls = ((index, batches[index], first, count, observe, os.getpid()) for index, first, count in chunks)
    yield from LocalEngine(jobs).run(run_chunk, calls)


@lru_cache(maxsize=8)
def _prepare(text: str) -> tuple[Any, WorldSettings, list[ClaimSpec]]:
    """A scenario from JSON, checked once per process."""
    from relaysim.scenarios.model import Scenario

    scenario = Scenario.from_json(text)
    return scenario, scenario.world_settings(), list(scenario.specs().values())


def run_chunk(index: int, batch: Batch, first: int, count: int, observe: Observe | None, parent: int) -> ChunkResult:
    """Run some seeds of a batch, whose place is `index`.

    `parent` is the process that asked for it, 0 if that is one of another machine.
    """
    elsewhere = os.getpid() != parent
    if elsewhere and threading.current_thread() is threading.main_thread():
        # An interrupt reaches the whole group of processes; the parent's answer to it ends this one.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if parent:
            end_with(parent)
    if elsewhere and observe is None:
        gc.disable()  # as in the session that this process stays in; imports take a tenth less
    here_on_path()
    with _ONE_AT_A_TIME:
        scenario, settings, specs = _prepare(batch.scenario)
        if batch.claims is not None:
            specs = [spec for spec in specs if spec.id in batch.claims]
        if elsewhere:
            crash_notes()
        if observe is None and elsewhere:
            _stay_in_session()
        summary = Summary()
        seeds = range(first, first + count)
        kept = range(0) if observe is not None else seeds[: max(0, batch.traces - first)]
        began: list[float] = []
        if kept:
            began += _run_seeds(
                summary, scenario, settings, specs, batch, kept, _observe_with_trace, elsewhere=elsewhere
            )
        if left := seeds[len(kept) :]:
            began += _run_seeds(
                summary, scenario, settings, specs, batch, left, observe or _observe, elsewhere=elsewhere
            )
        seconds = _measured([*began, time.monotonic()])
    return ChunkResult(index, summary, os.getpid(), _peak_bytes(), seconds)


def _measured(times: Sequence[float]) -> float | None:
    """What worlds took that began at all of these times but the last, at which they ended. Of the first ones of a process
    the first one is taken to be as the others; of one alone nothing is known."""
    worlds = len(times) - 1
    if os.getpid() in _RAN:
        return times[-1] - times[0]
    _RAN.add(os.getpid())
    return (times[-1] - times[1]) / (worlds - 1) * worlds if worlds > 1 else None


@lru_cache(maxsize=1)
def end_with(parent: int) -> None:
    """Let this process end soon after the one that asked for its work: killed, that one could not tell it to."""

    def watch() -> None:
        never = threading.Event()  # `time.sleep` may be a simulation's
        while os.getppid() == parent:
            never.wait(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="ends-with-its-parent", daemon=True).start()


def session(observe: Observe | None) -> AbstractContextManager[Any]:
    """What is held around many worlds: installing it for each would cost more than a small world does."""
    if observe is not None:
        return nullcontext()
    from relaysim.sim.world import Session

    return Session()


@lru_cache(maxsize=1)
def _stay_in_session() -> AbstractContextManager[Any]:
    """A process that does nothing else enters it once and ends in it."""
    held = session(None)
    held.__enter__()
    return held


def _observe(settings: WorldSettings, root_seed: int, seed: int, lane: Lane) -> Mapping[str, Any]:
    from relaysim.sim.world import run_world

    return run_world(settings, root_seed=root_seed, seed=seed, lane=lane).observation


def _observe_with_trace(settings: WorldSettings, root_seed: int, seed: int, lane: Lane) -> Mapping[str, Any]:
    from relaysim.scenarios.determinism.traces import packed
    from relaysim.sim.doors.sent_requests import SentRequests
    from relaysim.sim.world import run_world

    sent = SentRequests()
    result = run_world(settings, root_seed=root_seed, seed=seed, lane=lane, keep_trace=True, sent=sent)
    assert result.records is not None
    return {**result.observation, "trace": packed(result.records, sent.rows)}


def _run_seeds(
    summary: Summary,
    scenario: Any,
    settings: WorldSettings,
    specs: Sequence[ClaimSpec],
    batch: Batch,
    seeds: range,
    observe: Observe,
    *,
    elsewhere: bool,
) -> list[float]:
    """Add what these seeds leave to the summary; returns when each began."""
    from relaysim.scenarios.strata_tallies import UNWEIGHED, specs_in, strata_of
    from relaysim.sim.kernel import SimulatorError, named
    from relaysim.sim.world import CHECKED, INVARIANTS

    strata = strata_of(scenario)
    if strata is not None and not batch.in_strata:
        raise ReplicationError(scenario.name, seeds.start, UNWEIGHED, batch.values)
    runs = crash_notes().runs if elsewhere else lambda what: None
    began = []
    for seed in seeds:
        runs(f"{scenario.name}, seed {seed}")
        began.append(time.monotonic())
        try:
            observation = observe(settings, scenario.root_seed, seed, batch.lane)
            summary.add(
                observation,
                specs if strata is None else [*specs, *specs_in(specs, strata.stratum_of(seed))],
                INVARIANTS,
                keep_fingerprint=seed < batch.fingerprints,
                keep_row=batch.rows,
                checked=CHECKED,
            )
        except Exception as error:
            says_all = isinstance(error, SimulatorError)
            reason = str(error) if says_all else named(error)
            raise ReplicationError(scenario.name, seed, reason, batch.values, says_all) from error
    runs("")
    return began


def _peak_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
