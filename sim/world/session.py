"""What is installed around worlds, and one replication: a world built, run, and distilled into plain data."""

from __future__ import annotations

import gc
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from relaysim.sim import redis
from relaysim.sim.backends import DEFAULT
from relaysim.sim.doors import keyed_retry_jitter
from relaysim.sim.doors import warm_up as warm_up_api
from relaysim.sim.doors.sent_requests import SentRequests
from relaysim.sim.kernel import WATCHDOG, Fence, Guard, Recording
from relaysim.sim.process import Isolation, is_shared
from relaysim.sim.sockets import SocketCalls
from relaysim.sim.world.counters import add_counters
from relaysim.sim.world.factories import module_of
from relaysim.sim.world.invariants import JudgeSettings
from relaysim.sim.world.logs import LogCapture
from relaysim.sim.world.observe import observe
from relaysim.sim.world.obstacles import UnsimulatedCall
from relaysim.sim.world.process_state import ProcessState
from relaysim.sim.world.settings import WorldSettings
from relaysim.sim.world.unhandled_records import Finalizers
from relaysim.sim.world.world import Lane, World

PlainRecord = tuple[float, str, str, tuple[Any, ...]]

_COLLECT_EVERY = 200
_UNCOLLECTED_MAX = 200_000
"""All garbage is collected after so many worlds, or once so many objects are there that it has not looked at. What the last
world has left is collected before the next one: its memory is then used again while the processor still has it at hand,
which is a seventh of the time of a small world."""

_GROWTH_BYTES_MAX = 200 * 1024 * 1024
_LOOK_EVERY = 10
"""The same where lives load modules, which may be large: memory is looked at after so many worlds, and garbage collected
if it has grown by so much, or if the system does not tell."""

_FROZEN_BY_A_CALLER = 10_000
"""So many frozen objects were frozen by somebody, who is taken to keep them so; Python 3.12 begins with some hundreds."""


class Result(NamedTuple):
    """What one replication leaves behind: plain data."""

    observation: dict[str, Any]
    fingerprint: str
    records: list[PlainRecord] | None


def _resident_bytes() -> int:
    """The memory that this process takes; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096
    except OSError:
        return 0


_warm: set[str] = set()


def warm_up(api: str = DEFAULT) -> None:
    """Import and run once what libraries do only at first use: the first world must be like every other."""
    if not _warm:
        redis.warm_up()
    if api not in _warm:
        _warm.add(api)
        warm_up_api(api)


class Session:
    """Everything that is installed around worlds: fence, log capture, keyed SDK jitter, quiet deprecations.

    Hold one over a batch of worlds; installing costs some milliseconds. While it is held, garbage is collected between
    worlds only: a finalizer that ran at an arbitrary point could reach a result, and the collector would look through
    every world that has just been built (an eighth of the time in lane `sdk`).
    """

    _current: Session | None = None
    _process_state: ProcessState
    _caller_freezes = False

    def __init__(self) -> None:
        self.fence = Fence()
        self.logs = LogCapture()
        self.finalizers = Finalizers()
        self._stack = ExitStack()
        self._worlds = 0
        self._left_open = False
        self._has_run_users_code = False
        self._resident_bytes = 0

    def __enter__(self) -> Session:
        if Session._current is not None:
            return Session._current
        warm_up()
        stack = self._stack
        try:
            stack.enter_context(warnings.catch_warnings())
            # Each call under client.beta.threads says that the Assistants API is deprecated; here that is known.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"^(?!__main__)")
            # A worker that crashes closes nothing, nor need one at the world's end; its clients complain of that when they
            # are collected.
            warnings.filterwarnings("ignore", "Unclosed", ResourceWarning)
            self._process_state = ProcessState()
            stack.callback(self._process_state.restore)
            stack.enter_context(WATCHDOG)
            stack.enter_context(self.fence)
            stack.enter_context(Isolation())
            stack.enter_context(SocketCalls())
            stack.enter_context(self.logs)
            self.finalizers.install()
            stack.callback(self.finalizers.remove)
            stack.enter_context(keyed_retry_jitter())
        except BaseException:
            stack.close()
            raise
        Session._current = self
        # What is loaded now stays; collections between worlds need not look through it again. Who froze objects before, as
        # a test runner does after loading all tests, keeps them frozen: Python can only unfreeze all.
        _collect()
        if not Session._caller_freezes:  # to count them takes a millisecond for every ten thousand
            Session._caller_freezes = gc.get_freeze_count() >= _FROZEN_BY_A_CALLER
        if not Session._caller_freezes:
            gc.freeze()
            stack.callback(gc.unfreeze)
        if gc.isenabled():
            gc.disable()
            stack.callback(gc.enable)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if Session._current is self:
            Session._current = None
            if self._left_open:
                _collect()  # here, where it is known that such workers close nothing
            self._stack.close()

    def run(self, world: World) -> None:
        """Build, run and close one world."""
        warm_up(world.backend.name)
        if not is_shared(module_of(world.settings.relay.factory)):
            self._has_run_users_code = True
            Isolation.install()
            SocketCalls.install()
        try:
            with Guard(world.kernel.env, world.kernel.fail):
                self.fence.attach(world.kernel)
                self.logs.attach(world.kernel.trace)
                self.finalizers.kernel = world.kernel
                try:
                    try:
                        world.build()
                    except Exception:
                        world.kernel.close()  # what workers have begun is ended, not dropped
                        raise
                    try:
                        world.run()
                    finally:
                        world.close()
                finally:
                    if world.processes is not None:
                        world.processes.close()
                    self.finalizers.kernel = None
                    self.logs.attach(None)
                    self.fence.attach(None)
        finally:
            self._process_state.restore_settings()
            self._worlds += 1
            crashed = any(worker.crashed for worker in world.workers)
            self._left_open = self._left_open or crashed or world.processes is not None
            many = self._worlds % _COLLECT_EVERY == 0 or gc.get_count()[0] > _UNCOLLECTED_MAX
            if many or (world.processes is not None and self._lives_left_much()):
                _collect()

    def collect_last_world(self) -> None:
        """Collect what the last world has left; to be called before the next one is made, whose parts would else count as
        old, and what they hold as in use."""
        if self._has_run_users_code:
            _collect(0)
        else:
            gc.collect(0)  # without destructors that anything must be guarded from

    def _lives_left_much(self) -> bool:
        """Whether modules of workers' lives, which are not counted by objects, take much memory by now."""
        if self._worlds % _LOOK_EVERY:
            return False
        resident = _resident_bytes()
        grown = resident - self._resident_bytes
        if resident and 0 <= grown <= _GROWTH_BYTES_MAX:
            return False
        self._resident_bytes = resident
        return True


def _collect(generation: int = 2) -> None:
    """Collect garbage; of generation 0 only among what has been made since the last time, whoever keeps it or not."""
    with Guard():  # destructors of code under test run in it
        gc.collect(generation)


def run_world(
    settings: WorldSettings,
    *,
    root_seed: int,
    seed: int,
    lane: Lane = "sdk",
    keep_trace: bool = False,
    recording: Recording | None = None,
    sent: SentRequests | None = None,
) -> Result:
    """Run one replication.

    Args:
        settings: the world without its seed.
        root_seed: the scenario's root seed.
        seed: the replication's seed.
        lane: `sdk` or `direct`.
        keep_trace: also return the records.
        recording: takes down what is decided.
        sent: takes down what requests to the API carry.

    Raises:
        FactoryError: if the relay's factory cannot be used.
        LeavesSimulationError: if the relay tries to reach the world outside.
        StuckSimulationError: if the relay loops without letting time pass.
        GivenUpError: if the relay does not come back, see `relaysim.sim.kernel.watchdog`.
        EndsProcessError: if the relay would end its process.
    """
    if Session._current is not None:
        Session._current.collect_last_world()
    world = World(settings, root_seed, seed, lane, recording, sent)
    if Session._current is not None:  # making another one would cost as much as a host
        Session._current.run(world)
    else:
        with Session() as session:
            session.run(world)
    trace = world.kernel.trace
    fingerprint = trace.fingerprint()
    settings = world.settings  # a strategy may have changed them
    observation = observe(
        trace.records,
        settings.relay,
        world.threads(),
        seed=seed,
        fingerprint=fingerprint,
        ledger=world.ledger,
        promises=JudgeSettings.of(
            settings,
            world.promises,
            world.backend.roles,
            gets_requests=world.workers[0].target.gets_requests,
        ),
        redis_pauses=(*world.redis.pauses, *(world.redis.lags if world.promises.confirming_replicas else ())),
        unsimulated=[UnsimulatedCall(*each) for each in world.network.unknown],
        said_elsewhere=tuple(dict.fromkeys(world.network.others.said)),
        raised=world.webhooks.raised,
        api_faults=bool(world.settings.faults),
        untold=world.backend.has_events and world.settings.events is None,
        facts=world.facts,
    )
    observation["fault_hits"] = world.fault_hits
    add_counters(observation, trace.records, settings.counters)
    records = [tuple(record) for record in trace.records] if keep_trace else None
    return Result(observation, fingerprint, records)  # type: ignore[arg-type]
