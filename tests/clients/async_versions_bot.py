"""An asynchronous bot that uses the clients it is handed; written so that it runs with every version of them."""

from __future__ import annotations

import os
from typing import Any

import openai
import redis.asyncio

VERSIONS = f"{openai.__version__} {redis.__version__}"
if os.environ["EXPECTED_VERSIONS"] != VERSIONS:
    raise RuntimeError(f"ran with other versions: {VERSIONS}")


class Bot:
    """One message of a conversation at a time; but which comes first is left to the lock."""

    def __init__(self, client: openai.AsyncOpenAI, store: redis.asyncio.Redis, send: Any) -> None:
        self.client, self.store, self.send = client, store, send

    async def handle(self, message: Any) -> None:
        threads = self.client.beta.threads
        async with self.store.lock(f"lock:{message.conversation}", timeout=600, blocking_timeout=300):
            try:
                await threads.messages.create(message.thread_id, role="user", content=message.text)
                run = await threads.runs.create_and_poll(thread_id=message.thread_id, assistant_id="asst_1")
                replies = [each async for each in threads.messages.list(message.thread_id, run_id=run.id)]
            except openai.APIError:
                await self.send(message.conversation, "Desculpe")
                return
            for reply in replies:
                await self.send(message.conversation, reply.content[0].text.value)


def make(client: Any, store: Any, send: Any) -> Bot:
    if not isinstance(client, openai.AsyncOpenAI) or not isinstance(store, redis.asyncio.Redis):
        raise TypeError("these are clients of other libraries than the bot imports")
    return Bot(client, store, send)
