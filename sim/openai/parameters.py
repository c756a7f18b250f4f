"""Checks of request parameters: each returns what is stored, or raises the `ApiError` that the API answers with.

The limits (16 pairs of metadata, 64 and 512 characters, 256,000 characters of content) are documented; the errors'
wording is that of the API's other endpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sim.openai import errors

Object = dict[str, Any]
CheckedMessage = tuple[str, list[Object], Object, list[Any]]

METADATA_KEYS_MAX: Final = 16
METADATA_KEY_LENGTH_MAX: Final = 64
METADATA_VALUE_LENGTH_MAX: Final = 512
CONTENT_LENGTH_MAX: Final = 256_000


def check_id(param: str, value: Any, prefix: str) -> None:
    """An id of the kind that `prefix` says."""
    if not isinstance(value, str):
        raise errors.invalid_type(param, "a string", value)
    if not value.startswith(f"{prefix}_"):
        raise errors.malformed_id(param, value, prefix)


def text_parts(text: str) -> list[Object]:
    """A text as a message's content."""
    return [{"type": "text", "text": {"value": text, "annotations": []}}]


def check_content(param: str, content: Any) -> list[Object]:
    """A message's content, a string or a list of parts, as the list that is stored."""
    if isinstance(content, str):
        if not content:
            raise errors.empty_content()
        if len(content) > CONTENT_LENGTH_MAX:
            raise errors.string_too_long(param, CONTENT_LENGTH_MAX, len(content))
        return text_parts(content)
    if not isinstance(content, Sequence):
        raise errors.invalid_type(param, "a string or an array of objects", content)
    parts: list[Object] = []
    for index, part in enumerate(content):
        if not isinstance(part, Mapping):
            raise errors.invalid_type(f"{param}[{index}]", "an object", part)
        kind = part.get("type")
        if kind is None:
            raise errors.missing_parameter(f"{param}[{index}].type")
        if kind == "text":
            text = part.get("text")
            if not isinstance(text, str):
                raise errors.invalid_type(f"{param}[{index}].text", "a string", text)
            parts += text_parts(text)
        elif kind in ("image_file", "image_url"):
            parts.append(dict(part))
        else:
            raise errors.invalid_choice(f"{param}[{index}].type", str(kind), ("text", "image_url", "image_file"))
    if not parts:
        raise errors.empty_content()
    return parts


def check_metadata(metadata: Any, param: str = "metadata") -> Object:
    """Metadata as a dict of the store's own."""
    if not metadata:
        return {}
    if not isinstance(metadata, Mapping):
        raise errors.invalid_type(param, "an object", metadata)
    if len(metadata) > METADATA_KEYS_MAX:
        raise errors.too_many_properties(param, METADATA_KEYS_MAX, len(metadata))
    for key, value in metadata.items():
        if len(key) > METADATA_KEY_LENGTH_MAX:
            raise errors.string_too_long(param, METADATA_KEY_LENGTH_MAX, len(key))
        if not isinstance(value, str):
            raise errors.invalid_type(f"{param}.{key}", "a string", value)
        if len(value) > METADATA_VALUE_LENGTH_MAX:
            raise errors.string_too_long(f"{param}.{key}", METADATA_VALUE_LENGTH_MAX, len(value))
    return dict(metadata)


def check_messages(param: str, messages: Any) -> list[CheckedMessage]:
    """A list of messages to be stored; the parameter's name leads the names in the errors."""
    if not messages:
        return []
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise errors.invalid_type(param, "an array of objects", messages)
    checked = []
    for index, message in enumerate(messages):
        where = f"{param}[{index}]"
        if not isinstance(message, Mapping):
            raise errors.invalid_type(where, "an object", message)
        checked.append(
            check_message(
                f"{where}.",
                message.get("role"),
                message.get("content"),
                message.get("metadata"),
                message.get("attachments"),
            )
        )
    return checked


def check_message(where: str, role: Any, content: Any, metadata: Any, attachments: Any) -> CheckedMessage:
    """One message's parameters: role, content, metadata and attachments as they are stored."""
    if role is None:
        raise errors.missing_parameter(f"{where}role")
    if role not in ("user", "assistant"):
        raise errors.invalid_choice(f"{where}role", str(role), ("user", "assistant"))
    if content is None:
        raise errors.missing_parameter(f"{where}content")
    if attachments is not None and not isinstance(attachments, list | tuple):
        raise errors.invalid_type(f"{where}attachments", "an array of objects", attachments)
    return (
        role,
        check_content(f"{where}content", content),
        check_metadata(metadata, f"{where}metadata"),
        list(attachments) if attachments else [],
    )


def check_tool_resources(resources: Any) -> Object:
    """Tool resources as a dict of the store's own; not looked into."""
    if not resources:
        return {}
    if not isinstance(resources, Mapping):
        raise errors.invalid_type("tool_resources", "an object", resources)
    return dict(resources)
