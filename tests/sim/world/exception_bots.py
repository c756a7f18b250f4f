"""Relays whose exceptions nobody receives, as asyncio lets them."""

from __future__ import annotations

import asyncio
import gc
from typing import Any


class Early:
    """Acknowledges, and works in a task. What fails there is raised by no `handle`."""

    def __init__(self, client: Any, send: Any, failing: str, way: str) -> None:
        self._client, self._send, self._failing, self._way = client, send, failing, way
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, message: Any) -> None:
        task = asyncio.ensure_future(self._work(message))
        self._tasks.add(task)
        if self._way != "kept":
            task.add_done_callback(self._tasks.discard)

    async def _work(self, message: Any) -> None:
        await asyncio.sleep(1)
        if message.id == self._failing and self._way == "finalizer":
            Broken()
        elif message.id == self._failing and self._way == "not in this lane":
            await self._client.beta.threads.runs.create_and_poll(thread_id="t", assistant_id="a")
        elif message.id == self._failing:
            raise LookupError(f"no customer {message.conversation}")
        await self._send(message.conversation, f"Got {message.id}")


class Broken:
    def __del__(self) -> None:
        raise OSError("cannot be closed")


def early(client: Any, redis_client: Any, send: Any, *, failing: str = "c1.m1", way: str = "dropped") -> Early:
    return Early(client, send, failing, way)


class Cyclic(Early):
    """Leaves its tasks in circles of references, and collects garbage at some of its messages."""

    def __init__(self, client: Any, send: Any, failing: str, collects: bool) -> None:
        super().__init__(client, send, failing, "kept")
        self._collects = collects

    async def handle(self, message: Any) -> None:
        await super().handle(message)
        circle: list[Any] = [self._tasks]
        circle.append(circle)
        self._tasks = set()
        del circle
        if self._collects:
            await asyncio.sleep(3)
            gc.collect()


def cyclic(client: Any, redis_client: Any, send: Any, *, failing: str = "c1.m1", collects: bool = False) -> Cyclic:
    return Cyclic(client, send, failing, collects)


class TransactionInHandle:
    """Asks for something that the direct lane does not have."""

    def __init__(self, redis_client: Any) -> None:
        self._redis = redis_client

    async def handle(self, message: Any) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            await pipe.set("k", "v").execute()


def transaction(client: Any, redis_client: Any, send: Any) -> TransactionInHandle:
    return TransactionInHandle(redis_client)


class Swallowing(Early):
    """Calls what lane direct has not, and takes the error for one of the API's."""

    async def handle(self, message: Any) -> None:
        try:
            await self._client.beta.threads.runs.create_and_poll(thread_id="t", assistant_id="a")
        except Exception:
            await self._send(message.conversation, "Sorry, something went wrong.")


def swallowing(client: Any, redis_client: Any, send: Any) -> Swallowing:
    return Swallowing(client, send, "", "dropped")
