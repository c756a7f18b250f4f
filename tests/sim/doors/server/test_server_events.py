"""Goal: a server tells an endpoint of the end of responses, signed, and again until it is told 2xx.

Method: a real endpoint on this machine, which answers as each test says; the clock stands still but where it is advanced.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import httpx2
import openai
import pytest

from relaysim.sim.backends.webhook_events import SECRET
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.server.control_trace import page_of_trace
from relaysim.sim.doors.simulation import ApiSettings

NUMBERS = {"queue_seconds": 1.0, "run_seconds": 4.0, "stuck_probability": 0.0, "failure_probability": 0.0}


class Endpoint(ThreadingHTTPServer):
    """Answers with these statuses in turn, then with 200; keeps what came."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hooks?of=relay"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.server.received.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    serving = threading.Thread(target=made.serve_forever, daemon=True)
    serving.start()
    yield made
    made.shutdown()
    made.server_close()


def overrides() -> dict[str, Any]:
    return {
        name: {"kind": "constant", "value": each} if name.endswith("_seconds") else each
        for name, each in NUMBERS.items()
    }


def running(url: str, **events: Any) -> BackgroundServer:
    settings = ApiSettings(api="responses", overrides=overrides(), events={"url": url, **events})
    return BackgroundServer(settings, speed=0, start_seconds=time.time())


def ended(server: BackgroundServer, count: int) -> list[dict[str, Any]]:
    """The ends of attempts, once there are so many."""

    def look(simulated: SimulatedServer) -> list[dict[str, Any]]:
        return page_of_trace(simulated.api.trace, 0, 100, ["event.delivered"]).events

    for _ in range(600):
        found = server.call(look)
        if len(found) >= count:
            assert len(found) == count
            return found
        time.sleep(0.05)
    raise AssertionError(f"{len(found)} attempts have ended, not {count}")


def begin(server: BackgroundServer) -> tuple[openai.OpenAI, str]:
    client = openai.OpenAI(base_url=server.base_url, api_key="sk-any", webhook_secret=SECRET)
    return client, client.responses.create(model="gpt-4o", input="Hello", background=True).id


def test_the_sdk_unwraps_what_an_endpoint_gets(endpoint: Endpoint) -> None:
    with running(endpoint.url) as server:
        client, response_id = begin(server)
        server.advance(6.0)
        (attempt,) = ended(server, 1)
        assert (attempt["status"], attempt["event"], attempt["run_id"]) == (200, "response.completed", response_id)
        ((path, headers, body),) = endpoint.received
        assert path == "/hooks?of=relay"
        event = client.webhooks.unwrap(body, headers)
        assert (event.type, event.data.id) == ("response.completed", response_id)
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body, headers, secret="whsec_YW5vdGhlcg==")
        client.close()


def test_it_comes_again_after_growing_waits_whatever_but_2xx_it_was_told(endpoint: Endpoint) -> None:
    endpoint.statuses += [500, 302, 404]
    with running(endpoint.url) as server:
        client, _ = begin(server)
        server.advance(6.0)
        times = [ended(server, 1)[0]["time"]]
        for count, wait in ((2, 5.0), (3, 10.0), (4, 20.0)):
            server.advance(wait - 0.5)
            assert len(ended(server, count - 1)) == count - 1
            server.advance(0.5)
            times.append(ended(server, count)[-1]["time"])
        assert [each["status"] for each in ended(server, 4)] == [500, 302, 404, 200]
        assert [after - before for before, after in pairwise(times)] == [5.0, 10.0, 20.0]
        server.advance(1000.0)
        assert len(endpoint.received) == 4
        assert len({headers["webhook-id"] for _, headers, _ in endpoint.received}) == 1
        assert len({headers["webhook-signature"] for _, headers, _ in endpoint.received}) == 4
        client.webhooks.unwrap(endpoint.received[-1][2], endpoint.received[-1][1])
        client.close()


def test_a_reset_may_name_the_endpoint_where_the_api_has_events(endpoint: Endpoint) -> None:
    given = {"events": {"url": endpoint.url, "deadline_seconds": 2.0}}
    settings = ApiSettings(api="responses", overrides=overrides())
    for each, status in ((settings, 200), (ApiSettings(), 422)):
        with BackgroundServer(each, speed=0, start_seconds=time.time()) as server:
            answer = httpx2.post(f"{server.base_url.removesuffix('/v1')}/_relaysim/reset", json=given, trust_env=False)
            assert answer.status_code == status, answer.text
            if status == 200:
                client, _ = begin(server)
                server.advance(6.0)
                assert ended(server, 1)[0]["status"] == 200
                client.close()
            else:
                assert "events: the simulated Threads API tells of nothing by itself" in answer.text


def test_where_nobody_listens_it_comes_again(endpoint: Endpoint) -> None:
    with running("http://127.0.0.1:9/") as server:
        client, _ = begin(server)
        server.advance(6.0)
        assert [(each["status"], each["reason"]) for each in ended(server, 1)] == [(0, "ConnectError")]
        server.advance(5.0)
        ended(server, 2)
        assert server.call(lambda simulated: simulated.errors) == 0
        client.close()


def test_an_endpoint_that_takes_too_long_gets_it_again(endpoint: Endpoint) -> None:
    """It answers after its deadline, which passes in virtual time meanwhile."""
    answering = threading.Event()
    received = endpoint.received

    class Slow(_Handler):
        def do_POST(self) -> None:
            if not received:
                received.append(("", {}, b""))
                answering.wait(30)
            super().do_POST()

    endpoint.RequestHandlerClass = Slow
    with running(endpoint.url) as server:
        client, _ = begin(server)
        server.advance(6.0)
        while not received:
            time.sleep(0.02)
        server.advance(5.0)
        assert [each["reason"] for each in ended(server, 1)] == ["no answer in time"]
        answering.set()
        server.advance(5.0)
        assert [each["status"] for each in ended(server, 2)] == [0, 200]
        client.close()
