"""`relaysim serve`: a process of its own, from its first line to its last; and what it says of bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from raw_client import ASSISTANT, HEADERS

from relaysim.scenarios.cli import main
from relaysim.scenarios.commands.command_line import EXIT_USAGE

SENT = {name: value for name, value in HEADERS.items() if name != "host"}
EXIT_SECONDS = 20.0


@contextmanager
def serving(*arguments: str, folder: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The command with a free port; the process, and what its first line says."""
    command = [sys.executable, "-m", "relaysim.scenarios", "serve", "--port", "0", "--json", *arguments]
    root = Path(__file__).parents[4]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder or root, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def finish(process: subprocess.Popen[str], sent: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    """Stop it with a signal; exit code and what it still printed."""
    process.send_signal(sent)
    output, errors = process.communicate(timeout=EXIT_SECONDS)
    return process.returncode, output, errors


def post(started: dict[str, Any], path: str, body: Any = None, **headers: str) -> httpx2.Response:
    """A request to the served API."""
    return httpx2.post(started["base_url"] + path, json=body or {}, headers={**SENT, **headers}, trust_env=False)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_says_what_happened(sent: signal.Signals, tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text(
        '[[faults]]\nkind = "status"\nstatus = 500\nroute = "threads.retrieve"\n\n[[faults]]\nkind = "reset"\nnth = [99]\n'
    )
    with serving("--no-latency", "--faults", str(faults), "--seed", "3") as (process, started):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", started["base_url"])
        assert started["control_url"] == started["base_url"].removesuffix("/v1") + "/_relaysim"
        assert (started["profile"], started["speed"], started["seed"]) == ("typical", 1.0, 3)
        health = httpx2.get(started["base_url"].removesuffix("/v1") + "/healthz", trust_env=False)
        assert health.json()["status"] == "ok"
        thread = post(started, "/threads").json()["id"]
        assert httpx2.get(f"{started['base_url']}/threads/{thread}", headers=SENT).status_code == 500
        code, output, errors = finish(process, sent)
    assert (code, errors) == (0, "")
    assert json.loads(output) == {
        "requests": 2,
        "faults_fired": 1,
        "never_fired": ["faults[1] (reset on *)"],
        "simulator_errors": 0,
    }


def test_it_stops_though_a_stream_and_a_silence_are_open(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[faults]]\nkind = "request_lost"\nroute = "threads.retrieve"\n')
    with serving("--speed", "0", "--any-assistant", "--faults", str(faults)) as (process, started):
        host, port = started["base_url"].removeprefix("http://").removesuffix("/v1").split(":")
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        body = json.dumps({"assistant_id": ASSISTANT, "stream": True})
        with (
            socket.create_connection((host, int(port))) as stream,
            socket.create_connection((host, int(port))) as silent,
        ):
            stream.sendall(
                f"POST /v1/threads/runs HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n{body}".encode()
            )
            silent.sendall(f"GET /v1/threads/thread_x HTTP/1.1\r\n{head}\r\n".encode())
            received = b""
            while b"thread.run.queued" not in received:
                received += stream.recv(65536)
            code, output, errors = finish(process)
    assert (code, errors) == (0, "")
    assert json.loads(output)["requests"] == 2


def test_a_second_signal_ends_it_at_once() -> None:
    with serving("--set", "request_seconds=3600", "--set", "slow_probability=0.0") as (process, started):
        host, port = started["base_url"].removeprefix("http://").removesuffix("/v1").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"GET /v1/threads/thread_x HTTP/1.1\r\nhost: x\r\n\r\n")
            health = f"{started['base_url'].removesuffix('/v1')}/healthz"
            while httpx2.get(health, trust_env=False).json()["requests"] == 0:
                pass
            process.send_signal(signal.SIGTERM)
            try:
                while True:  # until it has begun to stop
                    socket.create_connection((host, int(port))).close()
            except OSError:
                pass
            assert finish(process)[0] == -signal.SIGTERM


def test_the_options_reach_the_api(tmp_path: Path) -> None:
    replies = tmp_path / "replies.toml"
    replies.write_text('kind = "script"\n[[replies]]\ntext = "As told: {input}"\n')
    options = ["--speed", "1000", "--no-latency", "--assistant", ASSISTANT, "--key", "sk-one", "--poll-after-ms", "5"]
    options += ["--set", "run_seconds=2", "--set", "queue_seconds.low=0", "--set", "queue_seconds.high=1"]
    options += ["--set", "stuck_probability=0.0", "--start-time", "2030-01-01T00:00:00Z", "--replies", str(replies)]
    with serving(*options) as (_, started):
        assert post(started, "/threads").status_code == 401
        key = {"authorization": "Bearer sk-one"}
        thread = {"messages": [{"role": "user", "content": "Olá"}]}
        run = post(started, "/threads/runs", {"assistant_id": ASSISTANT, "thread": thread}, **key).json()
        assert 1893456000 <= run["created_at"] < 1893456000 + 100_000
        unknown = post(started, "/threads/runs", {"assistant_id": "asst_" + "b" * 24}, **key)
        assert unknown.status_code == 404
        with httpx2.Client(headers={**SENT, **key}, trust_env=False) as client:
            url = f"{started['base_url']}/threads/{run['thread_id']}"
            while (answer := client.get(f"{url}/runs/{run['id']}")).json()["status"] != "completed":
                pass
            assert answer.headers["openai-poll-after-ms"] == "5"
            text = client.get(f"{url}/messages").json()["data"][0]["content"][0]["text"]["value"]
    assert text == "As told: Olá"


def test_code_of_the_current_directory_replies(tmp_path: Path) -> None:
    (tmp_path / "my_replies.py").write_text("def reply(turn):\n    return 'Mine'\n")
    (tmp_path / "replies.toml").write_text('kind = "callable"\nfactory = "my_replies:reply"\n')
    with serving("--replies", "replies.toml", "--speed", "0", folder=tmp_path) as (process, _):
        assert finish(process)[0] == 0


def test_it_says_in_words_where_it_is() -> None:
    command = [sys.executable, "-m", "relaysim.scenarios", "serve", "--port", "0", "--host", "0.0.0.0", "--speed", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first, *following = [process.stdout.readline() for _ in range(5)]
        assert re.fullmatch(r"The simulated Threads API is at http://127\.0\.0\.1:\d+/v1\n", first)
        assert "  profile      typical, speed 0, seed 0\n" in following
        assert any("--any-assistant" in line for line in following)
        code, output, errors = finish(process)
    assert (code, output) == (0, "0 requests, 0 faults fired\n")
    assert errors.startswith("relaysim: warning: --host 0.0.0.0: whoever reaches this machine")


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines that the command says of bad input, without the page that tells more; nothing else happens."""
    assert main(["serve", *arguments]) == EXIT_USAGE
    output, errors = capsys.readouterr()
    assert output == ""
    assert "Traceback" not in errors
    first, *others = errors.splitlines()
    first = re.sub(r" \(more: [^()]*\)$", "", first)
    return others if first.endswith(" problems") else [first, *others]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--profile", "tipical"],
            "--profile tipical: there is no profile 'tipical'; did you mean `typical`? (or give a path that ends in .toml)",
        ),
        (["--profile", "missing.toml"], "--profile missing.toml: there is no such file"),
        (["--faults", "missing.toml"], "--faults missing.toml: there is no such file"),
        (["--replies", "missing.toml"], "--replies missing.toml: there is no such file"),
        (
            ["--set", "run_seconds.median=-2"],
            "--set run_seconds.median=-2: run_seconds.median: must be above 0, not -2",
        ),
        (
            ["--set", "run_seconds.p95=1", "--set", "run_seconds.median=-2"],
            "--set run_seconds.median=-2: run_seconds.median: must be above 0, not -2",
        ),
        (
            ["--set", "stuck_probability=often"],
            '--set stuck_probability=often: stuck_probability: must be a number, not "often"',
        ),
        (
            ["--set", "stuck"],
            "--set stuck: 'stuck' sets nothing: write PATH=VALUE, e.g. relay.settings.attempts=5",
        ),
        (["--assistant", "mine"], "--assistant mine: is no assistant's id; ids begin with `asst_`"),
        (
            ["--host", "192.0.2.1", "--port", "0"],
            "--host 192.0.2.1: cannot be listened on: cannot assign requested address; "
            "give 127.0.0.1, or 0.0.0.0 for everywhere",
        ),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [line.removeprefix("relaysim: ").strip() for line in told(capsys, *arguments)] == [expected]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('[[faults]]\nkind = "statu"\n', ["faults[0].kind: must be"]),
        ('[[faults]]\nkind = "status"\n', ["faults[0]: kind 'status' needs `status`"]),
        ('[[fault]]\nkind = "reset"\n', ["fault: unknown key; did you mean `faults`?", "faults: is missing"]),
        ('[[faults]]\nkind = "reset"\nprobability = "1"\n', ['faults[0].probability: must be a number, not "1"']),
        ('[[faults]]\nkind = "slow_body"\nseconds = inf\n', ["faults[0].seconds: must be a finite number"]),
        ("[[faults]", ["is no TOML"]),
    ],
)
def test_a_bad_file_of_faults_is_told_with_the_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, expected: Sequence[str]
) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(content)
    lines = told(capsys, "--faults", str(path))
    assert len(lines) == len(expected)
    for part in expected:
        assert any(f"{path}: {part}" in line for line in lines), lines


def test_a_bad_file_of_replies_is_told_with_the_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "replies.toml"
    path.write_text('kind = "script"\n[[replies]]\ntext = 3\n')
    assert told(capsys, "--replies", str(path)) == [f"relaysim: {path}: replies[0].text: must be a text, not 3"]
    path.write_text('kind = "callable"\nfactory = "no_such_module:reply"\n')
    (line,) = told(capsys, "--replies", str(path))
    assert line.startswith(f"relaysim: {path}: factory: no_such_module cannot be imported")


def test_a_bad_profile_file_is_told_with_the_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ntitle = "mine"\n[stuck_probability]\nvalue = 0.1\n')
    lines = told(capsys, "--profile", str(path))
    assert any(line.strip().startswith(f"{path}: queue_seconds: is missing") for line in lines)


def test_all_mistakes_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(told(capsys, "--set", "stuck_probability=2", "--assistant", "x", "--faults", "missing.toml")) == 3


def test_a_port_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (line,) = told(capsys, "--port", str(port))
    assert line == f"relaysim: --port {port}: is in use; give another port, or 0 for a free one"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "65536"),
        ("--port", "http"),
        ("--speed", "-1"),
        ("--speed", "inf"),
        ("--seed", "-1"),
        ("--connections-max", "0"),
        ("--threads-max", "0"),
        ("--poll-after-ms", "-5"),
        ("--start-time", "yesterday"),
    ],
)
def test_a_bad_value_is_told_by_its_option(capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    assert main(["serve", option, value]) == EXIT_USAGE
    assert f"{option}: must be" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("--webhook-url", "http://127.0.0.1:9/"),
            "--webhook-url: the simulated Threads API tells of nothing by itself; leave the option out, or give "
            "--api responses",
        ),
        (
            ("--api", "responses", "--webhook-secret", "whsec_YQ=="),
            "--webhook-secret: signs nothing; give --webhook-url too, or leave it out",
        ),
        (
            ("--api", "responses", "--webhook-url", "example.com"),
            "--webhook-url example.com: is no URL of an endpoint; give http:// or https://, a host and a path",
        ),
        (
            ("--api", "responses", "--webhook-url", "http://a/", "--webhook-secret", "abc"),
            "--webhook-secret: must be `whsec_` and base64, such as whsec_cmVsYXlzaW0gc2lnbnMgdGhpcw==",
        ),
    ],
)
def test_bad_options_of_events_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], line: str
) -> None:
    (said,) = told(capsys, *arguments)
    assert said.removeprefix("relaysim: ").strip() == line


def test_an_endpoint_is_named_with_the_secret_that_it_needs() -> None:
    command = [sys.executable, "-m", "relaysim.scenarios", "serve", "--port", "0", "--api", "responses"]
    arguments = ["--webhook-url", "http://127.0.0.1:9/", "--webhook-secret", "whsec_YQ=="]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4]
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        finish(process)
    assert "  webhooks     http://127.0.0.1:9/, with OPENAI_WEBHOOK_SECRET=whsec_YQ==\n" in lines


def test_the_help_needs_nothing_that_takes_time_to_import() -> None:
    code = (
        "import sys; from relaysim.scenarios.cli import main; main(['serve', '--help']); "
        "sys.exit(any(name.partition('.')[0] in ('simpy', 'uvicorn', 'pydantic', 'asyncio') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_it_takes_no_more_connections_than_it_may_open_files() -> None:
    command = f"ulimit -n 200 && exec {sys.executable} -m relaysim.scenarios serve --port 0 --speed 0 --json"
    root = Path(__file__).parents[4]
    with subprocess.Popen(
        ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        port = int(started["base_url"].removesuffix("/v1").rpartition(":")[2])
        connected = [socket.create_connection(("127.0.0.1", port)) for _ in range(180)]
        try:
            first = connected[0]
            first.settimeout(60)
            first.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert first.recv(15) == b"HTTP/1.1 200 OK"
        finally:
            for each in connected:
                each.close()
        status, _, errors = finish(process)
    assert status == 0
    assert errors == ("relaysim: at most 50 connections instead of 1000: this process may open 200 files (ulimit -n)\n")
