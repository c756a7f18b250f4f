"""The control API on a socket: what it does to connections of clients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from control_bench import API_HEADERS, ASSISTANT

from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings


def settings(*faults: dict[str, Any]) -> ApiSettings:
    return ApiSettings.model_validate({"assistants": (ASSISTANT,), "faults": faults})


def test_a_reset_ends_open_streams() -> None:
    with BackgroundServer(settings(), speed=0) as running, httpx2.Client(headers=API_HEADERS) as client:
        body = {"assistant_id": ASSISTANT, "thread": {}, "stream": True}
        with client.stream("POST", f"{running.base_url}/threads/runs", json=body) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: thread.created"
            assert client.post(f"{running.control_url}/reset").json()["counts"]["threads"] == 0
            with pytest.raises(httpx2.RemoteProtocolError):
                list(lines)


def test_a_reset_ends_silences() -> None:
    lost = {"kind": "request_lost"}
    with (
        BackgroundServer(settings(lost), speed=0) as running,
        httpx2.Client(headers=API_HEADERS) as client,
        ThreadPoolExecutor() as threads,
    ):
        unanswered = threads.submit(
            httpx2.post, f"{running.base_url}/threads", headers=API_HEADERS, json={}, timeout=60
        )
        while client.get(f"{running.control_url}/faults").json()["faults"][0]["fired"] == 0:
            assert not unanswered.done()
        assert not unanswered.done()
        client.post(f"{running.control_url}/reset", json={"faults": []})
        assert isinstance(unanswered.exception(timeout=30), httpx2.RemoteProtocolError)
        assert client.post(f"{running.base_url}/threads", json={}).status_code == 200


def test_an_outage_can_be_ended_by_who_is_still_connected() -> None:
    outage = {"kind": "connect_error", "window_from_now_seconds": [0, 1000]}
    with BackgroundServer(settings(), speed=0.001) as running, httpx2.Client(headers=API_HEADERS) as client:
        assert client.post(f"{running.control_url}/faults", json=outage).status_code == 201
        assert client.post(f"{running.control_url}/faults", json={"kind": "reset"}).status_code == 201
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(running.control_url)
        assert [fault["fired"] for fault in client.get(f"{running.control_url}/faults").json()["faults"]] == [1, 0]
        client.delete(f"{running.control_url}/faults")
        running.call(lambda server: None)  # until the door is open again
        assert httpx2.get(running.control_url).status_code == 200
