"""What all tests share: the collector does not look through the loaded tests again and again."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """Some thousand tests and the modules that they load stay to the end. A full collection takes half a second while they
    are looked through, and every batch of worlds begins with one."""
    gc.collect()
    gc.freeze()
