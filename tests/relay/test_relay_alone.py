"""The relay runs without the simulator: only with what the project's base dependencies bring along.

Method: a copy of the folder, in a fresh interpreter that sees no site and refuses to import any installed distribution
outside those dependencies' closure (as installed here), takes one message through a conflict to its answer.
"""

import importlib.metadata
import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
NEVER_LOADED = (
    "relaysim.sim",
    "relaysim.scenarios",
    "relaysim.reports",
    "simpy",
    "fakeredis",
    "lupa",
    "time_machine",
    "scipy",
    "numpy",
    "joblib",
)
HEAVY = (
    *NEVER_LOADED,
    "matplotlib",
    "pandas",
    "fastapi",
    "uvicorn",
    "twisted",
    "django",
    "IPython",
    "multiprocessing.pool",
)
"""What `import relay` must not cost, even where it is installed."""

PROGRAM = r'''
import json, sys
order = json.load(sys.stdin)

class Fence:
    """Refuses what is installed and not of the closure, and whatever of the project is not the relay."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused or ".".join(name.split(".")[:2]) in refused:
            raise ModuleNotFoundError(f"refused: {name}", name=name)
        return None

refused = set(order["refused"])
sys.meta_path.insert(0, Fence())
sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry]
sys.path[:0] = [order["copy"], *order["site_packages"]]

import asyncio
import inspect
from types import SimpleNamespace as Box

import logging

import httpx2
import openai
import redis.asyncio
from prometheus_client import REGISTRY

from relaysim import relay
from relaysim.relay.telemetry import Telemetry

refusals = ["Can't add messages to thread_T1 while a run run_Y1 is active."]
calls, sent, held = [], [], {}

def refuse(sentence):
    response = httpx2.Response(400, request=httpx2.Request("POST", "https://api.invalid/"))
    raise openai.BadRequestError(f"Error code: 400 - {sentence}", response=response, body=None)

async def answer(name, result):
    calls.append(name)
    return result

async def append(thread_id, *, role, content):
    calls.append("append")
    if refusals:
        refuse(refusals.pop())

messages = Box(
    create=append,
    list=lambda thread_id, *, limit, order: answer(
        "newest", Box(data=[Box(role="assistant", content=[Box(text=Box(value="Bom dia!"))])])
    ),
)
runs = Box(
    list=lambda thread_id, *, limit: answer("list", Box(data=[])),
    cancel=lambda run_id, *, thread_id: answer("cancel", None),
    create=lambda thread_id, *, assistant_id: answer("run", Box(id="run_Z1", status="queued")),
    retrieve=lambda run_id, *, thread_id: answer("look", Box(id=run_id, status="completed")),
)
api = Box(beta=Box(threads=Box(messages=messages, runs=runs)))

class Store:
    async def set(self, key, value, *, nx, px):
        return held.setdefault(key, value) == value

    async def eval(self, script, count, key, token):
        return int(held.pop(key) == token)

async def send(conversation, text):
    sent.append([conversation, text])

class Tape(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())

logged = []
logging.getLogger("relay").addHandler(Tape())
logging.getLogger("relay").setLevel(logging.INFO)

policy = relay.cancel_and_retry(api, Store(), send, waits=[0, 0, 0], poll_interval_seconds=0.001)
handled = asyncio.run(policy.handle(relay.Message("wamid.A1", "invented customer 7", "Oi", "thread_T1")))
Telemetry().released("invented customer 7", 7)
json.dump(
    {
        "handled": [handled.outcome, handled.attempts, handled.waited_seconds, handled.run_id],
        "sent": sent,
        "calls": calls,
        "held": held,
        "event": json.loads(logged[-1]),
        "recovered": REGISTRY.get_sample_value("relay_recovered_total", {"attempt": "2"}),
        "file": inspect.getfile(relay),
        "exported": [name for name in relay.__all__ if hasattr(relay, name)],
        "modules": sorted(sys.modules),
    },
    sys.stdout,
)
'''


def base_requirements(*extras: str) -> list[Requirement]:
    """What the relay needs, and with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    more = [text for extra in extras for text in project["optional-dependencies"][extra]]
    return [Requirement(text) for text in [*project["dependencies"], *more]]


def closure(requirements: list[Requirement]) -> set[str]:
    """Names of the distributions that these requirements bring along, with the extras they ask for."""
    seen: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(one.name), extra) for one in requirements for extra in ("", *sorted(one.extras))]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(needed.name), inner) for inner in ("", *sorted(needed.extras))]
    return {name for name, _ in seen}


def refused_modules(*extras: str) -> list[str]:
    """Top-level modules of everything installed outside the closure, and of the project but for the relay."""
    allowed = closure(base_requirements(*extras))
    installed = importlib.metadata.packages_distributions()
    outside = [
        module
        for module, owners in installed.items()
        if allowed.isdisjoint(canonicalize_name(owner) for owner in owners)
    ]
    return sorted({*outside, "relaysim.sim", "relaysim.scenarios", "relaysim.reports", "tests"} - {"relaysim"})


def run_alone(copy: Path, program: str = PROGRAM, *extras: str) -> subprocess.CompletedProcess[str]:
    order = {
        "copy": str(copy),
        "site_packages": sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}),
        "refused": refused_modules(*extras),
    }
    return subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=copy,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    shutil.copytree(ROOT / "relay", folder / "relaysim" / "relay", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "relaysim" / "__init__.py", folder / "relaysim")
    return folder


@pytest.fixture(scope="module")
def told(copy: Path) -> dict[str, Any]:
    finished = run_alone(copy)
    assert finished.returncode == 0, finished.stderr
    answer: dict[str, Any] = json.loads(finished.stdout)
    return answer


def test_it_takes_a_message_to_its_answer(told: dict[str, Any]) -> None:
    assert told["handled"] == ["answered", 2, 0.0, "run_Z1"]
    assert told["sent"] == [["invented customer 7", "Bom dia!"]]
    assert told["calls"] == ["list", "append", "cancel", "append", "run", "look", "newest"]
    assert told["held"] == {}


def test_it_counts_and_logs(told: dict[str, Any]) -> None:
    assert told["recovered"] == 1.0
    assert {"event": "released", "level": "info", "epoch": 7}.items() <= told["event"].items()


def test_it_was_the_copy_that_ran_and_it_exports_what_it_says(told: dict[str, Any], copy: Path) -> None:
    from relaysim import relay

    assert Path(told["file"]).is_relative_to(copy)
    assert told["exported"] == relay.__all__


def test_nothing_of_the_simulator_was_loaded(told: dict[str, Any]) -> None:
    loaded = {
        name for module in told["modules"] for name in (module.partition(".")[0], ".".join(module.split(".")[:2]))
    }
    assert {"relaysim.relay", "openai", "redis", "structlog", "prometheus_client"} <= loaded
    assert loaded.isdisjoint(NEVER_LOADED)
    assert loaded.isdisjoint(refused_modules())


def test_the_fence_stops_what_is_not_the_relays(copy: Path) -> None:
    for module in ("simpy", "fakeredis", "relaysim.scenarios", "relaysim.sim.kernel"):
        finished = run_alone(copy, PROGRAM.replace("import asyncio\n", f"import {module}\n", 1))
        assert finished.returncode == 1
        assert f"refused: {'.'.join(module.split('.')[:2])}" in finished.stderr


@pytest.mark.parametrize("needed", base_requirements(), ids=lambda needed: needed.name)
def test_every_base_dependency_is_one_that_the_relay_needs(copy: Path, needed: Requirement) -> None:
    module = needed.name.replace("-", "_")
    finished = run_alone(copy, PROGRAM.replace('set(order["refused"])', f'{{*order["refused"], "{module}"}}'))
    assert finished.returncode == 1
    assert f"refused: {module}" in finished.stderr


def test_importing_the_relay_loads_nothing_heavy_where_everything_is_installed() -> None:
    program = f"import sys, relaysim.relay; print([name for name in {HEAVY} if name in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert finished.stdout == "[]\n"


def test_the_copy_has_the_dashboard_and_the_package_ships_it(copy: Path) -> None:
    assert json.loads((copy / "relaysim" / "relay" / "telemetry" / "dashboard.json").read_text(encoding="utf-8"))[
        "panels"
    ]
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert "*.json" in tool["package-data"]["*"]


def test_the_copy_tells_type_checkers_that_it_is_typed(copy: Path) -> None:
    assert (copy / "relaysim" / "relay" / "py.typed").is_file()
