"""Metrics of webhooks and texts, beside those of `relaysim.relay.telemetry`. Every label has a fixed list of values."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from relaysim.relay.program.provider import KINDS, Sent

ANSWERS: Final = (
    "200",
    "400",
    "401",
    "403",
    "408",
    "413",
    "415",
    "500",
    "503",
    "gone",
)
"""Statuses of answers to webhooks; `gone`: whoever sent it had gone before it was read."""

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class ProgramMetrics:
    """All of them, registered with one registry. Raises `ValueError` if it has metrics of these names already."""

    def __init__(self, registry: CollectorRegistry) -> None:
        answers = Counter(
            "relay_webhooks_total", "Webhooks, by the status of their answer", ("answer",), registry=registry
        )
        self.webhooks = {answer: answers.labels(answer) for answer in ANSWERS}
        self.webhook_seconds = Histogram(
            "relay_webhook_seconds",
            "Seconds from a webhook's head to its answer",
            buckets=_SECONDS,
            registry=registry,
        )
        self.webhooks_open = Gauge(
            "relay_webhooks_open",
            "Webhooks that are being taken in",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.answering = Gauge(
            "relay_conversations_answering",
            "Conversations that this process answers",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.left_waiting = Counter(
            "relay_conversations_left_waiting_total",
            "Conversations left to the sweeps, since this process answers as many as it may",
            registry=registry,
        )
        items = Counter("relay_webhook_items_total", "What webhooks held, by its kind", ("kind",), registry=registry)
        self.items = {kind: items.labels(kind) for kind in KINDS}
        texts = Counter(
            "relay_texts_total", "Texts offered to the provider, by what is known of them", ("fate",), registry=registry
        )
        self.texts = {sent: texts.labels(sent.value) for sent in Sent}
