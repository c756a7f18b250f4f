"""Bots that raise before they have answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar


class Raising:
    """Reads from a message what is not in it."""

    async def handle(self, message: Any) -> None:
        self.answer({"text": message.text})

    def answer(self, fields: dict[str, str]) -> str:
        return fields["customer"]


def raising(client: Any, redis_client: Any, send: Any) -> Raising:
    return Raising()


class UnreadableError(Exception):
    """What a bot makes of whatever went wrong below."""


class Chained:
    """Raises its own exception in place of the one that a library's call ended in."""

    def __init__(self, how: str) -> None:
        self.how = how

    async def handle(self, message: Any) -> None:
        try:
            await self.answer(message.text)
        except (ValueError, LookupError, ExceptionGroup) as error:
            match self.how:
                case "logged":
                    logging.getLogger("bot").exception("cannot answer")
                case "cause" | "group":
                    raise UnreadableError("no answer") from error
                case "context":
                    raise UnreadableError("no answer")  # noqa: B904
                case _:
                    raise UnreadableError("no answer") from None

    async def answer(self, text: str) -> None:
        if self.how == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(self.read(text))
            return
        await self.read(text)

    async def read(self, text: str) -> None:
        try:
            json.loads(f"{{{text}")
        except ValueError:
            raise LookupError("nothing to read")  # noqa: B904


def _chained(how: str) -> Callable[[Any, Any, Any], Chained]:
    return lambda client, redis_client, send: Chained(how)


cause, context, hidden, group, logged = (_chained(how) for how in ("cause", "context", "hidden", "group", "logged"))


class Asking:
    """Appends, creates a run, waits for it and sends its reply; each kind of it does one thing that it should not."""

    def __init__(self, client: Any, redis_client: Any, send: Any) -> None:
        self.threads, self.redis, self.send = client.beta.threads, redis_client, send
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def handle(self, message: Any) -> None:
        await self.ask(message)

    async def ask(self, message: Any) -> None:
        try:
            await self.threads.messages.create(message.thread_id, role="user", content=message.text)
            run = await self.threads.runs.create(message.thread_id, assistant_id="asst_relaysim")
            while run.status in ("queued", "in_progress"):
                await asyncio.sleep(0.5)
                run = await self.threads.runs.retrieve(run.id, thread_id=message.thread_id)
            page = await self.threads.messages.list(message.thread_id, run_id=run.id, limit=1)
            await self.send(message.conversation, page.data[0].content[0].text.value)
        except Exception:
            await self.send(message.conversation, "Sorry, something went wrong.")


class Deleting(Asking):
    """Deletes the lock of whoever holds it when it has waited for a while."""

    async def handle(self, message: Any) -> None:
        lock = f"lock:{message.conversation}"
        for _ in range(3):
            if await self.redis.set(lock, message.text, nx=True, ex=60):
                break
            await asyncio.sleep(0.2)
        else:
            await self.redis.delete(lock)
            await self.redis.set(lock, message.text, ex=60)
        await self.ask(message)
        await self.redis.delete(lock)


class Sleeping(Asking):
    """Sleeps in a coroutine for as long as customers wait."""

    async def handle(self, message: Any) -> None:
        await self.threads.messages.create(message.thread_id, role="user", content=message.text)
        time.sleep(100.0)  # noqa: ASYNC251
        await self.send(message.conversation, "Sorry, something went wrong.")


class Dropping(Asking):
    """Cancels what it does for a message when the next one comes, half done."""

    async def handle(self, message: Any) -> None:
        if message.conversation in self.tasks:
            self.tasks[message.conversation].cancel()
        self.tasks[message.conversation] = asyncio.create_task(self.ask(message))
        await asyncio.wait([self.tasks[message.conversation]])


class Forgetting(Asking):
    """Accepts messages, and that was that."""

    async def handle(self, message: Any) -> None:
        return


class AskingTwice(Asking):
    """Promises one run for each message, and lets a second one run when it fails."""

    promises: ClassVar = {"runs_max": 1}

    async def handle(self, message: Any) -> None:
        await self.threads.messages.create(message.thread_id, role="user", content=message.text)
        for _ in range(2):
            run = await self.threads.runs.create(message.thread_id, assistant_id="asst_relaysim")
            while run.status in ("queued", "in_progress"):
                await asyncio.sleep(0.5)
                run = await self.threads.runs.retrieve(run.id, thread_id=message.thread_id)
        await self.send(message.conversation, "Sorry, something went wrong.", message_ids=[message.id])


class Confusing(Asking):
    """Keeps to whom it answers for all its messages at once."""

    async def ask(self, message: Any) -> None:
        self.customer = message.conversation
        await super().ask(message)

    def __init__(self, client: Any, redis_client: Any, send: Any) -> None:
        super().__init__(client, redis_client, lambda _, text: send(self.customer, text))


class Swallowing(Asking):
    """Cannot read what it was answered, and catches that without a word."""

    def __init__(self, client: Any, redis_client: Any, send: Any) -> None:
        async def unpacked(customer: str, text: str) -> None:
            with contextlib.suppress(ValueError):
                await send(customer, json.loads(text))

        super().__init__(client, redis_client, unpacked)


class Hasty(Asking):
    """Looks at its run for some seconds, and sends the newest message of the thread, whosever that is."""

    async def ask(self, message: Any) -> None:
        await self.threads.messages.create(message.thread_id, role="user", content=message.text)
        await self.threads.runs.create(message.thread_id, assistant_id="asst_relaysim")
        await asyncio.sleep(1.0)
        page = await self.threads.messages.list(message.thread_id, limit=1)
        await self.send(message.conversation, page.data[0].content[0].text.value)
