"""Pages of a list: limit, order and cursors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sim.openai import errors
from sim.openai.parameters import Object

LIST_LIMIT_DEFAULT: Final = 20
LIST_LIMIT_MAX: Final = 100


def page_of(
    items: list[Object],
    limit: int | None,
    order: str | None,
    after: str | None,
    before: str | None,
    unknown: Callable[[str], errors.ApiError],
) -> Object:
    """One page, as the API answers a list.

    Args:
        items: everything, oldest first.
        limit: 1 to 100; None: 20.
        order: `asc`, `desc`; None: `desc`, newest first.
        after: only what follows this id in that order.
        before: only what precedes it.
        unknown: the error for a cursor that is not in the list.
    """
    if limit is None:
        limit = LIST_LIMIT_DEFAULT
    elif type(limit) is not int:
        raise errors.invalid_type("limit", "an integer", limit)
    elif not 1 <= limit <= LIST_LIMIT_MAX:
        raise errors.limit_out_of_range(limit, 1, LIST_LIMIT_MAX)
    if order not in (None, "asc", "desc"):
        raise errors.invalid_choice("order", str(order), ("asc", "desc"))
    if after is None and before is None:
        chosen = items[:limit] if order == "asc" else items[: -limit - 1 : -1]
        has_more = len(items) > limit
    else:
        ordered = items if order == "asc" else items[::-1]
        first, last = 0, len(ordered)
        if after is not None:
            first = _position(ordered, after, unknown) + 1
        if before is not None:
            last = _position(ordered, before, unknown)
        window = ordered[first:last]
        # Going backwards, a page is what directly precedes the cursor.
        chosen = window[-limit:] if after is None else window[:limit]
        has_more = len(window) > limit
    return {
        "object": "list",
        "data": [dict(item) for item in chosen],
        "first_id": chosen[0]["id"] if chosen else None,
        "last_id": chosen[-1]["id"] if chosen else None,
        "has_more": has_more,
    }


def _position(items: list[Object], item_id: str, unknown: Callable[[str], errors.ApiError]) -> int:
    for position, item in enumerate(items):
        if item["id"] == item_id:
            return position
    raise unknown(item_id)
