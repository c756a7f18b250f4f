"""Exceptions that no code of a host receives: told once, at the moment of the failure, whatever holds the task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from relaysim.sim.kernel import Kernel, LeavesSimulationError, SimulatorError, Unhandled, current_context, record_kind


@record_kind("note")
class Note(NamedTuple):
    text: str


async def fail(text: str = "no") -> None:
    await asyncio.sleep(1)
    raise LookupError(text)


def live(work: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Kernel, list[Unhandled]]:
    """A world of one host, until its end; it notes each second."""
    kernel = Kernel()
    told: list[Unhandled] = []

    def tell(unhandled: Unhandled) -> None:
        told.append(unhandled)
        kernel.trace.add_at(unhandled.place, unhandled.host, Note(f"{unhandled.source}: {unhandled.error}"))

    kernel.unhandled = tell
    for second in range(1, 5):
        kernel.at(second, kernel.trace.add, "clock", Note(f"{second}"))
    kernel.host("w").spawn(work())
    try:
        kernel.run()
        kernel.report_unretrieved()
    finally:
        kernel.close()
    return kernel, told


kept: list[Any] = []


async def drop() -> None:
    current_context.set("a delivery")
    asyncio.ensure_future(fail())  # noqa: RUF006
    await asyncio.sleep(2.5)


async def keep() -> None:
    current_context.set("a delivery")
    kept.append(asyncio.ensure_future(fail()))
    await asyncio.sleep(2.5)


async def hold_in_a_circle() -> None:
    current_context.set("a delivery")
    holder: list[Any] = []
    holder += [holder, asyncio.ensure_future(fail())]
    del holder
    await asyncio.sleep(2.5)


async def drop_late() -> None:
    current_context.set("a delivery")
    task = asyncio.ensure_future(fail())
    await asyncio.sleep(2.5)
    del task


@pytest.mark.parametrize("work", [drop, keep, drop_late, hold_in_a_circle])
def test_a_task_that_nobody_awaits_is_told_of_when_it_fails_whenever_it_is_dropped(work: Any) -> None:
    kernel, told = live(work)
    kept.clear()
    ((host, source, message, error, _, place),) = told
    assert (host, source, message, str(error)) == ("w", "task", "Task exception was never retrieved", "no")
    assert (place.time, told[0].delivery) == (1.0, "a delivery")
    assert [(each.time, *each.fields) for each in kernel.trace.records][:3] == [
        (1.0, "1"),
        (1.0, "task: no"),
        (2.0, "2"),
    ]


def test_of_two_that_fail_at_one_instant_the_first_is_told_of_first_though_it_is_found_last() -> None:
    async def work() -> None:
        kept.append(asyncio.ensure_future(fail("kept")))
        asyncio.ensure_future(fail("dropped"))  # noqa: RUF006

    kernel, _ = live(work)
    kept.clear()
    assert [each.fields[0] for each in kernel.trace.records][1:3] == ["task: kept", "task: dropped"]


async def await_later() -> None:
    task = asyncio.ensure_future(fail())
    await asyncio.sleep(2)
    with pytest.raises(LookupError):
        await task


async def gather_later() -> None:
    tasks = [asyncio.ensure_future(fail()), asyncio.ensure_future(fail())]
    await asyncio.sleep(2)
    await asyncio.gather(*tasks, return_exceptions=True)


async def ask_in_a_callback() -> None:
    asyncio.ensure_future(fail()).add_done_callback(lambda task: task.exception())


async def cancel() -> None:
    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    task.cancel()


async def group() -> None:
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())


@pytest.mark.parametrize("work", [await_later, gather_later, ask_in_a_callback, cancel, group])
def test_what_somebody_asks_for_or_cancels_is_not_told(work: Any) -> None:
    assert live(work)[1] == []


def test_callbacks_futures_and_generators_are_told_of_too_and_the_host_goes_on() -> None:
    seen: list[str] = []

    async def generate() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            raise OSError("while closing")

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: 1 / 0)
        loop.call_later(0.5, lambda: 1 / 0)
        loop.create_future().set_exception(ValueError("nobody's"))
        async for _ in generate():
            break
        await asyncio.sleep(1)
        seen.append("went on")

    _, told = live(work)
    assert sorted((each.place.time, each.source, type(each.error).__name__) for each in told) == [
        (0.0, "callback", "ZeroDivisionError"),
        (0.0, "future", "ValueError"),
        (0.0, "task", "OSError"),
        (0.5, "callback", "ZeroDivisionError"),
    ]
    assert seen == ["went on"]


def test_a_handler_that_was_set_gets_what_asyncio_would_give_it_and_what_it_passes_on_is_told() -> None:
    got: list[Any] = []

    async def work() -> None:
        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            got.append((current_context.get(), context["message"], str(context["exception"]), "future" in context))
            if "passed on" in str(context["exception"]):
                loop.default_exception_handler(context)
            if "breaks it" in str(context["exception"]):
                raise RuntimeError("a broken handler")

        asyncio.get_running_loop().set_exception_handler(handle)
        for text in ("handled", "passed on", "breaks it"):
            current_context.set(text)
            asyncio.ensure_future(fail(text))  # noqa: RUF006
        await asyncio.sleep(2)

    _, told = live(work)
    message = "Task exception was never retrieved"
    assert got == [(text, message, text, True) for text in ("handled", "passed on", "breaks it")]
    assert [(each.place.time, each.source, str(each.error)) for each in told] == [
        (1.0, "task", "passed on"),
        (1.0, "handler", "a broken handler"),
    ]
    with pytest.raises(TypeError, match="callable object or None"):
        Kernel().host("w").loop.set_exception_handler("none")


class NotDrivenError(SimulatorError, ValueError):
    """One of the simulator's own."""


@pytest.mark.parametrize("in_group", [False, True])
def test_an_error_of_the_simulators_own_ends_the_run_though_nobody_awaits_it(in_group: bool) -> None:
    async def refuse() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        error = NotDrivenError("cannot be driven")
        raise ExceptionGroup("several", [ValueError(), error]) if in_group else error

    async def work() -> None:
        asyncio.ensure_future(refuse())  # noqa: RUF006

    with pytest.raises(NotDrivenError, match="cannot be driven"):
        live(work)
    assert issubclass(LeavesSimulationError, SimulatorError)


def test_a_crashed_host_tells_nothing() -> None:
    async def work() -> None:
        kept.append(asyncio.ensure_future(fail()))
        kernel.at(2, kernel.hosts[0].crash)
        await asyncio.sleep(9)

    kernel = Kernel()
    told: list[Unhandled] = []
    kernel.unhandled = told.append
    kernel.host("w").spawn(work())
    kernel.run()
    kernel.report_unretrieved()
    kernel.close()
    kept.clear()
    assert told == []
