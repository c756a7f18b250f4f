"""Every kind of fault as it is on the wire, and as a client sees it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from raw_client import ASSISTANT, CLOSED, HEADERS, RESET, RawClient, chunks

from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings

SENT = {name: value for name, value in HEADERS.items() if name != "host"}


def serve(*faults: dict[str, Any], speed: float = 0.0, **settings: Any) -> BackgroundServer:
    """A server with these faults."""
    made = tuple(ApiFault(**fault) for fault in faults)
    return BackgroundServer(ApiSettings(assistants="any", faults=made, **settings), speed=speed)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait for something that happens in the server's thread; whether it did."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def threads(running: BackgroundServer) -> int:
    """How many threads the service has."""
    return len(running.server.api.service.threads)


def create(running: BackgroundServer, seconds: float = 10.0) -> httpx2.Response:
    """Create a thread with an ordinary client."""
    with httpx2.Client(timeout=seconds, trust_env=False) as client:
        return client.post(f"{running.base_url}/threads", json={}, headers=SENT)


def stream(running: BackgroundServer, client: RawClient) -> None:
    """Ask for a run whose answer is a stream."""
    thread = running.call(lambda server: server.api.service.create_thread()["id"])
    client.send("POST", f"/v1/threads/{thread}/runs", {"assistant_id": ASSISTANT, "stream": True})


# Nothing comes back


def test_connect_error_resets_before_any_byte_and_nothing_is_processed() -> None:
    with serve({"kind": "connect_error"}) as running:
        with RawClient(running) as client:
            client.send("POST", "/v1/threads", {})
            assert client.rest() == (b"", RESET)
        with pytest.raises(httpx2.ReadError):
            create(running)
        assert threads(running) == 0
        assert running.server.api.faults.fired == [2]


def test_request_lost_is_silence_and_nothing_is_processed() -> None:
    with serve({"kind": "request_lost"}) as running:
        with RawClient(running) as client:
            client.send("POST", "/v1/threads", {})
            assert client.silent()
        with pytest.raises(httpx2.ReadTimeout):
            create(running, 0.1)
        assert threads(running) == 0


def test_response_lost_is_silence_and_the_request_is_processed() -> None:
    with serve({"kind": "response_lost"}) as running:
        with RawClient(running) as client:
            client.send("POST", "/v1/threads", {})
            assert client.silent(0.1)
            assert threads(running) == 1
        with pytest.raises(httpx2.ReadTimeout):
            create(running, 0.1)
        assert threads(running) == 2


def test_read_timeout_processes_the_request_when_its_client_has_gone() -> None:
    with serve({"kind": "read_timeout"}) as running:
        with RawClient(running) as client:
            client.send("POST", "/v1/threads", {})
            assert client.silent(0.1)
            assert threads(running) == 0
        assert until(lambda: threads(running) == 1)


@pytest.mark.parametrize("kind", ["response_lost", "read_timeout"])
def test_what_comes_late_comes_after_the_way_out(kind: str) -> None:
    latency = {"request_seconds": {"kind": "constant", "value": 40.0}, "request_arrival_fraction": 0.5}
    with serve({"kind": kind}, speed=200.0, overrides=latency, seed=1) as running:
        with RawClient(running) as client:
            client.send("POST", "/v1/threads", {})
            assert client.silent(0.05)
        assert until(lambda: threads(running) == 1)
        records = running.server.api.trace.records
        times = {record.kind: record.time for record in records}
        assert times["served"] - times["request"] >= 20.0


# Something else comes back


@pytest.mark.parametrize("processed", [False, True])
def test_status_answers_that_status_with_its_headers(processed: bool) -> None:
    fault = {
        "kind": "status",
        "status": 503,
        "retry_after_seconds": 7,
        "headers": {"X-Should-Retry": "false"},
        "processed": processed,
    }
    with serve(fault) as running, RawClient(running) as client:
        answer = client.ask("POST", "/v1/threads", {})
        assert answer.status == 503
        assert answer.error["type"] == "server_error"
        assert answer.headers["retry-after"] == "7"
        assert answer.headers["x-should-retry"] == "false"
        assert threads(running) == processed
        assert client.ask("GET", "/healthz").status == 200


def test_status_502_can_be_a_page() -> None:
    with serve({"kind": "status", "status": 502, "html": True}) as running:
        answer = create(running)
        assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
        assert answer.text.startswith("<html>")


def test_a_processed_status_in_place_of_a_stream_leaves_the_run() -> None:
    with serve({"kind": "status", "status": 500, "processed": True, "route": "runs.create"}) as running:
        with RawClient(running) as client:
            stream(running, client)
            assert client.receive().status == 500
        (run,) = running.server.api.service.runs.values()
        running.advance(60.0)
        assert run.status == "completed"


# The answer suffers


def whole_body(kind: str, client: RawClient) -> tuple[int, bytes, bytes, str]:
    """What a damaged answer's content-length says, its head, what of its body came, and how the connection ended."""
    client.send("POST", "/v1/threads", {"metadata": {"a": "é" * 200}})
    received, end = client.rest()
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return length, head, body, end


def test_reset_breaks_the_connection_in_mid_body() -> None:
    with serve({"kind": "reset"}) as running:
        with RawClient(running) as client:
            length, head, body, end = whole_body("reset", client)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert 0 < len(body) < length
            assert end == RESET
        with pytest.raises(httpx2.ReadError):
            create(running)
        assert threads(running) == 2


def test_truncated_ends_the_body_before_its_length() -> None:
    with serve({"kind": "truncated"}) as running:
        with RawClient(running) as client:
            length, head, body, end = whole_body("truncated", client)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert 0 < len(body) < length
            assert end == CLOSED
        with pytest.raises(httpx2.RemoteProtocolError):
            create(running)
        assert threads(running) == 2


def test_malformed_is_a_whole_answer_with_half_its_json() -> None:
    with serve({"kind": "malformed"}) as running:
        with RawClient(running) as client:
            answer = client.ask("POST", "/v1/threads", {})
            assert answer.status == 200
            assert answer.body.startswith(b'{"id":"thread_')
            with pytest.raises(json.JSONDecodeError):
                json.loads(answer.body)
            assert client.ask("GET", "/healthz").status == 200  # the framing is right
        with openai.OpenAI(base_url=running.base_url, api_key="x") as client, pytest.raises(json.JSONDecodeError):
            client.beta.threads.create()


def test_a_refusal_can_suffer_too() -> None:
    with serve({"kind": "malformed", "route": "threads.retrieve"}) as running, RawClient(running) as client:
        answer = client.ask("GET", "/v1/threads/thread_x")
        assert answer.status == 404
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.body)


def test_slow_body_dribbles_in_ten_pieces_of_virtual_time() -> None:
    with serve({"kind": "slow_body", "seconds": 50.0}) as running, RawClient(running) as client:
        client.send("POST", "/v1/threads", {})
        head = client.wait_for(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert client.received == b""
        assert client.silent(0.05)
        for number in range(1, 11):
            running.advance(5.0)
            expected = length * number // 10
            while len(client.received) < expected:
                client.silent(5.0)
            assert len(client.received) == expected
        assert json.loads(client.received)["object"] == "thread"
        client.received = b""
        assert client.ask("GET", "/healthz").status == 200


def test_a_client_that_reads_a_slow_body_gets_all_of_it() -> None:
    with serve({"kind": "slow_body", "seconds": 50.0}, speed=500.0, latency=False) as running:
        begun = time.monotonic()
        assert create(running).json()["object"] == "thread"
        assert time.monotonic() - begun >= 0.1


def test_a_client_that_leaves_a_slow_body_ends_it() -> None:
    with serve({"kind": "slow_body", "seconds": 3600.0}, speed=1.0, latency=False) as running:
        with RawClient(running) as client:
            client.send("POST", "/v1/threads", {})
            client.wait_for(b"\r\n\r\n")
        assert until(lambda: not running.server._requests.exchanges)
        assert running.server.errors == 0


@pytest.mark.parametrize(("kind", "end"), [("reset", RESET), ("truncated", CLOSED)])
def test_a_stream_breaks_off_after_its_first_events(kind: str, end: str) -> None:
    with serve({"kind": kind, "route": "runs.create"}) as running, RawClient(running) as client:
        stream(running, client)
        received, ended = client.rest()
        head, _, body = received.partition(b"\r\n\r\n")
        assert b"content-type: text/event-stream" in head
        assert chunks(body).endswith(b"\n\n")
        assert b"event: thread.run.queued\n" in chunks(body)
        assert b"event: done" not in body
        assert ended == end
        (run,) = running.server.api.service.runs.values()
        assert run.stream is not None
        assert run.stream.detached  # nothing more is collected


def test_a_malformed_stream_is_its_first_event_cut_off_and_nothing_more() -> None:
    with serve({"kind": "malformed", "route": "runs.create"}) as running, RawClient(running) as client:
        stream(running, client)
        answer = client.receive()
        assert answer.status == 200
        name, _, data = answer.body.decode().rstrip("\n").partition("\ndata: ")
        assert name == "event: thread.run.created"
        with pytest.raises(json.JSONDecodeError):
            json.loads(data)


def test_a_slow_streams_first_events_dribble_and_the_rest_follows() -> None:
    with (
        serve({"kind": "slow_body", "seconds": 100.0, "route": "runs.create"}) as running,
        RawClient(running) as client,
    ):
        stream(running, client)
        client.wait_for(b"\r\n\r\n")
        running.advance(60.0)  # the run is over by now
        assert client.wait_for(b"thread.run.created")
        assert b"done" not in client.received
        running.advance(40.0)
        assert b"event: thread.run.completed\n" in client.wait_for(b"event: done\ndata: [DONE]\n\n")


# Outages

OUTAGE = {"kind": "connect_error", "window_seconds": (100.0, 200.0)}


def refused(running: BackgroundServer) -> bool:
    """Whether a new connection is refused."""
    try:
        RawClient(running).socket.close()
    except (ConnectionRefusedError, ConnectionResetError):  # the latter just as the door closes
        return True
    return False


def test_in_an_outage_connections_are_refused_and_then_accepted_again() -> None:
    with serve(OUTAGE, speed=0.001, latency=False) as running:
        with RawClient(running) as idle:
            assert idle.ask("GET", "/v1/nothing").status == 404
            assert not refused(running)
            running.advance(100.0)
            assert refused(running)
            assert idle.rest() == (b"", RESET)
            with pytest.raises(httpx2.ConnectError):
                create(running)
            assert running.server.faults_fired == 1
        running.advance(99.0)
        assert refused(running)
        running.advance(1.0)
        assert not refused(running)
        assert create(running).status_code == 200


def test_an_outage_comes_and_goes_with_time() -> None:
    with serve({**OUTAGE, "window_seconds": (20.0, 60.0)}, speed=200.0, latency=False) as running:
        assert until(lambda: refused(running))
        assert until(lambda: not refused(running))
        assert create(running).status_code == 200


def test_a_connection_that_controls_outlives_an_outage() -> None:
    with serve(OUTAGE, speed=0.001, latency=False) as running, RawClient(running) as control:
        assert control.ask("GET", "/healthz").status == 200
        running.advance(150.0)
        assert refused(running)
        assert control.ask("GET", "/healthz").status == 200


def test_at_speed_0_the_door_stays_open_and_requests_are_reset() -> None:
    with serve(OUTAGE) as running:
        running.advance(150.0)
        with RawClient(running) as client:
            client.send("POST", "/v1/threads", {})
            assert client.rest() == (b"", RESET)
        running.advance(50.0)
        assert create(running).status_code == 200


def test_faults_that_hit_only_some_requests_close_no_door() -> None:
    for change in ({"route": "runs.*"}, {"probability": 0.5}, {"nth": (1,)}, {"kind": "request_lost"}):
        with serve({**OUTAGE, **change}, speed=0.001) as running:
            running.advance(150.0)
            assert not refused(running)


@pytest.mark.parametrize("end", ["faults", "speed", "reset"])
def test_an_outage_ends_with_what_made_it(end: str) -> None:
    with serve(OUTAGE, speed=0.001, latency=False) as running:
        running.advance(150.0)
        assert refused(running)
        if end == "faults":
            running.call(SimulatedServer.set_faults, ())
        elif end == "speed":
            running.call(SimulatedServer.set_speed, 0.0)
        else:
            running.call(SimulatedServer.reset)
        assert not refused(running)


def test_an_outage_that_is_set_later_begins_at_once() -> None:
    with serve(speed=0.001, latency=False) as running:
        running.advance(150.0)
        running.call(SimulatedServer.set_faults, (ApiFault(**OUTAGE),))
        assert refused(running)
        running.advance(50.0)
        assert not refused(running)


# Plans


def test_faults_are_counted_over_changes_and_resets() -> None:
    with serve({"kind": "status", "status": 500}) as running, RawClient(running) as client:
        client.ask("POST", "/v1/threads", {})
        running.call(SimulatedServer.set_faults, (ApiFault(kind="status", status=429, nth=(1,)),))
        assert [client.ask("POST", "/v1/threads", {}).status for _ in range(2)] == [429, 200]
        running.call(SimulatedServer.reset)
        assert client.ask("POST", "/v1/threads", {}).status == 500  # the settings' own again
        assert running.server.faults_fired == 3
        assert running.server.requests == 4


def test_faults_are_in_the_trace() -> None:
    with serve({"kind": "status", "status": 500}) as running, RawClient(running) as client:
        request_id = client.ask("POST", "/v1/threads", {}).headers["x-request-id"]
        found = [record for record in running.server.api.trace.records if record.kind == "fault"]
        assert [record.fields for record in found] == [(request_id, "status", "threads.create", None)]


def test_the_same_seed_is_hit_by_the_same_faults() -> None:
    def statuses() -> list[int]:
        running = serve({"kind": "status", "status": 500, "probability": 0.5}, seed=4)
        with running, RawClient(running) as client:
            return [client.ask("POST", "/v1/threads", {}).status for _ in range(40)]

    first = statuses()
    assert first == statuses()
    assert {200, 500} == set(first)
