"""Sending: noted before, repeated only where the text surely did not leave, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from drain_bench import SEND_SECONDS, Bench, Sent

from relaysim.relay.drain.channel import NotSent, SenderChannel, surely_not_sent


class Script:
    """A channel that raises these, one per text; None: the text is taken."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)

    async def __call__(self, sent: Sent) -> None:
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error


class ProviderRefusal(Exception):
    """A provider's own error, which knows nothing of the relay."""

    not_sent = True


@pytest.mark.parametrize("error", [NotSent("busy"), ProviderRefusal("busy")])
def test_a_text_that_was_surely_not_sent_is_offered_again(error: Exception) -> None:
    with Bench(channel=Script(error, error, None)) as bench:
        bench.say(0.0, "m1")
        bench.run(40)
        assert bench.texts == ["Answer to: question m1"] * 3
        assert bench.outcomes() == {"m1": "answered"}
        assert len(bench.steps("begin_send")) == 3
        assert len(bench.runs) == 1


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), RuntimeError("a bug of the channel")])
def test_a_text_of_unknown_fate_is_never_sent_again(error: Exception) -> None:
    with Bench(channel=Script(error)) as bench:
        bench.say(0.0, "m1")
        bench.say(0.1, "m2")
        bench.say_again(60.0, "m1")
        bench.run(90)
        assert len(bench.sent) == 1
        assert bench.outcomes() == {"m1": "unknown", "m2": "unknown"}
        assert bench.metric("relay_sends_unknown_total") == 1


def test_a_channel_that_does_not_answer_is_given_up() -> None:
    async def hang(sent: Sent) -> None:
        await asyncio.sleep(1000.0)

    with Bench(channel=hang, settings={"send_timeout_seconds": 10.0}) as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        assert bench.outcomes() == {"m1": "unknown"}
        assert bench.steps("end")[0][0] == pytest.approx(bench.sent[0].at + 10.0, abs=0.02)


def test_a_text_that_is_refused_for_good_is_lost_and_that_is_said() -> None:
    async def refuse(sent: Sent) -> None:
        raise NotSent("blocked")

    with Bench(channel=refuse, settings={"send_patience_seconds": 20.0}) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.outcomes() == {"m1": "lost"}
        assert bench.sent[-1].at - bench.sent[0].at < 20.0 + 8.0
        assert bench.metric("relay_replies_lost_total", reason="refused") == 1


def test_each_sending_is_noted_before_it_begins() -> None:
    with Bench(channel=Script(NotSent(), None)) as bench:
        bench.say(0.0, "m1")
        bench.run(40)
        begun = [time for time, _, _ in bench.steps("begin_send")]
        assert len(begun) == len(bench.sent) == 2
        assert all(begin < sent.at for begin, sent in zip(begun, bench.sent, strict=True))


def test_nothing_but_the_record_of_its_end_follows_a_sending() -> None:
    """What happens between the two would leave the message's fate unknown if the worker died in it."""
    with Bench() as bench:
        bench.say(0.0, "m1")
        bench.run(40)
        after = [
            name for time, _, name in bench.steps() if time > bench.sent[0].at and name not in ("renew", "EVALSHA")
        ]
        assert after[0] == "end"


@pytest.mark.parametrize("seconds", [0.001, SEND_SECONDS / 2, SEND_SECONDS - 0.001])
def test_a_sending_that_a_dead_worker_had_begun_ends_as_unknown(seconds: float) -> None:
    with Bench(workers=2) as bench:

        async def crash_soon(sent: Sent) -> None:
            if sent.worker == "w1":
                bench.kernel.at(seconds, bench.crash, 1)

        bench.channel = crash_soon
        bench.say(0.0, "m1")
        bench.run(20)
        bench.say(20.0, "m2", worker=2)
        bench.run(60)
        assert [sent.ids for sent in bench.sent] == [(bench.id_of("m1"),), (bench.id_of("m2"),)]
        assert bench.outcomes() == {"m1": "unknown", "m2": "answered"}


def test_a_sending_noted_and_not_begun_ends_as_unknown_too() -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")
        bench.when("redis", "begin_send", lambda: bench.crash(1))
        bench.run(60)
        assert bench.sent == []
        assert bench.outcomes() == {"m1": "unknown"}


def test_a_refused_text_is_sent_by_the_next_worker_if_the_first_dies_before_its_next_attempt() -> None:
    with Bench(workers=2, settings={"retry_first_seconds": 8.0}) as bench:

        async def refuse_the_first(sent: Sent) -> None:
            if sent.worker == "w1":
                bench.kernel.at(0.05, bench.crash, 1)
                raise NotSent("busy")

        bench.channel = refuse_the_first
        bench.say(0.0, "m1")
        bench.run(60)
        assert [sent.worker for sent in bench.sent] == ["w1", "w2"]
        assert bench.texts == ["Answer to: question m1"] * 2
        assert bench.outcomes() == {"m1": "answered"}
        assert len(bench.runs) == 1


def test_waits_between_offers_are_all_different() -> None:
    async def refuse(sent: Sent) -> None:
        raise NotSent("busy")

    with Bench(channel=refuse, settings={"send_patience_seconds": 60.0}) as bench:
        bench.say(0.0, "m1")
        bench.run(90)
        times = [sent.at for sent in bench.sent]
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert len(waits) > 5
        assert len(set(waits)) == len(waits)
        assert max(waits) < 8.1


# The channel that a `send` becomes


async def _send(channel: SenderChannel) -> None:
    await channel.send("somebody", "text", message_ids=["a", "b"])


@pytest.mark.parametrize("takes_ids", [True, False])
def test_a_send_gets_the_message_ids_if_it_takes_them(takes_ids: bool) -> None:
    got: list[Any] = []

    async def plain(conversation: str, text: str) -> None:
        got.append((conversation, text))

    async def with_ids(conversation: str, text: str, *, message_ids: Sequence[str]) -> None:
        got.append((conversation, text, message_ids))

    send: Any = with_ids if takes_ids else plain
    asyncio.run(_send(SenderChannel(send)))
    assert got == [("somebody", "text", ("a", "b")) if takes_ids else ("somebody", "text")]


def test_a_send_that_takes_anything_gets_the_message_ids_too() -> None:
    got: list[Any] = []

    async def anything(*arguments: Any, **named: Any) -> None:
        got.append((arguments, named))

    asyncio.run(_send(SenderChannel(anything)))
    assert got == [(("somebody", "text"), {"message_ids": ("a", "b")})]


def test_a_send_whose_parameters_cannot_be_read_gets_what_every_send_takes() -> None:
    class Unreadable:
        __signature__ = "none"

        async def __call__(self, conversation: str, text: str) -> None:
            got.append((conversation, text))

    got: list[Any] = []
    asyncio.run(_send(SenderChannel(Unreadable())))
    assert got == [("somebody", "text")]


def test_only_an_error_that_says_so_means_not_sent() -> None:
    assert surely_not_sent(NotSent())
    assert surely_not_sent(ProviderRefusal())
    assert not surely_not_sent(TimeoutError())
    assert not surely_not_sent(RuntimeError("not_sent"))
