"""Callbacks as discord.py has them: the client starts a task for each event."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from openai import AsyncOpenAI

openai = AsyncOpenAI()


@dataclass
class Channel:
    id: str
    send: Callable[[str], Awaitable[None]]


@dataclass
class Message:
    channel: Channel
    content: str


class Client:
    def __init__(self) -> None:
        self._callbacks: dict[str, Callable[..., Awaitable[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def event(self, callback: Any) -> Any:
        self._callbacks[callback.__name__] = callback
        return callback

    def dispatch(self, event: str, *args: Any) -> None:
        callback = self._callbacks.get(f"on_{event}")
        if callback is not None:
            task = asyncio.create_task(callback(*args))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


client = Client()
thread_ids: dict[str, str] = {}


@client.event
async def on_message(message: Message) -> None:
    channel = message.channel
    if channel.id not in thread_ids:
        thread_ids[channel.id] = (await openai.beta.threads.create()).id
    thread_id = thread_ids[channel.id]
    await openai.beta.threads.messages.create(thread_id, role="user", content=message.content)
    run = await openai.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id="asst_1")
    messages = await openai.beta.threads.messages.list(thread_id, run_id=run.id)
    await channel.send(messages.data[0].content[0].text.value)
