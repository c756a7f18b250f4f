"""The control API's trace: every event with named fields, page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from control_bench import ASSISTANT, FLAT, Bench

from relaysim.sim.backends.threads.backend import THREADS
from relaysim.sim.doors import Network, load_profile, make_client
from relaysim.sim.doors.server.control_models import TraceEvent
from relaysim.sim.doors.server.control_trace import KINDS
from relaysim.sim.kernel import EPOCH_SECONDS, Kernel, Record
from relaysim.sim.trace.schema import SCHEMA

PREFIXES = {"thread_id": "thread_", "run_id": "run_", "message_id": "msg_"}


def some_history(bench: Bench) -> None:
    """Some of everything that a server records."""
    thread_id = bench.thread()
    run_id = bench.started(thread_id)
    bench.api("POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "refused"})
    bench.advance(2)
    bench.api("POST", f"/threads/{thread_id}/runs/{run_id}/cancel")
    bench.advance(60)
    bench.started(thread_id)
    bench.advance(60)
    bench.api("POST", "/threads/runs", {"assistant_id": ASSISTANT, "thread": {}})
    bench.done("POST", "/faults", {"kind": "status", "status": 503})
    bench.api("GET", f"/threads/{thread_id}")


def a_server() -> list[Record]:
    with Bench() as bench:
        some_history(bench)
        return list(bench.server.api.trace.records)


def a_world() -> list[Record]:
    kernel, profile = Kernel(), load_profile("typical", FLAT)
    service = THREADS.start(kernel, profile, now=lambda: EPOCH_SECONDS + kernel.now, trace=kernel.trace)
    host = kernel.host("worker-1")
    client = make_client(kernel, host, Network(kernel, service, profile), "direct")

    async def converse() -> None:
        thread = await client.beta.threads.create()
        await client.beta.threads.messages.create(thread.id, role="user", content="Hello")
        await client.beta.threads.runs.create(thread.id, assistant_id=ASSISTANT)

    host.spawn(converse())
    kernel.run(until=60.0)
    return kernel.trace.records


@pytest.mark.parametrize("made", [a_server, a_world])
def test_every_event_has_the_record_of_its_kind_and_fields_that_fit_their_names(made: Any) -> None:
    records = made()
    expected = {"run.state", "message.stored", "request", "served", "fault" if made is a_server else "response"}
    assert {record.kind for record in records} == expected
    for record in records:
        assert type(record.fields) is SCHEMA[record.kind]
        fields: dict[str, Any] = record.fields._asdict()  # type: ignore[attr-defined]
        for name, prefix in PREFIXES.items():
            assert fields.get(name) is None or fields[name].startswith(prefix), record
        assert "status" not in fields or fields["status"] in (200, 400, 503), record
        if record.kind == "message.stored":
            assert fields["role"] in ("user", "assistant")
            assert "Hello" in fields["text"]
        if record.kind == "run.state":
            assert fields["state"] in ("queued", "in_progress", "completed", "cancelling", "cancelled")
        if record.kind in ("request", "fault"):
            assert fields["operation"].split(".")[0] in ("threads", "messages", "runs")
        if record.kind == "fault":
            assert fields["fault"] == "status"


def test_every_kind_that_can_be_asked_for_is_described() -> None:
    described = TraceEvent.__doc__ or ""
    for kind in KINDS:
        assert f"- `{kind}`: {SCHEMA[kind].__doc__}" in described
        assert all(f"`{name}`: " in described for name in SCHEMA[kind]._fields)


def test_events_tell_what_happened_to_a_request() -> None:
    with Bench() as bench:
        thread_id = bench.thread("Hi")
        bench.advance(1)
        bench.started(thread_id)
        refused = bench.api("POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "more"})
        request_id, message = refused.headers["x-request-id"], refused.json()["error"]["message"]
        *_, request, served = bench.done("GET", "/trace")["events"]
    assert request == {
        "number": 7,
        "time": 1.0,
        "entity": "client",
        "kind": "request",
        "request_id": request_id,
        "context": "",
        "operation": "messages.create",
        "thread_id": thread_id,
        "run_id": None,
    }
    assert served == {
        "number": 8,
        "time": 1.0,
        "entity": "api",
        "kind": "served",
        "request_id": request_id,
        "status": 400,
        "error_message": message,
        "detail": "",
    }


def pages(bench: Bench, **query: Any) -> Iterator[dict[str, Any]]:
    """All pages, by the cursor."""
    after = 0
    while True:
        page = bench.done("GET", "/trace", params={**query, "after": after})
        yield page
        if not page["events"]:
            return
        assert page["next"] > after
        after = page["next"]


@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize("kinds", [[], ["served"], ["request", "run.state"]])
def test_pages_have_every_event_once(limit: int, kinds: list[str]) -> None:
    with Bench() as bench:
        some_history(bench)
        count = bench.server.api.trace.count
        wanted = [
            number
            for number, record in enumerate(bench.server.api.trace.records, start=1)
            if not kinds or record.kind in kinds
        ]
        seen = list(pages(bench, limit=limit, kind=kinds))
    assert [event["number"] for page in seen for event in page["events"]] == wanted
    assert all(len(page["events"]) <= limit and page["dropped"] == 0 for page in seen)
    assert seen[-1]["next"] == count


def test_a_reader_learns_what_it_has_missed() -> None:
    with Bench(trace_records_max=4) as bench:
        some_history(bench)
        count = bench.server.api.trace.count
        page = bench.done("GET", "/trace")
        assert [event["number"] for event in page["events"]] == list(range(count - 3, count + 1))
        assert page["dropped"] == count - 4
        assert bench.done("GET", "/trace", params={"after": count - 6})["dropped"] == 2
        assert bench.done("GET", "/trace", params={"after": count - 4})["dropped"] == 0


def test_a_cursor_from_before_a_reset_is_told_so() -> None:
    with Bench() as bench:
        some_history(bench)
        cursor = bench.done("GET", "/trace")["next"]
        bench.done("POST", "/reset")
        assert bench.refused("GET", "/trace", params={"after": cursor}) == (
            422,
            "invalid",
            f"after is {cursor}, and the newest event has number 0: after a reset, begin again with 0",
        )


def test_lines_are_the_same_events() -> None:
    with Bench() as bench:
        some_history(bench)
        page = bench.done("GET", "/trace", params={"limit": 5})
        answer = bench.control("GET", "/trace", params={"limit": 5, "format": "jsonl"})
    assert answer.headers["content-type"] == "application/jsonl"
    assert [json.loads(line) for line in answer.text.splitlines()] == page["events"]
    assert answer.headers["relaysim-next"] == str(page["next"])
    assert answer.headers["relaysim-dropped"] == str(page["dropped"])


def test_the_events_of_a_thread_are_those_of_its_requests_and_of_what_they_did() -> None:
    with Bench() as bench:
        first, other = bench.thread("mine"), bench.thread("theirs")
        run_id = bench.started(first)
        bench.started(other)
        bench.advance(20)
        created = bench.api("POST", "/threads/runs", {"assistant_id": ASSISTANT, "thread": {}}).json()["thread_id"]

        def of(thread_id: str) -> list[tuple[str, Any]]:
            events = bench.done("GET", "/trace", params={"thread": thread_id})["events"]
            return [(event["kind"], event.get("operation", event.get("state"))) for event in events]

        assert of(first) == [
            ("request", "threads.create"),
            ("message.stored", None),
            ("served", None),
            ("request", "runs.create"),
            ("run.state", "queued"),
            ("served", None),
            ("run.state", "in_progress"),
            ("message.stored", None),
            ("run.state", "completed"),
        ]
        assert of(created) == [("request", "threads.create_and_run"), ("run.state", "queued"), ("served", None)]
        assert len(of(other)) == len(of(first))
        empty = bench.api("POST", "/threads", {}).json()["id"]
        assert of(empty) == [("request", "threads.create"), ("served", None)]
        assert of("thread_none") == []
        events = bench.done("GET", "/trace", params={"thread": first, "kind": "served"})["events"]
        assert [event["detail"] for event in events] == [first, run_id]
