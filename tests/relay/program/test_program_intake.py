"""The intake by itself, with a relay that does what a test wants: what is answered, and when a message counts as taken."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from relaysim.relay import InboxFull, InboxUnavailable, IncomingMessage
from relaysim.relay.program.intake import BODIES_HELD_MAX, Intake, Limits
from relaysim.relay.program.program_metrics import ProgramMetrics
from relaysim.relay.program.whatsapp import WhatsApp
from relaysim.sim import providers as sim
from relaysim.sim.providers import Attempt, CustomerMessage, HttpRequest

THERE = sim.WhatsApp()
HERE = WhatsApp(
    phone_number_id=THERE.phone_number_id, access_token="t", app_secret=THERE.secret, verify_token=THERE.verify_token
)
Handle = Callable[[IncomingMessage], Awaitable[object]]


class Relay:
    """Takes messages in as a test says."""

    def __init__(self, handle: Handle | None = None) -> None:
        self.taken: list[str] = []
        self._handle = handle

    async def handle(self, message: IncomingMessage) -> object:
        if self._handle is not None:
            await self._handle(message)
        self.taken.append(message.text)
        return None


class Bench:
    """An intake, its relay, and what it counts."""

    def __init__(self, handle: Handle | None = None, *, why_not: str = "", **limits: Any) -> None:
        self.relay = Relay(handle)
        self.registry = CollectorRegistry()
        given = {"body_bytes": 10_000, "body_seconds": 5.0, "webhooks": 100, **limits}
        self.intake = Intake(
            self.relay,
            HERE,
            path="/webhook",
            limits=Limits(**given),
            why_not=lambda: [why_not] if why_not else [],
            metrics=ProgramMetrics(self.registry),
            registry=self.registry,
        )

    def counted(self, answer: str) -> float | None:
        return self.registry.get_sample_value("relay_webhooks_total", {"answer": answer})

    async def ask(self, request: HttpRequest, pieces: list[Any] | None = None) -> tuple[int, bytes] | None:
        """The answer to a request whose body comes in these pieces; a number among them is a pause, None a break."""
        waiting = [request.body] if pieces is None else list(pieces)
        answer: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            while waiting and isinstance(waiting[0], float):
                await asyncio.sleep(waiting.pop(0))
            piece = waiting.pop(0) if waiting else b""
            if piece is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

        async def send(event: MutableMapping[str, Any]) -> None:
            answer.append(event)

        scope = {
            "type": "http",
            "method": request.method,
            "path": request.path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in request.headers.items()],
        }
        await self.intake(scope, receive, send)
        return (answer[0]["status"], answer[1]["body"]) if answer else None


def of(*texts: str) -> HttpRequest:
    """A webhook that holds these texts."""
    told = [CustomerMessage(f"c1.m{number}", "c1", text, 1.8e9, number) for number, text in enumerate(texts)]
    return THERE.webhook(told, Attempt())


def test_it_is_acknowledged_when_all_its_messages_are_in_and_not_before() -> None:
    async def run() -> None:
        going_on = asyncio.Event()

        async def slow(message: IncomingMessage) -> None:
            await going_on.wait()

        bench = Bench(slow)
        asking = asyncio.create_task(bench.ask(of("one", "two")))
        await asyncio.sleep(0.05)
        assert not asking.done()
        going_on.set()
        assert await asking == (200, b"ok")
        assert bench.relay.taken == ["one", "two"]

    asyncio.run(run())


@pytest.mark.parametrize("refusal", [InboxUnavailable("unreachable", "no connection"), InboxFull(500)])
def test_if_one_of_its_messages_is_not_taken_it_has_to_come_again(refusal: Exception) -> None:
    async def second_fails(message: IncomingMessage) -> None:
        if message.text == "two":
            raise refusal

    bench = Bench(second_fails)
    assert asyncio.run(bench.ask(of("one", "two", "three"))) == (503, b"refused")
    assert bench.relay.taken == ["one"]
    assert bench.counted("503") == 1


def test_a_bug_is_a_500_and_says_nothing_of_itself_or_of_the_customer(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(message: IncomingMessage) -> None:
        raise RuntimeError(f"cannot handle {message.text}")

    caplog.set_level(logging.INFO, "relay")
    assert asyncio.run(Bench(breaks).ask(of("my secret"))) == (500, b"refused")
    (record,) = caplog.records
    event = json.loads(record.getMessage())
    assert (event["event"], event["error"]) == ("webhook_failed", "RuntimeError")
    assert any("relaysim.relay.program.intake:" in line for line in event["where"])
    assert "my secret" not in caplog.text


def test_while_nothing_may_be_taken_in_no_body_is_read() -> None:
    bench = Bench(why_not="Redis is away")
    assert asyncio.run(bench.ask(of("one"), [b"x", 3600.0, b"y"])) == (503, b"refused")
    assert bench.relay.taken == []


def test_a_body_that_does_not_come_in_time_is_given_up() -> None:
    bench = Bench(body_seconds=0.05)
    body = of("one").body
    assert asyncio.run(bench.ask(of("one"), [body[:50], 3600.0, body[50:]])) == (408, b"refused")


def test_a_body_in_pieces_is_read_up_to_the_limit() -> None:
    request = of("one")
    bench = Bench(body_bytes=len(request.body))
    pieces = [request.body[at : at + 7] for at in range(0, len(request.body), 7)]
    without_length = {name: value for name, value in request.headers.items() if name != "content-length"}
    assert asyncio.run(bench.ask(request._replace(headers=without_length), pieces)) == (200, b"ok")
    one_more = Bench(body_bytes=len(request.body) - 1)
    assert asyncio.run(one_more.ask(request, [*pieces, 3600.0])) == (413, b"refused")
    announced = request._replace(headers={**request.headers, "content-length": str(len(request.body))})
    assert asyncio.run(one_more.ask(announced, [3600.0])) == (413, b"refused")
    for wrong in ("-1", "1e3", "x", ""):
        headers = {**request.headers, "content-length": wrong}
        assert asyncio.run(Bench().ask(request._replace(headers=headers))) == (400, b"refused")


def test_who_has_gone_gets_no_answer_and_nothing_is_taken_in() -> None:
    bench = Bench()
    assert asyncio.run(bench.ask(of("one"), [b"{", None])) is None
    assert bench.relay.taken == []
    assert bench.counted("gone") == 1


def test_beyond_the_limit_at_once_webhooks_are_refused_and_after_it_taken() -> None:
    async def run() -> None:
        going_on = asyncio.Event()

        async def slow(message: IncomingMessage) -> None:
            await going_on.wait()

        bench = Bench(slow, webhooks=3)
        asking = [asyncio.create_task(bench.ask(of(str(number)))) for number in range(5)]
        await asyncio.sleep(0.05)
        assert [task.result() for task in asking if task.done()] == [(503, b"refused")] * 2
        going_on.set()
        assert sorted(await asyncio.gather(*asking)) == [(200, b"ok")] * 3 + [(503, b"refused")] * 2  # type: ignore[type-var]
        assert await bench.ask(of("later")) == (200, b"ok")
        assert bench.registry.get_sample_value("relay_webhooks_open") == 0

    asyncio.run(run())


def test_all_bodies_together_hold_no_more_than_they_may() -> None:
    async def run() -> None:
        bench = Bench(body_bytes=1_000, webhooks=1_000)
        piece = b" " * 1_000
        request = HttpRequest("POST", THERE.url, {"content-type": "application/json"}, b"")
        asking = [asyncio.create_task(bench.ask(request, [piece, 0.2, b""])) for _ in range(BODIES_HELD_MAX + 8)]
        answers = await asyncio.gather(*asking)
        statuses = [answer[0] for answer in answers if answer is not None]
        assert statuses.count(503) == 8
        assert statuses.count(401) == BODIES_HELD_MAX
        assert await bench.ask(of("later")) == (200, b"ok")

    asyncio.run(run())


def test_health_readiness_and_what_is_not_there() -> None:
    def ask(bench: Bench, method: str, path: str) -> tuple[int, bytes] | None:
        return asyncio.run(bench.ask(HttpRequest(method, f"http://relay{path}", {})))

    well, ill = Bench(), Bench(why_not="Redis is away")
    assert ask(well, "GET", "/healthz") == ask(ill, "GET", "/healthz") == (200, b"alive")
    assert ask(well, "HEAD", "/healthz") == (200, b"")
    assert ask(well, "GET", "/readyz") == (200, b'{"ready": true, "why": []}')
    assert ask(ill, "GET", "/readyz") == (503, b'{"ready": false, "why": ["Redis is away"]}')
    assert ask(well, "DELETE", "/webhook") == (405, b"method not allowed")
    assert ask(well, "GET", "/docs") == (404, b"not found")
    metrics = ask(well, "GET", "/metrics")
    assert metrics is not None
    assert b"relay_webhooks_total" in metrics[1]
