"""The dashboard asks only for what the relay tells, and shows all of it; docs/telemetry.md says of each what to do.

Method: every PromQL expression is taken apart into metric names, label names and functions, which are compared with a real
registry; the page's tables are compared with the registry, with the lists of label values and with the events.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from test_relay_telemetry import FACTS

from relaysim.relay import telemetry
from relaysim.relay.log_lines import pseudonym
from relaysim.relay.telemetry import Telemetry
from relaysim.relay.telemetry.metrics import LABEL_VALUES

FILE = Path(telemetry.__file__).with_name("dashboard.json")
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")

ROWS = [
    "Traffic and outcomes",
    "Time to outcome",
    "Conflicts and retry rate",
    "Recovered at attempt n",
    "Cancels and runs",
    "Lost replies, unknown sends, fences",
    "Inbox and sweeper",
    "Retry budget",
    "Redis and API errors",
]
OF_THE_TARGET = {"job", "instance"}
"""Labels that Prometheus puts on every series of a target."""
WORDS = {"sum", "min", "max", "by", "rate", "increase", "histogram_quantile", "ignoring", "group_left"}
"""All of PromQL that is in use; everything else must be a metric."""


@dataclass
class Known:
    """A metric as its registry tells of it: what it is, and the labels of each sample name that it exposes."""

    kind: str
    documentation: str
    samples: dict[str, set[str]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def registered() -> dict[str, Known]:
    """The metrics by the names that they are written down with."""
    telemetry = Telemetry(events=False)
    for method, arguments, _, _ in FACTS:  # so that every series is there
        getattr(telemetry, method)(*arguments)
    found = {}
    for metric in telemetry.registry.collect():
        known = Known(metric.type, metric.documentation)
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                known.samples[sample.name] = set(sample.labels)
        (shortest, *_) = sorted(known.samples.values(), key=len)
        known.labels = tuple(sorted(shortest))
        found[metric.name + ("_total" if metric.type == "counter" else "")] = known
    return found


METRICS = registered()
SAMPLES = {sample: labels for known in METRICS.values() for sample, labels in known.samples.items()}


def panels() -> Iterator[dict[str, Any]]:
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def targets() -> list[tuple[str, dict[str, Any]]]:
    return [(panel["title"], target) for panel in panels() for target in panel["targets"]]


EXPRESSIONS = [(title, target["expr"]) for title, target in targets()]


@dataclass
class Read:
    """What is in an expression."""

    words: set[str] = field(default_factory=set)
    metrics: list[str] = field(default_factory=list)
    matched: list[tuple[str, str, str]] = field(default_factory=list)  # (metric, label, value)
    grouped: set[str] = field(default_factory=set)
    in_range: set[str] = field(default_factory=set)  # metrics with a range behind them


SELECTOR = re.compile(r"(?P<metric>[a-zA-Z_:][\w:]*)(?:\{(?P<matchers>[^}]*)\})?(?P<range>\[[^\]]+\])?(?!\w)")
GROUPING = re.compile(r"\b(?:by|ignoring|group_left)\s*\((?P<labels>[^)]*)\)")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


def read(expression: str) -> Read:
    found = Read()

    def group(match: re.Match[str]) -> str:
        found.grouped |= {label.strip() for label in match["labels"].split(",")} - {""}
        return match[0].partition("(")[0] + " "

    rest = GROUPING.sub(group, expression)
    for match in SELECTOR.finditer(rest):
        name = match["metric"]
        if name in WORDS:
            assert match["matchers"] is None
            assert match["range"] is None
            found.words.add(name)
            continue
        found.metrics.append(name)
        found.matched += [(name, label, value) for label, value in MATCHER.findall(match["matchers"] or "")]
        assert MATCHER.sub("", match["matchers"] or "").strip(", ") == ""
        if match["range"]:
            found.in_range.add(name)
    # What remains is numbers and signs, so nothing has been overlooked.
    remains = SELECTOR.sub("", rest)
    assert re.fullmatch(r"[\d.\s()+/,*-]*", remains), remains
    return found


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_an_expression_asks_for_metrics_and_labels_that_exist(title: str, expression: str) -> None:
    found = read(expression)
    assert found.metrics
    for name in found.metrics:
        assert name in SAMPLES, f"{title}: the relay has no {name}"
    for name, label, value in found.matched:
        assert label in SAMPLES[name] | OF_THE_TARGET, f"{title}: {name} has no label {label}"
        if label not in OF_THE_TARGET:
            assert set(value.split("|")) <= set(LABEL_VALUES[name][label]), f"{title}: {label} is never {value}"
        else:
            assert value == "$job"
    for label in found.grouped:
        assert all(label in SAMPLES[name] for name in found.metrics) or "ignoring" in found.words, (title, label)
        assert any(label in SAMPLES[name] for name in found.metrics), (title, label)
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_an_expression_treats_each_metric_as_what_it_is(title: str, expression: str) -> None:
    found = read(expression)
    gauges = {name for name, known in METRICS.items() if known.kind == "gauge"}
    for name in found.metrics:
        # A counter says nothing until its growth is asked for; a gauge's growth says nothing.
        assert (name in found.in_range) == (name not in gauges), title
        assert "job" in {label for metric, label, _ in found.matched if metric == name}, title
    if found.in_range:
        assert found.words & {"rate", "increase"}, title
    buckets = [name.endswith("_bucket") for name in found.metrics]
    assert all(buckets) == any(buckets) == ("histogram_quantile" in found.words) == ("le" in found.grouped), title


@pytest.mark.parametrize(("title", "target"), targets())
def test_a_legend_names_labels_that_its_expression_keeps(title: str, target: dict[str, Any]) -> None:
    named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    kept = read(target["expr"]).grouped - {"le"}
    assert named == kept, title


def test_every_metric_is_shown() -> None:
    shown = {name for _, expression in EXPRESSIONS for name in read(expression).metrics}
    unseen = [name for name, known in METRICS.items() if shown.isdisjoint(known.samples)]
    assert unseen == []


def test_it_shows_the_incidents_retry_rate_and_the_three_quantiles_of_the_time_to_an_outcome() -> None:
    retry_rate = [read(expression).metrics for title, expression in EXPRESSIONS if title.startswith("Retry rate")]
    assert retry_rate == [["relay_conflicts_total", "relay_messages_accepted_total"]]
    asked = [expression for title, expression in EXPRESSIONS if title == "Time to outcome"]
    assert [re.findall(r"histogram_quantile\(([\d.]+), ", expression) for expression in asked] == [
        ["0.5"],
        ["0.95"],
        ["0.99"],
    ]


def test_it_is_a_dashboard_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] == 42  # the last one of the classic model, from Grafana 12.2 on
    assert "id" not in DASHBOARD
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == ROWS
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    source, job = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert re.fullmatch(r"label_values\((\w+), job\)", job["definition"])
    assert re.findall(r"\((\w+),", job["definition"])[0] in SAMPLES
    sources = [each["datasource"] for panel in panels() for each in (panel, *panel["targets"])]
    assert sources == [{"type": "prometheus", "uid": "${datasource}"}] * len(sources)
    assert all(panel["description"] for panel in panels())


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + across, place["y"] + down) for across in range(place["w"]) for down in range(place["h"])}
        assert taken.isdisjoint(cells)
        assert place["x"] + place["w"] <= 24
        taken |= cells


# The page


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading of the page, without its head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in rows[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_page_lists_every_metric_with_its_kind_and_labels() -> None:
    listed = [(names(row[0])[0], row[1].split()[0], tuple(sorted(names(row[2])))) for row in table("Metrics")]
    assert listed == [(name, known.kind, known.labels) for name, known in METRICS.items()]


def test_the_page_says_of_every_metric_what_it_means_and_what_to_do() -> None:
    for name, _, _, meaning, action in table("Metrics"):
        assert len(meaning) > 10, name
        assert len(action) > 10, name


def test_the_page_gives_a_unit_that_the_metrics_name_ends_with() -> None:
    units = {
        "_seconds": "seconds",
        "_messages": "messages",
        "_tokens": "tokens",
        "_conversations": "conversations",
        "_workers": "workers",
        "_servers": "servers",
    }
    for name, kind, *_ in table("Metrics"):
        metric = names(name)[0]
        if not metric.endswith("_total"):
            (unit,) = (unit for suffix, unit in units.items() if metric.endswith(suffix))
            assert kind.endswith(f" of {unit}"), metric


def test_the_page_lists_every_value_of_every_label() -> None:
    listed = {(metric, names(row[1])[0]): tuple(names(row[2])) for row in table("Labels") for metric in names(row[0])}
    assert listed == {
        (metric, label): values for metric, labels in LABEL_VALUES.items() for label, values in labels.items()
    }


def test_the_page_lists_every_event_with_its_level_and_fields() -> None:
    told = {event[1]: (event[0], list(event[2])) for _, _, _, event in FACTS if event is not None}
    listed = {names(row[0])[0]: (names(row[1])[0], names(row[2])) for row in table("Events")}
    assert listed == told
    assert list(listed) == list(told)


def test_the_pages_examples_run_and_log_the_line_that_it_shows() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, check=True)
    (shown,) = re.findall(r"^    (\{.*\})$", PAGE, re.MULTILINE)
    line, event = json.loads(done.stdout), json.loads(shown)
    assert list(line) == list(event)
    assert line == event | {"timestamp": line["timestamp"], "conversation": pseudonym("customer 1")}
