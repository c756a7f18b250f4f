"""The configuration: what is wrong is said at once, a line each, with the variable and the fix; secrets are never shown."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relaysim.relay.drain import DrainSettings
from relaysim.relay.program.configuration import ConfigurationError, read_configuration
from relaysim.relay.program.main import main
from relaysim.relay.program.variables import BY_NAME, VARIABLES

ROOT = Path(__file__).resolve().parents[3]
SECRETS = {
    "REDIS_URL": "redis://user:hidden-1@redis.example/0",
    "OPENAI_API_KEY": "hidden-2",
    "WHATSAPP_ACCESS_TOKEN": "hidden-3",
    "WHATSAPP_APP_SECRET": "hidden-4",
    "WHATSAPP_VERIFY_TOKEN": "hidden-5",
}
GOOD = {
    **SECRETS,
    "RELAY_PROVIDER": "whatsapp",
    "RELAY_API": "responses",
    "RELAY_MODEL": "gpt-4.1",
    "WHATSAPP_PHONE_NUMBER_ID": "106540352242922",
}


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        read_configuration(environment)
    return raised.value.problems


def test_a_good_one_has_the_defaults_that_are_listed() -> None:
    configuration = read_configuration(GOOD)
    for variable in VARIABLES:
        if variable.name not in GOOD and variable.default is not None:
            assert configuration.values[variable.name] == variable.read(variable.default)
    assert configuration.settings == DrainSettings(api="responses", model="gpt-4.1")
    assert sorted(configuration.secrets) == sorted(SECRETS.values())


def test_all_that_is_missing_is_said_at_once() -> None:
    assert [each.partition(":")[0] for each in problems({})] == [
        "RELAY_PROVIDER",
        "REDIS_URL",
        "OPENAI_API_KEY",
        "RELAY_API",
    ]
    of_whatsapp = problems({"RELAY_PROVIDER": "whatsapp", "RELAY_API": "threads"})
    assert [each.partition(":")[0] for each in of_whatsapp] == [
        "REDIS_URL",
        "OPENAI_API_KEY",
        "WHATSAPP_PHONE_NUMBER_ID",
        "WHATSAPP_ACCESS_TOKEN",
        "WHATSAPP_APP_SECRET",
        "WHATSAPP_VERIFY_TOKEN",
        "RELAY_ASSISTANT_ID",
    ]
    of_evolution = problems({**GOOD, "RELAY_PROVIDER": "evolution"})
    assert [each.partition(":")[0] for each in of_evolution] == [
        "EVOLUTION_API_URL",
        "EVOLUTION_INSTANCE",
        "EVOLUTION_API_KEY",
    ]


WRONG = [
    ("RELAY_PROVIDER", "slack", "must be whatsapp or evolution"),
    ("REDIS_URL", "http://host", "must be redis://"),
    ("REDIS_URL", "redis://host/first", "must end in the number of a database"),
    ("REDIS_URL", "redis://host:99999", "must be redis://"),
    ("REDIS_URL", "redis://:hidden-9@host/0?socket_timeout=x", "has something in it that the Redis client"),
    ("REDIS_URL", "redis://:hidden-9@host/0?no_such_option=1", "has something in it that the Redis client"),
    ("OPENAI_API_KEY", "key\n", "must consist of visible ASCII characters"),
    ("OPENAI_BASE_URL", "api.example", "must be an address like https://"),
    ("OPENAI_BASE_URL", "https://user:hidden-9@api.example", "must be an address like https://"),
    ("RELAY_API", "chat", "must be responses or threads"),
    ("WHATSAPP_PHONE_NUMBER_ID", "+55 11 9", "must be digits alone"),
    ("RELAY_PORT", "80a", "must be a whole number from 0 to 65535"),
    ("RELAY_PORT", "tcp://10.0.0.1:8080", "is set by Kubernetes"),
    ("RELAY_WEBHOOK_PATH", "webhook", "must begin with /"),
    ("RELAY_WEBHOOK_PATH", "/metrics", "is taken by the program itself"),
    ("RELAY_BODY_BYTES_MAX", "10", "must be a whole number of bytes from 1000 to 10000000"),
    ("RELAY_BODY_SECONDS", "nan", "must be a number of seconds, 0.1 to 300"),
    ("RELAY_STOP_SECONDS", "10", "must be above send_timeout_seconds = 10"),
    ("RELAY_LOG_LEVEL", "INFO", "must be debug, info, warning or error"),
    ("RELAY_WHEN_REDIS_FORGETS", "never", "must be refuse or warn"),
    ("RELAY_PROVDER", "whatsapp", "there is no such variable, did you mean RELAY_PROVIDER?"),
    ("RELAY_QQQQQQQQ", "1", "there is no such variable, relaysim-relay --help lists all of them"),
    ("OPENAI_API_KEY_FILE", "/nowhere", "is set, and so is OPENAI_API_KEY_FILE"),
]


@pytest.mark.parametrize(("name", "text", "said"), WRONG, ids=[f"{name}={text}" for name, text, _ in WRONG])
def test_what_is_wrong_is_one_line_with_the_variable_and_the_fix(name: str, text: str, said: str) -> None:
    (problem,) = problems({**GOOD, name: text})
    assert problem.startswith(name.removesuffix("_FILE") if "FILE" in name else name)
    assert said in problem
    assert "\n" not in problem
    assert "hidden" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://user:word@host:6380/3",
        "rediss://host/0?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=2",
        "redis://[::1]:6379/0",
        "embedded",
    ],
)
def test_addresses_of_redis_are_taken_as_the_client_takes_them(url: str) -> None:
    assert read_configuration({**GOOD, "REDIS_URL": url}).values["REDIS_URL"] == url


def test_kubernetes_variables_of_a_service_called_relay_are_no_mistakes() -> None:
    more = {"RELAY_SERVICE_HOST": "10.0.0.1", "RELAY_SERVICE_PORT": "80", "RELAY_PORT_80_TCP_ADDR": "10.0.0.1"}
    read_configuration({**GOOD, **more})


def test_secrets_may_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    given = {name: text for name, text in GOOD.items() if name != "OPENAI_API_KEY"}
    configuration = read_configuration({**given, "OPENAI_API_KEY_FILE": str(tmp_path / "key")})
    assert configuration.values["OPENAI_API_KEY"] == "from-a-file"
    (problem,) = problems({**given, "OPENAI_API_KEY_FILE": str(tmp_path / "none")})
    assert problem == (
        f"OPENAI_API_KEY: the file '{tmp_path / 'none'}' of OPENAI_API_KEY_FILE cannot be read: No such file or directory"
    )


def test_the_policy_file_says_what_the_environment_does_not(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"

    def with_file(text: str, **changed: str) -> dict[str, str]:
        path.write_text(text)
        without = {name: value for name, value in GOOD.items() if name not in ("RELAY_API", "RELAY_MODEL")}
        return {**without, "RELAY_POLICY_FILE": str(path), **changed}

    head = 'schema = 1\npolicy = "drain"\n[settings]\n'
    read = read_configuration(with_file(f'{head}api = "responses"\nmodel = "m1"\nlease_seconds = 20\n'))
    assert (read.settings.model, read.settings.lease_seconds) == ("m1", 20)
    read = read_configuration(with_file(f'{head}api = "responses"\nmodel = "m1"\n', RELAY_MODEL="m2"))
    assert read.settings.model == "m2"
    assert problems(with_file(head)) == [f"RELAY_API: is not set; {BY_NAME['RELAY_API'].remedy}"]
    assert problems(with_file(f"{head}leese_seconds = 1\nsweep_seconds = 0\n")) == [
        f"RELAY_POLICY_FILE: {path}: settings.leese_seconds = 1: drain has no such setting, did you mean lease_seconds?",
        f"RELAY_POLICY_FILE: {path}: settings.sweep_seconds = 0: must be a number of seconds above 0",
    ]
    (problem,) = problems(with_file('schema = 1\npolicy = "cancel_and_retry"\n'))
    assert problem.endswith("policy = 'cancel_and_retry': this program runs drain, and no other")
    open_fails = with_file(f'{head}when_redis_is_away = "fail_open"\n', RELAY_API="responses", RELAY_MODEL="m")
    (problem,) = problems(open_fails)
    assert "must be 'fail_closed' here: this program acknowledges only what Redis has taken" in problem
    (problem,) = problems({**GOOD, "RELAY_POLICY_FILE": str(tmp_path / "none.toml")})
    assert problem == f"RELAY_POLICY_FILE: {tmp_path / 'none.toml'}: there is no such file"


def test_the_command_ends_with_2_and_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], {"RELAY_PROVIDER": "slack", "RELAY_PORT": "x"}) == 2
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert len(lines) == 5
    assert all(re.fullmatch(r"relaysim-relay: [A-Z_]+( = '.*')?: .+", line) for line in lines)


def test_check_and_print_environment_show_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], GOOD) == 0
    assert main(["--print-environment"], GOOD) == 0
    told = capsys.readouterr()
    assert "hidden" not in told.out + told.err
    lines = told.out.splitlines()
    assert lines[0] == "relaysim-relay: the configuration is good"
    assert [line.partition("=")[0] for line in lines[1:]] == [variable.name for variable in VARIABLES]
    assert "OPENAI_API_KEY=(set)" in lines
    assert "RELAY_PORT=8080" in lines


def test_help_lists_every_variable_with_range_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"], {})
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for variable in VARIABLES:
        said = f"{variable.name} {variable.means}. Range: {variable.range}."
        said += f" Default: {variable.default}." if variable.default is not None else ""
        assert " ".join(said.split()) in told


def test_the_page_lists_every_variable() -> None:
    page = (ROOT / "docs" / "relay-program.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+) \|$", page, re.MULTILINE))
    expected = {}
    for each in VARIABLES:
        default = (
            f"`{each.default}`" if each.default is not None else f"none; needed {each.needed}" if each.needed else ""
        )
        expected[each.name] = f"{each.means} | {each.range} | {default}"
    assert rows == expected


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finished = _started({**GOOD, "RELAY_PORT": str(port)})
    assert finished.returncode == 2
    assert finished.stderr == (
        f"relaysim-relay: RELAY_HOST = '127.0.0.1', RELAY_PORT = {port}: cannot listen there: Address already in use; "
        "choose another address or port\n"
    )


def test_a_folder_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "data"
    finished = _started({**GOOD, "REDIS_URL": "embedded", "RELAY_PORT": "0", "RELAY_EMBEDDED_FOLDER": str(folder)})
    assert finished.returncode == 2
    assert re.fullmatch(r"relaysim-relay: RELAY_EMBEDDED_FOLDER = '.+': cannot be used: .+\n", finished.stderr)


def _started(environment: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "relaysim.relay.program"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
