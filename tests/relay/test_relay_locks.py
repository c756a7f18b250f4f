"""Locks: leases, order, waiting and release, in virtual time; the release script in a Redis with real Lua."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, Literal

import fakeredis
import pytest
from relay_doubles import MESSAGE, JumpingLoop, MemoryApi, MemoryRedis, handle, redis_down

from relaysim.relay import GENERIC_APOLOGY, Handled, Outcome, cancel_and_retry, check_then_act
from relaysim.relay.locks import LockNotTaken, Locks

CHAT_LOCK = "lock:chat:" + MESSAGE.conversation
THREAD_LOCK = "lock:thread:thread_T1"

both = pytest.mark.parametrize("factory", [check_then_act, cancel_and_retry])


@both
def test_leases_and_prefixes_follow_the_settings(factory: Callable[..., Any]) -> None:
    store = MemoryRedis()
    handle(
        factory,
        store=store,
        chat_lock_seconds=0.25,
        thread_lock_seconds=7,
        chat_lock_prefix="a:",
        thread_lock_prefix="b:",
    )
    assert [call[1:] for call in store.calls[:2]] == [
        ("set", "a:invented customer 7", 250),
        ("set", "b:thread_T1", 7000),
    ]


@both
def test_tokens_are_drawn_through_the_uuid_module_one_per_lock(
    monkeypatch: pytest.MonkeyPatch, factory: Callable[..., Any]
) -> None:
    drawn = [uuid.UUID(int=1), uuid.UUID(int=2)]
    monkeypatch.setattr(uuid, "uuid4", lambda: drawn.pop(0))
    store = MemoryRedis(errors={"eval": [redis_down(), redis_down()]})  # the locks stay, to be looked at
    handle(factory, store=store)
    assert [store.data[key][0] for key in (CHAT_LOCK, THREAD_LOCK)] == [f"{1:032x}", f"{2:032x}"]


@both
@pytest.mark.parametrize("key", [CHAT_LOCK, THREAD_LOCK])
def test_a_lock_held_by_another_is_taken_as_soon_as_it_runs_out(factory: Callable[..., Any], key: str) -> None:
    store = MemoryRedis(data={key: ("another's", 3.0)})
    told = handle(factory, store=store, lock_retry_seconds=0.5)
    assert told.result.outcome is Outcome.ANSWERED
    assert told.ended_at == 4.0
    assert [call[0] for call in store.calls if call[1:3] == ("set", key)] == [n / 2 for n in range(7)]


@both
@pytest.mark.parametrize(("key", "what"), [(CHAT_LOCK, "chat"), (THREAD_LOCK, "thread")])
def test_a_lock_that_is_not_freed_in_time_ends_in_the_generic_apology(
    factory: Callable[..., Any], key: str, what: str
) -> None:
    api, store = MemoryApi(), MemoryRedis(data={key: ("another's", float("inf"))})
    told = handle(factory, api=api, store=store, lock_retry_seconds=0.5, lock_wait_seconds=2)
    assert told.result == Handled(Outcome.GENERIC_APOLOGY, 0, 0.0, None)
    assert told.sent == [(MESSAGE.conversation, GENERIC_APOLOGY)]
    assert told.ended_at == 2.0
    assert api.calls == []
    assert told.lines[0].endswith(f": the {what} lock was not free within 2 s")
    assert {name: value for name, (value, _) in store.data.items()} == {key: "another's"}


@both
def test_the_default_wait_outlasts_the_locks_of_a_crashed_worker(factory: Callable[..., Any]) -> None:
    store = MemoryRedis(data={CHAT_LOCK: ("dead", 60.0), THREAD_LOCK: ("dead", 120.0)})
    told = handle(factory, store=store)
    assert told.result.outcome is Outcome.ANSWERED
    assert 120.0 <= told.ended_at < 121.2


def test_with_no_wait_a_lock_is_tried_once() -> None:
    store = MemoryRedis(data={CHAT_LOCK: ("another's", 1.0)})
    handle(check_then_act, store=store, lock_wait_seconds=0)
    assert store.names() == [("set", CHAT_LOCK)]


@both
def test_a_lock_is_not_renewed_and_its_loss_is_logged(factory: Callable[..., Any]) -> None:
    store = MemoryRedis()
    told = handle(
        factory, api=MemoryApi(run_states=[*["in_progress"] * 9, "completed"]), store=store, chat_lock_seconds=8
    )
    assert told.result.outcome is Outcome.ANSWERED
    assert told.lines == ["[Relay] The chat lock ran out before its handling ended"]
    assert [name for name, _ in store.names()] == ["set", "set", "eval", "eval"]


@both
@pytest.mark.parametrize("ending", ["completed", "failed"])
def test_both_locks_are_held_until_the_text_has_been_sent(factory: Callable[..., Any], ending: str) -> None:
    store, held = MemoryRedis(), []

    async def send(conversation: str, text: str) -> None:
        await asyncio.sleep(5.0)
        held.append(sorted(store.data))

    async def main() -> None:
        await factory(MemoryApi(run_states=["queued", ending]), store, send).handle(MESSAGE)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())
    assert held == [[CHAT_LOCK, THREAD_LOCK]]
    assert store.data == {}


@both
@pytest.mark.parametrize(("release", "remaining"), [("token", "another's"), ("delete", None)])
def test_only_the_naive_release_deletes_a_lock_that_is_anothers_by_now(
    factory: Callable[..., Any], release: str, remaining: str | None
) -> None:
    class Overtaken(MemoryRedis):
        async def set(self, key: str, value: str, *, nx: bool, px: int | None = None) -> bool | None:
            granted = await super().set(key, value, nx=nx, px=px)
            if key == CHAT_LOCK:
                self.data[key] = ("another's", float("inf"))
            return granted

    store = Overtaken()
    handle(factory, store=store, lock_release=release)
    assert store.data.get(CHAT_LOCK, (None,))[0] == remaining
    assert THREAD_LOCK not in store.data


@both
@pytest.mark.parametrize(("release", "left"), [("token", []), ("delete", [CHAT_LOCK])])
def test_a_lock_whose_answer_was_lost_is_released_by_its_token_and_never_blindly(
    factory: Callable[..., Any], release: str, left: list[str]
) -> None:
    store = MemoryRedis(errors={"set": [redis_down()]}, loses_answers=True)
    told = handle(factory, store=store, lock_release=release)
    assert told.result.outcome is Outcome.GENERIC_APOLOGY
    assert list(store.data) == left


def test_a_lock_that_was_never_granted_is_not_reported_as_lost() -> None:
    told = handle(check_then_act, store=MemoryRedis(errors={"set": [redis_down()]}))
    assert not any("ran out" in line for line in told.lines)


@pytest.mark.parametrize("release", ["token", "delete"])
def test_the_commands_do_in_a_redis_with_lua_what_the_relay_expects(release: Literal["token", "delete"]) -> None:
    async def main() -> None:
        client = fakeredis.FakeAsyncRedis()
        async with Locks(client, release=release, retry_seconds=0.001, wait_seconds=0.0) as ours:
            await ours.take("chat", "lock:1", 60.0)
            await ours.take("thread", "lock:2", 60.0)
            assert 59_000 < await client.pttl("lock:1") <= 60_000
            async with Locks(client, release=release, retry_seconds=0.001, wait_seconds=0.0) as theirs:
                with pytest.raises(LockNotTaken):
                    await theirs.take("chat", "lock:1", 60.0)
            assert await client.exists("lock:1", "lock:2") == 2  # a lock not taken is not released
            await client.set("lock:2", "another's")
        remaining = await client.get("lock:2")
        assert remaining == (b"another's" if release == "token" else None)
        assert await client.exists("lock:1") == 0
        await client.aclose()

    asyncio.run(main())
