"""The kinds of causes that a story tells, and one cause."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class CauseKind(Enum):
    """What a breach came from, as a reader is told."""

    BREACHING_SEND = "the text that is the breach"
    STORED_TWICE = "the same message stored twice"
    FOREIGN_THREAD = "a message stored in another conversation's thread"
    OVERTAKEN = "a message that arrived earlier and was overtaken"
    DIFFERENT_LOCKS = "two workers in one conversation under locks of different keys"
    LOCK_RAN_OUT = "a lock or lease that ran out while its holder went on"
    LOCK_LOST = "a lock or lease that the server lost while its holder went on"
    LOCK_DELETED = "a lock that another than its holder deleted"
    RELEASED_EARLY = "a lease released while something waited or was under way"
    WITHOUT_LEASE = "a step of a worker that held no lease"
    BREACHING_STEP = "the run or cancel that is the breach"
    CANCELLED = "a run cancelled by another worker than its own"
    CANCEL_TOO_LATE = "a cancel that came after the run had ended"
    OUTLIVED_WAITS = "a run that was still there when the relay had given up waiting"
    RUN_FAILED = "a run that ended without an answer"
    RUN_IN_THE_WAY = "a run that was under way for too long"
    EXCEPTION = "an exception of the relay's"
    CRASH = "a worker that lost its power"
    REDIS_FAULT = "a fault of Redis after the message was accepted"
    ANSWER_LOST = "an answer that was lost on its way, and the request again"
    SEND_UNKNOWN = "a text whose fate was unknown, and the text again"
    DELIVERED_AGAIN = "a message that was delivered again"
    LOOP_BLOCKED = "an event loop that stood still"
    TASK_CANCELLED = "a task that the relay cancelled half done"
    AT_ONCE = "two messages of one conversation handled at once, kept apart by nothing"
    IDLE_LEASE = "a lease under which its holder did nothing for too long"
    CAME_MEANWHILE = "a message that came while its holder still collected"
    SERVED_OTHERS = "another conversation that its holder served meanwhile"
    REPEATED = "a request that had failed, and its repetition"
    RUNS_AGAIN = "runs created again for the same message"
    ASKED_IN_VAIN = "a request for a lease that there was no reason to ask for"
    TAKEN_MEANWHILE = "another conversation's message that the same worker took while it handled this one"
    LEFT_AT_WORK = "a run that was still at work when the handling that had created it ended"
    REPLY_KEPT = "a reply that was read and never sent"
    NEVER_TAKEN_UP = "a message that was accepted and that nobody took up"


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause, and the places in the trace of the records that show it, in their order."""

    kind: CauseKind
    places: tuple[int, ...]
