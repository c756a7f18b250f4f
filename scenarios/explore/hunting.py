"""World after world of a strategy, until something that must never happen has happened; and how hard that looked."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from relaysim.reports.claim_kinds import CLAIM_KINDS
from relaysim.reports.claims import detail_name, happened
from relaysim.scenarios.breached import subject_of
from relaysim.scenarios.engines import LocalEngine
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.runner import Lane, ReplicationError, here_on_path, session
from relaysim.sim.faults.worker_events import Events
from relaysim.sim.kernel import Record
from relaysim.sim.trace.schema import named
from relaysim.sim.world import run_world
from relaysim.sim.world.judge.catalogue import PROMISES

_ORDER: Final = 5
"""Successive key events of which one order is counted."""

_KEY_KINDS: Final = frozenset({"served", "redis", "send", "lease.taken", "lease.released", "handling.start"})

_WAVE: Final = 8
"""Worlds per process between two looks at what was found."""


@dataclass(frozen=True, slots=True)
class Breach:
    """Something that must never happen: the count that is above 0, and what the judge says of its first case.

    `subject` is the message that it is about, or else the conversation; None where the judge names neither.
    """

    event: str
    text: str
    conversation: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What one world showed.

    Attributes:
        breaches: what happened in it that must never happen.
        orders: digests of the orders in which key events followed each other.
        met: which fault struck at which event, and how often.
    """

    seed: int
    breaches: tuple[Breach, ...]
    orders: frozenset[bytes]
    met: Mapping[tuple[str, str], int]


@dataclass(slots=True)
class Effort:
    """How hard it was looked: worlds, orders of five successive key events, and which fault struck at which event."""

    worlds: int = 0
    orders: set[bytes] = field(default_factory=set)
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, look: Look) -> None:
        """Count one world."""
        self.worlds += 1
        self.orders |= look.orders
        self.met.update(look.met)

    def rate_bound(self) -> float:
        """With no breach in so many worlds: at most this share of the strategy's worlds has one, at 95 %."""
        return 1.0 if not self.worlds else 1.0 - float(0.05 ** (1.0 / self.worlds))


def never_events(scenario: Scenario, *, unexpected: bool = False) -> tuple[str, ...]:
    """The counts that must stay 0: of each promise, and of the scenario's claims of kind never.

    Args:
        scenario: see there.
        unexpected: without those of claims that the scenario expects to be refuted.
    """
    left_out = expected_events(scenario) if unexpected else ()
    events = [f"breach_{promise}" for promise in PROMISES]
    events += [claim.event for claim in scenario.claims if CLAIM_KINDS[claim.kind].occurrence_refutes]
    return tuple(event for event in dict.fromkeys(events) if event not in left_out)


def expected_events(scenario: Scenario) -> tuple[str, ...]:
    """The counts of claims of kind never that the scenario expects to be refuted."""
    never = [claim for claim in scenario.claims if CLAIM_KINDS[claim.kind].occurrence_refutes]
    return tuple(dict.fromkeys(claim.event for claim in never if claim.expect == "refuted"))


def breaches_in(observation: Mapping[str, Any], events: Sequence[str]) -> tuple[Breach, ...]:
    """Those of these events that happened in a world."""
    found = []
    for event in events:
        if happened(observation, event):
            details = observation["details"].get(detail_name(event)) or [{}]
            first = details[0]
            found.append(Breach(event, str(first.get("text", event)), first.get("conversation"), subject_of(first)))
    return tuple(found)


def hunt(
    scenario: Scenario,
    *,
    worlds: int,
    seconds: float | None,
    lane: Lane,
    jobs: int,
    unexpected: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[Look | None, Effort]:
    """Look at the scenario's worlds from seed 0 on, until one has a breach.

    What is found does not depend on `jobs`: the world with the smallest seed counts, and those after it do not.

    Args:
        scenario: with the strategy to hunt by.
        worlds: at most so many.
        seconds: begin no further worlds after so long; None: no limit.
        lane, jobs: where and in how many processes.
        unexpected: pass over what the scenario expects to be refuted.
        progress: called with how many were looked at.

    Raises:
        ReplicationError: a world could not be run to its end.
        LostWorkerError: a process died.
    """
    effort = Effort()
    started = time.monotonic()
    found: Look | None = None
    for look in _looks(scenario, never_events(scenario, unexpected=unexpected), worlds, seconds, lane, jobs, started):
        effort.add(look)
        progress(effort.worlds)
        if look.breaches:
            found = look
            break
    effort.seconds = time.monotonic() - started
    return found, effort


def _looks(
    scenario: Scenario,
    events: Sequence[str],
    worlds: int,
    seconds: float | None,
    lane: Lane,
    jobs: int,
    started: float,
) -> Iterator[Look]:
    text = scenario.to_json()

    def is_over() -> bool:
        return seconds is not None and time.monotonic() - started >= seconds

    if jobs == 1:
        with session(None):
            for seed in range(worlds):
                if is_over():
                    return
                yield from look_at(text, events, seed, 1, lane, os.getpid())
        return
    engine = LocalEngine(jobs)
    for first in range(0, worlds, _WAVE * jobs):
        if is_over():
            return
        seeds = range(first, min(worlds, first + _WAVE * jobs))
        calls = ((text, events, seed, 1, lane, os.getpid()) for seed in seeds)
        for looks in list(engine.run(look_at, calls)):  # whole waves: what is left of one would have to be stopped
            yield from looks


def look_at(text: str, events: Sequence[str], first: int, count: int, lane: Lane, parent: int) -> list[Look]:
    """Run some worlds of a scenario, given as JSON."""
    here_on_path()
    scenario = Scenario.from_json(text)
    settings = scenario.world_settings()
    looks = []
    for seed in range(first, first + count):
        try:
            result = run_world(settings, root_seed=scenario.root_seed, seed=seed, lane=lane, keep_trace=True)
        except Exception as error:
            raise ReplicationError(scenario.name, seed, f"{type(error).__name__}: {error}") from error
        orders, met = reach_of(Record(*each) for each in result.records or ())
        looks.append(Look(seed, breaches_in(result.observation, events), orders, met))
    return looks


def reach_of(records: Iterable[Record]) -> tuple[frozenset[bytes], Mapping[tuple[str, str], int]]:
    """In which orders key events followed each other, and which faults struck at which events.

    A key event is a request that the API processed, a command of Redis, a text, the taking or release of a lease, or the
    beginning of a handling. Of its worker counts whether it is that of the event before.
    """
    reader = Events()
    orders: set[bytes] = set()
    met: Counter[tuple[str, str]] = Counter()
    latest: dict[str, str] = {}
    recent: list[str] = []
    worker = ""
    for record in records:
        if isinstance(record.fields, tuple) and type(record.fields) is tuple:
            record = record._replace(fields=named(record.kind, record.fields))
        fault = _fault_of(record)
        if fault is not None:
            met[fault[0], fault[1] or latest.get(record.entity, "start")] += 1
        event = reader.read(record)
        if event is None:
            continue
        latest[event.worker] = event.name
        if record.kind in _KEY_KINDS:
            recent.append(event.name if event.worker == worker else f"|{event.name}")
            worker = event.worker
            if len(recent) == _ORDER:
                orders.add(blake2b("\0".join(recent).encode(), digest_size=8).digest())
                recent.pop(0)
    return frozenset(orders), met


def _fault_of(record: Record) -> tuple[str, str] | None:
    """The fault that a record tells of, and the event that it struck; "" for the latest of its worker."""
    fields: Any = record.fields
    if record.kind in ("host.crash", "host.pause", "host.slow"):
        return record.kind.replace("host.", ""), ""
    if record.kind == "redis.fault":
        return f"redis {fields.fault}", fields.command or "any command"
    if record.kind == "send.fate" and fields.fate != "delivered":
        return f"send {fields.fate}", "send"
    if record.kind == "fault":
        return f"api {fields.fault}", fields.operation
    return None
