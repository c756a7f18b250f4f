"""The Threads API as a backend: which errors become which, and what is read of the answers.

Method: the real SDK over an in-process transport that answers in the API's own words.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx2
import openai
import pytest

from relaysim.relay.drain.backend import (
    Busy,
    Conflict,
    NoThread,
    Refused,
    Rejected,
    RunView,
    ThreadsBackend,
    Unavailable,
)

T = TypeVar("T")
Answer = Callable[[httpx2.Request], httpx2.Response]

RUN = {"id": "run_A1", "object": "thread.run", "status": "in_progress", "metadata": {"relay_epoch": "3"}}


def ask(answer: Answer, question: Callable[[ThreadsBackend], Awaitable[T]], **settings: Any) -> T:
    async def main() -> T:
        http_client = openai.DefaultAsyncHttpxClient(transport=httpx2.MockTransport(answer))
        async with openai.AsyncOpenAI(api_key="sk-invented", http_client=http_client) as client:
            return await question(
                ThreadsBackend(client, **{"assistant_id": "asst_A", "timeout_seconds": 5.0, **settings})
            )

    return asyncio.run(main())


def error(status: int, sentence: str = "Something", headers: dict[str, str] | None = None) -> Answer:
    body = {"error": {"message": sentence, "type": "invalid_request_error", "param": None, "code": None}}
    return lambda request: httpx2.Response(status, json=body, headers=headers)


def start(backend: ThreadsBackend) -> Awaitable[RunView]:
    return backend.start("thread_T", ["words"], {"relay_epoch": "1"})


@pytest.mark.parametrize(
    ("status", "sentence", "kind"),
    [
        (400, "Thread thread_T already has an active run run_B2.", Conflict),
        (400, "Can't add messages to thread_T while a run run_B2 is active.", Conflict),
        (400, "Invalid value", Rejected),
        (401, "Incorrect API key provided", Busy),
        (403, "Forbidden", Busy),
        (404, "No thread found with id 'thread_T'.", NoThread),
        (404, "No assistant found with id 'asst_A'.", Refused),
        (408, "Timeout", Unavailable),
        (409, "Someone was here first", Busy),
        (413, "Too large", Rejected),
        (422, "That cannot be", Rejected),
        (429, "Rate limit reached", Busy),
        (500, "The server had an error", Unavailable),
        (502, "Bad gateway", Unavailable),
        (599, "What", Unavailable),
    ],
)
def test_errors_are_sorted_by_what_may_be_done_next(status: int, sentence: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        ask(error(status, sentence), start)
    assert type(caught.value) is kind
    assert sentence not in str(caught.value)
    if isinstance(caught.value, Conflict):
        assert caught.value.run_id == "run_B2"


@pytest.mark.parametrize("status", [400, 404, 413, 422])
@pytest.mark.parametrize("content", [b'{"error": {"message": "Thread thread_T alre', b"<html>Blocked</html>", b""])
def test_a_refusal_that_cannot_be_read_may_say_anything(status: int, content: bytes) -> None:
    """Perhaps that a run is active; so it is looked at what there is before anything is asked again."""
    with pytest.raises(Unavailable):
        ask(lambda request: httpx2.Response(status, content=content), start)


def test_a_conflict_that_names_no_run_is_one_all_the_same() -> None:
    with pytest.raises(Conflict) as caught:
        ask(error(400, "Thread thread_T already has an active run."), start)
    assert caught.value.run_id is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("7", 7.0), ("0.5", 0.5), ("0", None), ("-3", None), ("inf", None), ("x", None)],
)
def test_a_wait_is_read_from_the_answer(header: str | None, seconds: float | None) -> None:
    with pytest.raises(Busy) as caught:
        ask(error(429, headers={} if header is None else {"retry-after": header}), start)
    assert caught.value.after_seconds == seconds


async def look_for_runs(backend: ThreadsBackend) -> object:
    return await backend.recent("thread_T")


async def cancel(backend: ThreadsBackend) -> object:
    return await backend.cancel("thread_T", "run_A1")


async def copy(backend: ThreadsBackend) -> object:
    return await backend.copy_thread("thread_T", 3)


@pytest.mark.parametrize("request_", [look_for_runs, cancel, copy])
def test_what_the_api_asked_for_binds_whoever_asks_next_until_it_is_over(
    request_: Callable[[ThreadsBackend], Awaitable[object]],
) -> None:
    """As often as it is tried before; and it does not bind what is asked for of another thread or run."""
    sent: list[str] = []

    def busy(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.url.path)
        return error(429, headers={"retry-after": "0.3"})(request)

    async def ask_again(backend: ThreadsBackend) -> None:
        for asked in (1, 1, 1):
            with pytest.raises(Busy) as caught:
                await request_(backend)
            assert len(sent) == asked
        assert caught.value.after_seconds is not None
        assert 0.0 < caught.value.after_seconds <= 0.3
        with pytest.raises(Busy):
            await backend.recent("thread_U")
        assert len(sent) == 2
        await asyncio.sleep(caught.value.after_seconds)
        with pytest.raises(Busy):
            await request_(backend)
        assert len(sent) == 3
        assert sent[2] == sent[0]

    ask(busy, ask_again)


@pytest.mark.parametrize(
    "failure",
    [httpx2.ConnectError("no"), httpx2.ReadTimeout("no"), httpx2.ReadError("no"), httpx2.RemoteProtocolError("no")],
)
def test_what_breaks_on_the_way_is_of_unknown_fate_and_sent_once(failure: Exception) -> None:
    sent: list[httpx2.Request] = []

    def fail(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        raise failure

    with pytest.raises(Unavailable):
        ask(fail, start)
    assert len(sent) == 1


def test_a_cut_off_body_is_of_unknown_fate() -> None:
    head = {"content-type": "application/json"}
    with pytest.raises(Unavailable):
        ask(lambda request: httpx2.Response(200, content=b'{"id": "run_', headers=head), start)


def test_a_server_error_is_not_repeated_by_the_sdk() -> None:
    sent: list[httpx2.Request] = []

    def fail(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return error(500)(request)

    with pytest.raises(Unavailable):
        ask(fail, start)
    assert len(sent) == 1


def test_one_request_brings_texts_assistant_and_metadata() -> None:
    sent: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append((request.method, request.url.path, json.loads(request.content)))
        return httpx2.Response(200, json=RUN)

    run = ask(answer, lambda backend: backend.start("thread_T", ["one", "two"], {"relay_epoch": "1"}))
    assert run == RunView("run_A1", "in_progress", {"relay_epoch": "3"})
    messages = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]
    body = {"assistant_id": "asst_A", "metadata": {"relay_epoch": "1"}, "additional_messages": messages}
    assert sent == [("POST", "/v1/threads/thread_T/runs", body)]
    sent.clear()
    ask(answer, lambda backend: backend.start("thread_T", [], {}))
    assert "additional_messages" not in sent[0][2]


@pytest.mark.parametrize(
    ("poll_hint", "header", "expected"),
    [(False, "700", None), (True, "700", 0.7), (True, None, None), (True, "soon", None)],
)
def test_a_hint_of_when_to_look_again_is_read_if_wished(
    poll_hint: bool, header: str | None, expected: float | None
) -> None:
    headers = {} if header is None else {"openai-poll-after-ms": header}
    run = ask(
        lambda request: httpx2.Response(200, json=RUN, headers=headers),
        lambda backend: backend.look("thread_T", "run_A1"),
        poll_hint=poll_hint,
    )
    assert run.look_again_seconds == expected
    assert (run.id, run.status, run.metadata) == ("run_A1", "in_progress", {"relay_epoch": "3"})


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, None),
        ({"last_error": {"code": "rate_limit_exceeded", "message": "words"}}, "rate_limit_exceeded"),
        ({"incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"metadata": None}, None),
    ],
)
def test_a_run_says_why_it_ended(more: dict[str, Any], reason: str | None) -> None:
    run = ask(
        lambda request: httpx2.Response(200, json={**RUN, **more}), lambda backend: backend.look("thread_T", "run_A1")
    )
    assert run.reason == reason
    assert run.metadata == ({} if "metadata" in more else {"relay_epoch": "3"})


@pytest.mark.parametrize(
    ("status", "ended", "cancellable"),
    [
        ("queued", False, True),
        ("in_progress", False, True),
        ("requires_action", False, True),
        ("cancelling", False, False),
        ("cancelled", True, False),
        ("failed", True, False),
        ("completed", True, False),
        ("incomplete", True, False),
        ("expired", True, False),
        ("a state of next year", False, True),
    ],
)
def test_what_a_state_means(status: str, ended: bool, cancellable: bool) -> None:
    run = RunView("run_A1", status)
    assert (run.ended, run.cancellable) == (ended, cancellable)


def test_a_cancel_that_is_refused_is_no_error() -> None:
    assert (
        ask(error(400, "Cannot cancel run with status 'completed'."), lambda b: b.cancel("thread_T", "run_A")) is False
    )
    assert ask(lambda request: httpx2.Response(200, json=RUN), lambda b: b.cancel("thread_T", "run_A")) is True


def part(text: str | None) -> dict[str, Any]:
    if text is None:
        return {"type": "image_file", "image_file": {"file_id": "file_1"}}
    return {"type": "text", "text": {"value": text, "annotations": []}}


def page(*messages: dict[str, Any]) -> Answer:
    data = [{"id": f"msg_{number}", "object": "thread.message", **message} for number, message in enumerate(messages)]
    return lambda request: httpx2.Response(200, json={"object": "list", "data": data, "has_more": False})


@pytest.mark.parametrize(
    ("messages", "reply"),
    [
        ([], None),
        ([("assistant", "")], None),
        ([("assistant", None)], None),
        ([("assistant", "one"), ("assistant", "two")], "one\n\ntwo"),
        ([("assistant", None), ("assistant", "two")], "two"),
        ([("user", "mine"), ("assistant", "two")], "two"),
    ],
)
def test_a_reply_is_all_that_the_run_said(messages: list[tuple[str, str | None]], reply: str | None) -> None:
    answer = page(*({"role": role, "content": [part(text)]} for role, text in messages))
    asked: list[Any] = []

    def note(request: httpx2.Request) -> httpx2.Response:
        asked.append(dict(request.url.params))
        return answer(request)

    assert ask(note, lambda backend: backend.reply("thread_T", "run_A1")) == reply
    assert asked == [{"run_id": "run_A1", "limit": "100", "order": "asc"}]


def test_a_thread_is_copied_in_words_without_what_was_never_finished() -> None:
    newest_first = [
        {"role": "assistant", "content": [part("I was about to")], "status": "incomplete"},
        {"role": "user", "content": [part("third")], "status": "completed"},
        {"role": "user", "content": [part(None)]},
        {"role": "assistant", "content": [part("second")], "status": "completed"},
        {"role": "user", "content": [part("first")]},
    ]
    sent: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            sent.append(dict(request.url.params))
            return page(*newest_first)(request)
        sent.append(json.loads(request.content))
        return httpx2.Response(200, json={"id": "thread_N", "object": "thread"})

    assert ask(answer, lambda backend: backend.copy_thread("thread_T", 5)) == "thread_N"
    said = [("user", "first"), ("assistant", "second"), ("user", "third")]
    copied = {"messages": [{"role": role, "content": text} for role, text in said]}
    assert sent == [{"limit": "5", "order": "desc"}, copied]
    sent.clear()
    ask(answer, lambda backend: backend.copy_thread("thread_T", 0))
    assert sent == [{}]


@pytest.mark.parametrize(
    ("questions", "first"),
    [
        ([], "late"),
        (["third"], "third"),
        (["second", "third"], "second"),
        (["second"], "second"),  # what was written after it has ended
        (["first"], "first"),
        (["alike", "alike"], "alike"),
        (["alike", "third"], "third"),
        (["late"], "alike"),  # the assistant's: it is no question, so that all is kept
        (["never written"], "alike"),
    ],
)
def test_a_copied_thread_holds_the_questions_that_wait_whatever_came_after_them(
    questions: list[str], first: str
) -> None:
    """A run that was given up may have written after them all the same, and one that was written later may have ended."""
    said = [
        ("user", "alike"),
        ("user", "first"),
        ("user", "second"),
        ("assistant", "early"),
        ("user", "third"),
        ("user", "alike"),
        ("assistant", "late"),
    ]
    newest_first = [{"role": role, "content": [part(text)]} for role, text in reversed(said)]
    sent: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return page(*newest_first[: int(request.url.params["limit"])])(request)
        sent.append(json.loads(request.content)["messages"][0]["content"])
        return httpx2.Response(200, json={"id": "thread_N", "object": "thread"})

    ask(answer, lambda backend: backend.copy_thread("thread_T", 1, questions))
    assert sent == [first]
