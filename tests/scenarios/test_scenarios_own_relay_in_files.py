"""Goal: a file that puts somebody's own relay into a shipped scenario excuses nothing: what the incident's relay is expected
to break, another one is expected to keep, and the command says so by its exit code.

Method: files as people write them, with a bot that answers nobody.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.scenario_files import shipped

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
    assert "As a gate: passed" not in capsys.readouterr().out


@pytest.mark.parametrize("base", ["rapid_pair", "race", "stuck_run", "peak_hour"])
def test_nothing_of_the_relay_that_was_there_is_left(base: str) -> None:
    scenario = load(write(base))
    assert {claim.expect for claim in scenario.claims} == {"verified"}
    assert {claim.scope for claim in scenario.claims} == {"any"}
    assert scenario.relay.settings == {}
    assert all(group.settings == {} for group in scenario.workers)


def test_what_the_file_itself_says_counts() -> None:
    own = '[[claims]]\nid = "transparent"\nexpect = "refuted"\nreason = "known, and to be mended"\n'
    path = Path(write("rapid_pair"))
    path.write_text(path.read_text() + own)
    (claim,) = (each for each in load(str(path)).claims if each.id == "transparent")
    assert (claim.expect, claim.reason) == ("refuted", "known, and to be mended")


def test_the_relays_that_ship_keep_their_expectations() -> None:
    expected = {claim.expect for name in shipped() for claim in load(name, check_relay=False).claims}
    assert "refuted" in expected
