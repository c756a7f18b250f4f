"""Relays that are `drain` without one safeguard.

Each has its factory, which `--factory relaysim.scenarios.ablations:NAME` names.

Longer than 400 lines because it is a list: one small class for each safeguard, read one at a time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, Unpack

import redis.asyncio

from relaysim.relay.drain.backend import Backend
from relaysim.relay.drain.channel import Channel
from relaysim.relay.drain.drain import Drain, build
from relaysim.relay.drain.drain_promises import promises
from relaysim.relay.drain.drain_settings import DrainArguments, DrainSettings
from relaysim.relay.drain.drainer import Drainer
from relaysim.relay.drain.store import Accepted, Lease
from relaysim.relay.messages import Handled, IncomingMessage, Sender
from relaysim.relay.telemetry import Telemetry
from relaysim.scenarios.ablations import backends, drainers, stores


class Factory(Protocol):
    """Makes a relay, as `relaysim.relay.drain` does."""

    def __call__(
        self,
        openai_client: Any,
        redis_client: redis.asyncio.Redis,
        send: Sender,
        *,
        telemetry: Telemetry | None = None,
        **settings: Unpack[DrainArguments],
    ) -> Drain: ...


def _factory(policy: type[Drain], *, client: Callable[[Any], Any] | None = None) -> Factory:
    """The factory of a policy; `client` may put something around the OpenAI client."""

    def make(
        openai_client: Any,
        redis_client: redis.asyncio.Redis,
        send: Sender,
        *,
        telemetry: Telemetry | None = None,
        **settings: Unpack[DrainArguments],
    ) -> Drain:
        used = openai_client if client is None else client(openai_client)
        return build(policy, used, redis_client, send, telemetry=telemetry, settings=settings)

    make.__doc__ = policy.__doc__
    return make


class _Wrapped(Drain):
    """`drain` with something around what it is given."""

    def __init__(
        self,
        backend: Backend,
        redis_client: redis.asyncio.Redis,
        channel: Channel,
        settings: DrainSettings,
        telemetry: Telemetry,
    ) -> None:
        super().__init__(self._backend_of(backend), redis_client, channel, self._settings_of(settings), telemetry)
        self._promised = promises(settings)

    @property
    def promises(self) -> dict[str, Any]:
        """What the whole policy promises: an ablation breaks promises, it does not take them back."""
        return self._promised

    def _backend_of(self, backend: Backend) -> Backend:
        return backend

    def _settings_of(self, settings: DrainSettings) -> DrainSettings:
        return settings


# The lease


class NoRenewal(Drain):
    """The lease is never renewed, and its holder goes on however long ago it took it."""

    held_lease_class = drainers.NeverRenewed


class NoLocalCheck(Drain):
    """A holder that cannot renew its lease goes on until Redis tells it that the lease has lapsed."""

    held_lease_class = drainers.Unchecked


class NoFencing(Drain):
    """Redis takes steps of a former holder, who does not ask itself either whether its lease may have lapsed."""

    store_class = stores.UnfencedStore
    held_lease_class = drainers.Unchecked


class CreateWithoutLease(NoFencing):
    """Whoever hands a message in answers, whether another worker holds the lease or not."""

    async def _accept(self, message: IncomingMessage) -> Accepted:
        accepted = await super()._accept(message)
        if accepted.lease is not None or accepted.outcome is not None:
            return accepted
        return replace(accepted, lease=Lease(message.conversation, 0, self._token(), math.inf))


class SameEpoch(Drain):
    """The epoch does not grow from lease to lease."""

    store_class = stores.StandingEpoch


class ReleaseWithoutEmptyCheck(Drain):
    """The lease is released although a message may have come in since the last look."""

    store_class = stores.CarelessRelease


class NoSweeper(Drain):
    """Nobody looks for what dead workers left."""

    sweeper_class = drainers.NoSweeps


# Messages come in


class NoDedup(Drain):
    """A redelivered message is taken for a new one."""

    store_class = stores.ForgetsDeliveries


class AcknowledgeFirst(Drain):
    """A webhook is acknowledged before its message is in Redis."""

    _handing_in: set[asyncio.Task[Handled]]

    async def handle(self, message: IncomingMessage) -> Handled:
        """Return at once."""
        self._handing_in = getattr(self, "_handing_in", set())
        task = asyncio.get_running_loop().create_task(super().handle(message))
        self._handing_in.add(task)
        task.add_done_callback(self._handed_in)
        return Handled(None, 0, 0.0, None)

    def _handed_in(self, task: asyncio.Task[Handled]) -> None:
        self._handing_in.discard(task)
        if not task.cancelled():
            task.exception()  # nobody is left to be told


class NoConfirmation(_Wrapped):
    """Replicas that should confirm a message are not waited for."""

    def _settings_of(self, settings: DrainSettings) -> DrainSettings:
        return replace(settings, wait_replicas=0)


# Runs


class BlindRetry(Drain):
    """A creation whose fate is unknown is repeated without a look at what became of it."""

    drainer_class = drainers.BlindRepeater


class NoIntention(Drain):
    """A creation is not written down before it is requested, so that a successor knows nothing of it."""

    store_class = stores.NoIntentions


class AdoptAnyRun(Drain):
    """Nobody asks whose the run in the way is: it is taken for the answer to what waits."""

    drainer_class = drainers.AdoptsAnyRun


class CancelWithoutTakeover(Drain):
    """A run is cancelled before its messages have been taken over."""

    held_lease_class = drainers.LateTakeover


class ForgetTheRun(Drain):
    """A run that takes too long is neither cancelled nor waited for, and the lease is released all the same."""

    drainer_class = drainers.ForgetsRuns


class NewestFirst(Drain):
    """The newest message is answered first."""

    drainer_class = drainers.NewestFirst


# Waits


class NoDeadline(Drain):
    """Messages have no deadline."""

    drainer_class = drainers.NoDeadline


class UncappedBurst(Drain):
    """A burst is collected for as long as its customer goes on writing."""

    drainer_class = drainers.WaitsForSilence


class OneConversationAtATime(Drain):
    """A worker answers one conversation after the other."""

    def _begin(self, lease: Lease) -> None:
        turn = self._turn = getattr(self, "_turn", None) or asyncio.Lock()

        class Patient(Drainer):
            async def _drain(self) -> None:
                async with turn:
                    await super()._drain()

        self.drainer_class = Patient
        super()._begin(lease)


class NoJitter(Drain):
    """All workers wait for equally long before a repetition."""

    requests_class = drainers.EqualWaits


class NoBudget(Drain):
    """Repetitions are not limited to a share of all requests."""

    def _begin(self, lease: Lease) -> None:
        self._budget = drainers.EndlessBudget(0.0, 0, 1.0)
        super()._begin(lease)


# What customers write


class OneThreadForAll(_Wrapped):
    """A worker writes the words of all conversations into the thread of the first."""

    def _backend_of(self, backend: Backend) -> Backend:
        return backends.OneThread(backend)


class AppendTwice(_Wrapped):
    """Every message is put into the thread two times, by one request."""

    def _backend_of(self, backend: Backend) -> Backend:
        return backends.Twice(backend)


class OrderOfWebhooks(Drain):
    """Messages that wait together are answered in the order of their webhooks."""

    store_class = stores.OrderOfAcceptance


# Texts


class ErrorsInReplies(_Wrapped):
    """A reply is sent with the stack trace of a failure that had nothing to do with it."""

    def _backend_of(self, backend: Backend) -> Backend:
        return backends.Explained(backend)


class ReplyByNewestMessage(_Wrapped):
    """The reply is the newest message of the thread, not the one that the run has written."""

    def _backend_of(self, backend: Backend) -> Backend:
        return backends.NewestMessage(backend)


class ApologyPerMessage(_Wrapped):
    """Every message of a burst gets an apology of its own."""

    def _settings_of(self, settings: DrainSettings) -> DrainSettings:
        return replace(settings, apology_span_seconds=0.0)


class SendBoth(Drain):
    """After the apology the answer is sent, too."""

    drainer_class = drainers.ApologisesAndAnswers


class NoSendRecord(Drain):
    """A sending is not written down before the text leaves, so that a successor knows nothing of it."""

    store_class = stores.NoSendRecord


class SendAgainAfterCrash(Drain):
    """A text that a dead worker had begun to send is sent again."""

    store_class = stores.NeverInDoubt


class RepeatUnknownSend(Drain):
    """A text whose fate is unknown is sent again."""

    drainer_class = drainers.SendsAgain


class HopefulSend(Drain):
    """A text whose fate is unknown counts as sent."""

    drainer_class = drainers.CountsAsSent


class _Repeating:
    """A client whose own repetitions cannot be switched off."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def with_options(self, **options: Any) -> Any:
        return self._client.with_options(**{**options, "max_retries": 2})


class SdkRetries(Drain):
    """The SDK repeats requests by itself, also those that have been processed."""


class NoMarker(_Wrapped):
    """A turn on Responses does not begin with a message that says whose it is, so that it cannot be found again."""

    def _backend_of(self, backend: Backend) -> Backend:
        return backends.Unmarked(backend)


class EmptyCopy(_Wrapped):
    """A conversation on Responses that is left behind goes on in a new one without what was said."""

    def _backend_of(self, backend: Backend) -> Backend:
        return backends.Empty(backend)


class RepeatInPlace(Drain):
    """A turn on Responses of unknown fate is looked for, and repeated in the same conversation if it is not there."""

    drainer_class = drainers.StaysInTheConversation


class TrustPredecessors(Drain):
    """A turn on Responses that a former holder of the lease had asked for is taken to have ended."""

    drainer_class = drainers.TrustsPredecessors


class WaitAtTheLock(Drain):
    """A conversation on Responses whose lock stays is never left behind."""

    drainer_class = drainers.StaysAtTheLock


class SendAllAgain(Drain):
    """Nobody looks which messages of a turn that ended badly have stayed: all of them are sent again."""

    drainer_class = drainers.SendsAllAgain


class KeepTexts(Drain):
    """What a customer wrote stays in Redis after its message has ended."""

    store_class = stores.KeepsTexts


class DueForEver(Drain):
    """Sweeps go on asking for the leases of conversations in which nothing waits any more."""

    store_class = stores.StaysDue


keep_texts = _factory(KeepTexts)
due_for_ever = _factory(DueForEver)
no_renewal = _factory(NoRenewal)
no_local_check = _factory(NoLocalCheck)
no_fencing = _factory(NoFencing)
create_without_lease = _factory(CreateWithoutLease)
same_epoch = _factory(SameEpoch)
release_without_empty_check = _factory(ReleaseWithoutEmptyCheck)
no_sweeper = _factory(NoSweeper)
no_dedup = _factory(NoDedup)
acknowledge_first = _factory(AcknowledgeFirst)
no_confirmation = _factory(NoConfirmation)
blind_retry = _factory(BlindRetry)
sdk_retries = _factory(SdkRetries, client=_Repeating)
no_intention = _factory(NoIntention)
adopt_any_run = _factory(AdoptAnyRun)
cancel_without_takeover = _factory(CancelWithoutTakeover)
forget_the_run = _factory(ForgetTheRun)
newest_first = _factory(NewestFirst)
one_thread_for_all = _factory(OneThreadForAll)
append_twice = _factory(AppendTwice)
order_of_webhooks = _factory(OrderOfWebhooks)
errors_in_replies = _factory(ErrorsInReplies)
no_deadline = _factory(NoDeadline)
uncapped_burst = _factory(UncappedBurst)
one_conversation_at_a_time = _factory(OneConversationAtATime)
no_jitter = _factory(NoJitter)
no_budget = _factory(NoBudget)
reply_by_newest_message = _factory(ReplyByNewestMessage)
apology_per_message = _factory(ApologyPerMessage)
send_both = _factory(SendBoth)
no_send_record = _factory(NoSendRecord)
send_again_after_crash = _factory(SendAgainAfterCrash)
repeat_unknown_send = _factory(RepeatUnknownSend)
hopeful_send = _factory(HopefulSend)
no_marker = _factory(NoMarker)
empty_copy = _factory(EmptyCopy)
repeat_in_place = _factory(RepeatInPlace)
wait_at_the_lock = _factory(WaitAtTheLock)
send_all_again = _factory(SendAllAgain)
trust_predecessors = _factory(TrustPredecessors)
