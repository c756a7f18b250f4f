"""Worlds in a fresh process: another interpreter, with a hash seed of its own, which imports everything anew.

    with FreshProcess(Job(scenarios, worlds)) as process:
        ...                                # it runs meanwhile
        endings = process.endings()

Like a worker process of `verify` it has the module path, the folder and the environment of the one that started it. What
it prints goes nowhere.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, NamedTuple, Self

from relaysim.scenarios.determinism.conditions import UNCHANGED, Conditions, other_environment
from relaysim.scenarios.determinism.traces import digest_of, packed

if TYPE_CHECKING:
    from relaysim.scenarios.determinism.kept_state import Kept
    from relaysim.scenarios.determinism.readings import Reading
    from relaysim.scenarios.runner import Lane
    from relaysim.sim.world import WorldSettings

_ENTRY: Final = (
    # The collector is off as in the session that all is done in; imports take a sixth less.
    # time_machine imports pytest if it can, which would be a twentieth of the start; whoever asks for it later gets it.
    "import gc, json, sys; gc.disable(); sys.path[:] = json.loads(sys.argv[1]); sys.modules['pytest'] = None; "
    "from relaysim.scenarios.determinism.fresh_process import main; del sys.modules['pytest']; main(sys.argv[2])"
)
_JOB, _ENDINGS, _ERRORS = "job", "endings", "errors"


class FreshProcessError(RuntimeError):
    """The process ended without results, or not at all; the message says how."""


class WorldToRun(NamedTuple):
    """One world: the place of its scenario in the job, its lane and its seed."""

    scenario: int
    lane: Lane
    seed: int


@dataclass(frozen=True, slots=True)
class Job:
    """What a fresh process is to do.

    Attributes:
        scenarios: as JSON.
        worlds: in the order in which they are run; one may occur again.
        hash_seed: its `PYTHONHASHSEED`; with 0 hashes are not random.
        conditions: what else the process finds.
        elsewhere: whether its environment is that of another machine.
        watched: places in `worlds` of those whose readings are noted, which makes them many times slower.
    """

    scenarios: Sequence[str]
    worlds: Sequence[WorldToRun]
    hash_seed: int = 1
    conditions: Conditions = UNCHANGED
    elsewhere: bool = False
    watched: frozenset[int] = frozenset()
    path: Sequence[str] = field(default_factory=lambda: tuple(sys.path))
    parent: int = field(default_factory=os.getpid)


@dataclass(frozen=True, slots=True)
class Ending:
    """How one world ended: its fingerprint, its packed trace and the digest of what it sent to the API, or the error that
    ended it.

    `seconds` of this process it took; the first one of a process also imports what the others find there.
    Of a watched world `readings` is what was noted in it, and `kept` what earlier worlds of its scenario had left behind.
    """

    world: WorldToRun
    fingerprint: str = ""
    trace: bytes = b""
    error: str = ""
    sent: str = ""
    readings: Sequence[Reading] = ()
    kept: Sequence[Kept] = ()
    seconds: float = 0.0


def do_all(jobs: Sequence[Job], at_once: int, done: Callable[[int], None] | None = None) -> list[list[Ending]]:
    """The endings of several jobs, each in a process of its own, of which so many run at once.

    Args:
        done: told after each job how many are done.

    Raises:
        FreshProcessError: if one of them ends without results.
    """
    endings: list[list[Ending]] = []
    with ExitStack() as stack:
        running: deque[FreshProcess] = deque()
        for number, job in enumerate(jobs):
            if number >= at_once:
                endings.append(running.popleft().endings())
                if done is not None:
                    done(len(endings))
            running.append(stack.enter_context(FreshProcess(job)))
        for process in running:
            endings.append(process.endings())
            if done is not None:
                done(len(endings))
    return endings


class FreshProcess:
    """A process that does a job, from its making on. A context manager, which ends it."""

    def __init__(self, job: Job) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="relaysim-"))
        self._errors: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            (self._folder / _JOB).write_bytes(pickle.dumps(job))
            self._errors = (self._folder / _ERRORS).open("wb")
            other = other_environment(str(self._folder)) if job.elsewhere else {}
            self._process = subprocess.Popen(
                # -P: the folder that it is started in must not stand before what is installed.
                [sys.executable, "-P", "-c", _ENTRY, json.dumps(list(job.path)), str(self._folder)],
                env={**os.environ, **other, "PYTHONHASHSEED": str(job.hash_seed)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
            )
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._errors is not None:
            self._errors.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        assert self._process is not None
        return self._process.poll() is not None

    def endings(self, timeout_seconds: float | None = None) -> list[Ending]:
        """Wait for the worlds' endings, in the job's order.

        Raises:
            FreshProcessError: if the process ends without them, or not in time.
        """
        assert self._process is not None
        try:
            status = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise FreshProcessError(f"did not end within {timeout_seconds:.0f} s") from None
        try:
            endings: list[Ending] = pickle.loads((self._folder / _ENDINGS).read_bytes())
        except FileNotFoundError:
            said = (self._folder / _ERRORS).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise FreshProcessError(
                f"ended with exit code {status}" + (f" and said: {said[-1].strip()}" if said else "")
            ) from None
        return endings


def main(folder: str) -> None:
    """Do the job that lies in a folder, and leave the endings there."""
    from relaysim.scenarios.runner import end_with

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started this answers an interrupt, and ends it
    job: Job = pickle.loads((Path(folder) / _JOB).read_bytes())
    end_with(job.parent)
    endings = do(job)
    passing = Path(folder) / f"{_ENDINGS}.passing"
    passing.write_bytes(pickle.dumps(endings))
    passing.replace(Path(folder) / _ENDINGS)


def do(job: Job) -> list[Ending]:
    """Run the worlds in this process, for whose rest the conditions then hold."""
    from relaysim.scenarios.model import Scenario
    from relaysim.sim.world import Session, resolve

    scenarios = [Scenario.from_json(text) for text in job.scenarios]
    settings = [scenario.world_settings() for scenario in scenarios]
    notes = _Notes() if job.watched else None
    job.conditions.install()
    endings = []
    with Session():
        for number, each in enumerate(settings):
            with nullcontext() if notes is None else notes.watch.importing(number):
                # Outside of its worlds, as where `verify` loads a scenario.
                resolve(each.relay.factory, each.variables, each.relay.libraries)
        for place, world in enumerate(job.worlds):
            root_seed = scenarios[world.scenario].root_seed
            if notes is None:
                began = time.monotonic()
                ending = _run(world, settings[world.scenario], root_seed)
                endings.append(replace(ending, seconds=time.monotonic() - began))
                continue
            watched = place in job.watched
            kept = notes.kept_before(world) if watched or not notes.knows(world) else []
            if not watched:
                endings.append(_run(world, settings[world.scenario], root_seed))
                continue
            with notes.watch.world(world.scenario) as readings:
                ending = _run(world, settings[world.scenario], root_seed)
            endings.append(replace(ending, readings=readings, kept=kept))
    return endings


class _Notes:
    """What is noted of worlds beside what happens in them."""

    def __init__(self) -> None:
        from relaysim.scenarios.determinism import kept_state, readings

        self.watch = readings.Watch()
        self._state = kept_state
        self._ours = kept_state.loaded_modules()
        self._first: dict[int, kept_state.Snapshot] = {}

    def knows(self, world: WorldToRun) -> bool:
        """Whether what there was before the first world of this one's scenario has been noted."""
        return world.scenario in self._first

    def kept_before(self, world: WorldToRun) -> list[Kept]:
        """What worlds of this one's scenario have left behind by now."""
        now = self._state.snapshot(self._ours)
        return self._state.differences(self._first.setdefault(world.scenario, now), now)


def _run(world: WorldToRun, settings: WorldSettings, root_seed: int) -> Ending:
    from relaysim.sim.doors.sent_requests import SentRequests
    from relaysim.sim.world import run_world

    sent = SentRequests()
    try:
        result = run_world(settings, root_seed=root_seed, seed=world.seed, lane=world.lane, keep_trace=True, sent=sent)
    except Exception as error:
        return Ending(world, error=f"{type(error).__name__}: {error}")
    assert result.records is not None
    return Ending(world, result.fingerprint, packed(result.records, sent.rows), sent=digest_of(sent.rows))
