"""The same: what is new goes into a queue, and one thread works it off."""

import queue
import threading

from flask import Flask, request
from flask_webhook import answer

app = Flask(__name__)
jobs = queue.Queue()
seen = set()


def work():
    while True:
        message = jobs.get()
        answer(message["from"], message["text"]["body"])


threading.Thread(target=work, daemon=True).start()


@app.post("/webhook")
def webhook():
    for entry in request.json["entry"]:
        for change in entry["changes"]:
            for message in change["value"].get("messages", []):
                if message["id"] not in seen:
                    seen.add(message["id"])
                    jobs.put(message)
    return "", 200
