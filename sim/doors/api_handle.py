"""What a test does to a simulated API besides calling it: faults, replies, stuck runs; and what it reads from it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import itemgetter
from typing import Any, TypeVar

from pydantic import ValidationError

from relaysim.sim.backends.threads.parameters import Object
from relaysim.sim.backends.threads.records import RunRecord, ThreadRecord
from relaysim.sim.backends.threads.replies import text_of
from relaysim.sim.backends.threads.states import Status
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.given_replies import GivenReplies, Then, replier_of
from relaysim.sim.doors.server.control_errors import problems_of
from relaysim.sim.doors.simulation import SimulatedApi
from relaysim.sim.kernel import Record

T = TypeVar("T")


class ApiHandle(ABC):
    """A simulated API in a test's hands, whatever its requests come by.

    Everything that is read is plain data and a copy: it shows the present instant and does not change later.
    """

    def __init__(self) -> None:
        self._stuck_to_come: list[str | None] = []

    @abstractmethod
    def _apply(self, action: Callable[[SimulatedApi], T]) -> T:
        """What `action` returns, called with the API at the present instant."""

    @abstractmethod
    def _add_fault(self, fault: ApiFault) -> None:
        """Put a fault after those there are, which go on counting."""

    @abstractmethod
    def _clear_faults(self) -> None:
        """Take all faults away."""

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

    def make_next_run_stuck(self, thread_id: str | None = None) -> None:
        """Let the next run that is created (on this thread, or on any) never finish by itself: only expiry ends it.

        Its cancel takes effect after the profile's `stuck_cancel_seconds`, or never. Call it twice for two runs.
        """

        def wait_for_it(api: SimulatedApi) -> None:
            self._stuck_to_come.append(thread_id)
            before = api.service.on_state
            if not isinstance(before, _MakesStuck):
                api.service.on_state = _MakesStuck(api, self._stuck_to_come)

        self._apply(wait_for_it)

    # What the test reads

    @property
    def now(self) -> float:
        """Virtual seconds since the world's start."""
        return self._apply(lambda api: api.kernel.now)

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

    @property
    def threads(self) -> list[Object]:
        """The threads by their `created_at`, as the API shows them; on a socket, those of one second by their last use."""

        def read(api: SimulatedApi) -> list[Object]:
            views = [copy.deepcopy(thread.view) for thread in api.service.threads.values()]
            return sorted(views, key=itemgetter("created_at"))

        return self._apply(read)

    def messages(self, thread_id: str) -> list[Object]:
        """A thread's messages, oldest first, as the API shows them.

        Raises:
            LookupError: there is no such thread; so do the methods below.
        """
        return self._apply(lambda api: copy.deepcopy(_thread(api, thread_id).messages))

    def transcript(self, thread_id: str) -> list[tuple[str, str]]:
        """Role and text of a thread's messages, oldest first."""
        return [(message["role"], text_of(message)) for message in self.messages(thread_id)]

    def runs(self, thread_id: str) -> list[Object]:
        """A thread's runs, oldest first, as the API shows them."""
        return self._apply(lambda api: [copy.deepcopy(run.view) for run in _thread(api, thread_id).runs])


class _MakesStuck:
    """Stands before whoever is told of transitions, until it has made its runs stuck."""

    def __init__(self, api: SimulatedApi, to_come: list[str | None]) -> None:
        self._api = api
        self._to_come = to_come
        self._before = api.service.on_state

    def __call__(self, run: RunRecord, state: Status, cause: str) -> None:
        if self._before is not None:
            self._before(run, state, cause)
        # A run is queued again after its tool outputs; a new one has not started yet.
        if state == "queued" and run.view["started_at"] is None:
            for position, thread_id in enumerate(self._to_come):
                if thread_id in (None, run.thread.id):
                    del self._to_come[position]
                    self._api.lives.make_stuck(run.id)
                    break


def _thread(api: SimulatedApi, thread_id: str) -> ThreadRecord:
    thread = api.service.threads.get(thread_id)
    if thread is None:
        known = ", ".join(api.service.threads) or "none"
        raise LookupError(f"there is no thread {thread_id!r}; the simulated API has: {known}")
    return thread
