"""An async endpoint that calls plain code: while it polls its run, nothing else of the process goes on."""

import time

from fastapi import FastAPI, Request
from thread_per_message import client, os, send_text

app = FastAPI()
thread_ids: dict[str, str] = {}


async def answer(user: str, text: str) -> None:
    if user not in thread_ids:
        thread_ids[user] = client.beta.threads.create().id
    thread_id = thread_ids[user]
    client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = client.beta.threads.runs.create(thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"])
    while run.status in ("queued", "in_progress"):
        time.sleep(1)
        run = client.beta.threads.runs.retrieve(run.id, thread_id=thread_id)
    messages = client.beta.threads.messages.list(thread_id, run_id=run.id)
    send_text(user, messages.data[0].content[0].text.value)


@app.post("/webhook")
async def webhook(request: Request) -> dict:
    payload = await request.json()
    for entry in payload["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                await answer(message["from"], message["text"]["body"])
    return {"status": "ok"}
