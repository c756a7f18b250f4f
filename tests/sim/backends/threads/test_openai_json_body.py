"""Bodies of requests: what is JSON comes through unchanged, what is not gets one answer, and nothing else happens."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from relaysim.sim.backends import errors
from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.json_body import DEPTH_MAX, parse_json_object

JSON = "application/json"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def refused(body: bytes, content_type: str | None = JSON) -> ApiError:
    """The error that the body gets."""
    with pytest.raises(ApiError) as caught:
        parse_json_object(body, content_type)
    return caught.value


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5), st.booleans())
def test_every_json_object_comes_through_unchanged(fields: dict[str, Any], escaped: bool) -> None:
    body = json.dumps(fields, ensure_ascii=escaped).encode()
    assert parse_json_object(body, JSON) == fields


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\udD8ca0019eE+-.NInfty ', max_size=60).map(str.encode))
@example(b'{"a": "\xed\xa0\x80"}')
@example('{"a": 1}'.encode("utf-16"))
@example(b'{"a":' * 400 + b"1" + b"}" * 400)
def test_any_bytes_give_an_object_that_can_be_encoded_or_the_one_error(body: bytes) -> None:
    answer: dict[str, Any] | bytes
    try:
        answer = parse_json_object(body, JSON)
    except ApiError as error:
        answer = error.to_bytes()
    if isinstance(answer, bytes):
        assert answer == errors.malformed_json().to_bytes()
    else:
        json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b"{'a': 1}",
        b'{"a": 1} {}',
        b'{"a": NaN}',
        b'{"a": [Infinity]}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": -1E+999}',
        b'{"a": ' + b"1" * 5000 + b"}",
        b'{"a": "\\ud83d"}',
        b'{"a": "\\uDE00"}',
        b'{"\\uD83D \\ude00": 1}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": "é"}'.encode("latin-1"),
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-32"),
        b'{"a": "\n"}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_what_is_no_json_object_gets_the_documented_answer(body: bytes) -> None:
    assert refused(body).to_bytes() == errors.malformed_json().to_bytes()


def test_the_deepest_body_that_passes() -> None:
    inside = DEPTH_MAX - 1
    fields = parse_json_object(b'{"a": ' + b"[" * inside + b"]" * inside + b"}", JSON)
    json.dumps(fields)
    refused(b'{"a": ' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"}")
    # Many brackets beside each other are not depth.
    assert len(parse_json_object(b'{"a": [' + b"[]," * 500 + b"{}]}", JSON)["a"]) == 501


def test_brackets_in_strings_are_not_depth() -> None:
    assert parse_json_object(b'{"a": "' + b"[" * 500 + b'"}', JSON) == {"a": "[" * 500}


def test_oddities_are_kept() -> None:
    assert parse_json_object(b'{"a": "\\u0000\\ud83d\\ude00\\\\ud83d", "": -0.0}', JSON) == {
        "a": "\0😀\\ud83d",
        "": -0.0,
    }


def test_of_a_repeated_key_the_last_value_counts() -> None:
    assert parse_json_object(b'{"a": 1, "b": 2, "a": 3}', JSON) == {"a": 3, "b": 2}


@pytest.mark.parametrize("body", [b"", b" \r\n\t"])
@pytest.mark.parametrize("content_type", [None, JSON, "text/plain"])
def test_an_empty_body_is_an_empty_object_whatever_it_is_called(body: bytes, content_type: str | None) -> None:
    assert parse_json_object(body, content_type) == {}


@pytest.mark.parametrize(
    "content_type", [None, "", JSON, "Application/JSON", "application/json; charset=utf-8", " application/json ;x"]
)
def test_json_by_any_of_its_names(content_type: str | None) -> None:
    assert parse_json_object(b'{"a": 1}', content_type) == {"a": 1}
    assert parse_json_object(b'\xef\xbb\xbf{"a": 1}', content_type) == {"a": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/jsonl",
        ";",
        "\udcff",
    ],
)
def test_another_media_type_is_refused_in_the_captured_words(content_type: str) -> None:
    error = refused(b'{"a": 1}', content_type)
    assert (error.status, error.code, error.param) == (400, "unsupported_content_type", None)
    json.loads(error.to_bytes())


def test_the_captured_refusal_of_a_media_type() -> None:
    assert refused(b"a=1", "multipart/form-data").message == (
        "Unsupported content type: 'multipart/form-data'. This API method only accepts 'application/json' requests, "
        "but you specified the header 'Content-Type: multipart/form-data'. Please try again with a supported content "
        "type."
    )
