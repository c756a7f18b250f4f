"""What a test does to a simulated API besides calling it: faults, replies, stuck runs; and what it reads from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from relaysim.sim.doors.faults import ApiFault, wrong_routes
from relaysim.sim.doors.given_replies import GivenReplies, Then, replier_of
from relaysim.sim.doors.server.control_errors import problems_of
from relaysim.sim.doors.simulation import SimulatedApi
from relaysim.sim.kernel import Record

T = TypeVar("T")


class ApiHandle(ABC):
    """A simulated API in a test's hands, whatever its requests come by.

    Everything that is read is plain data and a copy: it shows the present instant and does not change later.
    """

    @abstractmethod
    def _apply(self, action: Callable[[SimulatedApi], T]) -> T:
        """What `action` returns, called with the API at the present instant."""

    @abstractmethod
    def _add_fault(self, fault: ApiFault) -> None:
        """Put a fault after those there are, which go on counting."""

    @abstractmethod
    def _clear_faults(self) -> None:
        """Take all faults away."""

    def _on_new_world(self) -> None:
        """A fresh world has begun: whatever was to come of the old one will not."""
        return

    # What the test decides

    def add_fault(self, kind: str | ApiFault, **fields: Any) -> None:
        """From now on requests meet this fault too; faults that were there before it come first.

            add_fault("response_lost", route="messages.create", nth=(1,))
            add_fault("status", status=503, probability=0.2)

        Args:
            kind: a kind of fault, or an `ApiFault`.
            fields: its other fields, as of `relaysim.sim.doors.faults.ApiFault`. `nth` counts from now;
                `window_seconds` is in seconds since the world's start, as `now` is.

        Raises:
            ValueError: the fault's mistakes.
        """
        if not isinstance(kind, ApiFault):
            try:
                kind = ApiFault.model_validate({"kind": kind, **fields})
            except ValidationError as error:
                problems = problems_of(error.errors(include_url=False), ApiFault)
                raise ValueError(f"add_fault: {'; '.join(map(str, problems))}") from None
        for _, message in wrong_routes((kind,), self._apply(lambda api: api.backend)):
            raise ValueError(f"add_fault: route: {message}")
        self._add_fault(kind)

    def clear_faults(self) -> None:
        """From now on requests meet no fault."""
        self._clear_faults()

    def reply_with(self, replies: GivenReplies, then: Then = "repeat") -> None:
        """Let assistants answer like this from now on; a run that has begun to write keeps its answer.

            reply_with("You said: {input}")
            reply_with(["first answer", {"tool_calls": [{"name": "weather", "arguments": {"city": "Rio"}}]}, "It rains."])
            reply_with(lambda turn: f"{len(turn.messages)} messages so far")

        Args:
            replies: a text; a `Reply`; a table as scripts write them; a sequence of these, one for each turn of a thread;
                a function of a `Turn`; or replies as data.
            then: after the last turn of a sequence: `repeat` it, `loop`, or `echo` the question.

        Raises:
            ValueError: a table's mistakes.
            TypeError: none of these.
        """
        replier = replier_of(replies, then)

        self._apply(lambda api: api.set_replier(replier))

    # What the test reads

    @property
    def now(self) -> float:
        """Virtual seconds since the world's start."""
        return self._apply(lambda api: api.kernel.now)

    @property
    def seed(self) -> int:
        """What keys every draw of this world: ids, latencies, which runs are stuck."""
        return self._apply(lambda api: api.settings.seed)

    @property
    def faults(self) -> tuple[ApiFault, ...]:
        """The faults that requests meet, in order of precedence."""
        return self._apply(lambda api: api.faults.faults)

    @property
    def fired(self) -> tuple[int, ...]:
        """How often each of `faults` has hit a request."""
        return self._apply(lambda api: tuple(api.faults.fired))

    @property
    def trace(self) -> list[Record]:
        """The domain events so far: `request`, `served`, `message.stored`, `run.state` and others, each with its time."""
        return self._apply(lambda api: list(api.trace.records))
