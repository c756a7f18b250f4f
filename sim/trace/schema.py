"""What a trace can tell: a named record for each kind of event, its fields by name.

Whoever records an event writes one of these (`trace.add(worker, RunState(run_id=..., ...))`), and whoever reads a trace
reads its fields by name. The fingerprint digests the fields in the order given here, so a new field, another order or
another value gives every world a new fingerprint. `docs/trace.md` is made from this file by `schema_page`.

A trace may also hold kinds that are not here: those of somebody else's simulation on `relaysim.sim.kernel`, or of
another version. `named` leaves their fields as they are, and no reader may fail on them.

More than 400 lines, because it is one table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple, get_type_hints

from relaysim.sim.kernel import kind_of, record_kind
from relaysim.sim.trace.source_lines import without_source_lines

# Customers and webhooks


@record_kind("message.sent")
class MessageSent(NamedTuple):
    """A customer has sent a message."""

    message_id: Annotated[str, "unique in the world, e.g. `c1.m2`"]
    conversation: Annotated[str, "whose chat, e.g. `c1`"]
    text: Annotated[str, "what the customer wrote"]
    retry_of: Annotated[str | None, "the message that this one repeats"]


@record_kind("received")
class Received(NamedTuple):
    """A text has reached a customer."""

    conversation: Annotated[str, "whose chat"]
    text: Annotated[str, "what the customer reads"]


@record_kind("webhook.duplicate")
class WebhookDuplicate(NamedTuple):
    """A message will be delivered twice."""

    delivery: Annotated[str, "the second delivery: the message's id, `#` and the delivery's number"]
    seconds: Annotated[float, "how long after the first one"]


@record_kind("webhook.late")
class WebhookLate(NamedTuple):
    """A delivery will be late."""

    delivery: Annotated[str, "which"]
    seconds: Annotated[float, "by how much"]


@record_kind("event.delivered")
class EventDelivered(NamedTuple):
    """The simulated API has tried to deliver an event of its own; only where it is set to."""

    event_id: Annotated[str, "its `webhook-id`, the same in each attempt"]
    event: Annotated[str, "such as `response.completed`"]
    run_id: Annotated[str, "the turn that it tells of"]
    attempt: Annotated[int, "which attempt, from 1"]
    status: Annotated[int, "of the endpoint's answer; 0: there was none"]
    reason: Annotated[str, "why the attempt failed; empty: it was acknowledged"]


@record_kind("webhook.failed")
class WebhookFailed(NamedTuple):
    """A delivery was not acknowledged."""

    delivery: Annotated[str, "which"]
    worker: Annotated[str, "whose it was"]
    reason: Annotated[
        str, "`worker dead`, `worker crashed`, `handle raised`, `acknowledgement lost` or `deadline missed`"
    ]


@record_kind("handling.start")
class HandlingStart(NamedTuple):
    """A worker's `handle` is called."""

    delivery: Annotated[str, "the message's id, `#` and the number"]
    message_id: Annotated[str, "the message"]
    delivery_number: Annotated[int, "counts the message's deliveries, from 1"]


def _digested_end(event: HandlingEnd) -> tuple[str, str | None, str | None]:
    return event.delivery, event.outcome, event.error_class


@record_kind("handling.end", digested=_digested_end)
class HandlingEnd(NamedTuple):
    """A worker's `handle` has returned or raised; a worker that crashes leaves none. What the exception says, and where it
    was raised, is not digested."""

    delivery: Annotated[str, "which"]
    outcome: Annotated[str | None, "the outcome that it returned, if it did return one"]
    error_class: Annotated[str | None, "the class of the exception that it raised"]
    text: Annotated[str, "the exception's text"] = ""
    place: Annotated[str, "file and line of the relay's own code where it was raised, e.g. `bot.py:12`"] = ""
    traceback: Annotated[tuple[str, ...], "the last steps on the way there, outermost first"] = ()
    chain: Annotated[tuple[str, ...], "the exceptions that it came from, the nearest first, each with its place"] = ()


# Requests to the API, and what becomes of them


@record_kind("request")
class RequestSent(NamedTuple):
    """A request has left its client."""

    request_id: Annotated[str, "of this attempt; each repetition has its own"]
    context: Annotated[str, "the delivery in whose handling it left; empty outside of one"]
    operation: Annotated[str, "e.g. `messages.create`"]
    thread_id: Annotated[str | None, "the thread that it names"]
    run_id: Annotated[str | None, "the run that it names"]


@record_kind("fault")
class FaultStruck(NamedTuple):
    """A fault has hit a request to the served API; in a scenario's world only its effects are seen."""

    request_id: Annotated[str, "the request"]
    fault: Annotated[str, "the fault's kind"]
    operation: Annotated[str, "as the request says"]
    thread_id: Annotated[str | None, "as the request says"]


@record_kind("served")
class RequestServed(NamedTuple):
    """The API has processed a request, or a fault has answered it."""

    request_id: Annotated[str, "the request"]
    status: Annotated[int, "of the answer that sets out"]
    error_message: Annotated[str | None, "of an error"]
    detail: Annotated[str | int | None, "the id of what was created, a run's state, or a list's length"]


@record_kind("response")
class ResponseReceived(NamedTuple):
    """An answer, or the failure in its place, has reached its client; scenarios only."""

    request_id: Annotated[str, "the request"]
    status: Annotated[int, "0 for a failure"]
    failure: Annotated[str | None, "what the client raises, if no whole answer arrives"]


# What is in the API


@record_kind("run.state")
class RunState(NamedTuple):
    """A run has come into a state."""

    run_id: Annotated[str, "which"]
    thread_id: Annotated[str, "its thread"]
    state: Annotated[str, "as in the table of states"]
    cause: Annotated[str, "a request's id, `time`, `expiry`, or `control`"]


@record_kind("run.metadata")
class RunMetadata(NamedTuple):
    """A run was created with metadata that the world wants to see."""

    run_id: Annotated[str, "which"]
    thread_id: Annotated[str, "its thread"]
    pairs: Annotated[tuple[str, ...], "each `name=value`"]


@record_kind("run.reads")
class RunReads(NamedTuple):
    """A run's model reads a text that is in no message of its thread."""

    run_id: Annotated[str, "which"]
    thread_id: Annotated[str, "its thread"]
    source: Annotated[str, "`instructions`, its assistant's included; `tools` or `tool_outputs`"]
    cause: Annotated[str, "the request that created the run or gave the outputs"]
    text: Annotated[str, "the whole text"]


@record_kind("run.window")
class RunWindow(NamedTuple):
    """A run's model reads only the newest messages of its thread."""

    run_id: Annotated[str, "which"]
    thread_id: Annotated[str, "its thread"]
    messages: Annotated[int, "how many"]


@record_kind("run.misses")
class RunMisses(NamedTuple):
    """A run's model does not read messages that stand in its thread, or are being linked to it: of a turn that works
    beside it, or of another branch."""

    run_id: Annotated[str, "which"]
    thread_id: Annotated[str, "its thread"]
    message_ids: Annotated[tuple[str, ...], "which messages"]


@record_kind("run.writes", in_fingerprint=False)
class RunWrites(NamedTuple):
    """A run that is read as a stream begins to write: from now on its words can be read, piece by piece, before it ends.
    Fingerprints take none of these: what is read of it shows in what is sent."""

    run_id: Annotated[str, "which"]
    thread_id: Annotated[str, "its thread"]
    text: Annotated[str, "what it is about to say, whole; it may be cut short"]


@record_kind("metadata.noted")
class MetadataNoted(NamedTuple):
    """Text was written into the metadata of a thread, or of a message or a run in it: values with white space, and numbers
    of six digits or more. Other values, such as ids, leave no record."""

    thread_id: Annotated[str, "the thread"]
    cause: Annotated[str, "the request"]
    text: Annotated[str, "the values, one a line"]


@record_kind("message.stored")
class MessageStored(NamedTuple):
    """A thread has one more message, which will not change any more."""

    thread_id: Annotated[str, "which"]
    message_id: Annotated[str, "the API's id of the message"]
    role: Annotated[str, "`user` or `assistant`"]
    cause: Annotated[str, "a request's id, or the id of the run that wrote it"]
    text: Annotated[str, "the whole text"]


@record_kind("message.deleted")
class MessageDeleted(NamedTuple):
    """A message was taken out of its thread."""

    thread_id: Annotated[str, "which"]
    message_id: Annotated[str, "the API's id of the message"]
    cause: Annotated[str, "the request"]


@record_kind("thread.deleted")
class ThreadDeleted(NamedTuple):
    """A thread was deleted with all that was in it."""

    thread_id: Annotated[str, "which"]
    cause: Annotated[str, "the request, or `elsewhere`: somebody else deleted it, or it expired"]


ELSEWHERE: Final = "elsewhere"
"""The cause of a `ThreadDeleted` that no request of the world's is."""


# Redis


@record_kind("redis")
class RedisCommand(NamedTuple):
    """Redis has processed a command."""

    delivery: Annotated[str, "in whose handling it was sent; empty outside of one"]
    command: Annotated[str, "its name; of a script the name in its first line, if it has one"]
    key: Annotated[str, "its first key"]
    reply: Annotated[str | int, "a number, or what kind of reply; never a value, since values hold tokens"]


@record_kind("redis.fault")
class RedisFaultStruck(NamedTuple):
    """A fault of Redis strikes or begins."""

    fault: Annotated[str, "its kind"]
    command: Annotated[str, "the command that it strikes, empty if none"]
    key: Annotated[str, "that command's first key"]


@record_kind("redis.back")
class RedisBack(NamedTuple):
    """A fault of Redis has ended."""

    fault: Annotated[str, "its kind"] = ""


@record_kind("lease.taken")
class LeaseTaken(NamedTuple):
    """A worker holds a conversation's lease from now on."""

    conversation: Annotated[str, "whose"]
    worker: Annotated[str, "the holder"]


@record_kind("lease.released")
class LeaseReleased(NamedTuple):
    """A lease's holder has let it go."""

    conversation: Annotated[str, "whose"]
    worker: Annotated[str, "the holder until now"]


@record_kind("lease.gone")
class LeaseGone(NamedTuple):
    """A lease is no longer there, and not by its holder's doing."""

    conversation: Annotated[str, "whose"]
    worker: Annotated[str, "the holder until now"]
    how: Annotated[str, "`expired`, or `lost` with the server's last writes or to another's command"] = "expired"


@record_kind("lease.back")
class LeaseBack(NamedTuple):
    """A lease that was released is there again: the server has lost its last writes."""

    conversation: Annotated[str, "whose"]
    worker: Annotated[str, "the holder"]


@record_kind("lease.expired")
class LockExpired(NamedTuple):
    """A lock given by `SET NX` with a time to live ran out while its holder went on; a key that nobody ever releases or
    extends is no lock."""

    key: Annotated[str, "of the lock"]
    worker: Annotated[str, "who had it"]
    delivery: Annotated[str, "in whose handling it was taken; empty outside of one"]


@record_kind("lease.lost")
class LockLost(NamedTuple):
    """A lock given by `SET NX` with a time to live was lost with the server's last writes while its holder went on."""

    key: Annotated[str, "of the lock"]
    worker: Annotated[str, "who had it"]
    delivery: Annotated[str, "in whose handling it was taken; empty outside of one"]


# Workers


@record_kind("host.crash")
class HostCrash(NamedTuple):
    """A worker loses its power."""


@record_kind("host.stop")
class HostStop(NamedTuple):
    """A worker is told to end, as at a deployment: it gets no deliveries any more, and then `host.crash` ends it."""


@record_kind("host.restart")
class HostRestart(NamedTuple):
    """A worker starts again after a crash."""


@record_kind("host.pause")
class HostPause(NamedTuple):
    """A worker stands still."""

    seconds: Annotated[float, "for how long"]


@record_kind("host.resume")
class HostResume(NamedTuple):
    """A paused worker goes on."""


@record_kind("host.slow")
class HostSlow(NamedTuple):
    """A worker is slow."""

    seconds: Annotated[float, "for how long"]


@record_kind("host.skew")
class HostSkew(NamedTuple):
    """A worker's clock is set wrong, or right again."""

    seconds: Annotated[float, "how far it is ahead; negative: behind; 0: right"]


def _digested_log_line(event: LogLine) -> tuple[str, str, str]:
    return event.delivery, event.level, without_source_lines(event.text)


@record_kind("log", digested=_digested_log_line)
class LogLine(NamedTuple):
    """The relay has logged a line. Numbers of source lines and folders of source files that it names are not digested, and
    neither is the exception that it tells of."""

    delivery: Annotated[str, "in whose handling; empty outside of one"]
    level: Annotated[str, "e.g. `INFO`"]
    text: Annotated[str, "the line"]
    errors: Annotated[
        tuple[str, ...], "the exception that was logged with it and those that it came from, each with its place"
    ] = ()


@record_kind("printed", in_fingerprint=False)
class Printed(NamedTuple):
    """The relay has printed a line. Fingerprints take none of these: what is printed may be anything, such as an address of
    memory, or a warning that a library gives once."""

    delivery: Annotated[str, "in whose handling; empty outside of one"]
    stream: Annotated[str, "`stdout` or `stderr`"]
    text: Annotated[str, "the line"]


def _digested_block(event: LoopBlocked) -> tuple[str, float]:
    return event.delivery, event.seconds


@record_kind("loop.blocked", digested=_digested_block)
class LoopBlocked(NamedTuple):
    """Code in a coroutine has blocked its thread, and so held up the whole loop of its process, which now goes on or, at the
    world's end, never will."""

    delivery: Annotated[str, "in whose handling; empty outside of one"]
    seconds: Annotated[float, "for how long"]
    place: Annotated[str, "the line, as `bot.py:12`; not digested"]
    is_over: Annotated[bool, "whether it goes on; not digested"] = True


def _digested_cancel(event: TaskCancelled) -> tuple[str, str]:
    return event.delivery, event.by


@record_kind("task.cancelled", digested=_digested_cancel)
class TaskCancelled(NamedTuple):
    """A task has ended because the relay's own code cancelled it, as a debounce does with the one before; what it had begun
    is not finished. What a library cancels, by a time limit or in a group of tasks, leaves none of these."""

    delivery: Annotated[str, "in whose handling the task was started; empty outside of one"]
    by: Annotated[str, "in whose handling it was cancelled; empty outside of one"]
    place: Annotated[str, "the line at which it waited, as `bot.py:12`, or would have begun; not digested"]
    by_place: Annotated[str, "the line that cancelled it; not digested"]


def _digested_exception(event: UnhandledException) -> tuple[str, str, str, str]:
    return event.delivery, event.source, event.error_class, without_source_lines(event.text)


@record_kind("exception", digested=_digested_exception)
class UnhandledException(NamedTuple):
    """An exception that no code received; the worker goes on, as asyncio lets it. Places in the source are not digested."""

    delivery: Annotated[str, "in whose handling what failed was begun; empty outside of one"]
    source: Annotated[
        str,
        "`task`: nobody awaited it; `callback`; `future`; `generator`; `handler`; `finalizer`; `loop`; `thread`; `serve`",
    ]
    error_class: Annotated[str, "the exception's class; empty if asyncio has only its message to tell"]
    text: Annotated[str, "the exception's text, or asyncio's message"]
    place: Annotated[str, "file and line of the relay's own code where it was raised, e.g. `bot.py:12`"]
    traceback: Annotated[tuple[str, ...], "the last steps on the way there, outermost first"]
    chain: Annotated[tuple[str, ...], "the exceptions that it came from, the nearest first, each with its place"] = ()

    @property
    def headline(self) -> str:
        """What escaped whom, and where; without the exception's text, so that the same mistake is the same headline."""
        escaped = _ESCAPED.get(self.source, "reached the loop's exception handler")
        return f"{self.error_class or 'something'} {escaped}" + (f" ({self.place})" if self.place else "")


_ESCAPED: Final[Mapping[str, str]] = {
    "task": "ended a task that nobody awaited",
    "callback": "escaped from a callback",
    "future": "was set in a future that nobody awaited",
    "generator": "was raised while an asynchronous generator was closed",
    "handler": "escaped from the loop's exception handler",
    "finalizer": "escaped from a finalizer",
    "thread": "ended a thread",
    "serve": "ended `serve`",
}


# Texts to customers


@record_kind("send")
class TextSent(NamedTuple):
    """A worker sends a text."""

    delivery: Annotated[str, "in whose handling; empty outside of one"]
    conversation: Annotated[str, "to whose customer"]
    text: Annotated[str, "what"]


@record_kind("send.for")
class TextEnds(NamedTuple):
    """Which messages the text just sent ends, as the relay says."""

    delivery: Annotated[str, "as of the text"]
    conversation: Annotated[str, "as of the text"]
    message_ids: Annotated[tuple[str, ...], "the messages"]


@record_kind("send.fate")
class TextFate(NamedTuple):
    """What will become of the text just sent; only in worlds with faults of sends."""

    delivery: Annotated[str, "as of the text"]
    conversation: Annotated[str, "as of the text"]
    fate: Annotated[str, "`delivered`, `refused`, `unknown_delivered` or `unknown_lost`"]


EVENTS: Final[tuple[type[Any], ...]] = (
    *(MessageSent, Received, WebhookDuplicate, WebhookLate, WebhookFailed, EventDelivered, HandlingStart, HandlingEnd),
    *(RequestSent, FaultStruck, RequestServed, ResponseReceived, RunState, RunMetadata),
    *(RunReads, RunWindow, RunMisses, RunWrites, MetadataNoted, MessageStored, MessageDeleted, ThreadDeleted),
    *(RedisCommand, RedisFaultStruck, RedisBack),
    *(LeaseTaken, LeaseReleased, LeaseGone, LeaseBack, LockExpired, LockLost),
    *(
        HostCrash,
        HostStop,
        HostRestart,
        HostPause,
        HostResume,
        HostSlow,
        HostSkew,
        LogLine,
        Printed,
        LoopBlocked,
        TaskCancelled,
        UnhandledException,
    ),
    *(TextSent, TextEnds, TextFate),
)
"""The records, in the order of the page."""

SCHEMA: Final[Mapping[str, type[Any]]] = {kind_of(event): event for event in EVENTS}
"""The record of each kind."""


def named(kind: str, fields: Sequence[Any]) -> Any:
    """An event's fields by name, also where only their values were kept.

    The fields of a kind that is not in `SCHEMA` come back as they are.

    Raises:
        ValueError: the values are more or fewer than this kind has, so the trace is of another version.
    """
    event = SCHEMA.get(kind)
    if event is None or isinstance(fields, event):
        return fields
    try:
        return event(*fields)
    except TypeError:
        raise ValueError(
            f"{kind} has the fields {', '.join(event._fields) or '(none)'}, and not {len(fields)} values"
        ) from None


def as_object(time: float, entity: str, kind: str, fields: Sequence[Any]) -> dict[str, Any]:
    """An event as an object for JSON: `time`, `entity`, `kind`, and the kind's own fields by their names.

    Of a kind whose fields have no names they are the list `fields`; so are those of another version of a kind.
    """
    event: dict[str, Any] = {"time": time, "entity": entity, "kind": kind}
    try:
        fields = named(kind, fields)
    except ValueError:
        fields = tuple(fields)
    names = getattr(fields, "_fields", None)
    if names is None:
        event["fields"] = list(fields)
    else:
        event.update(zip(names, fields, strict=True))
    return event


class FieldDescription(NamedTuple):
    """What a page says of a field."""

    name: str
    type: str
    meaning: str


def describe(event: type[Any]) -> list[FieldDescription]:
    """The fields of a record: names, types and meanings, in their order."""
    hints = get_type_hints(event, include_extras=True)
    return [FieldDescription(name, _type_name(hints[name].__origin__), *hints[name].__metadata__) for name in hints]


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
