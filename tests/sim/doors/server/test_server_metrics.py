"""What the server tells of itself: /metrics, and a line of JSON per request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from raw_client import ASSISTANT, RawClient
from test_server_command import finish, post, serving

from relaysim.scenarios.cli import main
from relaysim.sim.doors.faults import ApiFault
from relaysim.sim.doors.server.app import SimulatedServer
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.server.served_metrics import PENDING_MAX, ServedMetrics
from relaysim.sim.doors.simulation import ApiSettings
from relaysim.sim.trace.schema import RequestSent

ANY = ApiSettings(assistants="any")


def samples(client: RawClient) -> dict[tuple[str, ...], float]:
    """All samples by name and labels' values, as a scraper reads them."""
    answer = client.ask("GET", "/metrics")
    assert answer.status == 200
    assert b"content-type: text/plain; version=0.0.4" in answer.head.lower()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_it_counts_answers_by_operation_and_status_over_resets() -> None:
    with BackgroundServer(ANY, speed=0) as running, RawClient(running) as client:
        thread = client.ask("POST", "/v1/threads", {}).data["id"]
        client.ask("POST", f"/v1/threads/{thread}/runs", {"assistant_id": ASSISTANT})
        for _ in range(3):
            client.ask("POST", f"/v1/threads/{thread}/messages", {"role": "user", "content": "secret words"})
        running.advance(600.0)
        before = samples(client)
        assert before["relaysim_requests_total", "messages.create", "400"] == 3
        assert before["relaysim_requests_total", "runs.create", "200"] == 1
        assert before["relaysim_turn_states_total", "completed"] == 1
        assert before["relaysim_virtual_seconds",] == 600.0
        assert client.ask("POST", "/_relaysim/reset", {}).status == 200
        client.ask("POST", "/v1/threads", {})
        after = samples(client)
        assert after["relaysim_requests_total", "threads.create", "200"] == 2
        assert after["relaysim_requests_total", "messages.create", "400"] == 3
        assert after["relaysim_simulator_errors_total",] == 0


def test_a_fault_is_counted_also_where_no_answer_comes() -> None:
    fault = ApiFault(kind="request_lost", route="threads.create", nth=(1,))
    with BackgroundServer(ANY.model_copy(update={"faults": (fault,)}), speed=0) as running:
        with RawClient(running) as lost:
            lost.send("POST", "/v1/threads", {})
            with RawClient(running) as client:
                client.ask("POST", "/v1/threads", {})
                seen = samples(client)
        assert seen["relaysim_faults_fired_total", "request_lost", "threads.create"] == 1
        assert seen["relaysim_requests_total", "threads.create", "200"] == 1


def test_the_log_has_a_line_per_request_and_none_of_what_was_written() -> None:
    lines: list[str] = []
    server = SimulatedServer(ANY, 0, request_log=lines.append)
    server.api.handle("POST", "/v1/threads", {"authorization": "Bearer sk-any"}, b"{}")
    status, _, body = server.api.handle(
        "POST",
        "/v1/threads/thread_none/messages",
        {"authorization": "Bearer sk-any", "content-type": "application/json", "openai-beta": "assistants=v2"},
        b'{"role": "user", "content": "secret words"}',
    )
    assert status == 404
    first, second = (json.loads(line) for line in lines)
    assert (first["operation"], first["virtual_seconds"]) == ("threads.create", 0.0)
    assert first["timestamp"] == "2025-11-04T12:00:00.000Z"
    assert second["status"] == 404
    assert second["conversation"] == "thread_none"
    assert second["error"] in body.decode()
    assert "secret" not in "".join(lines)


def test_what_is_never_answered_is_forgotten() -> None:
    metrics = ServedMetrics(lambda: 0.0)
    for number in range(PENDING_MAX + 50):
        metrics.note(0.0, RequestSent(str(number), "", "threads.create", None, None))
    assert len(metrics._pending) == PENDING_MAX


def test_the_command_writes_the_log_as_requests_come(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    log.write_text("before\n")
    with serving("--speed", "0", "--any-assistant", "--request-log", str(log)) as (process, started):
        assert post(started, "/threads").status_code == 200
        before, line = log.read_text(encoding="utf-8").splitlines()
        assert before == "before"
        assert json.loads(line)["operation"] == "threads.create"
        code, _, errors = finish(process)
    assert (code, errors) == (0, "")


def test_a_log_that_cannot_be_written_is_refused_before_anything_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", "--request-log", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"relaysim: --request-log {tmp_path}: cannot be written: ")
