"""What a turn reads: items as the replier sees them, the function calls among them, and their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from relaysim.sim.backends.json_values import Object
from relaysim.sim.backends.responses import response_errors
from relaysim.sim.backends.responses.records import Item
from relaysim.sim.backends.tokens import TOKENS_PER_MESSAGE, tokens_of_text


def messages_of(items: Iterable[Item]) -> list[Object]:
    """The messages of customers and models, as `relaysim.sim.backends.replies.Turn` has them."""
    found = []
    for item in items:
        text = item.text
        if text is None or item.view["role"] not in ("user", "assistant"):
            continue
        content = [{"type": "text", "text": {"value": text, "annotations": []}}]
        found.append(
            {"id": item.id, "role": item.view["role"], "content": content, "run_id": item.turn_id, "metadata": {}}
        )
    return found


def tool_outputs_of(items: Sequence[Item]) -> list[dict[str, str]]:
    """What function calls gave since the newest message of a user, oldest first."""
    calls: dict[str, Mapping[str, Any]] = {}
    found: list[dict[str, str]] = []
    for item in items:
        view = item.view
        kind = view["type"]
        if kind == "message" and view["role"] == "user":
            found.clear()
        elif kind == "function_call":
            calls[view["call_id"]] = view
        elif kind == "function_call_output":
            call = calls.get(view["call_id"], {})
            output = view["output"]
            found.append(
                {
                    "id": view["call_id"],
                    "name": call.get("name", ""),
                    "arguments": call.get("arguments", ""),
                    "output": output if isinstance(output, str) else str(output),
                }
            )
    return found


def check_tool_calls(history: Sequence[Item], inputs: Sequence[Item]) -> None:
    """Refuse a turn that would read a function call without its output, or an output without its call (both captured)."""
    if not any(item.view["type"] != "message" for item in (*history, *inputs)):
        return
    calls: dict[str, None] = {}
    outputs: set[str] = set()
    for item in (*history, *inputs):
        if item.view["type"] == "function_call":
            calls[item.view["call_id"]] = None
        elif item.view["type"] == "function_call_output":
            outputs.add(item.view["call_id"])
    for item in inputs:
        if item.view["type"] == "function_call_output" and item.view["call_id"] not in calls:
            raise response_errors.no_tool_call(item.view["call_id"])
    for call_id in calls:
        if call_id not in outputs:
            raise response_errors.no_tool_output(call_id)


def tokens_of_items(views: Iterable[Mapping[str, Any]], instructions: Any = None) -> int:
    """Estimated tokens of items as a prompt; a picture or file counts as 85, what a small image is billed."""
    total = tokens_of_text(instructions) if isinstance(instructions, str) else 0
    for view in views:
        total += TOKENS_PER_MESSAGE
        if view["type"] == "message":
            for part in view["content"]:
                total += tokens_of_text(part["text"]) if "text" in part else 85
        else:
            for name in ("name", "arguments", "output"):
                value = view.get(name)
                total += tokens_of_text(value) if isinstance(value, str) else 0
    return total
