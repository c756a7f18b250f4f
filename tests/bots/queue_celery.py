"""Celery: a message is acknowledged when a worker begins its task, or with `acks_late` when that is done.

The last task answers all that waits in one conversation, one at a time: while another worker is at it, it comes again.
"""

import json

import queue_answers
from celery import Celery
from queue_answers import SORRY, URL, client, store

app = Celery("queue_celery", broker=URL)
app.conf.broker_transport_options = {"visibility_timeout": 60}


@app.task
def answer_early(*job):
    queue_answers.answer(*job)


@app.task(acks_late=True)
def answer_late(*job):
    queue_answers.answer(*job)


def append_and_answer(sender, thread_id, texts):
    for text in texts:
        client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = client.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id="asst_1")
    page = client.beta.threads.messages.list(thread_id, run_id=run.id, limit=1).data
    queue_answers.send(sender, page[0].content[0].text.value if page else SORRY)


@app.task
def answer_at_once(message_id, sender, thread_id, text):
    append_and_answer(sender, thread_id, [text])


class Busy(Exception):
    pass


def enqueue_for_one(message_id, sender, thread_id, sent_at, text):
    store.zadd(f"waiting:{sender}", {json.dumps([message_id, text]): sent_at})
    answer_waiting.apply_async((sender, thread_id), countdown=2.5)


@app.task(acks_late=True, autoretry_for=(Busy,), default_retry_delay=3, max_retries=None)
def answer_waiting(sender, thread_id):
    lock = store.lock(f"busy:{sender}", timeout=120)
    if not lock.acquire(blocking=False):
        raise Busy
    try:
        entries = store.zrange(f"waiting:{sender}", 0, -1)
        if entries:
            append_and_answer(sender, thread_id, [json.loads(each)[1] for each in entries])
            store.zrem(f"waiting:{sender}", *entries)
    finally:
        lock.release()
