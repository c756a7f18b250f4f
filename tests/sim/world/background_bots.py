"""A relay whose work is done in `serve`, by whichever worker takes the job."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


class Consumer:
    """A queue in Redis, consumers on each worker, and a lock per conversation that is shorter than a run."""

    def __init__(self, client: Any, redis_client: Any, send: Any) -> None:
        self._threads, self._redis, self._send = client.beta.threads, redis_client, send

    async def handle(self, message: Any) -> None:
        await self._redis.rpush(f"pending:{message.conversation}", f"{message.thread_id} {message.text}")
        await self._redis.rpush("jobs", message.conversation)

    async def serve(self) -> None:
        while True:
            job = await self._redis.blpop(["jobs"], timeout=3)
            if job is not None:
                await self._work(job[1].decode())

    async def _work(self, conversation: str) -> None:
        token, lock = uuid4().hex, f"lock:{conversation}"
        while not await self._redis.set(lock, token, nx=True, px=1500):
            await asyncio.sleep(0.2)
        try:
            thread, _, text = (await self._redis.lpop(f"pending:{conversation}")).decode().partition(" ")
            run = await self._threads.runs.create(
                thread, assistant_id="asst_relaysim", additional_messages=[{"role": "user", "content": text}]
            )
            while run.status != "completed":
                await asyncio.sleep(0.5)
                run = await self._threads.runs.retrieve(run.id, thread_id=thread)
            page = await self._threads.messages.list(thread, run_id=run.id, limit=1)
            await self._send(conversation, page.data[0].content[0].text.value)
        finally:
            await self._redis.eval(_RELEASE, 1, lock, token)


def consumer(client: Any, redis_client: Any, send: Any) -> Consumer:
    return Consumer(client, redis_client, send)
