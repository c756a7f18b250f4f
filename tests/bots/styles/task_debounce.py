"""Debounce with asyncio: each message cancels the task of the one before, and starts a new one."""

import asyncio
from collections import defaultdict

from fastapi import FastAPI, Request
from fastapi_background import answer

app = FastAPI()
buffers: defaultdict[str, list[str]] = defaultdict(list)
tasks: dict[str, asyncio.Task] = {}


async def flush_later(user: str) -> None:
    await asyncio.sleep(3)
    texts, buffers[user] = buffers[user], []
    await answer(user, "\n".join(texts))


@app.post("/webhook")
async def webhook(request: Request) -> dict:
    payload = await request.json()
    for entry in payload["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                user = message["from"]
                buffers[user].append(message["text"]["body"])
                if user in tasks:
                    tasks[user].cancel()
                tasks[user] = asyncio.create_task(flush_later(user))
    return {"status": "ok"}
