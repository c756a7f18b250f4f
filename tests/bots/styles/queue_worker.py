"""A queue and one thread that works it off. Whatever goes wrong ends the thread."""

import queue
import threading

from fastapi import FastAPI
from thread_per_message import answer, new_messages

app = FastAPI()
jobs: queue.Queue = queue.Queue()


def work() -> None:
    while True:
        message = jobs.get()
        answer(message["from"], message["text"]["body"])
        jobs.task_done()


threading.Thread(target=work, daemon=True).start()


@app.post("/webhook")
async def webhook(payload: dict) -> dict:
    for message in new_messages(payload):
        jobs.put(message)
    return {"status": "ok"}
