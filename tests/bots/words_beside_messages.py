"""Bots that give a run's model more than messages: instructions, an assistant of its own, tools, metadata.

The fine ones put there what is the conversation's own or nobody's; the others, what another customer wrote.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from collecting_bot import CollectingBot

_ENDED = ("completed", "failed", "cancelled", "expired", "incomplete")


class Beside(CollectingBot):
    """Override `options` to give a run more, or `prepare` to do something before it."""

    def __init__(self, client: Any, redis: Any, send: Any, *, about: Any) -> None:
        super().__init__(client, redis, send)
        self.client = client
        self.about = about

    async def answer(self, conversation: str, texts: list[str], thread_id: str) -> None:
        before = await self.redis.getset("last", json.dumps([conversation, texts[0]]))
        other = json.loads(before) if before else ["nobody", "nothing"]
        note = self.about((conversation, texts[0]), other)
        options = await self.options(conversation, note)
        await self.clear(thread_id)
        for text in texts:
            await self.threads.messages.create(thread_id, role="user", content=text)
        await self.prepare(thread_id, note)
        run = await self.threads.runs.create(thread_id, **{"assistant_id": "asst_x", **options})
        while run.status not in _ENDED:
            await asyncio.sleep(1.0)
            run = await self.threads.runs.retrieve(run.id, thread_id=thread_id)
        page = await self.threads.messages.list(thread_id, run_id=run.id, limit=1)
        await self.finish(conversation, page.data[0].content[0].text.value)

    async def options(self, conversation: str, note: str) -> dict[str, Any]:
        return {}

    async def prepare(self, thread_id: str, note: str) -> None:
        pass


class Instructing(Beside):
    async def options(self, conversation: str, note: str) -> dict[str, Any]:
        return {"additional_instructions": note}


class Replacing(Beside):
    async def options(self, conversation: str, note: str) -> dict[str, Any]:
        return {"instructions": f"You are a support agent.\n{note}"}


class WithTools(Beside):
    async def options(self, conversation: str, note: str) -> dict[str, Any]:
        return {"tools": [{"type": "function", "function": {"name": "look_up", "description": note[:900]}}]}


class Noting(Beside):
    async def options(self, conversation: str, note: str) -> dict[str, Any]:
        return {"metadata": {"chat": conversation, "note": note[:500]}}


class NotingTheOrder(Beside):
    async def options(self, conversation: str, note: str) -> dict[str, Any]:
        return {"metadata": {"order": (re.findall(r"\d{6,}", note) or ["none"])[0]}}


class NotingOnTheThread(Beside):
    async def prepare(self, thread_id: str, note: str) -> None:
        await self.threads.update(thread_id, metadata={"note": note[:500]})


class SharedAssistant(Beside):
    """One assistant for everybody, whose instructions it keeps up to date."""

    async def options(self, conversation: str, note: str) -> dict[str, Any]:
        known = await self.redis.get("assistant")
        if known is None:
            made = await self.client.beta.assistants.create(model="gpt-4o", instructions=note)
            await self.redis.set("assistant", made.id, nx=True)
            known = await self.redis.get("assistant")
        assistant_id = str(known.decode())
        await self.client.beta.assistants.update(assistant_id, instructions=note)
        return {"assistant_id": assistant_id}


class OwnAssistant(Beside):
    """An assistant for each conversation."""

    async def options(self, conversation: str, note: str) -> dict[str, Any]:
        known = await self.redis.get(f"assistant:{conversation}")
        if known is None:
            made = await self.client.beta.assistants.create(model="gpt-4o", instructions=note)
            known = made.id.encode()
            await self.redis.set(f"assistant:{conversation}", known)
        return {"assistant_id": str(known.decode())}


class Messages(Beside):
    async def options(self, conversation: str, note: str) -> dict[str, Any]:
        return {"additional_messages": [{"role": "assistant", "content": note}]}


def _own(own: Any, other: Any) -> str:
    return f"The customer's number is {own[0]}. They began with: {own[1]}"


def _constant(own: Any, other: Any) -> str:
    return "You work for a shop. Orders take three days; returns are free. Answer in the customer's language, briefly."


def _clock(own: Any, other: Any) -> str:
    return f"It is {asyncio.get_running_loop().time():.3f} on the clock."


def _foreign(own: Any, other: Any) -> str:
    return f"The customer's number is {own[0]}. They began with: {other[1]}"


def _foreign_number(own: Any, other: Any) -> str:
    return f"The customer's number is {other[0]}."


def _bot(kind: type[Beside], about: Any) -> Any:
    return lambda client, redis, send: kind(client, redis, send, about=about)


own_words_in_instructions = _bot(Instructing, _own)
the_clock_in_instructions = _bot(Replacing, _clock)
own_words_in_metadata = _bot(Noting, _own)
own_order_in_metadata = _bot(NotingTheOrder, _own)
own_words_on_the_thread = _bot(NotingOnTheThread, _own)
own_words_in_tools = _bot(WithTools, _own)
own_words_in_an_assistant_of_its_own = _bot(OwnAssistant, _own)
a_shared_assistant_with_the_clock = _bot(SharedAssistant, _clock)
a_shared_assistant_with_a_constant = _bot(SharedAssistant, _constant)


# No customer would accept these.

others_words_in_instructions = _bot(Instructing, _foreign)
others_words_in_the_runs_instructions = _bot(Replacing, _foreign)
others_number_in_instructions = _bot(Replacing, _foreign_number)
others_words_in_metadata = _bot(Noting, _foreign)
others_order_in_metadata = _bot(NotingTheOrder, _foreign)
others_words_on_the_thread = _bot(NotingOnTheThread, _foreign)
others_words_in_tools = _bot(WithTools, _foreign)
others_words_in_an_assistant_of_its_own = _bot(OwnAssistant, _foreign)
a_shared_assistant_with_the_latest_words = _bot(SharedAssistant, _own)
others_words_as_the_assistants = _bot(Messages, _foreign)
