"""Every setting of the policies, with its unit, its range and its default.

The defaults are the incident's relay and its fix (incident report of 4 November 2025). What the report leaves open is
decided here: one place per decision, each of them a setting.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Self, TypedDict

Jitter = Literal["none", "full", "equal"]
CancelError = Literal["ignore", "raise"]
LockRelease = Literal["token", "delete"]

THREAD_KEY_PREFIX: Final = "thread:"
"""Redis keys that hold a conversation's thread id."""
SEEN_KEY_PREFIX: Final = "seen:"
"""Redis keys that remember a message id, if `deduplicate_seconds` asks for it."""

Rule = Callable[[object], str | None]
"""What is wrong with a value, said as what it must be; None if nothing is."""


def _whole_number(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return None
    return "must be a whole number, 1 or more"


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(words: str, allowed: Callable[[float], bool]) -> Rule:
    def rule(value: object) -> str | None:
        if isinstance(value, int | float) and _is_finite(value) and allowed(value):
            return None
        return f"must be {words}"

    return rule


def _choice(*choices: str) -> Rule:
    words = "must be " + " or ".join(repr(choice) for choice in choices)
    return lambda value: None if isinstance(value, str) and value in choices else words


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _name(value: object) -> str | None:
    return None if isinstance(value, str) and value else "must be a text that is not empty"


def _key_prefix(value: object) -> str | None:
    if value in (THREAD_KEY_PREFIX, SEEN_KEY_PREFIX):
        return "must differ from the prefixes of the relay's other keys, 'thread:' and 'seen:'"
    return _name(value)


def _waits(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, list | tuple) and all(_is_finite(wait) and wait >= 0 for wait in value):
        return None
    return "must be a list of numbers of seconds, each 0 or more"


_SECONDS: Final = _number("a number of seconds, 0 or more", lambda value: value >= 0)
_PAUSE: Final = _number("a number of seconds above 0", lambda value: value > 0)
_LEASE: Final = _number("a number of seconds, 0.001 or more (Redis counts milliseconds)", lambda value: value >= 0.001)
_MEMORY: Final = _number("0 (off), or a number of seconds of 0.001 or more", lambda value: value == 0 or value >= 0.001)
_FACTOR: Final = _number("a number above 0", lambda value: value > 0)

_RULES: Final[Mapping[str, Rule]] = {
    "assistant_id": _name,
    "poll_interval_seconds": _PAUSE,
    "poll_attempts": _whole_number,
    "chat_lock_seconds": _LEASE,
    "thread_lock_seconds": _LEASE,
    "chat_lock_prefix": _key_prefix,
    "thread_lock_prefix": _key_prefix,
    "lock_retry_seconds": _PAUSE,
    "lock_wait_seconds": _SECONDS,
    "lock_release": _choice("token", "delete"),
    "deduplicate_seconds": _MEMORY,
    "attempts": _whole_number,
    "first_wait_seconds": _SECONDS,
    "factor": _FACTOR,
    "waits": _waits,
    "jitter": _choice("none", "full", "equal"),
    "wait_after_last_failure": _flag,
    "cancel_error": _choice("ignore", "raise"),
    "cancel_with_thread_id": _flag,
    "log_symbols": _flag,
}


@dataclass(frozen=True, kw_only=True)
class RelaySettings:
    """The settings of `check_then_act`. Raises `ValueError` naming every setting that is out of its range.

    assistant_id           the assistant that runs are created with
    poll_interval_seconds  above 0; pause before each look at the run
    poll_attempts          1 or more; looks at the run before the relay gives up, leaving the run as it is
    chat_lock_seconds      0.001 or more; lease of the lock per conversation, never renewed
    thread_lock_seconds    0.001 or more; lease of the lock per thread, never renewed
    chat_lock_prefix       its Redis key is this, followed by the conversation
    thread_lock_prefix     its Redis key is this, followed by the thread id
    lock_retry_seconds     above 0; pause between two tries to take a lock
    lock_wait_seconds      0 or more; how long a lock is tried before the customer gets the generic apology. The default
                           outlasts both leases, so that a crashed worker costs a delay and no apology
    lock_release           "token": delete the lock only if it is still ours; "delete": delete it whosever it is (the
                           well-known mistake, for comparison)
    deduplicate_seconds    0: off, as in the incident. Otherwise how long a message id is remembered: a redelivery
                           within that time is ignored, also if the first delivery's worker crashed
    """

    assistant_id: str = "asst_relaysim"
    poll_interval_seconds: float = 1.0
    poll_attempts: int = 60
    chat_lock_seconds: float = 60.0
    thread_lock_seconds: float = 120.0
    chat_lock_prefix: str = "lock:chat:"
    thread_lock_prefix: str = "lock:thread:"
    lock_retry_seconds: float = 0.1
    lock_wait_seconds: float = 180.0
    lock_release: LockRelease = "token"
    deduplicate_seconds: float = 0.0

    def __post_init__(self) -> None:
        _raise_if_any(self._problems())

    @classmethod
    def read(cls, policy: str, arguments: Mapping[str, Any]) -> Self:
        """Settings from the keyword arguments of the factory `policy`.

        Raises `ValueError` with all that is wrong, names that no setting has included.
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in arguments if name not in known]
        wrong = [_describe(name, arguments[name]) for name in known if name in arguments]
        problems = [_unknown(policy, name, arguments[name], known) for name in unknown]
        problems += [problem for problem in wrong if problem is not None]
        _raise_if_any(problems)
        return cls(**arguments)

    def _problems(self) -> list[str]:
        described = (_describe(field.name, getattr(self, field.name)) for field in fields(self))
        return [problem for problem in described if problem is not None]


@dataclass(frozen=True, kw_only=True)
class RetrySettings(RelaySettings):
    """The settings of `cancel_and_retry`: those of `check_then_act` and the following.

    attempts                 1 or more; appends before the friendly apology
    first_wait_seconds       0 or more; wait after the first conflict
    factor                   above 0; each wait is the one before it times this
    waits                    the waits themselves, in seconds, instead of the two above: one per attempt; without a wait
                             after the last failure one less is enough
    jitter                   "none"; "full": uniform between 0 and the wait; "equal": uniform between half of it and all
    wait_after_last_failure  whether the last conflict is waited for too, although no attempt follows it (the report's
                             loop: 2 + 4 + 8 = 14 s). The cancel is requested either way
    cancel_error             what a refused or failed cancel of the blocking run does. "ignore": it is logged and the
                             wait goes on; "raise": the handling fails with the generic apology, as in the report's code
    cancel_with_thread_id    False calls `runs.cancel(run_id)` as printed in the report, which the SDK answers with a
                             TypeError before any request is sent: a bug in the call, not an answer, so `cancel_error`
                             does not cover it
    log_symbols              whether the report's symbols stand before its log lines
    """

    attempts: int = 3
    first_wait_seconds: float = 2.0
    factor: float = 2.0
    waits: Sequence[float] | None = None
    jitter: Jitter = "none"
    wait_after_last_failure: bool = True
    cancel_error: CancelError = "ignore"
    cancel_with_thread_id: bool = True
    log_symbols: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.waits is not None:
            object.__setattr__(self, "waits", tuple(self.waits))

    @property
    def planned_waits(self) -> tuple[float, ...]:
        """Seconds to wait after each conflict, before jitter. As many as there are waits."""
        count = self._wait_count
        if self.waits is not None:
            return tuple(float(wait) for wait in self.waits[:count])
        return tuple(self.first_wait_seconds * self.factor**index for index in range(count))

    @property
    def _wait_count(self) -> int:
        return self.attempts if self.wait_after_last_failure else self.attempts - 1

    def _problems(self) -> list[str]:
        problems = super()._problems()
        return problems or self._problems_together()

    def _problems_together(self) -> list[str]:
        if self.waits is not None:
            if len(self.waits) not in (self._wait_count, self.attempts):
                return [
                    f"waits = {list(self.waits)!r} has {len(self.waits)} waits: "
                    f"must have {self._wait_count}, with attempts = {self.attempts} and "
                    f"wait_after_last_failure = {self.wait_after_last_failure}"
                ]
            return []
        try:
            finite = math.isfinite(sum(self.planned_waits))
        except OverflowError:
            finite = False
        if finite:
            return []
        return [
            f"factor = {self.factor!r} makes the waits infinite, with first_wait_seconds = {self.first_wait_seconds!r} "
            f"and attempts = {self.attempts}: must be smaller"
        ]


class RelayArguments(TypedDict, total=False):
    """`RelaySettings` as keyword arguments, so that a type checker sees a misspelt one."""

    assistant_id: str
    poll_interval_seconds: float
    poll_attempts: int
    chat_lock_seconds: float
    thread_lock_seconds: float
    chat_lock_prefix: str
    thread_lock_prefix: str
    lock_retry_seconds: float
    lock_wait_seconds: float
    lock_release: LockRelease
    deduplicate_seconds: float


class RetryArguments(RelayArguments, total=False):
    """`RetrySettings` as keyword arguments."""

    attempts: int
    first_wait_seconds: float
    factor: float
    waits: Sequence[float] | None
    jitter: Jitter
    wait_after_last_failure: bool
    cancel_error: CancelError
    cancel_with_thread_id: bool
    log_symbols: bool


def _describe(name: str, value: object) -> str | None:
    remedy = _RULES[name](value)
    return None if remedy is None else f"{name} = {value!r}: {remedy}"


def _unknown(policy: str, name: str, value: object, known: Sequence[str]) -> str:
    problem = f"{name} = {value!r}: {policy} has no such setting"
    if name in _RULES:
        return f"{problem}, as it never retries: remove it, or use cancel_and_retry"
    similar = difflib.get_close_matches(name, known, n=1)
    return f"{problem}, did you mean {similar[0]}?" if similar else f"{problem}, only {', '.join(sorted(known))}"


def _raise_if_any(problems: Iterable[str]) -> None:
    text = "; ".join(problems)
    if text:
        raise ValueError(text)
