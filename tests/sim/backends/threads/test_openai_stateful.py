"""Thousands of drawn requests: no impossible state, no accidental 500, and two servers of one seed answer the same bytes.

Each example holds two simulated APIs with the same seed and sends every request to both. What the first answers is compared
with the second to the byte, headers included, and with the table of rules: the model knows the state of every run from the
hook that the service calls, and nothing else.
"""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from relaysim.sim.backends.threads.operations import OPERATIONS
from relaysim.sim.backends.threads.records import RunRecord
from relaysim.sim.backends.threads.states import LOCKING, NO_RUN, RULE, TRANSITIONS, Status
from relaysim.sim.doors.simulation import ApiSettings, SimulatedApi
from relaysim.sim.kernel import EPOCH_SECONDS

HEADERS = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2", "Content-Type": "application/json"}
MOVES = {(row.source, row.target) for row in TRANSITIONS}
REFUSALS = {
    "append_while_active": "Can't add messages to {thread} while a run {run} is active.",
    "run_while_active": "Thread {thread} already has an active run {run}.",
    "cannot_cancel": "Cannot cancel run with status '{state}'.",
    "no_tool_outputs": 'Runs in status "{state}" do not accept tool outputs.',
}

texts = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
contents = st.text(min_size=1, max_size=20)


def api_of(seed: int) -> SimulatedApi:
    """A simulated API in which much happens: stuck runs, failures, tools, cancels that complete."""
    return SimulatedApi(
        ApiSettings.model_validate(
            {
                "profile": "typical",
                "seed": seed,
                "overrides": {
                    "stuck_probability": 0.1,
                    "failure_probability": 0.1,
                    "cancel_completes_probability": 0.3,
                },
                "replies": {
                    "kind": "script",
                    "replies": [
                        {"text": "Good morning."},
                        {"tool_calls": [{"name": "weather"}, {"name": "time"}]},
                        {"text": "It is {input}."},
                        {"incomplete": "Once upon"},
                        {"fail": {}},
                    ],
                    "then": "loop",
                },
                "threads_max": 6,
            }
        ),
        EPOCH_SECONDS,
    )


class Requests(RuleBasedStateMachine):
    """Clients that ask for anything, at any time."""

    sent = 0

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = api_of(11), api_of(11)
        self.threads: list[str] = []
        self.seen: dict[str, Status] = {}
        after = self.first.service.on_state
        assert after is not None

        def watch(run: RunRecord, state: Status, cause: str) -> None:
            assert (self.seen.get(run.id), state) in MOVES
            self.seen[run.id] = state
            after(run, state, cause)

        self.first.service.on_state = watch

    # Sending

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] = HEADERS) -> tuple[int, Any]:
        """Send to both; the answers are the same bytes. Returns status and parsed body."""
        Requests.sent += 1
        answers = [api.handle(method, path, headers, body) for api in (self.first, self.second)]
        assert answers[0] == answers[1]
        status, answered, content = answers[0]
        assert status < 500, content
        if answered["content-type"].startswith("text/event-stream"):
            return status, None
        assert answered["content-length"] == str(len(content))
        parsed = json.loads(content)
        if status != 200:
            assert set(parsed["error"]) == {"message", "type", "param", "code"}
            assert status in (400, 401, 404, 405, 415)
        return status, parsed

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """POST a JSON body."""
        return self.send("POST", f"/v1{path}", json.dumps(body).encode())

    @property
    def assistants(self) -> list[str]:
        """Those that are still kept."""
        return list(self.first.service.assistants._stored)

    def pick(self, data: st.DataObject) -> str:
        """One of the threads there have been."""
        return data.draw(st.sampled_from(self.threads))

    def newest_run(self, thread: str) -> RunRecord | None:
        """The thread's newest run, if it is still kept."""
        kept = self.first.service.threads.get(thread)
        return kept.runs[-1] if kept is not None and kept.runs else None

    def judge(self, name: str, thread: str, answer: tuple[int, Any], run_id: str, state: str) -> None:
        """Hold an answer against the table of rules."""
        status, body = answer
        expected = RULE[state, name]
        assert expected.answer != "impossible"
        if expected.refusal is None:
            assert status == 200, body
            if expected.target is not None and body is not None:
                assert body["status"] == expected.target
        else:
            said = REFUSALS[expected.refusal].format(thread=thread, run=run_id, state=state)
            assert (status, body["error"]["message"]) == (400, said)

    def state_of(self, thread: str) -> tuple[str, str]:
        """Id and state of the newest run."""
        run = self.newest_run(thread)
        return ("", NO_RUN) if run is None else (run.id, self.seen[run.id])

    # Valid requests

    @rule()
    def create_assistant(self) -> None:
        assert self.post("/assistants", {"model": "gpt-4o"})[0] == 200

    @rule(content=contents)
    def create_thread(self, content: str) -> None:
        status, thread = self.post("/threads", {"messages": [{"role": "user", "content": content}]})
        assert status == 200
        self.threads.append(thread["id"])

    @precondition(lambda self: self.threads)
    @rule(data=st.data(), content=contents)
    def append(self, data: st.DataObject, content: str) -> None:
        thread = self.pick(data)
        run_id, state = self.state_of(thread)
        known = thread in self.first.service.threads
        answer = self.post(f"/threads/{thread}/messages", {"role": "user", "content": content})
        if known:
            self.judge("messages.create", thread, answer, run_id, state)
        else:
            assert answer[0] == 404

    @precondition(lambda self: self.threads and self.assistants)
    @rule(data=st.data(), stream=st.booleans())
    def start(self, data: st.DataObject, stream: bool) -> None:
        thread = self.pick(data)
        run_id, state = self.state_of(thread)
        known = thread in self.first.service.threads
        body = {"assistant_id": data.draw(st.sampled_from(self.assistants)), "stream": stream}
        answer = self.post(f"/threads/{thread}/runs", body)
        if known:
            self.judge("runs.create", thread, answer, run_id, state)
        else:
            assert answer[0] == 404

    @precondition(lambda self: self.assistants)
    @rule(data=st.data(), content=contents)
    def create_and_run(self, data: st.DataObject, content: str) -> None:
        assistant = data.draw(st.sampled_from(self.assistants))
        messages = [{"role": "user", "content": content}]
        status, run = self.post("/threads/runs", {"assistant_id": assistant, "thread": {"messages": messages}})
        assert (status, run["status"]) == (200, "queued")
        self.threads.append(run["thread_id"])

    @precondition(lambda self: self.threads)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        thread = self.pick(data)
        run_id, state = self.state_of(thread)
        if state != NO_RUN:
            answer = self.post(f"/threads/{thread}/runs/{run_id}/cancel", {})
            self.judge("runs.cancel", thread, answer, run_id, state)

    @precondition(lambda self: self.threads)
    @rule(data=st.data(), output=texts)
    def submit(self, data: st.DataObject, output: str) -> None:
        thread = self.pick(data)
        run = self.newest_run(thread)
        if run is None:
            return
        state = self.seen[run.id]
        action = run.view["required_action"]
        calls = action["submit_tool_outputs"]["tool_calls"] if action else [{"id": "call_1"}]
        outputs = [{"tool_call_id": call["id"], "output": output} for call in calls]
        answer = self.post(f"/threads/{thread}/runs/{run.id}/submit_tool_outputs", {"tool_outputs": outputs})
        self.judge("runs.submit_tool_outputs", thread, answer, run.id, state)

    @precondition(lambda self: self.threads)
    @rule(data=st.data())
    def delete_thread(self, data: st.DataObject) -> None:
        thread = self.pick(data)
        known = thread in self.first.service.threads
        assert self.send("DELETE", f"/v1/threads/{thread}")[0] == (200 if known else 404)

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0, 20.0, 700.0]))
    def wait(self, seconds: float) -> None:
        for api in (self.first, self.second):
            api.kernel.advance_to(api.kernel.now + seconds)

    # Any request

    @rule(data=st.data())
    def anything_on_a_route(self, data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(OPERATIONS))
        ids = {
            "assistant_id": "asst_1",
            "thread_id": "thread_1",
            "run_id": "run_1",
            "message_id": "msg_1",
            "step_id": "step_1",
        }
        if self.threads and data.draw(st.booleans()):
            ids["thread_id"] = self.pick(data)
            ids["run_id"] = self.state_of(ids["thread_id"])[0] or "run_1"
        if self.assistants and data.draw(st.booleans()):
            ids["assistant_id"] = data.draw(st.sampled_from(self.assistants))
        path = operation.path.format(**ids)
        if operation.method == "POST":
            names = sorted(operation.params) or ["x"]
            fields = data.draw(st.dictionaries(st.sampled_from(names), json_values, max_size=4))
            self.send("POST", f"/v1{path}", json.dumps(fields).encode())
        else:
            query = data.draw(
                st.sampled_from(["", "?limit=3", "?limit=%00", "?order=asc&after=msg_1", "?order=%ff", "?x=1"])
            )
            self.send(operation.method, f"/v1{path}{query}")

    @rule(
        method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "get", ""]),
        path=st.text(alphabet="/v1threadsun?%2F._é\x00", max_size=30),
        body=st.binary(max_size=30),
        headers=st.sampled_from(
            [
                HEADERS,
                {},
                {"authorization": "Basic x"},
                {**HEADERS, "OpenAI-Beta": "assistants=v1"},
                {**HEADERS, "Content-Type": "text/plain"},
            ]
        ),
    )
    def nonsense(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        for prefix in ("", "/v1/threads"):
            self.send(method, prefix + path, body, headers)

    @rule(body=st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode()))
    def any_body(self, body: bytes) -> None:
        self.send("POST", "/v1/threads", body)

    # What holds at any time

    @invariant()
    def one_active_run_per_thread(self) -> None:
        for thread in self.first.service.threads.values():
            active = [run for run in thread.runs if run.status in LOCKING]
            assert len(active) <= 1
            assert thread.active is (active[0] if active else None)
            for message in thread.messages:
                if message["status"] == "in_progress":
                    assert active
                    assert message["run_id"] == active[0].id

    @invariant()
    def nothing_lives_longer_than_it_may(self) -> None:
        now = self.first.service.now()
        for run in self.first.service.runs.values():
            assert run.status not in LOCKING or now < run.created + 601


def draw_requests(examples: int) -> int:
    """Run the machine. Returns the number of requests."""
    before = Requests.sent
    run_state_machine_as_test(
        Requests,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        ),
    )
    return Requests.sent - before


def test_a_thousand_drawn_requests() -> None:
    assert draw_requests(40) >= 1_000


@pytest.mark.soak
def test_ten_thousand_drawn_requests() -> None:
    assert draw_requests(400) >= 10_000
