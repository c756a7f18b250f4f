"""The same: the buffer is taken before the answer, and a customer's answers wait for one another."""

import threading
from collections import defaultdict

from fastapi import FastAPI
from thread_per_message import answer, new_messages

app = FastAPI()
buffers: defaultdict[str, list[str]] = defaultdict(list)
timers: dict[str, threading.Timer] = {}
locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def flush(user: str) -> None:
    with locks[user]:
        texts = buffers.pop(user, [])
        if texts:
            answer(user, "\n".join(texts))


@app.post("/webhook")
async def webhook(payload: dict) -> dict:
    for message in new_messages(payload):
        user = message["from"]
        buffers[user].append(message["text"]["body"])
        if user in timers:
            timers[user].cancel()
        timers[user] = threading.Timer(3.0, flush, (user,))
        timers[user].start()
    return {"status": "ok"}
