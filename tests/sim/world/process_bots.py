"""Bots that call what belongs to the process they run in: its loop, its signals, its interpreter.

Each function is one `handle` that does so before it answers; what it saw is the answer. The factory is told which one.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import resource
import signal
import sys
import threading
from typing import Any


class Bot:
    """Answers with what the function that is named returns, or raises."""

    def __init__(self, send: Any, function: str) -> None:
        self.send, self.function = send, globals()[function]

    async def handle(self, message: Any) -> None:
        try:
            seen = await self.function(asyncio.get_running_loop())
        except RuntimeError as error:
            seen = f"RuntimeError: {error}"
        await asyncio.sleep(1.0)
        await self.send(message.conversation, str(seen))


def make(client: Any, redis: Any, send: Any, function: str) -> Bot:
    return Bot(send, function)


async def work() -> int:
    return 7


# What would end the process


async def stop(loop: Any) -> Any:
    return loop.stop()


async def stop_in_a_task(loop: Any) -> Any:
    async def later() -> None:
        with contextlib.suppress(BaseException):
            loop.stop()

    await asyncio.create_task(later())


async def stop_by_a_timer(loop: Any) -> Any:
    loop.call_later(0.5, loop.stop)


async def stop_by_a_callback(loop: Any) -> Any:
    loop.call_soon_threadsafe(loop.stop)


# What asyncio refuses, or does, while a loop runs


async def close(loop: Any) -> Any:
    return loop.close()


async def run_forever(loop: Any) -> Any:
    return loop.run_forever()


async def run_until_complete(loop: Any) -> Any:
    coroutine = work()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        coroutine.close()


async def run(loop: Any) -> Any:
    coroutine = work()
    try:
        return asyncio.run(coroutine)
    finally:
        coroutine.close()


async def executor_after_its_end(loop: Any) -> Any:
    assert await loop.run_in_executor(None, lambda: 7) == 7
    await loop.shutdown_default_executor()
    return await loop.run_in_executor(None, lambda: 7)


async def debug(loop: Any) -> Any:
    loop.set_debug(True)
    loop.slow_callback_duration = 2 * loop.slow_callback_duration
    await loop.shutdown_asyncgens()
    return loop.slow_callback_duration, loop.is_running(), loop.is_closed()


async def policy(loop: Any) -> Any:
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    return asyncio.get_event_loop() is loop


# Signals


async def handlers(loop: Any) -> Any:
    loop.add_signal_handler(signal.SIGTERM, print)
    removed = loop.remove_signal_handler(signal.SIGTERM), loop.remove_signal_handler(signal.SIGINT)
    signal.siginterrupt(signal.SIGTERM, False)
    return (
        removed,
        signal.set_wakeup_fd(-1),
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGVTALRM, signal.SIGINT}),
    )


async def wrong_handler(loop: Any) -> Any:
    try:
        loop.add_signal_handler(signal.SIGTERM, work)
    except TypeError as error:
        return error


async def timer_of_signals(loop: Any) -> Any:
    return signal.setitimer(signal.ITIMER_REAL, 0.01)


async def limit_of_the_process(loop: Any) -> Any:
    return resource.setrlimit(resource.RLIMIT_CPU, (1, 1))


# The interpreter


async def faults_of_the_process(loop: Any) -> Any:
    faulthandler.enable()
    faulthandler.dump_traceback_later(0.001, exit=True)
    faulthandler.unregister(signal.SIGVTALRM)
    faulthandler.disable()
    return faulthandler.is_enabled()


async def garbage(loop: Any) -> Any:
    frozen = gc.get_freeze_count()
    gc.enable()
    gc.set_threshold(1)
    gc.set_debug(gc.DEBUG_STATS)
    gc.freeze()
    gc.disable()
    return gc.collect() >= 0, gc.get_freeze_count() <= frozen


async def low_recursion(loop: Any) -> Any:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(60)
    return sys.getrecursionlimit() - before


async def high_recursion(loop: Any) -> Any:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 5000)
    return sys.getrecursionlimit() - before


async def traced(loop: Any) -> Any:
    lines = []

    def trace(frame: Any, event: str, argument: Any) -> Any:
        lines.append(event)
        return trace

    sys.settrace(trace)
    threading.settrace(trace)
    await work()
    sys.setprofile(lambda *given: None)
    return bool(lines)


async def hooks(loop: Any) -> Any:
    sys.addaudithook(lambda *given: sys.exit(1))
    sys.set_asyncgen_hooks(None, None)
    sys.setswitchinterval(100.0)
    sys.excepthook = sys.unraisablehook = threading.excepthook = print
    return "hooked"
