"""The simulated API in a test's own process: plain and asynchronous clients in one virtual time."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx2
import openai
import pytest

from relaysim.sim.backends.replies import Failure, ToolCall, ToolCalls, Turn
from relaysim.sim.backends.threads.fixtures import InProcessOpenAI
from relaysim.sim.doors.simulation import ApiSettings
from relaysim.sim.kernel import LeavesSimulationError

ASSISTANT = "asst_support"


def flat(**changes: Any) -> ApiSettings:
    """A request takes 0.5 s, a run is queued for 1 s and runs for 10 s, a cancel takes 3 s."""
    seconds = {"queue_seconds": 1.0, "run_seconds": 10.0, "cancel_seconds": 3.0, "request_seconds": 0.5}
    overrides: dict[str, Any] = {name: {"kind": "constant", "value": value} for name, value in seconds.items()}
    overrides |= {"stuck_probability": 0.0, "slow_probability": 0.0}
    return ApiSettings(**{"overrides": overrides, "assistants": "any", **changes})


@pytest.fixture
def simulated() -> Iterator[InProcessOpenAI]:
    with InProcessOpenAI(flat()) as opened:
        yield opened


def ask(client: openai.OpenAI, thread_id: str, text: str) -> str:
    """What a bot does: append, run, wait, read."""
    client.beta.threads.messages.create(thread_id, role="user", content=text)
    run = client.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=ASSISTANT)
    return run.status


# Plain code


def test_a_plain_client_takes_virtual_time_and_no_other(simulated: InProcessOpenAI) -> None:
    thread = simulated.client.beta.threads.create()
    assert simulated.now == 0.5
    assert ask(simulated.client, thread.id, "hello") == "completed"
    # The run is created at 1.25 s and ends at 12.25 s, just when a poll arrives.
    assert simulated.now == 12.5
    assert simulated.transcript(thread.id) == [("user", "hello"), ("assistant", "Reply 1 to: hello")]
    assert [run["status"] for run in simulated.runs(thread.id)] == ["completed"]


def test_sleeping_lets_everything_else_happen(simulated: InProcessOpenAI) -> None:
    thread = simulated.client.beta.threads.create()
    run = simulated.client.beta.threads.runs.create(thread.id, assistant_id=ASSISTANT)
    assert [each["status"] for each in simulated.runs(thread.id)] == ["queued"]
    before = time.monotonic()
    time.sleep(2)
    assert time.monotonic() - before == 2.0
    assert [each["status"] for each in simulated.runs(thread.id)] == ["in_progress"]
    time.sleep(10)
    assert simulated.runs(thread.id)[0] | {"id": run.id, "status": "completed"} == simulated.runs(thread.id)[0]


def test_the_race_of_the_incident(simulated: InProcessOpenAI) -> None:
    threads = simulated.client.beta.threads
    thread = threads.create()
    run = threads.runs.create(thread.id, assistant_id=ASSISTANT)
    with pytest.raises(openai.BadRequestError) as refused:
        threads.messages.create(thread.id, role="user", content="and another thing")
    assert refused.value.body == {
        "message": f"Can't add messages to {thread.id} while a run {run.id} is active.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def test_a_lost_response_is_stored_twice(simulated: InProcessOpenAI) -> None:
    thread = simulated.client.beta.threads.create()
    simulated.add_fault("response_lost", route="messages.create", nth=(1,))
    simulated.client.beta.threads.messages.create(thread.id, role="user", content="pay 10", timeout=5)
    assert simulated.transcript(thread.id) == [("user", "pay 10")] * 2
    assert simulated.fired == (1,)


def test_retries_of_a_plain_client_wait_in_virtual_time_and_equally_long_in_every_run() -> None:
    def instant(drawn_before: int) -> float:
        with InProcessOpenAI(flat(faults=({"kind": "status", "status": 503, "nth": (1, 2)},))) as simulated:
            for _ in range(drawn_before):
                random.random()
            simulated.client.beta.threads.create()
            return simulated.now

    first = instant(0)
    assert 1.5 + 0.75 * 1.5 < first < 1.5 + 1.5  # three attempts, and two waits with up to a quarter off
    assert instant(3) == first


def test_a_stuck_run_ends_by_expiry(simulated: InProcessOpenAI) -> None:
    threads = simulated.client.beta.threads
    one, other = threads.create(), threads.create()
    simulated.make_next_run_stuck(other.id)
    threads.runs.create(one.id, assistant_id=ASSISTANT)
    threads.runs.create(other.id, assistant_id=ASSISTANT)
    simulated.advance(300)
    assert [simulated.runs(thread.id)[0]["status"] for thread in (one, other)] == ["completed", "in_progress"]
    simulated.advance(300)
    assert simulated.runs(other.id)[0]["status"] == "expired"
    assert ask(simulated.client, other.id, "still there?") == "completed"  # only the next one was stuck


def test_a_plain_client_reads_streams(simulated: InProcessOpenAI) -> None:
    threads = simulated.client.beta.threads
    thread = threads.create(messages=[{"role": "user", "content": "tell me more"}])
    pieces, times = [], []
    with threads.runs.stream(thread_id=thread.id, assistant_id=ASSISTANT) as stream:
        for piece in stream.text_deltas:
            pieces.append(piece)
            times.append(simulated.now)
    assert "".join(pieces) == "Reply 1 to: tell me more"
    assert len(pieces) > 3
    assert times == sorted(set(times))
    assert times[-1] < 12.5


def test_a_stream_that_breaks_raises_where_it_is_read(simulated: InProcessOpenAI) -> None:
    simulated.add_fault("reset", route="runs.create")
    threads = simulated.client.beta.threads
    thread = threads.create()
    with (
        threads.runs.stream(thread_id=thread.id, assistant_id=ASSISTANT) as stream,
        pytest.raises(httpx2.ReadError),
    ):
        stream.until_done()
    assert [run["status"] for run in simulated.runs(thread.id)] == ["queued"]  # it goes on


def test_a_request_that_nobody_will_answer_says_so(simulated: InProcessOpenAI) -> None:
    simulated.add_fault("request_lost")
    with pytest.raises(TimeoutError, match="would wait for ever"):
        simulated.client.beta.threads.create(timeout=None)


def test_clocks_agree(simulated: InProcessOpenAI) -> None:
    time.sleep(90)
    assert time.time() == 1_762_257_690.0
    assert time.localtime()[:6] == (2025, 11, 4, 12, 1, 30)
    thread = simulated.client.beta.threads.create()
    assert thread.created_at == 1_762_257_690
    assert int(time.time()) == 1_762_257_690


# Coroutine functions


def test_coroutine_functions_are_workers_of_their_own_in_the_same_time(simulated: InProcessOpenAI) -> None:
    thread_id = simulated.client.beta.threads.create().id
    begin = simulated.now

    async def asks(client: openai.AsyncOpenAI) -> str:
        run = await client.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=ASSISTANT)
        return run.status

    async def interrupts(client: openai.AsyncOpenAI) -> str:
        await asyncio.sleep(3)
        try:
            await client.beta.threads.messages.create(thread_id, role="user", content="wait")
        except openai.BadRequestError as error:
            return error.message
        return ""

    status, message = simulated.run(asks, interrupts)
    assert status == "completed"
    run_id = simulated.runs(thread_id)[0]["id"]
    assert f"Can't add messages to {thread_id} while a run {run_id} is active." in message
    workers = [record.entity for record in simulated.trace if record.kind == "request" and record.time == begin]
    assert workers == ["worker-1"]
    assert "worker-2" in {record.entity for record in simulated.trace}


def test_everything_of_asyncio_takes_virtual_time(simulated: InProcessOpenAI) -> None:
    async def bot(client: openai.AsyncOpenAI) -> tuple[float, list[str]]:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(3600), 60)
        threads = await asyncio.gather(*(client.beta.threads.create() for _ in range(3)))
        return time.monotonic(), [thread.id for thread in threads]

    [(instant, ids)] = simulated.run(bot)
    assert instant == 60.5
    assert simulated.now == 60.5
    assert [thread["id"] for thread in simulated.threads] == ids


def test_streams_in_coroutines(simulated: InProcessOpenAI) -> None:
    async def bot(client: openai.AsyncOpenAI) -> str:
        thread = await client.beta.threads.create(messages=[{"role": "user", "content": "hi"}])
        async with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=ASSISTANT) as stream:
            return "".join([piece async for piece in stream.text_deltas])

    assert simulated.run(bot) == ["Reply 1 to: hi"]


def test_functions_without_a_parameter_use_the_clients_they_have(simulated: InProcessOpenAI) -> None:
    client = simulated.async_client

    class Bot:
        async def answer(self) -> str:
            return (await client.beta.threads.create()).id

    async def direct() -> str:
        return await Bot().answer()

    ids = simulated.run(
        direct, Bot().answer, lambda: Bot().answer(), lambda given: given.beta.threads.create(), direct()
    )
    assert len({getattr(each, "id", each) for each in ids}) == 5
    requests = [record.entity for record in simulated.trace if record.kind == "request"]
    assert requests == [f"worker-{number}" for number in range(1, 6)]
    with pytest.raises(RuntimeError, match="give `run` the coroutine function"):
        asyncio.run(client.beta.threads.create())  # type: ignore[arg-type]


def test_the_first_exception_is_raised_with_its_own_traceback_and_cancels_the_others(
    simulated: InProcessOpenAI,
) -> None:
    ended: list[float] = []

    async def fails_late() -> None:
        await asyncio.sleep(2)
        raise KeyError("late")

    async def fails() -> None:
        await asyncio.sleep(1)
        raise ValueError("first")

    async def goes_on() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(simulated.now)

    with pytest.raises(ValueError, match="first") as raised:
        simulated.run(goes_on, fails_late, fails)
    assert ended == [1.0]
    assert simulated.now == 1.0
    assert raised.traceback[-1].name == "fails"


def test_until_stops_earlier_and_what_is_left_goes_on(simulated: InProcessOpenAI) -> None:
    seen: list[float] = []

    async def quick() -> str:
        return "done"

    async def slow() -> None:
        await asyncio.sleep(10)
        seen.append(simulated.now)

    assert simulated.run(quick, slow, until=4.0) == ["done", None]
    assert (simulated.now, seen) == (4.0, [])
    gc.collect()
    assert simulated.run(until=5.0) == []
    assert simulated.now == 4.0  # nothing to wait for
    simulated.advance(6)
    assert seen == [10.0]
    with pytest.raises(ValueError, match="is over"):
        simulated.run(slow, until=1.0)


def test_waiting_for_nothing_names_who_waits_and_where(simulated: InProcessOpenAI) -> None:
    async def waits() -> None:
        await asyncio.Event().wait()

    with pytest.raises(
        TimeoutError, match=r"nothing is left that could wake them: .*waits \(.*test_in_process.py:\d+\)"
    ):
        simulated.run(waits)

    async def ticks() -> None:
        while True:
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError, match="at virtual second 21600 "):
        simulated.run(ticks)


async def _needs_more(client: Any, thread_id: str) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda: 3, "returned 3"),
        ("bot", "run takes coroutine functions, not 'bot'"),
        (_needs_more, "client, thread_id"),
    ],
)
def test_what_is_no_coroutine_function_is_refused(simulated: InProcessOpenAI, function: Any, words: str) -> None:
    async def never() -> None: ...

    with pytest.raises(TypeError, match=words):
        simulated.run(never, function)


@pytest.mark.parametrize(
    "way_out", [lambda: time.sleep(1), lambda: socket.socket(), lambda: threading.Thread(target=print).start()]
)
def test_coroutines_cannot_leave_and_plain_code_may(simulated: InProcessOpenAI, way_out: Callable[[], Any]) -> None:
    async def bot() -> None:
        with suppress(Exception):  # swallowed, and still told
            way_out()

    with pytest.raises(LeavesSimulationError):
        simulated.run(bot)
    made = way_out()
    if made is not None:
        made.close()


def test_plain_code_that_waits_inside_a_coroutine_says_what_to_do(simulated: InProcessOpenAI) -> None:
    async def bot() -> None:
        simulated.client.beta.threads.create()

    with pytest.raises(RuntimeError, match="use the client that the coroutine function is given"):
        simulated.run(bot)

    async def other() -> None:
        simulated.advance(1)

    with pytest.raises(RuntimeError, match="advance: plain code that waits cannot run inside `run`"):
        simulated.run(other)
    assert simulated.advance(1) == 1.0


def test_another_thread_is_told_to_use_a_server(simulated: InProcessOpenAI) -> None:
    client = simulated.client
    raised: list[BaseException] = []

    def use() -> None:
        try:
            client.beta.threads.create()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert isinstance(raised[0], RuntimeError)
    assert "openai_server" in str(raised[0])


# What tests decide and read


def test_faults_are_added_while_others_go_on_counting(simulated: InProcessOpenAI) -> None:
    quick = simulated.client.with_options(max_retries=0)
    simulated.add_fault("status", status=500, nth=(2,))
    quick.beta.threads.create()
    simulated.add_fault("status", status=503, nth=(2,))
    statuses = []
    for _ in range(3):
        try:
            quick.beta.threads.create()
            statuses.append(200)
        except openai.InternalServerError as error:
            statuses.append(error.status_code)
    assert statuses == [500, 503, 200]
    assert simulated.fired == (1, 1)
    assert [fault.status for fault in simulated.faults] == [500, 503]
    simulated.clear_faults()
    assert simulated.fired == ()
    with pytest.raises(ValueError, match="add_fault: statsu: unknown field; did you mean `status`"):
        simulated.add_fault("status", status=500, statsu=1)


def answers(simulated: InProcessOpenAI, thread_id: str, count: int) -> list[str]:
    """The next answers in a thread."""
    for number in range(count):
        ask(simulated.client, thread_id, f"q{number}")
    return [text for role, text in simulated.transcript(thread_id) if role == "assistant"][-count:]


def test_replies_in_every_form(simulated: InProcessOpenAI) -> None:
    thread_id = simulated.client.beta.threads.create().id
    assert answers(simulated, thread_id, 1) == ["Reply 1 to: q0"]
    simulated.reply_with("You said {input}")
    assert answers(simulated, thread_id, 2) == ["You said q0", "You said q1"]
    simulated.reply_with(["a", {"text": "b"}])  # counted from here, though the thread has had turns before
    assert answers(simulated, thread_id, 3) == ["a", "b", "b"]
    simulated.reply_with(["a", "b"], then="loop")
    assert answers(simulated, thread_id, 3) == ["a", "b", "a"]
    simulated.reply_with({"kind": "echo"})
    assert answers(simulated, thread_id, 1) == ["Reply 10 to: q0"]
    simulated.reply_with(lambda turn: f"{len(turn.messages)} messages")
    assert answers(simulated, thread_id, 1) == ["21 messages"]
    simulated.reply_with(Failure("rate_limit_exceeded", "slow down"))
    assert ask(simulated.client, thread_id, "x") == "failed"
    assert simulated.runs(thread_id)[-1]["last_error"] == {"code": "rate_limit_exceeded", "message": "slow down"}
    simulated.reply_with([ToolCalls((ToolCall("weather"),)), "It rains."])
    assert ask(simulated.client, thread_id, "x") == "requires_action"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "empty sequence"),
        (3, "3 is neither a text"),
        (["a", {"txt": "b"}], r"replies\[1\].txt: unknown field; did you mean `text`"),
        ({"kind": "scrip", "replies": []}, "unknown kind"),
    ],
)
def test_bad_replies_are_refused(simulated: InProcessOpenAI, given: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        simulated.reply_with(given)


def test_a_replier_that_raises_ends_the_test_with_its_own_error(simulated: InProcessOpenAI) -> None:
    def reply(turn: Turn) -> str:
        raise ZeroDivisionError("my replier")

    simulated.reply_with(reply)
    thread_id = simulated.client.beta.threads.create().id
    with pytest.raises(ZeroDivisionError, match="my replier"):
        ask(simulated.client, thread_id, "x")
    simulated.client.beta.threads.create()  # and only once


def test_what_is_read_does_not_change_later(simulated: InProcessOpenAI) -> None:
    thread = simulated.client.beta.threads.create(metadata={"customer": "1"})
    simulated.client.beta.threads.runs.create(thread.id, assistant_id=ASSISTANT)
    runs, threads = simulated.runs(thread.id), simulated.threads
    threads[0]["metadata"]["customer"] = "2"
    simulated.advance(60)
    assert runs[0]["status"] == "queued"
    assert simulated.threads[0]["metadata"] == {"customer": "1"}
    assert [message["role"] for message in simulated.messages(thread.id)] == ["assistant"]
    with pytest.raises(LookupError, match=f"no thread 'thread_x'; the simulated API has: {thread.id}"):
        simulated.messages("thread_x")


def test_without_latency_requests_take_no_time() -> None:
    with InProcessOpenAI(flat(latency=False)) as simulated:
        simulated.client.beta.threads.create()
        assert simulated.now == 0.0


# One simulation


def test_the_same_code_sees_the_same_world_and_another_seed_another_one() -> None:
    def story(seed: int) -> list[Any]:
        random.seed()  # what was drawn before does not matter
        with InProcessOpenAI(ApiSettings(assistants="any", seed=seed)) as simulated:
            thread_id = simulated.client.beta.threads.create().id

            async def bot(client: openai.AsyncOpenAI) -> None:
                await asyncio.sleep(random.random())
                await client.beta.threads.retrieve(thread_id)

            time.sleep(random.random())  # plain code's own jitter
            simulated.run(bot, bot)
            ask(simulated.client, thread_id, "hello")
            return [tuple(record) for record in simulated.trace]

    assert story(1) == story(1)
    assert story(1) != story(2)


def test_everything_is_as_before_when_it_is_over() -> None:
    before = (time.sleep, time.monotonic, time.time(), random.getstate(), openai._base_client.random)
    with InProcessOpenAI() as simulated:
        time.sleep(1000)
        simulated.run(lambda: asyncio.sleep(1))
        client = simulated.client
    assert (time.sleep, time.monotonic) == before[:2]
    assert 0 <= time.time() - before[2] < 60
    assert random.getstate() == before[3]
    assert openai._base_client.random is before[4]
    with pytest.raises(RuntimeError, match="not open"):
        client.beta.threads.create()


def test_only_one_is_open_at_a_time(simulated: InProcessOpenAI) -> None:
    with pytest.raises(RuntimeError, match="one simulation at a time"), InProcessOpenAI():
        pass
    time.sleep(1)
    assert simulated.now == 1.0


def test_unfinished_coroutines_are_cleared_up_quietly() -> None:
    ended = []

    async def worker(client: openai.AsyncOpenAI) -> None:
        try:
            await client.beta.threads.create()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            ended.append(True)

    with InProcessOpenAI(flat()) as simulated:
        simulated.run(worker, until=3.0)
        gc.collect()
    assert ended == [True]
