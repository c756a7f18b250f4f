"""Debounce with `threading.Timer`: what a customer writes within three seconds is answered together."""

import threading
from collections import defaultdict

from fastapi import FastAPI
from thread_per_message import answer, new_messages

app = FastAPI()
buffers: defaultdict[str, list[str]] = defaultdict(list)
timers: dict[str, threading.Timer] = {}


def flush(user: str) -> None:
    answer(user, "\n".join(buffers[user]))
    buffers[user].clear()


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
