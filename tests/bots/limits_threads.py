"""Bots that look after their threads themselves: a table in Redis of the thread of each chat, or a new thread each time."""

import asyncio

from openai import BadRequestError

ASSISTANT = "asst_support"
BUSY = ("queued", "in_progress", "requires_action")


class Bot:
    def __init__(self, client, redis, send):
        self.threads, self.redis, self.send = client.beta.threads, redis, send

    async def thread_of(self, conversation):
        known = await self.redis.get(f"thread:{conversation}")
        if known:
            return known.decode()
        thread = await self.threads.create(metadata={"chat": conversation})
        await self.redis.set(f"thread:{conversation}", thread.id)
        return thread.id

    async def append(self, thread_id, text):
        await self.threads.messages.create(thread_id, role="user", content=text)

    async def handle(self, message):
        async with self.redis.lock(f"chat:{message.conversation}", timeout=300, blocking_timeout=600):
            thread_id = await self.thread_of(message.conversation)
            await self.append(thread_id, message.text)
            run = await self.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=ASSISTANT)
            page = await self.threads.messages.list(thread_id, run_id=run.id, limit=1)
            await self.send(message.conversation, page.data[0].content[0].text.value)


class PatientBot(Bot):
    async def append(self, thread_id, text):
        for _ in range(30):
            try:
                await super().append(thread_id, text)
                return
            except BadRequestError:
                async for run in self.threads.runs.list(thread_id, limit=20):
                    if run.status in BUSY:
                        await self.threads.runs.cancel(run.id, thread_id=thread_id)
                await asyncio.sleep(2)


class NewThreadBot(Bot):
    async def handle(self, message):
        question = {"role": "user", "content": message.text}
        run = await self.threads.create_and_run_poll(assistant_id=ASSISTANT, thread={"messages": [question]})
        page = await self.threads.messages.list(run.thread_id, run_id=run.id, limit=1)
        await self.send(message.conversation, page.data[0].content[0].text.value)


class ConsumingBot(Bot):
    """Its first message starts the task that answers everybody's: the latest conversation first, each all at once."""

    waiting = None

    async def handle(self, message):
        if self.waiting is None:
            self.waiting = {}
            self.task = asyncio.create_task(self.consume())
        self.waiting.setdefault(message.conversation, []).append(message.text)

    async def consume(self):
        while True:
            await asyncio.sleep(3)
            while self.waiting:
                conversation, texts = self.waiting.popitem()
                thread_id = await self.thread_of(conversation)
                for text in texts:
                    await self.append(thread_id, text)
                run = await self.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=ASSISTANT)
                page = await self.threads.messages.list(thread_id, run_id=run.id, limit=1)
                await self.send(conversation, page.data[0].content[0].text.value)


def impatient(client, redis, send):
    """Gives up at the first refusal."""
    return Bot(client, redis, send)


def patient(client, redis, send):
    return PatientBot(client, redis, send)


def new_thread(client, redis, send):
    return NewThreadBot(client, redis, send)


def consuming(client, redis, send):
    return ConsumingBot(client, redis, send)
