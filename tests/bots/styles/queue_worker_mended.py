"""The same, but a failure of the API is waited out, and whatever else goes wrong ends one message and not the thread."""

import logging
import queue
import threading
import time

from fastapi import FastAPI
from openai import InternalServerError
from thread_per_message import answer, new_messages

app = FastAPI()
jobs: queue.Queue = queue.Queue()


def answer_patiently(message: dict) -> None:
    for wait in (10, 30, 60, None):
        try:
            answer(message["from"], message["text"]["body"])
            return
        except InternalServerError:
            if wait is None:
                raise
            time.sleep(wait)


def work() -> None:
    while True:
        message = jobs.get()
        try:
            answer_patiently(message)
        except Exception:
            logging.exception("answering %s", message["id"])


threading.Thread(target=work, daemon=True).start()


@app.post("/webhook")
async def webhook(payload: dict) -> dict:
    for message in new_messages(payload):
        jobs.put(message)
    return {"status": "ok"}
