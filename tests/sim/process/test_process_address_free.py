"""Goal: what a library makes of sets and of `id` is one thing in all processes, and is what Python's own would do."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.sim.process.address_free import Numbers, SetInOrder, names_without_addresses, without_addresses

MEMBERS = st.lists(st.integers(0, 9), max_size=6)
CHANGES = ("add", "discard", "remove", "pop", "clear")
MANY = ("update", "difference_update", "intersection_update", "symmetric_difference_update")
MADE = ("union", "difference", "intersection", "symmetric_difference")
OPERATORS = ("__or__", "__and__", "__sub__", "__xor__", "__ior__", "__iand__", "__isub__", "__ixor__")


@given(
    MEMBERS,
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(CHANGES), st.integers(0, 9)),
            st.tuples(st.sampled_from(MANY + MADE + OPERATORS), MEMBERS),
        )
    ),
)
def test_it_holds_what_a_set_holds(members: list[int], calls: list[tuple[str, Any]]) -> None:
    ours, plain = SetInOrder(members), set(members)
    for name, value in calls:
        if name == "pop":
            if plain:
                first = next(iter(ours))
                assert ours.pop() == first
                plain.remove(first)
        elif name == "clear":
            ours.clear()
            plain.clear()
        elif name == "remove" and value not in plain:
            with pytest.raises(KeyError):
                ours.remove(value)
        elif name in OPERATORS:
            assert getattr(ours, name)(set(value)) == getattr(plain, name)(set(value))
            assert getattr(ours, name)(value) is NotImplemented
        else:
            assert getattr(ours, name)(value) == getattr(plain, name)(value)
        assert ours == plain
        assert (sorted(ours), len(ours)) == (sorted(plain), len(plain))


@given(MEMBERS, MEMBERS)
def test_members_come_in_the_order_in_which_they_joined(members: list[int], more: list[int]) -> None:
    ours = SetInOrder(members)
    assert list(ours) == list(dict.fromkeys(members))
    assert list(ours | SetInOrder(more)) == list(dict.fromkeys(members + more))
    assert list({-1} | ours) == [-1, *ours]
    ours.discard(members[0] if members else 0)
    ours.add(members[0] if members else 0)
    assert list(ours)[-1] == (members[0] if members else 0)
    for made in (copy.copy(ours), ours.copy()):
        assert list(made) == list(ours)
        made.clear()
    assert pickle.loads(pickle.dumps(ours)) == set(ours)


def test_any_set_is_one_and_nothing_else() -> None:
    assert isinstance({1}, SetInOrder)
    assert isinstance(SetInOrder(), set)
    assert issubclass(set, SetInOrder)
    assert not isinstance(frozenset({1}), SetInOrder)
    with pytest.raises(TypeError, match="unhashable"):
        hash(SetInOrder())
    with pytest.raises(KeyError):
        SetInOrder().pop()


SOURCE = """
import weakref
from weakref import WeakSet

class Thing: pass

things = [Thing() for _ in range(200)]
by_call, shown, made = set(things), {*things}, {each for each in things}
weak, from_module = WeakSet(things), weakref.WeakSet(things)
texts = {"d", "c", "b", "a", "e"}
is_in = "a" in {"a", "b"}
numbers = [id(each) for each in things]
"""


def test_a_modules_sets_are_in_order_however_they_are_written() -> None:
    code = without_addresses(compile(SOURCE, "made_up.py", "exec"), lambda: SOURCE)
    found: dict[str, Any] = {**names_without_addresses()}
    exec(code, found)
    for name in ("by_call", "shown", "made", "weak", "from_module"):
        assert list(found[name]) == found["things"], name
    assert list(found["texts"]) == ["d", "c", "b", "a", "e"]
    assert found["is_in"] is True
    assert found["numbers"] == sorted(found["numbers"])
    assert len(set(found["numbers"])) == 200


def test_code_without_sets_stays_as_it_is() -> None:
    code = compile("def f():\n    return [1]\n", "made_up.py", "exec")
    assert without_addresses(code, lambda: pytest.fail("its source is not asked for")) is code


def test_a_number_is_kept_for_as_long_as_its_object_lives() -> None:
    class Thing:
        pass

    numbers = Numbers()
    one, other = Thing(), Thing()
    first = numbers.number(one)
    assert numbers.number(other) > first
    assert numbers.number(one) == first
    known = {numbers.number(one), numbers.number(other)}
    for _ in range(100):  # at addresses that were another's
        assert numbers.number(Thing()) not in known
        gc.collect(0)
    assert numbers.number(3) == id(3)
