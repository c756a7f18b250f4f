"""The API's own refusals are conflicts whoever logged them: each refused request counts once, however often it was written.

Method: the API's two sentences as other people's relays log them, in wrappers, at several places, by several workers; and
lines that look like them and are none.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_scenarios_fit_reading import PLAIN, conflict, event, read

from relaysim.scenarios.cli import main
from relaysim.scenarios.fit.lines import Kind

THREAD = "thread_" + "q" * 24


def append(run: str = "run_A1", thread: str = THREAD) -> str:
    return f"Can't add messages to {thread} while a run {run} is active."


def creation(run: str = "run_A1", thread: str = THREAD) -> str:
    return f"Thread {thread} already has an active run {run}."


def body(sentence: str) -> dict[str, object]:
    return {"error": {"message": sentence, "type": "invalid_request_error", "param": None, "code": None}}


TRACEBACK = """Traceback (most recent call last):
  File "/app/bot.py", line 31, in reply
    client.beta.threads.messages.create(thread_id, role="user", content=text)
openai.BadRequestError: Error code: 400 - {body}

During handling of the above exception, another exception occurred:

RuntimeError: reply failed: Error code: 400 - {body}"""

WRAPPED = {
    "an exception of the Python SDK": lambda text: f"openai.BadRequestError: Error code: 400 - {body(text)}",
    "an exception of the Node SDK": lambda text: f"    at async reply: BadRequestError: 400 {text}",
    "a traceback with two exceptions": lambda text: TRACEBACK.format(body=body(text)),
    "a line of the relay's old self": lambda text: f"❌ [OpenAI] Error: 400 {text}",
    "an HTTP client's debug line": lambda text: f"DEBUG httpcore response body {json.dumps(body(text))}",
    "another program's JSON": lambda text: json.dumps({"level": 50, "msg": text, "event": "failure"}),
    "JSON that escapes apostrophes": lambda text: json.dumps({"msg": text}).replace("'", "\\u0027"),
    "JSON of a body within JSON": lambda text: json.dumps({"log": json.dumps(body(text)) + "\n"}),
}


@pytest.mark.parametrize("sentence", [append(), creation()], ids=["append", "creation"])
@pytest.mark.parametrize("wrapper", WRAPPED)
def test_a_refusal_counts_once_in_whatever_it_is_wrapped(tmp_path: Path, wrapper: str, sentence: str) -> None:
    reading = read(tmp_path, f"started\n{WRAPPED[wrapper](sentence)}\n")
    assert (reading.refusals, reading.refused_alone) == (1, 1)
    assert (reading.met, reading.ended) == (0, 0)


def test_what_was_logged_at_several_places_is_one_request_and_what_was_tried_again_another(tmp_path: Path) -> None:
    lines = [
        f"2025-11-04T12:00:01.420Z ERROR api: {append()}",
        f"2025-11-04T12:00:01.421Z ERROR worker: {append()}",
        f"2025-11-04T12:00:01.800Z ERROR api: {append()}",  # tried again
        f"2025-11-04T12:00:01.801Z ERROR api: {creation()}",  # another request
        f"2025-11-04T12:00:01.801Z ERROR api: {append('run_B2')}",
        f"2025-11-04T12:00:01.801Z ERROR api: {append(thread='thread_other')}",
        f"2025-11-04T12:00:01.420Z host relay[7]: {append()}",  # another process's own
    ]
    reading = read(tmp_path, "\n".join(lines))
    assert reading.refusals == 6
    assert reading.unread.found[Kind.API_REFUSAL] == 7


def test_without_dates_what_stands_together_is_one_request(tmp_path: Path) -> None:
    lines = [append(), "    at Worker.run", append(), append("run_B2"), append()]
    assert read(tmp_path, "\n".join(lines)).refusals == 3


def test_what_the_relays_own_lines_tell_is_not_counted_again(tmp_path: Path) -> None:
    lines = [
        f"openai: {append('run_A1')}",
        *conflict(PLAIN, "run_A1", 1, 2000),
        PLAIN.created % 2,
        event("conflict", 5, conversation="0000000a", cause="foreign", run="run_B2"),
        f"openai: {creation('run_B2')}",
        f"openai: {append('run_C3')}",
    ]
    reading = read(tmp_path, "\n".join(lines))
    assert (reading.met, reading.refusals, reading.refused_alone) == (1, 3, 1)


@pytest.mark.parametrize(
    "line",
    [
        'HTTP Request: POST https://api.openai.com/v1/threads/thread_A/messages "HTTP/1.1 400 Bad Request"',
        "BadRequestError: 400 Invalid 'content': string too long",
        "Cannot cancel run with status 'completed'.",
        "we can't add messages to the thread while a run is active, so wait",
        "a run run_A1 was created; already has an active run",
    ],
)
def test_what_is_not_the_apis_sentence_is_no_refusal(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, f"{line}\n").refusals == 0


def test_a_log_of_refusals_alone_says_how_many_and_what_they_do_not_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "relay.log"
    log.write_text(f"{append('run_A1')}\n{creation('run_B2')}\n", encoding="utf-8")
    assert main(["fit", str(log), "--json", "--quiet", "--out", str(tmp_path / "out")]) == 0
    results = json.loads(capsys.readouterr().out)
    title = "The log tells 2 conflicts by the API's refusals alone, and not how they ended"
    assert results["answer"]["title"] == title
    assert (results["conflicts"]["refusals"], results["conflicts"]["ended"]) == (2, 0)
    assert results["numbers"][0]["said"].startswith("of 2 conflicts only the API's refusals tell")
