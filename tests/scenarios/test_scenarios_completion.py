"""Goal: whoever types a command is helped: by the shell, and by a name that is close to the one that there is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from relaysim.scenarios.cli import main
from relaysim.scenarios.docs_pages import PAGES
from relaysim.scenarios.scenario_files import shipped

ASK = """
. {script}
complete_words() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _shtab_relaysim; echo "${{COMPREPLY[@]}}"; }}
complete_words relaysim {words}
"""


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("ver", ["verify"]),
        ("verify --repl", ["--replications"]),
        ("verify --lane ''", ["sdk", "direct"]),
        ("verify stuck", ["stuck_run", "stuck_run_cancel_raises", "stuck_mine.toml"]),
        ("tune --study my", ["my.db"]),
        ("completion z", ["zsh"]),
    ],
)
def test_bash_completes_commands_options_choices_scenarios_and_files(
    words: str, completed: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("stuck_mine.toml", "stuck.txt", "my.db"):
        (tmp_path / name).touch()
    (tmp_path / "relaysim.bash").write_text(script("bash", capsys))
    asked = ASK.format(script="./relaysim.bash", words=words)
    done = subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == completed


def test_zsh_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    made = script("zsh", capsys)
    assert made.startswith("#compdef relaysim\n")
    assert "--replications" in made
    assert " ".join(shipped()) in made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verfy"], "there is no command 'verfy'; did you mean verify?"),
        (["tell"], "there is no command 'tell'; relaysim --help lists all"),
        ([], "names no command; relaysim verify judges the scenarios of the incident, for example"),
        (["verify", "race", "--replicatons", "3"], "there is no option --replicatons; did you mean --replications?"),
        (["verify", "race", "--sequental=1"], "there is no option --sequental; did you mean --sequential?"),
        (["verify", "race", "--xyz"], "there is no option --xyz"),
        (["compare", "race", "--factory", "a:b"], "there is no option --factory"),
        (["verify", "--lane", "drect"], "--lane: there is no 'drect'; did you mean direct?"),
        (["verify", "--lane", "fast"], "--lane: there is no 'fast'; there are: sdk, direct"),
        (["verify", "--jobs", "0"], "--jobs: must be a whole number, 1 or more, not '0'"),
        (["verify", "--name"], "--name needs a value, --name NAME: name of the folder below reports/out"),
        (["verify", "--quiet=1"], "--quiet takes no value; write --quiet alone"),
        (["run", "race"], "--seed is missing, --seed N: the replication's number"),
        (["run"], "SCENARIO, --seed are missing"),
        (["list", "one"], "'one' is one argument too many; leave it out, or quote what belongs together"),
    ],
)
def test_what_may_have_been_meant_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    known = arguments[0] in PAGES if arguments else False
    command = f"relaysim {arguments[0]}" if known else "relaysim"
    page = f", relaysim docs {PAGES[arguments[0]][0]}" if known else ""
    assert line == f"{command}: {said} (more: {command} --help{page})"
