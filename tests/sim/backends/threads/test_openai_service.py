"""The state machine against the table: locks, cancel, expiry, lists, and no impossible move, ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule
from openai.types.beta import Thread
from openai.types.beta.threads import Message, Run

from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.state_table import ImpossibleTransitionError
from relaysim.sim.backends.threads.records import RunRecord
from relaysim.sim.backends.threads.service import ThreadsService
from relaysim.sim.backends.threads.states import (
    LOCKING,
    RULE,
    STATES,
    TERMINAL,
    TRANSITIONS,
    Status,
)
from relaysim.sim.kernel import Draws, kind_of

ASSISTANT = "asst_" + "a" * 24
START = 1_762_257_600


class Recorder:
    """Stands in for the trace."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def add(self, entity: str, event: Any) -> None:
        self.events.append((entity, kind_of(type(event)), *event))


class Setup:
    """A service with a clock of its own and one thread."""

    def __init__(self, **options: Any) -> None:
        self.seconds = float(START)
        self.trace = Recorder()
        self.service = ThreadsService(Draws(1, 2), lambda: self.seconds, self.trace, **options)
        self.thread: str = self.service.create_thread()["id"]

    def run_in(self, state: Status) -> str:
        """A new run, brought into a state on the shortest way."""
        run_id: str = self.service.create_run(self.thread, assistant_id=ASSISTANT)["id"]
        for step in PATHS[state]:
            if step == "cancelling":
                self.service.cancel_run(self.thread, run_id)
            else:
                self.service.advance(run_id, step)
        return run_id


def _paths() -> dict[Status, list[Status]]:
    """Per state, the shortest way there from queued, by the table."""
    found: dict[Status, list[Status]] = {"queued": []}
    for _ in STATES:
        for row in TRANSITIONS:
            if row.source in found and row.target not in found:
                found[row.target] = [*found[row.source], row.target]
    return found


PATHS = _paths()
ALL_STATES = [state.name for state in STATES]


def refused(call: Callable[[], object]) -> ApiError:
    """The error that a call is refused with."""
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("state", ALL_STATES)
def test_append_is_refused_exactly_in_the_locking_states(state: Status) -> None:
    setup = Setup()
    run_id = setup.run_in(state)
    before = len(setup.service.threads[setup.thread].messages)

    def append() -> object:
        return setup.service.create_message(setup.thread, role="user", content="x")

    if state in LOCKING:
        error = refused(append)
        assert (error.status, error.code) == (400, None)
        assert error.message == f"Can't add messages to {setup.thread} while a run {run_id} is active."
        assert len(setup.service.threads[setup.thread].messages) == before
    else:
        append()
        assert len(setup.service.threads[setup.thread].messages) == before + 1


@pytest.mark.parametrize("state", ALL_STATES)
def test_a_second_run_is_refused_exactly_in_the_locking_states(state: Status) -> None:
    setup = Setup()
    run_id = setup.run_in(state)
    before = len(setup.service.threads[setup.thread].messages)

    def create() -> object:
        return setup.service.create_run(
            setup.thread, assistant_id=ASSISTANT, additional_messages=[{"role": "user", "content": "more"}]
        )

    if state in LOCKING:
        error = refused(create)
        assert (error.status, error.message) == (400, f"Thread {setup.thread} already has an active run {run_id}.")
        assert len(setup.service.threads[setup.thread].messages) == before  # nothing of it was stored
        assert len(setup.service.threads[setup.thread].runs) == 1
    else:
        create()
        assert len(setup.service.threads[setup.thread].messages) == before + 1


@pytest.mark.parametrize("state", ALL_STATES)
def test_cancel_in_every_state(state: Status) -> None:
    setup = Setup()
    run_id = setup.run_in(state)
    if RULE[state, "runs.cancel"].answer == "accepted":
        run = setup.service.cancel_run(setup.thread, run_id)
        assert (run["status"], run["cancelled_at"]) == ("cancelling", None)
        assert run["expires_at"] == START + 600
    else:
        error = refused(lambda: setup.service.cancel_run(setup.thread, run_id))
        assert (error.status, error.message) == (400, f"Cannot cancel run with status '{state}'.")
        assert setup.service.retrieve_run(setup.thread, run_id)["status"] == state


def test_only_the_metadata_that_was_asked_for_is_traced() -> None:
    setup = Setup()

    def shown() -> list[Any]:
        run = setup.service.create_run(
            setup.thread, assistant_id=ASSISTANT, metadata={"b": "2", "a": "1", "token": "x"}
        )
        for state in ("in_progress", "failed"):
            setup.service.advance(run["id"], state)  # type: ignore[arg-type]
        return [fields for _, kind, *fields in setup.trace.events if kind == "run.metadata" and fields[0] == run["id"]]

    assert shown() == []
    setup.service.traced_metadata = frozenset({"a", "b", "c"})
    ((_, thread, pairs),) = shown()
    assert (thread, pairs) == (setup.thread, ("a=1", "b=2"))
    setup.service.traced_metadata = frozenset({"c"})
    assert shown() == []


@pytest.mark.parametrize("state", ALL_STATES)
def test_tool_outputs_in_every_state(state: Status) -> None:
    setup = Setup()
    run_id = setup.run_in(state)
    action = setup.service.retrieve_run(setup.thread, run_id)["required_action"]
    call_id = action["submit_tool_outputs"]["tool_calls"][0]["id"] if action else "call_0"
    outputs = [{"tool_call_id": call_id, "output": "1"}]
    if state == "requires_action":
        run = setup.service.submit_tool_outputs(setup.thread, run_id, tool_outputs=outputs)
        assert (run["status"], run["required_action"]) == ("queued", None)
    else:
        error = refused(lambda: setup.service.submit_tool_outputs(setup.thread, run_id, tool_outputs=outputs))
        assert error.message == f'Runs in status "{state}" do not accept tool outputs.'


def test_incomplete_tool_outputs() -> None:
    setup = Setup()
    run_id = setup.run_in("in_progress")
    setup.service.advance(run_id, "requires_action", tool_calls=[{"id": "call_a"}, {"id": "call_b"}])
    error = refused(
        lambda: setup.service.submit_tool_outputs(setup.thread, run_id, tool_outputs=[{"tool_call_id": "call_a"}])
    )
    assert error.message == "Expected tool outputs for call_ids ['call_a', 'call_b'], got ['call_a']"


@pytest.mark.parametrize("source", ALL_STATES)
@pytest.mark.parametrize("target", ALL_STATES)
def test_advance_makes_the_moves_of_the_table_only(source: Status, target: Status) -> None:
    setup = Setup()
    run_id = setup.run_in(source)
    if (source, target) in {(row.source, row.target) for row in TRANSITIONS}:
        assert setup.service.advance(run_id, target)["status"] == target
    else:
        with pytest.raises(ImpossibleTransitionError):
            setup.service.advance(run_id, target)
        assert setup.service.runs[run_id].status == source


@pytest.mark.parametrize("state", ALL_STATES)
def test_times_in_every_state(state: Status) -> None:
    setup = Setup()
    setup.seconds += 0.75
    run_id = setup.run_in(state)
    run = setup.service.retrieve_run(setup.thread, run_id)
    assert run["created_at"] == START
    assert run["expires_at"] == (None if state in TERMINAL else START + 600)
    for stamp, stamped in (("cancelled_at", "cancelled"), ("completed_at", "completed"), ("failed_at", "failed")):
        assert (run[stamp] is not None) == (state == stamped)
    assert (run["usage"] is not None) == (state in TERMINAL)


def test_every_object_has_exactly_the_sdks_fields() -> None:
    setup = Setup()
    setup.service.create_message(setup.thread, role="user", content="x")
    run_id = setup.run_in("completed")
    thread = setup.service.retrieve_thread(setup.thread)
    run = setup.service.retrieve_run(setup.thread, run_id)
    messages = setup.service.list_messages(setup.thread)["data"]
    for model, item in ((Thread, thread), (Run, run), (Message, messages[0]), (Message, messages[1])):
        assert set(item) == set(model.model_fields)
        model.model_validate(item)  # types too


def test_a_completed_run_replies_to_the_newest_user_message() -> None:
    setup = Setup()
    for text in ("one", "two"):
        setup.service.create_message(setup.thread, role="user", content=text)
        run_id = setup.run_in("completed")
    newest, *_ = setup.service.list_messages(setup.thread, run_id=run_id)["data"]
    assert newest["content"][0]["text"]["value"] == "Reply 2 to: two"
    assert (newest["role"], newest["run_id"], newest["assistant_id"]) == ("assistant", run_id, ASSISTANT)
    assert (newest["status"], newest["completed_at"], newest["incomplete_details"]) == ("completed", START, None)


def test_a_cancelled_run_leaves_the_users_message_and_a_begun_reply() -> None:
    setup = Setup()
    setup.service.create_message(setup.thread, role="user", content="hello")
    run_id = setup.run_in("in_progress")
    setup.service.write(run_id, "I beg")
    setup.service.advance(run_id, "cancelling")
    setup.service.advance(run_id, "cancelled")
    reply, message = setup.service.list_messages(setup.thread)["data"]
    assert (message["role"], message["status"]) == ("user", "completed")
    assert (reply["status"], reply["incomplete_details"]) == ("incomplete", {"reason": "run_cancelled"})


def test_additional_messages_come_before_the_run() -> None:
    setup = Setup()
    run = setup.service.create_run(
        setup.thread,
        assistant_id=ASSISTANT,
        additional_messages=[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
        metadata={"epoch": "7"},
        cause="w1#1",
    )
    assert run["metadata"] == {"epoch": "7"}
    stored = [event for event in setup.trace.events if event[1] in ("message.stored", "run.state")]
    assert [(kind, fields[-1]) for _, kind, *fields in stored] == [
        ("message.stored", "a"),
        ("message.stored", "b"),
        ("run.state", "w1#1"),
    ]


def test_trace_events() -> None:
    setup = Setup()
    message = setup.service.create_message(setup.thread, role="user", content="hi", cause="w1#1")
    run_id = setup.service.create_run(setup.thread, assistant_id=ASSISTANT, cause="w1#2")["id"]
    setup.service.advance(run_id, "in_progress")
    setup.service.advance(run_id, "completed")
    reply = setup.service.list_messages(setup.thread, limit=1)["data"][0]
    assert setup.trace.events == [
        ("api", "message.stored", setup.thread, message["id"], "user", "w1#1", "hi"),
        ("api", "run.state", run_id, setup.thread, "queued", "w1#2"),
        ("api", "run.state", run_id, setup.thread, "in_progress", "time"),
        ("api", "message.stored", setup.thread, reply["id"], "assistant", run_id, "Reply 1 to: hi"),
        ("api", "run.state", run_id, setup.thread, "completed", "time"),
    ]


def test_ids_are_a_function_of_the_seed() -> None:
    def ids() -> list[str]:
        setup = Setup()
        message = setup.service.create_message(setup.thread, role="user", content="x")
        return [setup.thread, message["id"], setup.run_in("queued")]

    assert ids() == ids()
    assert [len(value.partition("_")[2]) for value in ids()] == [24, 24, 24]
    other = ThreadsService(Draws(1, 3), lambda: 0.0)
    assert other.create_thread()["id"] != ids()[0]
    # A world's own threads keep their ids whatever else is created before.
    named = other.create_thread(key="customer 1")["id"]
    fresh = ThreadsService(Draws(1, 3), lambda: 0.0)
    assert fresh.create_thread(key="customer 1")["id"] == named


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.retrieve_thread("undefined"), "Invalid 'thread_id': 'undefined'. Expected an ID that begins with"),
        (lambda s: s.retrieve_thread("thread_X"), "No thread found with id 'thread_X'."),
        (lambda s: s.list_runs("thread_X"), "No thread found with id 'thread_X'."),
        (lambda s: s.create_message("thread_X", role="user", content="x"), "No thread found with id 'thread_X'."),
    ],
)
def test_unknown_threads(call: Callable[[ThreadsService], object], message: str) -> None:
    error = refused(lambda: call(Setup().service))
    assert error.message.startswith(message)


def test_unknown_runs_messages_and_assistants() -> None:
    setup = Setup(assistants=[ASSISTANT])
    service, thread = setup.service, setup.thread
    other = service.create_thread()["id"]
    run_id = setup.run_in("queued")
    assert refused(lambda: service.retrieve_run(other, run_id)).message == f"No run found with id '{run_id}'."
    assert refused(lambda: service.cancel_run(thread, "run_X")).message == "No run found with id 'run_X'."
    assert "begins with 'run'" in refused(lambda: service.retrieve_run(thread, "null")).message
    assert refused(lambda: service.retrieve_message(thread, "msg_X")).status == 404
    assert "begins with 'msg'" in refused(lambda: service.retrieve_message(thread, "x")).message
    assert refused(lambda: service.create_run(other, assistant_id="asst_X")).message == (
        "No assistant found with id 'asst_X'."
    )
    assert refused(lambda: service.create_run(other, assistant_id="bot")).param == "assistant_id"
    assert refused(lambda: service.create_run(other)).code == "missing_required_parameter"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"content": "x"}, "missing_required_parameter"),
        ({"role": "user"}, "missing_required_parameter"),
        ({"role": "system", "content": "x"}, "invalid_value"),
        ({"role": "user", "content": ""}, None),
        ({"role": "user", "content": 5}, "invalid_type"),
        ({"role": "user", "content": [{"type": "text"}]}, "missing_required_parameter"),
        ({"role": "user", "content": [{"type": "text", "text": 1}]}, "invalid_type"),
        ({"role": "user", "content": "x", "metadata": {str(i): "" for i in range(17)}}, "object_above_max_properties"),
        ({"role": "user", "content": "x", "metadata": {"k": "v" * 513}}, "string_above_max_length"),
        ({"role": "user", "content": "x", "metadata": {"k": 1}}, "invalid_type"),
        ({"role": "user", "content": "x" * 256_001}, "string_above_max_length"),
    ],
)
def test_bad_messages_are_refused_and_not_stored(params: dict[str, Any], code: str | None) -> None:
    setup = Setup()
    error = refused(lambda: setup.service.create_message(setup.thread, **params))
    assert (error.status, error.code) == (400, code)
    assert not setup.service.threads[setup.thread].messages


def test_lists() -> None:
    setup = Setup()
    ids = [setup.service.create_message(setup.thread, role="user", content=str(number))["id"] for number in range(25)]

    def listed(**params: Any) -> tuple[list[str], bool]:
        page = setup.service.list_messages(setup.thread, **params)
        found = [message["id"] for message in page["data"]]
        assert (page["first_id"], page["last_id"]) == ((found[0], found[-1]) if found else (None, None))
        return found, page["has_more"]

    newest = ids[::-1]
    assert listed() == (newest[:20], True)
    assert listed(limit=100) == (newest, False)
    assert listed(limit=25) == (newest, False)
    assert listed(limit=3, order="asc") == (ids[:3], True)
    assert listed(limit=2, after=newest[1]) == (newest[2:4], True)
    assert listed(after=newest[-1]) == ([], False)
    assert listed(limit=2, before=newest[5]) == (newest[3:5], True)
    assert listed(limit=2, order="asc", after=ids[0]) == (ids[1:3], True)
    assert refused(lambda: listed(limit=0)).code == "integer_below_min_value"
    assert refused(lambda: listed(limit=101)).code == "integer_above_max_value"
    assert refused(lambda: listed(order="up")).param == "order"
    assert refused(lambda: listed(after="msg_X")).status == 404


def test_answers_are_snapshots() -> None:
    setup = Setup()
    run = setup.service.create_run(setup.thread, assistant_id=ASSISTANT)
    setup.service.advance(run["id"], "in_progress")
    assert run["status"] == "queued"


def test_updates_and_deletes() -> None:
    setup = Setup()
    service, thread = setup.service, setup.thread
    message = service.create_message(thread, role="user", content="x", metadata={"a": "1"})
    run_id = setup.run_in("queued")
    assert service.update_thread(thread, metadata={"b": "2"})["metadata"] == {"b": "2"}
    assert service.update_message(thread, message["id"], metadata={"c": "3"})["metadata"] == {"c": "3"}
    assert service.update_run(thread, run_id, metadata={"d": "4"})["metadata"] == {"d": "4"}
    assert service.delete_message(thread, message["id"])["deleted"] is True
    assert service.delete_thread(thread) == {"id": thread, "object": "thread.deleted", "deleted": True}
    assert refused(lambda: service.retrieve_run(thread, run_id)).status == 404


class ServiceMachine(RuleBasedStateMachine):
    """Arbitrary calls, kept next to a model that knows only the table."""

    threads: Bundle[str] = Bundle("threads")
    run_ids: Bundle[tuple[str, str]] = Bundle("run_ids")

    def __init__(self) -> None:
        super().__init__()
        self.clock = float(START)
        self.moves: list[tuple[str | None, str]] = []
        self.status: dict[str, str] = {}
        self.appended: dict[str, int] = {}

        def on_state(run: RunRecord, state: Status, cause: str) -> None:
            self.moves.append((self.status.get(run.id), state))
            self.status[run.id] = state

        self.service = ThreadsService(Draws(5, 5), lambda: self.clock, on_state=on_state)

    @rule(target=threads)
    def create_thread(self) -> str:
        thread: str = self.service.create_thread()["id"]
        self.appended[thread] = 0
        return thread

    @rule(thread=threads, text=st.text(min_size=1, max_size=5))
    def append(self, thread: str, text: str) -> None:
        locked = self.locking(thread)
        try:
            self.service.create_message(thread, role="user", content=text)
        except ApiError:
            assert locked
        else:
            assert not locked
            self.appended[thread] += 1

    @rule(target=run_ids, thread=threads)
    def create_run(self, thread: str) -> Any:
        locked = self.locking(thread)
        try:
            run_id = self.service.create_run(thread, assistant_id=ASSISTANT)["id"]
        except ApiError:
            assert locked
            return multiple()
        assert not locked
        return thread, run_id

    @rule(run=run_ids)
    def cancel(self, run: tuple[str, str]) -> None:
        before = self.status[run[1]]
        try:
            self.service.cancel_run(*run)
        except ApiError:
            assert RULE[before, "runs.cancel"].answer == "refused"
        else:
            assert RULE[before, "runs.cancel"].answer == "accepted"

    @rule(run=run_ids, state=st.sampled_from(ALL_STATES))
    def advance(self, run: tuple[str, str], state: Status) -> None:
        thread, run_id = run
        before = self.status[run_id]
        try:
            self.service.advance(run_id, state)
        except ImpossibleTransitionError:
            assert (before, state) not in {(row.source, row.target) for row in TRANSITIONS}
            assert self.status[run_id] == before
        else:
            if state == "completed":
                self.appended[thread] += 1

    @rule(run=run_ids)
    def answer_tools(self, run: tuple[str, str]) -> None:
        before = self.status[run[1]]
        action = self.service.runs[run[1]].view["required_action"]
        calls = action["submit_tool_outputs"]["tool_calls"] if action else [{"id": "call_1"}]
        outputs = [{"tool_call_id": call["id"], "output": ""} for call in calls]
        try:
            self.service.submit_tool_outputs(*run, tool_outputs=outputs)
        except ApiError:
            assert before != "requires_action"
        else:
            assert before == "requires_action"

    @precondition(lambda self: self.appended)
    @rule(run=consumes(run_ids))
    def forget(self, run: tuple[str, str]) -> None:
        """Concentrate on other runs from now on."""

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.clock += seconds

    def locking(self, thread: str) -> list[str]:
        return [run.id for run in self.service.threads[thread].runs if self.status[run.id] in LOCKING]

    @invariant()
    def at_most_one_run_locks_a_thread(self) -> None:
        for thread, record in self.service.threads.items():
            locking = self.locking(thread)
            assert len(locking) <= 1
            assert ([record.active.id] if record.active else []) == locking

    @invariant()
    def only_moves_of_the_table(self) -> None:
        table = {(row.source, row.target) for row in TRANSITIONS}
        assert not [move for move in self.moves if move not in table]
        self.moves.clear()

    @invariant()
    def nothing_stored_is_lost(self) -> None:
        for thread, count in self.appended.items():
            assert len(self.service.threads[thread].messages) == count


TestServiceMachine = ServiceMachine.TestCase
TestServiceMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
