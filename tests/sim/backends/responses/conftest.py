"""What the tests of this folder share: a conversation through each of the doors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from doors import DOORS, Door

Converse = Callable[..., Any]


@pytest.fixture(params=sorted(DOORS))
def converse(request: pytest.FixtureRequest) -> Converse:
    """Holds a conversation through one of the doors."""

    def hold(conversation: Callable[[Door], Awaitable[Any]], **changes: Any) -> Any:
        return DOORS[request.param](conversation, api="responses", **changes)

    return hold
