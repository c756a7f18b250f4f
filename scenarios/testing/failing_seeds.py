"""The seeds under which tests have failed, kept in a file of the project: one line for each test, fit to be committed.

    {
     "schema": 1,
     "seeds": {
      "tests/test_bot.py::test_it_answers": {"failing": [41, 137]},
      "tests/test_bot.py::test_order": {"mended": [7]}
     }
    }

Only seeds that failed are in it. One that passes again is `mended` from then on; it stays, and is run first for ever, until
somebody takes it out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SCHEMA: Final = 1

KEPT_MAX: Final = 10
"""Failing seeds that are kept for a test, the smallest: where a hundred fail, ten show it as well."""


class SeedsFileError(ValueError):
    """The file cannot be read; the message names it and says what to do."""


@dataclass(slots=True)
class FailingSeeds:
    """The failing and the mended seeds of tests, by the tests' names.

    Attributes:
        failing, mended: seeds by test, in rising order; no seed is in both.
    """

    failing: dict[str, list[int]] = field(default_factory=dict)
    mended: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> FailingSeeds:
        """What `to_plain` gave. Raises ValueError for anything else."""
        if (
            not isinstance(plain, Mapping)
            or plain.get("schema") != SCHEMA
            or not isinstance(plain.get("seeds"), Mapping)
        ):
            raise ValueError(f'it is no object with "schema": {SCHEMA} and "seeds"')
        made = cls()
        for name, entry in plain["seeds"].items():
            for state, table in (("failing", made.failing), ("mended", made.mended)):
                seeds = entry.get(state, []) if isinstance(entry, Mapping) else None
                if not isinstance(seeds, list) or not all(type(seed) is int and seed >= 0 for seed in seeds):
                    raise ValueError(f"{name}: {state}: must be a list of whole numbers")
                if seeds:
                    table[name] = sorted(set(seeds) - set(made.failing.get(name, ()) if state == "mended" else ()))
        return made

    def to_plain(self) -> dict[str, Any]:
        """As the file has it."""
        seeds: dict[str, dict[str, list[int]]] = {}
        for state, table in (("failing", self.failing), ("mended", self.mended)):
            for name, numbers in table.items():
                if numbers:
                    seeds.setdefault(name, {})[state] = numbers
        return {"schema": SCHEMA, "seeds": dict(sorted(seeds.items()))}

    def of(self, name: str) -> list[int]:
        """The seeds to be run first for a test: those that fail, then those that failed once."""
        return [*self.failing.get(name, ()), *self.mended.get(name, ())]

    def take(self, name: str, passed: Sequence[int], failed: Sequence[int]) -> list[int]:
        """A test was run with these seeds; of the failing ones that passed, it returns those that had not passed before."""
        before, once = set(self.failing.get(name, ())), set(self.mended.get(name, ()))
        newly_mended = sorted(before & set(passed))
        failing = sorted((before - set(passed)) | set(failed))
        known = before | once
        kept = [seed for seed in failing if seed in known]
        fresh = [seed for seed in failing if seed not in known][: max(0, KEPT_MAX - len(kept))]
        for table, seeds in ((self.failing, {*kept, *fresh}), (self.mended, (once | set(newly_mended)) - set(failed))):
            table[name] = sorted(seeds)
            if not seeds:
                del table[name]
        return newly_mended


def read_seeds(path: Path) -> FailingSeeds:
    """What a file has; nothing if it is not there.

    Raises:
        SeedsFileError: it cannot be read, or was spoilt, as by a merge.
    """
    try:
        return FailingSeeds.from_plain(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return FailingSeeds()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SeedsFileError(f"{path}: cannot be read: {reason}; put it right, or delete it") from error


def write_seeds(path: Path, seeds: FailingSeeds) -> None:
    """Write the file, with its folder, so that a reader sees the old one or the new one. One line for each test.

    Raises:
        OSError: it cannot be written.
    """
    plain = seeds.to_plain()
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in plain["seeds"].items())
    path.parent.mkdir(parents=True, exist_ok=True)
    passing = path.with_name(f".{path.name}.{os.getpid()}")
    passing.write_text(f'{{\n "schema": {SCHEMA},\n "seeds": {{\n{lines}\n }}\n}}\n', encoding="utf-8", newline="\n")
    passing.replace(path)
