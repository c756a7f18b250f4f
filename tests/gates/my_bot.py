"""A chat bot as many are written: one Redis lock per chat, the SDK's own polling, no thought for what else is running.

It knows nothing of the simulator. Its mistake is the lock's `timeout`: 20 s, while runs may take longer. Then the lock is
gone in the middle of a run, the chat's next message gets in, and its append meets the run that is still active.
"""

import logging

from openai import AsyncOpenAI, OpenAIError
from redis.asyncio import Redis
from redis.exceptions import LockError

logger = logging.getLogger("my_bot")

SORRY = "Sorry, something went wrong. Please try again."


class Bot:
    def __init__(self, client: AsyncOpenAI, redis: Redis, send) -> None:
        self.threads = client.beta.threads
        self.redis = redis
        self.send = send

    async def handle(self, message) -> None:
        lock = self.redis.lock(f"chat:{message.conversation}", timeout=20, blocking_timeout=120, sleep=0.5)
        if not await lock.acquire():
            await self.send(message.conversation, SORRY)
            return
        try:
            await self.send(message.conversation, await self.ask(message.thread_id, message.text))
        except OpenAIError as error:
            logger.error("no answer: %s", error)
            await self.send(message.conversation, SORRY)
        finally:
            try:
                await lock.release()
            except LockError:
                logger.warning("the lock was gone before the answer was")

    async def ask(self, thread_id: str, text: str) -> str:
        await self.threads.messages.create(thread_id, role="user", content=text)
        run = await self.threads.runs.create_and_poll(thread_id=thread_id, assistant_id="asst_relaysim")
        if run.status != "completed":
            return SORRY
        page = await self.threads.messages.list(thread_id, run_id=run.id, limit=1)
        return page.data[0].content[0].text.value


def make(client: AsyncOpenAI, redis: Redis, send) -> Bot:
    return Bot(client, redis, send)
