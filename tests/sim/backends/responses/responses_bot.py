"""Relays of Responses as people write them: one turn a message, and retries while the conversation is locked."""

from __future__ import annotations

import asyncio
from typing import Any

import openai

APOLOGY = "Sorry, please try again later."


class ResponsesBot:
    """A turn a message in the customer's conversation, in the foreground; waits and repeats on the lock."""

    def __init__(self, client: Any, send: Any, waits: tuple[float, ...]) -> None:
        self._client, self._send, self._waits = client, send, waits

    async def handle(self, message: Any) -> None:
        for wait in (*self._waits, None):
            try:
                turn = await self._client.responses.create(
                    model="gpt-4.1", conversation=message.thread_id, input=message.text
                )
            except openai.BadRequestError as error:
                if error.code != "conversation_locked":
                    raise
                if wait is None:
                    break
                await asyncio.sleep(wait)
            else:
                await self._send(message.conversation, turn.output_text)
                return
        await self._send(message.conversation, APOLOGY)


class BackgroundBot:
    """A turn in the background, looked at until it has ended."""

    def __init__(self, client: Any, send: Any) -> None:
        self._responses, self._send = client.responses, send

    async def handle(self, message: Any) -> None:
        turn = await self._responses.create(
            model="gpt-4.1", conversation=message.thread_id, input=message.text, background=True
        )
        while turn.status in ("queued", "in_progress"):
            await asyncio.sleep(1.0)
            turn = await self._responses.retrieve(turn.id)
        await self._send(message.conversation, turn.output_text)


def make(client: Any, redis_client: Any, send: Any, *, waits: tuple[float, ...] = (1.0, 2.0, 4.0)) -> ResponsesBot:
    return ResponsesBot(client, send, tuple(waits))


def make_background(client: Any, redis_client: Any, send: Any) -> BackgroundBot:
    return BackgroundBot(client, send)
