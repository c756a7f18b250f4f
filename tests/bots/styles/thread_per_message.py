"""Plain code: a thread for each message, the synchronous client, `requests`."""

import os
import threading
import time

import requests
from fastapi import FastAPI
from openai import OpenAI

app = FastAPI()
client = OpenAI()
thread_ids: dict[str, str] = {}
seen: set[str] = set()


def send_text(to: str, body: str) -> None:
    response = requests.post(
        f"https://graph.facebook.com/v21.0/{os.environ['PHONE_NUMBER_ID']}/messages",
        headers={"Authorization": f"Bearer {os.environ['WHATSAPP_TOKEN']}"},
        json={"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": body}},
        timeout=30,
    )
    response.raise_for_status()


def answer(user: str, text: str) -> None:
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


def new_messages(payload: dict) -> list[dict]:
    messages = [
        message
        for entry in payload["entry"]
        for change in entry["changes"]
        for message in change["value"].get("messages", [])
        if message["id"] not in seen
    ]
    seen.update(message["id"] for message in messages)
    return messages


@app.post("/webhook")
def webhook(payload: dict) -> dict:
    for message in new_messages(payload):
        threading.Thread(target=answer, args=(message["from"], message["text"]["body"])).start()
    return {"status": "ok"}
