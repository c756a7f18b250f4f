"""Slots of a Redis Cluster: a command whose keys lie in different ones is refused.

Source: the specification of Redis Cluster; `redis.crc.key_slot` is the client's own CRC16. Commands of one key cannot cross
slots; of those of several, only what relays use is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from redis.crc import key_slot

_OF_KEYS: Final = frozenset((b"DEL", b"UNLINK", b"EXISTS", b"TOUCH", b"MGET", b"SINTER", b"SUNION", b"SDIFF", b"WATCH"))
_OF_PAIRS: Final = frozenset((b"MSET", b"MSETNX"))
_OF_TWO: Final = frozenset((b"RENAME", b"RENAMENX", b"LMOVE", b"BLMOVE", b"RPOPLPUSH", b"SMOVE", b"COPY"))
_OF_SCRIPTS: Final = frozenset((b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO", b"FCALL"))

REFUSAL: Final = (
    b"EVAL",
    b'return redis.error_reply("CROSSSLOT Keys in request don\'t hash to the same slot")',
    b"0",
)
"""What the server processes instead of a command that it refuses."""


def crosses_slots(fields: Sequence[bytes]) -> bool:
    """Whether a command names keys of different slots."""
    command = fields[0].upper()
    if command in _OF_SCRIPTS:
        count = int(fields[2]) if len(fields) > 2 and fields[2].isdigit() else 0
        keys = fields[3 : 3 + count]
    elif command in _OF_KEYS:
        keys = fields[1:]
    elif command in _OF_PAIRS:
        keys = fields[1::2]
    elif command in _OF_TWO:
        keys = fields[1:3]
    else:
        return False
    return len({key_slot(key) for key in keys}) > 1
