"""What each step of the store promises, on fakeredis and on a real server, each script once and each script twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from store_arms import LONG_LEASE_SECONDS, REMEMBER_SECONDS, Arm, RecordingClient, dump

from relaysim.relay.drain import store_scripts
from relaysim.relay.drain.store import Accepted, Entry, EntryState, Inbox, Lease, LeaseLost, Store, StoreUnavailable
from relaysim.relay.messages import Outcome

ANY_CHARACTERS = "wamid.A1=\n 1:2%3A\r\n\x00 {é} 😀 $-1"
EMPTY = Inbox(entries=(), request_id=None, run_id=None, run_age_seconds=None, batch=(), attempts=0)


async def leased(store: Store, conversation: str = "c", *ids: str) -> Lease:
    """The lease of a conversation that holds these messages (one, called m1, if none are given)."""
    lease = None
    for id in ids or ("m1",):
        accepted = await store.accept(conversation, id, f"text of {id}", None, token=f"token of {id}")
        lease = lease or accepted.lease
    assert lease is not None
    return lease


def told(inbox: Inbox) -> list[tuple[str, str, bool, int]]:
    return [(entry.id, entry.state.value, entry.appended, entry.attempts) for entry in inbox.entries]


async def is_lost(store: Store, lease: Lease) -> bool:
    try:
        await store.inbox(lease)
    except LeaseLost:
        return True
    return False


# Accepting


async def test_the_inbox_is_in_the_order_of_writing_whatever_order_webhooks_came_in(arm: Arm) -> None:
    store = arm.store()
    first = await store.accept("c", "m2", "2", None, token="t2", sent_at=1762257600.4)
    await store.accept("c", "m3", "3", None, token="t3", sent_at=1762257600.4)
    await store.accept("c", "m1", "1", None, token="t1", sent_at=1762257600.2)
    assert first.lease is not None
    assert [entry.text for entry in (await store.inbox(first.lease)).entries] == ["1", "2", "3"]
    # Of one message it is not known: all are in the order of acceptance.
    await store.accept("c", "m0", "0", None, token="t0")
    assert [entry.text for entry in (await store.inbox(first.lease)).entries] == ["2", "3", "1", "0"]


async def test_the_order_of_acceptance_stays_when_messages_before_have_ended(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2", "m3")
    await store.end(lease, {"m1": Outcome.ANSWERED, "m2": Outcome.COVERED})
    await store.accept("c", "m4", "4", None, token="t4")
    await store.accept("c", "m5", "5", None, token="t5")
    entries = (await store.inbox(lease)).entries
    assert [entry.id for entry in entries] == ["m3", "m4", "m5"]
    assert len({entry.number for entry in entries}) == 3


async def test_nothing_of_a_message_stays_but_its_own_key_when_it_has_ended(arm: Arm) -> None:
    store = arm.store()
    lease = (await store.accept("c", "m1", "1", None, token="t1", sent_at=1.0)).lease
    assert lease is not None
    await store.end(lease, {"m1": Outcome.ANSWERED})
    assert not await arm.client.exists("relay:texts:c", "relay:inbox:c")


async def test_the_first_message_brings_the_lease_and_is_in_the_inbox(arm: Arm) -> None:
    store = arm.store()
    before = asyncio.get_running_loop().time()
    accepted = await store.accept("c", "m1", "Bom dia", None, token="t1")
    after = asyncio.get_running_loop().time()
    lease = accepted.lease
    assert lease is not None
    assert accepted == Accepted(first=True, outcome=None, lease=lease)
    assert (lease.conversation, lease.epoch, lease.token) == ("c", 1, "t1")
    assert before + 0.9 * LONG_LEASE_SECONDS <= lease.valid_until <= after + 0.9 * LONG_LEASE_SECONDS
    inbox = await store.inbox(lease)
    age = inbox.entries[0].age_seconds
    assert 0 <= age < 1
    assert inbox == Inbox(
        entries=(Entry("m1", 1, "Bom dia", age, EntryState.PENDING, False, None, None, 0),),
        request_id=None,
        run_id=None,
        run_age_seconds=None,
        batch=(),
        attempts=0,
    )


async def test_valid_until_counts_from_before_the_lease_began(arm: Arm) -> None:
    """However long the answer travels, the holder never believes in a lease that Redis may have forgotten."""

    class Far:
        """A client whose answers take half a lease to come back."""

        def __getattr__(self, name: str) -> Any:
            return getattr(arm.repeating_client(), name)

        async def evalsha(self, *arguments: Any) -> Any:
            reply = await arm.repeating_client().evalsha(*arguments)
            await arm.wait(0.5)
            return reply

        async def eval(self, *arguments: Any) -> Any:  # as at the first use of each script
            reply = await arm.repeating_client().eval(*arguments)
            await arm.wait(0.5)
            return reply

    lease = await leased(arm.store(short=True))
    store = arm.store(short=True, client=Far(), timeout_seconds=60.0)
    loop = asyncio.get_running_loop()
    for again in (
        lambda: store.claim("c", token=lease.token),
        lambda: store.renew(lease),
        lambda: accepted_again(store, lease),
    ):
        before = loop.time()
        renewed = await again()
        assert renewed is not None
        assert renewed.epoch == lease.epoch
        began = renewed.valid_until - 0.9 * arm.short_lease_seconds
        assert before - 1e-6 <= began < before + 0.05 * arm.short_lease_seconds
        left = await arm.client.pttl("relay:lease:c") / 1000
        assert renewed.valid_until < loop.time() + left < renewed.valid_until + 0.2 * arm.short_lease_seconds


async def accepted_again(store: Store, lease: Lease) -> Lease | None:
    return (await store.accept("c", "m1", "text of m1", None, token=lease.token)).lease


async def test_a_second_message_waits_for_the_holder(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1")
    assert await store.accept("c", "m2", "2", None, token="t2") == Accepted(first=True, outcome=None, lease=None)
    inbox = await store.inbox(lease)
    assert [(entry.id, entry.number) for entry in inbox.entries] == [("m1", 1), ("m2", 2)]


async def test_a_full_inbox_takes_no_new_message_and_remembers_nothing_of_it(arm: Arm) -> None:
    store = arm.store(inbox_messages_max=2)
    lease = await leased(store, "c", "m1", "m2")
    before = await dump(arm.client)
    refused = Accepted(first=False, outcome=None, lease=None, refused=True)
    assert await store.accept("c", "m3", "3", "thread_3", token="t3") == refused
    assert await dump(arm.client) == before
    # What is in it is recognised, other conversations are as ever, and a place that is free again is taken.
    assert not (await store.accept("c", "m1", "1", None, token="t4")).refused
    assert (await store.accept("other", "m3", "3", None, token="t5")).first
    await store.end(lease, {"m1": Outcome.ANSWERED})
    assert (await store.accept("c", "m3", "3", None, token="t6")).first
    # A full inbox whose holder is gone is nobody's by a refusal: a sweep takes it, as any other.
    await arm.lapse()
    assert await store.accept("c", "m4", "4", None, token="t7") == refused
    assert "c" in await store.due(10)


async def test_a_redelivery_is_recognised_before_and_after_the_end(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    assert await store.accept("c", "m1", "changed", None, token="t2") == Accepted(first=False, outcome=None, lease=None)
    assert [entry.text for entry in (await store.inbox(lease)).entries] == ["text of m1"]
    await store.end(lease, {"m1": Outcome.ANSWERED})
    known = await store.accept("c", "m1", "text of m1", None, token="t3")
    assert known == Accepted(first=False, outcome=Outcome.ANSWERED, lease=None)
    assert await store.inbox(lease) == EMPTY
    assert await store.depth() == 0
    assert await store.release(lease)
    known = await store.accept("c", "m1", "text of m1", None, token="t4")
    assert known == Accepted(first=False, outcome=Outcome.ANSWERED, lease=None)


async def test_a_redelivery_takes_over_a_conversation_whose_holder_died(arm: Arm) -> None:
    store = arm.store(short=True)
    await leased(store)
    await arm.outlive_lease()
    accepted = await store.accept("c", "m1", "text of m1", None, token="t2")
    assert not accepted.first
    assert accepted.lease is not None
    assert accepted.lease.epoch == 2


async def test_who_accepts_again_with_the_same_token_hears_the_same(arm: Arm) -> None:
    store = arm.store()
    first = await store.accept("c", "m1", "1", None, token="t1")
    again = await store.accept("c", "m1", "1", None, token="t1")
    assert first.lease is not None
    assert again.lease is not None
    assert (again.first, again.lease.epoch, again.lease.token) == (True, 1, "t1")


async def test_an_accept_that_comes_late_takes_no_lease(arm: Arm) -> None:
    """Nobody would drain under it, and the conversation would wait for it to lapse."""
    store = arm.store(short=True)
    lease = await leased(store, "c", "m1", "m2")
    await store.end(lease, {"m1": Outcome.ANSWERED})
    await store.hand_back(lease)
    assert (await store.accept("c", "m1", "1", None, token=lease.token)).lease is None
    assert await arm.client.get("relay:lease:c") is None
    late = await store.accept("c", "m2", "2", None, token="token of m2")
    assert late == Accepted(first=True, outcome=None, lease=None)
    assert await arm.client.get("relay:lease:c") is None
    redelivered = await store.accept("c", "m2", "2", None, token="t3")
    assert redelivered.lease is not None
    await store.hand_back(redelivered.lease)
    assert (await store.accept("c", "m2", "2", None, token="t3")).lease is None
    assert await arm.client.get("relay:lease:c") is None


async def test_a_repeated_step_does_not_reach_a_message_that_came_in_between(arm: Arm) -> None:
    recording = RecordingClient(arm.repeating_client())
    store = arm.store(client=recording)
    lease = await leased(store)
    await store.intend(lease, "request 1", ["m2"])
    await arm.store().accept("c", "m2", "2", None, token="t2")
    before = await dump(arm.client)
    await recording.send_again(-1)
    assert await dump(arm.client) == before


async def test_the_thread_that_came_with_a_message_counts_if_none_was_known(arm: Arm) -> None:
    store = arm.store()
    assert await store.thread("c") is None
    await store.accept("c", "m1", "1", "thread_A", token="t1")
    assert await store.thread("c") == "thread_A"
    await store.accept("c", "m2", "2", "thread_B", token="t2")
    assert await store.thread("c") == "thread_A"
    assert await arm.client.get("thread:c") == b"thread_A"


async def test_any_characters_pass_unchanged(arm: Arm) -> None:
    store = arm.store()
    conversation, id, text = "c\n:%2 😀" + ANY_CHARACTERS, ANY_CHARACTERS, ANY_CHARACTERS + "x" * 1_000_000
    accepted = await store.accept(conversation, id, text, None, token="t1")
    lease = accepted.lease
    assert lease is not None
    inbox = await store.inbox(lease)
    assert [(entry.id, entry.text) for entry in inbox.entries] == [(id, text)]
    await store.intend(lease, "request", [id])
    await store.started(lease, "request", "run", [id])
    assert (await store.inbox(lease)).batch == (id,)
    await store.begin_send(lease, [id], Outcome.ANSWERED)
    await store.end(lease, {id: Outcome.ANSWERED})
    assert await store.inbox(lease) == EMPTY
    assert await store.outcome_of(conversation, id) is Outcome.ANSWERED
    assert await store.release(lease)


async def test_names_that_read_alike_when_joined_are_different_messages(arm: Arm) -> None:
    store = arm.store()
    pairs = [("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c"), ("a%", "3Ab:c"), ("", "a:b:c")]
    for number, (conversation, id) in enumerate(pairs):
        assert (await store.accept(conversation, id, "x", None, token=f"t{number}")).first


async def test_halves_of_surrogate_pairs_do_not_stop_a_message(arm: Arm) -> None:
    store = arm.store()
    accepted = await store.accept("c", "m1", "a\ud83d\ude00b\ud83dc", None, token="t1")
    assert accepted.lease is not None
    assert [entry.text for entry in (await store.inbox(accepted.lease)).entries] == ["a😀b\ufffdc"]


async def test_hundreds_of_messages_go_through_every_step(arm: Arm) -> None:
    store = arm.store()
    ids = [f"message {number}" for number in range(400)]
    lease = await leased(store, "c", *ids)
    await store.intend(lease, "request", ids)
    await store.started(lease, "request", "run", ids)
    inbox = await store.inbox(lease)
    assert inbox.batch == tuple(ids)
    assert [entry.text for entry in inbox.entries] == [f"text of {id}" for id in ids]
    await store.begin_send(lease, ids, Outcome.COVERED)
    await store.not_sent(lease, ids)
    await store.begin_send(lease, ids, Outcome.COVERED)
    assert {entry.state for entry in (await store.inbox(lease)).entries} == {EntryState.SENDING}
    await store.end(lease, dict.fromkeys(ids, Outcome.COVERED))
    assert await store.inbox(lease) == EMPTY
    assert await store.outcome_of("c", ids[-1]) is Outcome.COVERED


# The lease


async def test_a_lease_that_lapsed_is_lost_for_good(arm: Arm) -> None:
    store = arm.store(short=True)
    lease = await leased(store)
    await arm.outlive_lease()
    before = await dump(arm.client)
    for step in steps(store, lease):
        with pytest.raises(LeaseLost):
            await step()
    assert await store.claim("c", token=lease.token) is None
    assert await dump(arm.client) == before


async def test_who_lost_a_lease_changes_nothing_under_the_next_one(arm: Arm) -> None:
    store = arm.store(short=True)
    old = await leased(store)
    await arm.outlive_lease()
    new = await arm.store().claim("c", token="t2")
    assert new is not None
    assert (new.epoch, old.epoch) == (2, 1)
    before = await dump(arm.client)
    for step in steps(store, old):
        with pytest.raises(LeaseLost):
            await step()
    assert await store.claim("c", token=old.token) is None
    assert await dump(arm.client) == before


async def test_the_epoch_fences_even_where_the_token_is_the_same(arm: Arm) -> None:
    """A claim of long ago that arrives now gives its token a lease that its sender knows nothing of."""
    store = arm.store(short=True)
    old = await leased(store)
    await arm.outlive_lease()
    second = await store.claim("c", token="t2")
    assert second is not None
    await store.hand_back(second)
    third = await store.claim("c", token=old.token)
    assert third is not None
    assert third.epoch == 3
    before = await dump(arm.client)
    for step in steps(store, old):
        with pytest.raises(LeaseLost):
            await step()
    assert await dump(arm.client) == before


def steps(store: Store, lease: Lease) -> list[Callable[[], Awaitable[Any]]]:
    """Every step that takes a lease; the last two give it up."""
    return [
        lambda: store.renew(lease),
        lambda: store.inbox(lease),
        lambda: store.set_thread(lease, "thread_X"),
        lambda: store.replace_thread(lease, "thread_A", "thread_X"),
        lambda: store.intend(lease, "request", ["m1"]),
        lambda: store.started(lease, "request", "run", ["m1"]),
        lambda: store.take_over(lease, appended=True),
        lambda: store.begin_send(lease, ["m1"], Outcome.ANSWERED),
        lambda: store.not_sent(lease, ["m1"]),
        lambda: store.end(lease, {"m1": Outcome.ANSWERED}),
        lambda: store.release(lease),
        lambda: store.hand_back(lease),
    ]


async def test_a_renewed_lease_lasts(arm: Arm) -> None:
    store = arm.store(short=True)
    lease = await leased(store)
    for _ in range(3):
        await arm.wait(0.6)
        renewed = await store.renew(lease)
        assert renewed.valid_until > lease.valid_until
        assert await store.due(10) == []
        lease = renewed
    assert lease.epoch == 1
    assert not await is_lost(store, lease)


async def test_a_claim_needs_a_free_lease_and_a_message(arm: Arm) -> None:
    store = arm.store(short=True)
    assert await store.claim("c", token="t0") is None
    lease = await leased(store)
    assert await store.claim("c", token="t2") is None
    await arm.outlive_lease()
    claimed = await store.claim("c", token="t3")
    assert claimed is not None
    assert (claimed.conversation, claimed.epoch, claimed.token) == ("c", 2, "t3")
    assert await is_lost(store, lease)
    await store.end(claimed, {"m1": Outcome.ANSWERED})
    await store.release(claimed)
    assert await store.claim("c", token="t4") is None
    assert await arm.client.get("relay:lease:c") is None


async def test_a_conversation_that_is_due_without_messages_is_forgotten_by_the_claim(arm: Arm) -> None:
    """As a server leaves it whose data were put back only in part."""
    store = arm.store(short=True)
    await leased(store)
    await arm.outlive_lease()
    await arm.client.delete("relay:inbox:c")
    assert await store.due(10) == ["c"]
    assert await store.claim("c", token="t2") is None
    assert await store.due(10) == []


async def test_another_process_counts_its_steps_from_one_again(arm: Arm) -> None:
    store = arm.store(short=True)
    lease = await leased(store)
    for number in range(5):
        await store.intend(lease, f"request {number}", ["m1"])
    await arm.outlive_lease()
    other = arm.store()
    claimed = await other.claim("c", token="t2")
    assert claimed is not None
    await other.intend(claimed, "request 9", ["m1"])
    await other.end(claimed, {"m1": Outcome.ANSWERED})
    await other.release(claimed)
    third = arm.store()
    await third.end(await leased(third, "c", "m2"), {"m2": Outcome.ANSWERED})
    assert await third.outcome_of("c", "m2") is Outcome.ANSWERED


async def test_epochs_grow_over_everything(arm: Arm) -> None:
    store = arm.store(short=True)
    epochs = []
    for number in range(3):
        lease = await leased(store, "c", f"m{number}")
        epochs.append(lease.epoch)
        await store.end(lease, {f"m{number}": Outcome.ANSWERED})
        if number == 0:
            await store.release(lease)
        else:
            await arm.outlive_lease()
    assert epochs == [1, 2, 3]


async def test_a_lease_is_released_only_over_an_empty_inbox(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2")
    assert not await store.release(lease)
    await store.end(lease, {"m1": Outcome.ANSWERED})
    assert not await store.release(lease)
    assert not await is_lost(store, lease)
    await store.end(lease, {"m2": Outcome.ANSWERED})
    assert await store.release(lease)
    assert await is_lost(store, lease)
    assert await arm.client.get("relay:lease:c") is None


async def test_who_asks_again_whether_it_released_hears_yes(arm: Arm) -> None:
    """Also as another step: after a timeout nobody knows whether the first one came."""
    store = arm.store()
    lease = await leased(store)
    await store.end(lease, {"m1": Outcome.ANSWERED})
    assert await store.release(lease)
    assert await store.release(lease)
    await leased(store, "c", "m2")
    assert await store.release(lease)
    assert await arm.client.get("relay:lease:c") == b"token of m2"


async def test_a_conversation_that_is_handed_back_is_due_at_once(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    await store.hand_back(lease)
    await arm.wait(0.05)
    assert await store.due(10) == ["c"]
    await store.hand_back(lease)
    claimed = await store.claim("c", token="t2")
    assert claimed is not None
    assert claimed.epoch == 2


async def test_a_message_whose_token_has_had_its_lease_is_due_at_once(arm: Arm) -> None:
    """Nobody holds its conversation, and nobody will by this token: without that it would wait for the next message."""
    store = arm.store()
    lease = (await store.accept("c", "m1", "1", None, token="t1")).lease
    assert lease is not None
    await store.end(lease, {"m1": Outcome.ANSWERED})
    assert await store.release(lease)
    assert (await store.accept("c", "m2", "2", None, token="t1")).lease is None
    await arm.wait(0.01)
    assert await store.due(10) == ["c"]


async def test_an_empty_conversation_that_is_handed_back_is_not_due(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    await store.end(lease, {"m1": Outcome.ANSWERED})
    await store.hand_back(lease)
    await arm.wait(0.05)
    assert await store.due(10) == []
    assert await store.depth() == 0


# What is due


async def test_due_are_conversations_with_messages_and_no_lease_oldest_first(arm: Arm) -> None:
    store = arm.store(short=True)
    held = {name: await leased(store, name) for name in ("a", "b:1", "c\n")}
    await arm.wait(0.5)
    await leased(store, "d")
    held["a"] = await store.renew(held["a"])
    assert await store.due(10) == []
    assert await store.depth() == 4
    await arm.wait(0.6)
    assert await store.due(10) == ["b:1", "c\n"]
    assert await store.due(1) == ["b:1"]
    await arm.wait(0.5)
    assert (await store.due(10))[:2] == ["b:1", "c\n"]
    assert sorted(await store.due(10)) == ["a", "b:1", "c\n", "d"]
    assert (await store.claim("b:1", token="t2")) is not None
    assert sorted(await store.due(10)) == ["a", "c\n", "d"]
    assert await store.depth() == 4


async def test_a_message_that_comes_after_the_holders_death_is_due_with_the_old_ones(arm: Arm) -> None:
    store = arm.store(short=True)
    await leased(store)
    await arm.wait(0.5)
    assert (await store.accept("c", "m2", "2", None, token="t2")).lease is None
    await arm.wait(0.6)
    assert await store.due(10) == ["c"]


async def test_a_message_that_comes_between_the_end_and_the_release_is_not_stranded(arm: Arm) -> None:
    store = arm.store(short=True)
    lease = await leased(store)
    await store.end(lease, {"m1": Outcome.ANSWERED})
    assert await store.depth() == 0
    assert (await store.accept("c", "m2", "2", None, token="t2")).lease is None
    assert await store.depth() == 1
    assert not await store.release(lease)
    await arm.outlive_lease()
    assert await store.due(10) == ["c"]


async def test_who_dies_after_its_last_message_ended_leaves_nothing_due(arm: Arm) -> None:
    store = arm.store(short=True)
    lease = await leased(store)
    await store.end(lease, {"m1": Outcome.ANSWERED})
    await arm.outlive_lease()
    assert await store.due(10) == []
    assert await store.depth() == 0
    assert (await store.accept("c", "m2", "2", None, token="t2")).lease is not None


# What is intended and running


async def test_an_intention_is_noted_before_the_run(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2", "m3")
    await store.intend(lease, "request 1", ["m2", "m1"])
    inbox = await store.inbox(lease)
    assert (inbox.request_id, inbox.run_id, inbox.run_age_seconds) == ("request 1", None, None)
    assert (inbox.batch, inbox.attempts) == (("m1", "m2"), 1)
    assert told(inbox) == [("m1", "pending", False, 1), ("m2", "pending", False, 1), ("m3", "pending", False, 0)]


async def test_every_new_request_counts_and_a_repeated_one_does_not(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2")
    await store.intend(lease, "request 1", ["m1"])
    await store.intend(lease, "request 1", ["m1"])
    assert (await store.inbox(lease)).attempts == 1
    await store.intend(lease, "request 1", ["m1", "m2"])
    assert [one.attempts for one in (await store.inbox(lease)).entries] == [1, 1]
    await store.intend(lease, "request 2", ["m1"])
    inbox = await store.inbox(lease)
    assert (inbox.attempts, inbox.batch) == (2, ("m1",))
    await store.intend(lease, "request 3", ["m2"])
    inbox = await store.inbox(lease)
    assert (inbox.attempts, inbox.batch) == (2, ("m2",))
    assert [one.attempts for one in inbox.entries] == [2, 2]
    await store.intend(lease, "request 4", ["m1"])
    await store.intend(lease, "request 5", ["m2"])
    assert [one.attempts for one in (await store.inbox(lease)).entries] == [3, 3]
    await store.intend(lease, "request 6", ["m1"])
    await store.started(lease, "request 5", "run_5", ["m2"])
    inbox = await store.inbox(lease)
    assert (inbox.attempts, [one.attempts for one in inbox.entries]) == (3, [3, 3]), "request 6 has brought nothing"
    await store.started(lease, "request 5", "run_5", ["m2"])
    await store.started(lease, "request 4", "run_4", ["m2"])
    assert [one.attempts for one in (await store.inbox(lease)).entries] == [3, 3], "a run was noted already"
    await store.take_over(lease)
    inbox = await store.inbox(lease)
    assert (inbox.attempts, inbox.batch) == (3, ())
    await store.end(lease, {"m1": Outcome.GENERIC_APOLOGY})
    assert (await store.inbox(lease)).attempts == 3


async def test_a_run_is_noted_with_its_age_and_its_messages_are_in_the_thread(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2")
    await store.intend(lease, "request 1", ["m1"])
    await store.started(lease, "request 1", "run_1", ["m1"])
    await arm.wait(0.25)
    await store.started(lease, "request 1", "run_1", ["m1"])
    inbox = await store.inbox(lease)
    assert (inbox.request_id, inbox.run_id, inbox.batch) == ("request 1", "run_1", ("m1",))
    assert inbox.run_age_seconds is not None
    assert 0.25 * arm.short_lease_seconds - 0.001 <= inbox.run_age_seconds < 0.25 * arm.short_lease_seconds + 1
    assert told(inbox) == [("m1", "running", True, 1), ("m2", "pending", False, 0)]


async def test_a_run_that_was_found_is_noted_without_an_intention(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2", "m3")
    await store.intend(lease, "request 2", ["m2", "m3"])
    await store.started(lease, "request 1", "run_1", ["m1", "m2"])
    inbox = await store.inbox(lease)
    assert (inbox.request_id, inbox.run_id, inbox.batch) == ("request 1", "run_1", ("m1", "m2"))
    # The request that was intended has brought nothing, and does not count.
    assert told(inbox) == [("m1", "running", True, 0), ("m2", "running", True, 0), ("m3", "pending", False, 0)]


@pytest.mark.parametrize("appended", [None, True, False])
async def test_a_take_over_makes_the_batch_pending(arm: Arm, appended: bool | None) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2", "m3")
    await store.intend(lease, "request 1", ["m1", "m2"])
    await store.started(lease, "request 1", "run_1", ["m1", "m2"])
    await store.begin_send(lease, ["m2"], Outcome.ANSWERED)
    await store.take_over(lease, appended=appended)
    inbox = await store.inbox(lease)
    assert (inbox.request_id, inbox.run_id, inbox.run_age_seconds, inbox.batch) == (None, None, None, ())
    known = appended is not False
    assert told(inbox) == [("m1", "pending", known, 1), ("m2", "sending", known, 1), ("m3", "pending", False, 0)]


async def test_an_intention_forgets_the_run_before(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2")
    await store.started(lease, "request 1", "run_1", ["m1"])
    await store.intend(lease, "request 2", ["m2"])
    inbox = await store.inbox(lease)
    assert (inbox.request_id, inbox.run_id, inbox.run_age_seconds) == ("request 2", None, None)
    assert told(inbox) == [("m1", "pending", True, 0), ("m2", "pending", False, 1)]


async def test_the_next_holder_reads_what_the_last_one_noted(arm: Arm) -> None:
    store = arm.store(short=True)
    lease = await leased(store, "c", "m1", "m2")
    await store.intend(lease, "request 1", ["m1"])
    await store.started(lease, "request 1", "run_1", ["m1"])
    await store.begin_send(lease, ["m1"], Outcome.ANSWERED)
    await arm.outlive_lease()
    claimed = await store.claim("c", token="t2")
    assert claimed is not None
    inbox = await store.inbox(claimed)
    assert (inbox.request_id, inbox.run_id, inbox.batch) == ("request 1", "run_1", ("m1",))
    first = inbox.entries[0]
    assert (first.state, first.send_epoch, first.outcome) == (EntryState.SENDING, 1, Outcome.ANSWERED)


# Sending and ending


async def test_a_sending_is_noted_with_its_epoch_and_outcome_and_can_be_taken_back(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2")
    await store.started(lease, "request 1", "run_1", ["m1"])
    await store.begin_send(lease, ["m1", "m2"], Outcome.GENERIC_APOLOGY)
    entries = (await store.inbox(lease)).entries
    assert [(one.state, one.send_epoch, one.outcome) for one in entries] == [
        (EntryState.SENDING, 1, Outcome.GENERIC_APOLOGY)
    ] * 2
    await store.not_sent(lease, ["m1", "m2"])
    entries = (await store.inbox(lease)).entries
    assert [(one.state, one.send_epoch, one.outcome) for one in entries] == [
        (EntryState.RUNNING, None, None),
        (EntryState.PENDING, None, None),
    ]


async def test_what_was_only_intended_is_pending_again_after_a_sending_that_was_taken_back(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    await store.intend(lease, "request 1", ["m1"])
    await store.begin_send(lease, ["m1"], Outcome.FRIENDLY_APOLOGY)
    await store.not_sent(lease, ["m1"])
    inbox = await store.inbox(lease)
    assert told(inbox) == [("m1", "pending", False, 1)]
    assert (inbox.request_id, inbox.batch) == ("request 1", ("m1",))


async def test_a_sending_of_an_earlier_epoch_cannot_be_taken_back(arm: Arm) -> None:
    """Only who sent can know that nothing left."""
    store = arm.store(short=True)
    await store.begin_send(await leased(store), ["m1"], Outcome.ANSWERED)
    await arm.outlive_lease()
    claimed = await store.claim("c", token="t2")
    assert claimed is not None
    await store.not_sent(claimed, ["m1"])
    entry = (await store.inbox(claimed)).entries[0]
    assert (entry.state, entry.send_epoch) == (EntryState.SENDING, 1)
    await store.begin_send(claimed, ["m1"], Outcome.UNKNOWN)
    assert (await store.inbox(claimed)).entries[0].send_epoch == 2


async def test_what_has_ended_cannot_be_sent(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2")
    await store.end(lease, {"m1": Outcome.ANSWERED})
    before = await dump(arm.client)
    with pytest.raises(ValueError, match="has ended already"):
        await store.begin_send(lease, ["m2", "m1"], Outcome.GENERIC_APOLOGY)
    assert await dump(arm.client) == before


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_an_end_is_remembered_and_leaves_no_text(arm: Arm, outcome: Outcome) -> None:
    store = arm.store()
    lease = await leased(store)
    assert await store.outcome_of("c", "m1") is None
    await store.end(lease, {"m1": outcome})
    assert await store.outcome_of("c", "m1") is outcome
    assert await store.inbox(lease) == EMPTY
    assert "text of m1" not in repr(await dump(arm.client))


async def test_the_first_outcome_stays(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    await store.end(lease, {"m1": Outcome.ANSWERED})
    await store.end(lease, {"m1": Outcome.GENERIC_APOLOGY})
    assert await store.outcome_of("c", "m1") is Outcome.ANSWERED


async def test_an_outcome_is_remembered_for_a_message_that_the_server_lost(arm: Arm) -> None:
    """A failover can lose an accepted message whose holder has read it already: its redelivery must not be answered."""
    store = arm.store()
    lease = await leased(store)
    await store.end(lease, {"lost": Outcome.ANSWERED})
    assert await store.outcome_of("c", "lost") is Outcome.ANSWERED
    again = await store.accept("c", "lost", "x", None, token="t2")
    assert again == Accepted(first=False, outcome=Outcome.ANSWERED, lease=None)


async def test_a_run_is_forgotten_with_the_last_message_of_its_batch(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2", "m3")
    await store.started(lease, "request 1", "run_1", ["m1", "m2"])
    await store.end(lease, {"m1": Outcome.ANSWERED})
    inbox = await store.inbox(lease)
    assert (inbox.run_id, inbox.batch) == ("run_1", ("m2",))
    await store.end(lease, {"m2": Outcome.COVERED})
    inbox = await store.inbox(lease)
    assert (inbox.request_id, inbox.run_id, inbox.run_age_seconds, inbox.batch) == (None, None, None, ())
    assert [entry.id for entry in inbox.entries] == ["m3"]


async def test_a_run_whose_messages_are_not_there_is_forgotten_when_the_inbox_is_empty(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2")
    await store.started(lease, "request 1", "run_1", ["lost"])
    await store.end(lease, {"m1": Outcome.ANSWERED})
    assert (await store.inbox(lease)).run_id == "run_1"
    await store.end(lease, {"m2": Outcome.ANSWERED})
    assert await store.inbox(lease) == EMPTY


async def test_the_end_of_other_messages_leaves_the_run(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2")
    await store.started(lease, "request 1", "run_1", ["m1"])
    await store.end(lease, {"m2": Outcome.GENERIC_APOLOGY})
    assert (await store.inbox(lease)).run_id == "run_1"


async def test_a_creation_in_doubt_stays_noted_when_its_messages_have_ended_until_another_is_intended(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2")
    await store.intend(lease, "request 1", ["m1"])
    await store.end(lease, {"m1": Outcome.FRIENDLY_APOLOGY}, in_doubt="request 1")
    inbox = await store.inbox(lease)
    assert (inbox.request_id, inbox.run_id, inbox.batch) == ("request 1", None, ())
    await store.end(lease, {"m2": Outcome.FRIENDLY_APOLOGY})  # nor does the end of what it did not bring settle it
    assert await store.release(lease)
    lease = await leased(store, "c", "m3")
    assert (await store.inbox(lease)).request_id == "request 1"
    await store.intend(lease, "request 2", ["m3"])
    await store.end(lease, {"m3": Outcome.ANSWERED})
    assert await store.inbox(lease) == EMPTY


async def test_a_creation_in_doubt_stays_noted_when_its_messages_are_taken_over(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1")
    await store.intend(lease, "request 1", ["m1"])
    await store.take_over(lease, in_doubt="request 1")
    inbox = await store.inbox(lease)
    assert (inbox.request_id, inbox.run_id, inbox.batch) == ("request 1", None, ())
    assert told(inbox) == [("m1", "pending", False, 1)]


async def test_a_message_is_remembered_for_so_long_after_its_end_and_never_forgotten_before(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store, "c", "m1", "m2")
    await store.end(lease, {"m1": Outcome.ANSWERED})
    assert 0.999 * REMEMBER_SECONDS < await arm.client.ttl("relay:message:c:m1") <= REMEMBER_SECONDS
    assert await arm.client.ttl("relay:message:c:m2") == -1
    short = arm.store(remember_seconds=0.25 * arm.short_lease_seconds)
    await short.end(lease, {"m2": Outcome.ANSWERED})
    await arm.wait(0.3)
    assert await store.outcome_of("c", "m2") is None
    assert await store.outcome_of("c", "m1") is Outcome.ANSWERED


async def test_only_what_must_outlive_a_conversation_does(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    await store.intend(lease, "request 1", ["m1"])
    await store.started(lease, "request 1", "run_1", ["m1"])
    await store.end(lease, {"m1": Outcome.ANSWERED})
    await store.release(lease)
    held = await dump(arm.client)
    assert sorted(held) == ["relay:conversation:c", "relay:message:c:m1"]
    assert sorted(held["relay:conversation:c"]) == [b"epoch", b"freed", b"next", b"step", b"token"]


# The thread


async def test_the_first_thread_stays_until_it_is_replaced(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    assert await store.set_thread(lease, "thread_A") == "thread_A"
    assert await store.set_thread(lease, "thread_B") == "thread_A"
    assert await store.replace_thread(lease, "thread_B", "thread_C") == "thread_A"
    assert await store.replace_thread(lease, "thread_A", "thread_D") == "thread_D"
    assert await store.thread("c") == "thread_D"
    assert await store.replace_thread(lease, "thread_A", "thread_D") == "thread_D"


async def test_a_thread_that_is_known_no_more_is_replaced(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    assert await store.replace_thread(lease, "thread_A", "thread_B") == "thread_B"


# Where Redis fails


async def test_scripts_are_sent_again_to_a_server_that_forgot_them(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    for step in steps(store, lease)[:-2]:
        await arm.client.script_flush()
        await step()
    await arm.client.script_flush()
    assert await store.release(lease)


async def test_an_error_of_redis_is_that_the_store_is_unavailable(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    await arm.client.set("relay:inbox:broken", "no hash")
    with pytest.raises(StoreUnavailable, match="step 'accept': another program uses a key"):
        await store.accept("broken", "m1", "secret", None, token="t2")
    await arm.client.delete("relay:due")
    await arm.client.set("relay:due", "no set")
    with pytest.raises(StoreUnavailable, match="step 'due': another program uses a key"):
        await store.due(10)
    with pytest.raises(StoreUnavailable, match="step 'depth': another program uses a key"):
        await store.depth()
    assert not await is_lost(store, lease)


async def test_a_step_that_takes_too_long_is_given_up(arm: Arm) -> None:
    class Silent:
        async def evalsha(self, *arguments: Any) -> None:
            await asyncio.sleep(3600)

    store = arm.store(client=Silent(), timeout_seconds=0.01)
    with pytest.raises(StoreUnavailable, match="step 'accept': Redis did not answer in time"):
        await store.accept("c", "m1", "x", None, token="t1")


async def test_a_step_that_was_overtaken_changes_nothing_and_says_so(arm: Arm) -> None:
    store = arm.store()
    lease = await leased(store)
    await store.intend(lease, "request 1", ["m1"])
    await store.started(lease, "request 1", "run_1", ["m1"])
    behind = arm.store()
    before = await dump(arm.client)
    with pytest.raises(RuntimeError, match="one by one"):
        await behind.take_over(lease)
    assert await dump(arm.client) == before


# How scripts are written


def test_every_script_begins_with_its_name() -> None:
    names = {
        name: text for name, text in vars(store_scripts).items() if isinstance(text, str) and text.startswith("-- ")
    }
    assert len(names) == 15
    for name, text in names.items():
        assert text.splitlines()[0] == f"-- {name.lower()}"


async def test_a_prefix_with_a_hash_tag_keeps_every_key_in_one_slot(arm: Arm) -> None:
    store = arm.store(prefix="{relay}:")
    lease = await leased(store)
    for step in steps(store, lease)[:-2]:
        await step()
    keys = [key.decode() for key in await arm.client.keys("*")]
    assert len(keys) >= 4
    assert {key[:8] for key in keys} == {"{relay}:"}


async def test_scripts_touch_no_key_that_they_are_not_given(arm: Arm) -> None:
    given: set[str] = set()

    class Watching:
        def __getattr__(self, name: str) -> Any:
            return getattr(arm.client, name)

        async def evalsha(self, sha: str, count: int, *words: Any) -> Any:
            given.update(words[:count])
            return await arm.client.evalsha(sha, count, *words)

    store = arm.store(client=Watching())
    lease = await leased(store, "c", "m1", "m2")
    for step in steps(store, lease)[:-2]:
        await step()
    await store.release(lease)
    await store.due(10)
    assert {key.decode() for key in await arm.client.keys("*")} <= given


async def test_a_flood_of_messages_is_no_other_than_a_few(arm: Arm) -> None:
    """Lua passes some thousand arguments at most, so that steps must not hand on a whole inbox at once."""
    store = arm.store()
    ids = [f"m{number}" for number in range(4500)]
    lease = await leased(store, "c", *ids)
    await store.intend(lease, "r1", ids)
    await store.started(lease, "r1", "run_1", ids)
    await store.begin_send(lease, ids, Outcome.FRIENDLY_APOLOGY)
    assert {entry.state for entry in (await store.inbox(lease)).entries} == {EntryState.SENDING}
    await store.end(lease, dict.fromkeys(ids, Outcome.FRIENDLY_APOLOGY))
    assert await store.inbox(lease) == EMPTY
    assert await store.release(lease)
