"""The seam between the simulated APIs and everything that drives them: worlds, sockets, fixtures, the judge.

A backend is one package, found by its name in `relaysim.sim.backends.BACKENDS`. The words here are those of every such
API: a *conversation* holds messages, and a *turn* works on it and writes a reply (threads and runs, conversations and
responses). A backend says

    operations  what can be asked of it: one `Operation` per route
    Service     one world's store and state machine, whose turns live by the kernel's clock
    Backend     how to start a service, and what stands in front of it: wire, clients, what its operations do

What it must record in the trace, so that worlds are judged: `RunState` whenever a turn comes into a state, the first of
which is `queued`, and `MessageStored` whenever a conversation has one more message; the network records requests. Where the
API has such a thing, also `MessageDeleted` and `ThreadDeleted`; `RunReads` for each text that a turn reads and that is in
no message (instructions, tools); `RunWindow` if it reads only the newest messages, `RunMisses` if it does not read
some; `MetadataNoted` for text in metadata.
What is not recorded is not judged: another customer's words in there would pass.
A call's `thread_id` is its conversation and `run_id` its turn, whatever the API calls them: they key the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from relaysim.sim.backends.calls import Answer, Call, Operation
from relaysim.sim.backends.profile import Profile
from relaysim.sim.backends.replies import Replier, echo_reply
from relaysim.sim.backends.wire import Wire
from relaysim.sim.kernel import Kernel
from relaysim.sim.trace.operation_roles import OperationRoles

Request = Callable[[Call, Any], Any]
"""Lane `direct`: sends a call with a timeout as the SDK takes it; a coroutine of the answer that succeeded."""


class TraceSink(Protocol):
    """Where domain events go."""

    def add(self, entity: str, event: Any) -> None:
        """Record an event now."""
        ...


def _unheard(key: str, turn_id: str, kind: str) -> None:
    """What `ServiceOptions.announce` is unless it is set."""


class ServiceOptions(NamedTuple):
    """What is set beside the profile.

    Attributes:
        replier: what assistants answer.
        assistants: the assistants that exist from the beginning; None: any well-formed id is one. Not every API has any.
        conversations_max: of more than so many conversations those idle for longest are forgotten; None: none is.
        announce: told of the end of each turn that the API has an event for: what names it in draws, its id, and the
            event's type.
    """

    replier: Replier = echo_reply
    assistants: Iterable[str] | None = None
    conversations_max: int | None = None
    announce: Callable[[str, str, str], None] = _unheard


DEFAULT_OPTIONS: Final = ServiceOptions()


def none_prepared(cause: str) -> None:
    """What `Service.prepared` is unless it is set: every conversation that is opened is a new one."""


class Service(Protocol):
    """One world's simulated API. Nothing in it waits; its turns are processes of the kernel.

    Attributes:
        backend: whose it is.
        replier: what assistants answer; may be replaced at any time.
        traced_metadata: which metadata of a new turn the trace shows, in `RunMetadata`.
        prepared: asked, with the request's id, when a request opens a conversation and starts no turn in it: the id of one
            that is there already and is to be the answer, with what the request gives it; None: a new one. One that starts
            a turn at once always makes a new one, since no API refuses that as a busy conversation does.
    """

    backend: Backend
    replier: Replier
    traced_metadata: frozenset[str]
    prepared: Callable[[str], str | None]

    def now(self) -> float:
        """Its time, in seconds since the Unix epoch."""
        ...

    def execute(self, call: Call, cause: str = "") -> Answer:
        """Process a call at this instant; never raises. `cause` is what the trace names: the request's id."""
        ...

    def find_conversation(self, call: Call) -> str | None:
        """The conversation of a call that names none, but perhaps a turn of it; None: it has none, or nobody knows."""
        ...

    def open_conversation(self) -> str:
        """A new customer's conversation; returns its id."""
        ...

    def leave_turn(self, conversation_id: str, cause: str) -> None:
        """Append a question from before, and start a turn that never finishes by itself."""
        ...

    def start_elsewhere(self, conversation_id: str, cause: str) -> None:
        """Somebody who is not simulated starts a turn, which lives as any does; nothing if that cannot be now."""
        ...

    def lose_conversation(self, conversation_id: str) -> None:
        """A conversation vanishes with all that is in it, through nobody who is simulated; nothing if it is not there.

        Recorded as `ThreadDeleted` with the cause `elsewhere`.
        """
        ...

    def cut_off_reasons(self) -> Mapping[str, str]:
        """By its id, why each turn that ended incomplete was cut off."""
        ...

    def counts(self) -> tuple[int, Mapping[str, int]]:
        """How many conversations are kept, and how many turns in each state."""
        ...


class Backend(Protocol):
    """A conversation API.

    Attributes:
        name: what settings call it.
        title: what people call it.
        base_url: where its clients find it in a world; on a socket its path is the same.
        operations: all that can be asked of it.
        profile: the model of its profiles; a backend with more numbers than `Profile` derives one.
        roles: what the operations do, and how a conversation refuses while a turn is active on it.
        has_assistants: whether there are assistants, which settings name or clients create.
        has_events: whether it tells of its turns by itself, see `ServiceOptions.announce`.
        control: `module:function`, called with the control API and the server, which adds routes of its own; None: it has
            none.
    """

    name: str
    title: str
    base_url: str
    operations: tuple[Operation, ...]
    profile: type[Profile]
    roles: OperationRoles
    has_assistants: bool
    has_events: bool
    control: str | None

    def start(
        self,
        kernel: Kernel,
        profile: Profile,
        *,
        now: Callable[[], float],
        trace: TraceSink,
        options: ServiceOptions = DEFAULT_OPTIONS,
    ) -> Service:
        """A service with its lives.

        Args:
            kernel: the world's clock and draws. Draws are keyed by the conversation, never by the order of requests.
            profile: latencies and faults of turns, limits; an instance of `profile`.
            now: seconds since the Unix epoch.
            trace: receives what happens.
            options: all else.
        """
        ...

    def make_wire(
        self, *, keys: Iterable[str] | None = None, poll_after_ms: int | None = None, pretty: bool = False
    ) -> Wire:
        """HTTP to calls and answers to HTTP, as of `relaysim.sim.backends.wire.Wire`."""
        ...

    def sdk_client(self, transport: Any) -> Any:
        """Lane `sdk`: the client that its users have, on an `httpx2.AsyncBaseTransport`."""
        ...

    def direct_client(self, request: Request) -> Mapping[str, Any]:
        """Lane `direct`: what stands in for that client's attributes, by name, without the SDK's code."""
        ...

    async def warm_up(self, client: Any) -> None:
        """Use each method of a client once that relays use, so that what it loads lazily is there; every answer is empty."""
        ...
