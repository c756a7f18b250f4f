"""`SimulatedApi`: a world without hosts or sockets that is the same for the same settings, and does not grow."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping, MutableSequence, Set
from typing import Any, NamedTuple

import pytest
from pydantic import ValidationError

from relaysim.sim.backends.replies import ScriptedReplies, ScriptedReply, Turn
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.simulation import ApiSettings, RecentTrace, SimulatedApi
from relaysim.sim.kernel import record_kind

HEADERS = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2", "Content-Type": "application/json"}
ASSISTANT = "asst_" + "a" * 24
START = 1_800_000_000.0


def ask(api: SimulatedApi, method: str, path: str, body: Any = None) -> Any:
    """One request that must succeed; the answer's object."""
    status, _, content = api.handle(method, f"/v1{path}", HEADERS, b"" if body is None else json.dumps(body).encode())
    assert status == 200, content
    return json.loads(content)


def conversation(api: SimulatedApi) -> Iterator[tuple[int, Mapping[str, str], bytes]]:
    """A thread, a message, a run and, a minute later, its reply; every answer as it is."""

    def send(method: str, path: str, body: Any = None) -> Any:
        answer = api.handle(method, f"/v1{path}", HEADERS, b"" if body is None else json.dumps(body).encode())
        answers.append(answer)
        return json.loads(answer[2])

    answers: list[tuple[int, Mapping[str, str], bytes]] = []
    thread = send("POST", "/threads")["id"]
    send("POST", f"/threads/{thread}/messages", {"role": "user", "content": "Olá"})
    run = send("POST", f"/threads/{thread}/runs", {"assistant_id": ASSISTANT})["id"]
    send("POST", f"/threads/{thread}/messages", {"role": "user", "content": "Too early"})
    api.kernel.advance_to(api.kernel.now + 60.0)
    send("GET", f"/threads/{thread}/runs/{run}")
    send("GET", f"/threads/{thread}/messages")
    yield from answers


def make(**settings: Any) -> SimulatedApi:
    """An API that knows every assistant."""
    return SimulatedApi(ApiSettings(**{"assistants": "any", **settings}), START)


def test_the_same_settings_and_calls_give_the_same_bytes() -> None:
    assert list(conversation(make(seed=5))) == list(conversation(make(seed=5)))


def test_another_seed_gives_other_ids() -> None:
    first, second = (json.loads(next(conversation(make(seed=seed)))[2])["id"] for seed in (5, 6))
    assert first != second


def test_request_ids_are_a_function_of_seed_and_number() -> None:
    def ids(seed: int) -> list[str]:
        return [headers["x-request-id"] for _, headers, _ in conversation(make(seed=seed))]

    assert ids(1) == ids(1)
    assert len({*ids(1), *ids(2)}) == 12


def test_a_reset_world_is_a_fresh_one() -> None:
    api = make(seed=3)
    before = list(conversation(api))
    api.reset()
    assert (api.kernel.now, api.requests, api.trace.count, dict(api.service.threads)) == (0.0, 0, 0, {})
    assert list(conversation(api)) == before


def test_a_reset_with_other_settings_and_another_start() -> None:
    api = make(seed=3)
    api.reset(ApiSettings(seed=4), START + 100.0)
    assert ask(api, "POST", "/threads")["created_at"] == START + 100
    assert api.settings.seed == 4


def test_a_reset_to_bad_settings_changes_nothing() -> None:
    api = make(seed=3)
    thread = ask(api, "POST", "/threads")
    with pytest.raises(FileNotFoundError):
        api.reset(ApiSettings(profile="no such profile"))
    with pytest.raises(ValidationError):
        api.reset(ApiSettings(overrides={"stuck_probability": 7}))
    assert ask(api, "GET", f"/threads/{thread['id']}") == thread
    assert api.settings.seed == 3


def test_unix_time_begins_at_the_start_and_follows_virtual_time() -> None:
    api = make()
    assert ask(api, "POST", "/threads")["created_at"] == START
    api.kernel.advance_to(90.0)
    assert ask(api, "POST", "/threads")["created_at"] == START + 90


def test_overrides_reach_the_profile() -> None:
    api = make(overrides={"queue_seconds": {"kind": "constant", "value": 100}})
    thread = ask(api, "POST", "/threads")["id"]
    run = ask(api, "POST", f"/threads/{thread}/runs", {"assistant_id": ASSISTANT})["id"]
    api.kernel.advance_to(99.0)
    assert ask(api, "GET", f"/threads/{thread}/runs/{run}")["status"] == "queued"
    api.kernel.advance_to(100.0)
    assert ask(api, "GET", f"/threads/{thread}/runs/{run}")["status"] == "in_progress"


def test_only_created_and_given_assistants_exist_by_default() -> None:
    api = SimulatedApi(ApiSettings(assistants=(ASSISTANT,)), START)
    made = ask(api, "POST", "/assistants", {"model": "gpt-4o"})["id"]
    thread = ask(api, "POST", "/threads")["id"]
    body = json.dumps({"assistant_id": "asst_" + "b" * 24}).encode()
    assert api.handle("POST", f"/v1/threads/{thread}/runs", HEADERS, body)[0] == 404
    for known in (made, ASSISTANT):
        ask(api, "POST", "/threads/runs", {"assistant_id": known})


def test_a_script_replies() -> None:
    api = make(replies=ScriptedReplies(replies=(ScriptedReply(text="It says: {input}"),)))
    last = json.loads(list(conversation(api))[-1][2])
    assert last["data"][0]["content"][0]["text"]["value"] == "It says: Olá"


def broken_replier(turn: Turn) -> str:
    """A replier with a mistake."""
    raise LookupError("no such answer")


def test_a_replier_that_raises_fails_its_run_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "broken_replies", sys.modules[__name__])
    api = make(replies={"kind": "callable", "factory": "broken_replies:broken_replier"})
    told: list[Exception] = []
    api.on_error = told.append
    run = json.loads(list(conversation(api))[4][2])
    assert run["status"] == "failed"
    assert "LookupError: no such answer" in run["last_error"]["message"]
    assert [str(error) for error in told] == ["no such answer"]


def test_a_request_that_a_fault_would_hit_is_answered_by_handle_all_the_same() -> None:
    api = make(faults=(ApiFault(kind="status", status=500),))
    ask(api, "POST", "/threads")
    assert api.faults.fired == [0]


def test_every_request_is_in_the_trace_with_its_answer() -> None:
    api = make()
    answers = list(conversation(api))
    records = [record for record in api.trace.records if record.kind in ("request", "served")]
    ids = [headers["x-request-id"] for _, headers, _ in answers]
    assert [record.fields[0] for record in records if record.kind == "request"] == ids
    assert [(record.fields[0], record.fields[1]) for record in records if record.kind == "served"] == [
        (request_id, status) for request_id, (status, _, _) in zip(ids, answers, strict=True)
    ]
    states = [record.fields[2] for record in api.trace.records if record.kind == "run.state"]
    assert states == ["queued", "in_progress", "completed"]


# Nothing grows


def test_the_trace_keeps_the_newest_records_and_says_what_was_dropped() -> None:
    class Clock:
        now = 0.0

    @record_kind("kind")
    class Counted(NamedTuple):
        number: int

    clock = Clock()
    trace = RecentTrace(clock, 3)
    for number in range(1, 6):
        clock.now = float(number)
        trace.add("api", Counted(number))
    assert (trace.count, trace.dropped) == (5, 2)
    assert [record.fields for record in trace.after(0)] == [(3,), (4,), (5,)]
    assert [record.fields for record in trace.after(3)] == [(4,), (5,)]
    assert [record.fields for record in trace.after(2, 1)] == [(3,)]
    assert [(record.time, record.entity, record.kind) for record in trace.after(4)] == [(5.0, "api", "kind")]
    assert trace.after(5) == trace.after(99) == []


def test_threads_beyond_the_limit_are_forgotten_the_idlest_first() -> None:
    api = make(threads_max=3)
    first, second, third = (ask(api, "POST", "/threads")["id"] for _ in range(3))
    ask(api, "GET", f"/threads/{first}")
    fourth = ask(api, "POST", "/threads")["id"]
    assert list(api.service.threads) == [third, first, fourth]
    status, _, body = api.handle("GET", f"/v1/threads/{second}", HEADERS, b"")
    assert (status, json.loads(body)["error"]["message"]) == (404, f"No thread found with id '{second}'.")


def test_a_thread_whose_run_is_active_is_not_forgotten() -> None:
    api = make(threads_max=2)
    busy = ask(api, "POST", "/threads")["id"]
    ask(api, "POST", f"/threads/{busy}/runs", {"assistant_id": ASSISTANT})
    idle = [ask(api, "POST", "/threads")["id"] for _ in range(5)]
    assert set(api.service.threads) == {busy, idle[-1]}
    api.kernel.advance_to(601.0)
    for _ in range(3):
        ask(api, "POST", "/threads")
    assert busy not in api.service.threads
    assert len(api.service.threads) == 2


def test_busy_threads_alone_may_exceed_the_limit_and_cost_no_search() -> None:
    api = make(threads_max=10)
    for _ in range(60):
        ask(api, "POST", "/threads/runs", {"assistant_id": ASSISTANT})
    assert len(api.service.threads) == 60
    api.kernel.advance_to(1200.0)
    for _ in range(60):
        ask(api, "POST", "/threads")
    assert len(api.service.threads) == 10


def sizes(api: SimulatedApi) -> dict[str, int]:
    """How many entries everything has that is kept between requests, wherever it is."""
    found: dict[str, int] = {}
    seen: set[int] = set()

    def look(name: str, value: Any, depth: int) -> None:
        if id(value) in seen or depth > 4 or isinstance(value, (type, str, bytes)):
            return
        seen.add(id(value))
        if isinstance(value, (Mapping, MutableSequence, Set, deque)):
            found[name] = len(value)
        names = list(getattr(value, "__dict__", ()))
        for each in type(value).__mro__:
            slots = getattr(each, "__slots__", ())
            names += [slots] if isinstance(slots, str) else list(slots)
        for each in names:
            if hasattr(value, each):
                look(f"{name}.{each}", getattr(value, each), depth + 1)

    for name in ("trace", "service", "kernel", "faults", "wire"):
        look(name, getattr(api, name), 0)
    return found


def test_nothing_grows_with_the_number_of_requests() -> None:
    faults = (ApiFault(kind="status", status=500, route="runs.cancel", probability=0.5),)
    api = make(threads_max=20, trace_records_max=500, faults=faults)

    def round_of_requests(count: int) -> None:
        for number in range(count):
            body = {"assistant_id": ASSISTANT, "thread": {"messages": [{"role": "user", "content": "x"}]}}
            run = ask(api, "POST", "/threads/runs", body)
            thread = run["thread_id"]
            if number % 3 == 0:
                ask(api, "POST", f"/threads/{thread}/runs/{run['id']}/cancel")
            if number % 5 == 0:
                api.service.lives.make_stuck(run["id"])
            if number % 7 == 0:
                ask(api, "DELETE", f"/threads/{thread}")
            else:
                ask(api, "GET", f"/threads/{thread}/runs")
                ask(api, "GET", f"/threads/{thread}/runs/{run['id']}/steps")
            call = api.wire.parse("POST", f"/v1/threads/{thread}/runs/x/cancel", HEADERS, b"")
            api.decide_fault(call, number, "x")
            api.handle("POST", f"/v1/unknown/{number}", HEADERS, b"")
            api.kernel.advance_to(api.kernel.now + 40.0)
        api.kernel.advance_to(api.kernel.now + 1200.0)

    round_of_requests(100)
    before = sizes(api)
    assert before["service.threads"] == 20
    assert before["trace.records"] == 500
    round_of_requests(700)
    grown = {name: (before.get(name, 0), size) for name, size in sizes(api).items() if size > before.get(name, 0) + 5}
    assert grown == {}


def test_settings_say_what_is_wrong_with_them() -> None:
    with pytest.raises(ValidationError) as raised:
        ApiSettings(seed=-1, threads_max=0, body_bytes_max=-1, no_such_setting=1)  # type: ignore[call-arg]
    assert {error["loc"][0] for error in raised.value.errors()} == {
        "seed",
        "threads_max",
        "body_bytes_max",
        "no_such_setting",
    }
