"""Bots whose adapter does not work yet, or that call what is not simulated; and twins that do neither."""

import asyncio

from limits_threads import ASSISTANT


class Bot:
    """Answers on the thread that the message names."""

    def __init__(self, client, send):
        self.client, self.threads, self.send = client, client.beta.threads, send

    async def handle(self, message):
        await self.threads.messages.create(message.thread_id, role="user", content=message.text)
        run = await self.threads.runs.create_and_poll(thread_id=message.thread_id, assistant_id=ASSISTANT)
        page = await self.threads.messages.list(message.thread_id, run_id=run.id, limit=1)
        await self.send(message.conversation, self.shown(page.data[0].content[0].text.value))

    def shown(self, text):
        return text


class WrongBot(Bot):
    def shown(self, text, markup):
        return markup.format(text)


class AcknowledgingBot(WrongBot):
    """Works in a task, which nobody awaits."""

    async def handle(self, message):
        self.task = asyncio.create_task(super().handle(message))


class BusyBot(Bot):
    """Raises while it handles another message, so that the webhook comes again."""

    async def handle(self, message):
        if not await self.redis.set("busy", message.id, nx=True, ex=600):
            raise RuntimeError("busy")
        await super().handle(message)
        await self.redis.delete("busy")


class DrawingBot(Bot):
    """Asks another endpoint for a picture first."""

    async def handle(self, message):
        await self.client.images.generate(prompt=message.text)
        await super().handle(message)


def fine(client, redis, send):
    return Bot(client, send)


def wrong(client, redis, send):
    return WrongBot(client, send)


def busy(client, redis, send):
    bot = BusyBot(client, send)
    bot.redis = redis
    return bot


def wrong_in_a_task(client, redis, send):
    return AcknowledgingBot(client, send)


def drawing(client, redis, send):
    return DrawingBot(client, send)


def drawn(client, redis, send):
    """The same with a stand-in for that endpoint."""
    bot = DrawingBot(client, send)
    bot.client = StandIn()
    return bot


class StandIn:
    def __init__(self):
        self.images = self

    async def generate(self, *, prompt):
        return None


class SilentForTheSecondBot(Bot):
    """Raises after each answer to the first customer, and never answers the second one."""

    async def handle(self, message):
        if message.conversation == "c1":
            async with self.redis.lock("c1"):
                await super().handle(message)
            raise RuntimeError("after the answer")


def silent_for_the_second(client, redis, send):
    bot = SilentForTheSecondBot(client, send)
    bot.redis = redis
    return bot
