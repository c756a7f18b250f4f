"""When something happens that is counted or timed: checks that every kind of fault shares."""

from __future__ import annotations


def ordered_window(window: tuple[float, float] | None) -> tuple[float, float] | None:
    """`window` as it is. Raises ValueError if it begins before 0, or does not end after it begins."""
    if window is not None and not 0 <= window[0] < window[1]:
        raise ValueError(f"the window must begin at 0 or later and end after it begins, not {list(window)}")
    return window


def counted_from_one(nth: tuple[int, ...] | None, what: str = "event") -> tuple[int, ...] | None:
    """`nth` as it is. Raises ValueError if it names nothing, or something before the first; `what` is counted."""
    if nth is not None and (not nth or min(nth) < 1):
        raise ValueError(f"nth counts from 1 and names at least one {what}")
    return nth
