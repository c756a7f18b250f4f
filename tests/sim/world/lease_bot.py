"""A bot of somebody else's: one Redis lock per conversation, renewed while it is held, and promises that say so."""

import asyncio
import uuid
from typing import ClassVar

LOCK_SECONDS = 4.0
RELEASE = """-- unlock
if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end
return 0
"""
RENEW = """-- renew
if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("PEXPIRE", KEYS[1], ARGV[2]) end
return 0
"""


class LeaseBot:
    """Answers each message in a run of its own, under the conversation's lock."""

    promises: ClassVar = {
        "lease": {"key": "bot:{conversation}:lock", "seconds": LOCK_SECONDS, "steps": {"renew": ["-- renew"]}},
        "ordered": False,
    }
    renews = True

    def __init__(self, openai, redis, send):
        self.openai, self.redis, self.send = openai, redis, send

    async def handle(self, message):
        key, token = f"bot:{message.conversation}:lock", uuid.uuid4().hex
        while not await self.redis.set(key, token, nx=True, px=int(LOCK_SECONDS * 1000)):
            await asyncio.sleep(0.5)
        renewal = asyncio.create_task(self._renew(key, token)) if self.renews else None
        try:
            await self._answer(message)
        finally:
            if renewal is not None:
                renewal.cancel()
            await self.redis.eval(RELEASE, 1, key, token)

    async def _renew(self, key, token):
        while await self.redis.eval(RENEW, 1, key, token, int(LOCK_SECONDS * 1000)):
            await asyncio.sleep(LOCK_SECONDS / 4)

    async def _answer(self, message):
        threads, thread = self.openai.beta.threads, message.thread_id
        await threads.messages.create(thread, role="user", content=message.text)
        run = await threads.runs.create(thread, assistant_id="asst_bot")
        while run.status in ("queued", "in_progress"):
            await asyncio.sleep(1.0)
            run = await threads.runs.retrieve(run.id, thread_id=thread)
        newest = await threads.messages.list(thread, limit=1)
        await self.send(message.conversation, newest.data[0].content[0].text.value)


class ForgetfulBot(LeaseBot):
    """The same without its renewal: a run that takes longer than the lock lets a second worker in."""

    renews = False


class SilentBot(ForgetfulBot):
    """The same, which declares nothing."""

    promises = None


def lease_bot(openai, redis, send):
    return LeaseBot(openai, redis, send)


def forgetful_bot(openai, redis, send):
    return ForgetfulBot(openai, redis, send)


def silent_bot(openai, redis, send):
    return SilentBot(openai, redis, send)


class Promising:
    """Promises what is no promise, and would serve."""

    promises = "everything"

    async def serve(self):
        """Nothing."""

    async def handle(self, message):
        """Nothing."""


def promise_everything(openai, redis, send):
    return Promising()
