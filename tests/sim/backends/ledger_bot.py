"""A relay of the ledger backend, as people write them: try, wait while the conversation is locked, look until it is done."""

from __future__ import annotations

import asyncio
from typing import Any

import openai

APOLOGY = "Sorry, please try again later."


class LedgerBot:
    """Appends and runs in one request; gives up after `attempts`."""

    def __init__(self, client: Any, send: Any, attempts: int) -> None:
        self._responses, self._send, self._attempts = client.responses, send, attempts

    async def handle(self, message: Any) -> None:
        for _ in range(self._attempts):
            try:
                turn = await self._responses.create(model="m", conversation=message.thread_id, input=message.text)
            except openai.ConflictError:
                await asyncio.sleep(2.0)
            else:
                break
        else:
            await self._send(message.conversation, APOLOGY)
            return
        while turn.status != "completed":
            await asyncio.sleep(1.0)
            turn = await self._responses.retrieve(turn.id)
        await self._send(message.conversation, turn.output[0].content[0].text)


def make(client: Any, redis_client: Any, send: Any, *, attempts: int = 5) -> LedgerBot:
    return LedgerBot(client, send, attempts)
