"""Bots that look at threads while they handle nothing: fine ones first, then one that no customer would accept."""

from __future__ import annotations

import asyncio
from typing import Any

from collecting_bot import CollectingBot


class Looking(CollectingBot):
    """Leaves a task behind when a message was handled, and knows all threads."""

    task: asyncio.Task[None] | None = None

    async def handle(self, message: Any) -> None:
        await self.redis.sadd("threads", message.thread_id)
        await super().handle(message)
        self.leave_a_task()

    def leave_a_task(self) -> None:
        self.task = asyncio.create_task(self.look_around(3.0))

    async def look_around(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for each in sorted(await self.redis.smembers("threads")):
            await self.look(each.decode())

    async def look(self, thread_id: str) -> None:
        await self.threads.messages.list(thread_id, limit=5)


class Sweeping(Looking):
    """One task of each process looks for messages that nobody has answered."""

    def leave_a_task(self) -> None:
        if self.task is None:
            self.task = asyncio.create_task(self.sweep())

    async def sweep(self) -> None:
        for _ in range(10):
            await self.look_around(3.0)


class Unsticking(Looking):
    """After each message it looks for runs that hang."""

    async def look(self, thread_id: str) -> None:
        await self.threads.runs.list(thread_id, limit=5)


one_sweep_for_forgotten_messages = Sweeping
looking_for_runs_that_hang = Unsticking

# No customer would accept this.

looking_for_similar_questions = Looking
