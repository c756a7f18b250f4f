"""The relay on the real OpenAI SDK and a Redis with Lua: each request as it leaves, each error as the SDK makes it.

Method: an in-process transport answers in the API's own words, the waits are short or none.
"""

import asyncio
import json
from typing import Any

import fakeredis
import httpx2
import openai
import pytest
from relay_doubles import LogTape

from relaysim.relay import Handled, Message, Outcome, ThreadsClient, cancel_and_retry

MESSAGE = Message("wamid.A1", "invented customer 7", "Qual é o horário?")


class Server:
    """Answers like the API: refuses the first append, then all goes well."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.refusals = ["Can't add messages to thread_T1 while a run run_Y1 is active."]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/v1")
        sent = json.loads(request.content) if request.content else dict(request.url.params)
        self.requests.append((request.method, path, sent))
        match request.method, path:
            case "POST", "/threads/thread_T1/messages" if self.refusals:
                error = {"message": self.refusals.pop(), "type": "invalid_request_error", "param": None, "code": None}
                return httpx2.Response(400, json={"error": error})
            case "GET", "/threads/thread_T1/messages":
                part = {"type": "text", "text": {"value": "Abrimos às nove.", "annotations": []}}
                newest = {"id": "msg_2", "object": "thread.message", "role": "assistant", "content": [part]}
                return self.page(newest)
            case "GET", "/threads/thread_T1/runs":
                return self.page({"id": "run_Y0", "object": "thread.run", "status": "completed"})
            case "POST", "/threads":
                return httpx2.Response(200, json={"id": "thread_T1", "object": "thread"})
            case "GET", "/threads/thread_T1/runs/run_Z1":
                return httpx2.Response(200, json={"id": "run_Z1", "object": "thread.run", "status": "completed"})
            case "POST", _:
                return httpx2.Response(200, json={"id": "run_Z1", "object": "thread.run", "status": "queued"})
        raise AssertionError(path)

    @staticmethod
    def page(entry: dict[str, Any]) -> httpx2.Response:
        listed = {"object": "list", "data": [entry], "first_id": entry["id"], "last_id": entry["id"], "has_more": True}
        return httpx2.Response(200, json=listed)


def handle(server: Server, **settings: Any) -> tuple[Handled, list[tuple[str, str]], list[str]]:
    sent: list[tuple[str, str]] = []

    async def send(conversation: str, text: str) -> None:
        sent.append((conversation, text))

    async def main() -> Handled:
        http_client = openai.DefaultAsyncHttpxClient(transport=httpx2.MockTransport(server))
        async with openai.AsyncOpenAI(api_key="sk-invented", http_client=http_client) as client:
            threads_client: ThreadsClient = client
            store = fakeredis.FakeAsyncRedis()
            relay = cancel_and_retry(
                threads_client, store, send, waits=[0.001, 0.001, 0.001], poll_interval_seconds=0.001, **settings
            )
            try:
                return await relay.handle(MESSAGE)
            finally:
                await store.aclose()

    with LogTape() as tape:
        handled = asyncio.run(main())
    return handled, sent, [record.getMessage() for record in tape.records]


def test_one_message_through_a_conflict() -> None:
    server = Server()
    handled, sent, lines = handle(server)
    assert handled == Handled(Outcome.ANSWERED, 2, 0.001, "run_Z1")
    assert sent == [("invented customer 7", "Abrimos às nove.")]
    append = ("POST", "/threads/thread_T1/messages", {"role": "user", "content": "Qual é o horário?"})
    assert server.requests == [
        ("POST", "/threads", {}),
        ("GET", "/threads/thread_T1/runs", {"limit": "10"}),
        append,
        ("POST", "/threads/thread_T1/runs/run_Y1/cancel", {}),
        append,
        ("POST", "/threads/thread_T1/runs", {"assistant_id": "asst_relaysim"}),
        ("GET", "/threads/thread_T1/runs/run_Z1", {}),
        ("GET", "/threads/thread_T1/messages", {"limit": "1", "order": "desc"}),
    ]
    assert lines == [
        "⚠️ [OpenAI] Active run detected during message creation (attempt 1/3)",
        "🔄 [OpenAI] Attempting to cancel run run_Y1",
        "✅ [OpenAI] Run run_Y1 cancellation requested",
        "⏳ [OpenAI] Waiting 1ms before retry...",
        "✅ [OpenAI] Message created successfully (attempt 2)",
    ]


@pytest.mark.parametrize("cancel_error", ["ignore", "raise"])
def test_the_sdk_refuses_a_cancel_without_its_thread_id_before_any_request(cancel_error: str) -> None:
    server = Server()
    handled, _, lines = handle(server, cancel_with_thread_id=False, cancel_error=cancel_error)
    assert handled == Handled(Outcome.GENERIC_APOLOGY, 1, 0.0, None)
    assert [path for _, path, _ in server.requests] == [
        "/threads",
        "/threads/thread_T1/runs",
        "/threads/thread_T1/messages",
    ]
    assert lines[-1] == "[Relay] Handling failed on thread_T1: TypeError"
