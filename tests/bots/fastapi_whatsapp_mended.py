"""The same bot, which acknowledges at once, drops what it has had already, and answers one message of a sender at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi_whatsapp import answer, messages_in, verify_signature

seen: set[str] = set()
turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
app = FastAPI()


async def in_turn(message: dict) -> None:
    async with turns[message["from"]]:
        await answer(message["from"], message["id"], message["text"]["body"])


@app.post("/webhook")
async def webhook(request: Request, background: BackgroundTasks) -> dict:
    body = await request.body()
    verify_signature(body, request.headers["x-hub-signature-256"])
    for message in messages_in(await request.json()):
        if message["id"] not in seen:
            seen.add(message["id"])
            background.add_task(in_turn, message)
    return {"status": "ok"}


first_only = FastAPI()


@first_only.post("/webhook")
async def webhook_first_only(request: Request, background: BackgroundTasks) -> dict:
    messages = messages_in(await request.json())
    if messages and messages[0]["id"] not in seen:
        seen.add(messages[0]["id"])
        background.add_task(in_turn, messages[0])
    return {"status": "ok"}


busy = FastAPI()
refused: list[bytes] = []


@busy.post("/webhook")
async def webhook_busy(request: Request, background: BackgroundTasks) -> dict:
    """Has no room for the first webhook that comes, and says so before it reads it."""
    if not refused:
        refused.append(b"")
        raise HTTPException(503)
    return await webhook(request, background)
