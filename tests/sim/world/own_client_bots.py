"""Bots that make their clients by themselves, when and how bots do, and their twin that is handed them."""

from __future__ import annotations

from typing import Any

import httpx2
from openai import AsyncOpenAI

CLIENT = AsyncOpenAI()
"""Made at import, as most bots do it."""


class Bot:
    """Appends a message, runs the assistant, answers with what it wrote."""

    def __init__(self, client: AsyncOpenAI | None, send: Any) -> None:
        self.client = client
        self.send = send

    async def handle(self, message: Any) -> None:
        if self.client is not None:
            await self.answer(self.client, message)
            return
        async with AsyncOpenAI() as client:
            await self.answer(client, message)

    async def answer(self, client: AsyncOpenAI, message: Any) -> None:
        threads = client.beta.threads
        await threads.messages.create(message.thread_id, role="user", content=message.text)
        run = await threads.runs.create_and_poll(
            thread_id=message.thread_id, assistant_id="asst_A", poll_interval_ms=500
        )
        texts = await threads.messages.list(message.thread_id, run_id=run.id)
        for each in texts.data:
            await self.send(message.conversation, each.content[0].text.value)


class StreamingBot(Bot):
    """The same with a stream."""

    async def answer(self, client: AsyncOpenAI, message: Any) -> None:
        threads = client.beta.threads
        await threads.messages.create(message.thread_id, role="user", content=message.text)
        text = ""
        async with threads.runs.stream(thread_id=message.thread_id, assistant_id="asst_A") as stream:
            async for piece in stream.text_deltas:
                text += piece
        await self.send(message.conversation, text)


def given(client: Any, redis: Any, send: Any, streams: bool = False) -> Bot:
    return (StreamingBot if streams else Bot)(client, send)


def at_import(client: Any, redis: Any, send: Any, streams: bool = False) -> Bot:
    return (StreamingBot if streams else Bot)(CLIENT, send)


def in_handle(client: Any, redis: Any, send: Any, streams: bool = False) -> Bot:
    return (StreamingBot if streams else Bot)(None, send)


class Stray:
    """Asks somebody whom nobody simulates, and hides what comes of it."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def handle(self, message: Any) -> None:
        try:
            async with httpx2.AsyncClient() as client:
                await client.get(self.url)
        except Exception:
            pass


def stray(client: Any, redis: Any, send: Any, url: str) -> Stray:
    return Stray(url)
