"""One suite, two doors: every case holds in process in virtual time and over a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from doors import DOORS, HEADERS, Door, Response, error, in_process, over_a_socket

from relaysim.sim.backends.threads.states import NO_RUN, RULE, STATES

RunConversation = Callable[..., Any]

TOOLS = {
    "kind": "script",
    "replies": [{"tool_calls": [{"name": "weather", "arguments": {"city": "Lisbon"}}]}, {"text": "Fine."}],
}
FAILS = {"kind": "script", "replies": [{"fail": {"code": "server_error", "message": "Sorry, something went wrong."}}]}
CUT = {"kind": "script", "replies": [{"incomplete": "Once upon a"}]}
UNKNOWN = "X" * 24


@pytest.fixture(params=sorted(DOORS))
def converse(request: pytest.FixtureRequest) -> RunConversation:
    """Holds a conversation through one of the doors."""
    return DOORS[request.param]


class Talk:
    """A thread, its assistant and its newest run, by raw requests."""

    def __init__(self, door: Door, assistant: str, thread: str) -> None:
        self.door = door
        self.assistant = assistant
        self.thread = thread
        self.run = ""

    @classmethod
    async def begin(cls, door: Door) -> Talk:
        """Create an assistant and a thread."""
        assistant = await door.send("POST", "/assistants", {"model": "gpt-4o"})
        thread = await door.send("POST", "/threads", {})
        return cls(door, assistant.json["id"], thread.json["id"])

    async def post(self, path: str, body: Any = None) -> Response:
        """POST below the thread."""
        return await self.door.send("POST", f"/threads/{self.thread}{path}", body)

    async def append(self, text: str = "hello") -> Response:
        """Append a user message."""
        return await self.post("/messages", {"role": "user", "content": text})

    async def start(self, **options: Any) -> Response:
        """Start a run."""
        answer = await self.post("/runs", {"assistant_id": self.assistant, **options})
        if answer.status == 200:
            self.run = answer.json["id"]
        return answer

    async def cancel(self) -> Response:
        """Ask for the run's cancel."""
        return await self.post(f"/runs/{self.run}/cancel")

    async def status(self) -> str:
        """The run's state."""
        answer = await self.door.send("GET", f"/threads/{self.thread}/runs/{self.run}")
        state: str = answer.json["status"]
        return state

    async def bring_to(self, state: str) -> None:
        """A new run in this state, by requests and time alone."""
        if state == NO_RUN:
            return
        await self.append()
        await self.start()
        if state in ("cancelling", "cancelled"):
            await self.door.sleep(2)
            await self.cancel()
        await self.door.sleep({"queued": 0.5, "cancelling": 1, "in_progress": 5, "expired": 600}.get(state, 15))
        assert await self.status() == state


REPLIES = {"requires_action": TOOLS, "failed": FAILS, "incomplete": CUT, "expired": TOOLS}


# The table of rules


def refusal(name: str, state: str, talk: Talk) -> str:
    """What a refusal says."""
    return {
        "append_while_active": f"Can't add messages to {talk.thread} while a run {talk.run} is active.",
        "run_while_active": f"Thread {talk.thread} already has an active run {talk.run}.",
        "cannot_cancel": f"Cannot cancel run with status '{state}'.",
        "no_tool_outputs": f'Runs in status "{state}" do not accept tool outputs.',
    }[name]


async def request(talk: Talk, name: str) -> Response:
    """Make a valid request of that name about the thread, its newest run, or beside them."""
    door, thread = talk.door, f"/threads/{talk.thread}"
    run = f"{thread}/runs/{talk.run}"
    match name:
        case "assistants.create":
            return await door.send("POST", "/assistants", {"model": "gpt-4o"})
        case "assistants.list":
            return await door.send("GET", "/assistants")
        case "assistants.retrieve":
            return await door.send("GET", f"/assistants/{talk.assistant}")
        case "assistants.update":
            return await door.send("POST", f"/assistants/{talk.assistant}", {"name": "Ana"})
        case "assistants.delete":
            return await door.send("DELETE", f"/assistants/{talk.assistant}")
        case "threads.create":
            return await door.send("POST", "/threads", {})
        case "threads.create_and_run":
            return await door.send("POST", "/threads/runs", {"assistant_id": talk.assistant})
        case "threads.retrieve":
            return await door.send("GET", thread)
        case "threads.update":
            return await door.send("POST", thread, {"metadata": {"a": "b"}})
        case "threads.delete":
            return await door.send("DELETE", thread)
        case "messages.create":
            return await talk.append()
        case "messages.list":
            return await door.send("GET", f"{thread}/messages")
        case "messages.retrieve" | "messages.update" | "messages.delete":
            page = await door.send("GET", f"{thread}/messages?order=asc&limit=1")
            message = f"{thread}/messages/{page.json['first_id']}"
            if name == "messages.update":
                return await door.send("POST", message, {"metadata": {"a": "b"}})
            return await door.send("GET" if name == "messages.retrieve" else "DELETE", message)
        case "runs.create":
            return await talk.post("/runs", {"assistant_id": talk.assistant})
        case "runs.list":
            return await door.send("GET", f"{thread}/runs")
        case "runs.retrieve":
            return await door.send("GET", run)
        case "runs.update":
            return await door.send("POST", run, {"metadata": {"a": "b"}})
        case "runs.cancel":
            return await talk.cancel()
        case "runs.submit_tool_outputs":
            action = (await door.send("GET", run)).json["required_action"]
            calls = action["submit_tool_outputs"]["tool_calls"] if action else [{"id": "call_1"}]
            outputs = [{"tool_call_id": call["id"], "output": "x"} for call in calls]
            return await talk.post(f"/runs/{talk.run}/submit_tool_outputs", {"tool_outputs": outputs})
        case "runs.steps.list":
            return await door.send("GET", f"{run}/steps")
        case "runs.steps.retrieve":
            page = await door.send("GET", f"{run}/steps")
            step = page.json["first_id"]
            if step is None:  # a run has steps once it writes or calls a tool
                return page
            return await door.send("GET", f"{run}/steps/{step}")
    raise AssertionError(f"no such request: {name}")


@pytest.mark.parametrize("state", [NO_RUN, *(state.name for state in STATES)])
def test_every_request_in_every_state_is_answered_as_the_table_says(converse: RunConversation, state: str) -> None:
    async def conversation(door: Door) -> None:
        for (rule_state, name), rule in RULE.items():
            if rule_state != state or rule.answer == "impossible":
                continue
            talk = await Talk.begin(door)
            if state == NO_RUN:
                await talk.append()
            await talk.bring_to(state)
            answer = await request(talk, name)
            if rule.refusal is not None:
                said = refusal(rule.refusal, state, talk)
                assert error(answer) == (400, said, "invalid_request_error", None, None), name
                assert await talk.status() == state
            else:
                assert answer.status == 200, (name, answer.content)
                if rule.target is not None:
                    assert answer.json["status"] == rule.target

    converse(conversation, replies=REPLIES.get(state, {"kind": "echo"}))


# Errors


def test_refusals_of_ids_and_headers(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.start()
        bad = "invalid_request_error"
        unknown = {
            f"/threads/thread_{UNKNOWN}": f"No thread found with id 'thread_{UNKNOWN}'.",
            f"/threads/{talk.thread}/runs/run_{UNKNOWN}": f"No run found with id 'run_{UNKNOWN}'.",
            f"/threads/{talk.thread}/messages/msg_{UNKNOWN}": f"No message found with id 'msg_{UNKNOWN}'.",
            f"/assistants/asst_{UNKNOWN}": f"No assistant found with id 'asst_{UNKNOWN}'.",
        }
        for path, said in unknown.items():
            assert error(await door.send("GET", path)) == (404, said, bad, None, None)
        answer = await talk.post("/runs", {"assistant_id": f"asst_{UNKNOWN}"})
        assert error(answer) == (404, f"No assistant found with id 'asst_{UNKNOWN}'.", bad, None, None)

        said = "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'."
        assert error(await door.send("GET", "/threads/undefined")) == (400, said, bad, "thread_id", "invalid_value")

        said = (
            "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the "
            "header 'OpenAI-Beta: assistants=v2'."
        )
        without = {"authorization": HEADERS["authorization"]}
        assert error(await door.send("POST", "/threads", {}, headers=without)) == (400, said, bad, None, "invalid_beta")

        wrong = {**HEADERS, "authorization": "Bearer sk-wrong"}
        status, message, *rest = error(await door.send("POST", "/threads", {}, headers=wrong))
        assert (status, rest) == (401, [bad, None, "invalid_api_key"])
        assert message.startswith("Incorrect API key provided: sk-wrong")

        assert error(await door.send("GET", "/nothing"))[:2] == (404, "Invalid URL (GET /v1/nothing)")
        assert error(await door.send("PATCH", "/threads"))[0] == 405
        assert error(await door.send("POST", "/threads", b"{"))[0] == 400

    converse(conversation)


def test_headers_of_every_answer(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.start()
        answers = [await talk.append(), await door.send("GET", f"/threads/{talk.thread}/runs/{talk.run}")]
        for answer in answers:
            assert answer.headers["openai-version"] == "2020-10-01"
            assert answer.headers["openai-processing-ms"].isdecimal()
            assert answer.headers["x-request-id"].startswith("req_")
            assert len(answer.headers["x-request-id"]) == 36
            assert answer.headers["content-length"] == str(len(answer.content))
        assert [answer.headers.get("openai-poll-after-ms") for answer in answers] == [None, "250"]

    converse(conversation, poll_after_ms=250)


def test_incomplete_tool_outputs(converse: RunConversation) -> None:
    calls = [{"name": "weather", "id": "call_a"}, {"name": "time", "id": "call_b"}]

    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.start()
        await door.sleep(12)
        outputs = [{"tool_call_id": "call_a", "output": "x"}]
        answer = await talk.post(f"/runs/{talk.run}/submit_tool_outputs", {"tool_outputs": outputs})
        said = "Expected tool outputs for call_ids ['call_a', 'call_b'], got ['call_a']"
        assert error(answer) == (400, said, "invalid_request_error", None, None)

    converse(conversation, replies={"kind": "script", "replies": [{"tool_calls": calls}]})


# Runs in time


def test_a_run_expires_600_seconds_after_its_creation_and_frees_the_thread(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        run = (await talk.start()).json
        assert run["expires_at"] == run["created_at"] + 600
        await door.sleep(599)
        assert await talk.status() == "in_progress"
        assert (await talk.append()).status == 400
        await door.sleep(1)
        ended = (await door.send("GET", f"/threads/{talk.thread}/runs/{talk.run}")).json
        assert (ended["status"], ended["expires_at"]) == ("expired", None)
        assert (await talk.append()).status == 200

    converse(conversation, overrides={"stuck_probability": 1.0})


def test_a_cancel_is_asynchronous_and_leaves_the_question(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        await talk.append("the question")
        await talk.start()
        await door.sleep(2)
        cancelling = (await talk.cancel()).json
        assert (cancelling["status"], cancelling["cancelled_at"]) == ("cancelling", None)
        assert (await talk.append()).status == 400
        await door.sleep(3)
        assert await talk.status() == "cancelled"
        page = (await door.send("GET", f"/threads/{talk.thread}/messages")).json
        assert [message["content"][0]["text"]["value"] for message in page["data"]] == ["the question"]

    converse(conversation)


def test_additional_messages_come_before_the_run(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        more = [{"role": "user", "content": "first"}, {"role": "user", "content": "second"}]
        run = (await talk.start(additional_messages=more, metadata={"epoch": "7"})).json
        assert run["metadata"] == {"epoch": "7"}
        refused = await talk.post("/runs", {"assistant_id": talk.assistant, "additional_messages": more})
        assert refused.status == 400
        await door.sleep(11)
        page = (await door.send("GET", f"/threads/{talk.thread}/messages?order=asc")).json
        texts = [message["content"][0]["text"]["value"] for message in page["data"]]
        assert texts == ["first", "second", "Reply 1 to: second"]

    converse(conversation)


def test_pages(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        ids = [(await talk.append(str(number))).json["id"] for number in range(25)]
        path = f"/threads/{talk.thread}/messages"

        async def page(query: str) -> tuple[list[str], bool]:
            body = (await door.send("GET", f"{path}?{query}")).json
            found = [message["id"] for message in body["data"]]
            assert body["object"] == "list"
            assert (body["first_id"], body["last_id"]) == ((found[0], found[-1]) if found else (None, None))
            return found, body["has_more"]

        assert await page("") == (ids[:4:-1], True)
        assert await page("limit=100") == (ids[::-1], False)
        assert await page("order=asc&limit=2") == (ids[:2], True)
        assert await page(f"order=asc&after={ids[20]}") == (ids[21:], False)
        assert await page(f"order=asc&before={ids[2]}") == (ids[:2], False)
        for limit in ("0", "101", "x"):
            assert (await door.send("GET", f"{path}?limit={limit}")).status == 400
        listed = [message.id async for message in door.client.beta.threads.messages.list(talk.thread, limit=10)]
        assert listed == ids[::-1]

    converse(conversation)


def test_rate_limits(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        thread = (await door.send("POST", "/threads", {})).json["id"]
        answers = [await door.send("GET", f"/threads/{thread}") for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        said = "You've exceeded the rate limit, please slow down and try again later."
        assert error(answers[-1]) == (429, said, "invalid_request_error", None, "rate_limit_exceeded")
        assert answers[-1].headers["retry-after"] == "20"
        await door.sleep(20)
        assert (await door.send("GET", f"/threads/{thread}")).status == 200

    converse(conversation, overrides={"gets_per_minute": 3})


# The SDK's helpers


def test_create_and_poll_and_tools(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        threads = door.client.beta.threads
        assistant = await door.client.beta.assistants.create(model="gpt-4o")
        thread = await threads.create(messages=[{"role": "user", "content": "How is the weather?"}])
        async with door.flowing():
            run = await threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
            assert run.status == "requires_action"
            assert run.required_action is not None
            (call,) = run.required_action.submit_tool_outputs.tool_calls
            assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Lisbon"})
            run = await threads.runs.submit_tool_outputs_and_poll(
                run_id=run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": "21"}]
            )
        assert run.status == "completed"
        page = await threads.messages.list(thread.id, run_id=run.id)
        assert page.data[0].content[0].text.value == "Fine."  # type: ignore[union-attr]
        steps = await threads.runs.steps.list(run.id, thread_id=thread.id)
        assert [step.type for step in steps.data] == ["message_creation", "tool_calls"]

    converse(conversation, replies=TOOLS, poll_after_ms=20)


def test_streams_in_the_documented_order(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        threads = door.client.beta.threads
        assistant = await door.client.beta.assistants.create(model="gpt-4o")
        thread = await threads.create(messages=[{"role": "user", "content": "How is the weather?"}])
        async with door.flowing():
            async with threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
                names = [event.event async for event in stream]
                run = await stream.get_final_run()
            assert run.status == "requires_action"
            assert list(dict.fromkeys(names)) == [
                "thread.run.created",
                "thread.run.queued",
                "thread.run.in_progress",
                "thread.run.step.created",
                "thread.run.step.in_progress",
                "thread.run.step.delta",
                "thread.run.requires_action",
            ]
            assert run.required_action is not None
            (call,) = run.required_action.submit_tool_outputs.tool_calls
            async with threads.runs.submit_tool_outputs_stream(
                run_id=run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": "21"}]
            ) as stream:
                text = "".join([piece async for piece in stream.text_deltas])
                (message,) = await stream.get_final_messages()
            assert text == message.content[0].text.value == "Fine."  # type: ignore[union-attr]

            names = []
            async with threads.create_and_run_stream(assistant_id=assistant.id) as stream:
                names = [event.event async for event in stream]
            assert names[:2] == ["thread.created", "thread.run.created"]

    converse(conversation, replies=TOOLS)


def test_what_the_sdk_makes_of_errors(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        threads = door.client.beta.threads
        assistant = await door.client.beta.assistants.create(model="gpt-4o")
        thread = await threads.create()
        run = await threads.runs.create(thread.id, assistant_id=assistant.id)
        with pytest.raises(openai.BadRequestError) as caught:
            await threads.messages.create(thread.id, role="user", content="too early")
        said = f"Can't add messages to {thread.id} while a run {run.id} is active."
        assert str(caught.value) == f"Error code: 400 - {said}"
        assert caught.value.body == {"message": said, "type": "invalid_request_error", "param": None, "code": None}
        assert caught.value.request_id is not None
        with pytest.raises(openai.NotFoundError):
            await threads.retrieve(f"thread_{UNKNOWN}")
        with pytest.raises(openai.AuthenticationError):
            await door.client.with_options(api_key="sk-wrong").beta.threads.retrieve(thread.id)

    converse(conversation)


IMPATIENT_SECONDS = 2.0
"""Waited in full for what never comes; an answer that does come is there long before, on a busy machine too."""


def test_a_lost_response_is_stored_twice_by_the_sdks_own_retry(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        threads = door.client.beta.threads
        thread = await threads.create()
        impatient = door.client.with_options(timeout=IMPATIENT_SECONDS)
        await impatient.beta.threads.messages.create(thread.id, role="user", content="once")
        page = await threads.messages.list(thread.id)
        assert [message.content[0].text.value for message in page.data] == ["once", "once"]  # type: ignore[union-attr]

    converse(conversation, faults=[{"kind": "response_lost", "route": "messages.create", "nth": [1]}])


FAULTS: list[dict[str, Any]] = [
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502, "html": True},
    {"kind": "status", "status": 429, "retry_after_seconds": 1},
    {"kind": "connect_error"},
    {"kind": "reset"},
    {"kind": "truncated"},
    {"kind": "request_lost"},
]


def patience(fault: dict[str, Any]) -> float:
    """Seconds to wait for an answer."""
    return IMPATIENT_SECONDS if fault["kind"] == "request_lost" else 60.0


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: "-".join(str(part) for part in fault.values()))
def test_faults_that_the_sdk_survives(converse: RunConversation, fault: dict[str, Any]) -> None:
    async def conversation(door: Door) -> None:
        threads = door.client.with_options(timeout=patience(fault)).beta.threads
        thread = await door.client.beta.threads.create()
        assert (await threads.retrieve(thread.id)).id == thread.id

    converse(conversation, faults=[{**fault, "route": "threads.retrieve", "nth": [1]}])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: "-".join(str(part) for part in fault.values()))
def test_faults_as_the_caller_sees_them(converse: RunConversation, fault: dict[str, Any]) -> None:
    expected = {500: openai.InternalServerError, 502: openai.InternalServerError, 429: openai.RateLimitError}
    if fault["kind"] == "request_lost":
        kind: type[Exception] = openai.APITimeoutError
    else:
        kind = expected.get(fault.get("status", 0), openai.APIConnectionError)

    async def conversation(door: Door) -> None:
        threads = door.client.with_options(timeout=patience(fault), max_retries=0).beta.threads
        thread = await door.client.beta.threads.create()
        with pytest.raises(kind) as caught:
            await threads.retrieve(thread.id)
        assert type(caught.value) is kind

    converse(conversation, faults=[{**fault, "route": "threads.retrieve", "nth": [1]}])


# Byte for byte


def test_both_doors_say_the_same_byte_for_byte() -> None:
    async def conversation(door: Door) -> list[tuple[int, bytes]]:
        said = []
        for _ in range(3):
            talk = await Talk.begin(door)
            await talk.append("one")
            await talk.start()
            answers = [await talk.append("two"), await talk.start()]
            await door.sleep(4)
            answers += [await talk.cancel(), await talk.cancel(), await talk.append("three")]
            await door.sleep(20)
            answers += [
                await talk.append("four"),
                await talk.start(),
                await door.send("GET", f"/threads/{talk.thread}/messages"),
                await door.send("GET", f"/threads/{talk.thread}/runs"),
            ]
            said += [(answer.status, answer.content) for answer in answers]
        return said

    overrides = {"run_seconds": {"kind": "uniform", "low": 1.0, "high": 8.0}, "stuck_probability": 0.3}
    first = in_process(conversation, overrides=overrides)
    assert len(first) == 27
    assert over_a_socket(conversation, overrides=overrides) == first
    assert in_process(conversation, overrides=overrides, seed=8) != first


def test_workers_race_for_one_thread(converse: RunConversation) -> None:
    async def conversation(door: Door) -> None:
        talk = await Talk.begin(door)
        answers = await asyncio.gather(*(talk.start() for _ in range(5)))
        assert sorted(answer.status for answer in answers) == [200, 400, 400, 400, 400]
        (winner,) = [answer.json["id"] for answer in answers if answer.status == 200]
        for answer in answers:
            if answer.status == 400:
                assert error(answer)[1] == f"Thread {talk.thread} already has an active run {winner}."

    converse(conversation)
