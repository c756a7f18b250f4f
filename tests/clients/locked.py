"""Turns on Responses and what a locked conversation does to them, with the official SDK and, if named, with `openai-agents`.

    python locked.py BASE_URL KEY [agents]

Needs the package `openai`, and `openai-agents` if that is asked for, and nothing of this project. Writes a JSON object to
standard output: `version`, and what was seen of each part below. `locked.mjs` does the same in Node, part for part; whoever
changes one changes both. `run_locked.py` starts the server as they need it: in real time, without latencies.

- `session`: two turns with an `OpenAIConversationsSession` and one that names its conversation, and how many of them the
  server saw bound to that conversation (`agents` only).
- `turn`: a turn in the foreground, the conversation's texts after it, and a stream's events.
- `locked`, `conflict`: a turn on a conversation that a turn in the background holds, refused as OpenAI does (400) and as
  Foundry's host does (409): the error, and at what seconds the server was asked.
- `azure`: `locked` once more with `AzureOpenAI`, at Azure's addresses (not with `agents`).
- `released`: a cancel of the turn that holds it, and the next one.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from typing import Any

import openai

MODEL = "gpt-4o"
QUICK = {"queue_seconds": 0, "run_seconds": 0.2}
"""Turns that end at once."""
ENDLESS = {"queue_seconds": 0, "run_seconds": 3000, "cancel_seconds": 0.1, "stuck_probability": 0}
"""Turns that hold their conversation for longer than anybody waits here."""


class Server:
    """The control API of the server under `base_url`."""

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url.removesuffix('/v1')}/_relaysim"

    def _ask(self, path: str, data: Any = None) -> Any:
        request = urllib.request.Request(self._url + path, None if data is None else json.dumps(data).encode())
        request.add_header("content-type", "application/json")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)

    def begin(self, **overrides: Any) -> None:
        """A fresh world with these numbers and switches in its profile."""
        self._ask("/reset", {"overrides": overrides})

    def turns(self, conversation: str) -> list[float]:
        """At what virtual seconds turns on a conversation were asked for."""
        events = self._ask(f"/trace?kind=request&thread={conversation}")["events"]
        return [event["time"] for event in events if event["operation"] == "responses.create"]

    def asked(self, conversation: str) -> list[float]:
        """The same, counted from the first one after the turn that holds the conversation."""
        times = self.turns(conversation)[1:]
        return [time - times[0] for time in times]


def refusal(error: openai.APIStatusError) -> dict[str, Any]:
    """What an error shows of the answer."""
    body = error.body if isinstance(error.body, dict) else {}
    return {
        "error": type(error).__name__,
        "status": error.status_code,
        "code": error.code,
        "param": error.param,
        "message": body.get("message"),
    }


def texts(items: Any) -> list[str]:
    """The words of messages."""
    return [part["text"] for item in items for part in item["content"]]


async def on_a_locked_one(client: openai.AsyncOpenAI, server: Server, attempt: Any) -> dict[str, Any]:
    """A turn on a conversation that another one holds."""
    conversation = (await client.conversations.create()).id
    await client.responses.create(model=MODEL, input="First", conversation=conversation, background=True)
    try:
        await attempt(conversation)
        seen: dict[str, Any] = {"error": None}
    except openai.APIStatusError as error:
        seen = refusal(error)
    return {**seen, "asked": server.asked(conversation)}


async def a_turn(client: openai.AsyncOpenAI) -> dict[str, Any]:
    """`turn`"""
    conversation = (await client.conversations.create()).id
    turn = await client.responses.create(model=MODEL, input="Hello", conversation=conversation)
    items = [item.model_dump() async for item in client.conversations.items.list(conversation, order="asc")]
    stream = await client.responses.create(model=MODEL, input="More", conversation=conversation, stream=True)
    kinds = list(dict.fromkeys([event.type async for event in stream]))
    return {"status": turn.status, "text": turn.output_text, "texts": texts(items), "events": kinds}


async def released(client: openai.AsyncOpenAI) -> dict[str, Any]:
    """`released`"""
    conversation = (await client.conversations.create()).id
    first = await client.responses.create(model=MODEL, input="First", conversation=conversation, background=True)
    cancelled = await client.responses.cancel(first.id)
    after = await client.responses.create(model=MODEL, input="Second", conversation=conversation, background=True)
    return {"cancelled": cancelled.status, "next": after.status}


async def with_a_session(client: openai.AsyncOpenAI, server: Server) -> dict[str, Any]:
    """`session`"""
    from agents import Agent, OpenAIConversationsSession, Runner

    agent = Agent(name="helper", model=MODEL)
    session = OpenAIConversationsSession(openai_client=client)
    replies = [(await Runner.run(agent, words, session=session)).final_output for words in ("Hello", "More")]
    named = await Runner.run(agent, "And more", conversation_id=session.session_id)
    bound = len(server.turns(session.session_id))
    return {"replies": [*replies, named.final_output], "texts": texts(await session.get_items()), "bound": bound}


async def main() -> None:
    """All parts."""
    base_url, key, *others = sys.argv[1:]
    server = Server(base_url)
    client = openai.AsyncOpenAI(base_url=base_url, api_key=key)
    seen: dict[str, Any] = {"version": openai.__version__}

    async def attempt(conversation: str) -> Any:
        return await client.responses.create(model=MODEL, input="Second", conversation=conversation)

    if others == ["agents"]:
        from importlib.metadata import version

        from agents import Agent, Runner, set_default_openai_client, set_tracing_disabled

        set_tracing_disabled(True)
        set_default_openai_client(client, use_for_tracing=False)
        seen["version"] = version("openai-agents")
        agent = Agent(name="helper", model=MODEL)

        async def attempt(conversation: str) -> Any:
            return await Runner.run(agent, "Second", conversation_id=conversation)

    server.begin(**QUICK)
    if others == ["agents"]:
        seen["session"] = await with_a_session(client, server)
    seen["turn"] = await a_turn(client)
    server.begin(**ENDLESS)
    seen["locked"] = await on_a_locked_one(client, server, attempt)
    if not others:
        endpoint = base_url.removesuffix("/v1")
        azure = openai.AsyncAzureOpenAI(azure_endpoint=endpoint, api_key=key, api_version="2025-03-01-preview")

        async def attempt_at_azure(conversation: str) -> Any:
            return await azure.responses.create(model=MODEL, input="Second", conversation=conversation)

        seen["azure"] = await on_a_locked_one(azure, server, attempt_at_azure)
    seen["released"] = await released(client)
    server.begin(**ENDLESS, lock="foundry409")
    seen["conflict"] = await on_a_locked_one(client, server, attempt)
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main())
