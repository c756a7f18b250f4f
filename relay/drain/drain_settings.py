"""Every setting of the policy `drain`, with its unit, its range and its default."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypedDict

from relaysim.relay.setting_rules import PAUSE, SECONDS, Settings, choice, flag, name_rule, number, whole_number

Api = Literal["threads", "responses"]
WhenRedisIsAway = Literal["fail_closed", "fail_open"]
WhenRedisEvicts = Literal["refuse", "warn"]

REMEMBER_SECONDS_MIN: Final = 7 * 86_400.0
"""Providers deliver a webhook again for up to 7 days, so a message id is remembered at least that long."""

RENEWALS_PER_LEASE: Final = 3
"""How often a lease is renewed in its own length: two renewals may fail before it lapses."""

LEASE_MARGIN: Final = 0.1
"""Share of a lease by which its holder takes it for lost before Redis does: clocks run at different speeds."""

_LEASE: Final = number("a number of seconds, 0.1 or more", lambda value: value >= 0.1)
_REMEMBER: Final = number(
    "604800 (7 days, for which providers repeat webhooks) seconds or more", lambda value: value >= REMEMBER_SECONDS_MIN
)
_GROWTH: Final = number("a number, 1 or more", lambda value: value >= 1)
_SHARE: Final = number("a number between 0 and 1", lambda value: 0 <= value <= 1)


def _any_text(value: object) -> str | None:
    return None if isinstance(value, str) else "must be a text"


def _count(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return None
    return "must be a whole number, 0 or more"


def _batch(value: object) -> str | None:
    # Their digests, 17 characters each, must fit one value of a run's metadata, which holds 512.
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 30:
        return None
    return "must be a whole number from 1 to 30"


def _moved(value: object) -> str | None:
    # The API takes at most 32 messages when a thread is created.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 32:
        return None
    return "must be a whole number from 0 to 32"


@dataclass(frozen=True, kw_only=True)
class DrainSettings(Settings):
    """The settings of `drain`. Raises `ValueError` naming every setting that is out of its range, or contradicts another.

    api                       "threads": OpenAI Threads; "responses": Responses with Conversations
    assistant_id              Threads: the assistant that runs are created with
    model                     Responses: the model that answers
    instructions              Responses: what it is told with each turn; empty: nothing
    key_prefix                begins every key of this relay in Redis. On Redis Cluster give it a hash tag, e.g. "{relay}:"
    lease_seconds             0.1 or more; how long a conversation's lease lasts unless renewed, which its holder does three
                              times as often. A crashed worker's conversations wait this long, and one sweep more
    sweep_seconds             above 0; between two looks for conversations that a dead worker left, jittered down to 3/4
    sweep_batch               1 or more; conversations that one look takes over at most
    burst_gap_seconds         0 or more; a conversation that has been silent for this long is answered
    burst_cap_seconds         0 or more; and so is one whose oldest message has waited this long
    batch_messages_max        1 to 30; messages that one run answers at most
    inbox_messages_max        1 or more; unended messages that a conversation may have: a further one is not taken in, and
                              its webhook comes again
    poll_first_seconds        above 0; pause before the first look at a run. Every pause is jittered by a fifth
    poll_factor               1 or more; each pause is the one before it times this
    poll_cap_seconds          above 0; the longest pause between two looks
    poll_hint                 whether the server's hint of when to look again (openai-poll-after-ms) is followed instead,
                              where it gives one
    request_timeout_seconds   above 0; after so long without an answer a request's fate is unknown
    retry_first_seconds       above 0; longest wait before a request's first repetition, doubled at each; drawn from 0 on
    retry_cap_seconds         above 0; the longest such wait
    retry_budget_ratio        0 to 1; repetitions allowed per request
    retry_budget_reserve      0 or more; repetitions allowed on top, for a worker that has sent few requests
    retry_budget_refill_per_second  above 0; repetitions that become allowed by the passing of time
    run_patience_seconds      above 0; a run of ours that takes longer counts as stuck: its messages are taken over, it is
                              cancelled, and another one is created
    foreign_patience_seconds  0 or more; how long a run that this relay did not create is waited for before it is cancelled
    thread_patience_seconds   0 or more; how long a cancelled run may go on holding its thread before the conversation moves
                              to a new thread
    moved_messages_max        0 to 32; how many of its latest messages (their words) move with it
    deadline_seconds          above 0; from a message's acceptance until its customer gets an apology instead
    apology_span_seconds      0 or more; an apology also ends what was accepted at most so long after the oldest message that
                              it is for, so that a customer does not read two of them at once
    cancel_patience_seconds   0 or more; how long, past the deadline, a cancelled run may take to end: it may yet complete
    creations_max             1 or more; runs created for the same messages before they end in an apology
    send_timeout_seconds      above 0; after so long the fate of a sent text is unknown
    send_patience_seconds     0 or more; how long a text that the channel surely refused is offered again
    remember_seconds          604800 or more; how long a message id is remembered after its message ended
    store_timeout_seconds     above 0; after so long without an answer Redis counts as unavailable
    when_redis_is_away        "fail_closed": `handle` raises, so that the webhook is not acknowledged and comes again;
                              "fail_open": the message is answered at once without inbox, lease and ledger, hence perhaps
                              twice or out of order
    when_redis_evicts         "refuse": a server that may evict inboxes is given no message, as if it were
                              unavailable; "warn": it is, and what it evicts is lost
    wait_replicas             0 or more; replicas that must have confirmed a step of the ledger before it counts as taken.
                              0: a failover may lose what was acknowledged just before it, messages and sends alike
    wait_milliseconds         1 or more; how long they are waited for
    """

    api: Annotated[Api, choice("threads", "responses")] = "threads"
    assistant_id: Annotated[str, name_rule] = "asst_relaysim"
    model: Annotated[str, name_rule] = "gpt-4.1"
    instructions: Annotated[str, _any_text] = ""
    key_prefix: Annotated[str, name_rule] = "relay:"
    lease_seconds: Annotated[float, _LEASE] = 10.0
    sweep_seconds: Annotated[float, PAUSE] = 3.0
    sweep_batch: Annotated[int, whole_number] = 50
    burst_gap_seconds: Annotated[float, SECONDS] = 0.5
    burst_cap_seconds: Annotated[float, SECONDS] = 2.0
    batch_messages_max: Annotated[int, _batch] = 20
    inbox_messages_max: Annotated[int, whole_number] = 500
    poll_first_seconds: Annotated[float, PAUSE] = 0.8
    poll_factor: Annotated[float, _GROWTH] = 1.25
    poll_cap_seconds: Annotated[float, PAUSE] = 1.6
    poll_hint: Annotated[bool, flag] = False
    request_timeout_seconds: Annotated[float, PAUSE] = 10.0
    retry_first_seconds: Annotated[float, PAUSE] = 0.5
    retry_cap_seconds: Annotated[float, PAUSE] = 8.0
    retry_budget_ratio: Annotated[float, _SHARE] = 0.1
    retry_budget_reserve: Annotated[int, _count] = 10
    retry_budget_refill_per_second: Annotated[float, PAUSE] = 0.5
    run_patience_seconds: Annotated[float, PAUSE] = 40.0
    foreign_patience_seconds: Annotated[float, SECONDS] = 10.0
    thread_patience_seconds: Annotated[float, SECONDS] = 8.0
    moved_messages_max: Annotated[int, _moved] = 32
    deadline_seconds: Annotated[float, PAUSE] = 80.0
    apology_span_seconds: Annotated[float, SECONDS] = 15.0
    cancel_patience_seconds: Annotated[float, SECONDS] = 5.0
    creations_max: Annotated[int, whole_number] = 4
    send_timeout_seconds: Annotated[float, PAUSE] = 10.0
    send_patience_seconds: Annotated[float, SECONDS] = 120.0
    remember_seconds: Annotated[float, _REMEMBER] = REMEMBER_SECONDS_MIN
    store_timeout_seconds: Annotated[float, PAUSE] = 2.0
    when_redis_is_away: Annotated[WhenRedisIsAway, choice("fail_closed", "fail_open")] = "fail_closed"
    when_redis_evicts: Annotated[WhenRedisEvicts, choice("refuse", "warn")] = "refuse"
    wait_replicas: Annotated[int, _count] = 0
    wait_milliseconds: Annotated[int, whole_number] = 1000

    @property
    def step_timeout_seconds(self) -> float:
        """After so long without an answer Redis counts as unavailable, in one step of the ledger."""
        return self.store_timeout_seconds + (self.wait_milliseconds / 1000 if self.wait_replicas else 0.0)

    def _problems(self) -> list[str]:
        return super()._problems() or [problem for problem in self._contradictions() if problem is not None]

    def _contradictions(self) -> Iterator[str | None]:
        """What cannot hold together although each value is in its range."""
        # A renewal leaves after a third of the lease, and its holder believes in the lease for nine tenths of it. Unanswered
        # for longer than what is between, one renewal ends the work.
        longest = self.lease_seconds * ((1 - LEASE_MARGIN) - 1 / RENEWALS_PER_LEASE)
        wait = f" + wait_milliseconds = {self.wait_milliseconds!r}" if self.wait_replicas else ""
        yield _contradiction(
            self.step_timeout_seconds < longest,
            f"store_timeout_seconds = {self.store_timeout_seconds!r}{wait}: must be below {longest:.3g} seconds with "
            f"lease_seconds = {self.lease_seconds!r}, or one renewal that Redis does not answer loses the lease",
        )
        yield _contradiction(
            self.lease_seconds + self.sweep_seconds < self.deadline_seconds,
            f"deadline_seconds = {self.deadline_seconds!r}: must be above lease_seconds = {self.lease_seconds!r} + "
            f"sweep_seconds = {self.sweep_seconds!r}, or whatever a crashed worker leaves is found too late for an answer",
        )
        collects = self.burst_cap_seconds if self.burst_gap_seconds else 0.0
        yield _contradiction(
            collects + self.request_timeout_seconds < self.deadline_seconds,
            f"deadline_seconds = {self.deadline_seconds!r}: must be above burst_cap_seconds = {self.burst_cap_seconds!r} + "
            f"request_timeout_seconds = {self.request_timeout_seconds!r}, or no run may be created in time",
        )
        yield _contradiction(
            self.apology_span_seconds < self.deadline_seconds,
            f"apology_span_seconds = {self.apology_span_seconds!r}: must be below deadline_seconds = "
            f"{self.deadline_seconds!r}, or an apology also ends messages that have only just come",
        )


def _contradiction(holds: bool, problem: str) -> str | None:
    return None if holds else problem


class DrainArguments(TypedDict, total=False):
    """`DrainSettings` as keyword arguments, so that a type checker sees a misspelt one."""

    api: Api
    assistant_id: str
    model: str
    instructions: str
    key_prefix: str
    lease_seconds: float
    sweep_seconds: float
    sweep_batch: int
    burst_gap_seconds: float
    burst_cap_seconds: float
    batch_messages_max: int
    inbox_messages_max: int
    poll_first_seconds: float
    poll_factor: float
    poll_cap_seconds: float
    poll_hint: bool
    request_timeout_seconds: float
    retry_first_seconds: float
    retry_cap_seconds: float
    retry_budget_ratio: float
    retry_budget_reserve: int
    retry_budget_refill_per_second: float
    run_patience_seconds: float
    foreign_patience_seconds: float
    thread_patience_seconds: float
    moved_messages_max: int
    deadline_seconds: float
    apology_span_seconds: float
    cancel_patience_seconds: float
    creations_max: int
    send_timeout_seconds: float
    send_patience_seconds: float
    remember_seconds: float
    store_timeout_seconds: float
    when_redis_is_away: WhenRedisIsAway
    when_redis_evicts: WhenRedisEvicts
    wait_replicas: int
    wait_milliseconds: int
