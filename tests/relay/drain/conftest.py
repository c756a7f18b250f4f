"""What is installed around every test of the policy `drain`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from drain_bench import fenced


@pytest.fixture(scope="module", autouse=True)
def _fenced() -> Iterator[None]:
    with fenced():
        yield
