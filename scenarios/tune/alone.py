"""One search at a time, in a results folder and in a study: two of them would take each other's trials for their own."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from relaysim.scenarios.command_line import UsageError
from relaysim.scenarios.file_lock import LockedError, locked

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def alone(folder: Path, study: Path) -> Iterator[None]:
    """Hold the results folder and the study's file for this process.

    The locks are on files of their own beside them: SQLite has locks on its file already, which closing it once more would
    take away.

    Raises:
        UsageError: if another process holds one of them, or it cannot be locked.
    """
    real = study.resolve()
    asked = (
        (
            folder / ".tune.lock",
            str(folder),
            "another search is writing it; wait for that one, or name another folder with --out or --name",
        ),
        (
            real.with_name(f".{real.name}.lock"),
            f"--study {study}",
            "another search is going on in it; wait for that one, or name another file",
        ),
    )
    with ExitStack() as held:
        for path, what, said in asked:
            try:
                held.enter_context(locked(path))
            except LockedError as error:
                raise UsageError(f"{what}: {said}") from error
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise UsageError(f"{what}: cannot be locked with {path}: {reason}") from error
        yield
