"""The relay's metrics: counters, histograms and gauges for Prometheus, in the units that their names end with.

The number of time series is bounded whatever happens: every label has a fixed list of values, and a value that is not
on it counts as `other`. Conversations, messages, threads and runs are never labels.
"""

from collections.abc import Mapping
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from relaysim.relay.messages import Outcome

OTHER: Final = "other"
"""What a label says of a value that is not on its list."""

OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)
LEASE_SOURCES: Final = ("accept", "sweep")
LEASE_LOSSES: Final = ("not_renewed_in_time", "taken_by_another_worker")
RUN_ENDS: Final = ("completed", "requires_action", "cancelled", "failed", "incomplete", "expired")
CAUSES: Final = ("own", "foreign", "orphan", "stuck", "unknown")
OWNERS: Final = ("own", "other")
YES_OR_NO: Final = ("yes", "no")
ATTEMPTS: Final = ("2", "3", "4", "5", "6", "7", "8", "9", "10+")
RECOVERIES: Final = ("recovered", "gave_up")
REPLY_LOSSES: Final = ("given_up", "not_found", "refused")
RETRY_REASONS: Final = ("conflict", "busy", "unavailable", "refused")

OPERATIONS: Final = (
    "threads.create",
    "messages.create",
    "messages.list",
    "runs.create",
    "runs.retrieve",
    "runs.list",
    "runs.cancel",
    "send",
)
"""Requests to the conversation API, by the SDK's names, and the channel's one."""

STORE_STEPS: Final = (
    "accept",
    "claim",
    "renew",
    "inbox",
    "thread",
    "set_thread",
    "replace_thread",
    "intend",
    "started",
    "take_over",
    "begin_send",
    "not_sent",
    "end",
    "release",
    "hand_back",
    "due",
    "depth",
    "outcome_of",
    "eviction",
    "sweep",
)
"""Steps of the ledger in Redis."""

REDIS_FAILURES: Final = (
    "no_answer",
    "unreachable",
    "not_confirmed",
    "not_redis",
    "refused",
    "client_error",
    "wrong_password",
    "not_permitted",
    "read_only",
    "memory_full",
    "loading",
    "cannot_save",
    "too_few_replicas",
    "cross_slot",
    "cluster_down",
    "not_a_cluster_client",
    "moving_slots",
    "primary_down",
    "wrong_type",
    "script_forgotten",
    "busy",
    "too_many_connections",
    "unknown_command",
    "evicts",
)
"""Why a step of the ledger failed: the reasons of `relaysim.relay.drain.store_failures`."""

API_ERRORS: Final = (
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "InternalServerError",
    "NotFoundError",
    "OAuthError",
    "PermissionDeniedError",
    "RateLimitError",
    "UnprocessableEntityError",
    "JSONDecodeError",
)
"""The SDK's errors by their class, and what it lets pass of an answer that broke off; texts would never end."""

LABEL_VALUES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "relay_outcomes_total": {"outcome": OUTCOMES},
    "relay_outcome_seconds": {"outcome": OUTCOMES},
    "relay_leases_taken_total": {"how": LEASE_SOURCES},
    "relay_leases_lost_total": {"reason": LEASE_LOSSES},
    "relay_runs_ended_total": {"status": RUN_ENDS},
    "relay_conflicts_total": {"cause": CAUSES},
    "relay_recovered_total": {"attempt": ATTEMPTS},
    "relay_conflict_wait_seconds": {"result": RECOVERIES},
    "relay_cancels_total": {"whose": OWNERS, "takeover": YES_OR_NO},
    "relay_replies_lost_total": {"reason": REPLY_LOSSES},
    "relay_fence_rejections_total": {"step": (*STORE_STEPS, *OPERATIONS)},
    "relay_retries_total": {"operation": OPERATIONS, "reason": RETRY_REASONS},
    "relay_retry_budget_exhausted_total": {"operation": OPERATIONS},
    "relay_redis_unavailable_total": {"step": STORE_STEPS},
    "relay_redis_failures_total": {"reason": REDIS_FAILURES},
    "relay_api_errors_total": {"operation": OPERATIONS, "error": API_ERRORS},
}
"""The labels of each metric that has any, and the values that they take, besides `other`."""

_TO_AN_OUTCOME: Final = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
"""Bounds in seconds: a run takes some 12 s, and every message should have its outcome within 90 s."""
_WAITS: Final = (0.1, 0.25, 0.5, 1, 2, 4, 6, 8, 14, 30, 60)
"""Bounds in seconds, those of the waits 2, 2 + 4 and 2 + 4 + 8 among them."""
_BATCHES: Final = (1, 2, 3, 4, 5, 8, 12, 20)

Metric = TypeVar("Metric", Counter, Histogram)


class Labelled(dict[str | tuple[str, ...], Metric], Generic[Metric]):
    """A metric's series by the values of its labels: `conflicts["own"].inc()`, `retries["send", "timeout"].inc()`.

    A metric with one label has all its series from the start, at zero, so that a rate sees the first event too. With
    two labels most combinations never happen: there a series begins when it is first asked for.
    """

    def __init__(self, metric: Metric, allowed: tuple[tuple[str, ...], ...]) -> None:
        super().__init__()
        self._metric: Metric = metric
        self._allowed = allowed
        if len(allowed) == 1:
            for value in allowed[0]:
                self[value] = metric.labels(value)

    def __missing__(self, key: str | tuple[str, ...]) -> Metric:
        given = (key,) if isinstance(key, str) else key
        counted = tuple(value if value in known else OTHER for value, known in zip(given, self._allowed, strict=True))
        series: Metric = self._metric.labels(*counted)
        if counted == given:  # an unknown value is not remembered, so that this stays as small as the lists
            self[key] = series
        return series


class Metrics:
    """All metrics of one relay, registered with one registry.

    Raises `ValueError` if the registry has metrics of these names already.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, documentation: str) -> Counter:
            return Counter(name, documentation, registry=registry)

        def counters(name: str, documentation: str) -> Labelled[Counter]:
            labels = LABEL_VALUES[name]
            return Labelled(Counter(name, documentation, tuple(labels), registry=registry), tuple(labels.values()))

        def histogram(name: str, documentation: str, bounds: tuple[float, ...]) -> Histogram:
            return Histogram(name, documentation, buckets=bounds, registry=registry)

        def histograms(name: str, documentation: str, bounds: tuple[float, ...]) -> Labelled[Histogram]:
            labels = LABEL_VALUES[name]
            metric = Histogram(name, documentation, tuple(labels), buckets=bounds, registry=registry)
            return Labelled(metric, tuple(labels.values()))

        self.accepted = counter("relay_messages_accepted_total", "Messages taken in for the first time")
        self.duplicates = counter("relay_messages_duplicate_total", "Redelivered messages that were ignored")
        self.inboxes_full = counter(
            "relay_inbox_full_total", "Messages refused since too many of their conversation wait"
        )
        self.outcomes = counters("relay_outcomes_total", "Messages that ended, by how")
        self.outcome_seconds = histograms("relay_outcome_seconds", "Seconds from acceptance to outcome", _TO_AN_OUTCOME)
        self.leases_taken = counters("relay_leases_taken_total", "Leases of a conversation taken, by what led to it")
        self.leases_lost = counters("relay_leases_lost_total", "Leases lost while their holder was at work")
        self.leases_released = counter("relay_leases_released_total", "Leases released with the inbox empty")
        self.runs_created = counter("relay_runs_created_total", "Runs created")
        self.run_messages = histogram("relay_run_messages", "Messages that one run answers", _BATCHES)
        self.runs_ended = counters("relay_runs_ended_total", "Runs seen to end, by their last state")
        self.run_seconds = histogram("relay_run_seconds", "Seconds from a run's creation to its end", _TO_AN_OUTCOME)
        self.runs_adopted = counter("relay_runs_adopted_total", "Another worker's runs that were taken on")
        self.threads_moved = counter(
            "relay_threads_moved_total", "Conversations moved off a thread that stayed blocked"
        )
        self.conflicts = counters("relay_conflicts_total", "Requests refused because a run was active, by whose run")
        self.recovered = counters("relay_recovered_total", "Conflicts overcome, by the attempt that succeeded")
        self.gave_up = counter("relay_gave_up_total", "Messages whose every attempt met a conflict")
        self.conflict_wait_seconds = histograms(
            "relay_conflict_wait_seconds", "Seconds waited after a message's conflicts", _WAITS
        )
        self.cancels = counters(
            "relay_cancels_total",
            "Cancels requested, by whose run and whether its messages were taken over",
        )
        self.sends_unknown = counter("relay_sends_unknown_total", "Texts of which nobody knows whether they arrived")
        self.replies_lost = counters("relay_replies_lost_total", "Runs whose reply will not reach its customer")
        self.fence_rejections = counters(
            "relay_fence_rejections_total",
            "Steps refused or left out because the lease was another's by then",
        )
        self.drain_failures = counter(
            "relay_drain_failures_total", "Conversations dropped by a worker because of a bug"
        )
        self.retries = counters("relay_retries_total", "Repeated requests, by why")
        self.retry_wait_seconds = histogram("relay_retry_wait_seconds", "Seconds waited before a repetition", _WAITS)
        self.budget_tokens = Gauge(
            "relay_retry_budget_tokens",
            "Repetitions that the retry budget still allows",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.budget_exhausted = counters(
            "relay_retry_budget_exhausted_total",
            "Repetitions that the retry budget did not allow",
        )
        self.sweeps = counter("relay_sweeps_total", "Looks for conversations that nobody holds")
        self.sweep_found = counter("relay_sweep_found_total", "Conversations found waiting without a holder")
        self.sweep_rescued = counter("relay_sweep_rescued_total", "Conversations taken up by a sweep")
        self.sweep_failures = counter("relay_sweep_failures_total", "Sweeps that met a bug")
        self.sweeping = Gauge(
            "relay_sweeping_workers",
            "Whether the worker looks for what others left",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.inbox_conversations = Gauge(
            "relay_inbox_conversations",
            "Conversations with messages that have no outcome yet",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.redis_unavailable = counters(
            "relay_redis_unavailable_total", "Steps of the ledger that Redis did not answer"
        )
        self.redis_failures = counters("relay_redis_failures_total", "Steps of the ledger that failed, by why")
        self.redis_evicts = Gauge(
            "relay_evicting_servers",
            "Whether the worker's Redis may evict keys",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.api_errors = counters(
            "relay_api_errors_total",
            "Requests that failed, conflicts left out, by the error's class",
        )
