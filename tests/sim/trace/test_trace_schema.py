"""Every event of a world has a named record, and whatever has none passes through untouched."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path
from typing import NamedTuple

import pytest

import relaysim.sim
from relaysim.sim.kernel import kind_of, record_kind
from relaysim.sim.trace import schema
from relaysim.sim.trace.schema import EVENTS, SCHEMA, HostCrash, LeaseGone, RunState, as_object, named


def test_the_table_holds_every_record_once_and_under_its_own_kind() -> None:
    records = [each for each in vars(schema).values() if isinstance(each, type) and each.__module__ == schema.__name__]
    assert set(EVENTS) == set(records) - {schema.FieldDescription}
    assert len(SCHEMA) == len(EVENTS)
    assert all(SCHEMA[kind_of(event)] is event for event in EVENTS)


def test_no_field_hides_what_every_event_has() -> None:
    for event in EVENTS:
        assert not {"number", "time", "entity", "kind", "fields"} & set(event._fields), event


def test_values_get_their_names_back() -> None:
    state = RunState(run_id="run_1", thread_id="thread_1", state="queued", cause="w1#1")
    assert named("run.state", tuple(state)) == state
    assert named("run.state", list(state)).cause == "w1#1"
    assert named("run.state", state) is state
    assert named("host.crash", ()) == HostCrash()
    assert named("lease.gone", ("c1", "w1")) == LeaseGone(conversation="c1", worker="w1", how="expired")


def test_named_records_survive_a_file() -> None:
    state = RunState(run_id="run_1", thread_id="thread_1", state="queued", cause="w1#1")
    assert pickle.loads(pickle.dumps(state)).state == "queued"


def test_an_unknown_kind_passes_through() -> None:
    @record_kind("tram.arrived")
    class TramArrived(NamedTuple):
        line: int

    assert named("tram.arrived", (6,)) == (6,)
    assert named("tram.arrived", TramArrived(6)).line == 6


def test_another_version_of_a_known_kind_is_told_apart() -> None:
    with pytest.raises(
        ValueError, match=r"run\.state has the fields run_id, thread_id, state, cause, and not 2 values"
    ):
        named("run.state", ("run_1", "thread_1"))


def test_whoever_writes_an_event_names_its_fields() -> None:
    names = {event.__name__ for event in EVENTS}
    for path in sorted(Path(next(iter(relaysim.sim.__path__))).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                assert not node.args, f"{path.name}:{node.lineno} writes {node.func.id} by position"


def test_an_event_is_an_object_with_names() -> None:
    assert as_object(1.5, "api", "run.state", ("run_1", "thread_1", "queued", "w1#1")) == {
        "time": 1.5,
        "entity": "api",
        "kind": "run.state",
        "run_id": "run_1",
        "thread_id": "thread_1",
        "state": "queued",
        "cause": "w1#1",
    }
    assert as_object(0.0, "w1", "host.crash", ()) == {"time": 0.0, "entity": "w1", "kind": "host.crash"}


@pytest.mark.parametrize("kind", ["tram.arrived", "run.state"])
def test_an_event_without_names_is_an_object_with_a_list(kind: str) -> None:
    event = as_object(2.0, "x", kind, (6, "late"))
    assert event == {"time": 2.0, "entity": "x", "kind": kind, "fields": [6, "late"]}
