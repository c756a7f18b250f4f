"""What a trace is about: messages, their handlings, requests, runs, texts and leases, as `chronicle` builds them.

Times are virtual seconds since the world began. An `index` is a place in the trace, which tells apart what happened at once.

More than 400 lines, because these subjects refer to one another.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, Literal, NamedTuple

from relaysim.sim.trace.words import Piece

Step = Literal["request", "served", "response", "send"]
TextKind = Literal["answer", "apology", "notice"]

REPEATED_STATUSES: Final = frozenset({0, 408, 409, 429})
"""Statuses below 500 on which the SDK repeats a request; 0 is a failure on the way."""

REFUSALS: Final = frozenset({"NotAcknowledged", "NobodyListens"})
"""How handlings end whose webhook a relay refused by its response, or that found nobody."""


class Message:
    """What a customer wrote.

    Attributes:
        text, sent_at, retry_of: as sent.
        number: its place in the order in which its conversation's customer wrote, from 0.
        handlings: in the order of their starts.
        accepted: when `handle` first returned without an error.
        sends: the texts that end it, as their senders say, in their order.
        stored_at, stored_index, acceptances: when and where in the trace the relay's store first had it, and each time when
            it was handed in and the store had it then; set by whoever knows which command of the relay does that.
    """

    __slots__ = (
        "acceptances",
        "accepted",
        "conversation",
        "handlings",
        "id",
        "number",
        "retry_of",
        "sends",
        "sent_at",
        "stored_at",
        "stored_index",
        "text",
    )

    def __init__(
        self, message_id: str, conversation: str, text: str, retry_of: str | None, sent_at: float, number: int
    ) -> None:
        self.id = message_id
        self.conversation = conversation
        self.text = text
        self.retry_of = retry_of
        self.sent_at = sent_at
        self.number = number
        self.handlings: list[Handling] = []
        self.accepted: float | None = None
        self.sends: list[Text] = []
        self.stored_at: float | None = None
        self.stored_index = -1
        self.acceptances: list[float] = []

    @property
    def first_start(self) -> float | None:
        """When its `handle` was first called."""
        return self.handlings[0].start if self.handlings else None

    @property
    def first_had(self) -> float | None:
        """When it first came to a relay that did not refuse it: what is to come again, it need not have."""
        return next((each.start for each in self.handlings if each.error_class not in REFUSALS), None)

    @property
    def reached(self) -> list[Text]:
        """The sends that name it and are not known to have been refused."""
        return [send for send in self.sends if send.fate != "refused"]


class Handling:
    """One call of a relay's `handle`.

    Attributes:
        delivery: its label: the message's id, `#`, and the delivery's number.
        message: None if the trace does not tell of its sending.
        end: None: it went on until the trace ended, or its worker crashed.
        outcome, error_class: what it returned, and what it raised.
        steps: what it did and what came back, in order: requests leaving, served and answered, and texts.
        logs: the lines that the relay logged in it.
        met_active_run: whether one of its appends was refused because of an active run.
    """

    __slots__ = (
        "delivery",
        "end",
        "error_class",
        "logs",
        "message",
        "message_id",
        "met_active_run",
        "number",
        "outcome",
        "start",
        "steps",
        "worker",
    )

    def __init__(
        self, delivery: str, message_id: str, message: Message | None, number: int, worker: str, start: float
    ) -> None:
        self.delivery = delivery
        self.message_id = message_id
        self.message = message
        self.number = number
        self.worker = worker
        self.start = start
        self.end: float | None = None
        self.outcome: str | None = None
        self.error_class: str | None = None
        self.steps: list[tuple[float, Step, Request | Text]] = []
        self.logs: list[str] = []
        self.met_active_run = False

    def begin_late(self, time: float) -> None:
        """Its process stood still when it was called, and went on, or ended, at that instant: it has begun then at the
        earliest."""
        self.start = time
        if self.end is not None:
            self.end = max(self.end, time)
        if self.message is not None:
            self.message.handlings.sort(key=lambda each: each.start)

    @property
    def conversation(self) -> str:
        """The message's; "" if that is unknown."""
        return "" if self.message is None else self.message.conversation

    def under_way(self, time: float) -> bool:
        """Whether it went on at that instant."""
        return self.start <= time and (self.end is None or time <= self.end)


class Request:
    """One attempt at a request of the API.

    Attributes:
        delivery: in whose handling it left; "" outside of one.
        left, index: when it left, and its place in the trace.
        conversation: its thread's, as known when it left.
        lease: the lease of its worker and conversation under which it left; None: its worker held none.
        decided: what its worker knew is as old as this; when it left, unless somebody knows which command of the relay reads
            what it decides by.
        served_at, served_status, error_message, detail: when the service processed it, and what it answered.
        answered, status, failure: when an answer or a failure reached the worker, and which; status -1: none has.
        appends, starts: whether it appends a customer's message, and whether it creates a run.
        refused_by: the run that was active on its thread when it was answered as the lock refuses.
        run_made: the run that it created.
    """

    __slots__ = (
        "answered",
        "appends",
        "conversation",
        "decided",
        "delivery",
        "detail",
        "error_message",
        "failure",
        "id",
        "index",
        "lease",
        "left",
        "operation",
        "refused_by",
        "run",
        "run_made",
        "served_at",
        "served_status",
        "starts",
        "status",
        "thread",
        "worker",
    )

    def __init__(
        self,
        request_id: str,
        worker: str,
        delivery: str,
        operation: str,
        thread: str | None,
        run: str | None,
        left: float,
        index: int,
    ) -> None:
        self.id = request_id
        self.worker = worker
        self.delivery = delivery
        self.operation = operation
        self.thread = thread
        self.run = run
        self.left = left
        self.index = index
        self.conversation: str | None = None
        self.lease: Lease | None = None
        self.decided = left
        self.served_at: float | None = None
        self.served_status = -1
        self.error_message: str | None = None
        self.detail: str | int | None = None
        self.answered: float | None = None
        self.status = -1
        self.failure: str | None = None
        self.appends = self.starts = False
        self.refused_by: Run | None = None
        self.run_made: Run | None = None

    @property
    def conflict(self) -> bool:
        """Whether it is an append or a creation that was refused because a run was active on its thread."""
        return self.refused_by is not None and (self.appends or self.starts)

    @property
    def succeeded(self) -> bool:
        """Whether a whole answer of status 200 reached the worker."""
        return self.status == 200 and self.failure is None

    @property
    def failed(self) -> bool:
        """Whether what reached the worker invites a repetition."""
        return self.answered is not None and (
            self.failure is not None or self.status in REPEATED_STATUSES or self.status >= 500
        )

    def is_uncertain(self, now: float) -> bool:
        """Whether it was unknown at that instant what had become of it: no answer, half of one but no refusal, or >= 500."""
        if self.answered is None or self.answered > now:
            return True
        if self.failure is not None:
            return self.failure != "ConnectError" and self.status not in (401, 403, 409, 429)
        return self.status >= 500


class Run:
    """A run.

    Attributes:
        request: what created it; None: it was there from the start.
        created, ended: when; None: it has not.
        index: the place in the trace at which it was created.
        reach: how many of its thread's texts were there when it was created.
        states: when it came into which, in order.
        metadata: what the world wants to see of it.
        cancels: the requests to cancel it that the API accepted.
        messages: when it had written each of its messages, and the text.
        sent: the texts of it that were sent, as (conversation, reply, first word, one after the last word).
    """

    __slots__ = (
        "cancels",
        "created",
        "ended",
        "id",
        "index",
        "messages",
        "metadata",
        "reach",
        "request",
        "sent",
        "states",
        "thread",
    )

    def __init__(self, run_id: str, thread: str, request: Request | None, created: float, reach: int) -> None:
        self.id = run_id
        self.thread = thread
        self.request = request
        self.created = created
        self.reach = reach
        self.index = -1
        self.ended: float | None = None
        self.states: list[tuple[float, str]] = []
        self.metadata: dict[str, str] = {}
        self.cancels: list[Request] = []
        self.messages: list[tuple[float, str]] = []
        self.sent: list[tuple[str, str, int, int]] = []

    @property
    def state(self) -> str:
        """Its newest state."""
        return self.states[-1][1]

    @property
    def wrote(self) -> list[str]:
        """The texts that it wrote, each once, in their order."""
        return list(dict.fromkeys(text for _, text in self.messages))

    @property
    def delivery(self) -> str:
        """In whose handling it was created; "" if in none."""
        return "" if self.request is None else self.request.delivery

    def state_at(self, time: float) -> str:
        """Its state after that instant; "" before it was created."""
        index = bisect_right(self.states, time, key=lambda each: each[0])
        return self.states[index - 1][1] if index else ""


class StoredText(NamedTuple):
    """A text of a customer's side that a thread got.

    Attributes:
        cause: the request that stored it.
        messages: those whose words it holds whole, in the order in which it has them.
    """

    thread: str
    text: str
    cause: str
    time: float
    messages: tuple[Message, ...]


class Text:
    """One text that a worker sent.

    Attributes:
        delivery: in whose handling; "" outside of one.
        names: the messages that it ends, as the relay says.
        fate: `delivered`, `refused`, `unknown_delivered` or `unknown_lost`.
        lease: the lease of its worker and conversation; None: it held none.
        run: the run that wrote it; None: no run did, so it is an apology or a notice.
        reply: what that run wrote, as it wrote it.
        piece: which part of the reply it is; None: all of it.
        is_scrambled: whether it has the words of that run in another order.
        others: further runs whose words it holds.
        continues: whether it is a part of its reply that was not sent before, after another part of it.
        informed: whether the worker had seen that run's end.
        decided: what its worker knew is as old as this; the time of the send, unless somebody knows which command of the
            relay reads what it decides by.
    """

    __slots__ = (
        "continues",
        "conversation",
        "decided",
        "delivery",
        "fate",
        "index",
        "informed",
        "is_scrambled",
        "lease",
        "names",
        "others",
        "piece",
        "reply",
        "run",
        "text",
        "time",
        "worker",
    )

    def __init__(self, time: float, index: int, worker: str, delivery: str, conversation: str, text: str) -> None:
        self.time = time
        self.index = index
        self.worker = worker
        self.delivery = delivery
        self.conversation = conversation
        self.text = text
        self.names: tuple[str, ...] = ()
        self.fate = "delivered"
        self.lease: Lease | None = None
        self.decided = time
        self.run: Run | None = None
        self.reply = ""
        self.piece: Piece | None = None
        self.is_scrambled = False
        self.others: list[Run] = []
        self.continues = False
        self.informed = False


class Lease:
    """A lease, from its taking to its end.

    Attributes:
        ended, how: when, and by what: `released`, `expired`, `lost` or `taken`; None: it has not.
        restored: it was there again after the server had lost writes.
        first_action: when its worker first sent a request for the conversation, or a text.
        looked: the runs that its worker looked at.
        delivery: in whose handling it was taken, "" outside of one; None: not known. Set by whoever knows which command did.
        renewed: when it was taken or last renewed; set by whoever knows which command of the relay does that.
        epoch: its number, if somebody has found one.
    """

    __slots__ = (
        "began",
        "conversation",
        "delivery",
        "ended",
        "epoch",
        "first_action",
        "how",
        "looked",
        "renewed",
        "restored",
        "worker",
    )

    def __init__(self, conversation: str, worker: str, began: float, restored: bool) -> None:
        self.conversation = conversation
        self.worker = worker
        self.began = began
        self.delivery: str | None = None
        self.renewed = began
        self.restored = restored
        self.ended: float | None = None
        self.how: str | None = None
        self.first_action: float | None = None
        self.looked: set[str] = set()
        self.epoch: int | None = None
