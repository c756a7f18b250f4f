"""The base of the bots of this folder: a fine bot, of which each other one does one thing differently.

It keeps what a conversation's customer writes in Redis until they have paused, passes it on in the order of writing, waits
for the run, and sends what that run wrote. One worker at a time does this for a conversation; a lock that is held is waited
for.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

SORRY = "Sorry, something went wrong. Please try again."


class CollectingBot:
    """Override a step to do it otherwise."""

    pause_seconds = 2.5

    def __init__(self, client: Any, redis: Any, send: Any) -> None:
        self.threads = client.beta.threads
        self.redis = redis
        self.send = send

    async def handle(self, message: Any) -> None:
        entry = json.dumps([message.sent_at, message.id, message.text, message.thread_id])
        if not await self.redis.set(f"seen:{message.id}", "1", nx=True):
            return
        await self.redis.rpush(f"waiting:{message.conversation}", entry)
        await asyncio.sleep(self.pause_seconds)
        while not await self.redis.set(f"busy:{message.conversation}", message.id, nx=True):
            await asyncio.sleep(0.5)
        try:
            waiting = f"waiting:{message.conversation}"
            batch = sorted(json.loads(each) for each in await self.redis.lrange(waiting, 0, -1))
            await self.redis.delete(waiting)
            if batch:
                await self.answer(message.conversation, [text for _, _, text, _ in batch], batch[0][3])
        finally:
            await self.redis.delete(f"busy:{message.conversation}")

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        """Answer what a customer wrote, on the conversation's thread."""
        thread_id = await self.thread_of(conversation, thread_id)
        await self.clear(thread_id)
        for text in self.passed_on(conversation, texts):
            await self.threads.messages.create(thread_id, role="user", content=text)
        run = await self.threads.runs.create(thread_id, assistant_id="asst_x")
        while run.status not in ("completed", "failed", "cancelled", "expired", "incomplete"):
            await asyncio.sleep(1.0)
            run = await self.threads.runs.retrieve(run.id, thread_id=thread_id)
        page = await self.threads.messages.list(thread_id, run_id=run.id, limit=1)
        await self.finish(conversation, page.data[0].content[0].text.value if page.data else SORRY)

    async def thread_of(self, conversation: str, thread_id: str) -> str:
        """The thread on which this conversation is answered."""
        return thread_id

    async def clear(self, thread_id: str) -> None:
        """Wait for a run that somebody has left on the thread."""
        while any(run.status not in _ENDED for run in (await self.threads.runs.list(thread_id, limit=1)).data):
            await asyncio.sleep(2.0)

    async def finish(self, conversation: str, reply: str) -> None:
        """Send what a run wrote."""
        for text in self.sent(conversation, reply):
            await self.send(conversation, text)

    def passed_on(self, conversation: str, texts: list[str]) -> list[str]:
        """What is appended to the thread for what the customer wrote."""
        return texts

    def sent(self, conversation: str, reply: str) -> list[str]:
        """What is sent for a run's reply."""
        return [reply]


_ENDED = ("completed", "failed", "cancelled", "expired", "incomplete")


def make(client: Any, redis: Any, send: Any) -> CollectingBot:
    return CollectingBot(client, redis, send)
