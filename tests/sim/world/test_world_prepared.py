"""The first conversation that a relay opens for a customer is the prepared one, unless that one is known to it."""

from __future__ import annotations

from typing import Any

import pytest

from relaysim.sim.backends.threads.service import ThreadsService
from relaysim.sim.kernel import Draws, Record
from relaysim.sim.trace.schema import HandlingStart, RequestSent
from relaysim.sim.world.prepared import PreparedConversations

TWO = {"c1": "thread_1", "c2": "thread_2"}
ONE = {"c1": "thread_1"}


def request(number: int, context: str, operation: str = "threads.create", thread: str | None = None) -> Record:
    return Record(1.0, "worker-1", "request", RequestSent(f"worker-1#{number}", context, operation, thread, None))


DELIVERED = Record(0.5, "worker-1", "handling.start", HandlingStart("c1.m1#1", "c1.m1", 1))


def chosen(prepared: dict[str, str], *records: Record) -> list[str | None]:
    """What each creation among these records is answered with."""
    so_far: list[Record] = []
    conversations = PreparedConversations(so_far, prepared, lambda delivery: delivery.partition(".")[0])
    found: list[str | None] = []
    for record in records:
        so_far.append(record)
        sent: Any = record.fields
        if record.kind == "request" and sent.operation == "threads.create":
            found.append(conversations.choose(sent.request_id))
    return found


def test_each_customers_first_one_is_the_prepared_one_and_the_second_a_new_one() -> None:
    assert chosen(TWO, request(1, "c2.m1#1"), request(2, "c1.m1#1"), request(3, "c2.m2#1")) == [
        "thread_2",
        "thread_1",
        None,
    ]


def test_whoever_has_named_the_prepared_one_and_opens_another_gets_another() -> None:
    used = request(1, "c1.m1#1", "messages.create", "thread_1")
    assert chosen(TWO, used, request(2, "c1.m1#1"), request(3, "c2.m1#1")) == [None, "thread_2"]


def test_outside_a_handling_only_a_world_with_one_customer_knows_whom_it_is_for() -> None:
    assert chosen(ONE, DELIVERED, request(1, "")) == ["thread_1"]
    assert chosen(ONE, request(1, "")) == [None]
    assert chosen(TWO, DELIVERED, request(1, "")) == [None]


@pytest.mark.parametrize("api_messages", [(), ("hello", "again")])
def test_it_is_answered_with_what_the_request_gives_it(api_messages: tuple[str, ...]) -> None:
    service = ThreadsService(Draws(1, 1), lambda: 0.0)
    prepared = service.create_thread()["id"]
    service.prepared = lambda cause: prepared if cause == "mine" else None
    messages = [{"role": "user", "content": text} for text in api_messages]
    made = service.create_thread(messages=messages, metadata={"chat": "7"}, cause="mine")
    assert (made["id"], made["metadata"]) == (prepared, {"chat": "7"})
    assert service.retrieve_thread(prepared)["metadata"] == {"chat": "7"}
    assert len(service.list_messages(prepared)["data"]) == len(api_messages)
    assert service.create_thread(cause="another's")["id"] != prepared
    assert service.create_thread_and_run(assistant_id="asst_1", cause="mine")["thread_id"] != prepared
