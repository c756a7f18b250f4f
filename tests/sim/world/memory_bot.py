"""A bot that keeps everything in its module: what it answers says how much of that it found there."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import deque
from contextvars import ContextVar
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import Any

import redis.asyncio

LOADED_AT = monotonic()
LOOP = asyncio.get_event_loop()  # as a script does that makes its client before it runs anything

known: dict[str, int] = {}
queue: deque[str] = deque()
lock = Lock()
one_at_a_time = asyncio.Semaphore(1)
conversation: ContextVar[str] = ContextVar("conversation", default="none")
settings_client = redis.asyncio.Redis()
log = logging.getLogger("shop.memory")

conversation.set("loading")
os.environ["SHOP_LIVES"] = os.environ.get("SHOP_LIVES", "") + "|"
sys.path.append("/nowhere/shop")


class Count(logging.Handler):
    """Counts what this life logs."""

    lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1


counter = Count()
log.addHandler(counter)
logging.getLogger("redis").addHandler(counter)
logging.basicConfig(level="DEBUG", handlers=[counter], force=True)

plain_record = logging.getLogRecordFactory()


def shop_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = plain_record(*args, **kwargs)
    record.shop = [*getattr(record, "shop", ()), "shop"]
    return record


logging.setLogRecordFactory(shop_record)


@lru_cache
def price(of: str) -> int:
    return len(of)


class Memory:
    def __init__(self, send: Any) -> None:
        self._send = send

    async def handle(self, message: Any) -> None:
        async with one_at_a_time:
            await asyncio.sleep(1.0)
            known[message.id] = known.get(message.id, 0) + 1
            queue.append(message.id)
            price(message.id)
            log.info("handling %s", message.id)
            assert lock.acquire(blocking=False), "another worker's lock, or another life's"
            record = log.makeRecord("shop", logging.INFO, "", 0, "", (), None)
            seen = {
                "known": len(known),
                "queue": len(queue),
                "priced": price.cache_info().currsize,
                "lines": counter.lines,
                "lives": os.environ["SHOP_LIVES"],
                "path": sys.path.count("/nowhere/shop"),
                "records": len(record.shop),  # type: ignore[attr-defined]
                "handlers": len(log.handlers),
            }
            lock.release()
            await self._send(message.conversation, f"{seen}")
            if message.id == "c1.m1":
                lock.acquire()  # and it dies with this


def make(client: Any, redis_client: Any, send: Any) -> Memory:
    if LOOP is not asyncio.get_running_loop() or conversation.get() != "loading":
        raise RuntimeError("loaded by somebody else")
    return Memory(send)


def make_and_tell(client: Any, redis_client: Any, send: Any, *, loaded: bool = True) -> Memory:
    log.warning("loaded at %s", LOADED_AT)
    return Memory(send)
