"""Goal: the fix as servers run it differs from the printed one in what its module says, and in nothing else.

Method: the doubles of the other policies' tests, in virtual time.
"""

from relay_doubles import MemoryApi, a_run, append_conflict, handle

from relaysim.relay import Handled, Outcome, cancel_and_retry, cancel_and_retry_as_run

CREATED = "✅ [OpenAI] Message created successfully (attempt 1)"


def refusing(conflicts: int) -> MemoryApi:
    return MemoryApi(errors={"messages.create": [append_conflict() for _ in range(conflicts)]})


def test_the_first_attempt_is_logged() -> None:
    assert CREATED in handle(cancel_and_retry_as_run).lines
    assert CREATED not in handle(cancel_and_retry).lines


def test_giving_up_takes_six_seconds_and_not_fourteen() -> None:
    told = handle(cancel_and_retry_as_run, api=refusing(3))
    assert told.result == Handled(Outcome.FRIENDLY_APOLOGY, 3, 6.0, None)
    assert handle(cancel_and_retry, api=refusing(3)).result == Handled(Outcome.FRIENDLY_APOLOGY, 3, 14.0, None)


def test_a_run_that_outlives_the_check_ends_in_the_generic_text_and_is_never_appended_to() -> None:
    api = MemoryApi(listed_runs=[a_run("run_OLD1", "in_progress")], run_states=["cancelling"])
    told = handle(cancel_and_retry_as_run, api=api)
    assert told.result == Handled(Outcome.GENERIC_APOLOGY, 0, 0.0, None)
    assert told.ended_at == 5


def test_a_run_that_ends_within_the_check_lets_the_message_through() -> None:
    states = ["cancelling", "cancelling", "cancelled", "queued", "completed"]
    api = MemoryApi(listed_runs=[a_run("run_OLD1", "in_progress")], run_states=states)
    told = handle(cancel_and_retry_as_run, api=api)
    assert told.result is not None
    assert told.result.attempts == 1


def test_settings_are_those_of_the_fix_and_two_more() -> None:
    told = handle(cancel_and_retry_as_run, api=refusing(1), check_patience_seconds=0, waits=[0.5, 0.5])
    assert told.result is not None
    assert (told.result.attempts, told.result.waited_seconds) == (2, 0.5)
