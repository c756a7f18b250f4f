"""`python -m tests.mutants.tested MUTANT TEST...`: run tests with a mutant in place; exit code 1 if they notice it.

In a process of its own, since the mutant takes the place of a module. Exit codes are pytest's: 0 says that every test
passed, so that the mutant was not noticed. The mutant `-` is none.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from typing import Final

import pytest

from tests.mutants.patches import every_mutant, put_in_place

_CPU_SECONDS_MAX: Final = 120
"""A mutant may keep a test from ending, which is noticed too."""


def main(arguments: Sequence[str]) -> int:
    name, *tests = arguments
    if name != "-":
        put_in_place(every_mutant()[name])
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS_MAX, _CPU_SECONDS_MAX))
    # What pytest imports to rewrite its assertions, the modules of its plugins among it, it reads from their files.
    return pytest.main([*tests, "-x", "-q", "-p", "no:cacheprovider", "--assert=plain"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
