"""The state machine of the Threads API: threads, messages, runs, their steps, and the lock between them. Sans-I/O.

Theory of operation. Nothing here waits, draws a latency or knows HTTP: a method is called, changes what is stored at that
very instant, and returns the API object as a dict or raises an `ApiError`. Time comes from a callable. Runs move only
through `advance`, `cancel_run` and `submit_tool_outputs`; who advances them, and when, is `life` (in a world)
or a test. Every move is checked against the table of moves in `relaysim.sim.backends.threads.states`, and whether a
request is refused in a state is looked up in its table of rules.

Returned dicts are snapshots: what happens later does not change them. Nested values (metadata, content) are shared with
the store and must not be written to; both doors copy or serialise them.

Choices where nothing is known (each `inferred`): a message of `additional_messages` has no run_id; updating metadata
replaces it; a thread with an active run may be deleted; an unknown list cursor answers 404; the message of a run that
is not streamed appears when it is complete.

Longer than 400 lines because the objects of the API refer to one another, and each request is one method of one object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from relaysim.sim.backends import errors
from relaysim.sim.backends.json_values import Object, check_id, check_metadata
from relaysim.sim.backends.pages import page_of
from relaysim.sim.backends.pieces import ending_text
from relaysim.sim.backends.protocol import TraceSink, none_prepared
from relaysim.sim.backends.replies import (
    Failure,
    Incomplete,
    Nothing,
    Replier,
    Reply,
    Several,
    Text,
    Turn,
    checked,
    echo_reply,
    ending_of,
    text_of,
)
from relaysim.sim.backends.streaming import EventStream
from relaysim.sim.backends.threads import thread_errors
from relaysim.sim.backends.threads.assistants import Assistants
from relaysim.sim.backends.threads.parameters import (
    check_message,
    check_messages,
    check_run_options,
    check_thread_of_run,
    check_tool_outputs,
    check_tool_resources,
)
from relaysim.sim.backends.threads.quirks import Quirks
from relaysim.sim.backends.threads.records import RunRecord, ThreadRecord
from relaysim.sim.backends.threads.states import EXPIRY_SECONDS, LOCKING, RULE, TERMINAL, Status, check_move
from relaysim.sim.backends.threads.token_caps import within_caps
from relaysim.sim.backends.threads.usage import usage_of
from relaysim.sim.backends.threads.writing import Writer, function_of, with_outputs
from relaysim.sim.kernel import Draws
from relaysim.sim.trace.schema import (
    MessageDeleted,
    MetadataNoted,
    RunMetadata,
    RunReads,
    RunState,
    RunWindow,
    RunWrites,
    ThreadDeleted,
)

if TYPE_CHECKING:
    from relaysim.sim.backends.rate_limits import RateLimits

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
"""Parameters of runs.create that change nothing but the run object itself, and `stream`."""

_NUMBER: Final = re.compile(r"\+?\d[\d().-]{5,}")
"""An order's or a telephone's."""

_METADATA_PLACES: Final = frozenset({"metadata", "messages", "additional_messages", "thread"})

_FROM_ASSISTANT: Final = ("model", "instructions", "tools", "temperature", "top_p", "response_format")

_UNFINISHED_REASONS: Final[Mapping[str, str]] = {
    "cancelled": "run_cancelled",
    "expired": "run_expired",
    "failed": "run_failed",
    "incomplete": "max_tokens",
}
_DELIVERED: Final = frozenset({"completed", "requires_action", "failed", "incomplete"})
"""Where a turn's reply takes a run."""

_STAMPS: Final = {"cancelled": "cancelled_at", "completed": "completed_at", "failed": "failed_at"}
_STEP_ENDS: Final[Mapping[str, str]] = {
    "cancelled": "cancelled",
    "expired": "expired",
    "failed": "failed",
    "completed": "completed",
    "incomplete": "completed",
}


class ThreadsService:
    """The simulated service.

    Args:
        draws: keyed draws; ids come from them, so a world's ids are a function of its seed.
        now: seconds since the Unix epoch; only `created_at` and its like show them, as whole seconds.
        trace: receives `run.state` and `message.stored`, and `run.metadata` where that is asked for.
        replier: what assistants answer.
        assistants: the assistants that exist from the beginning; None: any well-formed id is one.
        on_state: called after every transition with the run, its new state and the cause.

    Attributes:
        replier: as given.
        limits: refuses requests beyond the rates of a profile; None: no limits.
        traced_metadata: which metadata of a new run the trace shows, in `run.metadata`; none unless set, since values can
            be tokens.
        quirks: unproven behaviours; None: none.
        prepared: as of `relaysim.sim.backends.protocol.Service`; asked by `create_thread` without a key.
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
        self._writer = Writer(draws, now, trace)
        self.replier = replier
        self.assistants = Assistants(draws, now, assistants)
        self.on_state = on_state
        self.limits: RateLimits | None = None
        self.traced_metadata: frozenset[str] = frozenset()
        self.quirks: Quirks | None = None
        self.prepared: Callable[[str], str | None] = none_prepared
        self.threads: dict[str, ThreadRecord] = {}
        self.runs: dict[str, RunRecord] = {}
        self._threads_made = 0  # those whose id is a function of this number
        self._threads_created = 0

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
        prepared = None if key is not None else self.prepared(cause)
        if prepared is None:
            return dict(self._make_thread(kept, resources, checked, cause, key).view)
        thread = self.threads[prepared]
        thread.view.update(created_at=int(self._now()), metadata=kept, tool_resources=resources)
        for each in checked:
            self._writer.store(thread, *each, cause)
        return dict(thread.view)

    def _make_thread(
        self, metadata: Object, resources: Object, messages: Iterable[Any], cause: str, key: str | None = None
    ) -> ThreadRecord:
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
            "metadata": metadata,
            "tool_resources": resources,
        }
        self._threads_created += 1
        thread = self.threads[thread_id] = ThreadRecord(thread_id, view, self._threads_created)
        for role, parts, message_metadata, attachments in messages:
            self._writer.store(thread, role, parts, message_metadata, attachments, cause)
        return thread

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
            view["tool_resources"] = check_tool_resources(tool_resources, creating=False)
        return dict(view)

    def delete_thread(self, thread_id: str, *, cause: str = "") -> Object:
        """Delete the thread with its messages and runs."""
        self._thread(thread_id)
        self.forget_thread(thread_id)
        if self._trace is not None:
            self._trace.add("api", ThreadDeleted(thread_id=thread_id, cause=cause))
        return {"id": thread_id, "object": "thread.deleted", "deleted": True}

    def forget_thread(self, thread_id: str) -> None:
        """Drop a thread with all that belongs to it.

        Raises:
            KeyError: no such thread.
        """
        thread = self.threads.pop(thread_id)
        for run in thread.runs:
            run.deleted = True
            del self.runs[run.id]
            if run.stream is not None:
                run.stream.end()

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
            self._refuse_if_locked("messages.create", thread)
        return dict(self._writer.store(thread, role, parts, kept, files, cause))

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
        return page_of(messages, limit, order, after, before, thread_errors.no_message)

    def retrieve_message(self, thread_id: str, message_id: str) -> Object:
        """One message of the thread."""
        return dict(self._message(thread_id, message_id))

    def update_message(self, thread_id: str, message_id: str, *, metadata: Mapping[str, str] | None = None) -> Object:
        """Replace a message's metadata."""
        message = self._message(thread_id, message_id)
        if metadata is not None:
            message["metadata"] = check_metadata(metadata)
        return dict(message)

    def delete_message(self, thread_id: str, message_id: str, *, cause: str = "") -> Object:
        """Take a message out of the thread."""
        message = self._message(thread_id, message_id)
        self.threads[thread_id].messages.remove(message)
        if self._trace is not None:
            self._trace.add("api", MessageDeleted(thread_id=thread_id, message_id=message_id, cause=cause))
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
            options: members of `RUN_OPTIONS`, shown in the run object; with `stream`, the run's record has a stream.
        """
        thread = self._thread(thread_id)
        assistant = self._assistant_of_run(assistant_id)
        kept = check_metadata(metadata)
        checked = check_messages("additional_messages", additional_messages)
        given = _checked_options(options) if options else {}
        if thread.active is not None:
            self._refuse_if_locked("runs.create", thread)
        for role, parts, message_metadata, attachments in checked:
            self._writer.store(thread, role, parts, message_metadata, attachments, cause)
        stream = EventStream() if given.pop("stream", None) else None
        return dict(self._start_run(thread, assistant_id, assistant, kept, given, cause, stream).view)

    def create_thread_and_run(
        self,
        *,
        assistant_id: str | None = None,
        thread: Mapping[str, Any] | None = None,
        tool_resources: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        cause: str = "",
        **options: Any,
    ) -> Object:
        """Create a thread with its messages and start a run on it, or, refused, nothing at all.

        Args:
            assistant_id: whose run it is.
            thread: `messages`, `metadata` and `tool_resources` of the thread.
            tool_resources: of the run, not shown in its object.
            metadata: the run's.
            cause: what the trace names as the cause.
            options: members of `RUN_OPTIONS`, as in `create_run`.
        """
        assistant = self._assistant_of_run(assistant_id)
        kept = check_metadata(metadata)
        check_tool_resources(tool_resources, creating=False)
        messages, thread_metadata, resources = check_thread_of_run(thread)
        given = _checked_options(options) if options else {}
        made = self._make_thread(thread_metadata, resources, messages, cause)
        stream = None
        if given.pop("stream", None):
            stream = EventStream()
            stream.add("thread.created", made.view)
        return dict(self._start_run(made, assistant_id, assistant, kept, given, cause, stream).view)

    def _assistant_of_run(self, assistant_id: str | None) -> Object | None:
        if assistant_id is None:
            raise errors.missing_parameter("assistant_id")
        return self.assistants.find(assistant_id)

    def _start_run(
        self,
        thread: ThreadRecord,
        assistant_id: str | None,
        assistant: Object | None,
        metadata: Object,
        options: Object,
        cause: str,
        stream: EventStream | None,
    ) -> RunRecord:
        now = self._now()
        ordinal = len(thread.runs)
        run_id = f"run_{self._draws.token(thread.id, 'run-id', 24, ordinal)}"
        created_at = int(now)
        view: Object = {
            "id": run_id,
            "object": "thread.run",
            "created_at": created_at,
            "assistant_id": assistant_id,
            "thread_id": thread.id,
            "status": "queued",
            "started_at": None,
            "expires_at": created_at + EXPIRY_SECONDS,
            "cancelled_at": None,
            "failed_at": None,
            "completed_at": None,
            "required_action": None,
            "last_error": None,
            "metadata": metadata,
            "incomplete_details": None,
            "usage": None,
            **_RUN_OPTIONS,
        }
        if assistant is not None:
            view.update({name: assistant[name] for name in _FROM_ASSISTANT})
            view["instructions"] = assistant["instructions"] or ""
        if options:
            _apply_options(view, options)
        run = RunRecord(thread, run_id, ordinal, now, view)
        check_move(None, "queued")
        thread.runs.append(run)
        thread.active = run
        self.runs[run_id] = run
        if stream is not None:
            run.stream = stream
            stream.add("thread.run.created", view)
        if self.quirks is not None:
            self.quirks.note_change(run, None, self._now())
        self._announce(run, "queued", cause)
        if metadata and self._trace is not None:
            shown = tuple(f"{name}={metadata[name]}" for name in sorted(self.traced_metadata & metadata.keys()))
            if shown:
                self._trace.add("api", RunMetadata(run_id=run.id, thread_id=thread.id, pairs=shown))
        if view["instructions"]:
            self._trace_read(run, "instructions", cause, view["instructions"])
        window = view["truncation_strategy"].get("last_messages")
        if window is not None and self._trace is not None:
            self._trace.add("api", RunWindow(run_id=run.id, thread_id=thread.id, messages=window))
        if view["tools"]:
            self._trace_read(run, "tools", cause, json.dumps(view["tools"], ensure_ascii=False))
        return run

    def _trace_read(self, run: RunRecord, source: str, cause: str, text: str) -> None:
        """Record what the model reads beside the thread."""
        if self._trace is not None:
            read = RunReads(run_id=run.id, thread_id=run.thread.id, source=source, cause=cause, text=text)
            self._trace.add("api", read)

    def note_metadata(self, thread_id: str, params: Mapping[str, Any], cause: str) -> None:
        """Record the text that a request which succeeded wrote into metadata, of a thread or of what is in it."""
        if self._trace is None or _METADATA_PLACES.isdisjoint(params):
            return
        found: list[str] = []
        made = params.get("thread") or {}
        messages = [params.get("messages"), params.get("additional_messages"), made.get("messages")]
        for each in (params, made, *(message for given in messages for message in given or ())):
            values = (each.get("metadata") or {}).values()
            found += [value for value in values if len(value.split(None, 1)) > 1 or _NUMBER.fullmatch(value)]
        if found:
            noted = MetadataNoted(thread_id=thread_id, cause=cause, text="\n".join(found))
            self._trace.add("api", noted)

    def retrieve_run(self, thread_id: str, run_id: str) -> Object:
        """One run of the thread."""
        run = self._run(thread_id, run_id)
        return dict(run.view if self.quirks is None else self.quirks.read(run, self._now()))

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
        if self.quirks is None:
            views = [run.view for run in runs]
        else:
            now = self._now()
            views = [view for run in runs if (view := self.quirks.listed(run, now)) is not None]
        return page_of(views, limit, order, after, before, thread_errors.no_run)

    def list_steps(
        self,
        thread_id: str,
        run_id: str,
        *,
        limit: int | None = None,
        order: str | None = None,
        after: str | None = None,
        before: str | None = None,
    ) -> Object:
        """A page of a run's steps, newest first unless `order` is `asc`."""
        return page_of(self._run(thread_id, run_id).steps, limit, order, after, before, thread_errors.no_step)

    def retrieve_step(self, thread_id: str, run_id: str, step_id: str) -> Object:
        """One step of the run."""
        for step in self._run(thread_id, run_id).steps:
            if step["id"] == step_id:
                return dict(step)
        check_id("step_id", step_id, "step")
        raise thread_errors.no_step(step_id)

    def cancel_run(self, thread_id: str, run_id: str, *, cause: str = "") -> Object:
        """Ask for a cancel: the run is `cancelling` at once, and still locks its thread.

        Refused with 400 in any other state than queued, in_progress and requires_action.
        """
        run = self._run(thread_id, run_id)
        if RULE[run.status, "runs.cancel"].refusal is not None:
            raise thread_errors.cannot_cancel(run.status)
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
        """Answer all tool calls of a run in requires_action; it is queued again.

        With `stream`, the run's record has a stream of what follows.
        """
        run = self._run(thread_id, run_id)
        if tool_outputs is None:
            raise errors.missing_parameter("tool_outputs")
        outputs = check_tool_outputs(tool_outputs)
        streamed = _checked_options({"stream": stream}).get("stream")
        if RULE[run.status, "runs.submit_tool_outputs"].refusal is not None:
            raise thread_errors.no_tool_outputs(run.status)
        calls = run.view["required_action"]["submit_tool_outputs"]["tool_calls"]
        expected = [call["id"] for call in calls]
        given = {output["tool_call_id"]: output["output"] for output in outputs}
        if len(given) != len(outputs) or sorted(given) != sorted(expected):
            raise thread_errors.incomplete_tool_outputs(expected, [output["tool_call_id"] for output in outputs])
        run.tool_outputs = [
            *run.tool_outputs,
            *({"id": call["id"], **function_of(call), "output": given[call["id"]]} for call in calls),
        ]
        run.view["required_action"] = None
        if streamed:
            run.stream = EventStream()
        for output in given.values():
            self._trace_read(run, "tool_outputs", cause, output)
        self._writer.end_step(run, "completed", with_outputs(run.steps[-1]["step_details"], given))
        self._move(run, "queued", cause)
        return dict(run.view)

    # What the service does by itself

    def plan(self, run_id: str) -> Reply:
        """The reply of the run's present turn; the replier is asked once per turn.

        Raises:
            KeyError: no such run.
        """
        run = self.runs[run_id]
        if run.plan is None:
            thread = run.thread
            reply = checked(self.replier(Turn(thread.messages, run.view, run.tool_outputs, thread.turns + 1)))
            run.plan = within_caps(run, reply)
        return run.plan

    def cut_off(self, run_id: str, reason: str) -> None:
        """Let the run's present turn end incomplete, half-way through its text; nothing if that is to be no text.

        Raises:
            KeyError: no such run.
        """
        plan = self.plan(run_id)
        if isinstance(plan, Text):
            self.runs[run_id].plan = Incomplete(plan.text[: len(plan.text) // 2], reason)

    def say(self, run_id: str, text: str) -> None:
        """Let a run in progress write a whole message before that of its turn.

        Raises:
            KeyError: no such run.
        """
        run = self.runs[run_id]
        if run.message is None:
            self._writer.complete(run, Text(text))

    def write_before(self, run_id: str) -> None:
        """Write what the present turn of a run in progress says and does before its ending; nothing the second time.

        Raises:
            KeyError: no such run.
        """
        run = self.runs[run_id]
        if isinstance(run.plan, Several):
            before, run.plan = run.plan.before, run.plan.ending
            self._writer.write_before(run, before)

    def write(self, run_id: str, piece: str) -> None:
        """Add a piece to the text of a run in progress; the first one begins its message.

        Raises:
            KeyError: no such run.
            ValueError: the run is in another state.
        """
        run = self.runs[run_id]
        if run.status != "in_progress":
            raise ValueError(f"{run_id} is {run.status}; text is written while a run is in progress")
        if run.message is None and self._trace is not None and (text := ending_text(run.plan)):
            self._trace.add("api", RunWrites(run_id=run_id, thread_id=run.thread.id, text=text))
        self._writer.begin(run)
        self._writer.extend(run, piece)

    def advance(
        self,
        run_id: str,
        state: Status,
        cause: str = "time",
        *,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        failure: Failure | None = None,
    ) -> Object:
        """Move a run as the service itself would; what it says comes from the turn's plan, unless it is given here.

        Args:
            run_id: the run.
            state: where to; a move into `completed` stores the reply first.
            cause: for the trace: `time`, `expiry`, or a request id.
            tool_calls: what a run that enters `requires_action` asks for; each needs at least an `id`.
            failure: why a run fails whose turn's plan is none.

        Raises:
            ImpossibleTransitionError: the table does not hold that move.
            KeyError: no such run.
        """
        run = self.runs[run_id]
        check_move(run.status, state)
        view = run.view
        if state == "completed":
            self.plan(run_id)
        planned = None if run.plan is None else ending_of(run.plan)
        if state in _DELIVERED and (state != "failed" or isinstance(planned, Failure)):
            self.write_before(run_id)
        if state == "completed":
            plan = run.plan
            self._writer.complete(run, plan if isinstance(plan, Text | Incomplete | Nothing) else Text(""))
        elif state == "requires_action":
            self._writer.ask_for_tools(run, tool_calls)
        elif state == "failed":
            said = run.plan if isinstance(run.plan, Failure) and failure is None else failure or Failure()
            view["last_error"] = said._asdict()
        elif state == "incomplete":
            cut = run.plan if isinstance(run.plan, Incomplete) else None
            view["incomplete_details"] = {"reason": cut.reason if cut else "max_completion_tokens"}
            if cut is not None:
                self._writer.begin(run)
                written = text_of(run.message) if run.message is not None else ""
                if cut.text.startswith(written):
                    self._writer.extend(run, cut.text[len(written) :])
        self._move(run, state, cause)
        return dict(view)

    # Inside

    def _move(self, run: RunRecord, state: Status, cause: str) -> None:
        check_move(run.status, state)
        view = run.view
        if self.quirks is not None:
            self.quirks.note_change(run, dict(view), self._now())
        view["status"] = state
        if state == "in_progress":
            view["started_at"] = int(self._now())
        elif state in TERMINAL:
            if run.message is not None:
                self._writer.leave(run, _unfinished_reason(view))
            view["expires_at"] = None
            view["required_action"] = None
            view["usage"] = usage_of(run.prompt_tokens, run.completion_tokens)
            stamp = _STAMPS.get(state)
            if stamp is not None:
                view[stamp] = int(self._now())
            if run.steps and run.steps[-1]["status"] == "in_progress":
                self._writer.end_step(run, _STEP_ENDS[state])
        if state in ("completed", "requires_action", "incomplete") or (
            state == "failed" and isinstance(run.plan, Failure)
        ):
            run.plan = None
            run.thread.turns += 1
        if state not in LOCKING and (self.quirks is None or not self.quirks.keep_locked(run, self._now())):
            run.thread.active = None
        self._announce(run, state, cause)

    def _announce(self, run: RunRecord, state: Status, cause: str) -> None:
        if self._trace is not None:
            self._trace.add("api", RunState(run_id=run.id, thread_id=run.thread.id, state=state, cause=cause))
        stream = run.stream
        if stream is not None:
            stream.add(f"thread.run.{state}", run.view)
            if state == "requires_action" or state in TERMINAL:
                stream.end()
                run.stream = None
        if self.on_state is not None:
            self.on_state(run, state, cause)

    def _refuse_if_locked(self, request: str, thread: ThreadRecord) -> None:
        """Raise what the table of rules says while a run locks the thread."""
        run = thread.active
        if run is None:
            return
        if run.ended:  # only its lock is left
            if self._now() >= thread.locked_until:
                thread.active = None
                return
        elif RULE[run.status, request].refusal is None:
            return
        if request == "messages.create":
            raise thread_errors.append_while_active(thread.id, run.id)
        raise thread_errors.run_while_active(thread.id, run.id)

    # Finding and storing

    def _thread(self, thread_id: str) -> ThreadRecord:
        thread = self.threads.get(thread_id)
        if thread is None:
            check_id("thread_id", thread_id, "thread")
            raise thread_errors.no_thread(thread_id)
        return thread

    def _run(self, thread_id: str, run_id: str) -> RunRecord:
        thread = self._thread(thread_id)
        run = self.runs.get(run_id)
        if run is None or run.thread is not thread:
            check_id("run_id", run_id, "run")
            raise thread_errors.no_run(run_id)
        return run

    def _message(self, thread_id: str, message_id: str) -> Object:
        # Newest first: that is what clients ask for, and threads are short.
        for message in reversed(self._thread(thread_id).messages):
            if message["id"] == message_id:
                return message
        check_id("message_id", message_id, "msg")
        raise thread_errors.no_message(message_id)


def _unfinished_reason(view: Object) -> str:
    details = view["incomplete_details"]
    if details is not None and details["reason"] == "content_filter":
        return "content_filter"
    return _UNFINISHED_REASONS[view["status"]]


def _checked_options(options: Mapping[str, Any]) -> Object:
    for name in options:
        if name not in RUN_OPTIONS:
            raise errors.unknown_parameter(name)
    return check_run_options(options)


def _apply_options(view: Object, options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if value is not None and name in _RUN_OPTIONS:
            view[name] = value
    extra = options.get("additional_instructions")
    if extra:
        view["instructions"] = f"{view['instructions']}\n{extra}".strip()
