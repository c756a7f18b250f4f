"""Goal: a web application is driven as a server and a provider drive it, unchanged.

Method: applications that log what happens to them, under providers with round numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from world_bench import run, settings, told

from relaysim.sim.world import Result, Session, TargetError

pytestmark = pytest.mark.usefixtures("one_session")

WHATSAPP = {"kind": "whatsapp", "deadline_seconds": 20.0, "repeat_seconds": [4.0]}


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


def of(application: str, *at_seconds: float, provider: Any = WHATSAPP, **tables: Any) -> Result:
    tables.setdefault("workers", 1)
    return run(settings(f"web_bots:{application}", *at_seconds, provider=provider, **tables))


def lines(result: Result) -> list[tuple[float, str]]:
    """What was logged: when, and what."""
    return [(record[0], record[5]) for record in told(result, "log")]


def handlings(result: Result) -> list[tuple[float, str, str]]:
    return [record[:1] + record[2:4] for record in told(result, "handling.start", "webhook.failed", "handling.end")]


def test_a_complete_response_acknowledges_and_work_goes_on_after_it() -> None:
    result = of("background", 5.0)
    assert lines(result) == [
        (5.125, "POST https://bot.example.com/webhook: started"),
        (5.125, "then http.disconnect"),
        (30.125, "done"),
    ]
    assert handlings(result) == [(5.125, "handling.start", "c1.m1#1"), (5.125, "handling.end", "c1.m1#1")]
    assert {record[3] for record in told(result, "log")} == {"c1.m1#1"}


def test_requests_wait_for_the_start_up_and_an_application_may_know_none() -> None:
    assert lines(of("quick", 1.0))[0] == (3.0, "POST https://bot.example.com/webhook: started")
    assert lines(of("without_lifespan", 1.0))[0] == (1.125, "POST https://bot.example.com/webhook: no state")
    assert lines(of("made", 1.0)) == lines(of("quick", 1.0))


def test_a_start_up_that_fails_fails_each_delivery() -> None:
    result = of("not_starting", 5.0)
    assert [text for _, text in lines(result)] == 2 * ["handle raised StartupFailed: OSError: no database"]
    assert [record[-1] for record in told(result, "webhook.failed")] == ["handle raised"]


@pytest.mark.parametrize("factory", ["slow", "slow_handle"])
def test_who_is_late_gets_the_repeat_while_it_still_works_on_the_first(factory: str) -> None:
    result = of(factory, 5.0)
    assert handlings(result) == [
        (5.125, "handling.start", "c1.m1#1"),
        (25.125, "webhook.failed", "c1.m1#1"),
        (29.125, "handling.start", "c1.m1#2"),
        (30.125, "handling.end", "c1.m1#1"),
        (49.125, "webhook.failed", "c1.m1#2"),
        (54.125, "handling.end", "c1.m1#2"),
    ]
    assert {record[-1] for record in told(result, "webhook.failed")} == {"deadline missed"}


def test_a_status_that_does_not_acknowledge_brings_a_repeat() -> None:
    provider = {**WHATSAPP, "repeat_seconds": [5.0, 7.0, 9.0]}
    result = of("refusing", 5.0, provider=provider)
    assert [time for time, _, _ in handlings(result)] == 3 * [5.125] + 3 * [10.125] + 2 * [17.125]
    said = [text for _, text in lines(result) if text.startswith("handle")]
    assert said == [
        f"handle raised NotAcknowledged: the webhook, POST /webhook, was answered with status {each}: ok"
        for each in (503, 404)
    ]
    final = of("refusing", 5.0, provider={"kind": "custom", "repeat_seconds": [5.0, 7.0], "final_statuses": [404]})
    assert [time for time, kind, _ in handlings(final) if kind == "handling.start"] == [5.125, 10.125]


def test_what_an_application_raises_is_told_as_its_own() -> None:
    result = of("raising", 5.0)
    (line,) = [text for _, text in lines(result) if text.startswith("handle")]
    assert line == "handle raised LookupError: no such customer"
    assert [time for time, kind, _ in handlings(result) if kind == "handling.start"] == [5.125, 9.125]


def test_a_conversation_keeps_its_order_where_the_provider_keeps_it() -> None:
    """The second message waits for the first, which is given up after its repeat; the other customer's does not."""
    messages = [{"conversation": 1, "at_seconds": 5.0}, {"conversation": 1, "at_seconds": 6.0}]
    workload = {"conversations": 2, "messages": [*messages, {"conversation": 2, "at_seconds": 7.0}]}
    provider = {"kind": "telegram", "deadline_seconds": 20.0, "repeat_seconds": [5.0]}
    result = of("slow", provider=provider, workload=workload)
    starts = [(time, delivery) for time, kind, delivery in handlings(result) if kind == "handling.start"]
    assert starts == [
        (5.125, "c1.m1#1"),
        (7.125, "c2.m1#1"),
        (30.125, "c1.m1#2"),
        (32.125, "c2.m1#2"),
        (50.125, "c1.m2#1"),
        (75.125, "c1.m2#2"),
    ]


def test_a_text_in_the_response_is_sent_unless_it_comes_too_late() -> None:
    result = of("texts", 5.0, 10.0, provider={"kind": "twilio"})
    assert [(record[0], record[-2:]) for record in told(result, "send")] == [(6.125, ("c1", "Thank you"))]


def test_a_worker_that_dies_breaks_the_connection() -> None:
    """The provider repeats what it sees as a broken connection, and nothing for a delivery that was overdue already."""
    crash = {"host_faults": [{"kind": "crash", "at_seconds": 8.0, "workers": [1]}]}
    result = of("slow", 5.0, workers=2, workload={"messages": [{"at_seconds": 5.0, "worker": 1}]}, **crash)
    assert [record[3:] for record in told(result, "webhook.failed")] == [
        ("c1.m1#1", "w1", "worker crashed"),
        ("c1.m1#2", "w2", "deadline missed"),
    ]
    late = {"host_faults": [{"kind": "crash", "at_seconds": 28.0, "workers": [1]}]}
    result = of("slow", 5.0, workers=2, workload={"messages": [{"at_seconds": 5.0, "worker": 1}]}, **late)
    assert [record[3] for record in told(result, "webhook.failed")] == ["c1.m1#1", "c1.m1#2"]


def test_each_process_has_the_providers_variables_and_the_scenarios() -> None:
    result = of("environment", 5.0, environment={"MINE": "x", "REDIS_URL": "redis://other"})
    assert lines(result)[0][1] == '{"WHATSAPP_TOKEN": "relaysim-token", "REDIS_URL": "redis://other", "MINE": "x"}'


def test_an_application_without_a_provider_is_refused() -> None:
    for name in ("quick", "made"):
        with pytest.raises(
            TargetError, match=r"web_bots:\w+ (is|gave) an ASGI application, and nobody delivers webhooks"
        ):
            of(name, provider=None)


TELEGRAM = {"kind": "telegram"}


def sent(application: str, **tables: Any) -> tuple[list[str], list[str]]:
    """What the provider answered, and what the customer received."""
    result = run(settings(f"sending_bots:{application}", 1.0, provider=TELEGRAM, workers=1, **tables))
    return [text for _, text in lines(result)], [record[-1] for record in told(result, "received")]


def test_a_text_sent_over_http_reaches_the_customer() -> None:
    assert sent("once") == (["1000001"], ["Text 0"])


@pytest.mark.parametrize(
    ("kind", "application", "answer", "received"),
    [
        ("refused", "once", "Bad Gateway", []),
        ("unknown_delivered", "once", "ReadError", ["Text 0"]),
        ("unknown_lost", "once", "ReadError", []),
        ("slow", "once", "1000001", ["Text 0"]),
        ("unknown_delivered", "impatient", "ReadTimeout", ["Text 0"]),
        ("slow", "impatient", "ReadTimeout", ["Text 0"]),
    ],
)
def test_faults_of_sends_are_what_an_http_client_meets(
    kind: str, application: str, answer: str, received: list[str]
) -> None:
    assert sent(application, send_faults=[{"kind": kind, "nth": [1]}]) == ([answer], received)


def test_who_sends_too_often_is_told_for_how_long_to_wait() -> None:
    """Twenty may go at once, then one a second. Each takes 0.25 s, so after 26 of them the credit for 6.5 s is used up."""
    answers, received = sent("often")
    assert len(received) == 30 - answers.count("{'retry_after': 1}")
    assert answers.count("{'retry_after': 1}") == 4


def test_two_messages_come_in_one_request_or_one_that_has_waited_alone() -> None:
    result = of("texts_of_body", 1.0, 2.0, 20.0, provider={**WHATSAPP, "several_share": 1.0})
    assert lines(result) == [
        (2.125, "['Question [c1.m1]', 'Question [c1.m2]']"),
        (22.125, "['Question [c1.m3]']"),
    ]
    assert handlings(result) == [
        (2.125, "handling.start", "c1.m1#1"),
        (2.125, "handling.start", "c1.m2#1"),
        (2.125, "handling.end", "c1.m1#1"),
        (2.125, "handling.end", "c1.m2#1"),
        (22.125, "handling.start", "c1.m3#1"),
        (22.125, "handling.end", "c1.m3#1"),
    ]


def test_an_object_gets_each_message_alone() -> None:
    result = of("slow_handle", 1.0, 2.0, provider={**WHATSAPP, "several_share": 1.0})
    assert [time for time, kind, _ in handlings(result) if kind == "handling.start"][:2] == [1.125, 2.125]


CUSTOM = {"kind": "custom", "path": "/hook/ol%C3%A1?key=1", "deadline_seconds": 20.0}


@pytest.mark.parametrize(
    ("threads", "starts", "ends"),
    [({}, [1.125, 5.125, 9.125], [5.125, 9.125, 13.125]), ({"threads": 2}, [1.125, 1.25, 5.125], [5.125, 5.25, 9.125])],
)
def test_a_wsgi_application_has_so_many_threads_and_others_wait(
    threads: dict[str, int], starts: list[float], ends: list[float]
) -> None:
    made = settings("web_bots:wsgi", 1.0, 1.125, 1.25, provider=CUSTOM)
    made = made.model_copy(update={"workers": (made.workers[0].model_copy(update={"count": 1, **threads}),)})
    made = made.model_copy(update={"workload": made.workload.model_copy(update={"texts": "varied"})})
    result = run(made)
    said = f"POST https://bot.example.com/hook/olÃ¡?key=1, several threads: {bool(threads)}"
    assert [time for time, text in lines(result) if text == said] == starts
    assert [time for time, text in lines(result) if text == "closed"] == ends
    assert [time for time, kind, _ in handlings(result) if kind == "handling.end"] == ends


def test_what_a_wsgi_application_raises_is_its_own() -> None:
    result = of("wsgi", 1.0, 8.0, provider={**CUSTOM, "repeat_seconds": [5.0]})
    assert [text for _, text in lines(result) if "raised" in text] == 2 * [
        "handle raised LookupError: no such customer"
    ]
    (line, *_) = [text for _, text in lines(of("wsgi_without_start", provider=CUSTOM)) if "raised" in text]
    assert line.endswith("the application gave its body without having called start_response")


@pytest.mark.parametrize(("threads", "ends"), [(None, [5.125, 5.25]), (1, [5.125, 9.125])])
def test_a_plain_handle_has_so_many_threads(threads: int | None, ends: list[float]) -> None:
    made = settings("web_bots:plain", 1.0, 1.125)
    group = made.workers[0].model_copy(update={"count": 1, "threads": threads})
    result = run(made.model_copy(update={"workers": (group,)}))
    assert [time for time, kind, _ in handlings(result) if kind == "handling.end"] == ends
