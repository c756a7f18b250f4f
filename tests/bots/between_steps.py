"""Bots that differ in what they keep from one step to the next: of each pair the fine one first, then one that no customer
would accept."""

from __future__ import annotations

import asyncio
import contextvars
import json
import time
from typing import Any, ClassVar

from collecting_bot import CollectingBot

_customer: contextvars.ContextVar[str] = contextvars.ContextVar("customer", default="")


class InAVariableOfTheTask(CollectingBot):
    """Whom it is serving is known to the task that serves them."""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        _customer.set(conversation)
        await super().answer(conversation, texts, thread_id)

    async def finish(self, conversation: str, reply: str) -> None:
        await self.send(_customer.get(), reply)


class InAnAttribute(CollectingBot):
    """Whom it is serving stands in the bot, which serves others meanwhile."""

    customer = ""

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        self.customer = conversation
        await super().answer(conversation, texts, thread_id)

    async def finish(self, conversation: str, reply: str) -> None:
        await self.send(self.customer, reply)


class EmptyingWhatItRead(CollectingBot):
    """What waited is taken out once it was answered, and what has come meanwhile stays."""

    pause_seconds = 0.3

    async def handle(self, message: Any) -> None:
        if not await self.redis.set(f"seen:{message.id}", "1", nx=True):
            return
        waiting = f"waiting:{message.conversation}"
        await self.redis.rpush(waiting, json.dumps([message.sent_at, message.text, message.thread_id]))
        await asyncio.sleep(self.pause_seconds)
        async with self.redis.lock(f"busy:{message.conversation}", sleep=0.5):
            lines = await self.redis.lrange(waiting, 0, -1)
            batch = sorted(json.loads(each) for each in lines)
            if batch:
                await self.answer(message.conversation, [text for _, text, _ in batch], batch[0][2])
                await self.empty(waiting, len(lines))

    async def empty(self, waiting: str, read: int) -> None:
        """Take out what was answered."""
        await self.redis.ltrim(waiting, read, -1)


class EmptyingAll(EmptyingWhatItRead):
    """The whole list goes, with what came while the run was at work."""

    async def empty(self, waiting: str, read: int) -> None:
        await self.redis.delete(waiting)


class ByTheSecond(CollectingBot):
    """What waits is in a sorted set, by the time at which it was written."""

    def score(self, sent_at: float) -> float:
        """Where a message stands among those that wait."""
        return sent_at

    def lock(self, conversation: str) -> str:
        """Under which key a conversation is locked."""
        return f"busy:{conversation}"

    async def handle(self, message: Any) -> None:
        if not await self.redis.set(f"seen:{message.id}", "1", nx=True):
            return
        waiting = f"waiting:{message.conversation}"
        entry = json.dumps([message.text, message.thread_id, message.id])
        await self.redis.zadd(waiting, {entry: self.score(message.sent_at)})
        await asyncio.sleep(self.pause_seconds)
        async with self.redis.lock(self.lock(message.conversation), sleep=0.5):
            batch = [json.loads(each) for each, _ in await self.redis.zpopmin(waiting, 100)]
            if batch:
                await self.answer(message.conversation, [text for text, _, _ in batch], batch[0][1])


class ByTheMinute(ByTheSecond):
    """Its times are so coarse that the letters decide."""

    def score(self, sent_at: float) -> float:
        return float(int(sent_at) // 60)


class KeepingItsThread(CollectingBot):
    """Makes a thread for each customer, and knows it from then on."""

    thread_seconds: ClassVar[int | None] = None

    async def thread_of(self, conversation: str, thread_id: str) -> str:
        known = await self.redis.get(f"thread:{conversation}")
        if known is None:
            made = (await self.threads.create()).id
            await self.redis.set(f"thread:{conversation}", made, ex=self.thread_seconds)
            return str(made)
        return str(known.decode())


class ForgettingItsThread(KeepingItsThread):
    """Knows it for twenty seconds."""

    thread_seconds = 20


class KeepingAnswers(CollectingBot):
    """Does not ask again what the same customer has asked in the same words."""

    def key(self, conversation: str, texts: list[str]) -> str:
        """Under which name an answer is kept."""
        return f"answer:{conversation}:{' '.join(texts)}"

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        known = await self.redis.get(self.key(conversation, texts))
        if known is not None:
            await self.send(conversation, known.decode())
            return
        self.kept: dict[str, str] = {**getattr(self, "kept", {}), conversation: self.key(conversation, texts)}
        await super().answer(conversation, texts, thread_id)

    async def finish(self, conversation: str, reply: str) -> None:
        await self.redis.set(self.kept[conversation], reply)
        await super().finish(conversation, reply)


class KeepingAnswersForAll(KeepingAnswers):
    """Takes what begins alike for the same question, whoever asks."""

    def key(self, conversation: str, texts: list[str]) -> str:
        return f"answer:{texts[0].lower()[:5]}"


class OneAfterTheOther(CollectingBot):
    """Sends a reply in three pieces, each when the one before has left."""

    def pieces(self, reply: str) -> list[str]:
        """The reply, cut between words."""
        words = reply.split(" ")
        size = max(1, -(-len(words) // 3))
        return [" ".join(words[first : first + size]) for first in range(0, len(words), size)]

    async def finish(self, conversation: str, reply: str) -> None:
        for piece in self.pieces(reply):
            await self.send(conversation, piece)


class AllAtOnce(OneAfterTheOther):
    """Sends the three at the same time."""

    async def finish(self, conversation: str, reply: str) -> None:
        await asyncio.gather(*(self.send(conversation, piece) for piece in self.pieces(reply)))


class OneLock(ByTheSecond):
    """Whoever has the conversation's lock finds its thread free, and looks no further."""

    pause_seconds = 0.3

    async def clear(self, thread_id: str) -> None:
        """Nothing."""


class OneLockForTenSeconds(OneLock):
    """The key has the time in it, and so what begins in the next ten seconds does not wait."""

    def lock(self, conversation: str) -> str:
        return f"busy:{conversation}:{int(time.time()) // 10}"


def _bot(kind: type[CollectingBot]) -> Any:
    def make(client: Any, redis: Any, send: Any) -> CollectingBot:
        return kind(client, redis, send)

    return make


customer_in_a_variable, customer_in_an_attribute = _bot(InAVariableOfTheTask), _bot(InAnAttribute)
emptying_what_it_read, emptying_all = _bot(EmptyingWhatItRead), _bot(EmptyingAll)
by_the_second, by_the_minute = _bot(ByTheSecond), _bot(ByTheMinute)
keeping_its_thread, forgetting_its_thread = _bot(KeepingItsThread), _bot(ForgettingItsThread)
keeping_answers, keeping_answers_for_all = _bot(KeepingAnswers), _bot(KeepingAnswersForAll)
one_lock, one_lock_for_ten_seconds = _bot(OneLock), _bot(OneLockForTenSeconds)
one_after_the_other, all_at_once = _bot(OneAfterTheOther), _bot(AllAtOnce)
