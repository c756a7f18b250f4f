"""Why a step of the store failed, in words that name the remedy.

A client's error says what the server said, which helps whoever knows Redis; a log that says "Redis did not take the message"
helps nobody. What is told here are fixed sentences: an error's own text may quote a key, and with it a telephone number.

Sources: the error replies of Redis 7 and Valkey 8 (their codes are the first word), and the exceptions of redis-py 5 to 8. A
code is searched for in the whole text, since servers before Redis 7 wrap the error of a command in that of its script.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from redis import exceptions


@dataclass(frozen=True, slots=True)
class StoreFailure:
    """A kind of failure.

    reason  its name, one of a fixed list: a label of metrics
    words   what happened, as the rest of a sentence about a step
    remedy  what to do about it, as an order; "" if it passes by itself
    """

    reason: str
    words: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.words}; {self.remedy}" if self.remedy else self.words


NO_ANSWER: Final = StoreFailure("no_answer", "Redis did not answer in time")
UNREACHABLE: Final = StoreFailure(
    "unreachable", "no connection to Redis", "see that it runs, and that this machine reaches its address and port"
)
NOT_CONFIRMED: Final = StoreFailure(
    "not_confirmed",
    "too few replicas confirmed it in time",
    "bring the replicas back, or ask for fewer with wait_replicas",
)
CLUSTER_DOWN: Final = StoreFailure(
    "cluster_down",
    "the cluster is down, or cannot be reached as a whole",
    "see `redis-cli --cluster check`: every slot needs a node that is up",
)
CROSS_SLOT: Final = StoreFailure(
    "cross_slot",
    "the keys of a step lie in different slots of the cluster",
    'give key_prefix a hash tag, such as "{relay}:"',
)
NOT_REDIS: Final = StoreFailure(
    "not_redis",
    "what answers does not speak the protocol of Redis",
    "see that address, port and TLS setting of the client are those of Redis",
)
REFUSED: Final = StoreFailure("refused", "Redis refused it", "see the error that this one was raised from")
CLIENT: Final = StoreFailure(
    "client_error", "the Redis client failed in a way of its own", "see the error that this one was raised from"
)

_CODES: Final = (
    (
        r"\b(?:WRONGPASS|NOAUTH)\b|invalid password|Authentication required|without any password",
        StoreFailure(
            "wrong_password",
            "Redis does not let this client in: its user name or password is missing or wrong",
            "correct them in the client's settings",
        ),
    ),
    (
        r"\bNOPERM\b|[Nn]o permissions",
        StoreFailure(
            "not_permitted",
            "the client's user may not do this",
            "allow its user what docs/drain.md lists (ACL LOG on the server names what was missing)",
        ),
    ),
    (
        r"\bREADONLY\b|read only replica",
        StoreFailure(
            "read_only",
            "the server is a read-only replica",
            "let the client talk to the primary, by its address or through Sentinel",
        ),
    ),
    (
        r"\bOOM\b",
        StoreFailure(
            "memory_full",
            "the server's memory is full",
            "raise maxmemory, or delete what other programs keep there; allow no eviction",
        ),
    ),
    (r"\bLOADING\b|loading the dataset", StoreFailure("loading", "the server is still loading its data")),
    (
        r"\bMISCONF\b",
        StoreFailure(
            "cannot_save",
            "the server cannot write its data to disk, and takes no writes until it can",
            "see its log; mostly the disk is full",
        ),
    ),
    (
        r"\bNOREPLICAS\b",
        StoreFailure(
            "too_few_replicas",
            "the server has fewer good replicas than it needs for writes",
            "bring the replicas back, or lower min-replicas-to-write",
        ),
    ),
    (r"\bCROSSSLOT\b|same (?:key |hash )?slot", CROSS_SLOT),
    (r"\bCLUSTERDOWN\b|Redis Cluster cannot be connected|not covered by the cluster", CLUSTER_DOWN),
    (
        r"\b(?:MOVED|ASK) \d",
        StoreFailure(
            "not_a_cluster_client",
            "the server is a node of a cluster, and the client does not know clusters",
            "use redis.asyncio.RedisCluster, and a key_prefix with a hash tag",
        ),
    ),
    (r"\bTRYAGAIN\b", StoreFailure("moving_slots", "the cluster is moving this conversation's keys to another node")),
    (r"\bMASTERDOWN\b", StoreFailure("primary_down", "the server is a replica whose primary is down")),
    (
        r"\bWRONGTYPE\b|wrong kind of value",
        StoreFailure(
            "wrong_type",
            "another program uses a key of the relay's for something else",
            "give key_prefix a value that no other program's keys begin with",
        ),
    ),
    (
        r"\bNOSCRIPT\b",
        StoreFailure("script_forgotten", "the server forgets scripts as soon as they are sent", "see who flushes them"),
    ),
    (
        r"\bBUSY\b",
        StoreFailure("busy", "another program's script blocks the server", "see whose it is: SCRIPT KILL ends it"),
    ),
    (
        r"max number of clients|Too many connections",
        StoreFailure(
            "too_many_connections",
            "no further connection to Redis is allowed",
            "raise maxclients of the server or max_connections of the client",
        ),
    ),
    (
        r"unknown command",
        StoreFailure(
            "unknown_command",
            "the server does not know a command that the relay needs",
            "use Redis 6.2, Valkey 7.2 or later, with scripts (EVAL) and without renamed commands",
        ),
    ),
)
_PATTERNS: Final = tuple((re.compile(pattern), failure) for pattern, failure in _CODES)

_KINDS: Final[tuple[tuple[tuple[type[Exception], ...], StoreFailure], ...]] = (
    ((TimeoutError, exceptions.TimeoutError), NO_ANSWER),
    ((exceptions.InvalidResponse,), NOT_REDIS),
    ((exceptions.RedisClusterException, exceptions.ClusterError), CLUSTER_DOWN),
    ((exceptions.ConnectionError, OSError), UNREACHABLE),
    ((exceptions.RedisError,), REFUSED),
    ((Exception,), CLIENT),
)
"""What an error's class says where its text has no code; the first that fits counts."""

_BY_CLASS: Final = {
    "OutOfMemoryError": "memory_full",
    "BusyLoadingError": "loading",
    "AuthenticationError": "wrong_password",
    "AuthorizationError": "wrong_password",
    "AuthenticationWrongNumberOfArgsError": "wrong_password",
    "NoPermissionError": "not_permitted",
    "ReadOnlyError": "read_only",
    "ClusterDownError": "cluster_down",
    "MasterDownError": "primary_down",
    "ClusterCrossSlotError": "cross_slot",
    "SlotNotCoveredError": "cluster_down",
    "MaxConnectionsError": "too_many_connections",
    "NoScriptError": "script_forgotten",
    "MovedError": "not_a_cluster_client",
    "AskError": "not_a_cluster_client",
    "TryAgainError": "moving_slots",
}
"""Where redis-py names what the server said by a class, and leaves the code out of the text."""

FAILURES: Final = {
    failure.reason: failure
    for failure in (
        NO_ANSWER,
        UNREACHABLE,
        NOT_CONFIRMED,
        NOT_REDIS,
        REFUSED,
        CLIENT,
        *(failure for _, failure in _CODES),
    )
}
"""Every kind, by its reason."""

OF_SINGLE_KEYS: Final = frozenset({"wrong_type", "refused", "not_permitted", "client_error"})
"""Reasons that may be true of one conversation and of no other."""


_GENERAL: Final = frozenset({NO_ANSWER, UNREACHABLE, CLUSTER_DOWN, REFUSED, CLIENT})


def failure_of(error: Exception) -> StoreFailure:
    """What kind of failure an exception of the client is.

    A client that repeats by itself (redis-py does, for ten tries and up to a minute) is cut short by the time that a step
    may take: then the errors that it was repeating after say more than that there was no answer.
    """
    kinds = [_failure_of(error), *(_failure_of(each) for each in _behind(error))]
    telling = [kind for kind in kinds if kind not in _GENERAL]
    heard_of = [kind for kind in kinds if kind is not NO_ANSWER]
    return (telling or heard_of or kinds)[0]


def _behind(error: BaseException) -> Iterator[Exception]:
    """The client's own errors in whose handling this one came, the latest first."""
    seen = {id(error)}
    while (behind := error.__cause__ or error.__context__) is not None and id(behind) not in seen:
        error = behind
        seen.add(id(error))
        if isinstance(error, exceptions.NoScriptError):
            continue  # at the first use of every script
        if isinstance(error, exceptions.RedisError | exceptions.RedisClusterException | OSError):
            yield error
        elif isinstance(error, Exception):
            return  # of a step before


def _failure_of(error: Exception) -> StoreFailure:
    # A class that redis-py made for one thing counts before the text, and the text before a class that may mean many.
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_CLASS and kind.__module__.startswith("redis."):
            return FAILURES[_BY_CLASS[kind.__name__]]
    for pattern, failure in _PATTERNS:
        if pattern.search(str(error)):
            return failure
    return next(failure for kinds, failure in _KINDS if isinstance(error, kinds))
