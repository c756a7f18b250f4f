"""Every error answer, to the byte."""

from __future__ import annotations

import pytest

from relaysim.sim.backends import errors
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.threads import thread_errors

T, R = "thread_" + "A" * 24, "run_" + "B" * 24

BETA = (
    "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the header "
    "'OpenAI-Beta: assistants=v2'."
)
SERVER = (
    "The server had an error while processing your request. Sorry about that! You can retry your request, or contact "
    "us through our help center at help.openai.com if you keep seeing this error."
)
TPM = (
    "Rate limit reached for gpt-4.1 in organization org-simulated on tokens per min (TPM): Limit 30000, Used 18928, "
    "Requested 11159. Please try again in 174ms. Visit https://platform.openai.com/account/rate-limits to learn more."
)
INVALID = '"invalid_request_error"'

CASES = [
    (
        thread_errors.append_while_active(T, R),
        400,
        f"Can't add messages to {T} while a run {R} is active.",
        INVALID,
        "null",
    ),
    (thread_errors.run_while_active(T, R), 400, f"Thread {T} already has an active run {R}.", INVALID, "null"),
    (thread_errors.cannot_cancel("completed"), 400, "Cannot cancel run with status 'completed'.", INVALID, "null"),
    (
        thread_errors.no_tool_outputs("expired"),
        400,
        'Runs in status \\"expired\\" do not accept tool outputs.',
        INVALID,
        "null",
    ),
    (
        thread_errors.incomplete_tool_outputs(["call_a", "call_b"], ["call_a"]),
        400,
        "Expected tool outputs for call_ids ['call_a', 'call_b'], got ['call_a']",
        INVALID,
        "null",
    ),
    (thread_errors.no_thread(T), 404, f"No thread found with id '{T}'.", INVALID, "null"),
    (thread_errors.no_assistant("asst_X"), 404, "No assistant found with id 'asst_X'.", INVALID, "null"),
    (thread_errors.no_run(R), 404, f"No run found with id '{R}'.", INVALID, "null"),
    (thread_errors.no_message("msg_X"), 404, "No message found with id 'msg_X'.", INVALID, "null"),
    (thread_errors.no_beta_header(), 400, BETA, INVALID, '"invalid_beta"'),
    (
        errors.bad_key("sk-wrong"),
        401,
        "Incorrect API key provided: sk-wrong. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        INVALID,
        '"invalid_api_key"',
    ),
    (
        errors.too_many_requests(),
        429,
        "You've exceeded the rate limit, please slow down and try again later.",
        INVALID,
        '"rate_limit_exceeded"',
    ),
    (errors.too_many_tokens(), 429, TPM, '"tokens"', '"rate_limit_exceeded"'),
    (errors.server_error(), 500, SERVER, '"server_error"', "null"),
    (errors.server_error(503), 503, SERVER, '"server_error"', "null"),
]


@pytest.mark.parametrize(("error", "status", "message", "kind", "code"), CASES)
def test_body_to_the_byte(error: ApiError, status: int, message: str, kind: str, code: str) -> None:
    body = f"""{{
  "error": {{
    "message": "{message}",
    "type": {kind},
    "param": null,
    "code": {code}
  }}
}}"""
    assert error.status == status
    assert error.to_bytes() == body.encode()


def test_malformed_id_names_its_parameter() -> None:
    body = b"""{
  "error": {
    "message": "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'.",
    "type": "invalid_request_error",
    "param": "thread_id",
    "code": "invalid_value"
  }
}"""
    assert errors.malformed_id("thread_id", "undefined", "thread").to_bytes() == body


def test_the_captured_content_length() -> None:
    # A captured response to a refused creation of a run had Content-Length 206.
    assert len(thread_errors.run_while_active(T, R).to_bytes()) == 206


def test_edge_answers() -> None:
    edge = errors.bad_gateway()
    assert edge.to_bytes() == b'{"error":{"code":502,"message":"Bad gateway.","param":null,"type":"cf_bad_gateway"}}'
    assert edge.content_type == "application/json"
    assert edge.parsed_body()["code"] == 502
    page = errors.bad_gateway(html=True)
    assert page.content_type == "text/html"
    assert page.parsed_body().startswith("<html>")
    assert page.status == edge.status == 502


def test_retry_after_is_a_header_of_whole_seconds_or_absent() -> None:
    assert errors.for_status(429, retry_after_seconds=3).headers == {"retry-after": "3"}
    assert errors.for_status(429).headers == {}


@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limit_exceeded"), (500, None), (409, None), (502, None)])
def test_faults_answer_with_what_belongs_to_their_status(status: int, kind: str | None) -> None:
    error = errors.for_status(status)
    assert (error.status, error.code) == (status, kind)


def test_long_keys_are_masked() -> None:
    assert "sk-abcde************6789." in errors.bad_key("sk-abcdefghijklmnopq6789").message
