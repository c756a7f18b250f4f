"""What conversations and messages are called: each name once, and of the awkward ones some that careless code mixes up."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.sim.world.names import conversation_name, customer_number, message_name

NAMES: tuple[Literal["plain"], Literal["awkward"]] = ("plain", "awkward")


@pytest.mark.parametrize("names", NAMES)
def test_no_two_conversations_and_no_two_messages_have_one_name(names: Literal["plain", "awkward"]) -> None:
    customers, messages = range(1, 31), range(1, 31)
    conversations = {conversation_name(each, names) for each in customers}
    assert len(conversations) == len(customers)
    assert len({message_name(each, count, names) for each in customers for count in messages}) == 900


@given(number=st.integers(1, 40), customers=st.integers(1, 40), names=st.sampled_from(NAMES))
def test_a_name_leads_back_to_its_customer_if_there_is_one(
    number: int, customers: int, names: Literal["plain", "awkward"]
) -> None:
    found = customer_number(conversation_name(number, names), customers, names)
    assert found == (number if number <= customers else None)
    assert customer_number("nobody's", customers, names) is None


def test_plain_names_are_numbers() -> None:
    assert (conversation_name(3), message_name(3, 2)) == ("c3", "c3.m2")


def test_awkward_names_meet_where_they_are_joined_without_care() -> None:
    def joined(number: int, count: int) -> str:
        return f"{conversation_name(number, 'awkward')}:{message_name(number, count, 'awkward')}"

    assert joined(1, 7) == joined(2, 7)
    first, second, third = (conversation_name(each, "awkward") for each in (1, 2, 3))
    assert second.startswith(first)
    assert third.startswith(second)
    assert any("{" in conversation_name(each, "awkward") for each in range(1, 7))
