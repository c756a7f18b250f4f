"""The program runs with the relay and its extra `relay`, without the simulator, and the relay without the extra.

Method: that of test_relay_alone: a copy of the folder, in an interpreter that refuses everything else that is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.relay.test_relay_alone import HEAVY, PROGRAM, ROOT, base_requirements, closure, run_alone

FENCE = PROGRAM.partition("import asyncio\n")[0]
STARTS = f"""{FENCE}
import asyncio, os, signal, socket, threading, urllib.request, warnings
warnings.simplefilter("ignore")
from relaysim.relay.program.main import main

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]

def ask():
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{{port}}/healthz") as answer:
                print("health", answer.read().decode())
                break
        except OSError:
            pass
    os.kill(os.getpid(), signal.SIGTERM)

os.environ["NO_PROXY"] = "127.0.0.1"
threading.Thread(target=ask, daemon=True).start()
code = main([], {{
    "RELAY_PROVIDER": "evolution", "EVOLUTION_API_URL": "http://127.0.0.1:9", "EVOLUTION_API_KEY": "k",
    "EVOLUTION_INSTANCE": "i", "REDIS_URL": "redis://127.0.0.1:9", "OPENAI_API_KEY": "k", "RELAY_API": "responses",
    "RELAY_MODEL": "m", "RELAY_PORT": str(port),
}})
print("code", code)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    shutil.copytree(ROOT / "relay", folder / "relaysim" / "relay", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "relaysim" / "__init__.py", folder / "relaysim")
    return folder


def test_it_starts_and_stops_with_its_extra_alone(copy: Path) -> None:
    finished = run_alone(copy, STARTS, "relay")
    assert finished.returncode == 0, finished.stderr
    assert "health alive\n" in finished.stdout
    assert finished.stdout.endswith("code 0\n")


def _of_the_extra() -> list[Requirement]:
    """What it brings along that the relay does not; `httpx2` comes with `openai`, without which nothing can be imported."""
    brought = closure(base_requirements())
    return [each for each in base_requirements("relay") if each.name not in brought]


@pytest.mark.parametrize("needed", _of_the_extra(), ids=lambda needed: needed.name)
def test_every_dependency_of_the_extra_is_one_that_it_needs(copy: Path, needed: Requirement) -> None:
    program = STARTS.replace('set(order["refused"])', f'{{*order["refused"], "{needed.name}"}}')
    finished = run_alone(copy, program, "relay")
    assert finished.stdout == "code 2\n"
    assert finished.stderr == (
        f"relaysim-relay: the package {needed.name} is not installed; install the extra: pip install 'relaysim[relay]'\n"
    )


def test_a_look_at_the_configuration_loads_neither_a_server_nor_the_simulator() -> None:
    program = (
        "import sys; from relaysim.relay.program.main import main; main(['--check'], {}); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert finished.stdout == "[]\n"


def test_nothing_else_of_the_relay_imports_it() -> None:
    others = [path for path in (ROOT / "relay").rglob("*.py") if path.parent.name != "program"]
    assert len(others) > 30
    assert [path.name for path in others if "relay.program" in path.read_text(encoding="utf-8")] == []
