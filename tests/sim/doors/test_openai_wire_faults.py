"""Answers that break on their way, in both lanes: resets, truncated and malformed bodies, bodies that dribble."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import httpx2
import openai
import pytest
from openai_world import ASSISTANT, World, flat_profile
from pydantic import ValidationError

from relaysim.sim.doors import LANES, ApiFault, Lane, warm_up
from relaysim.sim.doors.effects import READ_ERROR, REMOTE_PROTOCOL_ERROR, first_half
from relaysim.sim.doors.faults import ApiFaultPlan
from relaysim.sim.doors.transport import network_error
from relaysim.sim.kernel import EPOCH_SECONDS, Draws

both_lanes = pytest.mark.parametrize("lane", LANES)

APPEND = "messages.create"


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    warm_up()


def one_append(lane: Lane, *faults: ApiFault, timeout: float | None = 4.0, retries: int = 0) -> tuple[World, Any]:
    """A world in which one append is sent at second 0, and what became of it."""
    world = World(lane, faults=faults)

    async def bot(client: Any) -> Any:
        quick = client.with_options(timeout=timeout, max_retries=retries)
        try:
            return await quick.beta.threads.messages.create(world.thread, role="user", content="olá")
        except (openai.APIError, json.JSONDecodeError) as error:
            return error

    return world, world.run(bot)[0]


def steps(world: World) -> list[tuple[float, str, Any]]:
    """Time, kind, and for answers status and failure, of the trace's request events."""
    return [
        (time, kind, None if kind == "request" else fields[1] if kind == "served" else fields[1:])
        for time, _, kind, fields in world.events("request", "served", "response")
    ]


def stored(world: World) -> int:
    """How many messages the thread has."""
    return len(world.service.threads[world.thread].messages)


# What each does


@both_lanes
@pytest.mark.parametrize(
    ("kind", "failure", "cause", "words"),
    [
        ("reset", "ReadError", httpx2.ReadError, ""),
        (
            "truncated",
            "RemoteProtocolError",
            httpx2.RemoteProtocolError,
            "peer closed connection without sending complete message body (received ",
        ),
    ],
)
def test_a_body_that_breaks_off_is_a_connection_error_though_it_was_served(
    lane: Lane, kind: Any, failure: str, cause: type[Exception], words: str
) -> None:
    world, error = one_append(lane, ApiFault(kind=kind))
    assert steps(world) == [(0.0, "request", None), (0.25, "served", 200), (0.5, "response", (0, failure))]
    assert type(error) is openai.APIConnectionError
    assert str(error) == "Connection error."
    assert type(error.__cause__) is cause
    assert str(error.__cause__).startswith(words)
    assert stored(world) == 1


@both_lanes
@pytest.mark.parametrize("kind", ["reset", "truncated"])
def test_a_body_that_breaks_off_is_retried_and_so_stored_twice(lane: Lane, kind: Any) -> None:
    world, message = one_append(lane, ApiFault(kind=kind, nth=(1,)), retries=2)
    assert message.content[0].text.value == "olá"
    assert [status for _, what, status in steps(world) if what == "response"] == [(0, kind_failure(kind)), (200, None)]
    assert stored(world) == 2
    left = [time for time, what, _ in steps(world) if what == "request"]
    assert 0.375 <= left[1] - 0.5 <= 0.500001


def kind_failure(kind: str) -> str:
    """The name under which the trace has it."""
    return {"reset": "ReadError", "truncated": "RemoteProtocolError"}[kind]


@both_lanes
def test_malformed_json_is_raised_as_the_decoder_says_it_and_not_retried(lane: Lane) -> None:
    world, error = one_append(lane, ApiFault(kind="malformed"), retries=5)
    assert steps(world) == [(0.0, "request", None), (0.25, "served", 200), (0.5, "response", (200, "malformed"))]
    assert type(error) is json.JSONDecodeError
    assert error.doc.startswith('{"id":"msg_')
    assert error.pos <= len(error.doc)
    assert stored(world) == 1


def test_malformed_json_is_the_same_error_in_both_lanes() -> None:
    (_, sdk), (_, direct) = (one_append(lane, ApiFault(kind="malformed")) for lane in LANES)
    assert (str(sdk), sdk.doc, sdk.pos) == (str(direct), direct.doc, direct.pos)


@both_lanes
def test_a_refusal_whose_json_is_cut_off_keeps_its_status_and_loses_its_message(lane: Lane) -> None:
    world = World(lane, faults=[ApiFault(kind="malformed", route=APPEND)])

    async def bot(client: Any) -> Any:
        await client.beta.threads.runs.create(world.thread, assistant_id=ASSISTANT)
        with pytest.raises(openai.BadRequestError) as caught:
            await client.beta.threads.messages.create(world.thread, role="user", content="x")
        return caught.value

    (error,) = world.run(bot)
    assert (str(error), error.status_code, error.code) == ("Error code: 400", 400, None)
    assert error.body.startswith('{\n  "error": {')
    assert error.response.text == error.body
    assert world.events("response")[-1][3][1:] == (400, "malformed")


@both_lanes
def test_a_dribbling_body_only_takes_longer(lane: Lane) -> None:
    world, message = one_append(lane, ApiFault(kind="slow_body", seconds=30.0))
    assert steps(world)[1:] == [(0.25, "served", 200), (30.5, "response", (200, None))]
    assert message.content[0].text.value == "olá"


@both_lanes
def test_a_dribbling_body_pauses_for_longer_than_the_client_waits(lane: Lane) -> None:
    # Ten pieces: a gap of 4 s is what a timeout of 4 s still bears.
    _, borne = one_append(lane, ApiFault(kind="slow_body", seconds=40.0))
    assert borne.role == "user"
    world, error = one_append(lane, ApiFault(kind="slow_body", seconds=40.5))
    assert steps(world)[1:] == [(0.25, "served", 200), (4.5, "response", (0, "ReadTimeout"))]
    assert type(error) is openai.APITimeoutError
    assert stored(world) == 1
    _, waited = one_append(lane, ApiFault(kind="slow_body", seconds=40_000.0), timeout=None)
    assert waited.role == "user"


@both_lanes
def test_an_answer_that_comes_too_late_is_not_broken_as_well(lane: Lane) -> None:
    for kind in ("reset", "malformed"):
        world, error = one_append(lane, ApiFault(kind=kind), timeout=0.375)
        assert type(error) is openai.APITimeoutError
        assert world.events("response")[0][3][1:] == (0, "ReadTimeout")


def test_half_of_a_body_ends_between_two_characters() -> None:
    for body in ('{"ç":"ação"}', '{"text":"日本語のテキスト"}', '{"a":1}'):
        for length in range(2, len(body) + 1):
            cut = first_half(body[:length].encode())
            assert body.startswith(cut.decode())
            assert len(cut) < len(body[:length].encode())


def test_a_list_and_a_run_break_alike_in_both_lanes() -> None:
    def look(lane: Lane, kind: str) -> list[Any]:
        world = World(lane, faults=[ApiFault.model_validate({"kind": kind})])

        async def bot(client: Any) -> list[Any]:
            threads = client.with_options(max_retries=1).beta.threads
            calls: list[Callable[[], Any]] = [
                lambda: threads.create(metadata={"nome": "João"}),
                lambda: threads.runs.create(world.thread, assistant_id=ASSISTANT),
                lambda: threads.runs.list(world.thread, limit=3),
                lambda: threads.messages.list(world.thread),
                lambda: threads.retrieve("thread_gone"),
            ]
            seen = []
            for call in calls:
                with pytest.raises((openai.APIError, json.JSONDecodeError)) as caught:
                    await call()
                seen.append((type(caught.value), str(caught.value), str(caught.value.__cause__)))
            return seen

        seen = world.run(bot)
        return [seen, list(world.kernel.trace.records)]

    for kind in ("reset", "truncated", "malformed"):
        assert look("sdk", kind) == look("direct", kind)


def test_whoever_streams_a_body_sees_it_break_in_the_middle() -> None:
    world = World("sdk", faults=[ApiFault(kind="reset")])

    async def bot(client: Any) -> Any:
        quick = client.with_options(max_retries=0).beta.threads
        async with quick.with_streaming_response.retrieve(world.thread) as response:
            assert response.status_code == 200  # the head had come
            with pytest.raises(httpx2.ReadError):
                await response.read()
        return response.headers["content-length"]

    assert int(world.run(bot)[0]) > 0


# The wording is a real client's


async def _misbehave(how: str, writer: asyncio.StreamWriter) -> None:
    body = b'{"id": "thread_1", "object": "thread"}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    if how.startswith("chunked"):
        part = first_half(body)
        writer.write(head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(part), part))
    else:
        writer.write(head + b"content-length: %d\r\n\r\n%b" % (len(body), first_half(body)))
    await writer.drain()
    if how.endswith("reset"):
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()


@pytest.mark.parametrize("how", ["reset", "truncated", "chunked-reset", "chunked-truncated"])
def test_the_errors_are_those_of_a_real_connection(how: str) -> None:
    async def met() -> Exception:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await _misbehave(how, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            async with httpx2.AsyncClient(trust_env=False) as client:
                with pytest.raises(httpx2.TransportError) as caught:
                    await client.get(address)
                return caught.value
        finally:
            server.close()
            await server.wait_closed()

    error = asyncio.run(met())
    failure = READ_ERROR if how.endswith("reset") else REMOTE_PROTOCOL_ERROR
    body = b'{"id": "thread_1", "object": "thread"}'
    expected = network_error(failure, None if how.startswith("chunked") else (len(first_half(body)), len(body)))
    assert (type(error), str(error)) == (type(expected), str(expected))


# Which attempts they hit


class Given(Draws):
    """Draws of which those that let faults strike are given, by the attempt's number."""

    def __init__(self, given: dict[int, float], otherwise: float) -> None:
        super().__init__(0, 0)
        self._given, self._otherwise = given, otherwise

    def rare(self, entity: str, purpose: str, index: int | None = None) -> float:
        return self._given.get(index or 0, self._otherwise)


def hits(*tables: dict[str, Any], attempts: int = 400, draws: Draws | None = None) -> Any:
    """Which of a row of attempts each fault hits: one per second, appends and lists in turn."""
    plan = ApiFaultPlan(tuple(ApiFault.model_validate(table) for table in tables), draws or World().kernel.draws)
    found: list[list[int]] = [[] for _ in tables]
    for number in range(attempts):
        operation = (APPEND, "messages.list")[number % 2]
        fault = plan.decide(operation, float(number), operation, number)
        if fault is not None:
            found[plan.faults.index(fault)].append(number)
    assert plan.fired == [len(each) for each in found]
    return found


KINDS: list[dict[str, Any]] = [
    {"kind": "reset"},
    {"kind": "truncated"},
    {"kind": "malformed"},
    {"kind": "slow_body", "seconds": 5.0},
    {"kind": "status", "status": 503},
    {"kind": "response_lost"},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["kind"])
def test_route_probability_window_and_nth_combine(kind: dict[str, Any]) -> None:
    everything = list(range(400))
    assert hits(kind) == [everything]
    assert hits({**kind, "route": APPEND}) == [everything[::2]]
    assert hits({**kind, "route": "*.list", "window_seconds": [100, 103]}) == [[101]]
    # Counted from the world's start, not from the window's; and per route.
    assert hits({**kind, "route": APPEND, "nth": [3, 60]}) == [[4, 118]]
    assert hits({**kind, "route": APPEND, "nth": [3, 60], "window_seconds": [100, 200]}) == [[118]]
    assert hits({**kind, "nth": [3], "window_seconds": [100, 200]}) == [[]]
    # A probability chooses among those that the rest lets through.
    some = hits({**kind, "probability": 0.25, "window_seconds": [0, 200]})[0]
    assert 30 < len(some) < 70
    assert max(some) < 200
    only = dict.fromkeys((4, 10), 0.1)
    chosen = hits(
        {**kind, "route": APPEND, "probability": 0.5, "nth": [3, 4, 6]},
        draws=Given(only, otherwise=0.9),
    )
    assert chosen == [[4, 10]]
    assert hits({**kind, "probability": 0.0}) == [[]]


def test_the_first_fault_that_fires_decides_whatever_its_kind() -> None:
    first, second, third = hits(
        {"kind": "reset", "nth": [2]}, {"kind": "malformed", "route": APPEND}, {"kind": "slow_body", "seconds": 1}
    )
    assert (first, second, third) == ([1], list(range(0, 400, 2)), list(range(3, 400, 2)))


@both_lanes
def test_the_third_creation_of_a_run_is_reset(lane: Lane) -> None:
    world = World(lane, faults=[ApiFault(kind="reset", route="runs.create", nth=(3,))])

    async def bot(client: Any) -> list[str]:
        seen = []
        for _ in range(4):
            thread = await client.beta.threads.create()
            try:
                await client.with_options(max_retries=0).beta.threads.runs.create(thread.id, assistant_id=ASSISTANT)
                seen.append("created")
            except openai.APIConnectionError:
                seen.append("reset")
        return seen

    assert world.run(bot) == [["created", "created", "reset", "created"]]


# Misuse


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            {"kind": "slow_body"},
            "kind 'slow_body' needs `seconds`, how long the body takes to arrive: a number above 0",
        ),
        ({"kind": "slow_body", "seconds": 0}, "greater than 0"),
        ({"kind": "slow_body", "seconds": float("inf")}, "finite"),
        (
            {"kind": "reset", "seconds": 3},
            "`seconds` belongs to kinds 'slow_body' and 'read_timeout' only, not to 'reset'",
        ),
        (
            {"kind": "status", "status": 500, "seconds": 3},
            "`seconds` belongs to kinds 'slow_body' and 'read_timeout' only, not to 'status'",
        ),
        ({"kind": "reset", "status": 500}, "`status` belongs to kind 'status' only, not to 'reset': leave it out"),
        (
            {"kind": "malformed", "processed": True, "html": True},
            "`processed`, `html` belong to kind 'status' only, not to 'malformed': leave them out",
        ),
        ({"kind": "slow_body", "seconds": 3, "headers": {"a": "b"}}, "`headers` belongs to kind 'status' only"),
        ({"kind": "status"}, "kind 'status' needs `status`, the HTTP status to answer with: 400 to 599"),
        ({"kind": "status", "status": 500, "html": True}, "belongs to status 502 only: leave it out, or answer 502"),
        ({"kind": "status", "status": 500, "headers": {"Retry-After": "3"}, "retry_after_seconds": 3}, "given twice"),
        ({"kind": "status", "status": 500, "headers": {"x y": "3"}}, "'x y' is no name of a header"),
        ({"kind": "status", "status": 500, "headers": {"x-a": "1", "X-A": "2"}}, "a header is given twice"),
        ({"kind": "status", "status": 500, "headers": {"x": "a\nb"}}, "must be printable ASCII"),
        ({"kind": "status", "status": 500, "headers": {"x": "não"}}, "must be printable ASCII"),
        ({"kind": "status", "status": 500, "headers": {"Content-Length": "3"}}, "leave it out"),
        ({"kind": "resets"}, "'malformed', 'slow_body' or 'conversation_gone'"),
    ],
)
def test_misuse_gives_one_error_that_names_the_fix(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ApiFault.model_validate(table)
    (error,) = caught.value.errors()
    assert words in error["msg"]


# Retries that the service or the way there asks for or forbids


def attempts_and_waits(lane: Lane, *faults: ApiFault, retries: int = 2) -> tuple[int, list[float], Any]:
    """How often one retrieve was attempted, the waits between, and how it ended."""
    world = World(lane, flat_profile(), faults)

    async def bot(client: Any) -> Any:
        try:
            return await client.with_options(max_retries=retries).beta.threads.retrieve(world.thread)
        except openai.APIError as error:
            return type(error)

    (ending,) = world.run(bot)
    left = [time for time, *_ in world.events("request")]
    answered = [time for time, *_ in world.events("response")]
    waits = [after - before for before, after in zip(answered, left[1:], strict=False)]
    return len(left), waits, ending


def _status(status: int, **headers: str) -> ApiFault:
    return ApiFault(
        kind="status", status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


@both_lanes
def test_x_should_retry_overrides_the_status(lane: Lane) -> None:
    assert attempts_and_waits(lane, _status(503, x_should_retry="false"))[0] == 1
    assert attempts_and_waits(lane, _status(409, x_should_retry="false"))[0] == 1
    assert attempts_and_waits(lane, _status(400, x_should_retry="true"))[0] == 3
    assert attempts_and_waits(lane, _status(404, **{"X-Should-Retry": "true"}))[0] == 3
    assert attempts_and_waits(lane, _status(500, x_should_retry="maybe"))[0] == 3
    # But not for longer than the SDK is willing to wait.
    assert attempts_and_waits(lane, _status(400, x_should_retry="true", retry_after="121"))[0] == 1


@both_lanes
@pytest.mark.parametrize(
    ("status", "raised"), [(408, openai.APIStatusError), (409, openai.ConflictError), (429, openai.RateLimitError)]
)
def test_408_409_and_429_are_retried(lane: Lane, status: int, raised: type[Exception]) -> None:
    attempts, waits, ending = attempts_and_waits(lane, _status(status))
    assert (attempts, ending) == (3, raised)
    assert [0.375 <= waits[0] <= 0.500001, 0.75 <= waits[1] <= 1.000001] == [True, True]
    attempts, _, ending = attempts_and_waits(lane, ApiFault(kind="status", status=status, nth=(1, 2)))
    assert (attempts, ending.object) == (3, "thread")


@both_lanes
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 418, 422])
def test_other_refusals_are_not_retried(lane: Lane, status: int) -> None:
    assert attempts_and_waits(lane, _status(status))[0] == 1


@both_lanes
def test_retry_after_as_a_date_is_in_virtual_time(lane: Lane) -> None:
    # The world begins at 12:00:00; the answer comes at half past the first second.
    assert EPOCH_SECONDS % 86_400 == 12 * 3600
    dated = ApiFault(kind="status", status=503, headers={"Retry-After": "Tue, 04 Nov 2025 12:00:20 GMT"}, nth=(1,))
    assert attempts_and_waits(lane, dated)[:2] == (2, [pytest.approx(19.5, abs=2e-6)])
    # A date that has passed, or that is none, asks for nothing.
    for text in ("Tue, 04 Nov 2025 11:59:00 GMT", "on Tuesday"):
        attempts, waits, _ = attempts_and_waits(lane, _status(503, retry_after=text))
        assert attempts == 3
        assert max(waits) <= 1.000001
    # More than two minutes ahead is too long.
    assert attempts_and_waits(lane, _status(503, retry_after="Tue, 04 Nov 2025 12:02:01 GMT"))[0] == 1


@both_lanes
def test_connection_errors_are_retried_as_often_as_the_client_says(lane: Lane) -> None:
    for retries in (0, 1, 2, 5):
        attempts, waits, ending = attempts_and_waits(lane, ApiFault(kind="connect_error"), retries=retries)
        assert (attempts, ending) == (retries + 1, openai.APIConnectionError)
        assert all(earlier < later or later > 5.9 for earlier, later in pairwise(waits))
    attempts, _, ending = attempts_and_waits(lane, ApiFault(kind="connect_error", nth=(1, 2)))
    assert (attempts, ending.object) == (3, "thread")


@both_lanes
def test_a_fault_may_name_the_request(lane: Lane) -> None:
    world = World(lane, faults=[_status(400, x_request_id="req_from_the_edge")])

    async def bot(client: Any) -> Any:
        with suppress(openai.BadRequestError):
            await client.beta.threads.retrieve(world.thread)
        with pytest.raises(openai.BadRequestError) as caught:
            await client.beta.threads.retrieve(world.thread)
        return caught.value.request_id, caught.value.response.headers["x-request-id"]

    assert world.run(bot) == [("req_from_the_edge", "req_from_the_edge")]
