"""How a command's arguments are read, planned once for each number of them.

fakeredis lays out the types of a command's arguments anew at each call, and looks its function up again: a sixth of what a
command costs. Here both are kept; what is read, in which order, and what is refused in which words stays fakeredis' own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fakeredis import _msgs as msgs
from fakeredis._commands import Key, Signature
from fakeredis._core._database import CommandItem
from fakeredis._helpers import SimpleError


class _Plan(NamedTuple):
    """How so many arguments are read.

    Attributes:
        first: in their order, those that are converted, with their converters, and those that are keys without which the
            command has an answer already, with that answer.
        keys: the places of keys, with the type that their values must have (None: any) and what a new value is made by.
    """

    first: tuple[tuple[int, Callable[[bytes], Any] | None, Any], ...]
    keys: tuple[tuple[int, type[Any] | None, Callable[[], Any] | None], ...]


class PlannedSignature(Signature):
    """A signature that reads arguments as the given one does."""

    def __init__(self, signature: Signature) -> None:
        vars(self).update(vars(signature))
        self._plans: dict[int, _Plan] = {}

    def check_arity(self, args: Sequence[Any], version: Any) -> None:
        if len(args) not in self._plans:
            super().check_arity(args, version)

    def apply(self, args: Sequence[Any], db: Any, version: Any) -> Any:
        plan = self._plans.get(len(args))
        if plan is None:
            super().check_arity(args, version)
            plan = self._plans[len(args)] = self._plan(len(args))
        read = list(args)
        for place, decode, missing_return in plan.first:
            if decode is not None:
                read[place] = decode(read[place])
            elif read[place] not in db:
                return (missing_return,)
        items = []
        for place, type_, make in plan.keys:
            key = read[place]
            item = db.get(key)
            if item is None:
                made = CommandItem(key, db, None, default=None if make is None else make())
            elif type_ is not None and type(item.value) is not type_:
                raise SimpleError(msgs.WRONGTYPE_MSG)
            else:
                made = CommandItem(key, db, item)
            read[place] = made
            items.append(made)
        return read, items

    def _plan(self, count: int) -> _Plan:
        further = count - len(self.fixed)
        types: list[Any] = [*self.fixed, *(self.repeat[index % len(self.repeat)] for index in range(further))]
        first: list[tuple[int, Any, Any]] = []
        keys: list[tuple[int, Any, Any]] = []
        for place, type_ in enumerate(types):
            if not isinstance(type_, Key):
                if type_ is not bytes:
                    first.append((place, type_.decode, None))
                continue
            if type_.missing_return is not Key.UNSPECIFIED:
                first.append((place, None, type_.missing_return))
            is_made = msgs.FLAG_DO_NOT_CREATE not in self.flags and type_.type_ not in (None, bytes)
            keys.append((place, type_.type_, type_.type_ if is_made else None))
        return _Plan(tuple(first), tuple(keys))
