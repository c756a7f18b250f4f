"""Which words are in a server's data, for good: under keys that do not run out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fakeredis import FakeServer

_SHORTEST: Final = 12
"""Characters: shorter words may be anybody's."""


def keys_that_hold(server: FakeServer, words: Mapping[str, str]) -> dict[str, str]:
    """Where each of these words is kept.

    Args:
        server: whose data, in all databases.
        words: by any name.

    Returns:
        By the name of each that is there, the first key that has it, as text. Words of fewer than twelve characters are
        not looked for.
    """
    wanted = {
        name: text.encode("utf-8", "replace") for name, text in words.items() if len(text) >= _SHORTEST and text.strip()
    }
    found: dict[str, str] = {}
    if not wanted:
        return found
    for _, database in sorted(server.dbs.items()):
        for key, item in sorted(database._dict.items()):
            if item.expireat is not None:
                continue
            for piece in _pieces(item.value):
                for name, text in wanted.items():
                    if name not in found and text in piece:
                        found[name] = key.decode("utf-8", "replace")
    return found


def _pieces(value: Any) -> Iterator[bytes]:
    """The byte strings of which a value is made. A hash of fakeredis is no mapping, and has one."""
    value = getattr(value, "_values", value)
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        for pair in value.items():
            yield from _pieces(pair)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for each in value:
            yield from _pieces(each)
