"""What the relay tells of itself: events in the log, metrics for Prometheus, a dashboard for Grafana.

What lives here
    telemetry.py    `Telemetry`: one method per thing that can happen; begin here
    events.py       events: one line of JSON each, on the logger `relay`
    metrics.py      metrics, their labels and the values that these can take
    dashboard.json  the same metrics as a dashboard, to be imported into Grafana
    alerts.yml      rules for Prometheus: what somebody should be woken up for

Imports: the standard library, `structlog`, `prometheus_client` and the relay's own vocabulary. Nothing is configured for
the whole process: structlog, `logging` and the exposition of metrics stay the application's.

docs/telemetry.md says what every metric and every event means, and what to do about it.
"""

from relaysim.relay.telemetry.events import digest, emit
from relaysim.relay.telemetry.telemetry import Cause, Telemetry, default

__all__ = ["Cause", "Telemetry", "default", "digest", "emit"]
