"""Which keys in Redis are locks: those that are set if they are not there yet, and that somebody releases or extends.

A marker against redelivery (`SET seen:m1 1 NX EX 10`) and a cached id are set in the same way and then left alone. Keys of
one form are of one kind: what is seen of `lock:c1` is known of `lock:c2`, whose holder may not have come to its release.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_IDS: Final = re.compile(
    r"(?<![A-Za-z0-9])c\d+(?:\.m\d+)?(?:#\d+)?(?![A-Za-z0-9])|\b[a-z]+_[A-Za-z0-9]{16,}\b|[0-9a-f-]{32,36}"
)
"""Names of conversations, messages and deliveries, ids of the API, UUIDs."""

LETTING_GO: Final = frozenset({"DEL", "UNLINK", "GETDEL"})
EXTENDING: Final = frozenset({"EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "PERSIST", "GETEX"})

_IN_SCRIPT: Final = re.compile(
    rb"""["'](?:del|unlink|getdel|p?expire(?:at)?|persist|getex|set|psetex|setex)["']""", re.IGNORECASE
)


def form_of(key: str) -> str:
    """A key without the names and ids in it."""
    return _IDS.sub("*", key)


@lru_cache(maxsize=256)
def script_may_let_go(script: bytes) -> bool:
    """Whether a Lua script calls a command that releases or extends."""
    return _IN_SCRIPT.search(script) is not None


def lets_go_or_extends(command: str) -> bool:
    """Whether a command, as a trace names it, may release or extend a lock: a script may, by EVAL or by its own name."""
    return command in LETTING_GO or command in EXTENDING or command in ("EVAL", "EVALSHA") or not command.isupper()
