"""Goal: one failure's story fits in 25 lines, and says what made it a failure, in the order in which it happened."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import RUN_A, cancelled_trace, lock_lost_trace

from relaysim.reports import timeline
from relaysim.sim.backends.threads.operations import ROLES

render_timeline = partial(timeline.render_timeline, roles=ROLES)


def position(lines: list[str], *words: str, after: int = -1) -> int:
    found = [at for at, line in enumerate(lines) if at > after and all(word in line for word in words)]
    assert found, f"no line with {words} after line {after} in\n" + "\n".join(lines)
    return found[0]


@pytest.mark.parametrize("lines_max", [8, 12, 25])
@pytest.mark.parametrize("bystanders", [0, 200])
def test_lock_lost_none_active_run_created_400_in_that_order(lines_max: int, bystanders: int) -> None:
    lines = render_timeline(lock_lost_trace(polls=300, bystanders=bystanders), 120, lines_max=lines_max)
    assert len(lines) <= lines_max
    at = position(lines, "lock lost", "worker-1")
    at = position(lines, "none active", "worker-2", after=at)
    at = position(lines, "created run_Zk4f while worker-2 is handling m2", after=at)
    at = position(lines, "400", "while a run run_Zk4f is active", after=at)
    position(lines, "ends m2: generic_apology", after=at)


def test_words_in_a_log_are_no_link_of_the_chain() -> None:
    """The chain is known from what happened: a relay that logs the story's own words changes nothing in it."""
    trace = lock_lost_trace()
    conflict = next(index for index, record in enumerate(trace) if record[2] == "served" and record[3][1] == 400)
    time, _, _, (request, *_) = trace[conflict]
    delivery = next(record[3][1] for record in trace if record[2] == "request" and record[3][0] == request)
    words = ("none active", "created run_1 while w1 is handling m1", "calls x: 400 no")
    said = [(time, "worker-2", "log", (delivery, "INFO", each)) for each in words]
    told = render_timeline([*trace[:conflict], *said, *trace[conflict:]], 120, lines_max=8)
    assert told[:-1] == render_timeline(trace, 120, lines_max=8)[:-1]
    assert told[-1].endswith("less important lines left out; --all has them")


def test_kinds_that_nobody_knows_are_passed_over() -> None:
    trace = lock_lost_trace()
    unknown = (1.0, "tram", "tram.arrived", (6, "late"))
    assert render_timeline([unknown, *trace, unknown], 120) == render_timeline(trace, 120)


def test_a_trace_of_another_version_is_refused_and_says_so() -> None:
    with pytest.raises(
        ValueError, match=r"run\.state has the fields run_id, thread_id, state, cause, and not 1 values"
    ):
        render_timeline([(0.0, "api", "run.state", ("run_1",))], 120)


def test_whose_run_was_cancelled_and_what_that_customer_received() -> None:
    lines = render_timeline(cancelled_trace(), 130)
    at = position(lines, "worker-2 m2", "400 Can't add messages")
    at = position(lines, "! worker-2 m2", "cancels run_Zk4fH, which was answering m1 of worker-1", after=at)
    at = position(lines, "run_Zk4fH is cancelled, 0.620 s after the request", after=at)
    at = position(lines, "worker-2 m2", "waited 2.000 s", after=at)
    at = position(lines, "customer", "received “Desculpe, ocorreu um erro", after=at)
    position(lines, "ends m1: generic_apology with RunCancelled", after=at)


def test_polls_and_tries_are_folded() -> None:
    lines = render_timeline(lock_lost_trace(polls=40), 120, lines_max=100)
    assert sum("polled" in line for line in lines) == 1
    position(lines, "polled run_Zk4f 40 times, last seen completed")
    position(lines, "finds the lock chat:c1 held (tried 100 times)")


def test_a_lock_that_was_no_longer_ones_own_is_seen_on_release() -> None:
    position(render_timeline(lock_lost_trace(), 120), "releases the lock chat:c1: it was no longer its own")


def test_other_conversations_stay_out() -> None:
    lines = render_timeline(lock_lost_trace(bystanders=50), 120, lines_max=200)
    assert not [line for line in lines if "worker-3" in line or "olá" in line]
    other = render_timeline(lock_lost_trace(bystanders=50), 120, focus="5511-3")
    position(other, "sends x3")
    assert not [line for line in other if "worker-1" in line]


@pytest.mark.parametrize("focus", ["c1", "m2", "d2"])
def test_a_conversation_a_message_or_a_delivery_can_be_in_focus(focus: str) -> None:
    assert render_timeline(lock_lost_trace(), 120, focus=focus) == render_timeline(lock_lost_trace(), 120)


def test_an_unknown_focus_names_what_is_there() -> None:
    with pytest.raises(ValueError, match="no delivery, message or conversation 'c9' in this trace; conversations: c1"):
        render_timeline(lock_lost_trace(), 120, focus="c9")


def test_ids_are_short_and_still_apart() -> None:
    text = "\n".join(render_timeline(cancelled_trace(), 200))
    assert RUN_A not in text
    assert "run_Zk4fH" in text
    assert "run_Zk4fW" in text


def test_a_trace_read_back_from_json_tells_the_same() -> None:
    trace = lock_lost_trace()
    assert render_timeline(json.loads(json.dumps(trace)), 120) == render_timeline(trace, 120)


@given(st.integers(4, 40), st.integers(40, 200))
def test_the_story_fits_where_it_is_told_and_time_goes_on(lines_max: int, width: int) -> None:
    lines = render_timeline(lock_lost_trace(polls=5), width, lines_max=lines_max)
    assert len(lines) <= lines_max
    assert all(len(line) <= width for line in lines)
    times = [float(line[:9]) for line in lines[1:] if line[:9].strip()]
    assert all(one <= other for one, other in pairwise(times))
    assert times[0] >= 10.0, "the clock is the world's, as that of the sentences beside the story"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_of_what_made_the_difference_is_cut_off(width: int) -> None:
    lines = render_timeline(lock_lost_trace(polls=300), width)
    assert len(lines) <= 25
    begin = next(at for at, line in enumerate(lines) if "400 Can't" in " ".join(line.split()) or "400" in line)
    told = " ".join(" ".join(line.split()) for line in lines[begin : begin + 4])
    assert "while a run run_Zk4f is active." in told
    assert not [line for line in lines if " ! " in line and line.endswith("…")]


def test_a_trace_without_a_failure_or_without_anything() -> None:
    calm = [record for record in lock_lost_trace() if record[1] != "worker-2" and record[3][:1] != ("m2",)]
    lines = render_timeline(calm, 120)
    position(lines, "ends m1: answered")
    assert render_timeline([], 120) == ["nothing happened: no message was handled in this trace"]


@pytest.mark.parametrize(("width", "lines_max"), [(39, 25), (120, 3)])
def test_too_little_room_is_refused(width: int, lines_max: int) -> None:
    with pytest.raises(ValueError, match="at least 4 lines of 40 columns"):
        render_timeline([], width, lines_max=lines_max)
