"""The same, but only the waiting is cancelled: an answer that has begun is finished, and the next one waits for it."""

import asyncio
from collections import defaultdict

from fastapi import FastAPI, Request
from fastapi_background import answer, seen

app = FastAPI()
buffers: defaultdict[str, list[str]] = defaultdict(list)
waiting: dict[str, asyncio.Task] = {}
answering: set[asyncio.Task] = set()
locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


async def flush(user: str) -> None:
    async with locks[user]:
        if texts := buffers.pop(user, []):
            await answer(user, "\n".join(texts))


async def flush_later(user: str) -> None:
    await asyncio.sleep(3)
    task = asyncio.create_task(flush(user))
    answering.add(task)
    task.add_done_callback(answering.discard)


@app.post("/webhook")
async def webhook(request: Request) -> dict:
    payload = await request.json()
    for entry in payload["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                if message["id"] in seen:
                    continue
                seen.add(message["id"])
                user = message["from"]
                buffers[user].append(message["text"]["body"])
                if user in waiting:
                    waiting[user].cancel()
                waiting[user] = asyncio.create_task(flush_later(user))
    return {"status": "ok"}
