"""Bots and a scenario that tests of `relaysim.check` judge, as files of somebody's project."""

from __future__ import annotations

BOTS = '''
import asyncio
import random


class Bot:
    """Answers one message at a time, in its one process."""

    def __init__(self, openai, send):
        self.openai, self.threads, self.send, self.turn = openai, openai.beta.threads, send, asyncio.Lock()

    async def handle(self, message):
        async with self.turn:
            await self.answer(message)

    async def answer(self, message):
        thread = message.thread_id
        await self.threads.messages.create(thread, role="user", content=message.text)
        run = await self.threads.runs.create_and_poll(thread_id=thread, assistant_id="asst_x")
        newest = await self.threads.messages.list(thread, run_id=run.id)
        await self.send(message.conversation, newest.data[0].content[0].text.value)


class Forgetful(Bot):
    async def handle(self, message):
        if random.random() > 0.15:
            await super().handle(message)


class Silent(Bot):
    async def handle(self, message):
        pass


class Twice(Bot):
    async def send_twice(self, conversation, text):
        await self.send_once(conversation, text)
        await self.send_once(conversation, text)

    def __init__(self, openai, send):
        super().__init__(openai, self.send_twice)
        self.send_once = send


class Broken(Bot):
    async def answer(self, message):
        raise KeyError("assistant")


class Moderating(Bot):
    async def answer(self, message):
        await self.openai.fine_tuning.jobs.list()
        await super().answer(message)


def sound(openai, redis, send):
    return Bot(openai, send)


def forgetful(openai, redis, send):
    return Forgetful(openai, send)


def silent(openai, redis, send):
    return Silent(openai, send)


def twice(openai, redis, send):
    return Twice(openai, send)


def broken(openai, redis, send):
    return Broken(openai, send)


def moderating(openai, redis, send):
    return Moderating(openai, send)


class Factories:
    make = staticmethod(lambda openai, redis, send: Bot(openai, send))


lambda_factory = lambda openai, redis, send: Bot(openai, send)
'''

SCENARIO = """
schema = 1
name = "two"
title = "Two messages of one customer"
root_seed = 7
replications = 12
profile = "claimed"

[relay]
factory = "FACTORY"

[[workers]]
count = 1

[workload]
conversations = 1
messages = [{ conversation = 1, at_seconds = 0.0 }, { conversation = 1, at_seconds = 30.0 }]
"""

TRANSPARENT = """
[[claims]]
id = "transparent"
title = "the customer does not notice"
kind = "never"
event = "transparency_breaches"
among = "messages"
reason = "it is one process"
"""

ANSWERED = """
[[claims]]
id = "answered"
title = "most messages are answered"
kind = "above"
event = "answered"
limit = 0.6
reason = "it is one process"
"""


def scenario(factory: str, *claims: str) -> str:
    """The text of the scenario file."""
    return SCENARIO.replace("FACTORY", factory) + "".join(claims)
