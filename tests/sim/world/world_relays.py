"""Small relays for the tests of worlds: each does one thing that a world must be seen to deal with."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any
from uuid import uuid4

import redis.asyncio
import redis.exceptions

_CLAIM = """-- claim
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 else return 0 end"""

_RELEASE = """-- release
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"""


class Sender:
    """Answers each message at once, without the API."""

    def __init__(self, send: Any) -> None:
        self._send = send

    async def handle(self, message: Any) -> None:
        await self._send(message.conversation, f"Got {message.id}")


def sender(client: Any, redis_client: Any, send: Any) -> Sender:
    return Sender(send)


class Raiser:
    """Raises at the first deliveries of each message that this process sees, then answers."""

    def __init__(self, send: Any, raises: int) -> None:
        self._send = send
        self._raises = raises
        self._seen: dict[str, int] = {}

    async def handle(self, message: Any) -> None:
        seen = self._seen[message.id] = self._seen.get(message.id, 0) + 1
        if seen <= self._raises:
            raise ValueError("not yet")
        await self._send(message.conversation, f"Got {message.id}")


def raiser(client: Any, redis_client: Any, send: Any, *, raises: int = 1) -> Raiser:
    return Raiser(send, raises)


class Sleeper:
    """Sleeps, then sends; a `finally` of it would send, too."""

    def __init__(self, send: Any, seconds: float) -> None:
        self._send = send
        self._seconds = seconds

    async def handle(self, message: Any) -> None:
        try:
            await asyncio.sleep(self._seconds)
            await self._send(message.conversation, f"Got {message.id}")
        finally:
            await self._send(message.conversation, f"Left {message.id}")


class Closer:
    """Answers at once; says when it is told to close, and when it has closed."""

    def __init__(self, send: Any, seconds: float) -> None:
        self._send = send
        self._seconds = seconds

    async def handle(self, message: Any) -> None:
        await self._send(message.conversation, f"Got {message.id}")

    async def aclose(self) -> None:
        await self._send("c1", "closing")
        await asyncio.sleep(self._seconds - 0.25)
        await self._send("c1", "closed")


def closer(client: Any, redis_client: Any, send: Any, *, seconds: float = 5.0) -> Closer:
    return Closer(send, seconds)


def sleeper(client: Any, redis_client: Any, send: Any, *, seconds: float = 5.0) -> Sleeper:
    return Sleeper(send, seconds)


class Queue:
    """Keeps messages in Redis, and answers them from `serve`, one worker at a time per conversation.

    `broken` is what its `serve` does instead: raises, or returns.
    """

    def __init__(self, client: Any, redis_client: redis.asyncio.Redis, send: Any, runs: bool, broken: str) -> None:
        self._threads = client.beta.threads
        self._redis = redis_client
        self._send = send
        self._runs = runs
        self._broken = broken

    async def handle(self, message: Any) -> None:
        entry = f"{message.conversation} {message.id} {message.thread_id}"
        if await self._redis.set(f"seen:{message.id}", "1", nx=True):
            await self._redis.rpush("queue", entry)

    async def serve(self) -> None:
        if self._broken == "raises":
            raise LookupError("nothing to serve")
        while self._broken != "returns":
            with contextlib.suppress(redis.exceptions.RedisError):
                await self._sweep()
            await asyncio.sleep(1.0)

    async def _sweep(self) -> None:
        for entry in await self._redis.lrange("queue", 0, -1):
            conversation, message_id, thread_id = entry.decode().split()
            token = uuid4().hex
            lease = f"relay:lease:{conversation}"
            if not await self._redis.eval(_CLAIM, 1, lease, token, 10_000):
                continue
            if await self._redis.lrem("queue", 1, entry):
                await self._answer(conversation, message_id, thread_id)
            await self._redis.eval(_RELEASE, 1, lease, token)

    async def _answer(self, conversation: str, message_id: str, thread_id: str) -> None:
        text = f"Got {message_id}"
        try:
            if self._runs:
                run = await self._threads.runs.create(
                    thread_id,
                    assistant_id="asst_relaysim",
                    additional_messages=[{"role": "user", "content": f"[{message_id}]"}],
                )
                while run.status != "completed":
                    await asyncio.sleep(0.5)
                    run = await self._threads.runs.retrieve(run.id, thread_id=thread_id)
            await self._send(conversation, text, message_ids=(message_id,))
        except Exception as error:
            outcome = f"failed {type(error).__name__}"
        else:
            outcome = "answered"
        await self._redis.set(f"outcome:{message_id}", outcome)

    async def outcome_of(self, conversation: str, message_id: str) -> str | None:
        found = await self._redis.get(f"outcome:{message_id}")
        return None if found is None else found.decode()


def queue(client: Any, redis_client: redis.asyncio.Redis, send: Any, *, runs: bool = True, broken: str = "") -> Queue:
    return Queue(client, redis_client, send, runs, broken)


class Clock:
    """Sends what its wall clock reads, in seconds since 2025-11-04 12:00:00 UTC, and what its loop reads."""

    def __init__(self, send: Any) -> None:
        self._send = send

    async def handle(self, message: Any) -> None:
        loop = asyncio.get_running_loop()
        await self._send(message.conversation, f"{time.time() - 1_762_257_600:.3f} {loop.time():.3f}")


def clock(client: Any, redis_client: Any, send: Any) -> Clock:
    return Clock(send)


class Silent(Sender):
    """Its ledger never answers."""

    async def outcome_of(self, conversation: str, message_id: str) -> str | None:
        await asyncio.sleep(1e6)
        return None


def silent(client: Any, redis_client: Any, send: Any) -> Silent:
    return Silent(send)


class Plain:
    """Plain code: it waits a second under a lock, answers, keeps a ledger, and says a word a second in the background."""

    def __init__(self, redis_client: Any, send: Any) -> None:
        self._send, self._done, self._lock = send, set[str](), threading.Lock()

    def serve(self) -> None:
        for number in range(3):
            time.sleep(1.0)
            self._send("c1", f"Word {number}")

    def handle(self, message: Any) -> str:
        with self._lock:
            time.sleep(1.0)
            self._send(message.conversation, f"Got {message.id}", message_ids=(message.id,))
        self._done.add(message.id)
        return "answered"

    def outcome_of(self, conversation: str, message_id: str) -> str | None:
        time.sleep(0.5)
        return "answered"


class PlainTwin:
    """The same in coroutines."""

    def __init__(self, redis_client: Any, send: Any) -> None:
        self._send, self._done, self._lock = send, set[str](), asyncio.Lock()

    async def serve(self) -> None:
        for number in range(3):
            await asyncio.sleep(1.0)
            await self._send("c1", f"Word {number}")

    async def handle(self, message: Any) -> str:
        async with self._lock:
            await asyncio.sleep(1.0)
            await self._send(message.conversation, f"Got {message.id}", message_ids=(message.id,))
        self._done.add(message.id)
        return "answered"

    async def outcome_of(self, conversation: str, message_id: str) -> str | None:
        await asyncio.sleep(0.5)
        return "answered"


def plain(client: Any, redis_client: Any, send: Any) -> Plain:
    return Plain(redis_client, send)


def plain_twin(client: Any, redis_client: Any, send: Any) -> PlainTwin:
    return PlainTwin(redis_client, send)
