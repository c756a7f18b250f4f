"""FastAPI with several workers, and an inbox, a lock and the thread ids of each customer in Redis."""

import json
import os

import redis.asyncio as redis
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi_background import client, send_text

app = FastAPI()
store = redis.Redis(host="redis", decode_responses=True, socket_timeout=None)


async def thread_of(user: str) -> str:
    thread_id = await store.get(f"thread:{user}")
    if thread_id is None:
        thread_id = (await client.beta.threads.create()).id
        await store.set(f"thread:{user}", thread_id)
    return thread_id


async def answer(user: str, text: str) -> None:
    thread_id = await thread_of(user)
    await client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"]
    )
    messages = await client.beta.threads.messages.list(thread_id, run_id=run.id)
    await send_text(user, messages.data[0].content[0].text.value)


async def work_off(user: str) -> None:
    async with store.lock(f"lock:{user}", timeout=300, sleep=0.5):
        while text := await store.lpop(f"inbox:{user}"):
            await answer(user, json.loads(text))


@app.post("/webhook")
async def webhook(request: Request, background: BackgroundTasks) -> dict:
    payload = await request.json()
    for entry in payload["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                if await store.set(f"seen:{message['id']}", "1", nx=True, ex=86400):
                    await store.rpush(f"inbox:{message['from']}", json.dumps(message["text"]["body"]))
                    background.add_task(work_off, message["from"])
    return {"status": "ok"}
