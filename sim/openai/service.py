"""The state machine of the Threads API: threads, messages, runs and the lock between them. Sans-I/O.

Theory of operation. Nothing here waits, draws a latency or knows HTTP: a method is called, changes what is stored at
that very instant, and returns the API object as a dict or raises an `ApiError`. Time comes from a callable. Runs move
only through `advance`, `cancel_run` and `submit_tool_outputs`; who advances them, and when, is `sim.openai.life` (in a
world) or a test. Every move is checked against the table in `sim.openai.states`.

Returned dicts are snapshots: what happens later does not change them. Nested values (metadata, content) are shared with
the store and must not be written to; both doors copy or serialise them.

Choices where nothing is known (each `inferred`): a message of `additional_messages` has no run_id; updating metadata
replaces it; a thread with an active run may be deleted; an unknown list cursor answers 404.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from sim.kernel import Draws
from sim.openai import errors
from sim.openai.pages import page_of
from sim.openai.parameters import (
    Object,
    check_id,
    check_message,
    check_messages,
    check_metadata,
    check_tool_resources,
    text_parts,
)
from sim.openai.states import CANCELLABLE, EXPIRY_SECONDS, LOCKING, TERMINAL, Status, check_move

_RUN_OPTIONS: Final[Object] = {
    "model": "gpt-4o",
    "instructions": "",
    "tools": [],
    "temperature": 1.0,
    "top_p": 1.0,
    "max_prompt_tokens": None,
    "max_completion_tokens": None,
    "truncation_strategy": {"type": "auto", "last_messages": None},
    "response_format": "auto",
    "tool_choice": "auto",
    "parallel_tool_calls": True,
}

RUN_OPTIONS: Final = frozenset(_RUN_OPTIONS) | {"additional_instructions", "reasoning_effort", "stream"}
"""Parameters of runs.create that change nothing but the run object itself."""

_UNFINISHED_REASONS: Final[Mapping[str, str]] = {
    "cancelled": "run_cancelled",
    "expired": "run_expired",
    "failed": "run_failed",
    "incomplete": "max_tokens",
}


class TraceSink(Protocol):
    """Where domain events go; `sim.kernel.Trace` is one."""

    def add(self, entity: str, kind: str, *fields: Any) -> None:
        """Record an event now."""
        ...


class Replier(Protocol):
    """What an assistant answers when a run completes.

    It sees the thread's messages, oldest first, and the run, both as the API shows them, and must be deterministic.
    """

    def __call__(self, messages: Sequence[Object], run: Object) -> str:
        """The reply's text."""
        ...


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message object: its text parts, joined by newlines."""
    content = message["content"]
    if len(content) == 1 and content[0]["type"] == "text":
        text: str = content[0]["text"]["value"]
        return text
    return "\n".join(part["text"]["value"] for part in content if part["type"] == "text")


def echo_reply(messages: Sequence[Object], run: Object) -> str:
    """`Reply n to: text`, with n counting the thread's replies from 1 and the newest user message's text."""
    replies = sum(1 for message in messages if message["run_id"] is not None)
    newest = next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")
    return f"Reply {replies + 1} to: {newest}"


class RunRecord:
    """One run in the store.

    Attributes:
        view: the API object, kept up to date.
        thread: its thread.
        ordinal: the run's number in its thread, from 0.
        key: names this run in keyed draws.
        created: when, in the service's exact time.
        deleted: its thread is gone; nothing moves it any more.
    """

    __slots__ = ("created", "deleted", "id", "key", "ordinal", "thread", "view")

    def __init__(self, thread: ThreadRecord, run_id: str, ordinal: int, created: float, view: Object) -> None:
        self.thread = thread
        self.id = run_id
        self.ordinal = ordinal
        self.key = f"{thread.id}/run/{ordinal}"
        self.created = created
        self.view = view
        self.deleted = False

    @property
    def status(self) -> Status:
        """Its state."""
        status: Status = self.view["status"]
        return status


class ThreadRecord:
    """One thread in the store: its object, messages and runs (oldest first), and the run that locks it, if one does."""

    __slots__ = ("active", "id", "messages", "messages_made", "runs", "view")

    def __init__(self, thread_id: str, view: Object) -> None:
        self.id = thread_id
        self.view = view
        self.messages: list[Object] = []
        self.messages_made = 0
        self.runs: list[RunRecord] = []
        self.active: RunRecord | None = None


class ThreadsService:
    """The simulated service.

    Args:
        draws: keyed draws; ids come from them, so a world's ids are a function of its seed.
        now: seconds since the Unix epoch; only `created_at` and its like show them, as whole seconds.
        trace: receives `run.state` and `message.stored`.
        replier: what assistants answer.
        assistants: the known assistants; None: any well-formed id is one.
        on_state: called after every transition with the run, its new state and the cause.
    """

    def __init__(
        self,
        draws: Draws,
        now: Callable[[], float],
        trace: TraceSink | None = None,
        *,
        replier: Replier = echo_reply,
        assistants: Iterable[str] | None = None,
        on_state: Callable[[RunRecord, Status, str], None] | None = None,
    ) -> None:
        self._draws = draws
        self._now = now
        self._trace = trace
        self._replier = replier
        self._assistants = None if assistants is None else frozenset(assistants)
        self.on_state = on_state
        self.threads: dict[str, ThreadRecord] = {}
        self.runs: dict[str, RunRecord] = {}
        self._threads_made = 0

    def now(self) -> float:
        """The service's time, in seconds since the Unix epoch."""
        return self._now()

    # Threads

    def create_thread(
        self,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        metadata: Mapping[str, str] | None = None,
        tool_resources: Mapping[str, Any] | None = None,
        cause: str = "",
        key: str | None = None,
    ) -> Object:
        """Create a thread, with messages if any are given.

        `key` makes the id a function of that name instead of the number of threads made before, for worlds that
        prepare threads themselves.
        """
        kept = check_metadata(metadata)
        resources = check_tool_resources(tool_resources)
        checked = check_messages("messages", messages)
        if key is None:
            token = self._draws.token("threads", "thread-id", 24, self._threads_made)
            self._threads_made += 1
        else:
            token = self._draws.token(key, "thread-id", 24, 0)
        thread_id = f"thread_{token}"
        view: Object = {
            "id": thread_id,
            "object": "thread",
            "created_at": int(self._now()),
            "metadata": kept,
            "tool_resources": resources,
        }
        thread = self.threads[thread_id] = ThreadRecord(thread_id, view)
        for role, parts, message_metadata, attachments in checked:
            self._store(thread, role, parts, message_metadata, attachments, cause)
        return dict(view)

    def retrieve_thread(self, thread_id: str) -> Object:
        """The thread.

        Raises:
            ApiError: malformed or unknown id; so does every method below.
        """
        return dict(self._thread(thread_id).view)

    def update_thread(
        self,
        thread_id: str,
        *,
        metadata: Mapping[str, str] | None = None,
        tool_resources: Mapping[str, Any] | None = None,
    ) -> Object:
        """Replace the thread's metadata or tool resources."""
        view = self._thread(thread_id).view
        if metadata is not None:
            view["metadata"] = check_metadata(metadata)
        if tool_resources is not None:
            view["tool_resources"] = check_tool_resources(tool_resources)
        return dict(view)

    def delete_thread(self, thread_id: str) -> Object:
        """Delete the thread with its messages and runs."""
        thread = self._thread(thread_id)
        for run in thread.runs:
            run.deleted = True
            del self.runs[run.id]
        del self.threads[thread_id]
        return {"id": thread_id, "object": "thread.deleted", "deleted": True}

    # Messages

    def create_message(
        self,
        thread_id: str,
        *,
        role: str | None = None,
        content: Any = None,
        metadata: Mapping[str, str] | None = None,
        attachments: Sequence[Any] | None = None,
        cause: str = "",
    ) -> Object:
        """Append a message; refused with 400 while a run locks the thread."""
        thread = self._thread(thread_id)
        role, parts, kept, files = check_message("", role, content, metadata, attachments)
        if thread.active is not None:
            raise errors.append_while_active(thread_id, thread.active.id)
        return dict(self._store(thread, role, parts, kept, files, cause))

    def list_messages(
        self,
        thread_id: str,
        *,
        limit: int | None = None,
        order: str | None = None,
        after: str | None = None,
        before: str | None = None,
        run_id: str | None = None,
    ) -> Object:
        """A page of messages, newest first unless `order` is `asc`; `run_id` keeps only what that run wrote."""
        messages = self._thread(thread_id).messages
        if run_id is not None:
            messages = [message for message in messages if message["run_id"] == run_id]
        return page_of(messages, limit, order, after, before, errors.no_message)

    def retrieve_message(self, thread_id: str, message_id: str) -> Object:
        """One message of the thread."""
        return dict(self._message(thread_id, message_id))

    def update_message(self, thread_id: str, message_id: str, *, metadata: Mapping[str, str] | None = None) -> Object:
        """Replace a message's metadata."""
        message = self._message(thread_id, message_id)
        if metadata is not None:
            message["metadata"] = check_metadata(metadata)
        return dict(message)

    def delete_message(self, thread_id: str, message_id: str) -> Object:
        """Take a message out of the thread."""
        message = self._message(thread_id, message_id)
        self.threads[thread_id].messages.remove(message)
        return {"id": message_id, "object": "thread.message.deleted", "deleted": True}

    # Runs

    def create_run(
        self,
        thread_id: str,
        *,
        assistant_id: str | None = None,
        additional_messages: Sequence[Mapping[str, Any]] | None = None,
        metadata: Mapping[str, str] | None = None,
        cause: str = "",
        **options: Any,
    ) -> Object:
        """Append `additional_messages` and start a run; refused with 400, changing nothing, while another is active.

        Args:
            thread_id: the thread.
            assistant_id: whose run it is.
            additional_messages: appended first.
            metadata: up to 16 pairs.
            cause: what the trace names as the cause.
            options: members of `RUN_OPTIONS`, shown in the run object.
        """
        thread = self._thread(thread_id)
        if assistant_id is None:
            raise errors.missing_parameter("assistant_id")
        check_id("assistant_id", assistant_id, "asst")
        if self._assistants is not None and assistant_id not in self._assistants:
            raise errors.no_assistant(assistant_id)
        kept = check_metadata(metadata)
        checked = check_messages("additional_messages", additional_messages)
        if options.get("stream"):
            raise errors.not_simulated("streaming: leave `stream` out")
        if thread.active is not None:
            raise errors.run_while_active(thread_id, thread.active.id)
        for role, parts, message_metadata, attachments in checked:
            self._store(thread, role, parts, message_metadata, attachments, cause)

        now = self._now()
        ordinal = len(thread.runs)
        run_id = f"run_{self._draws.token(thread_id, 'run-id', 24, ordinal)}"
        created_at = int(now)
        view: Object = {
            "id": run_id,
            "object": "thread.run",
            "created_at": created_at,
            "assistant_id": assistant_id,
            "thread_id": thread_id,
            "status": "queued",
            "started_at": None,
            "expires_at": created_at + EXPIRY_SECONDS,
            "cancelled_at": None,
            "failed_at": None,
            "completed_at": None,
            "required_action": None,
            "last_error": None,
            "metadata": kept,
            "incomplete_details": None,
            "usage": None,
            **_RUN_OPTIONS,
        }
        if options:
            _apply_options(view, options)
        run = RunRecord(thread, run_id, ordinal, now, view)
        check_move(None, "queued")
        thread.runs.append(run)
        thread.active = run
        self.runs[run_id] = run
        self._announce(run, "queued", cause)
        return dict(view)

    def retrieve_run(self, thread_id: str, run_id: str) -> Object:
        """One run of the thread."""
        return dict(self._run(thread_id, run_id).view)

    def update_run(self, thread_id: str, run_id: str, *, metadata: Mapping[str, str] | None = None) -> Object:
        """Replace a run's metadata."""
        view = self._run(thread_id, run_id).view
        if metadata is not None:
            view["metadata"] = check_metadata(metadata)
        return dict(view)

    def list_runs(
        self,
        thread_id: str,
        *,
        limit: int | None = None,
        order: str | None = None,
        after: str | None = None,
        before: str | None = None,
    ) -> Object:
        """A page of the thread's runs, newest first unless `order` is `asc`."""
        runs = self._thread(thread_id).runs
        return page_of([run.view for run in runs], limit, order, after, before, errors.no_run)

    def cancel_run(self, thread_id: str, run_id: str, *, cause: str = "") -> Object:
        """Ask for a cancel: the run is `cancelling` at once, and still locks its thread.

        Refused with 400 in any other state than queued, in_progress and requires_action.
        """
        run = self._run(thread_id, run_id)
        if run.status not in CANCELLABLE:
            raise errors.cannot_cancel(run.status)
        self._move(run, "cancelling", cause)
        return dict(run.view)

    def submit_tool_outputs(
        self,
        thread_id: str,
        run_id: str,
        *,
        tool_outputs: Sequence[Mapping[str, Any]] | None = None,
        stream: bool | None = None,
        cause: str = "",
    ) -> Object:
        """Answer all tool calls of a run in requires_action; it is queued again."""
        run = self._run(thread_id, run_id)
        if stream:
            raise errors.not_simulated("streaming: leave `stream` out")
        if tool_outputs is None:
            raise errors.missing_parameter("tool_outputs")
        if not isinstance(tool_outputs, Sequence) or isinstance(tool_outputs, str):
            raise errors.invalid_type("tool_outputs", "an array of objects", tool_outputs)
        if run.status != "requires_action":
            raise errors.no_tool_outputs(run.status)
        calls = run.view["required_action"]["submit_tool_outputs"]["tool_calls"]
        expected = [call["id"] for call in calls]
        got = [str(output.get("tool_call_id")) if isinstance(output, Mapping) else "" for output in tool_outputs]
        if sorted(got) != sorted(expected):
            raise errors.incomplete_tool_outputs(expected, got)
        run.view["required_action"] = None
        self._move(run, "queued", cause)
        return dict(run.view)

    def advance(
        self,
        run_id: str,
        state: Status,
        cause: str = "time",
        *,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        last_error: Mapping[str, str] | None = None,
        partial_text: str | None = None,
    ) -> Object:
        """Move a run as the service itself would.

        Args:
            run_id: the run.
            state: where to; a move into `completed` stores the reply first.
            cause: for the trace: `time`, `expiry`, or a request id.
            tool_calls: what a run that enters `requires_action` asks for; each needs at least an `id`.
            last_error: `code` and `message` of a run that fails.
            partial_text: an answer that was begun; it stays in the thread as an incomplete message.

        Raises:
            ImpossibleTransitionError: the table does not hold that move.
            KeyError: no such run.
        """
        run = self.runs[run_id]
        check_move(run.status, state)
        view = run.view
        if state == "completed":
            self._store_reply(run, self._replier(run.thread.messages, view))
        elif state == "requires_action":
            calls = [dict(call) for call in tool_calls or ({"id": f"call_{run.ordinal}"},)]
            for call in calls:
                call.setdefault("type", "function")
                call.setdefault("function", {"name": "tool", "arguments": "{}"})
            view["required_action"] = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}
        elif state == "failed":
            view["last_error"] = dict(last_error or {"code": "server_error", "message": "Sorry, something went wrong."})
        elif state == "incomplete":
            view["incomplete_details"] = {"reason": "max_completion_tokens"}
        if partial_text is not None and state in _UNFINISHED_REASONS:
            self._store_reply(run, partial_text, _UNFINISHED_REASONS[state])
        self._move(run, state, cause)
        return dict(view)

    # Inside

    def _move(self, run: RunRecord, state: Status, cause: str) -> None:
        check_move(run.status, state)
        view = run.view
        view["status"] = state
        if state == "in_progress":
            view["started_at"] = int(self._now())
        elif state in TERMINAL:
            view["expires_at"] = None
            view["required_action"] = None
            view["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
            stamp = {"cancelled": "cancelled_at", "completed": "completed_at", "failed": "failed_at"}.get(state)
            if stamp is not None:
                view[stamp] = int(self._now())
        if state not in LOCKING:
            run.thread.active = None
        self._announce(run, state, cause)

    def _announce(self, run: RunRecord, state: Status, cause: str) -> None:
        if self._trace is not None:
            self._trace.add("api", "run.state", run.id, run.thread.id, state, cause)
        if self.on_state is not None:
            self.on_state(run, state, cause)

    def _thread(self, thread_id: str) -> ThreadRecord:
        thread = self.threads.get(thread_id)
        if thread is None:
            check_id("thread_id", thread_id, "thread")
            raise errors.no_thread(thread_id)
        return thread

    def _run(self, thread_id: str, run_id: str) -> RunRecord:
        thread = self._thread(thread_id)
        run = self.runs.get(run_id)
        if run is None or run.thread is not thread:
            check_id("run_id", run_id, "run")
            raise errors.no_run(run_id)
        return run

    def _message(self, thread_id: str, message_id: str) -> Object:
        # Newest first: that is what clients ask for, and threads are short.
        for message in reversed(self._thread(thread_id).messages):
            if message["id"] == message_id:
                return message
        check_id("message_id", message_id, "msg")
        raise errors.no_message(message_id)

    def _store(
        self,
        thread: ThreadRecord,
        role: str,
        parts: list[Object],
        metadata: Object,
        attachments: list[Any],
        cause: str,
        *,
        run_id: str | None = None,
        assistant_id: str | None = None,
        unfinished: str | None = None,
    ) -> Object:
        message_id = f"msg_{self._draws.token(thread.id, 'message-id', 24, thread.messages_made)}"
        thread.messages_made += 1
        created_at = int(self._now())
        message: Object = {
            "id": message_id,
            "object": "thread.message",
            "created_at": created_at,
            "assistant_id": assistant_id,
            "thread_id": thread.id,
            "run_id": run_id,
            "role": role,
            "status": "completed" if unfinished is None else "incomplete",
            "completed_at": created_at if unfinished is None else None,
            "incomplete_at": None if unfinished is None else created_at,
            "incomplete_details": None if unfinished is None else {"reason": unfinished},
            "content": parts,
            "attachments": attachments,
            "metadata": metadata,
        }
        thread.messages.append(message)
        if self._trace is not None:
            self._trace.add("api", "message.stored", thread.id, message_id, role, cause, text_of(message))
        return message

    def _store_reply(self, run: RunRecord, text: str, unfinished: str | None = None) -> None:
        self._store(
            run.thread,
            "assistant",
            text_parts(text),
            {},
            [],
            run.id,
            run_id=run.id,
            assistant_id=run.view["assistant_id"],
            unfinished=unfinished,
        )


def _apply_options(view: Object, options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name not in RUN_OPTIONS:
            raise errors.unknown_parameter(name)
        if value is None or name not in _RUN_OPTIONS:
            continue
        view[name] = value
    extra = options.get("additional_instructions")
    if extra:
        view["instructions"] = f"{view['instructions']}\n{extra}".strip()
