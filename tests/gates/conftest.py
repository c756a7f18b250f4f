from __future__ import annotations

from pathlib import Path

import pytest

from relaysim.reports import figures
from relaysim.scenarios.determinism import recheck


@pytest.fixture(autouse=True)
def _verdicts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process that runs worlds again, and no figures: both take seconds, and are tested where they are made."""
    monkeypatch.setattr(recheck, "SEEDS", 0)
    monkeypatch.setattr(figures, "draw_all", lambda results: {})


@pytest.fixture
def gates_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relays of this folder can be named as factories."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
