"""Workers that crash, pause, run slow, or have a wrong clock: what happens to them, when, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError
from world_bench import run, settings, told

from relaysim.sim.kernel import EPOCH_SECONDS
from relaysim.sim.world import Session
from relaysim.sim.world.world import start_of

pytestmark = pytest.mark.usefixtures("one_session")


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


def crash(**keys: Any) -> dict[str, Any]:
    return {"kind": "crash", **keys}


def test_a_crash_is_a_power_cut() -> None:
    """The sleeper would send when it wakes, and in its `finally`: neither happens."""
    result = run(settings("world_relays:sleeper", workers=1, host_faults=[crash(at_seconds=3.0)]))
    assert told(result, "host.crash", "send", "handling.end") == [(3.0, "w1", "host.crash")]
    assert result.observation["fault_hits"] == {"host_faults": [1]}


@pytest.mark.parametrize(
    ("closing_seconds", "seconds", "events"),
    [
        (2.0, None, [(3.0, "closing"), (5.0, "closed"), (5.25, "host.crash")]),
        (2.0, 4.0, [(3.0, "closing"), (5.0, "closed"), (5.25, "host.crash"), (9.25, "host.restart")]),
        (200.0, None, [(3.0, "closing"), (33.0, "host.crash")]),
    ],
    ids=["for good", "and started again", "killed after 30 s"],
)
def test_a_worker_that_is_stopped_ends_in_order(
    closing_seconds: float, seconds: float | None, events: list[tuple[float, str]]
) -> None:
    """It gets no deliveries any more, and as long as it likes up to 30 s for `aclose`; what it handles may end."""
    stop = {"kind": "stop", "at_seconds": 3.0, "workers": [1], **({} if seconds is None else {"seconds": seconds})}
    made = settings(
        "world_relays:closer",
        relay={"seconds": closing_seconds},
        workload={
            "messages": [{"at_seconds": 1.0, "worker": 1}, {"at_seconds": 4.0, "worker": 1}],
            "redeliver_seconds": 1.0,
        },
        host_faults=[stop],
        limit_seconds=60.0,
    )
    result = run(made)
    seen = [
        (round(time, 2), fields[-1] if kind == "send" else kind)
        for time, worker, kind, *fields in told(result, "send", "host.crash", "host.restart")
        if worker == "w1"
    ]
    assert [each for each in seen if each[1] in ("closing", "closed", "host.crash", "host.restart")] == events
    starts = [(worker, fields[0]) for _, worker, _, *fields in told(result, "handling.start")]
    assert starts == [("w1", "c1.m1#1"), ("w2", "c1.m2#2")]


def test_what_was_sent_before_the_crash_stays_on_its_way() -> None:
    result = run(settings("world_relays:sender", workers=1, host_faults=[crash(on="send")]))
    assert told(result, "send", "host.crash", "received", "handling.end") == [
        (1.125, "w1", "send", "c1.m1#1", "c1", "Got c1.m1"),
        (1.125, "w1", "host.crash"),
        (1.25, "customer:c1", "received", "c1", "Got c1.m1"),
    ]


def test_what_a_dead_worker_handled_is_delivered_again_to_one_that_lives() -> None:
    made = settings(
        "world_relays:sleeper",
        relay={"seconds": 5.0},
        workload={"messages": [{"at_seconds": 1.0, "worker": 2}], "redeliver_seconds": 4.0},
        host_faults=[crash(at_seconds=3.0, workers=[2])],
    )
    assert told(run(made), "handling.start", "host.crash", "webhook.failed", "handling.end") == [
        (1.125, "w2", "handling.start", "c1.m1#1", "c1.m1", 1),
        (3.0, "w2", "host.crash"),
        (3.0, "webhooks", "webhook.failed", "c1.m1#1", "w2", "worker crashed"),
        (7.0, "w1", "handling.start", "c1.m1#2", "c1.m1", 2),
        (12.5, "w1", "handling.end", "c1.m1#2", None, None),
    ]


def test_a_crashed_worker_starts_again_with_nothing_in_memory() -> None:
    """The raiser counts deliveries in memory: the restarted one raises at the first it sees, like the one before it."""
    made = settings(
        "world_relays:raiser",
        workers=1,
        relay={"raises": 1},
        workload={"redeliver_seconds": 2.0},
        host_faults=[crash(at_seconds=2.0, seconds=0.5)],
    )
    result = run(made)
    assert told(result, "host.crash", "host.restart", "handling.start", "handling.end") == [
        (1.125, "w1", "handling.start", "c1.m1#1", "c1.m1", 1),
        (1.125, "w1", "handling.end", "c1.m1#1", None, "ValueError"),
        (2.0, "w1", "host.crash"),
        (2.5, "w1", "host.restart"),
        (3.125, "w1", "handling.start", "c1.m1#2", "c1.m1", 2),
        (3.125, "w1", "handling.end", "c1.m1#2", None, "ValueError"),
        (5.125, "w1", "handling.start", "c1.m1#3", "c1.m1", 3),
        (5.375, "w1", "handling.end", "c1.m1#3", None, None),
    ]


def test_a_restarted_worker_serves_again() -> None:
    """The only worker dies between taking the message in and answering it; the next one finds it in Redis."""
    made = settings(
        "world_relays:queue",
        workers=1,
        relay={"runs": False},
        host_faults=[crash(on="handling.end", seconds=30.0)],
    )
    result = run(made)
    crashed, restarted, sent = told(result, "host.crash", "host.restart", "send")
    assert (crashed[2], restarted[2], sent[2:]) == ("host.crash", "host.restart", ("send", "", "c1", "Got c1.m1"))
    assert restarted[0] == crashed[0] + 30.0 <= sent[0] < restarted[0] + 1.0


def test_a_dead_worker_takes_no_webhook() -> None:
    made = settings("world_relays:sender", 5.0, workers=1, host_faults=[crash(at_seconds=3.0, seconds=4.0)])
    assert told(run(made), "webhook.failed", "handling.start") == [
        (5.125, "webhooks", "webhook.failed", "c1.m1#1", "w1", "worker dead")
    ]
    made = settings(
        "world_relays:sender",
        5.0,
        workers=1,
        workload={"redeliver_seconds": 1.0},
        host_faults=[crash(at_seconds=3.0, seconds=4.0)],
    )
    assert told(run(made), "webhook.failed", "host.restart", "handling.start") == [
        (5.125, "webhooks", "webhook.failed", "c1.m1#1", "w1", "worker dead"),
        (6.125, "webhooks", "webhook.failed", "c1.m1#2", "w1", "worker dead"),
        (7.0, "w1", "host.restart"),
        (7.125, "w1", "handling.start", "c1.m1#3", "c1.m1", 3),
    ]


def test_a_paused_worker_does_nothing_and_then_goes_on() -> None:
    made = settings(
        "world_relays:sleeper",
        workers=1,
        relay={"seconds": 2.0},
        host_faults=[{"kind": "pause", "at_seconds": 2.0, "seconds": 4.0}],
    )
    assert told(run(made), "host.pause", "host.resume", "send") == [
        (2.0, "w1", "host.pause", 4.0),
        (6.0, "w1", "host.resume"),
        (6.0, "w1", "send", "c1.m1#1", "c1", "Got c1.m1"),
        (6.25, "w1", "send", "c1.m1#1", "c1", "Left c1.m1"),
    ]


def test_a_pause_within_a_pause_ends_with_the_later_one() -> None:
    pauses = [{"kind": "pause", "at_seconds": at, "seconds": long} for at, long in ((2.0, 3.0), (3.0, 1.0), (4.0, 3.0))]
    result = run(settings("world_relays:sender", 2.5, workers=1, host_faults=pauses))
    assert told(result, "host.pause", "host.resume", "handling.start") == [
        (2.0, "w1", "host.pause", 3.0),
        (3.0, "w1", "host.pause", 1.0),
        (4.0, "w1", "host.pause", 3.0),
        (7.0, "w1", "host.resume"),
        (7.0, "w1", "handling.start", "c1.m1#1", "c1.m1", 1),
    ]


def test_a_crash_ends_a_pause() -> None:
    faults = [{"kind": "pause", "at_seconds": 1.0, "seconds": 9.0}, crash(at_seconds=2.0, seconds=1.0)]
    result = run(settings("world_relays:sender", 4.0, workers=1, host_faults=faults))
    assert told(result, "host.pause", "host.crash", "host.restart", "host.resume", "handling.start") == [
        (1.0, "w1", "host.pause", 9.0),
        (2.0, "w1", "host.crash"),
        (3.0, "w1", "host.restart"),
        (4.125, "w1", "handling.start", "c1.m1#1", "c1.m1", 1),
    ]


def test_a_slow_worker_waits_before_each_thing_it_does_also_after_a_restart() -> None:
    faults = [
        {"kind": "slow", "at_seconds": 0.5, "seconds": 6.5, "delay_seconds": 0.5},
        crash(at_seconds=3.0, seconds=0.25),
    ]
    result = run(settings("world_relays:sender", 1.0, 4.0, 8.0, workers=1, host_faults=faults))
    assert told(result, "host.slow", "handling.start", "handling.end") == [
        (0.5, "w1", "host.slow", 6.5),
        (1.625, "w1", "handling.start", "c1.m1#1", "c1.m1", 1),
        (2.375, "w1", "handling.end", "c1.m1#1", None, None),
        (4.625, "w1", "handling.start", "c1.m2#1", "c1.m2", 1),
        (5.375, "w1", "handling.end", "c1.m2#1", None, None),
        (8.125, "w1", "handling.start", "c1.m3#1", "c1.m3", 1),
        (8.375, "w1", "handling.end", "c1.m3#1", None, None),
    ]


def test_a_skewed_clock_reads_another_time_and_the_loop_does_not() -> None:
    faults = [
        {"kind": "skew", "at_seconds": 2.0, "seconds": 100.0, "workers": [1]},
        {"kind": "skew", "at_seconds": 4.0, "seconds": 1000.0, "behind_probability": 1.0, "workers": [1]},
        crash(at_seconds=6.0, seconds=0.5),
    ]
    result = run(settings("world_relays:clock", 1.0, 3.0, 5.0, 7.0, workers=1, host_faults=faults))
    clocks = [[float(each) for each in fields[-1].split()] for fields in told(result, "send")]
    begun = start_of(7, 0) - EPOCH_SECONDS
    assert [f"{wall - begun:.3f} {loop:.3f}" for wall, loop in clocks] == [
        "1.125 1.125",
        "103.125 3.125",
        "-994.875 5.125",
        "-992.875 7.125",
    ]
    assert told(result, "host.skew") == [(2.0, "w1", "host.skew", 100.0), (4.0, "w1", "host.skew", -1000.0)]


def test_workers_named_together_are_hit_together_and_else_one_is_drawn() -> None:
    every = run(settings("world_relays:sender", workers=3, host_faults=[crash(at_seconds=3.0, workers=[1, 3])]))
    assert told(every, "host.crash") == [(3.0, "w1", "host.crash"), (3.0, "w3", "host.crash")]
    assert every.observation["fault_hits"] == {"host_faults": [2]}
    drawn = settings("world_relays:sender", workers=3, host_faults=[crash(at_seconds=3.0)])
    assert {told(run(drawn, seed=seed), "host.crash")[0][1] for seed in range(12)} == {"w1", "w2", "w3"}


def test_a_time_is_drawn_for_each_of_its_times() -> None:
    at = {"kind": "uniform", "low": 2.0, "high": 60.0}
    fault = {"kind": "pause", "at_seconds": at, "times": 40, "seconds": 0.25, "probability": 0.5}
    result = run(settings("world_relays:sender", 61.0, host_faults=[fault]))
    times = [record[0] for record in told(result, "host.pause")]
    assert len(set(times)) == len(times)
    assert result.observation["fault_hits"] == {"host_faults": [len(times)]}
    assert 12 < len(times) < 28


@pytest.mark.parametrize(
    ("on", "at"),
    [
        ("handling.start", 1.125),
        ("redis:SET", 1.125),
        ("request:runs.list", 1.126),
        ("served:messages.create", 1.501),
        ("response:runs.create", 1.876),
        ("send", 4.626),
        ("handling.end", 4.877),
    ],
)
def test_an_event_strikes_the_worker_whose_it_is(on: str, at: float) -> None:
    made = settings(
        "relaysim.relay:cancel_and_retry",
        workload={"messages": [{"at_seconds": 1.0, "worker": 2}]},
        host_faults=[crash(on=on)],
    )
    ((time, worker, _),) = told(run(made), "host.crash")
    assert worker == "w2"
    assert time == at
    assert run(made).fingerprint == run(made, lane="sdk").fingerprint


def test_a_fault_may_strike_between_two_things_that_a_worker_does_and_then_only_the_life_that_did_the_first() -> None:
    """The text has been taken after 0.25 s, and the next thing would be a second later."""
    later = crash(on="send", nth=[1], after_seconds=0.5, seconds=5.0)
    result = run(settings("world_relays:sender", 1.0, 2.0, workers=1, host_faults=[later]))
    assert [time for time, _, _ in told(result, "host.crash")] == [1.625]
    sooner = crash(at_seconds=1.5, seconds=0.05)
    result = run(settings("world_relays:sender", 1.0, 2.0, workers=1, host_faults=[later, sooner]))
    assert [time for time, _, _ in told(result, "host.crash")] == [1.5]


def test_nth_counts_matching_events_over_the_world() -> None:
    fault = {"kind": "skew", "on": "handling.start", "nth": [2, 4], "seconds": 1.0}
    result = run(settings("world_relays:sender", 1.0, 2.0, 3.0, 4.0, 5.0, host_faults=[fault]))
    starts = [record[0] for record in told(result, "handling.start")]
    assert [record[0] for record in told(result, "host.skew")] == [starts[1], starts[3]]


def test_an_event_strikes_at_most_so_many_times_and_only_named_workers() -> None:
    times = [float(second) for second in range(1, 21)]
    fault = {"kind": "skew", "on": "handling.start", "times": 3, "seconds": 1.0, "workers": [2]}
    result = run(settings("world_relays:sender", *times, host_faults=[fault]))
    assert [record[1] for record in told(result, "host.skew")] == ["w2"] * 3
    of_w2 = [record[0] for record in told(result, "handling.start") if record[1] == "w2"]
    assert [record[0] for record in told(result, "host.skew")] == of_w2[:3]


def test_a_fault_that_does_not_strike_changes_nothing() -> None:
    plain = settings("relaysim.relay:cancel_and_retry", 1.0, 1.5, constant=False)
    off = [crash(on="*:*", probability=0.0), {"kind": "pause", "at_seconds": 2.0, "seconds": 1.0, "probability": 0.0}]
    idle = settings("relaysim.relay:cancel_and_retry", 1.0, 1.5, constant=False, host_faults=off)
    for seed in range(3):
        assert run(plain, seed=seed).fingerprint == run(idle, seed=seed).fingerprint
    assert run(idle).observation["fault_hits"] == {"host_faults": [0, 0]}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"kind": "crash"}, "give either `at_seconds`, a time, or `on`, an event"),
        ({"kind": "crash", "at_seconds": 1, "on": "send"}, "give either `at_seconds`, a time, or `on`, an event"),
        ({"kind": "crash", "at_seconds": 1, "nth": [1]}, "`nth` counts events, so it belongs to `on`"),
        ({"kind": "crash", "on": "send", "nth": [1], "times": 2}, "`nth` says how often already: leave `times` out"),
        ({"kind": "crash", "on": "send", "nth": [0]}, "nth counts from 1"),
        ({"kind": "crash", "at_seconds": 1, "after_seconds": 1}, "`after_seconds` counts from the event of `on`"),
        ({"kind": "crash", "on": "sending"}, "'sending' matches no event; there are request:OPERATION"),
        ({"kind": "crash", "on": "served:runs.destroy"}, "'served:runs.destroy' matches no event"),
        ({"kind": "crash", "at_seconds": 1, "workers": []}, "names at least one worker"),
        ({"kind": "crash", "at_seconds": 1, "workers": [1, 1]}, "each only once"),
        ({"kind": "pause", "at_seconds": 1}, "kind 'pause' needs `seconds`, how long"),
        ({"kind": "skew", "at_seconds": 1}, "kind 'skew' needs `seconds`, how far"),
        ({"kind": "slow", "at_seconds": 1}, "kind 'slow' needs `delay_seconds`"),
        ({"kind": "crash", "at_seconds": 1, "delay_seconds": 1}, "`delay_seconds` belongs to kind 'slow' only"),
        ({"kind": "crash", "at_seconds": 1, "behind_probability": 1}, "`behind_probability` belongs to kind 'skew'"),
    ],
)
def test_a_wrong_fault_is_told(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings("world_relays:sender", host_faults=[keys])
    assert said in str(caught.value)


def test_a_worker_that_is_not_there_cannot_fail() -> None:
    with pytest.raises(ValidationError, match=r"host_faults\[0\] names worker 3, but there are 2"):
        settings("world_relays:sender", host_faults=[crash(at_seconds=1.0, workers=[3])])


def test_worlds_begin_at_different_seconds_of_the_hour_and_each_always_at_its_own() -> None:
    made = settings("world_relays:clock", 1.0, workers=1)
    told_times = [[told(run(made, seed=seed), "send")[0][-1] for seed in range(30)] for _ in range(2)]
    assert told_times[0] == told_times[1]
    starts = [float(text.split()[0]) - 1.125 for text in told_times[0]]
    assert starts == [start_of(7, seed) - EPOCH_SECONDS for seed in range(30)]
    assert all(0 <= each < 3600 for each in starts)
    assert len({each % 60 // 10 for each in starts}) == 6  # every part of the minute
    assert len({each // 600 for each in starts}) == 6  # and of the hour
