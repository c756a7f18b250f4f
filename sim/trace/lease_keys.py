"""Which keys in Redis are leases: those of one form, each of one conversation."""

from __future__ import annotations

from typing import AnyStr, Final, Generic

CONVERSATION: Final = "{conversation}"
"""What stands for the conversation in the form of a lease's key."""


class LeaseKeys(Generic[AnyStr]):
    """The keys of one form, all of them text or all of them bytes.

    Args:
        before, after: what stands before and after the conversation in each of them.
    """

    __slots__ = ("_after", "_before")

    def __init__(self, before: AnyStr, after: AnyStr) -> None:
        self._before: AnyStr = before
        self._after: AnyStr = after

    def conversation_of(self, key: AnyStr) -> AnyStr | None:
        """The conversation whose lease the key is; None if it is no lease, be it for want of a conversation's name."""
        if key.startswith(self._before) and key.endswith(self._after):
            return key[len(self._before) : len(key) - len(self._after)] or None
        return None

    def key_of(self, conversation: AnyStr) -> AnyStr:
        """The key of a conversation's lease."""
        key: AnyStr = self._before + conversation + self._after
        return key
