"""Goal: `drain` on Responses keeps its promises where that API gives it less than Threads do.

Method: worlds with one fault each, of the kind that the backend's docstring names; what is stored and sent is read from the
trace.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest

from relaysim.relay.drain import NoThread
from relaysim.relay.drain.backend import Busy
from relaysim.relay.drain.identity import metadata_of
from relaysim.relay.drain.responses_backend import ResponsesBackend, _sorted, marker_of, metadata_in
from relaysim.sim.backends.profile import load_profile
from relaysim.sim.backends.responses.profile import ResponsesProfile
from relaysim.sim.world import Result, WorldSettings, run_world

pytestmark = pytest.mark.usefixtures("one_session")


def world(*at_seconds: float, numbers: dict[str, Any] | None = None, **tables: Any) -> WorldSettings:
    seconds = {"kind": "constant", "value": 5.0}
    profile = load_profile("claimed", {"run_seconds": seconds, **(numbers or {})}, ResponsesProfile)
    relay = {"factory": "relaysim.relay:drain", "settings": {"api": "responses"}}
    document = {
        "api": "responses",
        "profile": profile,
        "relay": relay,
        "workload": {"messages": [{"at_seconds": at} for at in at_seconds]},
        **tables,
    }
    return WorldSettings.model_validate(document)


def run(settings: WorldSettings, seed: int = 0) -> Result:
    return run_world(settings, root_seed=5, seed=seed, lane="direct", keep_trace=True)


def events(result: Result, kind: str) -> list[Any]:
    assert result.records is not None
    return [fields for _, _, each, fields in result.records if each == kind]


def sent(result: Result) -> list[str]:
    return [fields.text for fields in events(result, "send")]


def breaches(result: Result) -> dict[str, int]:
    return {name: n for name, n in result.observation["counts"].items() if name.startswith("breach_") and n}


def test_messages_of_a_burst_get_one_turn_and_the_next_one_knows_them() -> None:
    result = run(world(0.0, 0.3, 30.0))
    assert sent(result) == ["Reply 1 to: Question [c1.m2]", "Reply 2 to: Question [c1.m3]"]
    assert breaches(result) == {}


@pytest.mark.parametrize("kind", ["response_lost", "reset", "truncated"])
def test_a_turn_of_unknown_fate_is_left_behind_and_nothing_stands_twice(kind: str) -> None:
    fault = {"kind": kind, "route": "responses.create", "nth": [1]}
    result = run(world(0.0, 90.0, numbers={"run_seconds": {"kind": "constant", "value": 20.0}}, faults=[fault]))
    stored = Counter((each.thread_id, each.text) for each in events(result, "message.stored") if each.role == "user")
    assert max(stored.values()) == 1, stored
    conversations = {each.thread_id for each in events(result, "message.stored")}
    assert len(conversations) == 2  # it went on in a copy
    assert sent(result) == ["Reply 1 to: Question [c1.m1]", "Reply 2 to: Question [c1.m2]"]
    assert breaches(result) == {}


def test_a_turn_that_had_completed_by_then_is_adopted() -> None:
    """The answer of the creation is lost, which the relay waits 10 s for: longer than the turn takes."""
    result = run(world(0.0, faults=[{"kind": "response_lost", "route": "responses.create", "nth": [1]}]))
    assert len({each.run_id for each in events(result, "run.state")}) == 1
    assert sent(result) == ["Reply 1 to: Question [c1.m1]"]
    assert breaches(result) == {}


LATE = {"kind": "read_timeout", "route": "responses.create", "window_seconds": [0.0, 90.0], "seconds": 60.0}
"""No creation is answered for as long as the first message may wait; each is carried out a minute after it was given up."""

CRASHES = [{"kind": "crash", "on": "send", "nth": [1], "seconds": {"kind": "constant", "value": 5.0}}]


@pytest.mark.parametrize(
    ("at_seconds", "tables"),
    [
        ((0.0, 100.0), {}),
        ((0.0, 85.0, 100.0), {"workers": [{"count": 2}], "host_faults": CRASHES}),
        ((0.0, 100.0), {"workers": [{"count": 2}], "host_faults": CRASHES}),
    ],
    ids=["the lease was released", "the worker died and messages waited", "the worker died and nothing waited"],
)
def test_what_was_apologised_for_does_not_come_into_the_conversation_after_what_was_written_later(
    at_seconds: tuple[float, ...], tables: dict[str, Any]
) -> None:
    """The creation that was on its way when its message's time was over comes to be; whoever goes on then left it behind."""
    result = run(world(*at_seconds, faults=[LATE], **tables))
    later = {each.thread_id for each in events(result, "message.stored") if f"[c1.m{len(at_seconds)}]" in each.text}
    stored = [each.text for each in events(result, "message.stored") if each.thread_id in later and each.role == "user"]
    assert stored, sent(result)
    assert stored == sorted(stored), stored
    assert sent(result)[-1].endswith(f"[c1.m{len(at_seconds)}]")
    assert breaches(result) == {}


@pytest.mark.parametrize("trouble", [{"kind": "status", "status": 500}, {"kind": "read_timeout"}])
def test_a_turn_that_was_found_with_its_reply_is_sent_though_nothing_more_can_be_read(trouble: dict[str, Any]) -> None:
    """It has ended, so that what was found need not be asked for again, and there is nothing to cancel."""
    lost = {"kind": "response_lost", "route": "responses.create", "nth": [1]}
    unreadable = {**trouble, "route": "conversations.items.list", "nth": list(range(2, 60))}
    result = run(world(0.0, faults=[lost, unreadable]))
    assert sent(result) == ["Reply 1 to: Question [c1.m1]"]
    assert [each.operation for each in events(result, "request")].count("responses.cancel") == 0
    assert breaches(result) == {}


@pytest.mark.parametrize("lock", ["openai400", "none"])
def test_what_a_dead_worker_left_at_work_is_left_behind(lock: str) -> None:
    """It is cancelled so late that it completes all the same, beside what the next worker asks or just before that comes."""
    numbers = {
        "lock": lock,
        "run_seconds": {"kind": "constant", "value": 60.0},
        "cancel_seconds": {"kind": "constant", "value": 20.0},
        "unfinished_keeps": "input",
    }
    crash = {"kind": "crash", "on": "served:responses.cancel", "nth": [1], "seconds": 300.0}
    relay = {"factory": "relaysim.relay:drain", "settings": {"api": "responses", "run_patience_seconds": 10}}
    result = run(world(0.0, numbers=numbers, relay=relay, workers=[{"count": 2}], host_faults=[crash]))
    stored = Counter((each.thread_id, each.text) for each in events(result, "message.stored") if each.role == "user")
    creations = [each.thread_id for each in events(result, "request") if each.operation == "responses.create"][:2]
    assert len(set(creations)) == 2  # the next worker's is in a copy
    assert max(stored.values()) == 1, stored
    assert breaches(result) == {}


def test_what_the_api_asks_of_one_look_binds_the_next_whatever_it_is_for() -> None:
    listed: list[float] = []

    async def items(thread_id: str, **_: Any) -> Any:
        listed.append(asyncio.get_running_loop().time())
        if len(listed) == 1:
            response = httpx2.Response(
                429, request=httpx2.Request("GET", "https://api.test"), headers={"retry-after": "0.1"}
            )
            raise openai.RateLimitError("asked to wait", response=response, body={"message": "slow down"})
        return SimpleNamespace(data=[])

    async def create(**_: Any) -> Any:
        return SimpleNamespace(id="conv_2")

    client: Any = SimpleNamespace(
        responses=None, conversations=SimpleNamespace(items=SimpleNamespace(list=items), create=create)
    )
    client.with_options = lambda **_: client

    async def looks() -> None:
        backend = ResponsesBackend(client, model="gpt-4.1", timeout_seconds=10.0)
        with pytest.raises(Busy):
            await backend.recent("conv_1")
        with pytest.raises(Busy) as asked:
            await backend.copy_thread("conv_1", 3)
        assert asked.value.after_seconds == pytest.approx(0.1, abs=0.09)
        with pytest.raises(Busy):
            await backend.recent("conv_1")  # nor does the third one ask before the time is over
        assert len(listed) == 1  # nothing was asked
        await asyncio.sleep(asked.value.after_seconds)
        assert await backend.copy_thread("conv_1", 3) == "conv_2"  # whoever waited asks

    asyncio.run(looks())
    assert len(listed) == 2
    assert listed[1] - listed[0] >= 0.1


@pytest.mark.parametrize("kept", ["nothing", "input"])
def test_what_a_failed_turn_brought_is_sent_again_only_if_it_is_gone(kept: str) -> None:
    result = run(world(0.0, numbers={"failure_probability": 1.0, "unfinished_keeps": kept}))
    stored = [each.text for each in events(result, "message.stored") if each.role == "user"]
    assert len(stored) == {"nothing": 4, "input": 1}[kept]  # four creations, as the settings allow
    assert len(sent(result)) == 1  # one apology
    assert breaches(result) == {}


def test_a_conversation_that_a_function_call_spoilt_is_left_behind() -> None:
    """Somebody else's turn has called a tool: until its output comes, every further turn is refused."""
    body = {"message": "No tool output found for function call call_1.", "type": "invalid_request_error", "code": None}
    response = httpx2.Response(400, request=httpx2.Request("POST", "https://api.test"), json={"error": body})
    error = openai.BadRequestError(f"Error code: 400 - {body['message']}", response=response, body=body)
    assert isinstance(_sorted(error), NoThread)


def test_a_lock_that_nobody_frees_is_left_behind_in_time() -> None:
    workload = {"messages": [{"at_seconds": 0.0}], "initial_runs": [{"age_seconds": 30.0}]}
    result = run(world(0.0, workload=workload))
    assert sent(result) == ["Reply 1 to: Question [c1.m1]"]
    assert breaches(result) == {}


def test_of_several_turns_that_nobody_waits_for_each_is_looked_for_before_the_lease_is_released() -> None:
    """Neither can be read or cancelled any more, so that clearing up takes all the time that there is for it."""
    trouble = [
        {"kind": "status", "status": 503, "route": route, "window_seconds": [20.0, 1000.0]}
        for route in ("responses.retrieve", "responses.cancel")
    ]
    stuck = {"stuck_probability": 1.0, "turn_limit_seconds": 900.0}
    relay = {"factory": "relaysim.relay:drain", "settings": {"api": "responses", "deadline_seconds": 30.0}}
    result = run(world(0.0, 20.0, numbers=stuck, faults=trouble, relay=relay))
    assert result.records is not None
    turns = {each.run_id for each in events(result, "run.state")}
    assert len(turns) > 1
    apologised = max(time for time, _, kind, _ in result.records if kind == "send")
    released = max(time for time, _, kind, _ in result.records if kind == "lease.released")
    looked = Counter(
        fields.run_id
        for time, _, kind, fields in result.records
        if kind == "request" and fields.operation == "responses.retrieve" and apologised < time < released
    )
    assert looked.keys() == turns
    assert min(looked.values()) > 2, looked  # a share of the time for each
    assert released - apologised < 70.0


def test_a_marker_says_what_metadata_say_and_no_customers_text_is_one() -> None:
    metadata = metadata_of(3, "a1b2", ["wamid.1", "wamid.2"])
    assert metadata_in(marker_of(metadata)) == metadata
    assert metadata_in("Where is my order?") == {}
    assert metadata_in("[relay] ") == {}
