"""A bot that tells which copy of an invented package `twice` it meets, when it loads it, and when its functions do."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

import twice
import twice.left
from twice import circle

LOADED: list[str] = []


class Bot:
    def __init__(self, send: Any) -> None:
        self._send = send

    def handle(self, message: Any) -> None:
        told: list[str] = []

        def in_a_thread() -> None:
            from twice import late

            twice.nap()
            told.append(late.COPY)

        thread = threading.Thread(target=in_a_thread)
        thread.start()
        thread.join()
        LOADED.append(message.id)
        told += [
            twice.COPY,
            circle(),
            twice.lazily(),
            import_module("twice.by_name").COPY,
            import_module("twice_single").COPY,
            twice.version(),
            f"{len(LOADED)} handled,",
            "loaded once" if twice.LOADS.count(twice.COPY) == 1 else f"loaded: {twice.LOADS}",
        ]
        self._send(message.conversation, " ".join(told), message_ids=[message.id])


def make(openai: Any, redis: Any, send: Any) -> Bot:
    return Bot(send)
