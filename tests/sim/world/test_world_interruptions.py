"""Customers who write just after a worker did something for their conversation."""

from __future__ import annotations

from typing import Any

import pytest

from relaysim.sim.kernel import Kernel, Record
from relaysim.sim.trace.schema import RedisCommand, RequestSent, TextSent
from relaysim.sim.world.interruptions import Interruptions, start_interruptions


class Sites:
    """A kernel's draws in which every kind of moment is a world's, or none; all else is half."""

    def __init__(self, *, chosen: bool, rare: float = 0.0) -> None:
        self._chosen, self._rare = chosen, rare

    def uniform(self, entity: str, purpose: str, number: int) -> float:
        return (0.0 if self._chosen else 0.99) if entity == "interruptions" else 0.5

    def rare(self, entity: str, purpose: str, number: int) -> float:
        return self._rare


class Moments:
    """A stand-in for the kernel: what is to happen happens at once."""

    def __init__(self, draws: Sites) -> None:
        self.draws = draws

    def at(self, seconds: float, function: Any, *arguments: Any) -> None:
        assert seconds == 0.0
        function(*arguments)


def interruptions(
    written: list[tuple[str, float]],
    *,
    chosen: bool = True,
    rare: float = 0.0,
    lease_key: str | None = "lease:{conversation}",
) -> Interruptions:
    kernel: Any = Moments(Sites(chosen=chosen, rare=rare))
    return Interruptions(kernel, 0.5, lease_key, 60.0, lambda name, seconds: written.append((name, seconds)))


def command(key: str, at: float = 1.0) -> Record:
    return Record(at, "w1", "redis", RedisCommand("c1.m1#1", "renew", key, "1"))


def sent(at: float = 1.0) -> Record:
    return Record(at, "w1", "send", TextSent("c1.m1#1", "c1", "Hello"))


@pytest.mark.parametrize(
    ("record", "writers"),
    [
        (command("lease:c1"), ["c1"]),
        (command("lease:c1", at=59.9), ["c1"]),
        (command("lease:c1", at=60.0), []),
        (command("cache:c1"), []),
        (sent(), ["c1"]),
    ],
)
def test_who_has_the_conversation_of_a_lease_or_of_a_text_writes(record: Record, writers: list[str]) -> None:
    written: list[tuple[str, float]] = []
    interruptions(written).note(record)
    assert [name for name, _ in written] == writers
    assert all(0.0003 <= seconds <= 0.6 for _, seconds in written)


def test_at_other_kinds_of_moments_nobody_writes() -> None:
    written: list[tuple[str, float]] = []
    interruptions(written, chosen=False).note(sent())
    interruptions(written, rare=0.5).note(sent())
    interruptions(written, lease_key=None).note(command("lease:c1"))
    left = RequestSent("w1#1", "c1.m1#1", "runs.create", "thread_1", None)
    interruptions(written).note(Record(1.0, "w1", "request", left))
    assert written == []


def test_a_customer_writes_for_that_reason_twelve_times_at_most() -> None:
    written: list[tuple[str, float]] = []
    made = interruptions(written)
    for _ in range(20):
        made.note(sent())
        made.note(command("lease:c2"))
    names = [name for name, _ in written]
    assert (names.count("c1"), names.count("c2")) == (12, 12)


def test_who_listened_before_goes_on_listening() -> None:
    kernel, heard = Kernel(1, 0), list[Record]()
    kernel.trace.listener = heard.append
    start_interruptions(kernel, 1.0, None, 60.0, lambda name, seconds: None)
    assert kernel.trace.listener is not None
    kernel.trace.listener(sent())
    assert heard == [sent()]
