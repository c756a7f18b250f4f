"""Web applications that send through their provider, and log what it answers."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx2

log = logging.getLogger(__name__)
URL = "https://api.telegram.org/bot123456789:relaysim-token/sendMessage"


class Sender:
    """Answers each message of the customer's so often, at once."""

    def __init__(self, times: int, timeout: float = 30.0) -> None:
        self.times, self.timeout = times, timeout

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise KeyError
        chat = json.loads((await receive())["body"])["message"]["chat"]["id"]
        async with httpx2.AsyncClient(timeout=self.timeout) as client:
            for number in range(self.times):
                await self.post(client, {"chat_id": chat, "text": f"Text {number}"})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    async def post(self, client: Any, content: Any) -> None:
        try:
            response = await client.post(URL, json=content)
        except httpx2.HTTPError as error:
            log.info("%s", type(error).__name__)
            return
        answer = response.json()
        log.info("%s", answer.get("parameters") or answer.get("description") or answer["result"]["message_id"])
        await asyncio.sleep(0.0)


once = Sender(1)
impatient = Sender(1, timeout=1.0)
often = Sender(30)
