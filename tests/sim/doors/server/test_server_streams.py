"""Streamed answers on a real socket."""

from __future__ import annotations

import time

import openai
import pytest
from raw_client import ASSISTANT, CLOSED, RawClient, chunks

from relaysim.sim.backends.replies import ScriptedReplies, ScriptedReply
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings

ANY = ApiSettings(assistants="any")
DONE = b"event: done\ndata: [DONE]\n\n"


def start_stream(client: RawClient) -> str:
    """Ask for a streamed run on a new thread; the thread's id."""
    thread: str = client.ask("POST", "/v1/threads", {"messages": [{"role": "user", "content": "a b c"}]}).data["id"]
    client.send("POST", f"/v1/threads/{thread}/runs", {"assistant_id": ASSISTANT, "stream": True})
    return thread


def test_events_come_as_the_clock_moves() -> None:
    with BackgroundServer(ANY, speed=0) as running, RawClient(running) as client:
        start_stream(client)
        head = client.wait_for(b"\r\n\r\n")
        assert b"content-type: text/event-stream; charset=utf-8\r\n" in head
        assert b"content-length" not in head
        client.wait_for(b"event: thread.run.queued\n")
        assert client.silent()
        seen = [b"thread.run.in_progress", b"thread.message.delta", b"thread.run.completed"]
        received = b""
        for event in seen:
            while event not in client.received:
                assert b"0\r\n\r\n" not in client.received, event
                running.advance(0.5)
                client.silent(0.02)
            received = client.received
        assert received.index(seen[0]) < received.index(seen[1]) < received.index(seen[2])
        client.wait_for(DONE)
        client.wait_for(b"0\r\n\r\n")
        assert client.ask("GET", "/healthz").status == 200  # the connection goes on


def test_the_sdk_reads_a_stream_while_it_is_written() -> None:
    replies = ScriptedReplies(replies=(ScriptedReply(text="one two three four five six seven eight nine ten"),))
    overrides = {
        "queue_seconds": {"kind": "constant", "value": 1.0},
        "run_seconds": {"kind": "constant", "value": 20.0},
        "stuck_probability": 0.0,
    }
    settings = ApiSettings(assistants="any", replies=replies, overrides=overrides, latency=False)
    with BackgroundServer(settings, speed=10.0) as running:
        with openai.OpenAI(base_url=running.base_url, api_key="sk-any") as client:
            thread = client.beta.threads.create(messages=[{"role": "user", "content": "Count"}])
            arrived: list[float] = []
            with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=ASSISTANT) as stream:
                for _ in stream.text_deltas:
                    arrived.append(time.monotonic())
                text = stream.get_final_messages()[0].content[0]
        assert text.type == "text"
        assert text.text.value == "one two three four five six seven eight nine ten"
        assert len(arrived) == 10
        assert arrived[-1] - arrived[0] > 0.1  # of 1.8 s: not all at once at the end


def test_a_reader_that_leaves_does_not_stop_the_run() -> None:
    with BackgroundServer(ANY, speed=0) as running:
        with RawClient(running) as client:
            thread = start_stream(client)
            client.wait_for(b"event: thread.run.queued\n")
        deadline = time.monotonic() + 60.0
        while running.server._requests.exchanges and time.monotonic() < deadline:
            time.sleep(0.005)
        assert not running.server._requests.exchanges
        (run,) = running.server.api.service.threads[thread].runs
        assert run.stream is not None
        assert run.stream.detached
        running.advance(600.0)
        assert run.status == "completed"
        assert running.server.errors == 0


def test_a_stream_of_an_old_world_is_cut_off_without_its_end() -> None:
    with BackgroundServer(ANY, speed=0) as running, RawClient(running) as client:
        start_stream(client)
        client.wait_for(b"event: thread.run.queued\n")
        running.call(SimulatedServer.reset)
        received, end = client.rest()
        assert end == CLOSED
        assert not received.endswith(b"0\r\n\r\n")


def test_the_first_events_come_after_the_way_back() -> None:
    overrides = {
        "request_seconds": {"kind": "constant", "value": 20.0},
        "request_arrival_fraction": 0.0,
        "slow_probability": 0.0,
        "queue_seconds": {"kind": "constant", "value": 1.0},
    }
    with BackgroundServer(ApiSettings(assistants="any", overrides=overrides), speed=100.0) as running:
        thread = running.call(lambda server: server.api.service.create_thread()["id"])
        with RawClient(running) as client:
            client.send("POST", f"/v1/threads/{thread}/runs", {"assistant_id": ASSISTANT, "stream": True})
            client.wait_for(b"\r\n\r\n")
            # What has happened meanwhile comes with the head.
            while b"thread.run.in_progress" not in client.received:
                assert not client.silent(1.0)
            assert chunks(client.received).startswith(b"event: thread.run.created\n")


@pytest.mark.parametrize("count", [20])
def test_many_streams_at_once_all_end(count: int) -> None:
    with BackgroundServer(ANY, speed=0) as running:
        clients = [RawClient(running) for _ in range(count)]
        for client in clients:
            start_stream(client)
            client.wait_for(b"event: thread.run.queued\n")
        running.advance(700.0)
        for client in clients:
            client.wait_for(DONE)
            client.socket.close()
