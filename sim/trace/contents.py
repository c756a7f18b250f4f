"""What stands in threads, and what of it a run reads: all that is there when the run is created, or the newest of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from relaysim.sim.trace.schema import ELSEWHERE, ThreadDeleted
from relaysim.sim.trace.subjects import Message, Run


class Content(NamedTuple):
    """A message of a thread, whoever wrote it.

    Attributes:
        place: the place in the trace at which it was stored.
        id: the API's id of it.
        cause: a request, the run that wrote it, or what the world did before it began.
        messages: the customers' messages whose words it holds; none where it is the assistant's.
        run: the run that wrote it; None: none did.
    """

    place: int
    time: float
    id: str
    text: str
    cause: str
    messages: tuple[Message, ...]
    run: Run | None


class Contents:
    """What stands in the threads of one world, at every time.

    Attributes:
        of: per thread all that ever stood in it, in its order.
        changed: the threads of which something was deleted.
        lost: the threads that were deleted by nobody in the world, with when.
    """

    def __init__(self) -> None:
        self.of: dict[str, list[Content]] = {}
        self.changed: set[str] = set()
        self.lost: dict[str, float] = {}
        self._deleted: dict[tuple[str, str], int] = {}  # by thread and message, the place in the trace
        self._windows: dict[str, int] = {}
        self._missed: dict[str, frozenset[str]] = {}
        self._dropped: set[tuple[str, str]] = set()

    def add(self, thread: str, content: Content) -> None:
        """A thread has one more message."""
        self.of.setdefault(thread, []).append(content)

    def delete_message(self, thread: str, message: str, index: int, *, dropped: bool = False) -> None:
        """A message is no longer there; `dropped`: the API let it go with its turn, through no request."""
        self.changed.add(thread)
        if dropped:
            self._dropped.add((thread, message))
        self._deleted.setdefault((thread, message), index)

    def delete_thread(self, event: ThreadDeleted, time: float, index: int) -> None:
        """Nothing of a thread is there any longer."""
        thread = event.thread_id
        if event.cause == ELSEWHERE:
            self.lost.setdefault(thread, time)
        self.changed.add(thread)
        for each in self.of.get(thread, ()):
            self.delete_message(thread, each.id, index)

    def stood(self, thread: str, cause: str, text: str, other: str, then: str | None = None) -> bool:
        """Whether a text that `cause` stored was still there when `other` stored the text `then`; None: the same one."""
        if thread not in self.changed:
            return True
        places = {(each.cause, each.text): each for each in self.of.get(thread, ())}
        before, after = places.get((cause, text)), places.get((other, text if then is None else then))
        if before is None or after is None:
            return True
        first, second = sorted((before, after), key=lambda each: each.place)
        return self._deleted.get((thread, first.id), second.place) >= second.place

    def narrow(self, run: str, messages: int) -> None:
        """A run reads only so many of the newest messages."""
        self._windows[run] = messages

    def miss(self, run: str, messages: Iterable[str]) -> None:
        """A run reads none of these messages of its thread."""
        self._missed[run] = frozenset(messages)

    def was_dropped(self, thread: str, message: str, index: int) -> bool:
        """Whether the API had let a message go with its turn before that place of the trace."""
        return (thread, message) in self._dropped and self._deleted[thread, message] < index

    def reads_all(self, run: Run) -> bool:
        """Whether a run reads all that was ever stored in its thread before it was created."""
        return run.thread not in self.changed and run.id not in self._windows and run.id not in self._missed

    @property
    def are_read_whole(self) -> bool:
        """Whether every run does."""
        return not self.changed and not self._windows and not self._missed

    def read_by(self, run: Run) -> list[Content]:
        """What a run reads of its thread, in the thread's order."""
        missed = self._missed.get(run.id, frozenset())
        found = [
            each
            for each in self.of.get(run.thread, ())
            if each.place < run.index < self._deleted.get((run.thread, each.id), run.index + 1)
            and each.id not in missed
        ]
        return found[-self._windows[run.id] :] if run.id in self._windows else found

    def messages_read_by(self, run: Run) -> dict[str, None]:
        """The ids of the customers' messages among it, in the order in which they were stored."""
        return dict.fromkeys(message.id for content in self.read_by(run) for message in content.messages)
