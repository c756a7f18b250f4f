"""The alert rules wake somebody in their own circumstances and nobody on a healthy day, and a real Prometheus answers every
query of the dashboard.

Method: `promtool` evaluates the rules on the series of `alert_cases.yml`; a Prometheus of its own, on a free port of
loopback, is asked every query of the dashboard about metrics that a `Telemetry` exposed over an hour. Debian's package
`prometheus` has both programs; where they are missing these tests are left out, unless RELAYSIM_REQUIRE_PROMETHEUS is set.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from test_relay_dashboard import SAMPLES, targets
from test_relay_telemetry import FACTS

from relaysim.relay import telemetry
from relaysim.relay.telemetry import Telemetry

ALERTS = Path(telemetry.__file__).with_name("alerts.yml")
CASES = Path(__file__).with_name("alert_cases.yml")
REQUIRED = bool(os.environ.get("RELAYSIM_REQUIRE_PROMETHEUS"))

pytestmark = pytest.mark.skipif(
    not REQUIRED and not (shutil.which("promtool") and shutil.which("prometheus")),
    reason="there is no Prometheus here: apt-get install prometheus",
)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=120)


def rules_tested(rules: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The cases, evaluated on these rules."""
    (folder / "alerts.yml").write_text(rules, encoding="utf-8")
    (folder / "cases.yml").write_text(
        f"rule_files: [alerts.yml]\n{CASES.read_text(encoding='utf-8')}", encoding="utf-8"
    )
    return promtool("test", "rules", str(folder / "cases.yml"))


def test_each_alert_fires_in_its_circumstance_and_none_on_a_healthy_day(tmp_path: Path) -> None:
    done = rules_tested(ALERTS.read_text(encoding="utf-8"), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_asks_for_metrics_that_there_are() -> None:
    text = ALERTS.read_text(encoding="utf-8")
    names = re.findall(r"- alert: (\w+)", text)
    fired = re.findall(r"alertname: (\w+)\n +exp_alerts:", CASES.read_text(encoding="utf-8"))
    assert sorted(fired) == sorted(names)
    asked = {name for name in re.findall(r"\brelay_\w+", text) if not re.search(rf"description:.*{name}", text)}
    assert asked
    assert asked <= set(SAMPLES)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("> 0.01", "> 0.2"),
        ("> 90", "> 900"),
        ("unless on (job)", "and on (job)"),
        ("increase(relay_drain_failures_total[15m])", "relay_drain_failures_total"),  # old ones would wake somebody
    ],
)
def test_a_rule_that_is_wrong_is_noticed(tmp_path: Path, was: str, now: str) -> None:
    text = ALERTS.read_text(encoding="utf-8")
    assert was in text
    assert rules_tested(text.replace(was, now), tmp_path).returncode == 1


HOUR = 3600
STEP = 60


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address of a Prometheus that has an hour of a relay's metrics, and when that hour ended (seconds since 1970)."""
    folder = tmp_path_factory.mktemp("prometheus")
    end = int(time.time()) // STEP * STEP - 2 * HOUR  # so that the blocks are complete
    (folder / "metrics.txt").write_text(recorded(end), encoding="utf-8")
    made = promtool("tsdb", "create-blocks-from", "openmetrics", str(folder / "metrics.txt"), str(folder / "data"))
    assert made.returncode == 0, made.stderr
    (folder / "prometheus.yml").write_text("global: {}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--storage.tsdb.retention.time=1y",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            wait_for(f"http://{address}/-/ready", server, folder / "log")
            yield address, end
        finally:
            server.terminate()


def recorded(end: int) -> str:
    """What a relay with traffic exposed each minute of the hour before, in OpenMetrics."""
    relay = Telemetry(events=False)
    samples: dict[str, list[str]] = {}
    for minute in range(HOUR // STEP + 1):
        for method, arguments, _, _ in FACTS:
            getattr(relay, method)(*arguments)
        family = ""
        for line in generate_latest(relay.registry).decode().splitlines():
            if line == "# EOF":
                continue
            if line.startswith("#"):
                family = line.split()[2]
                samples.setdefault(family, [])
                if minute == 0:
                    samples[family].append(line)
                continue
            name, _, value = line.rpartition(" ")
            labelled = name.replace("{", '{job="relay",', 1) if "{" in name else f'{name}{{job="relay"}}'
            samples[family].append(f"{labelled} {value} {end - HOUR + minute * STEP}")
    return "\n".join([line for lines in samples.values() for line in in_order(lines)] + ["# EOF", ""])


def in_order(lines: list[str]) -> list[str]:
    """A family's head, and then its series one after the other, as OpenMetrics wants them."""
    return [
        *(line for line in lines if line.startswith("#")),
        *sorted((line for line in lines if not line.startswith("#")), key=lambda line: line.rsplit(" ", 2)[0]),
    ]


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"Prometheus was not ready within a minute: {log.read_text(encoding='utf-8')}")


def asked(address: str, expression: str, end: int) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": expression, "start": end - HOUR, "end": end, "step": STEP})
    try:
        with urllib.request.urlopen(f"http://{address}/api/v1/query_range?{query}", timeout=60) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{expression}: {error.read().decode()}") from error
    assert answer["status"] == "success", expression
    series: list[dict[str, Any]] = answer["data"]["result"]
    return series


def test_a_real_prometheus_answers_every_query_of_the_dashboard(prometheus: tuple[str, int]) -> None:
    address, end = prometheus
    queries = [str(target["expr"]) for _, target in targets()]
    assert len(queries) > 30
    for query in queries:
        expression = query.replace("$job", "relay").replace("$__rate_interval", "5m").replace("$__range", "1h")
        series = asked(address, expression, end)
        assert series, expression
        values = [float(value) for each in series for _, value in each["values"]]
        assert any(value == value for value in values), f"{expression}: nothing but NaN"


def test_a_query_of_nothing_that_there_is_would_be_noticed(prometheus: tuple[str, int]) -> None:
    address, end = prometheus
    assert asked(address, 'rate(relay_accepted_total{job="relay"}[5m])', end) == []
    with pytest.raises(AssertionError, match="parse error"):
        asked(address, "rate(relay_messages_accepted_total", end)
