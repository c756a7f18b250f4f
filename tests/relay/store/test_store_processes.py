"""Several processes on the same conversations, some of which die, stand still or hand back in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import redis

PROCESSES = 4
MESSAGES = 60
WORKER = Path(__file__).with_name("hammering_worker.py")


@pytest.fixture(scope="module")
def told(valkey_connection: dict[str, Any]) -> dict[str, list[list[Any]]]:
    """What all processes told, by kind; `held` is what the server held at the end."""
    with redis.Redis(**valkey_connection) as client:
        client.flushall()
        client.script_flush()
    socket = valkey_connection["unix_socket_path"]
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), socket, str(index), str(PROCESSES), str(MESSAGES)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(PROCESSES)
    ]
    try:
        printed = [worker.communicate(timeout=120)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0] * PROCESSES
    events = defaultdict(list)
    for line in "".join(printed).splitlines():
        kind, *words = json.loads(line)
        events[kind].append(words)
    with redis.Redis(**valkey_connection) as client:
        events["held"] = [[key.decode() for key in client.keys("*")]]
    return events


def test_every_kind_of_failure_happened(told: dict[str, list[list[Any]]]) -> None:
    for kind in ("died", "stood still", "lost", "released", "ended"):
        assert told[kind], kind


def test_every_message_was_accepted_once_and_ended_once(told: dict[str, list[list[Any]]]) -> None:
    accepted = Counter(tuple(words) for words in told["accepted"])
    ended = Counter((conversation, id) for conversation, _, ids in told["ended"] for id, _ in ids)
    assert set(accepted.values()) == {1}
    assert ended == accepted
    assert len(accepted) > 0.7 * PROCESSES * MESSAGES


def test_every_epoch_had_one_holder(told: dict[str, list[list[Any]]]) -> None:
    epochs = Counter((conversation, epoch) for conversation, epoch, *_ in told["granted"])
    tokens = Counter(token for _, _, token, *_ in told["granted"])
    assert set(epochs.values()) == {1}
    assert set(tokens.values()) == {1}
    for conversation in {conversation for conversation, _ in epochs}:
        granted = sorted(epoch for name, epoch in epochs if name == conversation)
        assert granted == list(range(1, len(granted) + 1))


def test_no_step_succeeded_after_the_next_lease_was_given(told: dict[str, list[list[Any]]]) -> None:
    """All processes read the same clock: what was sent after a later grant had been received came after it."""
    granted = {(conversation, epoch): at for conversation, epoch, _, at, _ in told["granted"]}
    late = [
        (conversation, epoch)
        for conversation, epoch, sent_at in told["step"]
        if sent_at > granted.get((conversation, epoch + 1), float("inf"))
    ]
    assert late == []
    assert told["ended although the lease was over"] == []


def test_a_release_leaves_no_message_behind(told: dict[str, list[list[Any]]]) -> None:
    """After it only a message that is new gives a lease: nothing waits that a sweep or a redelivery would find."""
    how = {(conversation, epoch): how for conversation, epoch, _, _, how in told["granted"]}
    after_release = Counter(how.get((conversation, epoch + 1)) for conversation, epoch in told["released"])
    assert set(after_release) <= {"new message", None}
    assert after_release["new message"]


def test_messages_ended_in_the_order_of_their_acceptance(told: dict[str, list[list[Any]]]) -> None:
    order = defaultdict(list)
    for conversation, epoch, ids in told["ended"]:
        for _, number in ids:
            order[conversation].append((epoch, number))
    for ended in order.values():
        assert [number for _, number in sorted(ended)] == list(range(1, len(ended) + 1))
    assert told["wrong text"] == []
    assert told["out of order"] == []


def test_nothing_is_left(told: dict[str, list[list[Any]]]) -> None:
    (held,) = told["held"]
    families = {key.split(":")[1] for key in held if key.startswith("relay:")}
    # A holder that stopped after its last message's end leaves a lease that lapses.
    assert families <= {"conversation", "message", "lease"}
    assert families >= {"conversation", "message"}
