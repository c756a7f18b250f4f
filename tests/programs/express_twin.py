"""The bot of express_bot/server.js, line for line in Python: FastAPI, `openai`, and redis-py's asyncio client."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import uuid

import httpx2
import redis.asyncio
from fastapi import FastAPI, Request, Response
from openai import AsyncOpenAI
from openai.types.beta.threads import Run

GRAPH_API_URL = os.environ.get("GRAPH_API_URL", "https://graph.facebook.com")
GRAPH = f"{GRAPH_API_URL}/v21.0/{os.environ['WHATSAPP_PHONE_NUMBER_ID']}/messages"
LOCK_MS = 15_000
LOCK_TRIES = 60
POLLS = 60
SORRY = "Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente."

openai = AsyncOpenAI()
kept = redis.asyncio.from_url(os.environ["REDIS_URL"], decode_responses=True)
http = httpx2.AsyncClient(timeout=300.0)
seen: set[str] = set()
tasks: set[asyncio.Task] = set()
app = FastAPI()


async def send(to: str, text: str) -> None:
    response = await http.post(
        GRAPH,
        headers={"authorization": f"Bearer {os.environ['WHATSAPP_TOKEN']}"},
        json={"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": text}},
    )
    if not response.is_success:
        raise RuntimeError(f"WhatsApp: {response.status_code} {response.text}")


async def lock(phone: str) -> None:
    token = str(uuid.uuid4())
    for _ in range(LOCK_TRIES):
        if await kept.set(f"lock:{phone}", token, px=LOCK_MS, nx=True):
            return
        await asyncio.sleep(0.5)
    raise RuntimeError(f"no lock for {phone}")


async def thread_of(phone: str) -> str:
    known = await kept.get(f"thread:{phone}")
    if known:
        return known
    thread = await openai.beta.threads.create()
    await kept.set(f"thread:{phone}", thread.id)
    return thread.id


async def look(run_id: str, thread_id: str) -> Run:
    """npm's client reads a body after its repetitions: one that breaks off is not asked for again. Nor is it here."""
    async with openai.beta.threads.runs.with_streaming_response.retrieve(run_id, thread_id=thread_id) as response:
        return await response.parse()


async def ask(phone: str, text: str) -> str:
    thread_id = await thread_of(phone)
    await openai.beta.threads.messages.create(thread_id, role="user", content=text)
    run = await openai.beta.threads.runs.create(thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"])
    for _ in range(POLLS):
        if run.status not in ("queued", "in_progress"):
            break
        await asyncio.sleep(1)
        run = await look(run.id, thread_id)
    if run.status != "completed":
        raise RuntimeError(f"run {run.id} is {run.status}")
    messages = await openai.beta.threads.messages.list(thread_id, limit=1)
    return messages.data[0].content[0].text.value


async def handle(message: dict) -> None:
    if message["id"] in seen:
        return
    seen.add(message["id"])
    phone = message["from"]
    try:
        await lock(phone)
        try:
            await send(phone, await ask(phone, message["text"]["body"]))
        finally:
            await kept.delete(f"lock:{phone}")
    except Exception as error:
        print(f"message {message['id']}: {error}", flush=True)
        try:
            await send(phone, SORRY)
        except Exception as failed:
            print(f"apology for {message['id']}: {failed}", flush=True)


@app.post("/webhook")
async def webhook(request: Request) -> Response:
    body = await request.body()
    expected = hmac.new(os.environ["WHATSAPP_APP_SECRET"].encode(), body, hashlib.sha256).hexdigest()
    if request.headers.get("x-hub-signature-256") != f"sha256={expected}":
        return Response(status_code=401)
    for entry in (await request.json())["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                if message["type"] == "text":
                    task = asyncio.create_task(handle(message))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
    return Response(status_code=200)
