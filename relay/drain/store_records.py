"""What the store's steps take and give: leases, a conversation's inbox, and how a step can fail."""

from dataclasses import dataclass
from enum import StrEnum

from relaysim.relay.drain.store_failures import StoreFailure
from relaysim.relay.messages import Outcome


class LeaseLost(Exception):
    """The conversation is somebody else's by now, or nobody's: nothing was changed, and nothing may be begun."""


class StoreUnavailable(Exception):
    """Redis gave no answer, or refused: whether the step was taken is unknown. It may be asked for again.

    step     which step it was
    failure  why, and what to do about it
    """

    def __init__(self, step: str, failure: StoreFailure) -> None:
        super().__init__(f"step {step!r}: {failure}")
        self.step = step
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drain one conversation, for a while.

    conversation  whose
    epoch         the fencing token: every lease of a conversation has one more than the lease before
    token         who holds it; secret, made anew for each drain
    valid_until   the loop's time, in seconds, after which the holder must assume that it is lost; a tenth of the lease
                  before Redis forgets it
    """

    conversation: str
    epoch: int
    token: str
    valid_until: float


class EntryState(StrEnum):
    """Where an unended message stands."""

    PENDING = "pending"
    """No run answers it."""
    RUNNING = "running"
    """A run has been created that answers it."""
    SENDING = "sending"
    """The text that ends it may be on its way to the customer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An accepted message that has not ended.

    id           the channel's id of the message
    number       its place in the order of acceptance within its conversation, from 1
    text         the customer's words
    age_seconds  since its acceptance, by the clock of Redis
    state        where it stands
    appended     whether it is known to be in the thread
    send_epoch   the epoch under which its sending began, None unless `SENDING`
    outcome      the outcome it will have when the sending has succeeded, None unless `SENDING`
    attempts     creations that were intended with it so far, but for those in whose way a run of ours was found
    """

    id: str
    number: int
    text: str
    age_seconds: float
    state: EntryState
    appended: bool
    send_epoch: int | None
    outcome: Outcome | None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Inbox:
    """A conversation's unended messages, and the run that answers some of them.

    entries          in the order of writing, if the channel tells it of each (`sent_at`), else in that of acceptance
    request_id       what the latest creation was called when it was intended; the run may exist, or be created yet. None
                     if nothing is intended or running. With an empty batch: it was given up when its messages had ended
    run_id           the run, once its creation was seen to succeed
    run_age_seconds  since it was recorded, by the clock of Redis; None without a run
    batch            ids of the unended messages that it answers, in the order of `entries`
    attempts         creations that count so far for the batch (if there is none, for the messages in the inbox):
                     of its messages, the one with the most counts
    """

    entries: tuple[Entry, ...]
    request_id: str | None
    run_id: str | None
    run_age_seconds: float | None
    batch: tuple[str, ...]
    attempts: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of one delivery.

    first    whether this delivery brought the message; False for a redelivery
    outcome  how the message has ended, None if it has not
    lease    the conversation's lease, if this delivery's caller has it now and must drain
    refused  whether the message was not taken in at all, since its conversation's inbox is full
    """

    first: bool
    outcome: Outcome | None
    lease: Lease | None
    refused: bool = False
