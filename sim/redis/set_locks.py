"""Locks given by `SET key token NX PX` or `EX`: which ran out, or were lost with the server's memory, under their holders.

A key set like that is a lock if somebody releases or extends one of its form, or the relay declares it
(`relaysim.sim.trace.lock_keys`). That may show only after one has run out, so a loss is recorded where it happened once it
is known to be one. Its holder relied on it if the handling went on in which it took it, or if it tries to release or extend
it later on: work that goes on in the background belongs to no handling any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fakeredis import FakeServer

from relaysim.sim.kernel import Kernel
from relaysim.sim.kernel.trace import Place
from relaysim.sim.trace.lease_keys import LeaseKeys
from relaysim.sim.trace.lock_keys import EXTENDING, LETTING_GO, form_of, script_may_let_go
from relaysim.sim.trace.schema import LockExpired, LockLost

_SECONDS_PER_MILLISECOND = 0.001
_SCRIPTS: Final = frozenset((b"EVAL", b"EVALSHA"))
_PLAIN: Final = frozenset(name.encode() for name in LETTING_GO | EXTENDING)


class _Grant:
    """A key that was set, as far as it may be a lock."""

    __slots__ = ("delivery", "expires_at", "token", "worker")

    def __init__(self, worker: str, delivery: str, token: bytes, expires_at: float) -> None:
        self.worker = worker
        self.delivery = delivery
        self.token = token
        self.expires_at = expires_at


class _Loss:
    """A grant that ended early, while it is not known whether it was a lock that somebody relied on."""

    __slots__ = ("event", "grant", "handled", "key", "place")

    def __init__(
        self, key: bytes, grant: _Grant, event: type[LockExpired | LockLost], place: Place, handled: bool
    ) -> None:
        self.key = key
        self.grant = grant
        self.event = event
        self.place = place
        self.handled = handled

    def is_of(self, worker: str, delivery: str) -> bool:
        """Whether this worker took it, for this delivery."""
        return self.grant.worker == worker and self.grant.delivery == delivery


class SetLocks:
    """Tells the trace of locks that ran out or were lost while their holders relied on them.

    Args:
        kernel: the world's kernel.
        server: the server.
        is_handled: whether a delivery is still being handled.
        database: the number of the database that they are in.

    Attributes:
        declared: the keys that the relay declares to be leases; None: none.
    """

    def __init__(
        self, kernel: Kernel, server: FakeServer, is_handled: Callable[[str], bool], database: int = 0
    ) -> None:
        self.declared: LeaseKeys[bytes] | None = None
        self._kernel = kernel
        self._server = server
        self._database = database
        self._is_handled = is_handled
        self._grants: dict[bytes, _Grant] = {}
        self._any = False
        self._known: set[bytes] = set()  # keys whose form is known to be a lock's
        self._formless: list[bytes] = []  # of these, the ones whose form nobody has asked for yet: few locks are lost
        self._forms: set[str] = set()
        self._losses: dict[str, list[_Loss]] = {}  # by form

    def before(self, key: bytes) -> None:
        """A command with this first key is about to be processed: what ran out did so before it."""
        grant = self._grants.get(key)
        if grant is not None and self._kernel.now >= grant.expires_at:
            self._check(key, grant)

    def after(self, worker: str, delivery: str, command: bytes, key: bytes, fields: list[bytes], reply: object) -> None:
        """A worker's command with this first key has been processed."""
        if command == b"SET":
            if reply is not None and not isinstance(reply, Exception):
                self._note_set(worker, delivery, key, fields)
            return
        if not self._any:
            return
        if command in _SCRIPTS or command in _PLAIN:
            self._note_use(worker, delivery, command, fields)
        grant = self._grants.get(key)
        if grant is not None and self._stored(key)[0] != grant.token and self._kernel.now < grant.expires_at:
            del self._grants[key]  # released

    def after_loss(self) -> None:
        """The server has lost its last writes: some locks are no longer there, others are again."""
        for key in sorted(self._grants):
            grant = self._grants[key]
            if self._stored(key)[0] != grant.token and self._kernel.now < grant.expires_at:
                del self._grants[key]
                self._lose(key, grant, LockLost)

    def _note_set(self, worker: str, delivery: str, key: bytes, fields: list[bytes]) -> None:
        options = [field.upper() for field in fields[3:]]
        if b"NX" not in options:
            if self._any and b"XX" in options:
                self._note_use(worker, delivery, b"SET", fields)
            self._grants.pop(key, None)
            return
        for name, scale in ((b"PX", _SECONDS_PER_MILLISECOND), (b"EX", 1.0)):
            if name in options:
                seconds = int(fields[3 + options.index(name) + 1]) * scale
                break
        else:
            return
        self._any = True
        losses = self._losses.get(form_of(key.decode("utf-8", "replace"))) if self._losses else None
        if losses:
            # What it does with the key from now on is about the new one; a handling that goes on still relied on the old.
            losses[:] = [each for each in losses if each.handled or each.key != key or not each.is_of(worker, delivery)]
        grant = self._grants[key] = _Grant(worker, delivery, fields[2], self._kernel.now + seconds)
        # fakeredis counts in milliseconds and drops a key after its last one.
        self._kernel.at(seconds + _SECONDS_PER_MILLISECOND, self._check, key, grant)

    def _stored(self, key: bytes) -> tuple[bytes | None, float | None]:
        item = self._server.dbs[self._database]._dict.get(key)
        return (None, None) if item is None else (item.value, item.expireat)

    def _check(self, key: bytes, grant: _Grant) -> None:
        if self._grants.get(key) is not grant:
            return
        value, expires_at = self._stored(key)
        if value == grant.token and expires_at is not None:
            left = expires_at - self._kernel.unix_now
            if left > 0:  # extended meanwhile
                grant.expires_at = self._kernel.now + left
                self._kernel.at(left + _SECONDS_PER_MILLISECOND, self._check, key, grant)
                return
        del self._grants[key]
        self._lose(key, grant, LockExpired)

    # Whether it was a lock, and relied on

    def _lose(self, key: bytes, grant: _Grant, event: type[LockExpired | LockLost]) -> None:
        form = form_of(key.decode("utf-8", "replace"))
        handled = self._is_handled(grant.delivery)
        loss = _Loss(key, grant, event, self._kernel.place(), handled)
        declared = self.declared is not None and self.declared.conversation_of(key) is not None
        if handled and (declared or self._is_known(form)):
            self._record(loss)
        else:
            self._losses.setdefault(form, []).append(loss)

    def _is_known(self, form: str) -> bool:
        """Whether keys of this form are known to be locks."""
        self._forms.update(form_of(key.decode("utf-8", "replace")) for key in self._formless)
        self._formless.clear()
        return form in self._forms

    def _note_use(self, worker: str, delivery: str, command: bytes, fields: list[bytes]) -> None:
        """Somebody releases or extends these keys, or tries to."""
        keys = _keys_of(command, fields)
        if not self._losses and self._known.issuperset(keys):
            return
        if command in _SCRIPTS and not script_may_let_go(self._script(command, fields)):
            return
        for key in keys:
            if key not in self._known:
                self._known.add(key)
                self._formless.append(key)
            losses = self._losses.get(form_of(key.decode("utf-8", "replace"))) if self._losses else None
            if losses is None:
                continue
            due = [
                each
                for each in losses
                if each.handled
                or (
                    each.key == key
                    and each.is_of(worker, delivery)
                    and (command in _PLAIN or each.grant.token in fields)
                )
            ]
            losses[:] = [each for each in losses if each not in due]
            for each in due:
                self._record(each)

    def _script(self, command: bytes, fields: list[bytes]) -> bytes:
        script: bytes | None = fields[1] if command == b"EVAL" else self._server.script_cache.get(fields[1])
        return script or b""

    def _record(self, loss: _Loss) -> None:
        grant, key = loss.grant, loss.key.decode("utf-8", "replace")
        event = loss.event(key=key, worker=grant.worker, delivery=grant.delivery)
        self._kernel.trace.add_at(loss.place, "redis", event)


def _keys_of(command: bytes, fields: list[bytes]) -> list[bytes]:
    if command in _SCRIPTS:
        try:
            count = int(fields[2])
        except (IndexError, ValueError):
            return []
        return fields[3 : 3 + count]
    return fields[1:] if command in (b"DEL", b"UNLINK") else fields[1:2]


class UnwatchedLocks(SetLocks):
    """Tells nothing: where nobody knows in which handling a command was sent, nobody knows who relied on a lock."""

    def before(self, key: bytes) -> None:
        """Nothing."""

    def after(self, worker: str, delivery: str, command: bytes, key: bytes, fields: list[bytes], reply: object) -> None:
        """Nothing."""

    def after_loss(self) -> None:
        """Nothing."""
