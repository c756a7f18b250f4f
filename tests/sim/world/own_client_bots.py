"""Bots that make their clients by themselves, when and how bots do, and their twin that is handed them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import aiohttp
import httpx2
import redis.asyncio
from openai import AsyncOpenAI

CLIENT = AsyncOpenAI()
"""Made at import, as most bots do it."""

STORE = redis.asyncio.Redis(host="cache.internal", password="secret")
"""The same; the password is nobody's."""

RELEASE = """-- release
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"""


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


class ImpatientBot(Bot):
    """The same, within three seconds or not at all."""

    async def answer(self, client: AsyncOpenAI, message: Any) -> None:
        async with asyncio.timeout(3.0):
            await super().answer(client, message)


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


KINDS = {"polls": Bot, "streams": StreamingBot, "impatient": ImpatientBot}


def given(client: Any, redis: Any, send: Any, kind: str = "polls") -> Bot:
    return KINDS[kind](client, send)


def at_import(client: Any, redis: Any, send: Any, kind: str = "polls") -> Bot:
    return KINDS[kind](CLIENT, send)


def in_handle(client: Any, redis: Any, send: Any, kind: str = "polls") -> Bot:
    return KINDS[kind](None, send)


class Locker:
    """One worker at a time answers for a conversation: a lock that a script releases, a queue, a pipeline, a transaction."""

    def __init__(self, store: Any, send: Any) -> None:
        self.store = store
        self.send = send

    async def handle(self, message: Any) -> None:
        store, conversation = self.store, message.conversation
        await store.rpush(f"queue:{conversation}", message.text)
        token = uuid4().hex
        while not await store.set(f"lock:{conversation}", token, nx=True, px=30_000):
            await asyncio.sleep(0.5)
        try:
            async with store.pipeline(transaction=False) as pipeline:
                pipeline.lrange(f"queue:{conversation}", 0, -1)
                pipeline.delete(f"queue:{conversation}")
                texts, _ = await pipeline.execute()
            async with store.pipeline() as pipeline:
                pipeline.incrby(f"count:{conversation}", len(texts))
                pipeline.get("nothing")
                count, nothing = await pipeline.execute()
            try:
                await store.incr(f"lock:{conversation}")
            except redis.asyncio.ResponseError as error:
                refused = str(error)
            if texts:
                await self.send(conversation, f"{len(texts)} {count} {nothing} {refused}")
        finally:
            await store.eval(RELEASE, 1, f"lock:{conversation}", token)


def given_store(client: Any, store: Any, send: Any) -> Locker:
    return Locker(store, send)


def own_store(client: Any, store: Any, send: Any) -> Locker:
    return Locker(STORE, send)


class Queue:
    """`handle` hands on, `serve` answers: over a list that it waits at, and over a channel that it listens to."""

    def __init__(self, store: Any, send: Any, channel: bool) -> None:
        self.store = store
        self.send = send
        self.channel = channel

    async def handle(self, message: Any) -> None:
        item = f"{message.conversation} {message.text}"
        await (self.store.publish("work", item) if self.channel else self.store.lpush("work", item))

    async def serve(self) -> None:
        if not self.channel:
            while True:
                found = await self.store.brpop("work", timeout=2)
                if found is not None:
                    await self.answer(found[1])
        async with self.store.pubsub() as channel:
            await channel.subscribe("work")
            async for message in channel.listen():
                if message["type"] == "message":
                    await self.answer(message["data"])

    async def answer(self, item: bytes) -> None:
        conversation, _, text = item.decode().partition(" ")
        await self.send(conversation, f"Got {text}")


def given_queue(client: Any, store: Any, send: Any, channel: bool = False) -> Queue:
    return Queue(store, send, channel)


def own_queue(client: Any, store: Any, send: Any, channel: bool = False, protocol: int = 3) -> Queue:
    return Queue(redis.asyncio.Redis(host="cache.internal", protocol=protocol), send, channel)


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


class Painter:
    """Asks for what the API has and the simulator has not, and answers whatever comes of it."""

    def __init__(self, send: Any) -> None:
        self.send = send

    async def handle(self, message: Any) -> None:
        url = "https://api.openai.com/v1/images/generations"
        headers = {"authorization": "Bearer sk-mine"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(url, json={"prompt": message.text}) as response,
        ):
            await self.send(message.conversation, f"status {response.status}")


def painter(client: Any, store: Any, send: Any) -> Painter:
    return Painter(send)
