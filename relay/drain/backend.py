"""The backend: what `drain` needs of a conversation API. A seam of seven methods, and the Threads API behind it.

Errors are sorted by what may be done next, which is all that the policy asks:

    Conflict     another run is active: nothing was done; find out which, and wait for it
    Busy         nothing was done, and may be asked again after a while (429, 409; 401 and 403, which somebody will mend)
    Unavailable  the fate of the request is unknown (no answer, half an answer, 5xx): look before repeating it
    Refused      nothing was done, and never will be (other 4xx)
    Rejected     the same, for what was sent (400, 413, 422): leave it out
    NoThread     the thread does not exist (404)

The SDK's own repetitions are switched off: it repeats a POST whose answer was lost without looking, so that a message
that had arrived arrives twice.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import openai

from relaysim.relay.threads_api import describe, text_of

RUNS_LISTED: Final = 20
"""How many of a thread's runs a look shows, newest first."""

COPIED_MAX: Final = 32
"""Messages that the API takes when a thread is created."""

_ACTIVE_RUN: Final = re.compile(r"\brun (run_[a-zA-Z0-9]+)")
# "Thread thread_X already has an active run run_Y." and "Can't add messages to thread_X while a run run_Y is active."


class BackendError(Exception):
    """A request failed; `str` says how, without the words of any message."""


class Conflict(BackendError):
    """A run is active on the thread; `run_id` names it, if the error did."""

    def __init__(self, reason: str, run_id: str | None) -> None:
        super().__init__(reason)
        self.run_id = run_id


class Busy(BackendError):
    """Refused for now; `after_seconds` is what the server asked for, if it did."""

    def __init__(self, reason: str, after_seconds: float | None) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


class Unavailable(BackendError):
    """Whether the request was processed is unknown."""


class Refused(BackendError):
    """Refused for good."""


class Rejected(Refused):
    """Refused for what was sent: a text that is empty or too long, for instance."""


class NoThread(Refused):
    """The thread is unknown to the backend."""


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as it was when it was looked at.

    id              its id
    status          its state, one of the API's or one not known yet
    metadata        what its creator wrote on it
    reason          why it failed, or why its reply is incomplete, if the backend says so
    look_again_seconds  when the server suggests to look again, None if it does not
    """

    id: str
    status: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    look_again_seconds: float | None = None

    @property
    def ended(self) -> bool:
        """Whether it has reached a terminal state, after which the thread is free."""
        return self.status in _TERMINAL

    @property
    def cancellable(self) -> bool:
        """Whether its cancel can be requested; in `cancelling` it was already."""
        return not self.ended and self.status != "cancelling"

    @property
    def has_reply(self) -> bool:
        """Whether it has ended with an answer that may be sent, be it cut off."""
        return self.status == "completed" or (self.status == "incomplete" and self.reason != "content_filter")


_TERMINAL: Final = frozenset({"completed", "cancelled", "failed", "incomplete", "expired"})


class Backend(Protocol):
    """A conversation API: threads that hold messages, on which one run at a time writes replies.

    Every method raises `BackendError`.

    links_at_end    a run's messages are in the thread, and the run is among the recent ones, once it has completed and not
                    before; and a conflict names nobody. False: from the run's creation on
    """

    links_at_end: bool

    async def open_thread(self) -> str:
        """Create a thread; returns its id."""
        ...

    async def copy_thread(
        self, thread_id: str, messages_max: int, questions: Sequence[str] = (), *, without: Sequence[str] = ()
    ) -> str:
        """Create a thread that begins with the words of another one's latest messages; returns its id.

        Args:
            thread_id: the other one.
            messages_max: how many of them.
            questions: texts of the customer's that must be among them: so many more as that takes. 32 in all at most.
            without: messages (their ids) that are to be left out, with the runs that answer them, if the backend can tell.
        """
        ...

    async def start(self, thread_id: str, texts: Sequence[str], metadata: Mapping[str, str]) -> RunView:
        """Append the customer's texts and create a run, both or neither. Raises `Conflict` if another is active."""
        ...

    async def look(self, thread_id: str, run_id: str) -> RunView:
        """The run as it is now."""
        ...

    async def recent(self, thread_id: str) -> Sequence[RunView]:
        """The thread's latest runs, newest first."""
        ...

    async def cancel(self, thread_id: str, run_id: str) -> bool:
        """Request a run's cancel. False: it was refused, since the run has ended or its cancel was requested before."""
        ...

    async def reply(self, thread_id: str, run_id: str) -> str | None:
        """What this very run wrote, whatever else is on the thread; None if it wrote no words."""
        ...


class AskedWaits:
    """What the API asked for (`Retry-After`), remembered until it is over: it binds whoever asks for the same next.

    A repetition waits by itself. But when its time is over, the next step may need the same request for another purpose, at
    that very instant: a look for another creation, another cancel of the same run.

    Args:
        answer: awaits a call's answer, in the relay's own errors.
    """

    def __init__(self, answer: Callable[[Any], Awaitable[Any]]) -> None:
        self._answer = answer
        self._over_at: dict[tuple[str, str], float] = {}  # the loop's time, by what was asked for and of what

    async def heeding(self, what: str, of: str, call: Callable[[], Any]) -> Any:
        """Send a request, unless the API has asked to wait longer before this is asked for again.

        Args:
            what: what is asked for.
            of: of which thread or run.
            call: makes the call that sends it.

        Raises:
            Busy: nothing was sent; for how long is left. That is not waited for here, since whoever waits must look at the
                lease again. Or it was sent, and the API asks to wait.
        """
        loop = asyncio.get_running_loop()
        left_seconds = self._over_at.get((what, of), 0.0) - loop.time()
        if left_seconds > 0.0:
            raise Busy("asked to wait", left_seconds)
        try:
            return await self._answer(call())
        except Busy as busy:
            now = loop.time()
            self._over_at = {each: over_at for each, over_at in self._over_at.items() if over_at > now}
            if busy.after_seconds is not None:
                self._over_at[what, of] = now + busy.after_seconds
            raise


class ThreadsBackend:
    """OpenAI Threads through the SDK.

    Args:
        client: an `openai.AsyncOpenAI`.
        assistant_id: which assistant's runs are created.
        timeout_seconds: after so long without an answer a request's fate is unknown.
        poll_hint: whether to read the server's hint of when to look again.
    """

    links_at_end = False

    def __init__(self, client: Any, *, assistant_id: str, timeout_seconds: float, poll_hint: bool = False) -> None:
        self._timeout_seconds = timeout_seconds
        threads = client.with_options(max_retries=0, timeout=timeout_seconds).beta.threads
        self._threads, self._runs, self._messages = threads, threads.runs, threads.messages
        self._assistant_id = assistant_id
        self._poll_hint = poll_hint
        self._waits = AskedWaits(self._answer)

    async def open_thread(self) -> str:
        """As `Backend.open_thread`."""
        return str((await self._answer(self._threads.create())).id)

    async def copy_thread(
        self, thread_id: str, messages_max: int, questions: Sequence[str] = (), *, without: Sequence[str] = ()
    ) -> str:
        """As `Backend.copy_thread`. Pictures and files stay behind, and so does a reply that was never finished."""
        if messages_max == 0 and not questions:
            return await self.open_thread()
        limit = COPIED_MAX if questions else messages_max
        page = await self._waits.heeding(
            "messages", thread_id, lambda: self._messages.list(thread_id, limit=limit, order="desc")
        )
        turns = [(message.role, text_of(message)) for message in reversed(page.data) if _is_whole(message)]
        turns = turns[-max(messages_max, since(questions, turns)) :]
        messages = [{"role": role, "content": text} for role, text in turns if text is not None]
        return str((await self._answer(self._threads.create(messages=messages))).id)

    async def start(self, thread_id: str, texts: Sequence[str], metadata: Mapping[str, str]) -> RunView:
        """As `Backend.start`: texts travel as `additional_messages`, so that one request does both or neither."""
        more: dict[str, Any] = {}
        if texts:
            more["additional_messages"] = [{"role": "user", "content": text} for text in texts]
        run = await self._answer(
            self._runs.create(thread_id, assistant_id=self._assistant_id, metadata=dict(metadata), **more)
        )
        return _view(run)

    async def look(self, thread_id: str, run_id: str) -> RunView:
        """As `Backend.look`."""
        if not self._poll_hint:
            return _view(await self._answer(self._runs.retrieve(run_id, thread_id=thread_id)))
        raw = await self._answer(self._runs.with_raw_response.retrieve(run_id, thread_id=thread_id))
        return _view(raw.parse(), raw.headers.get("openai-poll-after-ms"))

    async def recent(self, thread_id: str) -> Sequence[RunView]:
        """As `Backend.recent`."""
        page = await self._waits.heeding(
            "runs", thread_id, lambda: self._runs.list(thread_id, limit=RUNS_LISTED, order="desc")
        )
        return [_view(run) for run in page.data]

    async def cancel(self, thread_id: str, run_id: str) -> bool:
        """As `Backend.cancel`."""
        try:
            await self._waits.heeding("cancel", run_id, lambda: self._runs.cancel(run_id, thread_id=thread_id))
        except Refused:
            return False
        return True

    async def reply(self, thread_id: str, run_id: str) -> str | None:
        """As `Backend.reply`: the messages with this run's id, in the order in which it wrote them."""
        page = await self._answer(self._messages.list(thread_id, run_id=run_id, limit=100, order="asc"))
        texts = [text_of(message) for message in page.data if message.role == "assistant"]
        return "\n\n".join(text for text in texts if text is not None) or None

    async def _answer(self, call: Any) -> Any:
        return await answer_of(call, self._timeout_seconds, _sorted)


async def answer_of(call: Any, timeout_seconds: float, sort: Callable[[openai.APIStatusError], BackendError]) -> Any:
    """Await a call of the SDK, its errors sorted: a refusal by `sort`, all else is of unknown fate."""
    try:
        # The SDK's own timeout begins anew with each piece of an answer.
        async with asyncio.timeout(timeout_seconds):
            return await call
    except openai.APIStatusError as error:
        raise sort(error) from error
    except (
        TimeoutError,
        openai.APIConnectionError,
        openai.APIResponseValidationError,
        json.JSONDecodeError,
    ) as error:
        # A JSON that is cut off passes through the SDK as the decoder's own error; the request was processed.
        raise Unavailable(describe(error)) from error


def _sorted(error: openai.APIStatusError) -> BackendError:
    sentence = str(error) if isinstance(error.body, Mapping) else ""
    if error.status_code == 404 and "thread" in sentence.lower():
        return NoThread(describe(error))
    if error.status_code == 400 and ("already has an active run" in sentence or "while a run" in sentence):
        named = _ACTIVE_RUN.search(sentence)
        return Conflict(describe(error), named[1] if named else None)
    return sorted_by_status(error)


def sorted_by_status(error: openai.APIStatusError) -> BackendError:
    """What any of these APIs means by a status."""
    reason, status = describe(error), error.status_code
    if status == 429:
        return Busy(reason, _retry_after(error))
    if status in (401, 403, 409):
        # A key that was exchanged, a proxy in the way: nothing was done, and somebody will mend it.
        return Busy(reason, None)
    if status == 408 or status >= 500 or not isinstance(error.body, Mapping):
        # A refusal that cannot be read may be a conflict, or not be the API's at all.
        return Unavailable(reason)
    return Rejected(reason) if status in (400, 413, 422) else Refused(reason)


def _retry_after(error: openai.APIStatusError) -> float | None:
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None


def _view(run: Any, hint: str | None = None) -> RunView:
    metadata = run.metadata if isinstance(run.metadata, Mapping) else {}
    look_again = float(hint) / 1000 if hint is not None and hint.isdecimal() else None
    code = getattr(getattr(run, "last_error", None), "code", None)
    reason = code or getattr(getattr(run, "incomplete_details", None), "reason", None)
    return RunView(run.id, str(run.status), metadata, reason if isinstance(reason, str) else None, look_again)


def since(questions: Sequence[str], said: Sequence[tuple[str, str | None]]) -> int:
    """How many of the latest messages hold all these texts of the customer's; all, if one of them is not there.

    Those that wait are not always the last: a message that was brought with them, and written later, may have ended.
    """
    missing: Counter[str | None] = Counter(questions)
    for count, (role, text) in enumerate(reversed(said)):
        if not missing:
            return count
        if role == "user" and text in missing:
            missing[text] -= 1
            missing = +missing
    return len(said) if questions else 0


def _is_whole(message: Any) -> bool:
    return getattr(message, "status", None) not in ("in_progress", "incomplete")
