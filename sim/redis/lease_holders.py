"""Who holds which lease: keys of one form, whose value is the holder's token."""

from __future__ import annotations

from typing import Final

from fakeredis import FakeServer

from relaysim.sim.kernel import TICK, Kernel
from relaysim.sim.trace.lease_keys import CONVERSATION, LeaseKeys
from relaysim.sim.trace.schema import LeaseBack, LeaseGone, LeaseReleased, LeaseTaken

_LATE_SECONDS: Final = 2 * TICK
"""How long after its last instant a key is looked at: by then the server counts it as gone."""


class _Lease:
    """A token that was seen in its key.

    Attributes:
        until: when it runs out as last seen, as of `time.time`; None if it does not.
        looked_at: when it will be looked at, as of `time.time`; None if it will not.
    """

    __slots__ = ("looked_at", "token", "until", "worker")

    def __init__(self, token: bytes, worker: str) -> None:
        self.token = token
        self.worker = worker
        self.until: float | None = None
        self.looked_at: float | None = None


class LeaseWatch:
    """Tells the trace when a lease is taken, released or gone, and whoever asks who holds it.

    A lease is held by the worker whose command put its token there, whatever command or script that was.

    Args:
        kernel: the world's kernel.
        server: the server.
        key: of a conversation's lease, with `{conversation}` once.
        database: the number of the database that they are in.

    Attributes:
        keys: which keys are leases.
    """

    def __init__(self, kernel: Kernel, server: FakeServer, key: str, database: int = 0) -> None:
        before, _, after = key.encode().partition(CONVERSATION.encode())
        self.keys = LeaseKeys(before, after)
        self._kernel = kernel
        self._server = server
        self._database = database
        self._leases: dict[bytes, _Lease] = {}
        self._workers: dict[bytes, str] = {}

    def watches(self, key: bytes) -> bool:
        """Whether a key is a lease."""
        return self.keys.conversation_of(key) is not None

    def holder(self, conversation: str) -> str | None:
        """The worker that holds the conversation's lease at this instant."""
        key = self.keys.key_of(conversation.encode())
        lease = self._leases.get(key)
        return lease.worker if lease is not None and self._stored(key)[0] == lease.token else None

    def before(self, key: bytes) -> None:
        """A command with this first key is about to be processed: what ran out did so before it."""
        lease = self._leases.get(key)
        if lease is not None and self._stored(key)[0] != lease.token:
            self._end(key, lease)

    def after(self, key: bytes, worker: str) -> None:
        """A worker's command with this first key has been processed."""
        lease = self._leases.get(key)
        token, until = self._stored(key)
        if lease is not None:
            if token == lease.token:
                self._expect(key, lease, until)
                return
            if token is None and worker == lease.worker:
                del self._leases[key]
                self._record(LeaseReleased(conversation=self._conversation(key), worker=lease.worker))
            else:
                self._end(key, lease)
        if token is not None:
            self._workers[token] = worker
            self._hold(LeaseTaken, key, token, until)

    def after_loss(self) -> None:
        """The server has lost its last writes: leases of those are gone, and released ones can be back."""
        present = [key for key in self._server.dbs[self._database]._dict if self.watches(key)]
        for key in sorted({*self._leases, *present}):
            lease = self._leases.get(key)
            token, until = self._stored(key)
            if lease is not None:
                if token == lease.token:
                    self._expect(key, lease, until)
                    continue
                self._end(key, lease)
            if token is not None:
                self._hold(LeaseBack, key, token, until)

    def _hold(self, event: type[LeaseTaken | LeaseBack], key: bytes, token: bytes, until: float | None) -> None:
        lease = self._leases[key] = _Lease(token, self._workers.get(token, ""))
        self._record(event(conversation=self._conversation(key), worker=lease.worker))
        self._expect(key, lease, until)

    def _end(self, key: bytes, lease: _Lease) -> None:
        """Its token is no longer there, and not by its holder's doing."""
        del self._leases[key]
        expired = lease.until is not None and lease.until <= self._kernel.unix_now
        how = "expired" if expired else "lost"
        self._record(LeaseGone(conversation=self._conversation(key), worker=lease.worker, how=how))

    def _expect(self, key: bytes, lease: _Lease, until: float | None) -> None:
        lease.until = until
        if until is not None and (lease.looked_at is None or until < lease.looked_at):
            lease.looked_at = until
            self._kernel.at(max(until - self._kernel.unix_now, 0.0) + _LATE_SECONDS, self._look, key, lease)

    def _look(self, key: bytes, lease: _Lease) -> None:
        if self._leases.get(key) is not lease:
            return
        token, until = self._stored(key)
        if token == lease.token:
            lease.looked_at = None
            self._expect(key, lease, until)
        else:
            self._end(key, lease)

    def _stored(self, key: bytes) -> tuple[bytes | None, float | None]:
        """The token that is there and when it runs out, as of `time.time`."""
        item = self._server.dbs[self._database]._dict.get(key)
        if item is None or (item.expireat is not None and item.expireat < self._kernel.unix_now):
            return None, None
        if not isinstance(item.value, bytes):
            return None, None  # no token: a hash or a list under a key of this form
        return item.value, item.expireat

    def _conversation(self, key: bytes) -> str:
        return (self.keys.conversation_of(key) or b"").decode("utf-8", "replace")

    def _record(self, event: LeaseTaken | LeaseBack | LeaseReleased | LeaseGone) -> None:
        self._kernel.trace.add("redis", event)
