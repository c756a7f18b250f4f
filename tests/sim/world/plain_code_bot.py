"""Plain code of many kinds: each message in a thread of its own, with the module's own clients, under a lock of Redis."""

from __future__ import annotations

import asyncio
import logging
import queue
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import redis

api = openai.OpenAI(api_key="sk-test")
store = redis.Redis(host="localhost", port=6379, decode_responses=True)
pool = ThreadPoolExecutor(max_workers=2)
letters: queue.Queue[tuple[Any, str, str]] = queue.Queue()
kept = threading.local()


def _post() -> None:
    """Sends what others have put into the queue."""
    while True:
        send, conversation, text = letters.get()
        send(conversation, text)
        letters.task_done()


threading.Thread(target=_post, daemon=True, name="post").start()


def _reply(thread_id: str, text: str) -> str:
    for attempt in range(3):
        try:
            api.beta.threads.messages.create(thread_id, role="user", content=text)
            break
        except openai.BadRequestError:
            if attempt == 2:
                raise
            time.sleep(2.0**attempt + random.random())
    run = api.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id="asst_test", poll_interval_ms=700)
    (message,) = api.beta.threads.messages.list(thread_id, run_id=run.id, limit=1).data
    return message.content[0].text.value  # type: ignore[union-attr]


async def _note(message_id: str) -> str:
    await asyncio.sleep(0.1)
    return f"noted {message_id}"


class Bot:
    """Acknowledges at once; the work goes on in threads."""

    def __init__(self, send: Any) -> None:
        self._send = send

    def handle(self, message: Any) -> None:
        threading.Thread(target=self._work, args=(message,)).start()

    def _work(self, message: Any) -> None:
        kept.name = f"{threading.current_thread().name} {uuid.uuid4().hex[:8]}"
        try:
            with store.lock(f"chat:{message.conversation}", timeout=120, blocking_timeout=60):
                text = pool.submit(_reply, message.thread_id, message.text).result(timeout=90)
        except Exception:
            logging.exception("no answer for %s in %s", message.id, kept.name)
            text = "Sorry, that did not work."
        logging.info("%s, %s", asyncio.run(_note(message.id)), kept.name)
        letters.put((self._send, message.conversation, text))


def make(client: Any, redis_client: Any, send: Any) -> Bot:
    return Bot(send)
