"""An append that is refused is tried again, three times, a second apart."""

import os

from fastapi import BackgroundTasks, FastAPI, Request
from fastapi_background import client, send_text, thread_of
from tenacity import retry, stop_after_attempt, wait_fixed

app = FastAPI()
seen: set[str] = set()


@retry(stop=stop_after_attempt(3), wait=wait_fixed(1))
async def append(thread_id: str, text: str) -> None:
    await client.beta.threads.messages.create(thread_id, role="user", content=text)


async def answer(user: str, text: str) -> None:
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
