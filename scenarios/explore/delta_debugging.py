"""Which part of a failing input is enough to fail: delta debugging (Zeller and Hildebrandt, 2002) and bisection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shortest(most: int, fails: Callable[[int], bool]) -> int:
    """The smallest number that fails, where each larger one does too; `most` is known to."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if fails(middle):
            high = middle
        else:
            low = middle + 1
    return high


def fewest(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """A part of the items that still fails, and does not without any single one of its own.

    Delta debugging: pieces are left out, large ones first. The items as a whole are known to fail.
    """
    kept = list(items)
    if not kept or fails([]):
        return []
    size = len(kept)
    while True:
        size = max(1, min(size // 2, len(kept) // 2)) if len(kept) > 1 else 1
        start, found = 0, False
        while start < len(kept):
            candidate = kept[:start] + kept[start + size :]
            if candidate and fails(candidate):
                kept, found = candidate, True
            else:
                start += size
        if size == 1 and not found:
            return kept
