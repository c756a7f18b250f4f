"""Goal: what is released works for whoever installs it, whatever their own project's folders are called.

Method: the distributions are built from a copy of this checkout; the wheel goes into empty environments, once with the
relay alone and once with the extra `sim`; a project with folders of its own called `sim`, `relay`, `reports`,
`scenarios` and `tests` uses it from its own folder. Takes minutes and needs a package index: `make wheel` runs it, and
CI does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import relaysim

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("relay", "sim", "scenarios", "reports")

BOT = '''
import asyncio


class Bot:
    """Waits for its turn in one process; the simplest relay that answers."""

    def __init__(self, openai, redis, send):
        self.openai, self.send, self.threads = openai, send, {}

    async def handle(self, message):
        threads = self.openai.beta.threads
        thread = self.threads.setdefault(message.conversation, await threads.create())
        await threads.messages.create(thread.id, role="user", content=message.text)
        await threads.runs.create_and_poll(thread_id=thread.id, assistant_id="asst_x", poll_interval_ms=500)
        newest = await threads.messages.list(thread.id, limit=1)
        await self.send(message.conversation, newest.data[0].content[0].text.value)


def make(openai, redis, send):
    return Bot(openai, redis, send)
'''
OWN_TEST = """
from relay.main import make
from sim.own import ANSWER


def test_own_modules_are_the_projects_own():
    assert make and ANSWER == 42


def test_the_simulated_api_answers(simulated_openai):
    thread = simulated_openai.client.beta.threads.create()
    assert thread.id.startswith("thread_")
"""


CHECK = """
import pytest
import relaysim


def test_what_one_process_holds_two_do_not():
    with pytest.raises(relaysim.CheckFailedError, match="relay.main:make in race fails under 2 of 2 seeds: 0, 1"):
        relaysim.check("relay.main:make", "race", seeds=2)
"""


class Environment:
    """A virtual environment with the wheel in it, and nothing of this checkout."""

    def __init__(self, folder: Path, *requirements: str) -> None:
        venv.create(folder, with_pip=True)
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        constraints = str(ROOT / "constraints.txt")
        self("python", "-m", "pip", "install", "--quiet", "--constraint", constraints, *requirements, where=folder)

    def __call__(self, program: str, *arguments: str, where: Path, status: int = 0) -> str:
        """Output and errors of a program of this environment, started in a folder; it must end with that status."""
        names = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=where,
            env=names,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source distribution, and the wheel that was built from it.

    This checkout has been worked in: commands have written reports into it, as `make gate` does before this in CI.
    """
    folder = tmp_path_factory.mktemp("dist")
    written = ROOT / "reports" / "out" / f"before-the-wheel-{os.getpid()}"
    written.mkdir(parents=True)
    try:
        for name in ("results.json", "index.html"):
            (written / name).write_text("{}")
        subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], check=True)
    finally:
        shutil.rmtree(written)
    return folder


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    (found,) = distributions.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def environments(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, Environment]:
    """`alone` and `complete`, filled at the same time."""
    folders = [tmp_path_factory.mktemp(name) for name in ("alone", "complete")]
    requirements = [str(wheel)], [f"relaysim[sim] @ {wheel.as_uri()}", "pytest"]
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(Environment, folder, *its) for folder, its in zip(folders, requirements, strict=True)]
    return made[0].result(), made[1].result()


@pytest.fixture(scope="session")
def alone(environments: tuple[Environment, Environment]) -> Environment:
    """The relay alone, as in production."""
    return environments[0]


@pytest.fixture(scope="session")
def complete(environments: tuple[Environment, Environment]) -> Environment:
    """With the simulator, and the user's own pytest."""
    return environments[1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose folders are called as those of this repository."""
    for name in (*ROOMS, "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "relay" / "main.py").write_text(BOT)
    (tmp_path / "sim" / "own.py").write_text("ANSWER = 42\n")
    (tmp_path / "tests" / "test_own.py").write_text(OWN_TEST)
    return tmp_path


def test_the_wheel_installs_one_name_and_every_file_of_it(wheel: Path, distributions: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--", *ROOMS, "docs/*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    expected = {f"relaysim/{name}" for name in tracked if not Path(name).name.startswith(".")}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.partition("/")[0] for name in names} == {"relaysim", f"relaysim-{relaysim.__version__}.dist-info"}
    inside = {name for name in names if name.startswith("relaysim/")}
    assert inside == expected | {"relaysim/__init__.py", "relaysim/py.typed"}
    (source,) = distributions.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        in_source = {name.partition("/")[2] for name in archive.getnames()}
    assert expected | {"pyproject.toml", "README.md", "LICENSE"} <= in_source
    assert not [name for name in in_source if "reports/out" in name]


def test_the_documents_can_be_read_where_no_checkout_is(complete: Environment, tmp_path: Path) -> None:
    assert complete("relaysim", "docs", "policy-file", where=tmp_path) == (ROOT / "docs" / "policy-file.md").read_text()
    assert complete("relaysim", "docs", "scenarios#workload", where=tmp_path).startswith("## Workload\n")


def test_the_version_stands_in_one_place(alone: Environment, tmp_path: Path) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert alone("relaysim", "--version", where=tmp_path) == f"relaysim {declared}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "race", "--seed", "0"),
        ("verify",),
        ("compare", "race", "--policies", "drain"),
        ("ablate",),
        ("fit", "log.jsonl"),
        ("sweep", "race", "--grid", "x=1"),
        ("tune", "race"),
        ("replay", "race", "--seed", "0"),
        ("serve",),
        ("list",),
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_without_the_simulator_every_command_says_what_to_install(
    alone: Environment, arguments: tuple[str, ...], project: Path
) -> None:
    said = alone("relaysim", *arguments, where=project, status=2)
    assert said.startswith("relaysim: the simulator is not installed (missing: simpy, greenlet, fakeredis,")
    assert said.endswith("install it with: pip install 'relaysim[sim]'\n")
    assert said.count("\n") == 1


def test_without_the_simulator_the_relay_is_there(alone: Environment, project: Path) -> None:
    code = (
        "import relay, relaysim.relay; print(relay.__file__ != relaysim.relay.__file__, relaysim.relay.drain.__name__)"
    )
    assert alone("python", "-c", code, where=project) == "True drain\n"


def test_a_project_with_folders_of_the_same_names(complete: Environment, project: Path) -> None:
    listed = complete("relaysim", "list", where=project)
    assert "race" in listed
    assert "Gate: all" in complete("relaysim", "verify", "race", "--replications", "50", where=project)
    results = json.loads((project / "reports" / "out" / "latest" / "results.json").read_text())
    assert results["scenarios"][0]["replications"] >= 50


def test_a_bot_in_a_folder_called_relay(complete: Environment, project: Path) -> None:
    options = ("--seed", "0", "--factory", "relay.main:make", "--json")
    said = complete("relaysim", "run", "race", *options, where=project)
    assert json.loads(said)["counts"]["messages"] == 2, "it was given both messages"


def test_that_projects_own_tests(complete: Environment, project: Path) -> None:
    said = complete("python", "-m", "pytest", "-q", "-W", "error", where=project)
    assert "2 passed" in said


def blocks(title: str) -> dict[str, str]:
    """The files of a section of the document on testing."""
    text = (ROOT / "docs" / "testing-your-bot.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def test_an_empty_repository_finds_a_failing_seed_mends_it_and_keeps_it(complete: Environment, tmp_path: Path) -> None:
    """The first section of docs/testing-your-bot.md, all of its 200 seeds."""
    files = blocks("The first failing seed")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    name = "test_bot.py::test_a_second_message_is_answered"
    begun = time.monotonic()
    failed = complete("pytest", "-q", "-W", "error", "--junitxml", "junit.xml", where=tmp_path, status=1)
    print(f"200 seeds in {time.monotonic() - begun:.0f} s")
    again = f"pytest '{name}[seed80]'"
    assert f"{name}: fails under 2 of 200 seeds: 80, 141" in failed
    assert f"Run it again: {again}" in failed
    assert "2 failed, 198 passed" in failed
    junit = (tmp_path / "junit.xml").read_text()
    assert junit.count("relaysim: seed ") == 2
    assert "run_H5IO is expired" in junit
    assert "1 failed" in complete("pytest", "-q", f"{name}[seed80]", where=tmp_path, status=1)
    assert "2 failed, 198 deselected" in complete("pytest", "-q", "-k", "seed80 or seed141", where=tmp_path, status=1)

    line = "        newest = self.threads.messages.list(thread_id, run_id=run.id).data[0]\n"
    mend = (
        '        if run.status != "completed":\n            return "Sorry, something went wrong. Please write again."\n'
    )
    assert line in files["bot.py"]
    (tmp_path / "bot.py").write_text(files["bot.py"].replace(line, mend + line))
    mended = complete("pytest", "-q", "-W", "error", "--relaysim-seeds", "20", where=tmp_path)
    assert "22 passed" in mended, "those that failed once, and 20 more"
    assert f"{name}: mended: 80, 141 failed before and passed now" in mended
    kept = json.loads((tmp_path / ".relaysim" / "seeds.json").read_text())["seeds"]
    assert kept == {name: {"mended": [80, 141]}}


def test_a_relay_is_checked_in_a_user_s_own_project(complete: Environment, project: Path) -> None:
    (project / "tests" / "test_own.py").write_text(CHECK)
    said = complete("python", "-m", "pytest", "-q", "-W", "error", where=project)
    assert "1 passed" in said
