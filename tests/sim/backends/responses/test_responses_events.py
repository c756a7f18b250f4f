"""Goal: events of ended responses are signed as the SDK checks it, come until they are acknowledged, and reach a bot.

Method: worlds of one message to a bot that answers when its event comes, in both lanes; raw attempts for signatures.
"""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import ValidationError

from relaysim.scenarios.cli import main
from relaysim.sim.backends.profile import load_profile
from relaysim.sim.backends.responses.profile import ResponsesProfile
from relaysim.sim.backends.webhook_events import SECRET, EventSettings, signature_of
from relaysim.sim.trace.schema import as_object
from relaysim.sim.world import Result, TargetError, WorldSettings, run_world

pytestmark = pytest.mark.usefixtures("one_session")

NUMBERS = {
    "run_seconds": {"kind": "constant", "value": 4.0},
    "queue_seconds": {"kind": "constant", "value": 1.0},
    "cancel_seconds": {"kind": "constant", "value": 1.0},
    "send_seconds": {"kind": "constant", "value": 0.1},
}


def world(numbers: dict[str, Any] | None = None, factory: str = "events_bot:make", **tables: Any) -> WorldSettings:
    settings = tables.pop("settings", {})
    return WorldSettings.model_validate(
        {
            "api": "responses",
            "profile": load_profile("claimed", {**NUMBERS, **(numbers or {})}, ResponsesProfile),
            "relay": {"factory": factory, "settings": settings},
            "workload": {"messages": [{"at_seconds": 0.0}]},
            "events": {},
            **tables,
        }
    )


def run(*, lane: Any = "direct", **given: Any) -> Result:
    return run_world(world(**given), root_seed=5, seed=0, lane=lane, keep_trace=True)


def attempts(result: Result) -> list[dict[str, Any]]:
    return [event for event in (as_object(*each) for each in result.records) if event["kind"] == "event.delivered"]


def offsets(result: Result) -> list[float]:
    """Seconds at which attempts ended, from the first one on."""
    times = [each["time"] for each in attempts(result)]
    return [round(each - times[0], 3) for each in times]


@pytest.mark.parametrize("lane", ["sdk", "direct"])
def test_a_bot_answers_when_the_event_comes(lane: str) -> None:
    result = run(lane=lane)
    (attempt,) = attempts(result)
    assert (attempt["event"], attempt["status"], attempt["reason"], attempt["attempt"]) == (
        "response.completed",
        200,
        "",
        1,
    )
    counts = result.observation["counts"]
    assert (counts["messages"], counts["succeeded"], counts["transparency_breaches"]) == (1, 1, 0)


@pytest.mark.parametrize(("secret", "statuses"), [(SECRET, [204]), ("whsec_YW5vdGhlcg==", [400, 400])])
def test_a_web_application_takes_events_at_its_path_with_the_secret_of_its_environment(
    secret: str, statuses: list[int]
) -> None:
    result = run(
        factory="events_bot:application",
        provider={"kind": "custom"},
        events={"path": "/events", "given_up_seconds": 6.0},
        environment={"OPENAI_WEBHOOK_SECRET": secret},
    )
    assert [each["status"] for each in attempts(result)] == statuses


def test_both_lanes_leave_the_same_trace() -> None:
    for settings in ({}, {"failing": 2}, {"slow_seconds": 7.0}):
        sdk, direct = (run(lane=lane, settings=settings) for lane in ("sdk", "direct"))
        assert sdk.records == direct.records
        assert sdk.fingerprint == direct.fingerprint


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ({"failure_probability": 1.0}, "response.failed"),
        ({"filtered_probability": 1.0}, "response.incomplete"),
        ({"turn_limit_seconds": 2.0}, "response.failed"),
    ],
)
def test_each_end_has_its_event(numbers: dict[str, Any], kind: str) -> None:
    assert [each["event"] for each in attempts(run(numbers=numbers))] == [kind]


def test_a_cancelled_response_has_its_event() -> None:
    result = run(settings={"cancels_after_seconds": 1.0})
    assert [each["event"] for each in attempts(result)] == ["response.cancelled"]


def test_a_turn_in_the_foreground_has_none() -> None:
    result = run(factory="relaysim.relay:retry_on_lock")
    assert attempts(result) == []
    assert result.observation["counts"]["answered"] == 1


# Redelivery


def test_an_event_that_is_not_taken_comes_again_after_growing_waits() -> None:
    result = run(settings={"failing": 4}, workers=[{"count": 1}])
    *failed, taken = offsets(result)  # the last one's end, in which the bot asks the API
    assert failed == [0.0, 5.0, 15.0, 35.0]
    assert 75.0 < taken < 77.0
    assert [each["status"] for each in attempts(result)] == [500, 500, 500, 500, 200]
    assert [each["attempt"] for each in attempts(result)] == [1, 2, 3, 4, 5]
    assert len({each["event_id"] for each in attempts(result)}) == 1
    assert result.observation["counts"]["succeeded"] == 1


def test_an_event_is_given_up_after_so_long() -> None:
    result = run(settings={"failing": 99}, workers=[{"count": 1}], events={"given_up_seconds": 34.9})
    assert offsets(result) == [0.0, 5.0, 15.0]
    assert result.observation["counts"]["lost"] == 1


def test_by_default_it_is_given_up_after_72_hours() -> None:
    result = run(settings={"failing": 99}, workers=[{"count": 1}], limit_seconds=400_000.0)
    assert len(offsets(result)) == 16
    assert offsets(result)[-1] == 5.0 * (2**15 - 1) < 72 * 3600 < 5.0 * (2**16 - 1)


def test_an_endpoint_that_takes_too_long_gets_it_again_and_a_bot_that_remembers_nothing_answers_twice() -> None:
    result = run(settings={"slow_seconds": 7.0}, events={"given_up_seconds": 12.0})
    assert [each["reason"] for each in attempts(result)] == ["no answer in time"] * 2
    assert offsets(result) == [0.0, 10.0]
    assert result.observation["counts"]["duplicate_reply"] == 1
    counts = run(settings={"slow_seconds": 7.0, "remembers": True}, events={"given_up_seconds": 12.0}).observation[
        "counts"
    ]
    assert (counts["duplicate_reply"], counts["transparency_breaches"]) == (0, 0)


def test_an_event_may_come_once_more_though_it_was_taken() -> None:
    result = run(events={"duplicate_probability": 1.0})
    assert [each["reason"] for each in attempts(result)] == ["", ""]
    assert len({each["event_id"] for each in attempts(result)}) == 1
    assert result.observation["counts"]["duplicate_reply"] == 1
    counts = run(settings={"remembers": True}, events={"duplicate_probability": 1.0}).observation["counts"]
    assert counts["duplicate_reply"] == 0


def test_where_nobody_is_alive_it_comes_again() -> None:
    crash = {"kind": "crash", "at_seconds": 2.0, "seconds": 10.0}
    result = run(workers=[{"count": 1}], host_faults=[crash])
    assert [each["reason"] for each in attempts(result)] == ["nobody there", "nobody there", ""]
    assert result.observation["counts"]["succeeded"] == 1


def test_a_worker_that_dies_over_it_gets_it_again() -> None:
    crash = {"kind": "crash", "at_seconds": 7.0, "seconds": 2.0}
    result = run(settings={"slow_seconds": 3.0}, workers=[{"count": 1}], host_faults=[crash])
    assert [each["reason"] for each in attempts(result)] == ["no answer in time", ""]


# Signatures


def signed(secret: str = SECRET, *, age_seconds: int = 0) -> tuple[bytes, dict[str, str]]:
    body = b'{"id":"evt_1","object":"event","created_at":1,"type":"response.completed","data":{"id":"resp_1"}}'
    stamp = int(time.time()) - age_seconds
    headers = {"webhook-id": "wh_1", "webhook-timestamp": str(stamp)}
    return body, {**headers, "webhook-signature": signature_of(secret, "wh_1", stamp, body)}


def test_the_sdk_takes_a_signature_and_refuses_every_other() -> None:
    webhooks = openai.OpenAI(api_key="sk-any", webhook_secret=SECRET).webhooks
    body, headers = signed()
    event = webhooks.unwrap(body, headers)
    assert (event.type, event.data.id) == ("response.completed", "resp_1")
    another = "whsec_" + base64.b64encode(b"another").decode()
    for payload, given in (
        (body, signed(another)[1]),
        (body.replace(b"resp_1", b"resp_2"), headers),
        (body, {**headers, "webhook-id": "wh_2"}),
        (body, signed(age_seconds=301)[1]),
        (body, signed(age_seconds=-301)[1]),
    ):
        with pytest.raises(openai.InvalidWebhookSignatureError):
            webhooks.unwrap(payload, given)


def test_a_bot_with_another_secret_takes_nothing() -> None:
    secret = "whsec_" + base64.b64encode(b"another").decode()
    result = run(settings={"secret": secret}, events={"given_up_seconds": 5.0})
    assert [each["status"] for each in attempts(result)] == [500, 500]
    assert result.observation["counts"]["lost"] == 1


# Wrong settings


@pytest.mark.parametrize("secret", ["abc", "whsec_", "whsec_***", "c2VjcmV0"])
def test_a_secret_is_whsec_and_base64(secret: str) -> None:
    with pytest.raises(ValidationError, match="must be `whsec_` and base64"):
        EventSettings(secret=secret)


def test_an_api_that_tells_of_nothing_says_so() -> None:
    with pytest.raises(ValidationError, match="the simulated Threads API tells of nothing by itself: leave it out"):
        world(api="threads", profile=load_profile("claimed", NUMBERS))


def test_a_bot_that_takes_no_events_is_not_judged() -> None:
    with pytest.raises(TargetError, match=r"Deaf has no `handle_webhook\(payload, headers\)`"):
        run(factory="events_bot:deaf")


def test_a_bot_that_waits_for_events_where_none_are_sent_is_told_so() -> None:
    silent = run(events=None).observation["obstacles"]
    assert silent == {"unheard": 1}
    assert run().observation["obstacles"] == {}


@pytest.mark.parametrize("factory", ["make", "make_background", "make_stream"])
def test_a_bot_that_looks_for_its_turns_waits_for_no_events(factory: str) -> None:
    result = run(factory=f"responses_bot:{factory}", events=None)
    assert result.observation["obstacles"] == {}


def test_the_terminal_says_how_events_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [
        "verify",
        "race",
        "--factory",
        "events_bot:make",
        "--api",
        "responses",
        "--replications",
        "3",
        "--jobs",
        "1",
        "--recheck",
        "0",
    ]
    main([*command, "--quiet"])
    screen = " ".join(capsys.readouterr().out.split())
    assert (
        "and nothing told it of their end. A relay that waits for the API's webhooks hears of them with --set" in screen
    )
    main([*command, "--quiet", "--set", "events={}"])
    assert "hears of them with" not in " ".join(capsys.readouterr().out.split())
