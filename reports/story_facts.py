"""What a story says of appends and of messages' ends, which no single record tells: known from the whole trace, by words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relaysim.reports.story_lines import quoted
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.schema import HandlingEnd, LoopBlocked
from relaysim.sim.trace.subjects import Handling, Message, Request, Run, StoredText, Text

_ACTIVE: Final = frozenset({"queued", "in_progress", "requires_action", "cancelling"})
_FAILED_OUTCOMES: Final = frozenset({"friendly_apology", "generic_apology", "lost", "unknown"})
_NAMES_MAX: Final = 4
_OK: Final = 200
_ARRIVING: Final = ("delivered", "unknown_delivered")


def has_failed(handling: Handling) -> bool:
    """Whether it ended badly."""
    return handling.outcome in _FAILED_OUTCOMES or handling.error_class is not None


def reply_kept_in(chronicle: Chronicle, handling: Handling) -> tuple[Run, Request] | None:
    """The run of a handling whose reply it read, and the request that read it, if it then sent nothing.

    So ends code that catches its own exceptions and tells nobody.
    """
    if handling.end is None or handling.error_class is not None:
        return None
    for run in chronicle.runs.values():
        if run.delivery != handling.delivery or run.state != "completed" or run.ended is None or not run.messages:
            continue
        for request in chronicle.requests.values():
            reads = request is run.request or request.operation in chronicle.roles.lists_messages
            if (
                reads
                and request.delivery == handling.delivery
                and request.status == _OK
                and request.answered is not None
                and request.answered >= run.ended
                and not any(each.delivery == handling.delivery and each.time >= run.ended for each in chronicle.sends)
            ):
                return run, request
    return None


def run_left_in(chronicle: Chronicle, handling: Handling) -> Run | None:
    """The run of a handling that was at work when it ended, though nothing had been raised: it was not waited for."""
    if handling.end is None or handling.error_class is not None:
        return None
    own = [each for each in chronicle.runs.values() if each.delivery == handling.delivery]
    left = next((each for each in own if is_active_at(each, handling.end)), None)
    asked_later = any(
        left is not None and each.left > handling.end and (each.delivery == handling.delivery or each.run == left.id)
        for each in chronicle.requests.values()
    )
    return None if asked_later else left


def is_active_at(run: Run, time: float) -> bool:
    """Whether a run was active after that instant."""
    return run.state_at(time) in _ACTIVE


def exception_words(event: HandlingEnd) -> str:
    """Where a handling's exception was raised and what it says, as the end of a sentence; "" if that is not known."""
    said = f": {quoted(event.text, 200)}" if event.text else ""
    return f" ({event.place}){said}" if event.place else said


def blocked_sentence(times: int, seconds: float, longest: LoopBlocked) -> str:
    """What a line tells of a loop that was held up, once or again and again: a poll in a coroutine does it at each look."""
    if times == 1:
        often, where = f"{seconds:.3g} s", f" at {longest.place}"
    else:
        often = f"{seconds:.3g} s in all, {times} times"
        where = f", for longest ({longest.seconds:.3g} s) at {longest.place}"
    if not longest.is_over:
        return f"never goes on: its event loop is blocked for ever at {longest.place or 'a line of a library'}"
    return (
        f"goes on: its event loop was blocked for {often}{where if longest.place else ''}, and nothing else of it ran"
    )


class StoryFacts:
    """What became of appends and messages.

    Args:
        chronicle: of the whole trace.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._stored: dict[str, list[StoredText]] = {}
        for texts in chronicle.stored.values():
            for text in texts:
                self._stored.setdefault(text.cause, []).append(text)
        self._answers: dict[str, Text] = {}
        self._apologies: dict[str, Text] = {}
        for send in chronicle.sends:
            if send.fate in _ARRIVING:
                self._note(send)

    def _note(self, send: Text) -> None:
        for run in () if send.run is None else (send.run, *send.others):
            for name in self._chronicle.covered_by(run):
                message = self._chronicle.messages.get(name)
                if message is not None and message.conversation == send.conversation:
                    self._answers.setdefault(name, send)
        if send.run is None and self._chronicle.kind_of(send) == "apology":
            handling = self._chronicle.handlings.get(send.delivery)
            for name in send.names or (() if handling is None else (handling.message_id,)):
                self._apologies.setdefault(name, send)

    def messages_stored_by(self, request: Request) -> list[Message]:
        """The messages that a request appended, in the order in which their thread has them."""
        texts = self._stored.get(request.id, ())
        return list(dict.fromkeys(message for text in texts for message in text.messages))

    def what_was_stored_by(self, request: Request) -> str:
        """What a request appended, by its words: messages' names, or else the text; "" for nothing."""
        if messages := self.messages_stored_by(request):
            return listed([each.id for each in messages])
        texts = self._stored.get(request.id, ())
        return listed([quoted(each.text) for each in texts])

    def was_answered(self, message_id: str, time: float) -> bool:
        """Whether an answer to this message had been sent by that time."""
        answer = self._answers.get(message_id)
        return answer is not None and answer.time <= time

    def whose_run(self, request: Request) -> tuple[bool, str]:
        """Whether a request cancels another one's run than its own, and whose it is, as the end of a sentence."""
        run = self._chronicle.runs.get(request.run or "")
        made = None if run is None else run.request
        if run is None or (made is not None and (made.delivery or made.worker) == (request.delivery or request.worker)):
            return False, ", its own"
        handling = self._chronicle.handlings.get(run.delivery)
        if handling is not None:
            return True, f", which was answering {handling.message_id} of {handling.worker}"
        return True, ", which was there from the start" if made is None else f", which {made.worker} had created"

    def ending_of(self, handling: Handling, time: float) -> tuple[str, bool]:
        """How a handling ends that returned no outcome: what had become of its message, and whether that is a failure."""
        name = handling.message_id
        answer, apology = self._answers.get(name), self._apologies.get(name)
        told = answer or apology
        if told is None:
            is_known = handling.message is not None and bool(self._chronicle.stored)
            kept, left = reply_kept_in(self._chronicle, handling), run_left_in(self._chronicle, handling)
            why = "" if kept is None else f": it had read what {kept[0].id} wrote, and sent nothing"
            why = why if left is None else f": {left.id} was still {left.state_at(time)}, and nobody waits for it"
            return (f"ends {name}, which never gets an answer{why}", True) if is_known else (f"ends {name}", False)
        if told.time > time:
            who = told.worker
            if apology is not None and apology.delivery == handling.delivery and apology.time <= time:
                return f"ends {name} with an apology, though {who} will answer it later", True
            return f"ends {name}, which {who} will {'answer' if answer else 'apologise for'} later", False
        if told.delivery == handling.delivery:
            return (f"ends {name}: answered", False) if answer else (f"ends {name} with an apology", True)
        return f"ends {name}, which {told.worker} had {'answered' if answer else 'apologised for'}", False


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`, or the first few and how many more."""
    if len(words) > _NAMES_MAX:
        words = [*words[: _NAMES_MAX - 1], f"{len(words) - _NAMES_MAX + 1:,} more"]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
