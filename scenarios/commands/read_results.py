"""The results that a command is given, read, with what may be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relaysim.scenarios.commands.command_line import UsageError
from relaysim.scenarios.docs_pages import RESULTS
from relaysim.scenarios.system_errors import reason_of


def read_run(path: Path, *, given: bool) -> dict[str, Any]:
    """The results in a folder or a file. `given`: somebody named it. Raises UsageError if it has none that can be read."""
    from relaysim.reports.results import ResultsError, read_results

    try:
        return read_results(path)
    except ResultsError as error:
        raise UsageError(str(error), page=RESULTS) from error
    except OSError as error:
        remedy = (
            "name a folder that `relaysim verify` wrote" if given else "run `relaysim verify` first, or name a folder"
        )
        raise UsageError(f"{path}: there are no results: {reason_of(error)}; {remedy}", page=RESULTS) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """While something is told of results that were read: what they lack, having been changed or cut, is a UsageError."""
    try:
        yield
    except (LookupError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}: these are not whole results ({type(error).__name__}: {error}); run the command again that wrote them",
            page=RESULTS,
        ) from error
