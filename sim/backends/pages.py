"""Pages of a list: limit, order and cursors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from relaysim.sim.backends import errors
from relaysim.sim.backends.json_values import Object, check_choice, check_integer, check_string

LIST_LIMIT_DEFAULT: Final = 20
LIST_LIMIT_MAX: Final = 100
ORDERS: Final = ("asc", "desc")


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
        before: only what precedes it; with `after`, what lies between the two.
        unknown: the error for a cursor that is not in the list.

    Raises:
        ApiError: one of them is not as said here.
    """
    if limit is None:
        limit = LIST_LIMIT_DEFAULT
    else:
        check_integer("limit", limit, 1, LIST_LIMIT_MAX)
    if order is not None:
        check_choice("order", order, ORDERS)
    if after is None and before is None:
        chosen = items[:limit] if order == "asc" else items[: -limit - 1 : -1]
        has_more = len(items) > limit
    else:
        ordered = items if order == "asc" else items[::-1]
        first, last = 0, len(ordered)
        if after is not None:
            first = _position(ordered, "after", after, unknown) + 1
        if before is not None:
            last = _position(ordered, "before", before, unknown)
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


def _position(items: list[Object], param: str, item_id: Any, unknown: Callable[[str], errors.ApiError]) -> int:
    check_string(param, item_id)
    for position, item in enumerate(items):
        if item["id"] == item_id:
            return position
    raise unknown(item_id)
