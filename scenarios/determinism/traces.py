"""Traces as small as they travel between processes, and the first record in which two of them differ."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from relaysim.sim.kernel import digested
from relaysim.sim.trace.schema import as_object

_TEXT_MAX = 80

Row = tuple[float, str, str, tuple[Any, ...]]


def packed(records: Iterable[tuple[float, str, str, tuple[Any, ...]]]) -> bytes:
    """What a fingerprint takes of a trace, in its order. Only `first_difference` reads it; never from another machine."""
    rows = [(time, entity, kind, tuple(fields)) for time, entity, kind, fields in digested(records)]
    return zlib.compress(pickle.dumps(rows), 1)


def _unpacked(trace: bytes) -> list[Row]:
    rows: list[Row] = pickle.loads(zlib.decompress(trace))
    return rows


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two traces part: virtual seconds, whose record it is, and each one's record as words ("" for none there)."""

    time_seconds: float
    entity: str
    one: str
    other: str

    def words(self, one: str, other: str) -> str:
        """A sentence without its full stop; `one` and `other` say which runs they are."""
        where = f"at {self.time_seconds:.6g} s, in what `{self.entity}` does"
        if not self.one or not self.other:
            which, without = (one, other) if self.one else (other, one)
            return f"{where}: {which} has {self.one or self.other}, {without} has nothing more"
        return f"{where}: {one} has {self.one}, {other} has {self.other}"


def first_difference(one: bytes, other: bytes) -> Difference | None:
    """The first record in which two traces differ; None if they are the same."""
    for mine, its in zip_longest(_unpacked(one), _unpacked(other)):
        # `repr` as the fingerprint has it: 1 and 1.0 and True are equal, but not the same.
        if repr(mine) == repr(its):
            continue
        first = min((row for row in (mine, its) if row is not None), key=lambda row: row[:2])
        return Difference(first[0], first[1], *_record_words(mine, its))
    return None


def _record_words(one: Row | None, other: Row | None) -> tuple[str, str]:
    """Both records, each with its kind and the fields that tell them apart; where the kinds differ, with its first ones."""
    if one is None or other is None or one[:3] != other[:3]:
        return _described(one), _described(other)
    mine, its = as_object(*one), as_object(*other)
    if mine.keys() != its.keys():
        return _described(one), _described(other)
    names = {name for name in mine if repr(mine[name]) != repr(its[name])}
    return _described(one, names), _described(other, names)


def _described(row: Row | None, names: set[str] | None = None) -> str:
    if row is None:
        return ""
    event = as_object(*row)
    time, entity, kind = event.pop("time"), event.pop("entity"), event.pop("kind")
    told = [f"{name} {_clipped(value)}" for name, value in event.items() if names is None or name in names]
    del time, entity
    return f"`{kind}`" + (f" with {', '.join(told[:3])}" if told else "")


def _clipped(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"
