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


class StreamBot:
    """A turn that is read as it is written, and left in the middle as `leaves` says; the customer is told which events came.

    leaves  "never"; "timeout", "cancel": 2 s after its beginning; "close": after its third event; "resume": as "close", in
            the background, and it is taken up again from where it was left
    """

    def __init__(self, client: Any, send: Any, leaves: str) -> None:
        self._responses, self._send, self._leaves = client.responses, send, leaves
        self._told: list[str] = []

    async def handle(self, message: Any) -> None:
        self._told = told = []
        try:
            await self._turn(message, told)
        except (openai.APIError, TimeoutError, asyncio.CancelledError, ValueError) as error:
            told.append(f"{type(error).__name__}: {error}")
        await self._send(message.conversation, " ".join(told) or APOLOGY)

    async def _turn(self, message: Any, told: list[str]) -> None:
        background = {"background": True} if self._leaves == "resume" else {}
        turn = {"model": "gpt-4.1", "conversation": message.thread_id, "input": message.text, **background}
        stream = await self._responses.create(stream=True, **turn)
        if self._leaves == "timeout":
            async with asyncio.timeout(2.0):
                await self._read(stream, told)
        elif self._leaves == "cancel":
            reading = asyncio.create_task(self._read(stream, told))
            await asyncio.wait([reading], timeout=2.0)
            reading.cancel()
            await reading
        elif self._leaves == "never":
            await self._read(stream, told)
        else:
            response_id = await self._read(stream, told, events_max=3)
            if self._leaves == "resume" and response_id:
                await asyncio.sleep(1.0)
                rest = await self._responses.retrieve(response_id, stream=True, starting_after=len(told) - 1)
                await self._read(rest, told)

    @staticmethod
    async def _read(stream: Any, told: list[str], events_max: int = 10**6) -> str:
        response_id = ""
        async with stream:
            async for event in stream:
                told.append(f"{event.type}@{event.sequence_number}")
                if event.type == "response.created":
                    response_id = event.response.id
                if event.type == "response.completed":
                    told.append(event.response.output_text)
                if len(told) >= events_max:
                    break
        return response_id


def make_stream(client: Any, redis_client: Any, send: Any, *, leaves: str = "never") -> StreamBot:
    return StreamBot(client, send, leaves)


class PiecesBot:
    """Sends a turn's text two words at a time, while it is written, and the rest at its end; `drops` loses the rest."""

    def __init__(self, client: Any, send: Any, drops: bool) -> None:
        self._responses, self._send, self._drops = client.responses, send, drops

    async def handle(self, message: Any) -> None:
        left = ""
        stream = await self._responses.create(
            model="gpt-4.1", conversation=message.thread_id, input=message.text, stream=True
        )
        async for event in stream:
            if event.type == "response.output_text.delta":
                left += event.delta
                words = left.split(" ")
                if len(words) > 2:
                    await self._send(message.conversation, " ".join(words[:2]))
                    left = " ".join(words[2:])
        if left.strip() and not self._drops:
            await self._send(message.conversation, left)


def make_pieces(client: Any, redis_client: Any, send: Any, *, drops: bool = False) -> PiecesBot:
    return PiecesBot(client, send, drops)
