"""What the bots with queues have in common: one job answers what a customer wrote, however often it is begun.

The message's id is kept with the message, so that a job that comes again after a crash appends nothing twice.
"""

import os
import time

import redis
import requests
from openai import OpenAI

ENDED = ("completed", "failed", "cancelled", "expired", "incomplete")
SORRY = "Sorry, something went wrong. Please try again."
URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
client = OpenAI()
store = redis.Redis.from_url(URL, decode_responses=True)


def send(sender, text):
    requests.post(os.environ["CHANNEL_URL"], json={"to": sender, "text": text}, timeout=10).raise_for_status()


def run_on(thread_id):
    """The newest run of a thread, once it has ended."""
    while True:
        runs = client.beta.threads.runs.list(thread_id, limit=1).data
        if not runs or runs[0].status in ENDED:
            return runs[0] if runs else None
        time.sleep(2)


def answer(message_id, sender, thread_id, text):
    threads = client.beta.threads
    run = run_on(thread_id)
    newest = threads.messages.list(thread_id, limit=2).data
    if all(each.metadata.get("id") != message_id for each in newest):
        threads.messages.create(thread_id, role="user", content=text, metadata={"id": message_id})
        run = None
    if run is None or newest[0].role == "user" or newest[0].run_id != run.id:
        threads.runs.create(thread_id, assistant_id="asst_1")
        run = run_on(thread_id)
    page = threads.messages.list(thread_id, run_id=run.id, limit=1).data
    send(sender, page[0].content[0].text.value if page else SORRY)
