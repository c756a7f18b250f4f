"""Answers that are the same for every request: models that are there, and texts in which nothing is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from relaysim.sim.backends import errors
from relaysim.sim.backends.json_values import Object

MODELS: Final = (
    *(
        "gpt-4.1",
        "gpt-4.1-mini",
        "gpt-4.1-nano",
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-4o-mini-tts",
        "gpt-4o-transcribe",
        "gpt-5",
    ),
    *("gpt-5-mini", "o3", "o4-mini", "omni-moderation-latest", "text-embedding-3-large", "text-embedding-3-small"),
    *("tts-1", "whisper-1"),
)
"""What a list of models shows; any other one is known too where it is asked for."""

_CREATED: Final = 1_735_689_600
_CATEGORIES: Final = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
)


def list_models() -> Object:
    """The list of models."""
    return {"object": "list", "data": [retrieve_model(name) for name in MODELS]}


def retrieve_model(name: str) -> Object:
    """One model; it exists, whatever its name."""
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "relaysim"}


def moderate(params: Mapping[str, Any], moderation_id: str) -> Object:
    """A moderation that finds nothing in any input.

    Raises:
        ApiError: 400; no input.
    """
    given = params.get("input")
    if given is None or given == []:
        raise errors.missing_parameter("input")
    several = isinstance(given, list) and all(isinstance(each, str) for each in given)
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.00001),
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
    model = params.get("model") or MODELS[11]
    return {"id": moderation_id, "model": model, "results": [result] * (len(given) if several else 1)}
