"""The simulated API on a socket, in a test's hands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from relaysim.sim.backends.replies import Turn
from relaysim.sim.backends.threads.fixtures import ServedOpenAI
from relaysim.sim.doors.simulation import ApiSettings

ASSISTANT = "asst_support"


def settings(**changes: Any) -> ApiSettings:
    """A run is queued for 1 s and runs for 10 s; requests take no time."""
    seconds = {"queue_seconds": 1.0, "run_seconds": 10.0, "cancel_seconds": 3.0}
    overrides: dict[str, Any] = {name: {"kind": "constant", "value": value} for name, value in seconds.items()}
    overrides |= {"stuck_probability": 0.0}
    return ApiSettings(**{"overrides": overrides, "assistants": "any", "latency": False, **changes})


@pytest.fixture
def served() -> Iterator[ServedOpenAI]:
    """Time stands still unless a test moves it."""
    with ServedOpenAI(settings(), speed=0.0) as opened:
        yield opened


def test_the_race_of_the_incident(served: ServedOpenAI) -> None:
    threads = served.client().beta.threads
    thread = threads.create()
    run = threads.runs.create(thread.id, assistant_id=ASSISTANT)
    with pytest.raises(openai.BadRequestError) as refused:
        threads.messages.create(thread.id, role="user", content="and another thing")
    assert refused.value.body == {
        "message": f"Can't add messages to {thread.id} while a run {run.id} is active.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def test_a_lost_response_is_stored_twice(served: ServedOpenAI) -> None:
    threads = served.client().beta.threads
    thread = threads.create()
    served.add_fault("response_lost", route="messages.create", nth=(1,))
    threads.messages.create(thread.id, role="user", content="pay 10", timeout=1)
    assert served.transcript(thread.id) == [("user", "pay 10")] * 2
    assert served.fired == (1,)
    served.clear_faults()
    assert served.faults == ()


def test_a_stuck_run_ends_by_expiry(served: ServedOpenAI) -> None:
    threads = served.client().beta.threads
    thread = threads.create()
    served.make_next_run_stuck()
    threads.runs.create(thread.id, assistant_id=ASSISTANT)
    assert served.advance(300) == 300.0
    assert [run["status"] for run in served.runs(thread.id)] == ["in_progress"]
    served.advance(300)
    assert [run["status"] for run in served.runs(thread.id)] == ["expired"]
    assert served.now == 600.0


def test_virtual_time_follows_real_time_and_poll_helpers_keep_up() -> None:
    with ServedOpenAI(settings()) as served:
        client = served.client()
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "hello"}])
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=ASSISTANT)
        assert run.status == "completed"
        assert served.transcript(thread.id)[-1] == ("assistant", "Reply 1 to: hello")
        # A helper that waited for a real second, twenty virtual ones, would have polled two times at most.
        assert len([record for record in served.trace if "runs.retrieve" in record.fields]) > 2
        served.set_speed(0)
        assert served.now == served.now


def test_asynchronous_clients_and_threads(served: ServedOpenAI) -> None:
    async def create() -> str:
        async with served.async_client() as client:
            return (await client.beta.threads.create()).id

    made = [asyncio.run(create())]
    worker = threading.Thread(target=lambda: made.append(served.client().beta.threads.create().id))
    worker.start()
    worker.join()
    assert sorted(thread["id"] for thread in served.threads) == sorted(made)


def test_a_program_finds_it_by_its_environment_and_only_if_it_is_given(served: ServedOpenAI) -> None:
    program = "import openai; print(openai.OpenAI().beta.threads.create().id)"
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", **served.environment()}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [thread["id"] for thread in served.threads]
    assert os.environ.get("OPENAI_BASE_URL") != served.base_url


def test_a_key_that_is_let_in_is_given() -> None:
    with ServedOpenAI(settings(keys=("sk-mine",)), speed=0.0) as served:
        assert served.environment()["OPENAI_API_KEY"] == "sk-mine"
        served.client().beta.threads.create()
        with pytest.raises(openai.AuthenticationError):
            served.client(api_key="sk-other").beta.threads.create()


def test_the_control_api_is_there(served: ServedOpenAI) -> None:
    with httpx2.Client(trust_env=False) as client:
        assert client.get(f"{served.control_url}/clock").json()["speed"] == 0


def answer(served: ServedOpenAI, text: str) -> str:
    threads = served.client().beta.threads
    thread = threads.create(messages=[{"role": "user", "content": text}])
    threads.runs.create(thread.id, assistant_id=ASSISTANT)
    served.advance(30)
    return served.transcript(thread.id)[-1][1]


def test_a_reset_begins_again_with_the_first_settings() -> None:
    with ServedOpenAI(settings(), speed=0.0, replies=["first"]) as served:
        assert answer(served, "x") == "first"
        before = served.threads
        served.reply_with("second")
        served.add_fault("status", status=500, route="runs.list")
        served.make_next_run_stuck("thread_never")
        assert answer(served, "x") == "second"
        served.reset()
        assert (served.now, served.threads, served.faults) == (0.0, [], ())
        assert answer(served, "x") == "first"
        assert served.threads == before  # the same ids again


def test_a_replier_that_raises_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    def reply(turn: Turn) -> str:
        raise ZeroDivisionError("my replier")

    with (
        pytest.raises(RuntimeError, match="a test's replier raised 1 error;"),
        ServedOpenAI(settings(), speed=0.0, replies=reply) as served,
    ):
        answer(served, "x")
    assert "my replier" in capfd.readouterr().err


def test_a_replier_that_asks_the_server_is_told_instead_of_waiting_for_ever(capfd: pytest.CaptureFixture[str]) -> None:
    served = ServedOpenAI(settings(), speed=0.0, replies=lambda turn: f"it is {served.now}")
    with pytest.raises(RuntimeError, match="replier raised"), served:
        answer(served, "x")
    assert "it can only use the turn" in capfd.readouterr().err
