"""Policy cancel-and-retry: waits to the second, log lines to the letter, each setting of the fix.

Method: the API of the tests refuses as many appends as a test says; time jumps, so a wait of 8 s takes none.
"""

import itertools
import logging
import math
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_doubles import (
    ANSWER,
    MESSAGE,
    MemoryApi,
    MemoryRedis,
    Told,
    a_run,
    api_error,
    append_conflict,
    cancel_refusal,
    creation_conflict,
    handle,
)

from relaysim.relay import FRIENDLY_APOLOGY, GENERIC_APOLOGY, Handled, Outcome

SYMBOLS = ("⚠️ ", "🔄 ", "✅ ", "⏳ ", "✅ ")


def refusing(appends: int, **others: Any) -> MemoryApi:
    """An API that refuses the first `appends` appends."""
    return MemoryApi(errors={"messages.create": [append_conflict() for _ in range(appends)]}, **others)


def report_lines(told: Told) -> list[str]:
    return [line for line in told.lines if "[OpenAI]" in line]


def conflict_lines(attempt: int, milliseconds: int, attempts: int = 3) -> list[str]:
    return [
        f"⚠️ [OpenAI] Active run detected during message creation (attempt {attempt}/{attempts})",
        "🔄 [OpenAI] Attempting to cancel run run_BLOCKER1",
        "✅ [OpenAI] Run run_BLOCKER1 cancellation requested",
        f"⏳ [OpenAI] Waiting {milliseconds}ms before retry...",
    ]


def test_without_a_conflict_nothing_is_waited_for_and_no_line_of_the_fix_is_logged() -> None:
    api = MemoryApi()
    told = handle(api=api)
    assert told.result == Handled(Outcome.ANSWERED, attempts=1, waited_seconds=0.0, run_id="run_OWN1")
    assert told.sent == [(MESSAGE.conversation, ANSWER)]
    assert told.lines == []
    assert told.ended_at == 1.0  # one look at the run


@pytest.mark.parametrize(("conflicts", "waited"), [(1, 2.0), (2, 6.0)])
def test_the_append_succeeds_after_exactly_the_waits_before_it(conflicts: int, waited: float) -> None:
    api = refusing(conflicts)
    told = handle(api=api)
    assert told.result == Handled(Outcome.ANSWERED, conflicts + 1, waited, "run_OWN1")
    assert [call[0] for call in api.of("messages.create")] == [0.0, 2.0, 6.0][: conflicts + 1]
    expected = conflict_lines(1, 2000) + (conflict_lines(2, 4000) if conflicts == 2 else [])
    assert told.lines == [*expected, f"✅ [OpenAI] Message created successfully (attempt {conflicts + 1})"]


def test_the_third_failure_is_waited_for_too_and_ends_in_the_friendly_apology_after_14_s() -> None:
    api = refusing(3)
    told = handle(api=api)
    assert told.result == Handled(Outcome.FRIENDLY_APOLOGY, attempts=3, waited_seconds=14.0, run_id=None)
    assert told.ended_at == 14.0
    assert told.sent == [
        (
            MESSAGE.conversation,
            "Desculpe, estou processando sua mensagem anterior. Por favor, aguarde um momento e tente novamente.",
        )
    ]
    assert told.lines == [
        *conflict_lines(1, 2000),
        *conflict_lines(2, 4000),
        *conflict_lines(3, 8000),
        "[OpenAI] Failed to create message after 3 attempts",
    ]
    assert [level for level, _ in told.log] == [logging.WARNING, *[logging.INFO] * 3] * 3 + [logging.ERROR]
    assert [call[2:] for call in api.of("runs.cancel")] == [("run_BLOCKER1", "thread_T1")] * 3
    assert "runs.create" not in api.names()


def test_without_the_wait_after_the_last_failure_giving_up_takes_6_s_and_still_cancels() -> None:
    api = refusing(3)
    told = handle(api=api, wait_after_last_failure=False)
    assert told.result == Handled(Outcome.FRIENDLY_APOLOGY, 3, 6.0, None)
    assert told.ended_at == 6.0
    assert len(api.of("runs.cancel")) == 3
    assert not any("Waiting 8000ms" in line for line in told.lines)
    assert told.lines[-1] == "[OpenAI] Failed to create message after 3 attempts"


@pytest.mark.parametrize(
    ("settings", "waited"),
    [
        ({"first_wait_seconds": 1.0}, 7.0),
        ({"factor": 1.0}, 6.0),
        ({"first_wait_seconds": 0.25, "factor": 4}, 5.25),
        ({"attempts": 1}, 2.0),
        ({"attempts": 1, "wait_after_last_failure": False}, 0.0),
        ({"attempts": 5}, 62.0),
        ({"waits": [1, 0.5, 3]}, 4.5),
        ({"waits": [1, 0.5], "wait_after_last_failure": False}, 1.5),
        ({"waits": [1, 0.5, 3], "wait_after_last_failure": False}, 1.5),
        ({"waits": [0, 0, 0], "first_wait_seconds": 9.0}, 0.0),
    ],
)
def test_the_waits_follow_the_settings_to_the_tick(settings: dict[str, Any], waited: float) -> None:
    told = handle(api=refusing(99), **settings)
    assert (told.result.outcome, told.result.waited_seconds, told.ended_at) == (
        Outcome.FRIENDLY_APOLOGY,
        waited,
        waited,
    )
    assert report_lines(told)[-1] == f"[OpenAI] Failed to create message after {settings.get('attempts', 3)} attempts"


@given(
    waits=st.lists(st.integers(0, 64).map(lambda sixteenths: sixteenths / 16), min_size=1, max_size=6),
    conflicts=st.integers(0, 7),
    wait_after_last_failure=st.booleans(),
)
def test_any_waits_are_kept_in_order_and_counted_once(
    waits: list[float], conflicts: int, wait_after_last_failure: bool
) -> None:
    attempts = len(waits)
    gives_up = conflicts >= attempts
    usable = waits if wait_after_last_failure else waits[:-1]
    expected = sum(usable if gives_up else waits[:conflicts])
    api = refusing(conflicts)
    told = handle(api=api, attempts=attempts, waits=waits, wait_after_last_failure=wait_after_last_failure)
    assert told.result.waited_seconds == expected
    assert told.result.attempts == min(conflicts + 1, attempts)
    assert told.result.outcome is (Outcome.FRIENDLY_APOLOGY if gives_up else Outcome.ANSWERED)
    assert told.ended_at == expected + (0.0 if gives_up else 1.0)
    times = [call[0] for call in api.of("messages.create")]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == waits[: len(times) - 1]


@pytest.mark.parametrize(
    ("jitter", "draws", "slept", "milliseconds"),
    [
        ("full", [0.5, 0.25, 0.125], 1 + 1 + 1, ["1000", "1000", "1000"]),
        ("equal", [0.5, 0.25, 0.125], 1.5 + 2.5 + 4.5, ["1500", "2500", "4500"]),
        ("full", [0.0004, 0.0, 0.9999], 0.0008 + 7.9992, ["1", "0", "7999"]),
        ("none", [], 14.0, ["2000", "4000", "8000"]),
    ],
)
def test_jitter_draws_through_the_random_module_at_each_wait(
    monkeypatch: pytest.MonkeyPatch, jitter: str, draws: list[float], slept: float, milliseconds: list[str]
) -> None:
    left = list(draws)
    monkeypatch.setattr(random, "random", lambda: left.pop(0))
    told = handle(api=refusing(3), jitter=jitter)
    assert left == []
    assert math.isclose(told.result.waited_seconds, slept, rel_tol=1e-12)
    assert math.isclose(told.ended_at, slept, rel_tol=1e-12)
    assert [line.split("Waiting ")[1].split("ms")[0] for line in told.lines if "Waiting" in line] == milliseconds


@given(draw=st.floats(0, 1, exclude_max=True), jitter=st.sampled_from(["full", "equal"]))
def test_jitter_never_leaves_its_range(draw: float, jitter: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "random", lambda: draw)
        told = handle(api=refusing(1), jitter=jitter)
    assert (0.0 if jitter == "full" else 1.0) <= told.result.waited_seconds <= 2.0


def test_without_symbols_the_lines_are_the_same_words() -> None:
    with_symbols, plain = handle(api=refusing(2)), handle(api=refusing(2), log_symbols=False)
    stripped = [line.removeprefix(next((s for s in SYMBOLS if line.startswith(s)), "")) for line in with_symbols.lines]
    assert plain.lines == stripped
    assert plain.lines[:4] == [
        "[OpenAI] Active run detected during message creation (attempt 1/3)",
        "[OpenAI] Attempting to cancel run run_BLOCKER1",
        "[OpenAI] Run run_BLOCKER1 cancellation requested",
        "[OpenAI] Waiting 2000ms before retry...",
    ]
    assert plain.lines[-1] == "[OpenAI] Message created successfully (attempt 3)"


@pytest.mark.skipif(shutil.which("grep") is None, reason="there is no grep here")
@pytest.mark.parametrize("log_symbols", [True, False])
def test_the_operators_searches_find_what_they_should(tmp_path: Path, log_symbols: bool) -> None:
    log = tmp_path / "relay.log"
    lines = [line for conflicts in range(4) for line in handle(api=refusing(conflicts), log_symbols=log_symbols).lines]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def count(pattern: str) -> int:
        found = subprocess.run(["grep", "-c", pattern, str(log)], capture_output=True, text=True, check=False)
        return int(found.stdout)

    assert count("Message created successfully (attempt [2-3])") == 2
    assert count("Failed to create message after 3 attempts") == 1


def test_the_run_to_cancel_is_read_out_of_the_error_each_time() -> None:
    api = MemoryApi(errors={"messages.create": [append_conflict("run_A1b2"), append_conflict("run_C3")]})
    handle(api=api)
    assert [(call[0], call[2]) for call in api.of("runs.cancel")] == [(0.0, "run_A1b2"), (2.0, "run_C3")]


def test_a_conflict_that_names_no_readable_run_is_waited_for_without_a_cancel() -> None:
    nameless = api_error(400, "Can't add messages to thread_T1 while a run is active.")
    api = MemoryApi(errors={"messages.create": [nameless]})
    told = handle(api=api)
    assert told.result == Handled(Outcome.ANSWERED, 2, 2.0, "run_OWN1")
    assert "runs.cancel" not in api.names()
    assert "[Relay] The error names no run, so none is cancelled" in told.lines


@pytest.mark.parametrize(
    "error",
    [
        api_error(404, "No thread found with id 'thread_T1'."),
        api_error(500, "The server had an error while processing your request. Sorry about that!"),
        creation_conflict(),
        openai.APIConnectionError(request=api_error(500, "").request),
        openai.APITimeoutError(api_error(500, "").request),
        ValueError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_other_error_of_the_append_ends_the_handling_at_once(error: Exception) -> None:
    api = MemoryApi(errors={"messages.create": [error]})
    told = handle(api=api)
    assert told.result == Handled(Outcome.GENERIC_APOLOGY, 1, 0.0, None)
    assert told.sent == [(MESSAGE.conversation, GENERIC_APOLOGY)]
    assert told.ended_at == 0.0
    assert report_lines(told) == []
    assert "runs.cancel" not in api.names()


def test_an_error_of_a_later_attempt_ends_the_handling_too() -> None:
    api = MemoryApi(errors={"messages.create": [append_conflict(), api_error(404, "gone")]})
    assert handle(api=api).result == Handled(Outcome.GENERIC_APOLOGY, 2, 2.0, None)


CANCEL_ERRORS = [cancel_refusal(), api_error(404, "No run found."), openai.APITimeoutError(api_error(500, "").request)]


@pytest.mark.parametrize("error", CANCEL_ERRORS, ids=lambda error: type(error).__name__)
def test_a_failed_cancel_is_logged_and_the_wait_goes_on(error: Exception) -> None:
    api = refusing(1)
    api.errors["runs.cancel"] = [error]
    told = handle(api=api, cancel_error="ignore")
    assert told.result == Handled(Outcome.ANSWERED, 2, 2.0, "run_OWN1")
    assert told.lines[0].endswith("(attempt 1/3)")
    assert told.lines[1] == "🔄 [OpenAI] Attempting to cancel run run_BLOCKER1"
    assert told.lines[2].startswith("[Relay] The cancel of run run_BLOCKER1 failed, waiting anyway: ")
    assert told.lines[3] == "⏳ [OpenAI] Waiting 2000ms before retry..."
    assert not any("cancellation requested" in line for line in told.lines)


@pytest.mark.parametrize("error", CANCEL_ERRORS, ids=lambda error: type(error).__name__)
def test_where_a_failed_cancel_raises_the_customer_gets_the_generic_apology_at_once(error: Exception) -> None:
    api = refusing(1)
    api.errors["runs.cancel"] = [error]
    told = handle(api=api, cancel_error="raise")
    assert told.result == Handled(Outcome.GENERIC_APOLOGY, 1, 0.0, None)
    assert told.ended_at == 0.0
    assert not any("Waiting" in line for line in told.lines)


def test_a_stuck_run_found_by_the_check_costs_6_s_or_with_raise_the_generic_apology() -> None:
    def api() -> MemoryApi:
        world = refusing(2, listed_runs=[a_run("run_BLOCKER1", "in_progress")])
        world.errors["runs.cancel"] = [None, cancel_refusal(), cancel_refusal()]
        return world

    assert handle(api=api()).result == Handled(Outcome.ANSWERED, 3, 6.0, "run_OWN1")
    assert handle(api=api(), cancel_error="raise").result == Handled(Outcome.GENERIC_APOLOGY, 1, 0.0, None)


@pytest.mark.parametrize("cancel_error", ["ignore", "raise"])
def test_a_cancel_without_its_thread_id_requests_nothing_and_ends_in_the_generic_apology(cancel_error: str) -> None:
    api = refusing(1)
    told = handle(api=api, cancel_with_thread_id=False, cancel_error=cancel_error)
    assert told.result == Handled(Outcome.GENERIC_APOLOGY, 1, 0.0, None)
    assert "runs.cancel" not in api.names()
    assert told.lines[-2:] == [
        "🔄 [OpenAI] Attempting to cancel run run_BLOCKER1",
        "[Relay] Handling failed on thread_T1: TypeError",
    ]
    assert told.records[-1].exc_info is not None  # a bug of the caller's: its traceback is wanted


def test_the_locks_are_held_through_the_waits_and_the_sending() -> None:
    store = MemoryRedis()
    handle(api=refusing(3), store=store)
    assert [(call[0], call[1], call[2]) for call in store.calls] == [
        (0.0, "set", "lock:chat:" + MESSAGE.conversation),
        (0.0, "set", "lock:thread:thread_T1"),
        (14.0, "eval", "lock:thread:thread_T1"),
        (14.0, "eval", "lock:chat:" + MESSAGE.conversation),
    ]
    assert store.data == {}


def test_the_apologies_are_those_of_the_report() -> None:
    assert GENERIC_APOLOGY == "Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente."
    assert FRIENDLY_APOLOGY == (
        "Desculpe, estou processando sua mensagem anterior. Por favor, aguarde um momento e tente novamente."
    )
