"""Bots that end, hang, fill or upset the process that they run in, each a function named by the setting `handle` (or
`serve`, `outcome_of`, `factory`). Imported by worlds, so nothing that a test changes here reaches them.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import itertools
import json
import logging
import os
import queue
import signal
import sys
import threading
from typing import Any


class Bot:
    """Handles a message with the function that is named."""

    def __init__(self, send: Any, functions: dict[str, str]) -> None:
        self.send = send
        self.handle_with = globals()[functions.pop("handle", "nothing")]
        for method, name in functions.items():
            setattr(self, method, globals()[name])

    async def handle(self, message: Any) -> Any:
        return await self.handle_with(self, message)


def make(client: Any, redis: Any, send: Any, factory: str = "", **functions: str) -> Bot:
    if factory:
        globals()[factory]()
    return Bot(send, functions)


async def nothing(bot: Bot, message: Any) -> None:
    """The message is lost."""


async def answer(bot: Bot, message: Any) -> None:
    await asyncio.sleep(3.0)
    await bot.send(message.conversation, "hello")


class OwnBase(BaseException):
    """No Exception."""


async def leave(bot: Bot, message: Any) -> None:
    sys.exit(0)


async def leave_at_once(bot: Bot, message: Any) -> None:
    os._exit(0)


async def abort(bot: Bot, message: Any) -> None:
    os.abort()


async def interrupt(bot: Bot, message: Any) -> None:
    raise KeyboardInterrupt


async def leave_in_a_task(bot: Bot, message: Any) -> None:
    async def work() -> None:
        sys.exit(0)

    bot.task = asyncio.create_task(work())  # type: ignore[attr-defined]


async def leave_in_a_pool(bot: Bot, message: Any) -> None:
    await asyncio.to_thread(sys.exit, 0)


async def leave_later(bot: Bot, message: Any) -> None:
    asyncio.get_running_loop().call_later(1.0, lambda: sys.exit(0))


async def spin(bot: Bot, message: Any) -> None:
    while True:
        pass


async def spin_catching_once(bot: Bot, message: Any) -> None:
    try:
        while True:
            pass
    except BaseException:
        pass


async def change_the_error(bot: Bot, message: Any) -> None:
    try:
        while True:
            pass
    except BaseException as error:
        raise ValueError("mine") from error


class Destructor:
    def __del__(self) -> None:
        while True:
            pass


async def spin_in_a_destructor(bot: Bot, message: Any) -> None:
    Destructor()


class SpinsWhenAwaited:
    def __await__(self) -> Any:
        while True:
            pass


async def spin_in_await(bot: Bot, message: Any) -> None:
    await SpinsWhenAwaited()


class Unreadable(Exception):
    def __str__(self) -> str:
        while True:
            pass


async def spin_in_str(bot: Bot, message: Any) -> None:
    raise Unreadable


async def spin_when_cancelled(bot: Bot, message: Any) -> None:
    try:
        await asyncio.sleep(1e9)
    finally:
        while True:
            pass


async def wait_for_a_lock(bot: Bot, message: Any) -> None:
    threading.Event().wait()


async def wait_for_a_queue(bot: Bot, message: Any) -> None:
    queue.Queue[int]().get()


async def yield_for_ever(bot: Bot, message: Any) -> None:
    while True:
        await asyncio.sleep(0)


async def sleep_for_ever(bot: Bot, message: Any) -> None:
    await asyncio.sleep(1e9)


async def wait_for_ever(bot: Bot, message: Any) -> None:
    await asyncio.Event().wait()


async def poll_for_ever(bot: Bot, message: Any) -> None:
    while True:
        await asyncio.sleep(1.0)


async def poll_catching_everything(bot: Bot, message: Any) -> None:
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(1.0)


async def leave_when_cancelled(bot: Bot, message: Any) -> None:
    try:
        await asyncio.sleep(1e9)
    finally:
        sys.exit(0)


def recurse() -> None:
    recurse()


async def recursion(bot: Bot, message: Any) -> None:
    recurse()


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


async def raise_without_text(bot: Bot, message: Any) -> None:
    raise NoText


async def raise_much_text(bot: Bot, message: Any) -> None:
    raise ValueError("x" * 50_000_000)


async def raise_half_a_pair(bot: Bot, message: Any) -> None:
    raise ValueError("\ud83d")


async def ask_for_all_memory(bot: Bot, message: Any) -> None:
    bytearray(10**15)


async def log_badly(bot: Bot, message: Any) -> None:
    log = logging.getLogger("bot")
    log.info("%d and %d", "one")
    log.info("\ud83d")
    log.info("x" * 20_000_000)


class Failing:
    def __del__(self) -> None:
        raise ValueError("in a destructor")


async def fail_in_a_destructor(bot: Bot, message: Any) -> None:
    Failing()


async def leave_anywhere(*given: Any) -> None:
    sys.exit(0)


def leave_in_the_factory() -> None:
    sys.exit(0)


def raise_no_exception() -> None:
    raise OwnBase("x")


def spin_in_the_factory() -> None:
    while True:
        pass


async def raise_own_base(*given: Any) -> None:
    raise OwnBase("x")


async def raise_generator_exit(*given: Any) -> None:
    raise GeneratorExit


async def raise_cancelled(*given: Any) -> None:
    raise asyncio.CancelledError


async def send_signal(bot: Bot, message: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def raise_signal(bot: Bot, message: Any) -> None:
    signal.raise_signal(signal.SIGTERM)


async def ask_for_an_alarm(bot: Bot, message: Any) -> None:
    signal.alarm(1)


async def ignore_signals(bot: Bot, message: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


async def creep(bot: Bot, message: Any) -> None:
    while True:
        await asyncio.sleep(1e-9)


async def hoard(bot: Bot, message: Any) -> None:
    kept = [b"x" * 1_000_000 for _ in range(400)]  # more than earlier worlds have freed
    while kept:
        await asyncio.sleep(1e-6)


async def log_without_end(bot: Bot, message: Any) -> None:
    for number in range(1000):
        logging.getLogger("bot").info("line %d", number)


async def send_what_is_no_text(bot: Bot, message: Any) -> None:
    for text in (None, b"x", 7, ["x"], "x" * 50_000_000, "\ud83d"):
        try:
            await bot.send(message.conversation, text)
        except (TypeError, ValueError) as error:
            logging.getLogger("bot").info("%s", error)
    await bot.send(message.conversation, "\0\x1b[31m")  # what no rule forbids is sent


async def change_the_process(bot: Bot, message: Any) -> None:
    os.chdir("/")
    sys.setrecursionlimit(500)
    sys.path.clear()
    os.environ.clear()
    print("a bot may print")
    sys.stdout.close()
    sys.stderr = None
    json.dumps = sys.exit = builtins.print = itertools.count  # type: ignore[assignment]
