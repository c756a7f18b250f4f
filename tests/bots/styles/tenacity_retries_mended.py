"""The same behind a lock for each customer; what is tried again is an append that meets a run left by somebody else."""

import asyncio
import os
from collections import defaultdict

from fastapi import BackgroundTasks, FastAPI, Request
from fastapi_background import client, send_text, thread_of
from openai import BadRequestError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

app = FastAPI()
seen: set[str] = set()
locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


@retry(retry=retry_if_exception_type(BadRequestError), stop=stop_after_delay(600), wait=wait_exponential(max=10))
async def append(thread_id: str, text: str) -> None:
    await client.beta.threads.messages.create(thread_id, role="user", content=text)


async def answer(user: str, text: str) -> None:
    async with locks[user]:
        thread_id = await thread_of(user)
        await append(thread_id, text)
        run = await client.beta.threads.runs.create_and_poll(
            thread_id=thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"]
        )
        messages = await client.beta.threads.messages.list(thread_id, run_id=run.id)
        await send_text(user, messages.data[0].content[0].text.value)


@app.post("/webhook")
async def webhook(request: Request, background: BackgroundTasks) -> dict:
    payload = await request.json()
    for entry in payload["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                if message["id"] not in seen:
                    seen.add(message["id"])
                    background.add_task(answer, message["from"], message["text"]["body"])
    return {"status": "ok"}
