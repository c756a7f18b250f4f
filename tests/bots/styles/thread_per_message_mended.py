"""The same with a lock for each customer."""

import threading
from collections import defaultdict

from fastapi import FastAPI
from thread_per_message import answer, new_messages

app = FastAPI()
locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def answer_in_turn(user: str, text: str) -> None:
    with locks[user]:
        answer(user, text)


@app.post("/webhook")
def webhook(payload: dict) -> dict:
    for message in new_messages(payload):
        threading.Thread(target=answer_in_turn, args=(message["from"], message["text"]["body"])).start()
    return {"status": "ok"}
