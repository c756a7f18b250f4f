"""Goal: a bot that makes its own clients is judged as its twin that is handed them: the same trace, to the last record.

Method: one bot, handed its client, with one from its import, with one for each message, and written plain, in worlds with
drawn latencies, and with each fault of the API's.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from world_bench import run, settings, told

from relaysim.sim.kernel import LeavesSimulationError
from relaysim.sim.kernel.trace import as_digested
from relaysim.sim.world import Result, WorldSettings

pytestmark = [
    pytest.mark.usefixtures("one_session"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # bots close nothing at their worlds' ends
]

WAYS = ("own_client_bots:at_import", "own_client_bots:in_handle", "plain_client_bots:at_import")
GIVEN = "own_client_bots:given"


def _world(factory: str, **tables: Any) -> WorldSettings:
    at = (1.0, 3.0, 9.0)
    workload = {"redeliver_seconds": 20.0, **tables.pop("workload", {})}
    return settings(factory, *at, constant=False, workload=workload, **tables)


def _sent(result: Result) -> list[tuple[Any, ...]]:
    return told(result, "send")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["polls", "streams"])
def test_a_bot_with_a_client_of_its_own_leaves_the_trace_of_its_twin(way: str, kind: str) -> None:
    expected = run(_world(GIVEN, relay={"kind": kind}), seed=3, lane="sdk")
    result = run(_world(way, relay={"kind": kind}), seed=3, lane="sdk")
    assert len(_sent(expected)) >= 2
    assert as_digested(result.records or ()) == as_digested(expected.records or ())
    assert result.fingerprint == expected.fingerprint


FAULTS: list[dict[str, Any]] = [
    {"kind": "connect_error", "probability": 0.3},
    {"kind": "status", "status": 503, "retry_after_seconds": 2, "probability": 0.3},
    {"kind": "status", "status": 502, "html": True, "probability": 0.3},
    {"kind": "reset", "probability": 0.3},
    {"kind": "truncated", "probability": 0.3},
    {"kind": "malformed", "route": "runs.retrieve", "nth": [2]},
    {"kind": "slow_body", "seconds": 30.0, "probability": 0.3},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault["kind"]))
@pytest.mark.parametrize("way", ["own_client_bots:at_import", "plain_client_bots:at_import"])
def test_faults_of_the_api_strike_both_alike(fault: dict[str, Any], way: str) -> None:
    expected = run(_world(GIVEN, faults=[fault]), seed=3, lane="sdk")
    result = run(_world(way, faults=[fault]), seed=3, lane="sdk")
    assert sum(result.observation["fault_hits"]["faults"]) >= 1
    assert [each for each in as_digested(result.records or ()) if each[2] != "log"] == [
        each for each in as_digested(expected.records or ()) if each[2] != "log"
    ]


@pytest.mark.parametrize("kind", ["request_lost", "response_lost", "read_timeout"])
@pytest.mark.parametrize("way", ["own_client_bots:at_import", "plain_client_bots:at_import"])
def test_a_client_that_gives_up_is_told_of_alike(kind: str, way: str) -> None:
    fault = {"kind": kind, "route": "messages.create", "nth": [1]}
    expected = run(_world(GIVEN, faults=[fault]), seed=3, lane="sdk")
    result = run(_world(way, faults=[fault]), seed=3, lane="sdk")
    assert ("ReadTimeout",) in [tuple(each[-1:]) for each in told(result, "response")]
    assert result.fingerprint == expected.fingerprint


REDIS_FAULTS: list[dict[str, Any]] = [
    {"kind": "slow", "at_seconds": 0.5, "seconds": 3.0, "delay_seconds": {"kind": "constant", "value": 0.25}},
    {"kind": "away", "at_seconds": 1.02, "seconds": 2.0},
    {"kind": "restart", "at_seconds": 1.02, "seconds": 2.0},
    {"kind": "reply_lost", "command": "SET", "nth": [1]},
]


@pytest.mark.parametrize("faults", [[], *([each] for each in REDIS_FAULTS)])
@pytest.mark.parametrize("way", ["own_client_bots", "plain_client_bots"])
def test_a_store_of_its_own_is_that_of_its_twin(faults: list[dict[str, Any]], way: str) -> None:
    tables: dict[str, Any] = {"constant": False, "redis_faults": faults}
    expected = run(settings("own_client_bots:given_store", 1.0, 1.1, 9.0, **tables), seed=3, lane="sdk")
    result = run(settings(f"{way}:own_store", 1.0, 1.1, 9.0, **tables), seed=3, lane="sdk")
    texts = [each[-1] for each in _sent(expected)]
    assert all(each.endswith(" None value is not an integer or out of range") for each in texts)
    assert texts
    assert sum(result.observation["fault_hits"].get("redis_faults", [])) == len(faults)
    assert as_digested(result.records or ()) == as_digested(expected.records or ())


@pytest.mark.parametrize(("channel", "protocol"), [(False, 2), (False, 3), (True, 2), (True, 3)])
@pytest.mark.parametrize("way", ["own_client_bots", "plain_client_bots"])
def test_a_consumer_with_a_store_of_its_own_waits_as_its_twin(channel: bool, protocol: int, way: str) -> None:
    tables: dict[str, Any] = {"constant": False, "workers": 1}
    given = settings("own_client_bots:given_queue", 1.0, 9.0, relay={"channel": channel}, **tables)
    own = settings(f"{way}:own_queue", 1.0, 9.0, relay={"channel": channel, "protocol": protocol}, **tables)
    expected, result = run(given, seed=3, lane="sdk"), run(own, seed=3, lane="sdk")
    assert len(_sent(expected)) == 2
    assert as_digested(result.records or ()) == as_digested(expected.records or ())


@pytest.mark.parametrize("kind", [None, "request_lost", "response_lost", "slow_body"])
def test_work_that_is_cancelled_leaves_no_response(kind: str | None) -> None:
    fault: dict[str, Any] = {"kind": kind, "route": "messages.create", "nth": [1]}
    if kind == "slow_body":
        fault["seconds"] = 30.0
    tables: dict[str, Any] = {"faults": [] if kind is None else [fault], "relay": {"kind": "impatient"}}
    expected = run(settings(GIVEN, 1.0, constant=False, **tables), seed=3, lane="sdk")
    result = run(settings("own_client_bots:at_import", 1.0, constant=False, **tables), seed=3, lane="sdk")
    assert "handle raised TimeoutError" in [each[5][:26] for each in told(expected, "log")]
    assert result.fingerprint == expected.fingerprint


def test_whatever_library_asks_the_world_is_the_same() -> None:
    results = [
        run(
            settings("plain_client_bots:raw", 1.0, 40.0, constant=False, relay={"library": library}), seed=3, lane="sdk"
        )
        for library in ("requests", "urllib", "httpx", "aiohttp")
    ]
    without_logs = [[each for each in result.records or () if each[2] != "log"] for result in results]
    assert len(_sent(results[0])) == 2
    assert all(records == without_logs[0] for records in without_logs)


def test_a_plain_client_in_a_coroutine_holds_up_its_worker_and_gets_its_answer() -> None:
    result = run(settings("plain_client_bots:blocker", 1.0, 1.1, workers=1), lane="sdk")
    assert [(each[0], each[-1]) for each in _sent(result)] == [(1.375, "0.25"), (1.625, "0.25")]
    blocked = told(result, "loop.blocked")
    assert [(seconds, place.partition(":")[0]) for *_, seconds, place, _ in blocked] == [
        (0.25, "plain_client_bots.py")
    ] * 2


def test_a_client_that_is_used_in_one_loop_after_the_other_fails_as_in_production() -> None:
    """Every second time: the request arrives, its answer cannot be read, and the client drops the connection."""
    result = run(settings("plain_client_bots:loop_per_message", 1.0, 5.0, 9.0, workers=1), lane="sdk")
    assert [each[-1] for each in _sent(result)] == ["Question [c1.m1]", "Question [c1.m3]"]
    errors = [each[5] for each in told(result, "log") if each[4] == "ERROR"]
    assert errors == ["handle raised RuntimeError: Event loop is closed"]
    assert [each[-3] for each in told(result, "served")] == [200] * 3


@pytest.mark.parametrize(("library", "place"), [("requests", "api.example.com:443"), ("redis", "cache.internal:7000")])
def test_an_address_that_nobody_simulates_is_refused_to_plain_code(library: str, place: str) -> None:
    with pytest.raises(LeavesSimulationError, match=rf"plain_client_bots\.py:\d+: connecting to {place} "):
        run(settings("plain_client_bots:stray", relay={"library": library}), lane="sdk")


@pytest.mark.parametrize("url", ["https://api.example.com/v1", "http://10.9.8.7:8080/v1"])
def test_an_address_that_nobody_simulates_ends_the_judgement_with_the_line(url: str) -> None:
    place = url.split("/")[2] + ("" if ":8080" in url else ":443")
    with pytest.raises(
        LeavesSimulationError, match=rf"own_client_bots\.py:\d+: connecting to {place} .*api\.openai\.com:443"
    ):
        run(settings("own_client_bots:stray", relay={"url": url}), lane="sdk")


def test_a_call_that_is_not_simulated_is_told_with_its_line() -> None:
    result = run(settings("own_client_bots:painter"), lane="sdk")
    assert [each[-1] for each in _sent(result)] == ["status 400"]
    (told_of,) = result.observation["obstacles"]["unsimulated"]
    assert re.fullmatch(r"POST /v1/images/generations .*own_client_bots\.py:\d+.*", told_of)


def test_neither_the_environment_of_this_machine_nor_its_certificates_reach_a_bot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    result = run(_world("own_client_bots:in_handle"), seed=3, lane="sdk")
    assert len(_sent(result)) >= 2
    assert os.environ["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert "OPENAI_API_KEY" not in os.environ
