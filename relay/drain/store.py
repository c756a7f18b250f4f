"""The store: every conversation's inbox, lease and ledger in Redis, in steps that happen as a whole or not at all.

A message is accepted into its conversation's inbox, leaves it with its outcome, and stays in the ledger for as long as
its webhook may come again. Whoever has the conversation's lease works on its inbox; every step checks the lease in the
same instant, so that a worker that lost it, and does not know yet, changes nothing.

Keys, for the prefix `relay:`

    relay:lease:<conversation>              token of the holder; lapses by itself
    relay:conversation:<conversation>       epoch, order of acceptance, the run; kept for ever, since epochs only grow
    relay:inbox:<conversation>              unended messages, and where each stands
    relay:texts:<conversation>              their texts, deleted when they end
    relay:message:<conversation>:<message>  what became of a message; in <conversation>, % and : are written %25 and %3A
    relay:due                               conversations whose inbox is not empty, by when their lease lapses
    thread:<conversation>                   its thread, shared with the other policies

On Redis Cluster a script's keys must live together: give a prefix with a hash tag, `{relay}:`. The thread's key then has
that prefix too.

Redis' own clock is the only one that decides. A step that fails with `StoreUnavailable` may have happened; to ask for it
again is always safe.
"""

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import redis.asyncio
from redis.exceptions import NoScriptError

from relaysim.relay.drain import store_scripts
from relaysim.relay.drain.drain_settings import LEASE_MARGIN, DrainSettings
from relaysim.relay.drain.inbox_reading import as_text, read_inbox
from relaysim.relay.drain.store_failures import NOT_CONFIRMED, failure_of
from relaysim.relay.drain.store_records import (
    Accepted,
    Entry,
    EntryState,
    Inbox,
    Lease,
    LeaseLost,
    StoreUnavailable,
)
from relaysim.relay.messages import Outcome
from relaysim.relay.policy_settings import THREAD_KEY_PREFIX

__all__ = ["Accepted", "Entry", "EntryState", "Inbox", "Lease", "LeaseLost", "Store", "StoreUnavailable"]


class _Script:
    """A script, the digest by which Redis knows it once it was sent, and whether it writes anything."""

    __slots__ = ("name", "sha", "text", "writes")

    def __init__(self, text: str, *, writes: bool = True) -> None:
        self.writes = writes
        self.name = text.splitlines()[0].removeprefix("-- ")
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_ACCEPT: Final = _Script(store_scripts.ACCEPT)
_CLAIM: Final = _Script(store_scripts.CLAIM)
_RENEW: Final = _Script(store_scripts.RENEW)
_INBOX: Final = _Script(store_scripts.INBOX, writes=False)
_SET_THREAD: Final = _Script(store_scripts.SET_THREAD)
_REPLACE_THREAD: Final = _Script(store_scripts.REPLACE_THREAD)
_INTEND: Final = _Script(store_scripts.INTEND)
_STARTED: Final = _Script(store_scripts.STARTED)
_TAKE_OVER: Final = _Script(store_scripts.TAKE_OVER)
_BEGIN_SEND: Final = _Script(store_scripts.BEGIN_SEND)
_NOT_SENT: Final = _Script(store_scripts.NOT_SENT)
_END: Final = _Script(store_scripts.END)
_RELEASE: Final = _Script(store_scripts.RELEASE)
_HAND_BACK: Final = _Script(store_scripts.HAND_BACK)
_DUE: Final = _Script(store_scripts.DUE, writes=False)


class Store:
    """See the module. One object serves any number of conversations at once.

    The steps of one lease are to be taken one after another, all through one `Store`; only `renew` and `inbox` may run
    beside them. Every method raises `StoreUnavailable`, and those that take a lease `LeaseLost`.

    Args:
        redis_client: the client; whether it decodes replies does not matter.
        prefix: begins every key.
        lease_seconds: 0.001 or more; how long a lease lasts unless it is renewed.
        remember_seconds: how long a message is remembered after its end. Before its end it is never forgotten.
        timeout_seconds: above 0; how long Redis may take for one step, redis-py's repetitions included.
        inbox_messages_max: 1 or more; a conversation's inbox that holds so many messages takes no further one.
        wait_replicas: 0 or more; replicas that must have confirmed a step before it counts as taken.
        wait_milliseconds: 1 or more; how long they are waited for, on top of `timeout_seconds`.
    """

    def __init__(
        self,
        redis_client: redis.asyncio.Redis,
        *,
        prefix: str,
        lease_seconds: float,
        remember_seconds: float,
        timeout_seconds: float,
        inbox_messages_max: int = DrainSettings.inbox_messages_max,
        wait_replicas: int = 0,
        wait_milliseconds: int = 1000,
    ) -> None:
        self._redis = redis_client
        self._prefix = prefix
        self._thread_prefix = prefix + THREAD_KEY_PREFIX if "{" in prefix else THREAD_KEY_PREFIX
        self._lease_milliseconds = round(lease_seconds * 1000)
        self._valid_seconds = lease_seconds * (1 - LEASE_MARGIN)
        self._remember_milliseconds = round(remember_seconds * 1000)
        self._timeout_seconds = timeout_seconds
        self._inbox_messages_max = inbox_messages_max
        self._wait_replicas = wait_replicas
        self._wait_milliseconds = wait_milliseconds
        self._step_numbers = itertools.count(1)

    # Messages come in

    async def accept(
        self,
        conversation: str,
        message_id: str,
        text: str,
        thread_id: str | None,
        *,
        token: str,
        sent_at: float | None = None,
    ) -> Accepted:
        """Take one delivery of a message in, and the conversation's lease if it is free.

        A message that is known already, ended or not, is left as it is. A new one that finds the inbox full is refused, and
        nothing is remembered of it. The caller who gets a lease must drain the
        conversation, also where its own message was a redelivery.

        Args:
            conversation: whose message it is.
            message_id: the channel's id, the same at each redelivery.
            text: the customer's words. Halves of a surrogate pair, which no one can send on, are replaced.
            thread_id: the conversation's thread, if the caller knows it; it counts if none was known before.
            token: made for this call alone, or for this call and its repetition.
            sent_at: when the customer wrote it, in seconds, if the channel tells: the inbox has messages in this order.

        Raises:
            StoreUnavailable: if Redis does not answer in time, or too few replicas confirm. The message may be in all the
                same; a redelivery is recognised.
        """
        now = _now()
        arguments = (
            token,
            self._lease_milliseconds,
            conversation,
            message_id,
            _sendable(text),
            thread_id or "",
            self._inbox_messages_max,
            "" if sent_at is None else repr(float(sent_at)),
        )
        reply = await self._run(_ACCEPT, self._keys(conversation, message_id), arguments)
        if reply == store_scripts.FULL:
            return Accepted(first=False, outcome=None, lease=None, refused=True)
        first, outcome, has_lease, epoch = reply
        return Accepted(
            first=bool(first),
            outcome=_outcome(outcome),
            lease=self._lease(conversation, epoch, token, now) if has_lease else None,
        )

    async def due(self, limit: int) -> list[str]:
        """At most `limit` conversations with unended messages and no lease, the one that lost it first at the front."""
        reply = await self._run(_DUE, (self._prefix + "due",), (limit,))
        return [as_text(conversation) for conversation in reply]

    async def depth(self) -> int:
        """How many conversations have unended messages, whether somebody drains them or not."""
        return int(await self._read("depth", self._redis.zcard(self._prefix + "due")))

    async def outcome_of(self, conversation: str, message_id: str) -> Outcome | None:
        """How a message has ended; None if it has not, was never accepted, or is forgotten."""
        key = self._message_key(conversation, message_id)
        return _outcome(await self._read("outcome_of", self._redis.hget(key, "outcome")))

    async def eviction(self) -> str | None:
        """The policy by which the server evicts keys once its memory is full; None if it never does, or does not say.

        Of a cluster's nodes, that of the first that evicts.
        """
        info = await self._read("eviction", self._redis.info("memory"))
        nodes = [each for each in info.values() if isinstance(each, Mapping)] or [info]
        policies = (as_text(node.get("maxmemory_policy", "noeviction")) for node in nodes if node.get("maxmemory"))
        return next((policy for policy in policies if policy != "noeviction"), None)

    # The lease

    async def claim(self, conversation: str, *, token: str) -> Lease | None:
        """Take the lease if it is free and messages wait; None if not. One token gets one lease in its life."""
        sent_at = _now()
        epoch = await self._run(_CLAIM, self._keys(conversation), (token, self._lease_milliseconds, conversation))
        return self._lease(conversation, epoch, token, sent_at) if epoch else None

    async def renew(self, lease: Lease) -> Lease:
        """Make the lease last its full time from now."""
        sent_at = _now()
        await self._fenced(_RENEW, lease, self._lease_milliseconds, lease.conversation)
        return self._lease(lease.conversation, lease.epoch, lease.token, sent_at)

    async def release(self, lease: Lease) -> bool:
        """Give the lease up if the inbox is empty. False: it is not, the lease is kept, and draining goes on."""
        return bool(await self._step(_RELEASE, lease))

    async def hand_back(self, lease: Lease) -> None:
        """Give the lease up although messages may be there; the next sweep of any worker finds them."""
        await self._step(_HAND_BACK, lease, lease.conversation)

    # The inbox

    async def inbox(self, lease: Lease) -> Inbox:
        """What there is to do."""
        return read_inbox(await self._fenced(_INBOX, lease))

    async def intend(self, lease: Lease, request_id: str, message_ids: Sequence[str]) -> bool:
        """Note that a run for these messages is about to be created, under a name by which it can be found again.

        A run that was recorded is forgotten; messages of the batch before that are not among these are `PENDING` again.
        False, if replicas must confirm: some of them are not in the inbox any more, and nothing is noted. They were in it
        unconfirmed, and a failover has lost them; who sent them was told that they were not taken, and sends them again.
        """
        all_must_be_there = "1" if self._wait_replicas else ""
        return bool(await self._step(_INTEND, lease, all_must_be_there, request_id, *message_ids))

    async def started(
        self, lease: Lease, request_id: str, run_id: str, message_ids: Sequence[str], *, appended: bool = True
    ) -> None:
        """Note the run that answers these messages. It may be one found, not created.

        Args:
            lease: the conversation's.
            request_id: the run's creation.
            run_id: the run.
            message_ids: the messages.
            appended: whether they are in the thread by now.
        """
        await self._step(_STARTED, lease, request_id, run_id, int(appended), *message_ids)

    async def take_over(self, lease: Lease, *, appended: bool | None = None, in_doubt: str = "") -> None:
        """Forget what was intended or running: its messages are `PENDING` again, but for those that are `SENDING`.

        Args:
            lease: the conversation's.
            appended: whether its messages are in the thread, if that is known; None leaves what was noted.
            in_doubt: the creation that may come to be yet; `Inbox.request_id` names it until another one is intended.
        """
        await self._step(_TAKE_OVER, lease, "" if appended is None else int(appended), in_doubt)

    async def begin_send(self, lease: Lease, message_ids: Sequence[str], outcome: Outcome) -> None:
        """Note that a text is about to be sent that ends these messages with `outcome`. Only then may it be sent.

        Raises:
            ValueError: if one of them has ended already. Nothing is noted then.
        """
        keys = [self._message_key(lease.conversation, id) for id in message_ids]
        reply = await self._step(_BEGIN_SEND, lease, outcome.value, *message_ids, keys=keys)
        if reply == store_scripts.HAS_ENDED:
            raise ValueError("a message that is to be sent has ended already")

    async def not_sent(self, lease: Lease, message_ids: Sequence[str]) -> None:
        """Note that the text whose sending began under this lease surely did not leave: as before `begin_send`."""
        await self._step(_NOT_SENT, lease, *message_ids)

    async def end(self, lease: Lease, outcomes: Mapping[str, Outcome], *, in_doubt: str = "") -> None:
        """End messages: out of the inbox, text deleted, outcome remembered. A message that has ended keeps its outcome.

        With the last message of the batch the run is forgotten, and so is its creation, unless it is in doubt, as for
        `take_over`.
        """
        keys = [self._message_key(lease.conversation, id) for id in outcomes]
        pairs = itertools.chain.from_iterable((id, outcome.value) for id, outcome in outcomes.items())
        await self._step(_END, lease, self._remember_milliseconds, lease.conversation, in_doubt, *pairs, keys=keys)

    # The thread

    async def thread(self, conversation: str) -> str | None:
        """The conversation's thread, None if none is known."""
        thread_id = await self._read("thread", self._redis.get(self._thread_prefix + conversation))
        return None if thread_id is None else as_text(thread_id)

    async def set_thread(self, lease: Lease, thread_id: str) -> str:
        """Note the conversation's thread unless one is known; returns the one that is noted then, which is to be used."""
        return as_text(await self._step(_SET_THREAD, lease, thread_id))

    async def replace_thread(self, lease: Lease, old: str, new: str) -> str:
        """Note `new` for the conversation if `old` is noted, or none; returns the one that is noted then."""
        return as_text(await self._step(_REPLACE_THREAD, lease, old, new))

    # How a step reaches Redis

    def _keys(self, conversation: str, *message_ids: str) -> tuple[str, ...]:
        prefix = self._prefix
        return (
            f"{prefix}lease:{conversation}",
            f"{prefix}conversation:{conversation}",
            f"{prefix}inbox:{conversation}",
            f"{prefix}texts:{conversation}",
            f"{prefix}due",
            self._thread_prefix + conversation,
            *(self._message_key(conversation, id) for id in message_ids),
        )

    def _message_key(self, conversation: str, message_id: str) -> str:
        # Both names may hold colons: of two pairs that read alike, one would be taken for the other's redelivery.
        return f"{self._prefix}message:{conversation.replace('%', '%25').replace(':', '%3A')}:{message_id}"

    def _lease(self, conversation: str, epoch: int, token: str, sent_at: float) -> Lease:
        return Lease(conversation, epoch, token, sent_at + self._valid_seconds)

    async def _step(self, script: _Script, lease: Lease, *arguments: str | int, keys: Sequence[str] = ()) -> Any:
        reply = await self._fenced(script, lease, next(self._step_numbers), *arguments, keys=keys)
        if reply == store_scripts.LATE:
            raise RuntimeError(f"step {script.name!r} was overtaken: the steps of a lease must be taken one by one")
        return reply

    async def _fenced(self, script: _Script, lease: Lease, *arguments: str | int, keys: Sequence[str] = ()) -> Any:
        reply = await self._run(
            script, (*self._keys(lease.conversation), *keys), (lease.token, lease.epoch, *arguments)
        )
        if reply == store_scripts.LOST:
            raise LeaseLost(f"step {script.name!r}: the lease of epoch {lease.epoch} is lost")
        return reply

    async def _run(self, script: _Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        if self._wait_replicas and script.writes:
            return await self._confirmed(script, keys, arguments)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                try:
                    return await self._redis.evalsha(script.sha, len(keys), *keys, *arguments)
                except NoScriptError:  # the first use, or Redis was restarted
                    return await self._redis.eval(script.text, len(keys), *keys, *arguments)
        except Exception as error:  # a client of a cluster also raises what is no `RedisError`
            raise StoreUnavailable(script.name, failure_of(error)) from error

    async def _confirmed(self, script: _Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """As `_run`, and the write is confirmed by as many replicas as are asked for.

        Redis waits for the writes of the connection that asks, hence one pipeline; and redis-py repeats a pipeline as a
        whole, so that no WAIT is ever answered by a server, or on a connection, that has not seen the write.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds + self._wait_milliseconds / 1000):
                # The whole script each time: where it is unknown, the WAIT after it would count for nothing.
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.eval(script.text, len(keys), *keys, *arguments)
                    pipe.wait(self._wait_replicas, self._wait_milliseconds)
                    reply, confirmations = await pipe.execute()
        except Exception as error:
            raise StoreUnavailable(script.name, failure_of(error)) from error
        if confirmations < self._wait_replicas:
            words = f"{confirmations} of {self._wait_replicas} replicas confirmed it in time"
            raise StoreUnavailable(script.name, replace(NOT_CONFIRMED, words=words))
        return reply

    async def _read(self, step: str, command: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await command
        except Exception as error:
            raise StoreUnavailable(step, failure_of(error)) from error


def _now() -> float:
    return asyncio.get_running_loop().time()


def _sendable(text: str) -> str:
    # A JSON text may hold halves of surrogate pairs. Two that belong together become one character again.
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _outcome(value: bytes | str | None) -> Outcome | None:
    return Outcome(as_text(value)) if value else None
