"""Which commands a cluster refuses since their keys lie in different slots."""

from __future__ import annotations

import pytest

from relaysim.sim.redis.cluster_slots import crosses_slots


@pytest.mark.parametrize(
    ("command", "crosses"),
    [
        ("GET a", False),
        ("SET a b", False),
        ("DEL a", False),
        ("del a b", True),
        ("DEL {c}a {c}b", False),
        ("EXISTS {c}a b", True),
        ("MGET a a", False),
        ("MSET a x b x", True),
        ("MSET {c}a other {c}b value", False),
        ("RENAME a b", True),
        ("RENAME {c}a {c}b", False),
        ("LMOVE a b LEFT RIGHT", True),
        ("LMOVE {c}a {c}b LEFT RIGHT", False),
        ("EVAL script 2 a b", True),
        ("EVAL script 2 {c}a {c}b other", False),
        ("EVAL script 1 a b", False),
        ("EVALSHA sha 0 a b", False),
        ("EVALSHA sha two a b", False),
        ("EVAL script", False),
        ("PUBLISH a b", False),
    ],
)
def test_only_keys_of_one_slot_go_together(command: str, crosses: bool) -> None:
    assert crosses_slots(command.encode().split()) is crosses
