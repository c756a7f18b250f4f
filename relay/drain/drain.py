"""Policy `drain`: a durable inbox per conversation, and one worker at a time that answers it.

`handle` hands a message in and returns: from then on its outcome does not depend on this worker. Whoever hands in the
first message of an empty inbox holds the conversation's lease and answers, `Drainer` says how; the others' messages join
the next run. A worker that dies leaves an inbox and a lease that runs out, and the sweep of any other goes on from what
Redis remembers.
"""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any, Final, Unpack

import redis.asyncio

from relaysim.relay.drain.backend import Backend, ThreadsBackend
from relaysim.relay.drain.budget import RetryBudget
from relaysim.relay.drain.channel import Channel, SenderChannel
from relaysim.relay.drain.drain_promises import promises
from relaysim.relay.drain.drain_settings import DrainArguments, DrainSettings
from relaysim.relay.drain.drainer import Drainer
from relaysim.relay.drain.eviction import EvictionWatch
from relaysim.relay.drain.held_lease import HeldLease
from relaysim.relay.drain.responses_backend import ResponsesBackend
from relaysim.relay.drain.retries import Requests
from relaysim.relay.drain.store import Accepted, Lease, Store, StoreUnavailable
from relaysim.relay.drain.store_failures import StoreFailure
from relaysim.relay.drain.sweeper import Health, Sweeper
from relaysim.relay.drain.without_store import answer_without_store
from relaysim.relay.messages import Handled, IncomingMessage, Outcome, Sender
from relaysim.relay.telemetry import Telemetry, default

_STOP_AGAIN_SECONDS: Final = 1.0


class InboxUnavailable(Exception):
    """A message could not be handed in. Do not acknowledge its webhook: it will come again.

    reason  why, as one of a fixed list of words, see docs/drain.md; the text has it in a sentence, with the remedy
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(f"Redis did not take the message: {sentence}. Leave its webhook unacknowledged")
        self.reason = reason


class InboxFull(InboxUnavailable):
    """The message's conversation has `inbox_messages_max` messages without an outcome; other conversations go on."""

    def __init__(self, messages: int) -> None:
        super().__init__(
            "inbox_full", f"its conversation has {messages} messages that wait, which is all that it may have"
        )


def drain(
    openai_client: Any,
    redis_client: redis.asyncio.Redis,
    send: Sender,
    *,
    telemetry: Telemetry | None = None,
    **settings: Unpack[DrainArguments],
) -> "Drain":
    """The policy `drain` over OpenAI Threads, or over Responses with Conversations (setting `api`).

    Args:
        openai_client: an `openai.AsyncOpenAI`; its own retries and timeout are replaced by the settings'.
        redis_client: should not repeat commands for longer than a lease lasts; that it repeats them does no harm.
        send: a coroutine function `send(conversation, text)`; `message_ids` is passed too if it takes them. See
            `Channel.send` for what its exceptions mean.
        telemetry: by default this process's, on Prometheus' default registry.
        settings: as in `DrainSettings`, which raises `ValueError` for wrong ones.
    """
    return build(Drain, openai_client, redis_client, send, telemetry=telemetry, settings=settings)


def backend_of(openai_client: Any, settings: DrainSettings) -> Backend:
    """The conversation API that the settings name, through that client."""
    if settings.api == "responses":
        return ResponsesBackend(
            openai_client,
            model=settings.model,
            instructions=settings.instructions,
            timeout_seconds=settings.request_timeout_seconds,
        )
    return ThreadsBackend(
        openai_client,
        assistant_id=settings.assistant_id,
        timeout_seconds=settings.request_timeout_seconds,
        poll_hint=settings.poll_hint,
    )


def build(
    policy: type["Drain"],
    openai_client: Any,
    redis_client: redis.asyncio.Redis,
    send: Sender,
    *,
    telemetry: Telemetry | None = None,
    settings: Mapping[str, Any],
) -> "Drain":
    """As `drain`, for a subclass of `Drain`."""
    read = DrainSettings.read("drain", settings)
    return policy(backend_of(openai_client, read), redis_client, SenderChannel(send), read, telemetry or default())


class Drain:
    """See the module. One object serves all conversations of a worker; `serve` must run beside it.

    Args:
        backend: the conversation API.
        redis_client: holds inboxes, leases and the ledger.
        channel: the way to the customers.
        settings: see `DrainSettings`.
        telemetry: see `relaysim.relay.telemetry`.

    The class attributes name the parts; a subclass may put another one in, which is how the simulator proves that it
    notices the absence of each safeguard.
    """

    store_class = Store
    held_lease_class = HeldLease
    requests_class = Requests
    drainer_class = Drainer
    sweeper_class = Sweeper

    def __init__(
        self,
        backend: Backend,
        redis_client: redis.asyncio.Redis,
        channel: Channel,
        settings: DrainSettings,
        telemetry: Telemetry,
    ) -> None:
        self._backend = backend
        self._channel = channel
        self._settings = settings
        self._telemetry = telemetry
        self._store = self.store_class(
            redis_client,
            prefix=settings.key_prefix,
            lease_seconds=settings.lease_seconds,
            remember_seconds=settings.remember_seconds,
            timeout_seconds=settings.store_timeout_seconds,
            inbox_messages_max=settings.inbox_messages_max,
            wait_replicas=settings.wait_replicas,
            wait_milliseconds=settings.wait_milliseconds,
        )
        self._budget = RetryBudget(
            settings.retry_budget_ratio, settings.retry_budget_reserve, settings.retry_budget_refill_per_second
        )
        self._sweeper = self.sweeper_class(self._store, settings, self._token, self._begin, telemetry)
        self._eviction = EvictionWatch(self._store, settings, telemetry)
        self._drains: dict[asyncio.Task[None], Drainer] = {}
        self._closing = False

    @property
    def promises(self) -> dict[str, Any]:
        """What this relay promises, for whoever judges it from outside; see `relaysim.relay.drain.drain_promises`."""
        return promises(self._settings)

    async def handle(self, message: IncomingMessage) -> Handled:
        """Hand in one delivery of a message. When this returns, it is in Redis, and its webhook may be acknowledged.

        Returns:
            The outcome if this is a redelivery of a message that has ended, else None: it will have one.

        Raises:
            InboxUnavailable: Redis did not take it (`when_redis_is_away = "fail_closed"`), for the reason that it names: do
                not acknowledge the webhook.
            InboxFull: its conversation's inbox is full, whatever `when_redis_is_away` says: likewise.
        """
        try:
            if self._eviction.refusal is not None:
                raise StoreUnavailable("accept", self._eviction.refusal)
            accepted = await self._accept(message)
        except StoreUnavailable as error:
            self._telemetry.redis_unavailable("accept", error.failure.reason, error.failure.remedy)
            if self._settings.when_redis_is_away == "fail_open":
                requests = Requests(self._settings, self._budget, self._telemetry, _always)
                return await answer_without_store(
                    message, self._backend, self._channel, requests, self._settings, self._telemetry
                )
            raise InboxUnavailable(error.failure.reason, str(error.failure)) from error
        if accepted.refused:
            self._telemetry.inbox_full(message.conversation, message.id)
            raise InboxFull(self._settings.inbox_messages_max)
        if accepted.first:
            self._telemetry.accepted(message.conversation, message.id)
        else:
            self._telemetry.duplicate(message.conversation, message.id)
        if accepted.lease is not None:
            self._telemetry.lease_taken(message.conversation, accepted.lease.epoch, "accept")
            self._begin(accepted.lease)
        return Handled(accepted.outcome, 0, 0.0, None)

    async def serve(self) -> None:
        """Take over what other workers left, until `aclose` and whatever happens. Run it in a task beside `handle`."""
        # Beside the sweeps, which wait for nothing.
        watching = asyncio.get_running_loop().create_task(self._eviction.run())
        try:
            await self._sweeper.run()
        finally:
            watching.cancel()

    @property
    def health(self) -> Health:
        """Whether this worker sweeps, and if not, why: for a probe, and for whoever is woken up."""
        return self._sweeper.health

    @property
    def refusal(self) -> StoreFailure | None:
        """Why nothing is taken in although Redis answers, as far as `serve` has found out; None: nothing forbids it."""
        return self._eviction.refusal

    @property
    def knows_the_server(self) -> bool:
        """Whether `serve` has asked Redis what it throws away: until then `refusal` says nothing."""
        return self._eviction.has_looked

    async def outcome_of(self, conversation: str, message_id: str) -> Outcome | None:
        """What became of a message: None while it is being answered, and for one that was never handed in.

        Raises `StoreUnavailable`.
        """
        return await self._store.outcome_of(conversation, message_id)

    async def aclose(self) -> None:
        """Stop: conversations being answered are handed to the other workers' sweeps. Runs go on, and are adopted.

        A text that is on its way is waited for, `send_timeout_seconds` at most, so that its fate is known.
        """
        self._closing = True
        self._sweeper.stop()
        while self._drains:
            drains = dict(self._drains)
            for drainer in drains.values():
                drainer.stop()
            # Told again if it is still there: a library may swallow a cancellation (`asyncio.wait_for` does so before
            # Python 3.12, and redis-py uses it).
            await asyncio.wait(drains, timeout=_STOP_AGAIN_SECONDS)

    async def _accept(self, message: IncomingMessage) -> Accepted:
        # Twice under one token: if only the answer was lost, the lease that it granted is not lost with it.
        token = self._token()
        arguments = (message.conversation, message.id, message.text, message.thread_id)
        sent_at = getattr(message, "sent_at", None)
        try:
            return await self._store.accept(*arguments, token=token, sent_at=sent_at)
        except StoreUnavailable:
            return await self._store.accept(*arguments, token=token, sent_at=sent_at)

    @staticmethod
    def _token() -> str:
        return uuid.uuid4().hex

    def _has_room(self) -> bool:
        """Whether this worker answers a further conversation; else it is left to the sweeps, its own and others'."""
        return True

    def _begin(self, lease: Lease) -> None:
        """Answer a conversation under a lease, in a task of its own."""
        held = self.held_lease_class(lease, self._store, self._settings.lease_seconds, self._telemetry)
        requests = self.requests_class(self._settings, self._budget, self._telemetry, held.check)
        drainer = self.drainer_class(
            held, self._store, self._backend, self._channel, requests, self._settings, self._telemetry
        )
        if self._closing or not self._has_room():
            drainer.stop()
        task = asyncio.get_running_loop().create_task(drainer.run())
        # The loop itself keeps only weak references.
        self._drains[task] = drainer
        task.add_done_callback(self._drains.pop)


def _always() -> None:
    """Without a lease nothing forbids a request."""
