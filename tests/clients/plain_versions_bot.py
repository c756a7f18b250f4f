"""A plain bot that makes its clients at import, as most do; written so that it runs with every version of them."""

from __future__ import annotations

import os
import time
from typing import Any

import openai
import redis

VERSIONS = f"{openai.__version__} {redis.__version__}"
if os.environ["EXPECTED_VERSIONS"] != VERSIONS:
    raise RuntimeError(f"ran with other versions: {VERSIONS}")

CLIENT = openai.OpenAI()
STORE = redis.Redis.from_url("redis://redis:6379/0")


class Bot:
    """One message of a conversation at a time; but which comes first is left to the lock."""

    def __init__(self, send: Any) -> None:
        self.send = send

    def handle(self, message: Any) -> None:
        threads = CLIENT.beta.threads
        with STORE.lock(f"lock:{message.conversation}", timeout=600, blocking_timeout=300):
            try:
                threads.messages.create(message.thread_id, role="user", content=message.text)
                run = threads.runs.create(message.thread_id, assistant_id="asst_1")
                while run.status in ("queued", "in_progress", "cancelling"):
                    time.sleep(1.0)
                    run = threads.runs.retrieve(run.id, thread_id=message.thread_id)
                replies = threads.messages.list(message.thread_id, run_id=run.id)
            except openai.APIError:
                self.send(message.conversation, "Desculpe")
                return
            for reply in replies:
                self.send(message.conversation, reply.content[0].text.value)


def make(client: Any, store: Any, send: Any) -> Bot:
    return Bot(send)
