"""Goal: the Chrome trace of a world is one that Perfetto shows whole: nothing overlaps on a track, every arrow has two ends
in slices, and what lasted in the world lasts as long there.

Method: a checker of the format, written from its description and not from the writer, over worlds with overlapping
handlings, crashes, leases and turns; and over traces made to overlap.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.sim.backends import backend_named
from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.trace.chrome_trace import chrome_trace
from relaysim.sim.trace.schema import SCHEMA, HandlingEnd, HandlingStart, MessageSent, RequestSent, ResponseReceived
from relaysim.sim.world import run_world

Event = dict[str, Any]


def problems(trace: dict[str, Any]) -> list[str]:
    """What a reader of the format would refuse, drop or draw wrongly."""
    events: list[Event] = trace["traceEvents"]
    found: list[str] = []
    tracks: dict[tuple[int, int], list[Event]] = defaultdict(list)
    flows: dict[tuple[str, int], list[Event]] = defaultdict(list)
    named = {(each["pid"], each["tid"]) for each in events if each["ph"] == "M" and each["name"] == "thread_name"}
    processes = {each["pid"] for each in events if each["ph"] == "M" and each["name"] == "process_name"}
    for each in events:
        if not isinstance(each["ts"], int | float) or each["ts"] < 0:
            found.append(f"no time: {each}")
        if each["ph"] == "X":
            tracks[each["pid"], each["tid"]].append(each)
            if each["dur"] < 0:
                found.append(f"ends before it begins: {each}")
        elif each["ph"] in "sf":
            flows[each["cat"], each["id"]].append(each)
        elif each["ph"] == "i":
            if each["s"] != "t":
                found.append(f"an instant of no track: {each}")
        elif each["ph"] != "M":
            found.append(f"unknown phase: {each}")
        if each["ph"] != "M" and ((each["pid"], each["tid"]) not in named or each["pid"] not in processes):
            found.append(f"on a track without a name: {each}")
    for track, slices in tracks.items():
        for before, after in pairwise(sorted(slices, key=lambda each: (each["ts"], each["ts"] + each["dur"]))):
            if after["ts"] < before["ts"] + before["dur"]:
                found.append(f"overlap on {track}: {before} and {after}")
    for flow in flows.values():
        if [each["ph"] for each in flow] != ["s", "f"] or flow[0]["ts"] > flow[1]["ts"]:
            found.append(f"no arrow forward in time: {flow}")
        for each in flow:
            around = [
                slice
                for slice in tracks[each["pid"], each["tid"]]
                if slice["ts"] <= each["ts"] <= slice["ts"] + slice["dur"]
            ]
            if not around:
                found.append(f"an arrow's end is in no slice: {each}")
    times = [each["ts"] for each in events if each["ph"] != "M"]
    if times != sorted(times):
        found.append("not in the order of time")
    return found


@pytest.mark.parametrize(
    ("scenario", "groups"),
    [
        ("race", {"handlings", "requests", "texts"}),
        ("peak_hour", {"handlings", "requests", "texts"}),
        ("drain_crash", {"handlings", "requests", "faults"}),
        ("responses_race", {"handlings", "requests", "texts"}),
    ],
)
def test_worlds_come_out_whole(scenario: str, groups: set[str]) -> None:
    loaded = load(scenario)
    result = run_world(loaded.world_settings(), root_seed=loaded.root_seed, seed=0, lane="direct", keep_trace=True)
    assert result.records is not None
    roles = backend_named(loaded.api).roles
    trace = json.loads(json.dumps(chrome_trace(result.records, roles)))
    assert problems(trace) == []
    events = trace["traceEvents"]
    assert groups <= {each.get("cat") for each in events}
    counts: dict[str, int] = defaultdict(int)
    for record in result.records:
        counts[record[2]] += 1
    slices = [each for each in events if each["ph"] == "X"]
    for group, kind in (("handlings", "handling.start"), ("requests", "request"), ("texts", "send")):
        assert sum(each["cat"] == group for each in slices) == counts[kind], group
    assert sum(each["cat"].startswith("lease ") for each in slices) == counts["lease.taken"] + counts["lease.back"]
    assert sum(each["cat"].startswith("runs on ") for each in slices) == sum(
        record[2] == "run.state" and record[3].state == "queued" for record in result.records
    )


def test_a_slice_lasts_as_long_as_what_it_is_of() -> None:
    loaded = load("race")
    result = run_world(loaded.world_settings(), root_seed=loaded.root_seed, seed=0, lane="direct", keep_trace=True)
    assert result.records is not None
    started = {fields.delivery: time for time, _, kind, fields in result.records if kind == "handling.start"}
    lasted = {
        fields.delivery: time - started[fields.delivery]
        for time, _, kind, fields in result.records
        if kind == "handling.end"
    }
    drawn = {
        each["args"]["delivery"]: each["dur"] / 1e6
        for each in chrome_trace(result.records, ROLES)["traceEvents"]
        if each.get("cat") == "handlings"
    }
    assert drawn == pytest.approx(lasted, abs=2e-6)


@st.composite
def overlapping(draw: st.DrawFn) -> list[tuple[float, str, str, Any]]:
    """Handlings and requests of two workers that overlap in any way, some without an end."""
    records: list[tuple[float, str, str, Any]] = []
    for number in range(draw(st.integers(1, 12))):
        worker, name = f"w{draw(st.integers(1, 2))}", f"c1.m{number}"
        begin = draw(st.integers(0, 8)) / 4
        records.append((begin, "customer:c1", "message.sent", MessageSent(name, "c1", "a", None)))
        records.append((begin, worker, "handling.start", HandlingStart(f"{name}#1", name, 1)))
        records.append(
            (begin, worker, "request", RequestSent(f"{worker}#{number}", f"{name}#1", "runs.list", "t", None))
        )
        end = draw(st.none() | st.integers(0, 8))
        if end is not None:
            records.append((begin + end / 4, worker, "response", ResponseReceived(f"{worker}#{number}", 200, None)))
            records.append((begin + end / 4, worker, "handling.end", HandlingEnd(f"{name}#1", None, None)))
    if draw(st.booleans()):
        records.append((draw(st.integers(0, 12)) / 4, "w1", "host.crash", SCHEMA["host.crash"]()))
    return sorted(records, key=lambda record: record[0])


@given(overlapping())
def test_whatever_overlaps_is_on_tracks_of_its_own(records: list[tuple[float, str, str, Any]]) -> None:
    assert problems(chrome_trace(records, ROLES)) == []


def test_what_a_crash_ended_ends_there_and_what_never_ended_says_so() -> None:
    records = [
        (1.0, "w1", "handling.start", HandlingStart("c1.m1#1", "c1.m1", 1)),
        (1.5, "w2", "handling.start", HandlingStart("c1.m2#1", "c1.m2", 1)),
        (2.0, "w1", "host.crash", SCHEMA["host.crash"]()),
        (9.0, "w2", "host.pause", SCHEMA["host.pause"](3.0)),
    ]
    first, second = (each for each in chrome_trace(records, ROLES)["traceEvents"] if each.get("cat") == "handlings")
    assert (first["dur"], first["args"]["ended_by"]) == (1_000_000, "crash")
    assert (second["dur"], second["args"]["unended"]) == (7_500_000, True)


def test_the_checker_finds_what_is_wrong() -> None:
    thread = {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "ts": 0, "args": {"name": "a"}}
    process = {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "ts": 0, "args": {"name": "a"}}
    one = {"ph": "X", "name": "a", "pid": 1, "tid": 1, "ts": 0, "dur": 5}
    flow = {"ph": "s", "id": 1, "cat": "cause", "name": "a", "pid": 1, "tid": 1, "ts": 9}
    for wrong, said in (([one, {**one, "ts": 4}], "overlap"), ([one, flow], "arrow"), ([{**one, "tid": 7}], "name")):
        assert any(said in each for each in problems({"traceEvents": [process, thread, *wrong]})), said


def test_the_command_writes_it_by_the_name_of_the_file_or_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_name, asked, lines = tmp_path / "a.trace.json", tmp_path / "b.json", tmp_path / "c.trace.json"
    world = ["run", "race", "--seed", "0", "--lane", "direct"]
    assert main([*world, "--trace", str(by_name)]) == 0
    assert main([*world, "--trace", str(asked), "--trace-format", "chrome"]) == 0
    assert main([*world, "--trace", str(lines), "--trace-format", "lines"]) == 0
    assert by_name.read_bytes() == asked.read_bytes()
    assert problems(json.loads(by_name.read_text(encoding="utf-8"))) == []
    assert json.loads(lines.read_text(encoding="utf-8").splitlines()[0])["kind"]
    capsys.readouterr()
    assert main([*world, "--trace-format", "chrome"]) == 2
    assert "--trace-format: is for --trace" in capsys.readouterr().err
