"""The same plain code in a thread beside the event loop; the webhook notes a message, and does not wait for its answer."""

import asyncio
from collections import defaultdict

from fastapi import FastAPI
from thread_per_message import answer, new_messages

app = FastAPI()
locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
tasks: set[asyncio.Task] = set()


async def answer_in_turn(user: str, text: str) -> None:
    async with locks[user]:
        await asyncio.to_thread(answer, user, text)


@app.post("/webhook")
async def webhook(payload: dict) -> dict:
    for message in new_messages(payload):
        task = asyncio.create_task(answer_in_turn(message["from"], message["text"]["body"]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    return {"status": "ok"}
