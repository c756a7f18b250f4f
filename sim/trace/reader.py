"""How a trace is read: record by record, each by the method that is named after its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final

from relaysim.sim.trace.schema import SCHEMA, named

_METHOD_OF: Final = {kind: "on_" + kind.replace(".", "_") for kind in SCHEMA}


class TraceReader:
    """Calls `on_<kind>(time, entity, event)` for each record, `on_run_state` for `run.state`, if there is such a method.

    `event` is the kind's record of `relaysim.sim.trace.schema`, also where the trace holds bare values. Kinds that the
    schema does not know are passed over.

    Attributes:
        index: the present record's place in the trace, from 0; -1 before the first.
        end: the time of the last record.
        count: how many records there were.
    """

    index = -1
    end = 0.0
    count = 0

    _methods: ClassVar[Mapping[str, Callable[..., None]]] = {}
    """By the kinds that they are for; the same for every trace."""

    def __init_subclass__(cls) -> None:
        found = ((kind, getattr(cls, name, None)) for kind, name in _METHOD_OF.items())
        cls._methods = {kind: method for kind, method in found if method is not None}

    def read(self, records: Iterable[tuple[float, str, str, Any]]) -> None:
        """Take in a whole trace.

        Raises:
            ValueError: a record has more or fewer values than its kind: the trace is of another version.
        """
        method_of = self._methods.get
        time = self.end
        for self.index, (time, entity, kind, fields) in enumerate(records):
            method = method_of(kind)
            if method is not None:
                if fields.__class__ is tuple or fields.__class__ is list:
                    fields = named(kind, fields)
                method(self, time, entity, fields)
        self.end = time
        self.count = self.index + 1
