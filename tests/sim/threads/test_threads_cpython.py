"""Goal: threads, locks and queues of a worker keep what CPython's own tests ask of them.

Method: those tests, each as a thread of a simulated process. What cannot apply is left out, with its reason, in
`cpython_threads.py`.
"""

from __future__ import annotations

import subprocess
import sys

import cpython_threads
import pytest


def test_cpythons_tests_of_sched_pass_in_simulated_threads() -> None:
    _run("test_sched")


@pytest.mark.soak
@pytest.mark.parametrize("module", cpython_threads.MODULES)
def test_cpythons_own_tests_pass_in_simulated_threads(module: str) -> None:
    _run(module)


def _run(module: str) -> None:
    pytest.importorskip(f"test.{module}", reason="this Python came without these tests")
    done = subprocess.run(
        [sys.executable, cpython_threads.__file__, module], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
