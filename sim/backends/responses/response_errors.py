"""The error answers of Responses and Conversations, with the evidence as in `relaysim.sim.backends.errors`."""

from __future__ import annotations

from relaysim.sim.backends.errors import ApiError

# The conversation is locked


def locked() -> ApiError:
    """Another response works on the conversation (captured by about a dozen clients): it names no holder."""
    return ApiError(
        400,
        "Another process is currently operating on this conversation. Please retry in a few seconds.",
        param="conversation",
        code="conversation_locked",
    )


def locked_as_conflict() -> ApiError:
    """The same as Foundry's resilient host says it (executed on its server library)."""
    return ApiError(409, "Conversation is locked — task is in_progress", type="conflict", code="conversation_locked")


def cannot_fork() -> ApiError:
    """A response to continue that is not its conversation's newest, on a steerable Foundry host (read; type inferred)."""
    return ApiError(
        409,
        "This agent does not support conversation forking. previous_response_id must reference the most recent response in "
        "the conversation.",
        type="conflict",
        param="previous_response_id",
        code="conversation_fork_not_supported",
    )


def superseded() -> ApiError:
    """A turn in the foreground that a newer one took the place of, on a steerable Foundry host (executed): an empty body."""
    return ApiError(500, "", type="server_error", raw=b"")


# Something does not exist


def no_conversation(conversation_id: str) -> ApiError:
    """An unknown conversation (inferred from the sentence about responses)."""
    return ApiError(404, f"Conversation with id '{conversation_id}' not found.", code=None)


def no_item(item_id: str) -> ApiError:
    """An item that the conversation does not have (inferred)."""
    return ApiError(404, f"Item with id '{item_id}' not found.")


def no_response(response_id: str) -> ApiError:
    """An unknown response, or one in the foreground that still works (documented)."""
    return ApiError(404, f"Response with id '{response_id}' not found.")


def no_previous_response(response_id: str) -> ApiError:
    """An unknown response to continue (captured)."""
    return ApiError(
        400,
        f"Previous response with id '{response_id}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def not_stored(item_id: str) -> ApiError:
    """An item of a response that was not stored (captured)."""
    return ApiError(
        400,
        f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. Try again with "
        "`store` set to true, or remove this item from your input.",
        param="input",
    )


# What the state does not allow


def cannot_continue(response_id: str) -> ApiError:
    """A response that still works cannot be continued (inferred)."""
    return ApiError(
        400, f"Previous response with id '{response_id}' is still in progress.", param="previous_response_id"
    )


def cannot_cancel(status: str) -> ApiError:
    """A response that has ended (captured for completed, documented for failed, inferred for incomplete)."""
    article = "an" if status == "incomplete" else "a"
    return ApiError(400, f"Cannot cancel {article} {status} response.", param="response_id")


def cannot_cancel_synchronous() -> ApiError:
    """A response that was not created in the background and has ended (documented)."""
    return ApiError(400, "Cannot cancel a synchronous response.", param="response_id")


def cannot_delete() -> ApiError:
    """A response that still works (documented)."""
    return ApiError(400, "Cannot delete an in-flight response.", param="response_id")


def cannot_stream() -> ApiError:
    """A stream to be taken up of a response that is none in the background (captured)."""
    return ApiError(
        400,
        "This response cannot be streamed because it was not created with background=true.",
        param="stream",
    )


# What the conversation's items do not allow


def no_tool_output(call_id: str) -> ApiError:
    """A function call in the history that has no output (captured)."""
    return ApiError(400, f"No tool output found for function call {call_id}.", param="input")


def no_tool_call(call_id: str) -> ApiError:
    """An output to a function call that is not in the history (captured)."""
    return ApiError(400, f"No tool call found for function call output with call_id {call_id}.", param="input")


def duplicate_item(item_id: str) -> ApiError:
    """An item that is there already (relied on)."""
    return ApiError(
        400,
        f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again.",
        param="input",
    )


def both_given() -> ApiError:
    """A conversation and a response to continue (inferred from the documented rule)."""
    return ApiError(
        400,
        "Mutually exclusive parameters: 'conversation' and 'previous_response_id'. Ensure you are only providing one of: "
        "'previous_response_id' or 'conversation'.",
        param="previous_response_id",
        code="mutually_exclusive_parameters",
    )


def background_not_stored() -> ApiError:
    """A response in the background that is not to be stored (documented as a rule, worded here)."""
    return ApiError(400, "Background responses require `store` to be true.", param="background")
