"""docs/relay-program.md names what there is: variables, events, metrics and answers."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from relaysim.relay.program.program_metrics import ANSWERS, ProgramMetrics
from relaysim.relay.program.provider import KINDS, Sent
from relaysim.relay.program.variables import BY_NAME

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "relay-program.md").read_text(encoding="utf-8")
SOURCES = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "relay" / "program").glob("*.py")))


def test_every_variable_that_it_names_is_one() -> None:
    named = {*re.findall(r"\b(?:RELAY|WHATSAPP|EVOLUTION|OPENAI|REDIS)_[A-Z_]+\b", PAGE)}
    assert {name for name in named if name.removesuffix("_FILE") not in BY_NAME and name not in BY_NAME} == set()
    secret = PAGE.partition("Those that are secret may come from a file")[2].partition("\n\n")[0]
    for variable in BY_NAME.values():
        is_named = f"`{variable.name}`" in secret or (variable.secret and variable.name.startswith("WHATSAPP_"))
        assert is_named == variable.secret, variable.name


def test_every_metric_is_there_with_its_values() -> None:
    registry = CollectorRegistry()
    ProgramMetrics(registry)
    rows = dict(re.findall(r"^\| `(relay_\w+)` \|(.*?)\| ", PAGE, re.MULTILINE))
    metrics = {family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()}
    assert {*rows} == metrics
    assert re.findall(r"`(\w+)`", rows["relay_webhook_items_total"])[1:] == [*KINDS]
    assert re.findall(r"`(\w+)`", rows["relay_texts_total"])[1:] == [*Sent]


def test_every_event_is_there() -> None:
    told = PAGE.partition("Besides those of telemetry.md there are")[2].partition("\n\n")[0]
    emitted = {*re.findall(r'emit\(\s*"(\w+)"', SOURCES), *re.findall(r'_tell_of_bug\("(\w+)"', SOURCES)}
    emitted |= {*re.findall(r'name = "(\w+)" if sent is .* else "(\w+)"', SOURCES)[0]}
    assert {*re.findall(r"`(\w+)`", told)} == emitted


def test_every_status_is_explained() -> None:
    table = PAGE.partition("## What a webhook is answered with")[2].partition("##")[0]
    explained = {status for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for status in row.split(", ")}
    assert explained == {answer for answer in ANSWERS if answer.isdigit()}
