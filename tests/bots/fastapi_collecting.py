"""A bot that takes rapid messages together: FastAPI with several workers, WhatsApp, Redis for what they share.

What a customer writes waits in Redis; whoever gets the customer's lock answers all of it in one run.
"""

from __future__ import annotations

import asyncio
import json
import os

import redis.asyncio
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi_whatsapp import client, messages_in, post, verify_signature

ENDED = ("completed", "failed", "cancelled", "expired", "incomplete")
store = redis.asyncio.from_url(os.environ["REDIS_URL"], decode_responses=True)
app = FastAPI()


async def thread_of(sender: str) -> str:
    thread_id = await store.get(f"thread:{sender}")
    if thread_id is None:
        thread_id = (await client.beta.threads.create()).id
        await store.set(f"thread:{sender}", thread_id)
    return thread_id


async def answer_all(sender: str) -> None:
    await asyncio.sleep(2.5)
    while not await store.set(f"busy:{sender}", "1", nx=True):
        await asyncio.sleep(0.5)
    try:
        waiting = [json.loads(each) for each in await store.lrange(f"waiting:{sender}", 0, -1)]
        waiting.sort(
            key=lambda entry: int(entry[0])
        )  # whole seconds; what came within one stays in the order of coming
        await store.delete(f"waiting:{sender}")
        if waiting:
            await answer(sender, [text for _, text in waiting])
    finally:
        await store.delete(f"busy:{sender}")


async def answer(sender: str, texts: list[str]) -> None:
    thread_id = await thread_of(sender)
    threads = client.beta.threads
    while any(run.status not in ENDED for run in (await threads.runs.list(thread_id, limit=1)).data):
        await asyncio.sleep(2.0)
    for text in texts:
        await threads.messages.create(thread_id, role="user", content=text)
    run = await threads.runs.create(thread_id, assistant_id="asst_1")
    while run.status not in ENDED:
        await asyncio.sleep(1.0)
        run = await threads.runs.retrieve(run.id, thread_id=thread_id)
    page = await threads.messages.list(thread_id, run_id=run.id, limit=1)
    body = page.data[0].content[0].text.value if page.data else "Sorry, something went wrong. Please try again."
    await post({"to": sender, "type": "text", "text": {"body": body}})


@app.post("/webhook")
async def webhook(request: Request, background: BackgroundTasks) -> dict:
    verify_signature(await request.body(), request.headers["x-hub-signature-256"])
    for message in messages_in(await request.json()):
        if await store.set(f"seen:{message['id']}", "1", nx=True):
            entry = [message["timestamp"], message["text"]["body"]]
            await store.rpush(f"waiting:{message['from']}", json.dumps(entry))
            background.add_task(answer_all, message["from"])
    return {"status": "ok"}
