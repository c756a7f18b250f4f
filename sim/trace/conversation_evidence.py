"""To which conversation something belongs that was done outside of every handling: in `serve`, or by a process of its own.

What tells is in the trace: the thread that a request names, known by whoever named it before in a handling or by the texts
in it; and the names of a conversation, a message or a thread in a key of Redis.
"""

from __future__ import annotations

import re
from typing import Final

from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.subjects import Request

_BETWEEN: Final = re.compile(r"[\s:/|,;{}\[\]()#@]+")

TAKING: Final = frozenset(
    {
        *("LPOP", "RPOP", "LMOVE", "RPOPLPUSH", "LMPOP", "BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP"),
        *("ZPOPMIN", "ZPOPMAX", "ZMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "SPOP", "XREAD", "XREADGROUP"),
    }
)
"""Commands that take a job out of a queue."""

PUTTING: Final = frozenset({"LPUSH", "RPUSH", "XADD", "ZADD", "SADD", "PUBLISH"})
"""Commands that put one in."""

READING: Final = frozenset(
    {
        *("LRANGE", "LINDEX", "ZRANGE", "ZRANGEBYSCORE", "ZREVRANGE", "XRANGE", "XREVRANGE", "SMEMBERS"),
        *("HGETALL", "HVALS", "HKEYS"),
    }
)
"""Commands that read what waits, and leave it there."""


class Evidence:
    """Ties what belongs to no handling to conversations.

    Args:
        chronicle: of the whole trace.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._of_name = {each.id: each.conversation for each in chronicle.messages.values()}
        self._of_name |= {conversation: conversation for conversation in self._of_name.values()}
        self.threads = {**chronicle.threads, **chronicle.named_threads}
        self._of_name |= self.threads

    def conversation_of(self, delivery: str, *, thread: str | None = None, key: str = "") -> str:
        """The conversation of this handling, or else the one that the thread or the key tells of; "" if none does."""
        handling = self._chronicle.handlings.get(delivery)
        if handling is not None and handling.conversation:
            return handling.conversation
        if thread is not None and thread in self.threads:
            return self.threads[thread]
        return next((self._of_name[part] for part in _BETWEEN.split(key) if part in self._of_name), "")

    def background_requests(self, conversation: str) -> list[Request]:
        """The requests for this conversation that left outside of every handling, or after the end of theirs."""
        found = []
        for request in self._chronicle.requests.values():
            handling = self._chronicle.handlings.get(request.delivery)
            after = handling is None or (handling.end is not None and request.left > handling.end)
            if after and self.conversation_of(request.delivery, thread=request.thread) == conversation:
                found.append(request)
        return found
