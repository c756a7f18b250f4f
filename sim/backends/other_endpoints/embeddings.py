"""Embeddings: a unit vector drawn from the text's digest, so that equal texts are equal and all others are far apart."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from relaysim.sim.backends import errors
from relaysim.sim.backends.json_values import Object

_DIMENSIONS: Final = {"text-embedding-3-large": 3072}
_DIMENSIONS_DEFAULT: Final = 1536
_DIMENSIONS_MAX: Final = 3072
_PER_DIGEST: Final = 16
"""Numbers of 32 bits in a digest of 64 bytes."""


def create_embeddings(params: Mapping[str, Any]) -> Object:
    """One vector for each input.

    Raises:
        ApiError: 400; no model, no input, or dimensions out of range.
    """
    model, given = params.get("model"), params.get("input")
    if not isinstance(model, str) or not model:
        raise errors.missing_parameter("model")
    if given is None or given in ("", []):
        raise errors.missing_parameter("input")
    inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    dimensions = params.get("dimensions")
    if dimensions is None:
        dimensions = _DIMENSIONS.get(model, _DIMENSIONS_DEFAULT)
    if not isinstance(dimensions, int) or isinstance(dimensions, bool):
        raise errors.invalid_type("dimensions", "an integer", dimensions)
    if not 1 <= dimensions <= _DIMENSIONS_MAX:
        raise errors.integer_out_of_range("dimensions", dimensions, 1, _DIMENSIONS_MAX)
    as_base64 = params.get("encoding_format") == "base64"
    data = []
    for index, each in enumerate(inputs):
        vector: Any = vector_of(each if isinstance(each, str) else json.dumps(each), dimensions)
        if as_base64:
            vector = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    tokens = sum(len(each.encode()) // 4 + 1 if isinstance(each, str) else len(each) for each in inputs)
    return {
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def vector_of(text: str, dimensions: int) -> list[float]:
    """A vector of length 1."""
    key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()
    numbers: list[int] = []
    for block in range(-(-dimensions // _PER_DIGEST)):
        numbers += struct.unpack("<16i", blake2b(block.to_bytes(4, "big"), key=key, digest_size=64).digest())
    del numbers[dimensions:]
    numbers[0] = numbers[0] or 1  # not even then is its length 0
    length = math.sqrt(sum(number * number for number in numbers))  # of whole numbers: the same on every Python
    return [number / length for number in numbers]
