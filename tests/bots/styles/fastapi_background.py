"""FastAPI and background tasks: the webhook is acknowledged at once, and each message is answered in a task of its own."""

import os

import httpx
from fastapi import BackgroundTasks, FastAPI, Request
from openai import AsyncOpenAI

app = FastAPI()
client = AsyncOpenAI()
thread_ids: dict[str, str] = {}
seen: set[str] = set()


async def send_text(to: str, body: str) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        response = await http.post(
            f"https://graph.facebook.com/v21.0/{os.environ['PHONE_NUMBER_ID']}/messages",
            headers={"Authorization": f"Bearer {os.environ['WHATSAPP_TOKEN']}"},
            json={"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": body}},
        )
        response.raise_for_status()


async def thread_of(user: str) -> str:
    if user not in thread_ids:
        thread_ids[user] = (await client.beta.threads.create()).id
    return thread_ids[user]


async def answer(user: str, text: str) -> None:
    thread_id = await thread_of(user)
    await client.beta.threads.messages.create(thread_id, role="user", content=text)
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
                if message["type"] == "text" and message["id"] not in seen:
                    seen.add(message["id"])
                    background.add_task(answer, message["from"], message["text"]["body"])
    return {"status": "ok"}
