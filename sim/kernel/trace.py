"""The trace: what happened in a world, when, and to whom; and the fingerprint that says two worlds were the same.

Only domain events belong here (messages, requests, states, commands, replies), never steps of the loop, tokens or
addresses: those differ between Python versions and lanes while the world is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import partial
from hashlib import blake2b
from operator import itemgetter
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

Field = str | int | float | bool | None
Fields = tuple["Field | tuple[Field, ...]", ...]
EventType = TypeVar("EventType", bound=type[tuple[Any, ...]])
Event = TypeVar("Event", bound=tuple[Any, ...])
Values = ParamSpec("Values")

# What the running task is working on (a delivery's label); "" outside. Tasks inherit it, on every Python alike.
current_context: ContextVar[str] = ContextVar("current_context", default="")


class _Kinds(dict[type[Any], str]):
    """What a trace calls the events of each class."""

    def __missing__(self, event: type[Any]) -> str:
        raise TypeError(f"{event.__name__} is no kind of event: give its class the decorator record_kind")


_kinds = _Kinds()
_digested_forms: dict[str, Callable[[Any], Fields] | None] = {}


def record_kind(
    kind: str, *, digested: Callable[[Any], Fields] | None = None, in_fingerprint: bool = True
) -> Callable[[EventType], EventType]:
    """Class decorator of a `NamedTuple`: in a trace its instances are events of this kind.

    The fields are plain: texts, numbers, booleans, None, or tuples of those.

    Args:
        kind: what the trace calls it.
        digested: what a fingerprint takes of an event in place of its fields, where these also hold what differs between
            worlds that are the same. None: the fields.
        in_fingerprint: whether a fingerprint takes such events at all.
    """

    def name(event: EventType) -> EventType:
        _kinds[event] = kind
        if digested is not None or not in_fingerprint:
            _digested_forms[kind] = digested
        return event

    return name


def maker_of(event: Callable[Values, Event]) -> Callable[Values, Event]:
    """The constructor of such a class, for whoever makes many: a call of the class itself takes twice as long."""
    named_tuple: Any = event
    return partial(named_tuple.__new__, named_tuple)


def kind_of(event: type[Any]) -> str:
    """What a trace calls the events of this class.

    Raises:
        TypeError: it has no `record_kind`.
    """
    return _kinds[event]


def as_digested(records: Iterable[tuple[float, str, str, Any]]) -> list[tuple[float, str, str, Any]]:
    """Records as a fingerprint takes them: without what differs between equal worlds, such as lines of source."""
    return [
        (time, entity, kind, fields if form is None else form(fields))
        for time, entity, kind, fields in records
        if (form := _digested_forms.get(kind)) is not None or kind not in _digested_forms
    ]


class Record(NamedTuple):
    """One domain event: virtual seconds since the world's start, who, what kind, and the kind's own fields by name."""

    time: float
    entity: str
    kind: str
    fields: Fields


class Place(NamedTuple):
    """A place in a trace: virtual time, the last event by then (None: there was none), and how manieth place it is."""

    time: float
    after: Record | None
    number: int


_written = tuple.__repr__
_new_tuple: Callable[[type[Record], tuple[float, str, str, Fields]], Record] = tuple.__new__


def digested(records: Iterable[tuple[float, str, str, Any]]) -> list[tuple[float, str, str, Any]]:
    """Events in the order and in the form in which a fingerprint takes them: two traces with the same ones are the same
    world."""
    taken: list[tuple[float, str, str, Any]] = []
    for time, entity, kind, fields in sorted(records, key=itemgetter(0, 1)):
        if kind in _digested_forms:
            form = _digested_forms[kind]
            if form is None:
                continue
            fields = form(fields)
        taken.append((time, entity, kind, fields))
    return taken


class Clock(Protocol):
    """Whatever knows the virtual time."""

    @property
    def now(self) -> float:
        """Virtual seconds since the world's start."""
        ...


class _Quoted(dict[str, str]):
    """The `repr` of the few names that occur again and again."""

    def __missing__(self, name: str) -> str:
        self[name] = written = repr(name)
        return written


class Trace:
    """An append-only list of domain events.

    Args:
        clock: anything with a `now` in virtual seconds (a `simpy.Environment`).

    Attributes:
        records: the events so far.
        closed: whether nothing is recorded any more.
        listener: called with each event once it is recorded, None for nobody. It may record events of its own, which
            come to it like any other.
    """

    __slots__ = ("_clock", "_late", "_places", "closed", "listener", "records")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.records: list[Record] = []
        self._places = 0
        self._late: dict[int, int] = {}  # by the identity of a record that came late, the number of its place
        self.closed = False
        self.listener: Callable[[Record], None] | None = None

    def add(self, entity: str, event: Fields) -> None:
        """Record an event of an entity now; its class has a `record_kind`. After `close` nothing is recorded."""
        if not self.closed:
            # Past the named tuple's own constructor, which takes twice as long.
            self.records.append(_new_tuple(Record, (self._clock.now, entity, _kinds[type(event)], event)))
            if self.listener is not None:
                self.listener(self.records[-1])

    def place(self) -> Place:
        """The present place, to which an event can be added later."""
        self._places += 1
        return Place(self._clock.now, self.records[-1] if self.records else None, self._places)

    def add_at(self, place: Place, entity: str, event: Fields) -> None:
        """Record an event of an earlier moment where it belongs. After `close` nothing is recorded."""
        if self.closed:
            return
        records, late = self.records, self._late
        index = len(records)
        while index and records[index - 1] is not place.after:
            index -= 1
        while index < len(records) and late.get(id(records[index]), place.number) < place.number:
            index += 1  # it also came late to this place, and stands for something that was before
        record = _new_tuple(Record, (place.time, entity, _kinds[type(event)], event))
        records.insert(index, record)
        late[id(record)] = place.number
        if self.listener is not None:
            self.listener(record)

    def close(self) -> None:
        """Record nothing more: what follows is clearing up, not part of the world."""
        self.closed = True

    def fingerprint(self) -> str:
        """A digest of all events (32 hexadecimal digits): of their values, whatever their fields are called, and of what
        `record_kind` was told to take in place of some.

        Events of different entities at the same instant have no order in the world, so they are put into the order of
        their entities' names first; one entity's events keep theirs.
        """
        digest = blake2b(digest_size=16)
        lines = []
        quoted, forms = _Quoted(), _digested_forms
        instant, written = -1.0, ""
        for time, entity, kind, fields in sorted(self.records, key=itemgetter(0, 1)):
            if time != instant:  # writing a float is a third of the cost, and many events share an instant
                instant, written = time, repr(time)
            if kind in forms:
                form = forms[kind]
                if form is None:
                    continue
                fields = form(fields)
            lines.append(f"({written}, {quoted[entity]}, {quoted[kind]}, {_written(fields)})")
        digest.update("\n".join(lines).encode())
        return digest.hexdigest()
