"""Goal: whatever reaches a run's model, or a thread, in another way than as a message is in the trace.

Method: calls, executed by a service with a recorder for a trace.
"""

from __future__ import annotations

from typing import Any

from relaysim.sim.backends.calls import Call
from relaysim.sim.backends.threads.operations import execute
from relaysim.sim.backends.threads.service import ThreadsService
from relaysim.sim.kernel import Draws

FUNCTION = {"type": "function", "function": {"name": "look_up", "description": "Finds an order."}}


class Recorder:
    """Stands in for the trace."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def add(self, entity: str, event: Any) -> None:
        self.events.append(event)

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if type(event).__name__ == kind]


class Setup:
    def __init__(self) -> None:
        self.trace = Recorder()
        self.service = ThreadsService(Draws(1, 2), lambda: 1_762_257_600.0, self.trace)
        self.thread = self.do("threads.create")["id"]

    def do(self, operation: str, *ids: str, cause: str = "w1#1", assistant: str | None = None, **params: Any) -> Any:
        answer = execute(self.service, Call(operation, *ids, params=params, assistant_id=assistant), cause)
        assert answer.status == 200, answer.error
        return answer.payload


def test_a_run_reads_its_assistants_instructions_as_they_are_then_and_its_own_and_its_tools() -> None:
    setup = Setup()
    assistant = setup.do("assistants.create", model="gpt-4o", instructions="Be brief.")["id"]
    setup.do("assistants.update", assistant=assistant, instructions="Be kind.")
    options = {"assistant_id": assistant, "additional_instructions": "It rains.", "tools": [FUNCTION]}
    run = setup.do("runs.create", setup.thread, **options, cause="w1#7")["id"]
    instructions, tools = setup.trace.of("RunReads")
    assert instructions == (run, setup.thread, "instructions", "w1#7", "Be kind.\nIt rains.")
    assert (tools.source, "Finds an order." in tools.text) == ("tools", True)

    setup.service.advance(run, "in_progress")
    setup.service.advance(run, "requires_action", tool_calls=[{"id": "call_1"}])
    outputs = [{"tool_call_id": "call_1", "output": "It is blue."}]
    setup.do("runs.submit_tool_outputs", setup.thread, run, tool_outputs=outputs, cause="w1#8")
    assert setup.trace.of("RunReads")[-1] == (run, setup.thread, "tool_outputs", "w1#8", "It is blue.")


def test_a_run_that_reads_its_thread_alone_leaves_no_record_of_it() -> None:
    setup = Setup()
    setup.do("runs.create", setup.thread, assistant_id="asst_x", metadata={"epoch": "7", "ids": "a,b"})
    assert [type(event).__name__ for event in setup.trace.events] == ["RunState"]


def test_text_in_metadata_is_noted_wherever_it_is_given() -> None:
    setup = Setup()
    noted = {"id": "17", "order": "4711223", "note": "He said so."}
    message = {"role": "user", "content": "x", "metadata": noted}
    made = setup.do("threads.create", metadata=noted, messages=[message])["id"]
    run = setup.do(
        "threads.create_and_run",
        assistant_id="asst_x",
        metadata=noted,
        thread={"metadata": noted, "messages": [message]},
    )
    stored = setup.do("messages.create", setup.thread, **message)["id"]
    setup.do("messages.update", setup.thread, None, stored, metadata=noted)
    setup.do("threads.update", setup.thread, metadata=noted)
    setup.do("runs.update", run["thread_id"], run["id"], metadata=noted)
    setup.do("runs.create", setup.thread, assistant_id="asst_x", additional_messages=[message], metadata=None)
    events = setup.trace.of("MetadataNoted")
    assert [each.thread_id for each in events] == [
        *(made, run["thread_id"], *[setup.thread] * 3, run["thread_id"], setup.thread)
    ]
    assert [each.text.count("He said so.") for each in events] == [2, 3, 1, 1, 1, 1, 1]
    assert events[2].text == "4711223\nHe said so."


def test_what_is_deleted_and_how_much_a_run_reads_is_in_the_trace() -> None:
    setup = Setup()
    stored = setup.do("messages.create", setup.thread, role="user", content="x")["id"]
    window = {"type": "last_messages", "last_messages": 3}
    run = setup.do("runs.create", setup.thread, assistant_id="asst_x", truncation_strategy=window)["id"]
    setup.do("messages.delete", setup.thread, None, stored, cause="w1#2")
    setup.do("threads.delete", setup.thread, cause="w1#3")
    assert setup.trace.events[-3:] == [
        (run, setup.thread, 3),
        (setup.thread, stored, "w1#2"),
        (setup.thread, "w1#3"),
    ]
