"""The same; one thread of the process works off what is noted, so that nobody is looked up twice."""

import queue
import threading

from fastapi import FastAPI
from sqlite_threads import answer, new_messages

app = FastAPI()
jobs: queue.Queue = queue.Queue()


def work() -> None:
    while True:
        message = jobs.get()
        answer(message["from"], message["text"]["body"])


threading.Thread(target=work, daemon=True).start()


@app.post("/webhook")
def webhook(payload: dict) -> dict:
    for message in new_messages(payload):
        jobs.put(message)
    return {"status": "ok"}
