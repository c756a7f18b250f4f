"""The same with an inbox for each customer: what goes through the list is who has written, and a lock guards each inbox."""

import json
import threading

from fastapi import FastAPI
from redis_consumer import answer, store

app = FastAPI()


def consume() -> None:
    while True:
        _, user = store.blpop("users")
        with store.lock(f"lock:{user}", timeout=300):
            while job := store.lpop(f"inbox:{user}"):
                answer(user, json.loads(job)["text"]["body"])


threading.Thread(target=consume, daemon=True).start()


@app.post("/webhook")
def webhook(payload: dict) -> dict:
    for entry in payload["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                if store.set(f"seen:{message['id']}", "1", nx=True, ex=86400):
                    store.rpush(f"inbox:{message['from']}", json.dumps(message))
                    store.rpush("users", message["from"])
    return {"status": "ok"}
