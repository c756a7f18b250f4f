"""Workers that crash, pause, run slow, or have a wrong clock: as scenario files write it, and as it happens in a world.

| kind    | what happens                                                                                              |
|---------|-----------------------------------------------------------------------------------------------------------|
| `crash` | a power cut: nothing runs any more, no `finally` either; what was sent stays on its way. After `seconds` a |
|         | new process of the same name starts with nothing in memory; without `seconds` only when all faults stop   |
| `stop`  | it is told to end, as at a deployment: it gets no deliveries any more, the relay's `aclose` is awaited, for |
|         | 30 s at most, and then the process is gone. After `seconds` a new one starts, as after a crash              |
| `pause` | nothing runs for `seconds`, then it goes on (a long garbage collection, a stopped or moved machine)         |
| `slow`  | for `seconds`, each time the worker has something to do it first waits for `delay_seconds` (a starved CPU) |
| `skew`  | from now on `time.time()` and `datetime.now()` are off by `seconds`; timers are not                       |

A fault strikes at a time drawn per world, or at an event of a worker, which is then the one that it strikes. What strikes
at an event takes effect at the end of its instant: whatever the worker does without letting time pass is done. So both
lanes and all versions of Python agree on how far it came, however many steps they take to get there. Or it takes effect
`after_seconds`, between two things that the worker does, if the life that it was to strike goes on until then.

A fault is over at the latest when all faults stop: pauses and delays are cut short, dead workers start, clocks are right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from relaysim.sim.backends.protocol import Backend
from relaysim.sim.faults import AtOccasions, AtTimes, Draw, FaultPlan, TimedStrike
from relaysim.sim.faults.when import NthEvents, SiteProbability
from relaysim.sim.faults.worker_events import OF_REDIS, OF_REQUESTS, PLAIN, Event, Events
from relaysim.sim.kernel import Kernel, Record
from relaysim.sim.kernel.distributions import Seconds
from relaysim.sim.trace.schema import HostPause, HostResume, HostSkew, HostSlow
from relaysim.sim.validation_words import checked_entries
from relaysim.sim.world.workers import Worker

_STOP_SECONDS_MAX: Final = 30.0
"""How long a process that was told to end is waited for before it is killed, as orchestrators do."""


class HostFault(BaseModel):
    """One fault of workers: what happens, to which of them, how often and when. Give `at_seconds` or `on`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["crash", "stop", "pause", "slow", "skew"] = Field(
        description="`crash`: the process is gone at once, and a new one starts after `seconds`; `stop`: the same, but it "
        "may end in order first (`aclose` of an object with `handle`, for 30 s at most); `pause`: it does nothing "
        "for `seconds`; `slow`: for `seconds` it waits `delay_seconds` before each thing it does; `skew`: its wall clock "
        "is off by `seconds`"
    )
    workers: tuple[int, ...] | None = Field(
        default=None,
        description="which workers, counting from 1; absent: with `at_seconds` one is drawn each time, with `on` any",
    )
    at_seconds: Seconds | None = Field(default=None, description="when it strikes, from the world's start")
    on: str | None = Field(
        default=None,
        description="the event at which it strikes the worker whose event it is, or a pattern: `request:runs.create` (it "
        "leaves), `served:runs.create` (the API has processed it), `response:runs.*`, `redis:SET` or `redis:renew` (Redis "
        "has processed the command, or the script of that name), `handling.start`, `handling.end`, `send`, `lease.taken`",
    )
    probability: float = Field(
        default=1.0, ge=0, le=1, description="how likely it strikes, each time or at each such event"
    )
    site_probability: SiteProbability = Field(
        default=1.0,
        description="with `on`: how likely it strikes at an event of that name at all, decided once per world for each name",
    )
    times: int = Field(
        default=1, ge=1, le=10_000, description="with `at_seconds` how often; with `on` how often at most"
    )
    nth: NthEvents = Field(
        default=None, description="with `on`: at the events with these numbers, counted from 1 over the world"
    )
    after_seconds: Seconds | None = Field(
        default=None,
        description="with `on`: how long after the event it takes effect, drawn for each; absent: at the event's instant",
    )
    seconds: Seconds | None = Field(
        default=None,
        description="`crash` and `stop`: until it starts again, absent: only when faults stop; `pause`: how long; `slow`: "
        "how long, absent: until faults stop; `skew`: how far the clock is off",
    )
    delay_seconds: Seconds | None = Field(default=None, description="`slow`: the wait before each thing it does")
    behind_probability: float = Field(
        default=0.0, ge=0, le=1, description="`skew`: how likely the clock is behind instead of ahead"
    )

    @field_validator("workers")
    @classmethod
    def _some_worker(cls, workers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if workers is not None and (not workers or min(workers) < 1 or len(set(workers)) < len(workers)):
            raise ValueError("names at least one worker, counting from 1, and each only once")
        return workers

    @model_validator(mode="after")
    def _fields_fit(self) -> HostFault:
        if (self.at_seconds is None) == (self.on is None):
            raise ValueError("give either `at_seconds`, a time, or `on`, an event")
        if self.nth is not None and self.on is None:
            raise ValueError("`nth` counts events, so it belongs to `on`: leave it out, or give `on`")
        if self.on is None and "site_probability" in self.model_fields_set:
            raise ValueError("`site_probability` is of the events of `on`: leave it out, or give `on`")
        if self.on is None and self.after_seconds is not None:
            raise ValueError("`after_seconds` counts from the event of `on`: leave it out, or give `on`")
        if self.nth is not None and "times" in self.model_fields_set:
            raise ValueError("`nth` says how often already: leave `times` out")
        if self.seconds is None and self.kind in ("pause", "skew"):
            raise ValueError(f"kind {self.kind!r} needs `seconds`, how {'long' if self.kind == 'pause' else 'far'}")
        if (self.delay_seconds is not None) != (self.kind == "slow"):
            raise ValueError(
                "kind 'slow' needs `delay_seconds`, the wait before each thing the worker does"
                if self.kind == "slow"
                else f"`delay_seconds` belongs to kind 'slow' only, not to {self.kind!r}: leave it out"
            )
        if "behind_probability" in self.model_fields_set and self.kind != "skew":
            raise ValueError(f"`behind_probability` belongs to kind 'skew' only, not to {self.kind!r}: leave it out")
        return self

    @property
    def when(self) -> AtTimes | AtOccasions:
        """When it strikes: at times, or at the events of the workers that it may strike."""
        if self.on is None:
            assert self.at_seconds is not None
            return AtTimes(self.at_seconds, self.times, self.probability)
        return AtOccasions(
            self.on,
            self.probability,
            nth=self.nth,
            strikes_max=self.times if self.nth is None else None,
            site_probability=self.site_probability,
        )


def check_events(faults: tuple[HostFault, ...], backend: Backend) -> tuple[HostFault, ...]:
    """The same faults, for a validator of whatever names both.

    Raises:
        pydantic.ValidationError: one of them could never strike, since no worker of that API does such a thing.
    """
    events = (*(f"{kind}:{operation.name}" for kind in OF_REQUESTS for operation in backend.operations), *PLAIN)
    kinds = ", ".join((*(f"{kind}:OPERATION" for kind in OF_REQUESTS), f"{OF_REDIS}:COMMAND", *PLAIN))
    wrong = (
        (position, f"{fault.on!r} matches no event; there are {kinds}")
        for position, fault in enumerate(faults)
        if fault.on is not None
        and not fault.on.startswith(f"{OF_REDIS}:")
        and not any(fnmatchcase(event, fault.on) for event in events)
    )
    return checked_entries(faults, "on", wrong)


class HostFaults:
    """The host faults of one world.

    Args:
        kernel: the world's.
        faults: its faults.
        workers: all of them, in their order.
        stop_seconds: virtual time at which faults stop, at the latest when the world is cut off.
        on_crash: called after a worker has crashed.

    Attributes:
        plan: when they strike, and how often each has.
        stop_seconds: as given.
    """

    def __init__(
        self,
        kernel: Kernel,
        faults: Sequence[HostFault],
        workers: Sequence[Worker],
        stop_seconds: float,
        on_crash: Callable[[Worker], None],
    ) -> None:
        self.plan = FaultPlan(
            faults, lambda position, event: kernel.draws.uniform(f"site {event}", f"host-fault-{position}", 0)
        )
        self._kernel = kernel
        self._workers = workers
        self._by_name = {worker.name: worker for worker in workers}
        self.stop_seconds = stop_seconds
        self._on_crash = on_crash
        self._coming_back = 0
        self._events = Events()
        self._occasions: dict[tuple[int, str], int] = {}
        self._listens = any(fault.on is not None for fault in faults)

    def start(self) -> None:
        """Schedule what strikes at a time, and listen for the events at which the rest does. Call it at time 0."""
        kernel = self._kernel
        for strike in self.plan.timed(
            lambda position, number: self._strikes(position, number),
            lambda position, number: self._draw(position, "at", number),
        ):
            kernel.at(strike.at_seconds, self._strike_at_a_time, strike)
        if self._listens:
            kernel.trace.listener = self._listen

    @property
    def awaited(self) -> bool:
        """Whether a worker is paused, or down and about to start: the world is not at rest."""
        return self._coming_back > 0

    def stop(self) -> None:
        """No fault strikes any more, and every worker is well."""
        self.plan.stopped = True
        if self._listens:
            self._kernel.trace.listener = None
        for worker in self._workers:
            if not worker.alive:
                self._restart(worker)
            if worker.delayed_by is not None:
                self._end_slow(worker, worker.delayed_by)
            if worker.host.skew_seconds:
                self._skew(worker, 0.0)

    def _draw(self, position: int, purpose: str, index: int, worker: str = "") -> float:
        return self._kernel.draws.uniform(f"host-fault-{position} {worker}", purpose, index)

    def _strikes(self, position: int, index: int, worker: str = "") -> float:
        return self._kernel.draws.rare(f"host-fault-{position} {worker}", "strikes", index)

    # When it strikes

    def _strike_at_a_time(self, strike: TimedStrike) -> None:
        position, workers = strike.position, self._workers
        chosen = self.plan.faults[position].workers
        if chosen is None:
            number = int(self._draw(position, "worker", strike.number) * len(workers))
            self._strike(position, workers[min(number, len(workers) - 1)])
        else:
            for number in chosen:
                self._strike(position, workers[number - 1])

    def _listen(self, record: Record) -> None:
        event = self._events.read(record)
        if event is not None:
            self.note(event)

    def note(self, event: Event) -> None:
        """Something happens that is no record of the trace, or has become one: let what watches it strike."""
        worker = self._by_name.get(event.worker)
        if worker is None:
            return
        plan, now = self.plan, self._kernel.now
        for position, when in plan.watching(event.name):
            chosen = plan.faults[position].workers
            if chosen is not None and worker.number not in chosen:
                continue
            occasion = self._count(position, worker)
            if plan.strikes(position, when, now, self._draw_of(worker, occasion)):
                after = plan.faults[position].after_seconds
                if after is None:
                    self._kernel.at(0.0, self._strike, position, worker)
                else:
                    seconds = after.sample(self._draw(position, "after", occasion, worker.name))
                    self._kernel.at(seconds, self._strike_life, position, worker, worker.starts)

    def _count(self, position: int, worker: Worker) -> int:
        """The number of this occasion among those of a fault and a worker, counting from 0."""
        key = (position, worker.name)
        index = self._occasions[key] = self._occasions.get(key, -1) + 1
        return index

    def _draw_of(self, worker: Worker, index: int) -> Draw:
        return lambda position, _: self._strikes(position, index, worker.name)

    def _strike_life(self, position: int, worker: Worker, starts: int) -> None:
        if worker.starts == starts:
            self._strike(position, worker)

    # What it does

    def _strike(self, position: int, worker: Worker) -> None:
        if self.plan.stopped or not worker.alive:
            return
        fault = self.plan.faults[position]
        self.plan.fire(position)
        index = self._kernel.draws.next_index(worker.name, f"host-fault-{position}")
        left = self.stop_seconds - self._kernel.now
        if fault.seconds is not None:
            seconds = fault.seconds.sample(self._draw(position, "seconds", index, worker.name))
        else:
            seconds = left
        if fault.kind in ("crash", "stop"):
            back = seconds if fault.seconds is not None and seconds < left else None
            if fault.kind == "stop":
                self._stop(worker, back)
            else:
                self._crash(worker, back)
        elif fault.kind == "pause":
            self._pause(worker, min(seconds, left))
        elif fault.kind == "slow":
            self._slow(worker, position, min(seconds, left))
        else:
            behind = self._draw(position, "behind", index, worker.name) < fault.behind_probability
            self._skew(worker, -seconds if behind else seconds)

    def _stop(self, worker: Worker, seconds: float | None) -> None:
        """Let a worker end in order, as long as whoever stops it has patience."""
        self._coming_back += 1
        life = worker.starts

        def end() -> None:
            if worker.starts == life and not worker.host.crashed:
                self._coming_back -= 1
                self._crash(worker, seconds)

        worker.stop(end)
        self._kernel.at(_STOP_SECONDS_MAX, end)

    def _crash(self, worker: Worker, seconds: float | None) -> None:
        worker.crash()
        self._on_crash(worker)
        if worker.paused_until is not None:
            worker.paused_until = None
            self._coming_back -= 1
        if seconds is not None:
            self._coming_back += 1
            self._kernel.at(seconds, self._come_back, worker, worker.starts)

    def _come_back(self, worker: Worker, starts: int) -> None:
        self._coming_back -= 1
        if worker.starts == starts:
            self._restart(worker)

    def _restart(self, worker: Worker) -> None:
        if not worker.host.crashed:  # it was still ending
            self._coming_back -= 1
            self._crash(worker, None)
        skew, delayed_by = worker.host.skew_seconds, worker.delayed_by
        worker.start()
        # The process is new; the machine under it is the same.
        worker.host.skew_seconds = skew
        if delayed_by is not None:
            worker.host.slow(delayed_by)

    def _pause(self, worker: Worker, seconds: float) -> None:
        kernel = self._kernel
        kernel.trace.add(worker.name, HostPause(seconds=seconds))
        until = kernel.now + seconds
        if worker.paused_until is None:
            self._coming_back += 1
        worker.paused_until = until if worker.paused_until is None else max(until, worker.paused_until)
        # Set before the host's own timer, so that the trace tells of the end before what the worker then does.
        kernel.at(seconds, self._resume, worker, worker.starts, until)
        worker.pause(seconds)

    def _resume(self, worker: Worker, starts: int, until: float) -> None:
        if worker.starts == starts and worker.alive and worker.paused_until == until:
            worker.paused_until = None
            self._coming_back -= 1
            self._kernel.trace.add(worker.name, HostResume())
            worker.resume()

    def _slow(self, worker: Worker, position: int, seconds: float) -> None:
        draws, name = self._kernel.draws, worker.name
        distribution = self.plan.faults[position].delay_seconds
        assert distribution is not None
        sample = distribution.sampler

        def delay() -> float:
            return sample(draws.uniform(name, f"host-fault-{position} delay"))

        self._kernel.trace.add(name, HostSlow(seconds=seconds))
        worker.delayed_by = delay
        worker.host.slow(delay)
        self._kernel.at(seconds, self._end_slow, worker, delay)

    def _end_slow(self, worker: Worker, delay: Callable[[], float]) -> None:
        if worker.delayed_by is delay:  # and not a later fault's
            worker.delayed_by = None
            if worker.alive:
                worker.host.slow(None)

    def _skew(self, worker: Worker, seconds: float) -> None:
        self._kernel.trace.add(worker.name, HostSkew(seconds=seconds))
        worker.host.skew_seconds = seconds
