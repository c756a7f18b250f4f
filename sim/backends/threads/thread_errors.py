"""The error answers that the Threads API alone has, with the evidence as in `relaysim.sim.backends.errors`."""

from __future__ import annotations

from collections.abc import Iterable

from relaysim.sim.backends.errors import ApiError

# The thread is locked


def append_while_active(thread_id: str, run_id: str) -> ApiError:
    """Append refused because a run is active (captured)."""
    return ApiError(400, f"Can't add messages to {thread_id} while a run {run_id} is active.")


def run_while_active(thread_id: str, run_id: str) -> ApiError:
    """Creation of a run refused because one is active (captured)."""
    return ApiError(400, f"Thread {thread_id} already has an active run {run_id}.")


# A run is not in the right state


def cannot_cancel(status: str) -> ApiError:
    """Cancel of a run that is completed, cancelled or cancelling (relied on), or otherwise finished (inferred)."""
    return ApiError(400, f"Cannot cancel run with status '{status}'.")


def no_tool_outputs(status: str) -> ApiError:
    """Tool outputs for a run that waits for none (captured)."""
    return ApiError(400, f'Runs in status "{status}" do not accept tool outputs.')


def incomplete_tool_outputs(expected: Iterable[str], got: Iterable[str]) -> ApiError:
    """Tool outputs for some of the calls only (captured)."""
    return ApiError(400, f"Expected tool outputs for call_ids {list(expected)}, got {list(got)}")


# Something does not exist


def no_thread(thread_id: str) -> ApiError:
    """Unknown thread (captured)."""
    return ApiError(404, f"No thread found with id '{thread_id}'.")


def no_assistant(assistant_id: str) -> ApiError:
    """Unknown assistant (captured)."""
    return ApiError(404, f"No assistant found with id '{assistant_id}'.")


def no_run(run_id: str) -> ApiError:
    """Unknown run, or a run of another thread (inferred from the thread's)."""
    return ApiError(404, f"No run found with id '{run_id}'.")


def no_message(message_id: str) -> ApiError:
    """Unknown message, or a message of another thread (inferred from the thread's)."""
    return ApiError(404, f"No message found with id '{message_id}'.")


def no_step(step_id: str) -> ApiError:
    """Unknown run step, or a step of another run (inferred from the thread's)."""
    return ApiError(404, f"No run step found with id '{step_id}'.")


# The request is malformed


def no_beta_header() -> ApiError:
    """The beta header is absent (captured)."""
    return ApiError(
        400,
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the "
        "header 'OpenAI-Beta: assistants=v2'.",
        code="invalid_beta",
    )


def version_1_is_gone() -> ApiError:
    """The beta header of the API's first version, switched off at the end of 2024 (captured; its code is taken from the
    absent header's)."""
    return ApiError(
        400,
        "The v1 Assistants API has been deprecated. Please try again by setting the header 'OpenAI-Beta: assistants=v2'. "
        "See the migration guide for more information: https://platform.openai.com/docs/assistants/migration.",
        code="invalid_beta",
    )


def empty_content(param: str = "content") -> ApiError:
    """A message without text (inferred)."""
    return ApiError(400, "Message content must be non-empty.", param=param)


def tool_outputs_too_large() -> ApiError:
    """Tool outputs that are too much together (captured)."""
    return ApiError(
        400,
        "'tool_outputs' too large: the combined tool outputs must be less than 512kb.",
        param="tool_outputs",
        code="invalid_value",
    )
