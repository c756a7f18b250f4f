"""A bot as tutorials write it: FastAPI, WhatsApp's Cloud API, the Assistants API. It answers before it acknowledges."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os

import httpx2
from fastapi import FastAPI, HTTPException, Request
from openai import AsyncOpenAI

GRAPH = f"https://graph.facebook.com/v21.0/{os.environ['WHATSAPP_PHONE_NUMBER_ID']}/messages"
client = AsyncOpenAI()
threads: dict[str, str] = {}
app = FastAPI()


def verify_signature(body: bytes, header: str) -> None:
    expected = hmac.new(os.environ["WHATSAPP_APP_SECRET"].encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(f"sha256={expected}", header):
        raise HTTPException(403)


async def post(content: dict) -> None:
    headers = {"Authorization": f"Bearer {os.environ['WHATSAPP_TOKEN']}"}
    async with httpx2.AsyncClient(timeout=30.0) as http:
        response = await http.post(GRAPH, json={"messaging_product": "whatsapp", **content}, headers=headers)
        response.raise_for_status()


async def answer(sender: str, message_id: str, text: str) -> None:
    await post({"status": "read", "message_id": message_id, "typing_indicator": {"type": "text"}})
    if sender not in threads:
        threads[sender] = (await client.beta.threads.create()).id
    thread_id = threads[sender]
    await client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = await client.beta.threads.runs.create(thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"])
    while run.status in ("queued", "in_progress"):
        await asyncio.sleep(1)
        run = await client.beta.threads.runs.retrieve(run.id, thread_id=thread_id)
    messages = await client.beta.threads.messages.list(thread_id, run_id=run.id)
    await post({"to": sender, "type": "text", "text": {"body": messages.data[0].content[0].text.value}})


def messages_in(content: dict) -> list[dict]:
    return [
        message
        for entry in content["entry"]
        for change in entry["changes"]
        for message in change["value"].get("messages", [])
        if message["type"] == "text"
    ]


@app.post("/webhook")
async def webhook(request: Request) -> dict:
    body = await request.body()
    verify_signature(body, request.headers["x-hub-signature-256"])
    for message in messages_in(await request.json()):
        await answer(message["from"], message["id"], message["text"]["body"])
    return {"status": "ok"}
