"""Bots that take their time, or more requests and runs than anybody would pay for; and twins that do not."""

import asyncio

from limits_threads import ASSISTANT


class Bot:
    """Polls every half second, and says what it does with the run."""

    def __init__(self, client, send):
        self.threads, self.send = client.beta.threads, send

    async def handle(self, message):
        await self.threads.messages.create(message.thread_id, role="user", content=message.text)
        run = await self.run(message.thread_id)
        page = await self.threads.messages.list(message.thread_id, run_id=run.id, limit=1)
        await self.before_the_answer(message)
        await self.send(message.conversation, page.data[0].content[0].text.value)

    async def run(self, thread_id):
        run = await self.threads.runs.create(thread_id, assistant_id=ASSISTANT)
        while run.status in ("queued", "in_progress"):
            await asyncio.sleep(0.5)
            run = await self.threads.runs.retrieve(run.id, thread_id=thread_id)
        return run

    async def before_the_answer(self, message):
        pass


class SlowBot(Bot):
    def __init__(self, client, send, seconds):
        super().__init__(client, send)
        self.seconds = seconds

    async def before_the_answer(self, message):
        await asyncio.sleep(self.seconds)


class PromisingBot(SlowBot):
    promises = {"deadline_seconds": 1500.0}  # noqa: RUF012 - as its author would write it


class CuriousBot(Bot):
    """Reads the thread again and again although nothing can have changed."""

    async def before_the_answer(self, message):
        for _ in range(200):
            await self.threads.messages.list(message.thread_id)


class UncertainBot(Bot):
    """Lets the assistant answer ten times and takes the last answer."""

    async def run(self, thread_id):
        for _ in range(9):
            await super().run(thread_id)
        return await super().run(thread_id)


def polling(client, redis, send):
    return Bot(client, send)


def after_20_minutes(client, redis, send):
    return SlowBot(client, send, 1200)


def after_2_minutes(client, redis, send):
    return SlowBot(client, send, 120)


def after_20_minutes_as_promised(client, redis, send):
    return PromisingBot(client, send, 1200)


def curious(client, redis, send):
    return CuriousBot(client, send)


def uncertain(client, redis, send):
    return UncertainBot(client, send)
