"""Policy check-then-act: its requests in their order, how each thing that can go wrong ends, and what the log keeps to
itself. What it shares with cancel-and-retry is tested for both.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from relay_doubles import (
    ANSWER,
    MESSAGE,
    JumpingLoop,
    LogTape,
    MemoryApi,
    MemoryRedis,
    a_message,
    a_run,
    api_error,
    append_conflict,
    cancel_refusal,
    creation_conflict,
    handle,
    redis_down,
)

from relaysim.relay import GENERIC_APOLOGY, Handled, Outcome, cancel_and_retry, check_then_act

CHAT_LOCK = "lock:chat:" + MESSAGE.conversation
THREAD_LOCK = "lock:thread:thread_T1"
THREAD_KEY = "thread:" + MESSAGE.conversation
GENERIC = Handled(Outcome.GENERIC_APOLOGY, 1, 0.0, "run_OWN1")

both = pytest.mark.parametrize("factory", [check_then_act, cancel_and_retry])


@both
def test_the_requests_and_their_order(factory: Callable[..., Any]) -> None:
    api, store = MemoryApi(run_states=["queued", "in_progress", "completed"]), MemoryRedis()
    told = handle(factory, api=api, store=store, assistant_id="asst_X", poll_interval_seconds=0.5)
    assert told.result == Handled(Outcome.ANSWERED, attempts=1, waited_seconds=0.0, run_id="run_OWN1")
    assert told.sent == [(MESSAGE.conversation, ANSWER)]
    assert api.calls == [
        (0.0, "runs.list", "thread_T1", 10),
        (0.0, "messages.create", "thread_T1", "user", MESSAGE.text),
        (0.0, "runs.create", "thread_T1", "asst_X"),
        (0.5, "runs.retrieve", "run_OWN1", "thread_T1"),
        (1.0, "runs.retrieve", "run_OWN1", "thread_T1"),
        (1.0, "messages.list", "thread_T1", 1, "desc"),
    ]
    assert store.calls == [
        (0.0, "set", CHAT_LOCK, 60_000),
        (0.0, "set", THREAD_LOCK, 120_000),
        (1.0, "eval", THREAD_LOCK),
        (1.0, "eval", CHAT_LOCK),
    ]
    assert store.data == {}
    assert told.lines == []


def test_a_conflict_on_the_append_is_not_retried() -> None:
    api = MemoryApi(errors={"messages.create": [append_conflict()]})
    told = handle(check_then_act, api=api)
    assert told.result == Handled(Outcome.GENERIC_APOLOGY, 1, 0.0, None)
    assert told.sent == [(MESSAGE.conversation, GENERIC_APOLOGY)]
    assert api.names() == ["runs.list", "messages.create"]
    assert told.log == [(logging.ERROR, "[Relay] Handling failed on thread_T1: BadRequestError (status 400)")]


@both
@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action"])
def test_the_check_requests_the_cancel_of_an_active_run_and_does_not_wait(
    factory: Callable[..., Any], status: str
) -> None:
    api = MemoryApi(listed_runs=[a_run("run_OLD2", "completed"), a_run("run_OLD1", status)])
    told = handle(factory, api=api)
    assert api.calls[:3] == [
        (0.0, "runs.list", "thread_T1", 10),
        (0.0, "runs.cancel", "run_OLD1", "thread_T1"),
        (0.0, "messages.create", "thread_T1", "user", MESSAGE.text),
    ]
    assert told.lines == ["[Relay] Run run_OLD1 is active; its cancel was requested"]


@both
@pytest.mark.parametrize("status", ["cancelling", "completed", "cancelled", "failed", "incomplete", "expired"])
def test_the_check_leaves_a_run_alone_that_can_not_be_cancelled(factory: Callable[..., Any], status: str) -> None:
    api = MemoryApi(listed_runs=[a_run("run_OLD1", status)])
    handle(factory, api=api)
    assert "runs.cancel" not in api.names()


@both
def test_a_cancel_refused_to_the_check_is_no_reason_to_stop(factory: Callable[..., Any]) -> None:
    api = MemoryApi(
        listed_runs=[a_run("run_OLD1", "in_progress")], errors={"runs.cancel": [cancel_refusal("completed")]}
    )
    told = handle(factory, api=api)
    assert told.result.outcome is Outcome.ANSWERED
    assert told.lines == ["[Relay] Run run_OLD1 is active; its cancel failed: BadRequestError (status 400)"]


@both
@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete", "expired", "requires_action"])
def test_a_run_that_ends_otherwise_than_completed_ends_in_the_generic_apology(
    factory: Callable[..., Any], status: str
) -> None:
    api = MemoryApi(run_states=["queued", "in_progress", status])
    told = handle(factory, api=api)
    assert told.result == GENERIC
    assert told.sent == [(MESSAGE.conversation, GENERIC_APOLOGY)]
    assert told.ended_at == 2.0
    assert "messages.list" not in api.names()
    assert told.log == [(logging.WARNING, f"[Relay] Run run_OWN1 ended in {status}")]


@both
def test_a_run_being_cancelled_is_polled_until_it_has_ended(factory: Callable[..., Any]) -> None:
    assert handle(factory, api=MemoryApi(run_states=["queued", "cancelling", "cancelling", "cancelled"])).ended_at == 3
    completed_after_all = MemoryApi(run_states=["queued", "cancelling", "completed"])
    assert handle(factory, api=completed_after_all).result.outcome is Outcome.ANSWERED


@both
@pytest.mark.parametrize("state", ["queued", "in_progress", "cancelling", "a_state_unheard_of"])
def test_after_60_looks_it_gives_up_and_cancels_nothing(factory: Callable[..., Any], state: str) -> None:
    api = MemoryApi(run_states=["queued", state])
    told = handle(factory, api=api)
    assert told.result == GENERIC
    assert [call[0] for call in api.of("runs.retrieve")] == [float(second) for second in range(1, 61)]
    assert "runs.cancel" not in api.names()
    assert told.log[0] == (logging.WARNING, f"[Relay] Gave up on run run_OWN1 after 60 looks; it is left in {state}")


@both
def test_the_sixtieth_look_still_counts(factory: Callable[..., Any]) -> None:
    api = MemoryApi(run_states=[*["in_progress"] * 60, "completed"])
    told = handle(factory, api=api)
    assert (told.result.outcome, len(api.of("runs.retrieve"))) == (Outcome.ANSWERED, 60)


@both
def test_the_newest_message_is_sent_whosever_run_wrote_it(factory: Callable[..., Any]) -> None:
    api = MemoryApi(newest=[a_message("assistant", "An answer to somebody else's message.")])
    assert handle(factory, api=api).sent == [(MESSAGE.conversation, "An answer to somebody else's message.")]


def _without_words() -> Any:
    picture = a_message("assistant", "")
    del picture.content[0].text
    return picture


def _without_parts() -> Any:
    empty = a_message("assistant", "")
    empty.content.clear()
    return empty


@both
@pytest.mark.parametrize(
    "newest",
    [[], [a_message("user", "Oi?")], [a_message("assistant", "")], [_without_words()], [_without_parts()]],
    ids=["none", "the customer's", "empty", "a picture", "no parts"],
)
def test_a_newest_message_that_is_no_answer_ends_in_the_generic_apology(
    factory: Callable[..., Any], newest: list[Any]
) -> None:
    told = handle(factory, api=MemoryApi(newest=newest))
    assert told.result == GENERIC
    assert told.sent == [(MESSAGE.conversation, GENERIC_APOLOGY)]
    nothing_to_send = "[Relay] Run run_OWN1 is completed, but the newest message is no answer"
    assert told.log == [(logging.WARNING, nothing_to_send)]


@both
def test_a_conflict_on_creating_the_run_ends_in_the_generic_apology(factory: Callable[..., Any]) -> None:
    api = MemoryApi(errors={"runs.create": [creation_conflict()]})
    told = handle(factory, api=api)
    assert told.result == Handled(Outcome.GENERIC_APOLOGY, 1, 0.0, None)
    assert len(api.of("runs.create")) == 1
    assert "runs.cancel" not in api.names()


@both
@pytest.mark.parametrize(
    ("call", "attempts", "run_id"),
    [
        ("threads.create", 0, None),
        ("runs.list", 0, None),
        ("messages.create", 1, None),
        ("runs.create", 1, None),
        ("runs.retrieve", 1, "run_OWN1"),
        ("messages.list", 1, "run_OWN1"),
    ],
)
def test_an_error_of_any_request_becomes_one_generic_apology(
    factory: Callable[..., Any], call: str, attempts: int, run_id: str | None
) -> None:
    api = MemoryApi(errors={call: [api_error(500, f"quoting {MESSAGE.text} to {MESSAGE.conversation}")]})
    store = MemoryRedis()
    told = handle(factory, replace(MESSAGE, thread_id=None), api=api, store=store)
    assert told.result == Handled(Outcome.GENERIC_APOLOGY, attempts, 0.0, run_id)
    assert told.sent == [(MESSAGE.conversation, GENERIC_APOLOGY)]
    assert len(told.lines) == 1
    assert told.lines[0].startswith("[Relay] Handling failed ")
    assert told.lines[0].endswith(": InternalServerError (status 500)")
    assert CHAT_LOCK not in store.data
    assert "lock:thread:thread_NEW1" not in store.data


@both
@pytest.mark.parametrize(
    "errors",
    [
        {"set": [redis_down()]},
        {"set": [None, redis_down()]},
        {"set": [None, None, redis_down()]},
        {"get": [redis_down()]},
        {"get": [None, redis_down()]},
    ],
    ids=["chat lock", "thread key", "thread lock", "first look-up", "second look-up"],
)
def test_an_error_of_redis_on_the_way_becomes_one_generic_apology(
    factory: Callable[..., Any], errors: dict[str, list[Exception | None]]
) -> None:
    store = MemoryRedis(errors={name: list(pending) for name, pending in errors.items()})
    told = handle(factory, replace(MESSAGE, thread_id=None), store=store)
    assert told.result == Handled(Outcome.GENERIC_APOLOGY, 0, 0.0, None)
    assert told.sent == [(MESSAGE.conversation, GENERIC_APOLOGY)]
    assert told.lines[0].endswith(": ConnectionError")
    assert {key for key in store.data if key.startswith("lock:")} == set()


@both
def test_an_error_of_the_release_costs_the_customer_nothing(factory: Callable[..., Any]) -> None:
    store = MemoryRedis(errors={"eval": [redis_down(), redis_down()]})
    told = handle(factory, store=store)
    assert told.result.outcome is Outcome.ANSWERED
    assert told.sent == [(MESSAGE.conversation, ANSWER)]
    assert told.log == [
        (logging.WARNING, "[Relay] The thread lock could not be released: ConnectionError"),
        (logging.WARNING, "[Relay] The chat lock could not be released: ConnectionError"),
    ]


@both
@pytest.mark.parametrize("states", [["queued", "completed"], ["queued", "failed"]], ids=["answer", "apology"])
def test_an_error_of_the_sending_is_passed_on_once_the_locks_are_released_and_nothing_more_is_sent(
    factory: Callable[..., Any], states: list[str]
) -> None:
    failure, store = ConnectionResetError("channel"), MemoryRedis()
    told = handle(factory, api=MemoryApi(run_states=states), store=store, send_error=failure)
    assert told.error is failure
    assert len(told.sent) == 1
    assert store.data == {}


@both
def test_a_cancelled_handling_releases_its_locks_and_sends_nothing(factory: Callable[..., Any]) -> None:
    sent: list[str] = []
    store = MemoryRedis()

    async def send(conversation: str, text: str) -> None:
        sent.append(text)

    async def main() -> None:
        task = asyncio.create_task(factory(MemoryApi(run_states=["in_progress"]), store, send).handle(MESSAGE))
        await asyncio.sleep(2.5)
        assert len(store.data) == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())
    assert sent == []
    assert store.data == {}


@both
def test_a_handling_destroyed_with_its_worker_awaits_nothing_more_and_leaves_its_locks(
    factory: Callable[..., Any],
) -> None:
    store = MemoryRedis()

    async def send(conversation: str, text: str) -> None: ...

    async def main() -> None:
        handling = factory(MemoryApi(run_states=["in_progress"]), store, send).handle(MESSAGE)
        handling.send(None)  # runs up to the first pause between two looks
        handling.close()  # raises RuntimeError if anything is awaited on the way out
        assert sorted(store.data) == [CHAT_LOCK, THREAD_LOCK]

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())


@both
@pytest.mark.parametrize("decodes", [True, False])
def test_the_thread_is_looked_up_and_created_once_per_conversation(factory: Callable[..., Any], decodes: bool) -> None:
    api, store = MemoryApi(), MemoryRedis(decodes=decodes)
    newcomer = replace(MESSAGE, thread_id=None)
    handle(factory, newcomer, api=api, store=store)
    assert store.names() == [
        ("set", CHAT_LOCK),
        ("get", THREAD_KEY),
        ("set", THREAD_KEY),
        ("get", THREAD_KEY),
        ("set", "lock:thread:thread_NEW1"),
        ("eval", "lock:thread:thread_NEW1"),
        ("eval", CHAT_LOCK),
    ]
    assert {key: value for key, (value, _) in store.data.items()} == {THREAD_KEY: "thread_NEW1"}
    handle(factory, newcomer, api=api, store=store)
    assert len(api.of("threads.create")) == 1
    assert {call[2] for call in api.of("messages.create")} == {"thread_NEW1"}


@both
def test_of_two_threads_created_at_once_the_first_recorded_is_used(factory: Callable[..., Any]) -> None:
    class Overtaken(MemoryRedis):
        async def set(self, key: str, value: str, *, nx: bool, px: int | None = None) -> bool | None:
            if key == THREAD_KEY:
                self.data[key] = ("thread_FIRST", float("inf"))
            return await super().set(key, value, nx=nx, px=px)

    api = MemoryApi()
    handle(factory, replace(MESSAGE, thread_id=None), api=api, store=Overtaken())
    assert [call[2] for call in api.of("messages.create")] == ["thread_FIRST"]


@both
def test_a_redelivery_is_a_second_message_unless_it_is_to_be_ignored(factory: Callable[..., Any]) -> None:
    store = MemoryRedis()
    assert [handle(factory, store=store).result.outcome for _ in range(2)] == [Outcome.ANSWERED] * 2
    assert not any(key.startswith("seen:") for _, key in store.names())

    store = MemoryRedis()
    first = handle(factory, store=store, deduplicate_seconds=300)
    assert store.calls[0] == (0.0, "set", "seen:wamid.A1", 300_000)
    again = handle(factory, store=store, deduplicate_seconds=300)
    assert first.result.outcome is Outcome.ANSWERED
    assert again.result == Handled(None, 0, 0.0, None)
    assert again.sent == []
    assert again.lines[0].startswith("[Relay] Redelivery ignored in conversation ")


@both
def test_one_policy_serves_many_messages_at_once_and_one_conversation_at_a_time(factory: Callable[..., Any]) -> None:
    api, store, sent = MemoryApi(run_states=["queued", "completed"]), MemoryRedis(), []

    async def send(conversation: str, text: str) -> None:
        sent.append((asyncio.get_running_loop().time(), conversation))

    async def main() -> list[Handled]:
        policy = factory(api, store, send, lock_retry_seconds=0.25)
        messages = [
            replace(MESSAGE, id=f"wamid.{n}", conversation=name, thread_id=f"thread_{name}")
            for n, name in enumerate(("first", "second", "first"))
        ]
        return list(await asyncio.gather(*map(policy.handle, messages)))

    with LogTape(), asyncio.Runner(loop_factory=JumpingLoop) as runner:
        handled = runner.run(main())
    assert [one.outcome for one in handled] == [Outcome.ANSWERED] * 3
    assert sorted(sent) == [(1.0, "first"), (1.0, "second"), (2.0, "first")]


def test_an_error_of_the_api_is_logged_with_its_request_id_beside_the_text() -> None:
    error = api_error(500, "whatever")
    error.request_id = "req_0123"
    told = handle(check_then_act, api=MemoryApi(errors={"runs.list": [error]}))
    assert told.records[0].request_id == "req_0123"  # type: ignore[attr-defined]
    assert told.records[0].exc_info is None
