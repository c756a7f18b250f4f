"""Goal: a program that runs already, and one with the user's own Redis, are judged and nothing of theirs is taken; and
no world meets what another has left; a conversation may exist before its first message.

Method: a program that would take a customer of an earlier world for one of this; what cannot be done is refused.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from relaysim.reports.results import read_results
from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.outside.config import JudgeConfig
from relaysim.scenarios.outside.playable import what_cannot_be_played
from relaysim.scenarios.outside.trials import Trials
from relaysim.sim.backends.profile import load_profile
from relaysim.sim.doors.simulation import ApiSettings
from relaysim.sim.outside.outside_server import OutsideApi
from relaysim.sim.outside.programs import Guard
from relaysim.sim.outside.redis_server import WorldRedis, free_port
from relaysim.sim.outside.shared_customers import with_customers_after
from relaysim.sim.providers import Attempt, CustomerMessage, Done, Evolution, HttpRequest, Text, WhatsApp
from tests.scenarios.outside.test_judge import BOT, SMALL, here, judge, judged_program

__all__ = ["here"]


def test_a_program_that_runs_already_is_judged_where_it_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port, api_port = free_port(), free_port()
    environment = {
        "PORT": str(port),
        "OPENAI_BASE_URL": f"http://127.0.0.1:{api_port}/v1",
        "RELAYSIM_PROVIDER_URL": f"http://127.0.0.1:{api_port}/_provider",
        **WhatsApp().environment,
    }
    url = f"http://127.0.0.1:{port}/webhook"
    options = ["small.toml", "--provider", "whatsapp", "--webhook", url, "--port", str(api_port), "--verification"]
    with subprocess.Popen([sys.executable, str(BOT), "right"], env={**os.environ, **environment}) as bot:
        try:
            main(["judge", *options, "--replications", "2", "--out", "out"])
            assert bot.poll() is None
        finally:
            bot.kill()
    results = read_results(here / "out")
    (entry,) = results["scenarios"]
    assert entry["outcomes"]["messages"] == entry["outcomes"]["succeeded"] == 6
    streams = capsys.readouterr()
    assert f"{url} must find the API at http://127.0.0.1:{api_port}/v1" in streams.err
    assert "It ran already, so nothing was done to its processes" in " ".join(streams.out.split())


def test_the_users_own_redis_keeps_what_is_in_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Guard() as guard:
        own = WorldRedis(here / "own", guard, loses=False)
        try:
            asyncio.run(own.start())
            kept = redis.Redis(host="127.0.0.1", port=own.place.port)
            kept.set("mine", "1")
            slow = 'kind = "slow"\nat_seconds = 0.0\nseconds = 5.0\ndelay_seconds = 0.01\n'
            (here / "small.toml").write_text(f"{SMALL}\n[[redis_faults]]\n{slow}")
            judge("stores", "--replications", "2", "--out", "out", "--quiet", "--redis", own.place.url)
            (entry,) = read_results(here / "out")["scenarios"]
            assert entry["outcomes"]["messages"] == entry["outcomes"]["succeeded"] == 6
            assert entry["fault_hits"]["redis_faults"] == [2]
            assert (kept.get("mine"), kept.hlen("messages")) == (b"1", 6)
            assert "Its Redis is your own" in " ".join(capsys.readouterr().out.split())
        finally:
            own.close()


def test_a_run_may_be_there_before_the_first_message(here: Path) -> None:
    """The program opens a thread for its customer, and gets the one with the run."""
    before = "conversations = 1\ninitial_runs = [{ age_seconds = 90.0 }]\nmessages = [{ at_seconds = 0.1 }]\n"
    head, _, tail = SMALL.partition("[workload]\n")
    (here / "small.toml").write_text(f"{head}[workload]\n{before}\n[[claims]]{tail.partition('[[claims]]')[2]}")
    config = JudgeConfig(command=judged_program("right"), verification=True)
    scenario = load("small.toml", ['provider={ kind = "whatsapp", path = "/webhook" }'])
    assert what_cannot_be_played(scenario, config) == ""
    with Trials(config, 1) as trials:
        trials.observe_of("small")(scenario.world_settings(), scenario.root_seed, 0, "sdk")
        played = trials.kept(scenario, "sdk", 0)
    assert played is not None
    assert played.observation["counts"]["lost"] == 1
    served = [each for each in played.records if each.kind == "served"]
    refused = next(each for each in served if each.fields.status == 400)
    assert "while a run run_" in refused.fields.error_message
    (began,) = [each.time for each in played.records if each.kind == "run.state" and each.fields.state == "in_progress"]
    (written,) = [each.time for each in played.records if each.kind == "message.sent"]
    assert written - began > 89.0


@pytest.mark.parametrize(
    ("part", "options", "said"),
    [
        (
            '[[redis_faults]]\nkind = "failover"\nat_seconds = 1\nseconds = 1\n',
            "--redis redis://h/0 -- x",
            "redis_faults[0]",
        ),
        (
            '[[host_faults]]\nkind = "crash"\nat_seconds = 1\n',
            "--webhook http://127.0.0.1:9/w",
            "host_faults[0]: a crash",
        ),
        ('[[redis_faults]]\nkind = "reply_lost"\n', "--webhook http://127.0.0.1:9/w", "redis_faults[0]: a reply_lost"),
        ("", "--webhook http://127.0.0.1:9/w --copies 2", "--copies: a program that runs already"),
        ("", "--webhook http://127.0.0.1:9/w --redis redis://h/0", "--redis: is handed to programs"),
        ("", "--redis h:6379 -- x", "--redis: "),
        ("", "--redis redis://127.0.0.1:9/0 -- x", "nothing listens at 127.0.0.1:9, the Redis of --redis"),
        ("", "--port 70000 --webhook http://127.0.0.1:9/w", "--port: "),
    ],
)
def test_what_cannot_be_done_is_one_line(
    part: str, options: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "small.toml").write_text(f"{SMALL}\n{part}")
    assert main(["judge", "small.toml", "--provider", "whatsapp", "--quiet", *options.split()]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_initial_runs_of_several_customers_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = SMALL.replace("conversations = 2", "conversations = 2\ninitial_runs = [{ age_seconds = 9.0 }]")
    (here / "small.toml").write_text(text)
    assert judge("right", "--quiet") == 2
    assert "workload.initial_runs: of several customers" in capsys.readouterr().err


def test_a_verification_that_is_not_answered_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge("right", "--quiet", "--verification", "--env", "WHATSAPP_VERIFY_TOKEN=another") == 2
    err = capsys.readouterr().err
    assert "the provider's verification of the webhook, GET http://127.0.0.1:" in err
    assert "was answered with status 501" in err


@pytest.mark.parametrize("provider", [WhatsApp(), Evolution()])
def test_worlds_that_share_a_program_have_other_customers_and_messages(provider: WhatsApp | Evolution) -> None:
    first, second = (with_customers_after(provider, others) for others in (100, 102))
    message = CustomerMessage("c2.m1", "c2", "Hello", 1_700_000_000.0, 1)
    bodies = {each.webhook([message], Attempt()).body for each in (provider, first, second)}
    assert len(bodies) == 3
    assert first.address("c2") == provider.address("c102")
    assert first.conversation(provider.address("c102")) == "c2"
    assert first.path == provider.path


def test_a_text_for_a_customer_of_an_earlier_world_is_taken_and_is_of_no_world() -> None:
    provider = WhatsApp()
    later = with_customers_after(provider, 102)

    def asked(conversation: str) -> object:
        body = b'{"messaging_product": "whatsapp", "to": "%s", "type": "text", "text": {"body": "Hi"}}'
        host, number = provider.sending_hosts[0], provider.environment["PHONE_NUMBER_ID"]
        headers = {"authorization": "Bearer x", "content-type": "application/json", "host": host}
        url = f"https://{host}/v21.0/{number}/messages"
        return later.read(HttpRequest("POST", url, headers, body % provider.address(conversation).encode()))

    assert asked("c103") == Text("c1", "Hi")
    taken = asked("c101")
    assert isinstance(taken, Done)
    assert taken.response.status == 200


@pytest.mark.parametrize("others", [0, 102])
def test_ids_are_those_of_the_seed_unless_somebody_remembers_other_worlds(others: int) -> None:
    def opened(root_seed: int, others: int) -> str:
        settings = ApiSettings(seed=3)
        api = OutsideApi(load_profile("typical"), root_seed, others, settings, 0.0, lambda time, event: None)
        return api.service.open_conversation()

    assert opened(5, others) == opened(5, others)
    assert opened(5, others) != opened(6, others)
    assert opened(5, others) != opened(5, others + 2)
