"""Goal: a file that puts somebody's own relay into a shipped scenario excuses nothing: what the incident's relay is expected
to break, another one is expected to keep, and the command says so by its exit code.

Method: files as people write them, with a bot that answers nobody.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.scenario_files import shipped

OF_ANY_RELAY = ("in-time", "within-cost", "few-notices", "own-texts")

SILENT = """
class Bot:
    async def handle(self, message):
        pass


def make(openai_client, redis_client, send):
    return Bot()
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "silent_shop_bot.py").write_text(SILENT)
    return tmp_path


def write(base: str, *further: str) -> str:
    lines = (f'extends = "{base}"', 'name = "shop"', "replications = 5", 'lane = "sdk"', *further)
    Path("shop.toml").write_text("\n".join([*lines, "[relay]", 'factory = "silent_shop_bot:make"\n']))
    return "shop.toml"


def test_a_gate_on_a_relay_that_answers_nobody_is_red(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", write("rapid_pair"), "--quiet", "--recheck", "0", "--out", "out"]) == 1
    assert "what the scenarios expect" not in capsys.readouterr().out


@pytest.mark.parametrize("base", ["rapid_pair", "race", "stuck_run", "peak_hour"])
def test_nothing_of_the_relay_that_was_there_is_left(base: str) -> None:
    scenario = load(write(base))
    assert {claim.expect for claim in scenario.claims} == {"verified"}
    assert {claim.scope for claim in scenario.claims} == {"any"}
    assert scenario.relay.settings == {}
    assert all(group.settings == {} for group in scenario.workers)


@pytest.mark.parametrize("base", ["rapid_pair", "race"])
def test_what_any_relay_owes_is_judged_beside_the_claims_of_the_file(base: str) -> None:
    """A file whose only claim is about waits would pass a bot that pays for a hundred runs a message."""
    path = Path(write(base))
    assert {claim.id for claim in load(str(path)).claims} >= {"transparent", *OF_ANY_RELAY}
    own = '[[claims]]\nid = "in-time"\nexpect = "refuted"\nreason = "known"\n'
    path.write_text(path.read_text() + own)
    (kept,) = [claim for claim in load(str(path)).claims if claim.id == "in-time"]
    assert (kept.expect, kept.event) == ("refuted", "late"), "the file's own word counts, and only that"
    shipped_relay = load("race", check_relay=False)
    assert not {claim.id for claim in shipped_relay.claims} & set(OF_ANY_RELAY)
    set_by_path = load("race", ["relay.factory=silent_shop_bot:make"], check_relay=False)
    assert {claim.id for claim in set_by_path.claims} >= set(OF_ANY_RELAY)


def test_what_the_file_itself_says_counts() -> None:
    own = '[[claims]]\nid = "transparent"\nexpect = "refuted"\nreason = "known, and to be mended"\n'
    path = Path(write("rapid_pair"))
    path.write_text(path.read_text() + own)
    (claim,) = (each for each in load(str(path)).claims if each.id == "transparent")
    assert (claim.expect, claim.reason) == ("refuted", "known, and to be mended")


TWICE = """
class Bot:
    def __init__(self, openai, send):
        self.threads, self.send = openai.beta.threads, send

    async def handle(self, message):
        thread = (await self.threads.create()).id
        await self.threads.messages.create(thread, role="user", content=message.text)
        run = await self.threads.runs.create_and_poll(thread_id=thread, assistant_id="asst_1")
        answer = (await self.threads.messages.list(thread)).data[0]
        for _ in range(2):
            await self.send(message.conversation, answer.content[0].text.value)


def make(openai_client, redis_client, send):
    return Bot(openai_client, send)
"""

WHOLE = """
schema = 1
name = "shop"
title = "Two messages"
root_seed = 7
replications = 8
lane = "sdk"
profile = "typical"

[relay]
factory = "silent_shop_bot:make"

[workload]
texts = "varied"
messages = [ { at_seconds = 0.0, worker = 1 }, { at_seconds = 30.0, worker = 1 } ]

[[claims]]
id = "cheap"
title = "no conversation costs too much"
kind = "never"
event = "over_cost"
among = "messages"
expect = "verified"
reason = "it calls nothing"
"""


def test_the_answer_is_whether_it_is_safe_as_with_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that extends a shipped one, a whole one, and the option: one question, in terminal, page and JSON."""
    extending = write("rapid_pair")
    Path("whole.toml").write_text(WHOLE)
    quiet = ("--quiet", "--recheck", "0", "--replications", "8", "--out", "out")
    for words in ([extending], ["whole.toml"], ["rapid_pair", "--factory", "silent_shop_bot:make"]):
        assert main(["verify", *words, *quiet]) == 1
        title = f"Is silent_shop_bot:make safe? No: 16 of 16 messages without an answer (in {_name(words)})"
        if words[0] == "rapid_pair" or words == [extending]:
            title = "Is silent_shop_bot:make safe? No: "
        assert " ".join(capsys.readouterr().out.split()).startswith(title)
        page = Path("out/index.html").read_text(encoding="utf-8").replace("\u00a0", " ")
        answer = json.loads(Path("out/results.json").read_text(encoding="utf-8"))["answer"]
        assert answer["title"].startswith(title)
        assert answer["status"] == "unsafe"
        assert f"<title>{answer['title']}</title>" in page


def _name(words: list[str]) -> str:
    return "shop" if words == ["whole.toml"] else words[0]


def test_what_customers_notice_is_no_pass_where_no_claim_is_about_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "silent_shop_bot.py").write_text(TWICE)
    Path("whole.toml").write_text(WHOLE)
    assert main(["verify", "whole.toml", "--quiet", "--recheck", "0", "--out", "out"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "Is silent_shop_bot:make safe? No: 16 replies to messages that had one already (in shop)" in shown
    assert "shop has no claim about what customers notice" in shown


def test_a_bot_that_answers_nobody_is_not_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("rapid_pair", "--factory", "silent_shop_bot:make", "--replications", "8")
    assert main(["verify", *words, "--quiet", "--recheck", "0", "--out", "out"]) == 1
    shown = capsys.readouterr().out
    (line,) = (each for each in shown.splitlines() if "comes in time" in each)
    assert line.endswith("no answer to measure")
    assert shown.index("? Not shown") < shown.index(line) < shown.index("✔ True")


def test_beside_a_relay_that_ships_an_own_one_that_loses_messages_fails_all_the_same() -> None:
    Path("whole.toml").write_text(WHOLE)
    words = ("whole.toml", "rapid_pair", "--set", "replications=5", "--lane", "sdk", "--lane-check", "0")
    assert main(["verify", *words, "--quiet", "--recheck", "0", "--out", "out"]) == 1


def test_what_the_file_expects_to_be_false_lets_a_gate_pass_and_the_answer_is_no_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(write("rapid_pair"))
    given = 'expect = "refuted"\nreason = "known, and to be mended"\n'
    left_out = "".join(f'[[claims]]\nid = "{name}"\ndrop = true\n' for name in OF_ANY_RELAY)
    path.write_text(path.read_text() + f'[[claims]]\nid = "transparent"\n{given}{left_out}')
    assert [claim.id for claim in load(str(path)).claims] == ["transparent"]
    assert main(["verify", str(path), "--quiet", "--recheck", "0", "--out", "out"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("Is silent_shop_bot:make safe? No: ")
    assert shown.endswith("Gate: the one verdict is what the scenarios expect; the answer above stays.")


def test_the_relays_that_ship_keep_their_expectations() -> None:
    expected = {claim.expect for name in shipped() for claim in load(name, check_relay=False).claims}
    assert "refuted" in expected
