"""Goal: an application and its provider are named in a file or on the command line, and every mistake has its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from relaysim.scenarios.cli import main
from relaysim.scenarios.commands import command_line
from relaysim.scenarios.load import load
from relaysim.scenarios.problems import ScenarioError
from relaysim.sim.providers import PROVIDERS, WhatsApp

APP = """
import os
SECRET = os.environ["WHATSAPP_APP_SECRET"] + os.environ["MINE"]
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
"""

FILE = """
extends = "race"
name = "hooked"
[relay]
app = "hooked_app_for_tests:app"
[provider]
kind = "whatsapp"
path = "/hook"
[environment]
MINE = "x"
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("hooked_app_for_tests.py").write_text(APP, "utf-8")
    Path("hooked.toml").write_text(FILE, "utf-8")


def said(*sets: str, text: str = FILE, factory: str | None = None) -> list[str]:
    """The problems of the file."""
    Path("hooked.toml").write_text(text, "utf-8")
    with pytest.raises(ScenarioError) as caught:
        load("hooked.toml", sets, factory)
    return str(caught.value).splitlines()


def test_a_file_names_an_application_its_provider_and_variables() -> None:
    scenario = load("hooked.toml")
    assert scenario.relay.factory == "hooked_app_for_tests:app"
    assert scenario.provider == WhatsApp(path="/hook")
    variables = scenario.world_settings().variables
    assert (variables["MINE"], variables["WHATSAPP_APP_SECRET"]) == ("x", "relaysim-secret")
    assert type(scenario).from_json(scenario.to_json()).hash == scenario.hash


def test_what_is_not_said_leaves_the_hash_as_it_was() -> None:
    race = load("race", check_relay=False)
    hashes = {race.hash}
    for one in ('provider={kind="slack"}', "environment.A=x", "workers[0].threads=2"):
        hashes.add(load("race", [one], check_relay=False).hash)
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("was", "becomes", "problem"),
    [
        (
            'kind = "whatsapp"',
            'kind = "whatsap"',
            'hooked.toml: provider: unknown kind "whatsap"; did you mean `whatsapp`?',
        ),
        ('path = "/hook"', 'path = "hook"', "hooked.toml: provider.path: a path begins with /"),
        ('path = "/hook"', "pth = 1", "hooked.toml: provider.pth: unknown key"),
        ('kind = "whatsapp"', "", "hooked.toml: provider: `kind` is missing; allowed: whatsapp, twilio"),
        ('MINE = "x"', "MINE = [1]", "hooked.toml: environment.MINE: must be"),
        ('MINE = "x"', '"A-B" = "x"', "hooked.toml: environment."),
        (
            'MINE = "x"',
            "",
            "hooked.toml: relay.app: importing hooked_app_for_tests failed: it wants the variable MINE: give it",
        ),
        ("[relay]", '[relay]\nfactory = "a:b"', "hooked.toml: relay: `factory` and `app` are two names of one key"),
    ],
)
def test_each_mistake_has_its_line(was: str, becomes: str, problem: str) -> None:
    assert FILE.count(was) == 1
    lines = said(text=FILE.replace(was, becomes))
    assert any(line.startswith(problem) for line in lines), lines


def test_options_take_the_place_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["run", "race", "--seed", "0", "--app", "hooked_app_for_tests:app", "--set", "environment.MINE=y"]
    assert main([*asked, "--path", "/other", "--provider", "whatsapp"]) == 0
    capsys.readouterr()
    assert main([*asked, "--provider", "whatsapp", "--path", "other"]) == 2
    assert '--set provider.path="other": provider.path: a path begins with /' in capsys.readouterr().err
    assert main([*asked, "--provider", "whatsap"]) == 2
    assert "--provider: there is no 'whatsap'; did you mean whatsapp?" in capsys.readouterr().err


def test_the_command_knows_all_providers() -> None:
    assert tuple(each.model_fields["kind"].default for each in PROVIDERS) == command_line.PROVIDERS
