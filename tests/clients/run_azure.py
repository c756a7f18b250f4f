"""Hold a conversation with `azure-ai-agents`, and run a bot that uses it: what was measured of it comes out again.

    python tests/clients/run_azure.py

Installs it below `.clients/` unless it is there; it is no dependency of the project. Run it with the Python of the project's
environment. Exit codes: 0 all as expected, 1 something is not, 2 the client cannot be set up or run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from run_clients import CLIENTS, HERE, CannotRunError, said_to_a_server

VERSION = "1.1.0"
FOLDER = CLIENTS / f"azure-ai-agents-{VERSION}"
SENT = {"400": [0.0], "409": [0.0], "429": [0.0], "500": [0.0, 0.0, 1.6, 4.8]}
"""Per status, the seconds at which the client sends an append (executed: version 1.1.0 with a server on this machine)."""
LATE_SECONDS = 1.0
"""How much later than that it may be on a busy machine."""
EXPECTED: dict[str, Any] = {
    "version": VERSION,
    "append": [400, "(None) Can't add messages to <thread> while a run <run> is active."],
    "run": [400, "(None) Thread <thread> already has an active run <run>."],
    "status": "completed",
    "messages": ["Reply 1 to: Hello", "Hello"],
    "cancel": [400, "(None) Cannot cancel run with status 'completed'."],
    "scopes": ["https://ai.azure.com/.default"],
}


def install() -> Path:
    """The folder with the client and what it needs, filled unless it is there.

    Raises:
        CannotRunError: the installation fails.
    """
    stamp = FOLDER / ".installed"
    if not stamp.exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            str(FOLDER),
        ]
        done = subprocess.run([*pip, f"azure-ai-agents=={VERSION}"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CannotRunError(f"azure-ai-agents {VERSION} cannot be installed:\n{done.stdout}{done.stderr}".rstrip())
        stamp.touch()
    return FOLDER


def hold_conversation() -> dict[str, Any]:
    """What the client saw of a served API.

    Raises:
        CannotRunError: the conversation ended early.
    """
    folder = install()
    command = [sys.executable, str(HERE / "azure_agents.py")]
    seen: dict[str, Any] = json.loads(said_to_a_server(command, environment={"PYTHONPATH": str(folder)}))
    return seen


def appends_in_a_world() -> list[float]:
    """When a bot with this client sends an append that always fails, in seconds of a world from the first one on.

    Raises:
        CannotRunError: the world could not be run.
    """
    replay = ["replay", "azure_append_fails.toml", "--seed", "0", "--all", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "relaysim.scenarios", *replay, "--set", f"relay.libraries={json.dumps(str(install()))}"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CannotRunError(f"the bot was not run:\n{done.stdout[-2000:]}{done.stderr}".rstrip())
    lines = [line for story in json.loads(done.stdout)["stories"] for line in story]
    times = [float(line.split()[0]) for line in lines if "calls messages.create: 500" in line]
    return [time - times[0] for time in times]


def unlike(seen: dict[str, Any]) -> list[str]:
    """In what a conversation differs from what is expected, a line for each."""
    found = [
        f"{name}: {seen.get(name)!r}, expected {wanted!r}" for name, wanted in EXPECTED.items() if seen[name] != wanted
    ]
    for status, wanted in SENT.items():
        times = seen["sent"][status]
        if len(times) != len(wanted) or not all(
            at <= time <= at + LATE_SECONDS for at, time in zip(wanted, times, strict=True)
        ):
            found.append(f"appends under status {status}: at {times}, expected {wanted}")
    return found


def main() -> int:
    """The command; its exit code."""
    try:
        found = unlike(hold_conversation())
        times = [round(time, 3) for time in appends_in_a_world()]
    except CannotRunError as error:
        print(f"azure-ai-agents: not run: {error}")
        return 2
    if times != SENT["500"]:
        found.append(f"appends in a world: at {times}, expected {SENT['500']}")
    print(
        "\n".join(found) or f"azure-ai-agents {VERSION} saw what it was expected to see, over a socket and in a world"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
