"""How a server stops: nothing that waits holds it up, nothing that is under way is lost without need."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from raw_client import ASSISTANT, CLOSED, RESET, RawClient

from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.server import listener
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings

AT_ONCE_SECONDS = 30.0
"""Far longer than a busy machine takes for what happens at once, far shorter than the grace that is given here."""

LATENCY = {"request_arrival_fraction": 0.5, "slow_probability": 0.0}


@pytest.fixture(autouse=True)
def _a_long_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that waits for something open would wait for minutes."""
    monkeypatch.setattr(listener.Listener.stop, "__defaults__", (120.0,))


def latency(seconds: float) -> dict[str, Any]:
    """A profile's overrides: every request takes so long."""
    return {**LATENCY, "request_seconds": {"kind": "constant", "value": seconds}}


def processed(running: BackgroundServer, count: int) -> None:
    """Wait until so many requests have arrived."""
    deadline = time.monotonic() + 60.0
    while running.server.requests < count and time.monotonic() < deadline:
        time.sleep(0.002)
    assert running.server.requests == count


def test_idle_connections_are_closed_in_order() -> None:
    with BackgroundServer(speed=0) as running:
        client = RawClient(running)
        assert client.ask("GET", "/healthz").status == 200
    with client:
        assert client.rest() == (b"", CLOSED)


def test_after_the_stop_nobody_listens_and_the_thread_is_gone() -> None:
    with BackgroundServer(speed=0) as running:
        url = running.url
    assert not any(thread.name == "relaysim-server" for thread in threading.enumerate())
    with pytest.raises(ConnectionRefusedError):
        RawClient(running)
    with BackgroundServer(speed=0, port=int(url.rpartition(":")[2])) as again:
        assert again.url == url


@pytest.mark.parametrize("kind", ["request_lost", "response_lost", "read_timeout"])
def test_an_open_silence_ends_at_once(kind: str) -> None:
    settings = ApiSettings(faults=(ApiFault(kind=kind),))  # type: ignore[arg-type]
    with BackgroundServer(settings, speed=0) as running:
        client = RawClient(running)
        client.send("POST", "/v1/threads", {})
        processed(running, 1)
        begun = time.monotonic()
    assert time.monotonic() - begun < AT_ONCE_SECONDS
    with client:
        assert client.rest() == (b"", CLOSED)
    assert len(running.server.api.service.threads) == (kind == "response_lost")
    assert running.server.errors == 0


def test_an_open_stream_ends_at_once_and_not_as_if_it_were_over() -> None:
    with BackgroundServer(ApiSettings(assistants="any"), speed=0) as running:
        client = RawClient(running)
        client.send("POST", "/v1/threads/runs", {"assistant_id": ASSISTANT, "stream": True})
        client.wait_for(b"event: thread.run.queued\n")
        begun = time.monotonic()
    assert time.monotonic() - begun < AT_ONCE_SECONDS
    with client:
        received, end = client.rest()
        assert end == CLOSED
        assert not received.endswith(b"0\r\n\r\n")


def test_a_body_that_dribbles_ends_at_once() -> None:
    settings = ApiSettings(faults=(ApiFault(kind="slow_body", seconds=3600.0),))
    with BackgroundServer(settings, speed=0) as running:
        client = RawClient(running)
        client.send("POST", "/v1/threads", {})
        client.wait_for(b"\r\n\r\n")
        begun = time.monotonic()
    assert time.monotonic() - begun < AT_ONCE_SECONDS
    with client:
        assert client.rest() == (b"", CLOSED)


def test_a_request_that_is_nearly_through_is_answered() -> None:
    with BackgroundServer(ApiSettings(overrides=latency(50.0)), speed=100.0) as running:
        client = RawClient(running)
        client.send("POST", "/v1/threads", {})
        processed(running, 1)
    with client:
        answer = client.receive()
        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        assert client.rest() == (b"", CLOSED)


def test_a_request_that_takes_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener.Listener.stop, "__defaults__", (0.1,))
    with BackgroundServer(ApiSettings(overrides=latency(3600.0)), speed=1.0) as running:
        client = RawClient(running)
        client.send("POST", "/v1/threads", {})
        processed(running, 1)
        begun = time.monotonic()
    assert 0.1 <= time.monotonic() - begun < AT_ONCE_SECONDS
    with client:
        assert client.rest() in ((b"", CLOSED), (b"", RESET))
    assert running.server.errors == 0


def test_a_client_that_has_sent_half_a_request_does_not_hold_up_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener.Listener.stop, "__defaults__", (0.1,))
    with BackgroundServer(speed=0) as running:
        client = RawClient(running)
        client.send("POST", "/v1/threads", b"", content_length="10")
        time.sleep(0.05)
        begun = time.monotonic()
    assert time.monotonic() - begun < AT_ONCE_SECONDS
    client.socket.close()


def test_a_reader_that_does_not_read_does_not_hold_up_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener.Listener.stop, "__defaults__", (0.1,))
    with BackgroundServer(ApiSettings(assistants="any"), speed=0) as running:
        client = RawClient(running)
        thread = client.ask("POST", "/v1/threads", {}).data["id"]
        message = {"role": "user", "content": "x" * 200_000}
        for _ in range(40):
            client.ask("POST", f"/v1/threads/{thread}/messages", message)
        client.send("GET", f"/v1/threads/{thread}/messages?limit=40")
        time.sleep(0.05)
        begun = time.monotonic()
    assert time.monotonic() - begun < AT_ONCE_SECONDS
    client.socket.close()


def test_an_outage_does_not_open_the_door_of_a_server_that_stops() -> None:
    accepted: list[bool] = []

    def knock() -> None:
        while not over.is_set():
            try:
                RawClient(running).socket.close()
            except (ConnectionRefusedError, ConnectionResetError):
                accepted.append(False)
            else:
                accepted.append(True)
            time.sleep(0.01)

    over, knocking = threading.Event(), threading.Thread(target=knock)
    with BackgroundServer(ApiSettings(overrides=latency(80.0)), speed=100.0) as running:
        client = RawClient(running)
        client.send("POST", "/v1/threads", {})  # keeps the server for 0.8 s
        processed(running, 1)
        outage = ApiFault(kind="connect_error", window_seconds=(0.0, running.advance(0.0) + 30.0))
        running.call(SimulatedServer.set_faults, (outage,))
        knocking.start()
    over.set()
    knocking.join()
    with client:
        assert client.receive().status == 200
    assert len(accepted) > 10
    assert not any(accepted)


def test_an_error_inside_the_block_comes_out_of_it() -> None:
    with pytest.raises(LookupError, match="the test's own"), BackgroundServer(speed=0):
        raise LookupError("the test's own")
