"""Traces as small as they travel between processes, and the first record in which two of them differ."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import zip_longest
from typing import Any

from relaysim.sim.doors.sent_requests import SENT
from relaysim.sim.kernel import digested
from relaysim.sim.trace.schema import as_object

_TEXT_MAX = 80

Row = tuple[float, str, str, tuple[Any, ...]]


def packed(records: Iterable[Row], sent: Iterable[Row] = ()) -> bytes:
    """What a fingerprint takes of a trace, in its order, and what was sent to the API, which it does not take.

    Only `first_difference` reads it; never from another machine.
    """
    rows = [(time, entity, kind, tuple(fields)) for time, entity, kind, fields in digested((*records, *sent))]
    return zlib.compress(pickle.dumps(rows), 1)


def digest_of(sent: Iterable[Row]) -> str:
    """A digest of what was sent to the API, in the order in which a fingerprint takes a trace."""
    return blake2b(repr(digested(sent)).encode(errors="backslashreplace"), digest_size=16).hexdigest()


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
    mine, its = _as_object(one), _as_object(other)
    if mine.keys() != its.keys() and (one[2] != SENT or mine["kind"] != its["kind"]):
        return _described(one), _described(other)
    names = {name for name in (*mine, *its) if repr(mine.get(name)) != repr(its.get(name))}
    if not names:  # the same parts in another order
        return f"{_described(one, names)} and {_order(mine)}", f"{_described(other, names)} and {_order(its)}"
    return _described(one, names), _described(other, names)


def _order(event: dict[str, Any]) -> str:
    return f"in this order: {', '.join(name for name in event if name not in ('time', 'entity', 'kind'))}"


def _as_object(row: Row) -> dict[str, Any]:
    """A record by the names of its fields; of a request the operation is the kind, and its parts are the fields."""
    time, entity, kind, fields = row
    if kind != SENT:
        return as_object(time, entity, kind, fields)
    operation, parts = fields
    return {"time": time, "entity": entity, "kind": operation, **{name: _Written(value) for name, value in parts}}


class _Written(str):
    """A value as Python writes it."""

    __repr__ = str.__str__


def _described(row: Row | None, names: set[str] | None = None) -> str:
    if row is None:
        return ""
    event = _as_object(row)
    _, _, kind = event.pop("time"), event.pop("entity"), event.pop("kind")
    told = [f"{name} {_clipped(value)}" for name, value in event.items() if names is None or name in names]
    told += [f"no {name}" for name in sorted(names or ()) if name not in event]
    return f"`{kind}`" + (f" with {', '.join(told[:3])}" if told else "")


def _clipped(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"
