"""What the tests of this folder share: commands without what takes seconds of each and is tested where it is done."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from relaysim.reports import tune_figures
from relaysim.scenarios.determinism import recheck
from relaysim.scenarios.tune import sensitivity


@pytest.fixture(autouse=True)
def _no_recheck(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process that runs worlds again: it takes seconds to start, and knows nothing of what stands in for worlds."""
    monkeypatch.setattr(recheck, "SEEDS", 0)


@pytest.fixture(scope="module")
def few_points() -> Iterator[None]:
    """Sobol' indices of 64 points in place of 4096: no test that asks for this looks at them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sensitivity, "indices", partial(sensitivity.indices, points=2**6))
        yield


@pytest.fixture(scope="module")
def no_figures(few_points: None) -> Iterator[None]:
    """Also no figures of a search."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune_figures, "draw_tuning", lambda _: {})
        yield
