"""The server on a real socket: requests and answers, limits, and what is not asked of the simulated API."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from raw_client import ASSISTANT, CLOSED, HEADERS, RawClient

from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.server.http_protocol import HEAD_BYTES_MAX
from relaysim.sim.doors.server.listener import READING_SECONDS
from relaysim.sim.doors.simulation import ApiSettings, SimulatedApi
from relaysim.sim.kernel import EPOCH_SECONDS

ANY = ApiSettings(assistants="any")


@pytest.fixture(scope="module")
def manual() -> Iterator[BackgroundServer]:
    """A server whose clock moves by hand, for tests that leave it as it was."""
    with BackgroundServer(ANY, speed=0) as running:
        yield running


def test_the_sdk_leads_a_conversation(manual: BackgroundServer) -> None:
    with openai.OpenAI(base_url=manual.base_url, api_key="sk-any") as client:
        threads = client.beta.threads
        thread = threads.create(messages=[{"role": "user", "content": "Olá"}])
        run = threads.runs.create(thread.id, assistant_id=ASSISTANT)
        with pytest.raises(openai.BadRequestError, match=f"while a run {run.id} is active"):
            threads.messages.create(thread.id, role="user", content="Too early")
        manual.advance(60.0)
        assert threads.runs.retrieve(run.id, thread_id=thread.id).status == "completed"
        content = threads.messages.list(thread.id, limit=1).data[0].content[0]
        assert content.type == "text"
        assert content.text.value == "Reply 1 to: Olá"


def test_two_servers_with_the_same_seed_and_requests_answer_the_same_bytes() -> None:
    def answers() -> bytes:
        received = b""
        with BackgroundServer(ApiSettings(assistants="any", seed=11), speed=0) as running, RawClient(running) as client:
            thread = client.ask("POST", "/v1/threads", {}).data["id"]
            run = client.ask("POST", f"/v1/threads/{thread}/runs", {"assistant_id": ASSISTANT}).data["id"]
            for seconds in (0.0, 1.0, 20.0, 600.0):
                running.advance(seconds)
                answer = client.ask("GET", f"/v1/threads/{thread}/runs/{run}")
                received += answer.head + answer.body
            client.send("POST", f"/v1/threads/{thread}/runs", {"assistant_id": ASSISTANT, "stream": True})
            client.wait_for(b"thread.run.queued")
            running.advance(600.0)
            received += client.wait_for(b"0\r\n\r\n")
        return received

    assert answers() == answers()


def test_the_server_answers_what_the_api_without_a_socket_answers() -> None:
    settings = ApiSettings(assistants="any", seed=2, pretty=True, poll_after_ms=7, keys=("sk-test",))
    api = SimulatedApi(settings, EPOCH_SECONDS)
    with BackgroundServer(settings, speed=0) as running, RawClient(running) as client:
        for method, path, body in (
            ("POST", "/v1/threads", b'{"metadata": {"a": "b"}}'),
            ("POST", "/v1/threads/runs", json.dumps({"assistant_id": ASSISTANT}).encode()),
            ("GET", "/v1/threads/thread%5Fx?limit=1", b""),
            ("POST", "/v1/threads", b"{"),
            ("DELETE", "/v1/threads/thread_x", b""),
            ("GET", "/elsewhere/%C3%A9?a=b", b""),
            ("GET", "/v1", b""),
        ):
            expected = api.handle(method, path, HEADERS, body)
            answer = client.ask(method, path, body)
            assert (answer.status, answer.headers, answer.body) == expected


def test_requests_take_as_long_as_the_profile_says_in_virtual_time() -> None:
    settings = ApiSettings(
        assistants="any",
        overrides={
            "request_seconds": {"kind": "constant", "value": 20.0},
            "request_arrival_fraction": 0.25,
            "slow_probability": 0.0,
        },
    )
    with BackgroundServer(settings, speed=100.0, start_seconds=0.0) as running, RawClient(running) as client:
        begun = time.monotonic()
        created = client.ask("POST", "/v1/threads", {}).data["created_at"]
        assert time.monotonic() - begun >= 0.2
        ended = running.call(lambda server: server.api.kernel.now)
        served = next(record for record in running.server.api.trace.records if record.kind == "served")
        left = next(record for record in running.server.api.trace.records if record.kind == "request")
        assert served.time - left.time == 5.0
        assert created == int(served.time)
        assert ended >= left.time + 20.0


def test_latency_can_be_left_out() -> None:
    settings = ApiSettings(latency=False, overrides={"request_seconds": {"kind": "constant", "value": 3600.0}})
    with BackgroundServer(settings, speed=1.0) as running, RawClient(running) as client:
        assert client.ask("POST", "/v1/threads", {}).status == 200


def test_a_request_is_processed_though_its_client_has_gone() -> None:
    settings = ApiSettings(overrides={"request_seconds": {"kind": "constant", "value": 20.0}})
    with BackgroundServer(settings, speed=100.0) as running:
        with RawClient(running) as client:
            client.send("POST", "/v1/threads", {})
            while not running.server.requests:
                time.sleep(0.001)
        deadline = time.monotonic() + 60.0
        while not running.server.api.service.threads and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(running.server.api.service.threads) == 1
        assert running.server.errors == 0


def test_virtual_0_is_now_unless_the_clock_is_manual_or_it_is_given() -> None:
    before = time.time()
    for speed, given, low, high in (
        (1.0, None, before, before + 60),
        (0.0, None, EPOCH_SECONDS, EPOCH_SECONDS),
        (1.0, 1000.0, 1000, 1060),
    ):
        server = SimulatedServer(ANY, speed, given)
        assert low <= server.api.start_seconds <= high
        server.reset()
        assert low <= server.api.start_seconds <= high


def test_health(manual: BackgroundServer) -> None:
    answer = httpx2.get(f"{manual.url}/healthz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["speed"] == 0.0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/threads", 405),
        ("PATCH", "/v1/threads", 405),
        ("OPTIONS", "/v1/threads", 405),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("POST", "/healthz/deeper", 404),
        ("GET", "/_relaysimilar", 404),
    ],
)
def test_what_the_api_does_not_have_is_refused_in_its_words(
    manual: BackgroundServer, method: str, path: str, status: int
) -> None:
    with RawClient(manual) as client:
        answer = client.ask(method, path)
        assert answer.status == status
        assert answer.error["type"] == "invalid_request_error"
        assert answer.headers["x-request-id"].startswith("req_")


def test_head_has_a_status_and_no_body(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        client.send("HEAD", "/v1/threads")
        assert client.wait_for(b"\r\n\r\n").startswith(b"HTTP/1.1 405 ")
        # What follows on the connection is the next answer, not a body.
        assert client.ask("GET", "/healthz").status == 200


def test_requests_that_are_sent_at_once_are_answered_in_order(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        for number in range(50):
            client.send("GET", f"/v1/{number}")
        for number in range(50):
            assert client.receive().error["message"] == f"Invalid URL (GET /v1/{number})"


def test_requests_in_one_packet_are_answered_in_order_whatever_they_ask(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        paths = ["/healthz", "/v1/1", "/v1/2", "/healthz", "/healthz", "/v1/3"]
        client.socket.sendall("".join(f"GET {path} HTTP/1.1\r\n{head}\r\n" for path in paths).encode())
        assert [client.receive().status for _ in paths] == [200, 404, 404, 200, 200, 404]


def test_answers_are_not_held_back_by_nagles_algorithm(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        client.ask("GET", "/healthz")

        def options(server: SimulatedServer) -> list[int]:
            connections = manual._listener._connections.connections
            sockets = [connection.transport.get_extra_info("socket") for connection in connections]
            return [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in sockets]

        assert 0 not in manual.call(options)


def test_chunked_bodies_are_read(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        body = b'd\r\n{"metadata": \r\na\r\n{"a":"b"}}\r\n0\r\n\r\n'
        answer = client.ask("POST", "/v1/threads", body, transfer_encoding="chunked")
        assert answer.data["metadata"] == {"a": "b"}


def test_a_body_that_comes_in_parts_is_put_together(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        text = "x" * 200_000
        body = json.dumps({"role": "user", "content": text}).encode()
        thread = client.ask("POST", "/v1/threads", {}).data["id"]
        client.send("POST", f"/v1/threads/{thread}/messages", body[:1], content_length=str(len(body)))
        for start in range(1, len(body), 50_000):
            client.socket.sendall(body[start : start + 50_000])
        assert client.receive().data["content"][0]["text"]["value"] == text


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        client.send("POST", "/v1/threads", b"", content_length="2", expect="100-continue")
        assert client.wait_for(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.socket.sendall(b"{}")
        assert client.receive().status == 200


# Limits


@pytest.fixture(scope="module")
def small() -> Iterator[BackgroundServer]:
    """A server that takes bodies of 1,000 bytes."""
    with BackgroundServer(ApiSettings(assistants="any", body_bytes_max=1000), speed=0) as running:
        yield running


@pytest.mark.parametrize("size", [1001, 100_000, 10_000_000])
def test_a_body_over_the_limit_is_refused_once_it_is_sent(small: BackgroundServer, size: int) -> None:
    with RawClient(small) as client:
        answer = client.ask("POST", "/v1/threads", b" " * size)
        assert answer.status == 413
        assert answer.error["message"] == "Maximum content size limit (1000) exceeded."
        # All of it was read, so the connection goes on.
        assert client.ask("POST", "/v1/threads", {}).status == 200


def test_a_body_at_the_limit_is_not(small: BackgroundServer) -> None:
    with RawClient(small) as client:
        assert client.ask("POST", "/v1/threads", b"{}".ljust(1000)).status == 200


def test_a_chunked_body_over_the_limit_is_refused(small: BackgroundServer) -> None:
    with RawClient(small) as client:
        body = (b"3e8\r\n" + b" " * 1000 + b"\r\n") * 3 + b"0\r\n\r\n"
        assert client.ask("POST", "/v1/threads", body, transfer_encoding="chunked").status == 413


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(small: BackgroundServer) -> None:
    with RawClient(small) as client:
        client.send("POST", "/v1/threads", b"", content_length="1001", expect="100-continue")
        answer = client.receive()
        assert answer.status == 413
        assert answer.headers["connection"] == "close"
        assert client.rest() == (b"", CLOSED)


def test_the_sdk_sees_a_413(small: BackgroundServer) -> None:
    with openai.OpenAI(base_url=small.base_url, api_key="sk-any", max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            client.beta.threads.create(messages=[{"role": "user", "content": "x" * 5_000_000}])
        assert raised.value.status_code == 413


@pytest.mark.parametrize("padding", [HEAD_BYTES_MAX, 200_000, 1_000_000])
def test_a_head_over_the_limit_is_refused(manual: BackgroundServer, padding: int) -> None:
    with RawClient(manual) as client:
        client.send("GET", "/v1/threads", x_padding="x" * padding)
        answer = client.receive()
        assert answer.status == 431
        assert str(HEAD_BYTES_MAX) in answer.error["message"]
        assert answer.headers["connection"] == "close"
        assert client.rest() == (b"", CLOSED)


def test_a_head_that_never_ends_is_refused(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        client.socket.sendall(b"GET /v1/threads HTTP/1.1\r\n" + b"x-padding: x\r\n" * (HEAD_BYTES_MAX // 14 + 2))
        assert client.receive().status == 431


def test_a_path_over_the_limit_is_refused(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        assert client.ask("GET", "/v1/" + "x" * HEAD_BYTES_MAX).status == 431


def test_a_head_within_the_limit_is_read_also_after_large_bodies(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        client.send("POST", "/v1/threads", b"{}".ljust(300_000))
        client.send("GET", "/v1/nothing", x_padding="x" * (HEAD_BYTES_MAX - 1000))
        assert [client.receive().status, client.receive().status] == [200, 404]


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00 no HTTP\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_no_http_is_told_so(manual: BackgroundServer, garbage: bytes) -> None:
    with RawClient(manual) as client:
        client.socket.sendall(garbage)
        answer = client.receive()
        assert answer.status == 400
        assert answer.error["message"] == "What was sent is not an HTTP request."
        assert client.rest() == (b"", CLOSED)


@pytest.mark.parametrize("path", ["/v1/threads", "/_relaysim/faults"])
@pytest.mark.parametrize("body", [b"zz\r\n", b"2\r\n{}zz\r\n0\r\n\r\n", b"9fff\r\n" + b" " * 40_959 + b"zz\r\n"])
def test_a_chunked_body_that_is_none_is_told_so(manual: BackgroundServer, path: str, body: bytes) -> None:
    with RawClient(manual) as client:
        client.send("POST", path, body, transfer_encoding="chunked")
        answer = client.receive()
        assert answer.status == 400
        assert answer.error["message"] == "What was sent is not an HTTP request."
        assert client.rest() == (b"", CLOSED)
    assert manual.server.errors == 0


@pytest.mark.parametrize(
    "begun", [b"POST /v1/thr", b"POST /v1/threads HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{}"]
)
def test_a_request_that_is_not_finished_for_long_is_given_up(manual: BackgroundServer, begun: bytes) -> None:
    def look(server: SimulatedServer) -> None:
        for connection in list(manual._listener._connections.connections):
            if connection.reading_since is not None:
                connection.reading_since -= READING_SECONDS + 1
        manual._listener._sweep()

    with RawClient(manual) as client:
        client.socket.sendall(begun)
        for _ in range(100):  # it is read a moment later
            manual.call(look)
            client.socket.settimeout(0.1)
            try:
                answer = client.receive()
                break
            except TimeoutError:
                continue
        assert answer.status == 408
        client.socket.settimeout(60)
        assert client.rest() == (b"", CLOSED)
        with RawClient(manual) as another:
            assert another.ask("POST", "/v1/threads", {}).status == 200


def test_garbage_after_a_request_leaves_its_answer_whole(manual: BackgroundServer) -> None:
    with RawClient(manual) as client:
        client.send("GET", "/v1/nothing")
        client.socket.sendall(b"garbage\r\n\r\n")
        assert client.receive().status == 404


def test_a_connection_too_many_is_told_so_and_the_others_go_on() -> None:
    with BackgroundServer(ANY, speed=0, connections_max=2) as running:
        first, second, third = RawClient(running), RawClient(running), RawClient(running)
        with first, second, third:
            assert first.ask("POST", "/v1/threads", {}).status == 200
            assert second.ask("POST", "/v1/threads", {}).status == 200
            refused = third.ask("POST", "/v1/threads", {})
            assert refused.status == 503
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["connection"] == "close"
            assert refused.error["code"] == "too_many_connections"
            assert third.rest() == (b"", CLOSED)
            assert first.ask("POST", "/v1/threads", {}).status == 200
        assert len(running.server.api.service.threads) == 3
        deadline = time.monotonic() + 60.0
        while True:
            with RawClient(running) as fourth:
                status = fourth.ask("POST", "/v1/threads", {}).status
            if status != 503 or time.monotonic() > deadline:
                break
        assert status == 200


def test_the_health_is_told_beyond_the_connection_limit_too() -> None:
    with BackgroundServer(ANY, speed=0, connections_max=1) as running, RawClient(running) as first:
        assert first.ask("GET", "/healthz").status == 200
        with RawClient(running) as second:
            assert second.ask("GET", "/healthz").status == 200


# The simulator's own errors


def test_an_error_of_the_simulator_says_that_it_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*arguments: Any) -> Any:
        raise LookupError("a mistake of ours")

    with BackgroundServer(ANY, speed=0) as running, RawClient(running) as client:
        running.server.api.wire.parse = broken  # type: ignore[method-assign]
        for body in ({}, {"metadata": {"a": "x" * 100_000}}):  # answered at once, and by way of a task
            answer = client.ask("POST", "/v1/threads", body)
            assert answer.status == 500
            assert answer.error["type"] == "simulator_error"
            assert "LookupError: a mistake of ours" in answer.error["message"]
        assert running.server.errors == 2
        assert client.ask("GET", "/healthz").data["errors"] == 2
    assert capsys.readouterr().err.count("LookupError: a mistake of ours") == 2


def test_an_error_in_a_kernel_event_does_not_stop_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise LookupError("a mistake of ours")

    with BackgroundServer(ANY, speed=0) as running, RawClient(running) as client:
        running.call(lambda server: server.api.kernel.at(5.0, broken))
        assert running.advance(10.0) == 10.0
        assert running.server.errors == 1
        assert client.ask("POST", "/v1/threads", {}).status == 200
    assert "LookupError: a mistake of ours" in capsys.readouterr().err


# From the outside


def test_a_reset_gives_a_fresh_world_on_the_same_socket() -> None:
    with BackgroundServer(ApiSettings(assistants="any", seed=1), speed=0) as running, RawClient(running) as client:
        first = client.ask("POST", "/v1/threads", {}).data["id"]
        running.advance(100.0)
        running.call(SimulatedServer.reset)
        assert running.advance(0.0) == 0.0
        assert client.ask("GET", f"/v1/threads/{first}").status == 404
        assert client.ask("GET", "/v1/nothing").headers["x-request-id"] != ""
        running.call(SimulatedServer.reset)
        assert client.ask("POST", "/v1/threads", {}).data["id"] == first
        assert client.ask("GET", "/healthz").data["requests"] == 4


def test_a_reset_ends_requests_that_are_on_their_way() -> None:
    settings = ApiSettings(overrides={"request_seconds": {"kind": "constant", "value": 3600.0}})
    with BackgroundServer(settings, speed=1.0) as running, RawClient(running) as client:
        client.send("POST", "/v1/threads", {})
        while not running.server.requests:
            time.sleep(0.001)
        running.call(SimulatedServer.reset)
        assert client.rest() == (b"", CLOSED)
        assert running.server.errors == 0


def test_the_speed_can_be_changed_and_counts_from_then() -> None:
    with BackgroundServer(ANY, speed=0) as running, RawClient(running) as client:
        thread = client.ask("POST", "/v1/threads", {}).data["id"]
        run = client.ask("POST", f"/v1/threads/{thread}/runs", {"assistant_id": ASSISTANT}).data["id"]
        running.call(SimulatedServer.set_speed, 10_000.0)
        deadline = time.monotonic() + 60.0
        while running.server.api.service.runs[run].status != "completed" and time.monotonic() < deadline:
            time.sleep(0.005)
        assert running.server.api.service.runs[run].status == "completed"


def test_a_server_can_be_used_again_only_inside_its_block() -> None:
    running = BackgroundServer(ANY, speed=0)
    with pytest.raises(RuntimeError, match="inside its `with` block"):
        running.advance(1.0)
    with running:
        running.advance(1.0)
    with pytest.raises(RuntimeError, match="inside its `with` block"):
        running.advance(1.0)


def test_a_port_that_is_taken_is_told_where_the_server_is_started(manual: BackgroundServer) -> None:
    port = int(manual.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"), BackgroundServer(ANY, port=port):
        pass


def test_other_asgi_servers_can_run_it_too() -> None:
    import asyncio

    async def talk() -> None:
        server = SimulatedServer(ApiSettings(faults=(ApiFault(kind="reset", route="threads.retrieve"),)), 0.0)
        sent: list[Any] = []
        steps = asyncio.Queue[Any]()
        steps.put_nowait({"type": "lifespan.startup"})

        async def send(message: Any) -> None:
            sent.append(message)

        lifespan = asyncio.ensure_future(server({"type": "lifespan"}, steps.get, send))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(server), base_url="http://simulated") as client:
            headers = {name: value for name, value in HEADERS.items() if name != "host"}
            assert (await client.post("/v1/threads", json={}, headers=headers)).status_code == 200
            answer = await client.get("/v1/threads/thread_x", headers=headers)
            assert answer.status_code == 500
            assert "needs the connection itself" in answer.json()["error"]["message"]
        steps.put_nowait({"type": "lifespan.shutdown"})
        await lifespan
        assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    asyncio.run(talk())
