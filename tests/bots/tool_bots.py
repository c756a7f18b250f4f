"""Bots whose assistant calls five tools: three flaws that public bots have, each with its mended twin.

- `one_after_another` asks the shop for one tool's output after the other, 150 s each, and is late: the run has expired.
  `all_at_once` asks for all of them together.
- `each_by_itself` submits each output as soon as it is there: the API wants all of them in one request. `in_one_request`.
- `waits_for_the_run` finds a run that a dead worker left behind, and waits until it is over: it asks for outputs that nobody
  gives. `takes_over` answers its calls and sends its reply.
"""

from __future__ import annotations

import asyncio
from typing import Any

ACTIVE = ("queued", "in_progress", "requires_action", "cancelling")


class Bot:
    def __init__(self, client: Any, send: Any, seconds: float) -> None:
        self.threads, self.send, self.seconds = client.beta.threads, send, seconds

    async def handle(self, message: Any) -> None:
        thread = message.thread_id
        newest = await self.threads.runs.list(thread, limit=1)
        for run in newest.data:
            if run.status in ACTIVE:
                await self.meet(thread, run)
        messages = (await self.threads.messages.list(thread, limit=100, order="asc")).data
        mine = next((at for at, each in enumerate(messages) if each.metadata.get("id") == message.id), None)
        if mine is None:
            await self.threads.messages.create(thread, role="user", content=message.text, metadata={"id": message.id})
        if mine is None or all(each.run_id is None for each in messages[mine:]):
            run = await self.threads.runs.create(thread, assistant_id="asst_relaysim")
            await self.drive(thread, run)
            messages = (await self.threads.messages.list(thread, limit=100, order="asc")).data
        await self.send(message.conversation, messages[-1].content[0].text.value)

    async def drive(self, thread: str, run: Any) -> None:
        while run.status in ACTIVE:
            if run.status == "requires_action":
                await self.answer(thread, run.id, run.required_action.submit_tool_outputs.tool_calls)
            await asyncio.sleep(1)
            run = await self.threads.runs.retrieve(run.id, thread_id=thread)

    async def output(self, call: Any) -> dict[str, str]:
        await asyncio.sleep(self.seconds)
        return {"tool_call_id": call.id, "output": f"{call.function.name}: free"}

    async def answer(self, thread: str, run: str, calls: Any) -> None:
        outputs = await asyncio.gather(*[self.output(call) for call in calls])
        await self.threads.runs.submit_tool_outputs(run, thread_id=thread, tool_outputs=outputs)

    async def meet(self, thread: str, run: Any) -> None:
        await self.drive(thread, run)


class OneAfterAnother(Bot):
    async def answer(self, thread: str, run: str, calls: Any) -> None:
        outputs = [await self.output(call) for call in calls]
        await self.threads.runs.submit_tool_outputs(run, thread_id=thread, tool_outputs=outputs)


class EachByItself(Bot):
    async def answer(self, thread: str, run: str, calls: Any) -> None:
        for call in calls:
            outputs = [await self.output(call)]
            await self.threads.runs.submit_tool_outputs(run, thread_id=thread, tool_outputs=outputs)


class WaitsForTheRun(Bot):
    async def meet(self, thread: str, run: Any) -> None:
        while run.status in ACTIVE:
            await asyncio.sleep(1)
            run = await self.threads.runs.retrieve(run.id, thread_id=thread)


def one_after_another(client: Any, redis: Any, send: Any) -> Bot:
    return OneAfterAnother(client, send, 150.0)


def all_at_once(client: Any, redis: Any, send: Any) -> Bot:
    return Bot(client, send, 150.0)


def each_by_itself(client: Any, redis: Any, send: Any) -> Bot:
    return EachByItself(client, send, 1.0)


def in_one_request(client: Any, redis: Any, send: Any) -> Bot:
    return Bot(client, send, 1.0)


def waits_for_the_run(client: Any, redis: Any, send: Any) -> Bot:
    return WaitsForTheRun(client, send, 1.0)


takes_over = in_one_request


class Speaker(Bot):
    """Sends every message of a run, or only the newest."""

    def __init__(self, client: Any, send: Any, newest: int | None) -> None:
        super().__init__(client, send, 1.0)
        self.newest = newest

    async def handle(self, message: Any) -> None:
        thread = message.thread_id
        await self.threads.messages.create(thread, role="user", content=message.text)
        run = await self.threads.runs.create(thread, assistant_id="asst_relaysim")
        await self.drive(thread, run)
        page = await self.threads.messages.list(thread, run_id=run.id)
        for each in reversed(page.data[: self.newest]):
            await self.send(message.conversation, each.content[0].text.value)


def all_messages(client: Any, redis: Any, send: Any) -> Speaker:
    return Speaker(client, send, None)


def newest_message(client: Any, redis: Any, send: Any) -> Speaker:
    return Speaker(client, send, 1)
