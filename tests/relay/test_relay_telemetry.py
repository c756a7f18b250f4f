"""Telemetry: each fact moves exactly its metrics and logs exactly its event, tells nothing of a customer, and is bounded.

Method: a table of every fact, told to a telemetry on a registry of its own; then whole policies on the tests' API, and
worlds of the simulator in both lanes.
"""

import ast
import datetime
import inspect
import json
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, get_args

import openai
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry
from relay_doubles import (
    ANSWER,
    MESSAGE,
    LogTape,
    MemoryApi,
    MemoryRedis,
    a_run,
    append_conflict,
    creation_conflict,
    handle,
)

from relaysim import relay
from relaysim.relay import Outcome, cancel_and_retry, check_then_act
from relaysim.relay.drain.store import Store
from relaysim.relay.telemetry import Cause, Telemetry, default, digest, emit
from relaysim.relay.telemetry import metrics as metrics_module
from relaysim.relay.telemetry.metrics import OTHER
from relaysim.scenarios.load import load
from relaysim.sim.kernel import EPOCH_SECONDS
from relaysim.sim.world import Lane, Session, run_world
from relaysim.sim.world.world import start_of

WHO = "+55 11 90000-0000"
PSEUDONYM = "7e71026e"
ID = "wamid.HBgNNTUxMTkwMDAwMDAwMA=="
DIGEST = "4fb661336dfe844b"


class ABugError(Exception):
    """Says what a customer wrote, as errors do."""


def a_bug() -> ABugError:
    try:
        # Through a line of the relay's own.
        relay.telemetry.emit("x", conversation=0)  # type: ignore[arg-type]
    except AttributeError as error:
        return ABugError("Qual é o horário?").with_traceback(error.__traceback__)
    raise AssertionError


Fact = tuple[str, tuple[Any, ...], dict[str, float], tuple[str, str, dict[str, Any]] | None]
FACTS: list[Fact] = [
    # method, arguments, what the samples grow by (gauges: become), the event: level, name, fields
    (
        "accepted",
        (WHO, ID),
        {"relay_messages_accepted_total": 1},
        ("info", "accepted", {"conversation": PSEUDONYM, "message": DIGEST}),
    ),
    (
        "duplicate",
        (WHO, ID),
        {"relay_messages_duplicate_total": 1},
        ("info", "duplicate", {"conversation": PSEUDONYM, "message": DIGEST}),
    ),
    (
        "outcome",
        (WHO, Outcome.COVERED, 12.3456, 2),
        {
            "relay_outcomes_total{outcome=covered}": 2,
            "relay_outcome_seconds_count{outcome=covered}": 2,
            "relay_outcome_seconds_sum{outcome=covered}": 24.6912,
        },
        ("info", "outcome", {"conversation": PSEUDONYM, "outcome": "covered", "seconds": 12.346, "messages": 2}),
    ),
    (
        "inbox_full",
        (WHO, ID),
        {"relay_inbox_full_total": 1},
        ("error", "inbox_full", {"conversation": PSEUDONYM, "message": DIGEST}),
    ),
    (
        "lease_taken",
        (WHO, 7, "sweep"),
        {"relay_leases_taken_total{how=sweep}": 1},
        ("info", "lease_taken", {"conversation": PSEUDONYM, "epoch": 7, "how": "sweep"}),
    ),
    (
        "lease_lost",
        (WHO, 7, "taken by another worker"),
        {"relay_leases_lost_total{reason=taken_by_another_worker}": 1},
        ("warning", "lease_lost", {"conversation": PSEUDONYM, "epoch": 7, "reason": "taken by another worker"}),
    ),
    (
        "released",
        (WHO, 7),
        {"relay_leases_released_total": 1},
        ("info", "released", {"conversation": PSEUDONYM, "epoch": 7}),
    ),
    (
        "fence_rejected",
        (WHO, "begin_send"),
        {"relay_fence_rejections_total{step=begin_send}": 1},
        ("warning", "fence_rejected", {"conversation": PSEUDONYM, "step": "begin_send"}),
    ),
    (
        "run_created",
        (WHO, "run_1", 7, 3),
        {"relay_runs_created_total": 1, "relay_run_messages_count": 1, "relay_run_messages_sum": 3},
        ("info", "run_created", {"conversation": PSEUDONYM, "run": "run_1", "epoch": 7, "messages": 3}),
    ),
    (
        "run_ended",
        (WHO, "run_1", "completed", 9.5),
        {
            "relay_runs_ended_total{status=completed}": 1,
            "relay_run_seconds_count": 1,
            "relay_run_seconds_sum": 9.5,
        },
        ("info", "run_ended", {"conversation": PSEUDONYM, "run": "run_1", "status": "completed", "seconds": 9.5}),
    ),
    (
        "run_adopted",
        (WHO, "run_1"),
        {"relay_runs_adopted_total": 1},
        ("info", "run_adopted", {"conversation": PSEUDONYM, "run": "run_1"}),
    ),
    (
        "thread_moved",
        (WHO, "thread_1", "thread_2"),
        {"relay_threads_moved_total": 1},
        ("warning", "thread_moved", {"conversation": PSEUDONYM, "thread": "thread_1", "new_thread": "thread_2"}),
    ),
    (
        "lost_reply",
        (WHO, "run_1", "not_found"),
        {"relay_replies_lost_total{reason=not_found}": 1},
        ("error", "lost_reply", {"conversation": PSEUDONYM, "run": "run_1", "reason": "not_found"}),
    ),
    (
        "conflict",
        (WHO, "orphan", "run_1"),
        {"relay_conflicts_total{cause=orphan}": 1},
        ("warning", "conflict", {"conversation": PSEUDONYM, "cause": "orphan", "run": "run_1"}),
    ),
    (
        "recovered",
        (3, 6.0, WHO),
        {
            "relay_recovered_total{attempt=3}": 1,
            "relay_conflict_wait_seconds_count{result=recovered}": 1,
            "relay_conflict_wait_seconds_sum{result=recovered}": 6.0,
        },
        ("info", "recovered", {"conversation": PSEUDONYM, "attempt": 3, "seconds": 6.0}),
    ),
    (
        "gave_up",
        (3, 14.0, WHO),
        {
            "relay_gave_up_total": 1,
            "relay_conflict_wait_seconds_count{result=gave_up}": 1,
            "relay_conflict_wait_seconds_sum{result=gave_up}": 14.0,
        },
        ("error", "gave_up", {"conversation": PSEUDONYM, "attempts": 3, "seconds": 14.0}),
    ),
    (
        "cancel",
        (WHO, "run_1", "other", True),
        {"relay_cancels_total{takeover=yes,whose=other}": 1},
        ("info", "cancel", {"conversation": PSEUDONYM, "run": "run_1", "whose": "other", "takeover": True}),
    ),
    (
        "send_unknown",
        (WHO,),
        {"relay_sends_unknown_total": 1},
        ("error", "send_unknown", {"conversation": PSEUDONYM}),
    ),
    (
        "drain_failed",
        (WHO, ABugError("Qual é o horário?")),
        {"relay_drain_failures_total": 1},
        ("error", "drain_failed", {"conversation": PSEUDONYM, "error": "ABugError", "where": []}),
    ),
    (
        "retry",
        ("runs.list", "busy", 0.125),
        {
            "relay_retries_total{operation=runs.list,reason=busy}": 1,
            "relay_retry_wait_seconds_count": 1,
            "relay_retry_wait_seconds_sum": 0.125,
        },
        ("info", "retry", {"operation": "runs.list", "reason": "busy", "wait_seconds": 0.125}),
    ),
    ("budget", (4.5,), {"relay_retry_budget_tokens": 4.5}, None),
    (
        "budget_exhausted",
        ("runs.create",),
        {"relay_retry_budget_exhausted_total{operation=runs.create}": 1},
        ("warning", "budget_exhausted", {"operation": "runs.create"}),
    ),
    (
        "redis_unavailable",
        ("renew", "memory_full", "raise maxmemory"),
        {"relay_redis_unavailable_total{step=renew}": 1, "relay_redis_failures_total{reason=memory_full}": 1},
        ("warning", "redis_unavailable", {"step": "renew", "reason": "memory_full", "remedy": "raise maxmemory"}),
    ),
    (
        "redis_evicts",
        ("allkeys-lru", True),
        {"relay_evicting_servers": 1},
        ("error", "redis_evicts", {"policy": "allkeys-lru", "refused": True}),
    ),
    (
        "api_error",
        ("runs.create", "RateLimitError (status 429)"),
        {"relay_api_errors_total{error=RateLimitError,operation=runs.create}": 1},
        ("warning", "api_error", {"operation": "runs.create", "error": "RateLimitError (status 429)"}),
    ),
    (
        "sweep",
        (3, 2),
        {"relay_sweeps_total": 1, "relay_sweep_found_total": 3, "relay_sweep_rescued_total": 2},
        ("warning", "sweep", {"found": 3, "rescued": 2}),
    ),
    (
        "sweep_failed",
        (ABugError("question"), 3),
        {"relay_sweep_failures_total": 1},
        ("error", "sweep_failed", {"error": "ABugError", "where": [], "in_a_row": 3}),
    ),
    ("sweeping", (True,), {"relay_sweeping_workers": 1}, None),
    ("inbox_depth", (12,), {"relay_inbox_conversations": 12}, None),
]
NAMES = [fact[0] for fact in FACTS]


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """Every sample by its name and labels; without the buckets of histograms and the times of creation."""
    found = {}
    for metric in registry.collect():
        for sample in metric.samples:
            if not sample.name.endswith(("_created", "_bucket")):
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def grown(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {
        name: pytest.approx(value - before.get(name, 0))
        for name, value in after.items()
        if value != before.get(name, 0)
    }


def events_of(tape: LogTape) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (record.getMessage() for record in tape.records) if line.startswith("{")]


def test_every_method_is_in_the_table() -> None:
    methods = [name for name, value in vars(Telemetry).items() if inspect.isfunction(value) and name[0] != "_"]
    assert sorted(NAMES) == sorted(set(methods) - {"quiet"})


@pytest.mark.parametrize("fact", FACTS, ids=NAMES)
def test_a_fact_moves_its_metrics_and_logs_its_event(fact: Fact) -> None:
    method, arguments, expected, event = fact
    telemetry = Telemetry()
    before = samples(telemetry.registry)
    with LogTape() as tape:
        getattr(telemetry, method)(*arguments)
    assert grown(before, samples(telemetry.registry)) == expected
    if event is None:
        assert tape.records == []
        return
    level, name, fields = event
    (record,) = tape.records
    line = json.loads(record.getMessage())
    stamp = line.pop("timestamp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp)
    assert line == {"level": level, "event": name, **fields}
    assert list(line) == ["level", "event", *fields]  # in reading order
    assert (record.name, record.levelname, record.funcName) == ("relay", level.upper(), name)
    whole = logging.Formatter().format(record)
    assert "\n" not in whole
    assert whole.isascii()
    for secret in (WHO, "90000", ID, "wamid", "horário"):
        assert secret not in whole


@pytest.mark.parametrize("fact", FACTS, ids=NAMES)
def test_a_quiet_telemetry_counts_the_same_and_logs_nothing(fact: Fact) -> None:
    method, arguments, expected, _ = fact
    telemetry = Telemetry()
    before = samples(telemetry.registry)
    with LogTape() as tape:
        getattr(telemetry.quiet(), method)(*arguments)
        getattr(Telemetry(events=False), method)(*arguments)
    assert grown(before, samples(telemetry.registry)) == expected
    assert tape.records == []


def test_timestamps_are_utc_wherever_the_worker_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX+5")  # five hours behind
    time.tzset()
    try:
        with LogTape() as tape:
            emit("anything")
    finally:
        monkeypatch.undo()
        time.tzset()
    (event,) = events_of(tape)
    assert abs(datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(event["timestamp"])).seconds < 600


def test_a_run_that_did_not_complete_is_a_warning() -> None:
    with LogTape() as tape:
        Telemetry().run_ended(WHO, "run_1", "expired", 600.0)
    assert [event["level"] for event in events_of(tape)] == ["warning"]


def test_a_sweep_that_finds_nothing_is_no_event() -> None:
    telemetry = Telemetry()
    with LogTape() as tape:
        telemetry.sweep(0, 0)
    assert tape.records == []
    assert samples(telemetry.registry)["relay_sweeps_total"] == 1


def test_a_bug_is_reported_by_the_relays_own_lines_and_without_the_errors_words() -> None:
    with LogTape() as tape:
        Telemetry().drain_failed(WHO, a_bug())
    (event,) = events_of(tape)
    modules = [line.rpartition(":")[0] for line in event["where"]]
    assert modules == [
        "relaysim.relay.telemetry.events",
        "relaysim.relay.log_lines",
    ]  # the test's own line is not among them
    assert "horário" not in json.dumps(event, ensure_ascii=False)


@pytest.mark.parametrize(("attempt", "label"), [(2, "2"), (9, "9"), (10, "10+"), (1000, "10+"), (1, OTHER)])
def test_recoveries_are_counted_by_attempt_up_to_ten(attempt: int, label: str) -> None:
    telemetry = Telemetry(events=False)
    telemetry.recovered(attempt, 1.0)
    assert samples(telemetry.registry)[f"relay_recovered_total{{attempt={label}}}"] == 1


def test_the_logger_level_decides_what_is_logged_and_metrics_count_anyway() -> None:
    telemetry = Telemetry()
    with LogTape() as tape:
        logging.getLogger("relay").setLevel(logging.WARNING)
        telemetry.released(WHO, 7)
        telemetry.lease_lost(WHO, 7, "not renewed in time")
    assert [event["event"] for event in events_of(tape)] == ["lease_lost"]
    assert samples(telemetry.registry)["relay_leases_released_total"] == 1


def test_structlog_is_left_as_the_application_configured_it() -> None:
    assert not structlog.is_configured()
    try:
        structlog.configure(processors=[lambda *_: pytest.fail("the application's own processors")])
        before = structlog.get_config()
        with LogTape() as tape:
            emit("anything", level="warning", number=1)
        assert [event["number"] for event in events_of(tape)] == [1]
        assert structlog.get_config() == before
    finally:
        structlog.reset_defaults()


def test_a_field_that_json_does_not_know_is_written_as_python_writes_it() -> None:
    with LogTape() as tape:
        emit("odd", field={1, 2}, path=Path("x"))
    (event,) = events_of(tape)
    assert (event["field"], "x" in event["path"]) == ("{1, 2}", True)


# Bounds


TEXT = st.text(max_size=8)


def metric_of(series: str) -> str:
    """The metric of a series, which may be a part of a histogram."""
    return re.sub(r"_(?:bucket|sum|count|created)$", "", series.partition("{")[0])


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=30))
@settings(max_examples=20, deadline=None)
def test_whatever_labels_are_given_there_are_no_more_series_than_the_lists_allow(
    given_labels: list[tuple[str, str, str]],
) -> None:
    telemetry = Telemetry(events=False)
    told: Any = telemetry
    told.lease_taken(WHO, 1, "another"), told.conflict(WHO, "another"), told.cancel(WHO, "run_1", "another")
    told.lost_reply(WHO, None, "another")
    before = Counter(map(metric_of, samples(telemetry.registry)))
    for one, two, three in given_labels:
        told.lease_taken(one, 1, two), told.lease_lost(one, 1, two), told.fence_rejected(one, two)
        told.conflict(one, two, three), told.cancel(one, two, three), told.lost_reply(one, two, three)
        told.retry(one, two, 1.0), told.api_error(one, two), told.redis_unavailable(one, two)
        told.budget_exhausted(one)
        told.run_ended(one, two, three, 1.0), told.run_created(one, two, 1)
    # One more series, "other", of each metric with one label, whatever was given; of one with two, each with each.
    for metric, grown in (Counter(map(metric_of, samples(telemetry.registry))) - before).items():
        values = metrics_module.LABEL_VALUES[metric].values()
        assert grown <= (1 if len(values) == 1 else prod(len(each) + 1 for each in values)), metric


def test_a_series_per_label_value_is_there_before_the_first_event() -> None:
    found = samples(Telemetry().registry)
    for outcome in Outcome:
        assert found[f"relay_outcomes_total{{outcome={outcome.value}}}"] == 0
    for cause in metrics_module.CAUSES:
        assert found[f"relay_conflicts_total{{cause={cause}}}"] == 0


VOCABULARIES = {
    ("lease_taken", "how"): metrics_module.LEASE_SOURCES,
    ("lease_lost", "reason"): tuple(reason.replace("_", " ") for reason in metrics_module.LEASE_LOSSES),
    ("fence_rejected", "step"): (*metrics_module.STORE_STEPS, *metrics_module.OPERATIONS),
    ("conflict", "cause"): metrics_module.CAUSES,
    ("cancel", "whose"): metrics_module.OWNERS,
    ("lost_reply", "reason"): metrics_module.REPLY_LOSSES,
    ("retry", "operation"): metrics_module.OPERATIONS,
    ("retry", "reason"): metrics_module.RETRY_REASONS,
    ("budget_exhausted", "operation"): metrics_module.OPERATIONS,
    ("redis_unavailable", "step"): metrics_module.STORE_STEPS,
    ("redis_unavailable", "reason"): metrics_module.REDIS_FAILURES,
    ("api_error", "operation"): metrics_module.OPERATIONS,
    # What `drain` names once and passes on.
    ("step", "name"): metrics_module.STORE_STEPS,
    ("repeat", "operation"): metrics_module.OPERATIONS,
    ("once", "operation"): metrics_module.OPERATIONS,
    ("wait", "operation"): metrics_module.OPERATIONS,
}


def test_every_label_value_that_the_relay_names_is_on_its_list() -> None:
    strange, seen = [], 0
    for path in Path(relay.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            method = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if hasattr(Telemetry, method):
                parameters = list(inspect.signature(getattr(Telemetry, method)).parameters)[1:]
            else:
                parameters = ["name" if method == "step" else "operation"]
            given = dict(zip(parameters, call.args, strict=False)) | {
                each.arg: each.value for each in call.keywords if each.arg is not None
            }
            for parameter, value in given.items():
                allowed = VOCABULARIES.get((method, parameter))
                if allowed is None:
                    continue
                branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                for word in branches:
                    if isinstance(word, ast.Constant) and isinstance(word.value, str):
                        seen += 1
                        if word.value not in allowed:
                            strange.append(f"{path.name}:{call.lineno} {method}({parameter}={word.value!r})")
    assert seen > 20
    assert strange == []


def test_the_causes_of_a_conflict_are_those_that_a_type_checker_knows() -> None:
    assert get_args(Cause) == metrics_module.CAUSES


def test_the_steps_of_the_ledger_are_the_stores() -> None:
    methods = [name for name, value in vars(Store).items() if inspect.iscoroutinefunction(value) and name[0] != "_"]
    assert sorted(metrics_module.STORE_STEPS) == sorted([*methods, "sweep"])


def test_the_errors_are_the_sdks() -> None:
    names = [each.__name__ for each in list(vars(openai).values()) if _is_api_error(each)]
    of_an_answer_in_parts = {"LengthFinishReasonError", "ContentFilterFinishReasonError"}
    assert set(metrics_module.API_ERRORS) == set(names) - of_an_answer_in_parts | {"JSONDecodeError"}


def _is_api_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, openai.APIError)


# Registries


def test_two_on_one_registry_are_refused_and_by_default_each_has_its_own() -> None:
    registry = CollectorRegistry()
    one = Telemetry(registry)
    assert one.registry is registry
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Telemetry(registry)
    assert Telemetry().registry is not Telemetry().registry


def test_the_process_has_one_telemetry_on_prometheus_own_registry_also_when_threads_ask_at_once() -> None:
    barrier, found = threading.Barrier(8), []

    def ask() -> None:
        barrier.wait()
        found.append(default())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(telemetry) for telemetry in found}) == 1
    assert found[0].registry is REGISTRY


# In the policies


def told_by(factory: Any, api: MemoryApi, **others: Any) -> tuple[dict[str, float], list[dict[str, Any]], list[str]]:
    """What a policy told a telemetry of its own, and its own lines."""
    telemetry = Telemetry()
    before = samples(telemetry.registry)
    told = handle(factory, api=api, telemetry=telemetry, **others)
    counted = grown(before, samples(telemetry.registry))
    events = [json.loads(line) for line in told.lines if line.startswith("{")]
    for event in events:
        del event["timestamp"]
    return counted, events, [line for line in told.lines if not line.startswith("{")]


def refusing(appends: int, **others: Any) -> MemoryApi:
    return MemoryApi(errors={"messages.create": [append_conflict() for _ in range(appends)]}, **others)


def test_a_message_that_recovers_on_its_third_attempt() -> None:
    counted, events, lines = told_by(cancel_and_retry, refusing(2))
    assert counted == {
        "relay_messages_accepted_total": 1,
        "relay_conflicts_total{cause=foreign}": 2,
        "relay_cancels_total{takeover=no,whose=other}": 2,
        "relay_retries_total{operation=messages.create,reason=conflict}": 2,
        "relay_retry_wait_seconds_count": 2,
        "relay_retry_wait_seconds_sum": 6.0,
        "relay_recovered_total{attempt=3}": 1,
        "relay_conflict_wait_seconds_count{result=recovered}": 1,
        "relay_conflict_wait_seconds_sum{result=recovered}": 6.0,
        "relay_runs_created_total": 1,
        "relay_run_messages_count": 1,
        "relay_run_messages_sum": 1,
        "relay_runs_ended_total{status=completed}": 1,
        "relay_run_seconds_count": 1,
        "relay_run_seconds_sum": 1.0,
        "relay_outcomes_total{outcome=answered}": 1,
        "relay_outcome_seconds_count{outcome=answered}": 1,
        "relay_outcome_seconds_sum{outcome=answered}": 7.0,
    }
    assert [event["event"] for event in events] == [
        "accepted",
        *["conflict", "cancel", "retry"] * 2,
        "recovered",
        "run_created",
        "run_ended",
        "outcome",
    ]
    assert lines == handle(cancel_and_retry, api=refusing(2)).lines


def test_a_message_that_gives_up_waits_14_s_and_is_retried_twice() -> None:
    counted, events, lines = told_by(cancel_and_retry, refusing(3))
    assert counted["relay_gave_up_total"] == 1
    assert counted["relay_conflict_wait_seconds_sum{result=gave_up}"] == 14.0
    assert counted["relay_retries_total{operation=messages.create,reason=conflict}"] == 2
    assert counted["relay_retry_wait_seconds_sum"] == 6.0  # no attempt follows the last 8 s
    assert counted["relay_outcomes_total{outcome=friendly_apology}"] == 1
    assert events[-2:] == [
        {**events[-2], "level": "error", "event": "gave_up", "attempts": 3, "seconds": 14.0},
        {**events[-1], "level": "info", "event": "outcome", "outcome": "friendly_apology", "seconds": 14.0},
    ]
    assert lines == handle(cancel_and_retry, api=refusing(3)).lines


@pytest.mark.parametrize("factory", [check_then_act, cancel_and_retry])
def test_a_refused_creation_is_a_conflict_too(factory: Any) -> None:
    counted, _, _ = told_by(factory, MemoryApi(errors={"runs.create": [creation_conflict("run_Y1")]}))
    assert counted["relay_conflicts_total{cause=foreign}"] == 1
    assert counted["relay_outcomes_total{outcome=generic_apology}"] == 1


def test_before_the_fix_a_refused_append_is_a_conflict_and_ends_in_an_apology() -> None:
    counted, _, _ = told_by(check_then_act, refusing(1))
    assert counted == {
        "relay_messages_accepted_total": 1,
        "relay_conflicts_total{cause=foreign}": 1,
        "relay_outcomes_total{outcome=generic_apology}": 1,
        "relay_outcome_seconds_count{outcome=generic_apology}": 1,
    }


def test_the_check_that_cancels_an_active_run_counts_it_as_anothers() -> None:
    counted, _, _ = told_by(check_then_act, MemoryApi(listed_runs=[a_run("run_Y1", "in_progress")]))
    assert counted["relay_cancels_total{takeover=no,whose=other}"] == 1
    assert not any("conflicts" in name for name in counted)


def test_a_run_that_was_given_up_has_a_reply_that_nobody_will_read() -> None:
    counted, events, _ = told_by(check_then_act, MemoryApi(run_states=["queued", "in_progress"]))
    assert counted["relay_replies_lost_total{reason=given_up}"] == 1
    assert not any("runs_ended" in name for name in counted)
    assert {"run": "run_OWN1", "reason": "given_up"}.items() <= events[-2].items()


def test_a_completed_run_without_a_text_has_lost_its_reply() -> None:
    counted, _, _ = told_by(check_then_act, MemoryApi(newest=()))
    assert counted["relay_replies_lost_total{reason=not_found}"] == 1


def test_a_redelivery_is_a_duplicate_and_not_accepted_again() -> None:
    store = MemoryRedis(data={"seen:" + MESSAGE.id: ("1", float("inf"))})
    counted, events, _ = told_by(check_then_act, MemoryApi(), store=store, deduplicate_seconds=60.0)
    assert counted == {"relay_messages_duplicate_total": 1}
    assert [event["message"] for event in events] == [digest(MESSAGE.id)]


def test_a_text_whose_sending_fails_has_an_unknown_fate() -> None:
    counted, _, _ = told_by(check_then_act, MemoryApi(), send_error=TimeoutError())
    assert counted["relay_sends_unknown_total"] == 1
    assert counted["relay_outcomes_total{outcome=unknown}"] == 1
    assert "relay_outcomes_total{outcome=answered}" not in counted


@pytest.mark.parametrize("factory", [check_then_act, cancel_and_retry])
def test_without_a_telemetry_the_processes_own_metrics_count_and_no_event_is_logged(factory: Any) -> None:
    before = samples(default().registry)
    told = handle(factory, api=MemoryApi())
    counted = {name: value for name, value in grown(before, samples(default().registry)).items() if "relay" in name}
    assert counted["relay_outcomes_total{outcome=answered}"] == 1
    assert told.sent == [(MESSAGE.conversation, ANSWER)]
    assert told.lines == []


# In the simulator


def told_in_the_race(openai_client: Any, redis_client: Any, send: Any, **settings: Any) -> Any:
    """A factory: the incident's fix, telling all to a telemetry."""
    return cancel_and_retry(openai_client, redis_client, send, telemetry=Telemetry(), **settings)


def race(lane: Lane, factory: str) -> Any:
    scenario = load("race")
    world = scenario.world_settings()
    world = world.model_copy(update={"relay": world.relay.model_copy(update={"factory": factory})})
    with Session():
        return run_world(world, root_seed=scenario.root_seed, seed=1, lane=lane, keep_trace=True)


def test_events_are_told_in_virtual_time_and_are_the_same_in_both_lanes() -> None:
    name = f"{__name__}:told_in_the_race"
    sdk, direct = race("sdk", name), race("direct", name)
    assert sdk.fingerprint == direct.fingerprint == race("direct", name).fingerprint
    lines = [(seconds, fields.text) for seconds, _, kind, fields in sdk.records if kind == "log"]
    told = [(seconds, json.loads(line)) for seconds, line in lines if line.startswith("{")]
    started = start_of(load("race").root_seed, 1)
    assert {"accepted", "conflict", "cancel", "recovered", "outcome"} <= {event["event"] for _, event in told}
    for seconds, event in told:
        whole, fraction = event["timestamp"].removesuffix("Z").split(".")
        read = whole[11:].split(":")
        since_noon = (int(read[0]) - 12) * 3600 + int(read[1]) * 60 + int(read[2]) + int(fraction) / 1e6
        assert whole.startswith("2025-11-04T12:")
        assert EPOCH_SECONDS + since_noon - started == pytest.approx(seconds, abs=2e-6)
    assert EPOCH_SECONDS % 86_400 == 43_200  # noon


def test_a_world_counts_and_is_not_changed_by_what_the_process_has_counted() -> None:
    first = race("direct", "relaysim.relay:cancel_and_retry")
    for _ in range(3):
        default().quiet().conflict(WHO, "own")
    again = race("direct", "relaysim.relay:cancel_and_retry")
    assert first == again
