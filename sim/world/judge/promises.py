"""What a relay promises, as it declares it: the judge knows nothing else of a relay.

A relay declares with an attribute `promises` of the object that handles messages. It is plain data, so that a relay needs
nothing of the simulator for it:

    class Bot:
        promises = {"lease": {"key": "lock:{conversation}", "seconds": 10.0, "steps": {"renew": ["PEXPIRE"]}}}

        async def handle(self, message): ...

What is not declared is not promised: without a lease nothing is judged of leases, without a step that accepts messages
nothing of what waits when a lease is let go, and so on; `docs/promises.md` has the rows. What every relay owes its
customers is judged of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from relaysim.sim.trace.lease_keys import CONVERSATION
from relaysim.sim.validation_words import format_path, translate

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Texts = tuple[Annotated[str, Field(min_length=1)], ...]
Commands = tuple[Annotated[str, Field(min_length=1)], ...]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _parts_of(key: str) -> tuple[str, str]:
    """What stands before and after the conversation in the form of a key."""
    before, *after = key.split(CONVERSATION)
    if len(after) != 1 or not before:
        raise ValueError(f"write {CONVERSATION} once, after a prefix, as in 'lock:{CONVERSATION}'")
    return before, after[0]


class LeaseSteps(_Table):
    """Which Redis commands on a lease's key are which step: names of commands, or first lines of Lua scripts (`-- renew`).

    accept       stores a message that is to be answered, from then on whatever crashes; S1, S8 and S10 start there
    read_inbox   reads what waits; also on another key than the lease's, which is then named: `LRANGE inbox:{conversation}`
    renew        lengthens the lease
    bind_thread  notes which thread the conversation has
    hand_over    takes the messages of a run over from it, before it is cancelled; without it S5 is not judged
    end          notes a message's outcome
    hand_back    lets the lease go with all that waits; such a release is no breach of S10
    claim        asks for the lease of a conversation whose holder may have died; without it L6 is not judged
    begin_send   notes that a text is about to be sent
    in_order     take effect in the order in which their holder sent them, or not at all: one that comes late changes nothing
    """

    accept: Commands = Field(default=(), strict=False)
    read_inbox: Commands = Field(default=(), strict=False)
    renew: Commands = Field(default=(), strict=False)
    bind_thread: Commands = Field(default=(), strict=False)
    hand_over: Commands = Field(default=(), strict=False)
    end: Commands = Field(default=(), strict=False)
    hand_back: Commands = Field(default=(), strict=False)
    claim: Commands = Field(default=(), strict=False)
    begin_send: Commands = Field(default=(), strict=False)
    in_order: Commands = Field(default=(), strict=False)

    @property
    def meanings(self) -> dict[str, str]:
        """Which step each command is; `in_order` says something of commands that are other steps."""
        return {command: step for step, commands in self if step != "in_order" for command in commands}

    @field_validator("read_inbox")
    @classmethod
    def _names_keys(cls, commands: tuple[str, ...]) -> tuple[str, ...]:
        for each in commands:
            if CONVERSATION in each:
                _, _, key = each.partition(" ")
                _parts_of(key)
        return commands

    @property
    def looks(self) -> tuple[tuple[str, str], ...]:
        """What reads the inbox on a key of its own: each command, with the form of its key."""
        named = (each.partition(" ") for each in self.read_inbox if CONVERSATION in each)
        return tuple((command, key) for command, _, key in named)


class LeasePromise(_Table):
    """One worker at a time acts for a conversation: who holds a Redis key, whose value is the holder's token.

    key             of the lease, with `{conversation}` once
    seconds         it lasts unless renewed
    sweep_seconds   between two looks for conversations whose holder died; None: L2 is not promised
    renew_seconds   between two renewals; one that Redis did not answer is sent again at once. None: L7 is not promised
    guards_looks    whether requests that only look at a conversation are sent under the lease as well (S7)
    clears_up       whether its holder asks what has become of a creation of unknown fate before it lets the lease go (S8)
    epoch_metadata  name of the run's metadata that has the lease's epoch, a number that grows from lease to lease; None:
                    no epochs, and S4 asks for the lease alone
    steps           see `LeaseSteps`
    """

    key: str
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    sweep_seconds: Seconds | None = None
    renew_seconds: Seconds | None = None
    guards_looks: bool = False
    clears_up: bool = False
    epoch_metadata: str | None = None
    steps: LeaseSteps = LeaseSteps()

    @field_validator("key")
    @classmethod
    def _names_the_conversation(cls, key: str) -> str:
        _parts_of(key)
        return key


class BurstPromise(_Table):
    """Messages that come in a burst are answered together.

    cap_seconds           how long a burst is collected at most; None: L3 and L4 are not promised
    apology_span_seconds  an apology is also for what was accepted at most so long after its oldest message
    """

    cap_seconds: Seconds | None = None
    apology_span_seconds: Seconds = 15.0


class LateApologyPromise(_Table):
    """The text by which a customer learns that an answer takes too long.

    text            the apology
    after_seconds   how long the oldest waiting message of its conversation has waited when it is sent, at least
    """

    text: Annotated[str, Field(min_length=1)]
    after_seconds: Seconds


class RetryPromise(_Table):
    """How often a worker may repeat requests that failed.

    ratio               repetitions per request
    reserve             repetitions on top, per life of a worker
    refill_per_second   repetitions per second on top
    first_seconds       the wait before the first repetition is drawn between 0 and so many; None: no such promise
    cap_seconds         likewise before each further one, from twice as many at each, up to so many
    heeds_retry_after   whether nothing is repeated before the time that the server asked for in `Retry-After`
    """

    ratio: Seconds = 0.1
    reserve: Seconds = 10.0
    refill_per_second: Seconds = 0.5
    first_seconds: Seconds | None = None
    cap_seconds: Seconds | None = None
    heeds_retry_after: bool = False

    def longest_wait(self, failures: int) -> float | None:
        """Up to how many seconds the wait after so many failures in a row is drawn; None: nothing is promised of that."""
        if self.first_seconds is None or self.cap_seconds is None:
            return None
        return min(self.cap_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))


class Promises(_Table):
    """What a relay promises; the defaults are what every relay is held to.

    deadline_seconds      from a message's acceptance, or the last disturbance, to its outcome
    ordered               texts leave in the order of the messages that they answer (S3), and messages are stored in the
                          order in which they were written (S14)
    remembers             how many of a conversation's newest texts, messages and replies, a run reads at least; 0: each
                          message is answered by itself
    apologies             the texts with which it apologises, besides the scenario's
    notices               the texts that are neither answers nor apologies, such as "One moment please"
    lease                 None: no leases
    burst, retries        see there
    late_apology          see there; None: an apology may come at any time
    send_timeout_seconds  after so long the relay gives up on a send
    step_timeout_seconds  after so long it gives up on a step in Redis
    poll_seconds          the shortest regular pause between two looks at a run
    confirming_replicas   replicas that confirm an accepted message; 0: a failover may lose what was acknowledged
    forgets_texts         whether nothing that a customer wrote is left in Redis once its message has ended (S16)
    withholds             why a run may be cut off so that nobody reads what it wrote, e.g. `content_filter` (S15)
    foreign_patience_seconds  how long a run of somebody else's is waited for before it is cancelled (S5)
    runs_max              how many runs are created for the same message under one lease at most (L5); None: no such promise
    waiting_max           a conversation with so many unended messages may refuse a further one, and while nothing is wrong
                          no other refuses any (L1); None: no such promise
    """

    deadline_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 90.0
    ordered: bool = True
    remembers: Annotated[int, Field(ge=0)] = 8
    apologies: Texts = Field(default=(), strict=False)
    notices: Texts = Field(default=(), strict=False)
    lease: LeasePromise | None = None
    burst: BurstPromise = BurstPromise()
    retries: RetryPromise = RetryPromise()
    late_apology: LateApologyPromise | None = None
    send_timeout_seconds: Seconds = 10.0
    step_timeout_seconds: Seconds = 3.0
    poll_seconds: Seconds = 0.8 * 0.8
    confirming_replicas: Annotated[int, Field(ge=0)] = 0
    forgets_texts: bool = False
    withholds: Texts = Field(default=(), strict=False)
    foreign_patience_seconds: Seconds = 0.0
    runs_max: Annotated[int, Field(ge=1)] | None = None
    waiting_max: Annotated[int, Field(ge=1)] | None = None


NOTHING_DECLARED: Final = Promises()


class PromisesError(ValueError):
    """A declaration cannot be read; one line per mistake, each with its path."""


def declared_by(relay: Any) -> Promises:
    """What a relay declares.

    Raises:
        PromisesError: for a declaration that is no table, or has unknown names or wrong values.
    """
    declared = getattr(relay, "promises", None)
    if declared is None:
        return NOTHING_DECLARED
    if not isinstance(declared, Mapping):
        raise PromisesError(f"promises: must be a table of what the relay promises, not {type(declared).__name__}")
    try:
        return Promises.model_validate(dict(declared))
    except ValidationError as error:
        found = translate(error.errors(include_url=False), Promises, dict(declared))
        lines = [
            f"{format_path(('promises', *steps))}: {message}{suggestion and f'; {suggestion}'}"
            for steps, message, suggestion in found
        ]
        raise PromisesError("\n".join(lines)) from None
