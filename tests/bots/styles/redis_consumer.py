"""The webhook only pushes into a list in Redis; a consumer in each worker pops from it and answers."""

import json
import threading

import redis
from fastapi import FastAPI
from thread_per_message import client, os, send_text

app = FastAPI()
store = redis.Redis.from_url("redis://redis:6379/0", decode_responses=True, socket_timeout=None)


def answer(user: str, text: str) -> None:
    thread_id = store.get(f"thread:{user}")
    if thread_id is None:
        thread_id = client.beta.threads.create().id
        store.set(f"thread:{user}", thread_id)
    client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = client.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=os.environ["OPENAI_ASSISTANT_ID"])
    messages = client.beta.threads.messages.list(thread_id, run_id=run.id)
    send_text(user, messages.data[0].content[0].text.value)


def consume() -> None:
    while True:
        _, job = store.blpop("jobs")
        message = json.loads(job)
        answer(message["from"], message["text"]["body"])


threading.Thread(target=consume, daemon=True).start()


@app.post("/webhook")
def webhook(payload: dict) -> dict:
    for entry in payload["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                if store.set(f"seen:{message['id']}", "1", nx=True, ex=86400):
                    store.rpush("jobs", json.dumps(message))
    return {"status": "ok"}
