"""Logs of a relay whose backend is known: what the relay would write, by the arithmetic of its retries, without a world."""

from __future__ import annotations

import datetime
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from relaysim.relay.log_lines import WITH_SYMBOLS

REQUEST_MEDIAN, REQUEST_SIGMA = 0.3, 0.815
"""Of the shipped profiles, whose 99th percentile is 2 s."""
_START = datetime.datetime(2025, 11, 4, 12, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Backend:
    """How long a cancelled run keeps its thread, and how the relay waits."""

    median: float
    sigma: float
    stuck: float = 0.0
    waits: Sequence[float] = (2.0, 4.0, 8.0)
    checked: bool = False  # the check before the first append finds the run and requests its cancel


def stamp(seconds: float) -> str:
    return (_START + datetime.timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def relay_log(backend: Backend, conflicts: int, seed: int, *, dates: bool = True, events: bool = False) -> str:
    """The log of so many conflicts, interleaved as they happen; `events` also writes the relay's events."""
    source = random.Random(seed)
    lines: list[tuple[float, int, str]] = []
    begun = 0.0
    for number in range(conflicts):
        begun += source.expovariate(0.5)
        _one(backend, source, begun, f"run_{seed}x{number}", f"{number:08x}" if events else "", lines)
    lines.sort()
    return "\n".join(f"{stamp(at)} {text}" if dates and text[0] != "{" else text for at, _, text in lines) + "\n"


def _one(
    backend: Backend,
    source: random.Random,
    now: float,
    run: str,
    conversation: str,
    lines: list[tuple[float, int, str]],
) -> None:
    words, attempts = WITH_SYMBOLS, len(backend.waits)

    def request() -> tuple[float, float]:
        """When the API acts on a request that is sent now, and when its answer arrives."""
        took = REQUEST_MEDIAN * math.exp(REQUEST_SIGMA * source.gauss(0, 1))
        return now + took / 2, now + took

    def write(text: str) -> None:
        lines.append((now, len(lines), text))

    def tell(name: str, **fields: object) -> None:
        if conversation:
            about = {"timestamp": stamp(now), "level": "info", "event": name, "conversation": conversation}
            write(json.dumps({**about, **fields}))

    stuck = source.random() < backend.stuck
    freed_after = math.inf if stuck else backend.median * math.exp(backend.sigma * source.gauss(0, 1))
    cancelled_at = math.inf
    waited = 0.0
    if backend.checked:
        cancelled_at, now = request()
        tell("cancel", run=run, whose="other", takeover=False)
        write(f"[Relay] Run {run} is active; its cancel was requested")
    for attempt in range(1, attempts + 1):
        acted_on, now = request()
        if acted_on - cancelled_at >= freed_after:
            if attempt == 1:
                return
            write(words.created % attempt)
            tell("recovered", attempt=attempt, seconds=round(waited, 3))
            return
        tell("conflict", cause="foreign", run=run)
        write(words.active_run_detected % (attempt, attempts))
        write(words.attempting_to_cancel % run)
        acted_on, now = request()
        if cancelled_at < acted_on:
            write(f"[Relay] The cancel of run {run} failed, waiting anyway: BadRequestError (status 400)")
        else:
            cancelled_at = acted_on
            write(words.cancellation_requested % run)
        write(words.waiting % round(backend.waits[attempt - 1] * 1000))
        now += backend.waits[attempt - 1]
        waited += backend.waits[attempt - 1]
    write(words.failed % attempts)
    tell("gave_up", attempts=attempts, seconds=round(waited, 3))
