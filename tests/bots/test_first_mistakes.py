"""Goal: what a bot's author gets wrong at first is answered by the line and by what to do about it.

Method: small modules in a folder of their own, loaded by the command's own loader.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relaysim.reports.results import replay_template
from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load, variant
from relaysim.scenarios.obstacle_tallies import Obstacles
from relaysim.scenarios.problems import ScenarioError
from relaysim.sim.kernel import WATCHDOG
from relaysim.sim.process import own_files
from relaysim.sim.world.obstacles import Raised
from relaysim.sim.world.target import NotAcknowledged

APPLICATION = """
import os
from urllib.request import urlopen
def app(environ, start_response):
    start_response("404 Not Found", [])
    return [b"no such page"]
"""
POLLS = 'urlopen(f"https://api.telegram.org/bot{os.environ["TELEGRAM_TOKEN"]}/getUpdates")\n'.replace(
    '"TELEGRAM_TOKEN"', "'TELEGRAM_TOKEN'"
)
MAIN = '`if __name__ == "__main__":`'


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def said(tmp_path: Path, code: str, *sets: str, option: str = "--app") -> str:
    """What the loader says of an application with this code at its end."""
    Path(tmp_path, "mistaken_bot_for_tests.py").write_text(APPLICATION + code, "utf-8")
    with pytest.raises(ScenarioError) as caught:
        load("race", sets, "mistaken_bot_for_tests:app", option=option)  # type: ignore[arg-type]
    return str(caught.value)


TELEGRAM = 'provider={kind="telegram"}'


def test_an_application_without_a_provider_asks_for_one_and_not_for_a_variable(tmp_path: Path) -> None:
    wants_a_token = 'TOKEN = os.environ["TELEGRAM_TOKEN"]'
    text = said(tmp_path, wants_a_token)
    assert text.startswith("--app mistaken_bot_for_tests:app: a web application gets the webhooks of a provider")
    assert "add --provider KIND" in text
    assert "telegram, slack" in text
    assert "TELEGRAM_TOKEN" not in text
    text = said(tmp_path, wants_a_token, option="--factory")
    assert text.startswith("--factory mistaken_bot_for_tests:app: importing")
    assert text.endswith("--provider telegram would give it")


def test_a_file_with_an_application_and_no_provider_has_its_line_too(tmp_path: Path) -> None:
    Path("mistaken.toml").write_text('extends = "race"\nname = "mistaken"\n[relay]\napp = "nowhere:app"\n', "utf-8")
    with pytest.raises(ScenarioError, match=r"^mistaken.toml: relay.app: a web application gets the webhooks"):
        load("mistaken.toml")


def test_a_server_that_is_started_while_its_module_is_loaded_is_named(tmp_path: Path) -> None:
    line = "import socketserver; socketserver.TCPServer(('', 5000), None).serve_forever()"
    text = said(tmp_path, line, TELEGRAM)
    assert f"`{line}` starts a server or a loop" in text
    assert MAIN in text
    assert text.startswith("--app mistaken_bot_for_tests:app: ")


def test_so_is_one_that_fails_by_itself_or_never_ends(tmp_path: Path) -> None:
    starts = "starts a server or a loop while its module is loaded: put that line under"
    text = said(tmp_path, "def run(): raise RuntimeError('no loop')\nrun()", TELEGRAM)
    assert f"RuntimeError: no loop; `run()` {starts} {MAIN}" in text
    before = os._exit, sys.stdout, signal.getsignal(signal.SIGURG)
    waits = "import threading\ndef infinity_polling(): threading.Event().wait()\ninfinity_polling()"
    text = said(tmp_path, waits, TELEGRAM)
    assert f"was started; `infinity_polling()` {starts} {MAIN}" in text
    gc.collect()
    assert not WATCHDOG.in_section
    assert (os._exit, sys.stdout, signal.getsignal(signal.SIGURG)) == before, "what waited has left its section open"


def test_another_error_of_a_module_gets_no_such_advice(tmp_path: Path) -> None:
    assert MAIN not in said(tmp_path, "def run_it(): raise RuntimeError('no loop')\nrun_it()", TELEGRAM)
    assert said(tmp_path, "1 / 0", TELEGRAM).endswith("failed: ZeroDivisionError: division by zero")


@pytest.mark.parametrize("code", [POLLS, f"import threading\nthreading.Thread(target=lambda: {POLLS.strip()}).start()"])
def test_long_polling_is_told_as_what_it_is(tmp_path: Path, code: str) -> None:
    text = said(tmp_path, code, TELEGRAM)
    assert "fetching messages from Telegram by long polling (getUpdates) would leave the simulation" in text
    assert "messages come by webhook only" in text
    assert "mistaken_bot_for_tests.py:" in text


@pytest.mark.parametrize(("status", "remedy"), [(404, "--path"), (403, "provider.secret"), (500, "mend that line")])
def test_a_response_that_acknowledges_no_webhook_says_where_it_went_and_what_to_do(status: int, remedy: str) -> None:
    raised = Raised.by("c1.m1#1", NotAcknowledged(status, "/hook", body=b"no"))
    found = Obstacles()
    found.add({"raised": {raised.what: 2}, "said": {raised.what: raised.words}, "calm": 2}, 2)
    (entry,) = found.entries(1)
    assert f"(the webhook, POST /hook, was answered with status {status}: no)" in entry["text"]
    assert remedy in entry["text"].partition("Nothing is judged: ")[2]


def test_a_scenario_with_fewer_workers_than_its_messages_name_lets_those_go_to_any() -> None:
    race = load("race", ["workers=[{count=1}]"], check_relay=False)
    assert [message.worker for message in race.workload.messages] == [1, None]
    again = variant(race, {"limit_seconds": 100.0})
    assert [message.worker for message in again.workload.messages] == [1, None]
    with pytest.raises(ScenarioError, match="names worker 3, but there are 2"):
        load("race", ["workload.messages[0].worker=3"], check_relay=False)


def test_the_relay_is_named_by_the_option_that_its_author_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "race", "--seed", "0", "--app", "nowhere_for_tests:app", "--provider", "slack"]) == 2
    assert capsys.readouterr().err.startswith("relaysim: --app nowhere_for_tests:app: ")
    Path(tmp_path, "replayed_bot_for_tests.py").write_text(APPLICATION, "utf-8")
    scenario = load("race", [TELEGRAM], "replayed_bot_for_tests:app", option="--app")
    given = scenario.origin
    replay = replay_template(given.given, settings=given.settings, factory=given.factory, option=given.option)
    assert replay.endswith(" --app replayed_bot_for_tests:app")


def test_passwords_of_whoever_runs_this_are_not_there_for_a_bot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_files, "_HIDDEN", frozenset({f"{tmp_path}/.netrc"}))
    Path(tmp_path, ".netrc").write_text("machine api.openai.com login me password mine\n", "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", f"{tmp_path}/.netrc")
    looks = "from requests.utils import get_netrc_auth\nassert get_netrc_auth('https://api.openai.com/v1') is None\n"
    writes = (
        "from pathlib import Path\npath = Path.home() / '.netrc'\nassert path.write_text('own')\nassert path.exists()"
    )
    Path(tmp_path, "private_bot_for_tests.py").write_text(APPLICATION + looks + writes, "utf-8")
    assert load("race", [TELEGRAM], "private_bot_for_tests:app", option="--app").relay.factory
    assert Path(tmp_path, ".netrc").read_text("utf-8").startswith("machine")


STARTS = (
    "import uvicorn\nuvicorn.run(app, port=8000)\n",
    "import asyncio, uvicorn\nasyncio.run(uvicorn.Server(uvicorn.Config(app)).serve())\n",
    "import asyncio\nasync def work(): pass\nasyncio.run(work())\n",
)

ONE_AFTER_THE_OTHER = """
import sys
from relaysim.scenarios.cli import main
for name in sys.argv[1:]:
    assert main(["verify", "race", "--app", f"{name}:app", "--provider", "slack"]) == 2
"""


def test_what_starts_a_server_while_it_is_loaded_gets_one_line_and_no_complaints_of_pythons(tmp_path: Path) -> None:
    """In a process of its own: what Python complains of at its end would be seen too."""
    names = [f"mistaken_bot_for_tests_{number}" for number in range(len(STARTS))]
    for name, starts in zip(names, STARTS, strict=True):
        Path(tmp_path, f"{name}.py").write_text(APPLICATION + starts, "utf-8")
    command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 0, done.stderr
    assert [name for name, line in zip(names, lines, strict=True) if name not in line or MAIN not in line] == []
