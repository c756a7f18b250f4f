"""Plain bots with clients of their own: twins of those in `own_client_bots`, and one without the SDK, in any library."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import redis
import requests
from openai import AsyncOpenAI, OpenAI

CLIENT = OpenAI()
STORE = redis.Redis(host="cache.internal", password="secret")

RELEASE = """-- release
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"""


class Bot:
    """Appends a message, runs the assistant, answers with what it wrote."""

    def __init__(self, send: Any, kind: str) -> None:
        self.send = send
        self.kind = kind

    def handle(self, message: Any) -> None:
        threads = CLIENT.beta.threads
        threads.messages.create(message.thread_id, role="user", content=message.text)
        if self.kind == "streams":
            text = ""
            with threads.runs.stream(thread_id=message.thread_id, assistant_id="asst_A") as stream:
                for piece in stream.text_deltas:
                    text += piece
            self.send(message.conversation, text)
            return
        run = threads.runs.create_and_poll(thread_id=message.thread_id, assistant_id="asst_A", poll_interval_ms=500)
        for each in threads.messages.list(message.thread_id, run_id=run.id).data:
            self.send(message.conversation, each.content[0].text.value)


def at_import(client: Any, store: Any, send: Any, kind: str = "polls") -> Bot:
    return Bot(send, kind)


class Locker:
    """One worker at a time answers for a conversation."""

    def __init__(self, send: Any) -> None:
        self.send = send

    def handle(self, message: Any) -> None:
        store, conversation = STORE, message.conversation
        store.rpush(f"queue:{conversation}", message.text)
        token = uuid4().hex
        while not store.set(f"lock:{conversation}", token, nx=True, px=30_000):
            time.sleep(0.5)
        try:
            with store.pipeline(transaction=False) as pipeline:
                pipeline.lrange(f"queue:{conversation}", 0, -1)
                pipeline.delete(f"queue:{conversation}")
                texts, _ = pipeline.execute()
            with store.pipeline() as pipeline:
                pipeline.incrby(f"count:{conversation}", len(texts))
                pipeline.get("nothing")
                count, nothing = pipeline.execute()
            try:
                store.incr(f"lock:{conversation}")
            except redis.ResponseError as error:
                refused = str(error)
            if texts:
                self.send(conversation, f"{len(texts)} {count} {nothing} {refused}")
        finally:
            store.eval(RELEASE, 1, f"lock:{conversation}", token)


def own_store(client: Any, store: Any, send: Any) -> Locker:
    return Locker(send)


class Blocker:
    """Asks by a plain client in a coroutine, which holds up everything else."""

    def __init__(self, send: Any) -> None:
        self.send = send

    async def handle(self, message: Any) -> None:
        began = time.monotonic()
        CLIENT.beta.threads.messages.create(message.thread_id, role="user", content=message.text)
        await self.send(message.conversation, f"{time.monotonic() - began:.2f}")


def blocker(client: Any, store: Any, send: Any) -> Blocker:
    return Blocker(send)


class LoopPerMessage:
    """Runs an event loop for each message, and keeps one client for all of them, which belongs to the first loop."""

    def __init__(self, send: Any) -> None:
        self.send = send
        self.client = AsyncOpenAI()

    def handle(self, message: Any) -> None:
        asyncio.run(self.answer(message))

    async def answer(self, message: Any) -> None:
        kept = await self.client.beta.threads.messages.create(message.thread_id, role="user", content=message.text)
        await self.send(message.conversation, kept.content[0].text.value)


def loop_per_message(client: Any, store: Any, send: Any) -> LoopPerMessage:
    return LoopPerMessage(send)


class Queue:
    """`handle` hands on, `serve` answers."""

    def __init__(self, send: Any, channel: bool, protocol: int) -> None:
        self.send = send
        self.channel = channel
        self.store = redis.Redis(host="cache.internal", protocol=protocol)

    def handle(self, message: Any) -> None:
        item = f"{message.conversation} {message.text}"
        if self.channel:
            self.store.publish("work", item)
        else:
            self.store.lpush("work", item)

    def serve(self) -> None:
        if not self.channel:
            while True:
                found = self.store.brpop("work", timeout=2)
                if found is not None:
                    self.answer(found[1])
        with self.store.pubsub() as channel:
            channel.subscribe("work")
            for message in channel.listen():
                if message["type"] == "message":
                    self.answer(message["data"])

    def answer(self, item: bytes) -> None:
        conversation, _, text = item.decode().partition(" ")
        self.send(conversation, f"Got {text}")


def own_queue(client: Any, store: Any, send: Any, channel: bool = False, protocol: int = 3) -> Queue:
    return Queue(send, channel, protocol)


URL = "https://api.openai.com/v1"
HEADERS = {"Authorization": "Bearer sk-own", "OpenAI-Beta": "assistants=v2", "Content-Type": "application/json"}


def with_urllib(method: str, path: str, body: Any) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, HEADERS, method=method)) as response:
        return json.load(response)


def with_requests(method: str, path: str, body: Any) -> Any:
    return requests.request(method, URL + path, json=body, headers=HEADERS).json()


def with_httpx(method: str, path: str, body: Any) -> Any:
    return httpx.request(method, URL + path, json=body, headers=HEADERS).json()


async def with_aiohttp(method: str, path: str, body: Any) -> Any:
    asked = {"json": body, "headers": HEADERS}
    async with aiohttp.ClientSession() as session, session.request(method, URL + path, **asked) as response:
        return await response.json()


class Raw:
    """The same without the SDK."""

    def __init__(self, send: Any, library: str) -> None:
        self.send = send
        self.ask = globals()[f"with_{library}"]

    def handle(self, message: Any) -> None:
        thread = f"/threads/{message.thread_id}"
        self.ask("POST", f"{thread}/messages", {"role": "user", "content": message.text})
        run = self.ask("POST", f"{thread}/runs", {"assistant_id": "asst_A"})
        while run["status"] in ("queued", "in_progress"):
            time.sleep(0.5)
            run = self.ask("GET", f"{thread}/runs/{run['id']}", None)
        for each in self.ask("GET", f"{thread}/messages?run_id={run['id']}", None)["data"]:
            self.send(message.conversation, each["content"][0]["text"]["value"])


class AsyncRaw(Raw):
    """The same in coroutines."""

    async def handle(self, message: Any) -> None:  # type: ignore[override]
        thread = f"/threads/{message.thread_id}"
        await self.ask("POST", f"{thread}/messages", {"role": "user", "content": message.text})
        run = await self.ask("POST", f"{thread}/runs", {"assistant_id": "asst_A"})
        while run["status"] in ("queued", "in_progress"):
            await asyncio.sleep(0.5)
            run = await self.ask("GET", f"{thread}/runs/{run['id']}", None)
        found = await self.ask("GET", f"{thread}/messages?run_id={run['id']}", None)
        for each in found["data"]:
            await self.send(message.conversation, each["content"][0]["text"]["value"])


class Stray:
    """Asks somebody whom nobody simulates, and hides what comes of it."""

    def __init__(self, library: str) -> None:
        self.library = library

    def handle(self, message: Any) -> None:
        try:
            if self.library == "redis":
                redis.Redis(host="cache.internal", port=7000).ping()
            else:
                requests.get("https://api.example.com/")
        except Exception:
            pass


def stray(client: Any, store: Any, send: Any, library: str) -> Stray:
    return Stray(library)


def raw(client: Any, store: Any, send: Any, library: str) -> Raw:
    return (AsyncRaw if library == "aiohttp" else Raw)(send, library)
