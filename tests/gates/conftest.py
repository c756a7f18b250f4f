from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def gates_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relays of this folder can be named as factories."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
