"""Which exceptions came out of nothing, and how calls are named that nothing answers."""

from __future__ import annotations

import openai
import pytest
import redis

from relaysim.sim.kernel import place_of_caller, place_of_error
from relaysim.sim.world.obstacles import Raised, UnsimulatedCall
from relaysim.sim.world.send_faults import SendRefused


def error_from(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "of_the_world"),
    [
        (error_from(TypeError("x")), False),
        (error_from(ValueError("x"), KeyError("y")), False),
        (error_from(openai.OpenAIError("a parameter is missing")), False),
        (error_from(redis.DataError("no such type")), False),
        (error_from(redis.ResponseError("wrong kind of value")), False),
        (error_from(TimeoutError()), True),
        (error_from(redis.exceptions.LockNotOwnedError("lost")), True),
        (error_from(redis.ConnectionError("away")), True),
        (error_from(SendRefused("refused")), True),
        (error_from(RuntimeError("no answer"), redis.TimeoutError()), True),
    ],
)
def test_how_locks_faults_and_time_limits_show_themselves_is_no_exception_out_of_nothing(
    error: Exception, of_the_world: bool
) -> None:
    assert Raised.by("c1.m1#1", error).of_the_world is of_the_world


def test_an_exception_names_the_innermost_line_that_is_no_librarys() -> None:
    with pytest.raises(KeyError) as caught:
        pytest.importorskip("operator").itemgetter("x")({})
    line = caught.traceback[0].lineno + 1
    assert place_of_error(caught.value).endswith(f"test_world_obstacles.py:{line}")
    assert Raised.by("c1.m1#1", caught.value).what.startswith("KeyError in ")
    assert place_of_error(KeyError("never raised")) == ""


def test_the_caller_is_the_innermost_line_that_is_no_librarys() -> None:
    (place,) = map(lambda _: place_of_caller(), [None])  # noqa: C417 - called from C
    assert "test_world_obstacles.py:" in place


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/chat/completions", "GET /v1/chat/completions (bot.py:3)"),
        ("/v1/files/file-9aB/content?x=1", "GET /v1/files/{id}/content (bot.py:3)"),
        ("/v1/models/gpt-4o", "GET /v1/models/{id} (bot.py:3)"),
    ],
)
def test_ids_do_not_make_one_call_many(path: str, shown: str) -> None:
    assert str(UnsimulatedCall("GET", path, "bot.py:3")) == shown
