"""Hold the scripted conversation with every official client, each against a server of its own.

    python tests/clients/run_clients.py [--only PATTERN]... [--list] [--record]

Sets up what is missing below `.clients/` (a virtual environment or an npm folder per client of `versions.toml`), starts
`relaysim serve` for each, runs `conversation.py` or `conversation.mjs`, and compares what each client saw with
`transcript.json`, save for the differences between libraries that `differences.toml` states. Run it with the Python of
the project's environment. Exit codes: 0 all as expected, 1 some client is not, 2 a client cannot be set up or run.

`--record` writes `transcript.json` anew, from `python-3`, after a change of the API that is meant.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.request
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLIENTS = ROOT / ".clients"
TRANSCRIPT = HERE / "transcript.json"
REFERENCE = "python-3"
"""The client that the transcript is written from; it has no differences."""

KEY = "sk-conversation"
SERVE = (
    *("--port", "0", "--json", "--speed", "0", "--no-latency", "--seed", "1", "--key", KEY, "--poll-after-ms", "40"),
    *("--set", "queue_seconds=1", "--set", "run_seconds=10", "--set", "cancel_seconds=5"),
    *("--set", "stuck_probability=0"),
)
START_SECONDS = 60.0
CONVERSATION_SECONDS = 300.0
LINES_TOLD = 12
"""Of what a server or a client that failed has said, the last lines."""

Step = dict[str, Any]

NOTHING_KNOWN: Step = dict.fromkeys(("error", "status", "message", "type", "param", "code"))
"""What a step shows of an error that is none of the SDK's."""

_IDS = re.compile(r"\b(asst|thread|msg|run|step|call)_[A-Za-z0-9]{24}\b")


class CannotRunError(Exception):
    """A client cannot be set up, or did not hold the conversation to its end."""


@dataclass(frozen=True)
class Client:
    """One row of versions.toml. `needs`: packages, with versions, that constraints.txt does not pin."""

    name: str
    language: str
    version: str
    needs: tuple[str, ...] = ()
    package: str = "openai"

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return CLIENTS / self.name


@dataclass(frozen=True)
class Difference:
    """One table of differences.toml, whose first lines say what its keys mean."""

    clients: tuple[str, ...]
    steps: tuple[str, ...]
    see: Step
    where: Step

    def concerns(self, client: str) -> bool:
        """Whether it is about this client."""
        return any(fnmatchcase(client, pattern) for pattern in self.clients)

    def apply(self, step: Step) -> Step:
        """What its clients see in place of this step."""
        if not any(fnmatchcase(step["step"], pattern) for pattern in self.steps):
            return step
        if any(step.get(name) != value for name, value in self.where.items()):
            return step
        if "ok" not in self.see:
            return step | self.see
        return {"step": step["step"], **({} if self.see["ok"] else NOTHING_KNOWN), **self.see}


def read_clients() -> list[Client]:
    """The clients of versions.toml."""
    rows = tomllib.loads((HERE / "versions.toml").read_text("utf-8"))["client"]
    return [Client(row["name"], row["language"], row["version"], tuple(row.get("needs", ()))) for row in rows]


def read_differences() -> list[Difference]:
    """The differences of differences.toml."""
    rows = tomllib.loads((HERE / "differences.toml").read_text("utf-8")).get("difference", [])
    return [Difference(tuple(row["clients"]), tuple(row["steps"]), row["see"], row.get("where", {})) for row in rows]


def read_transcript() -> list[Step]:
    """The steps that every client is expected to see."""
    steps: list[Step] = json.loads(TRANSCRIPT.read_text("utf-8"))
    return steps


# Setting up


def missing_tools(client: Client) -> str | None:
    """What this machine lacks for a client, as a sentence; None if nothing."""
    if client.language == "node":
        missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
        if missing:
            return f"{' and '.join(missing)} not found: install Node.js 20 or newer for the clients from npm"
    return None


def install(client: Client) -> list[str]:
    """Install a client unless it is there; the command that runs a conversation with it, without arguments.

    Raises:
        CannotRunError: a tool is missing, or the installation fails.
    """
    lacking = missing_tools(client)
    if lacking is not None:
        raise CannotRunError(lacking)
    wanted = " ".join((client.version, *client.needs))
    stamp = client.folder / ".installed"
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        shutil.rmtree(client.folder, ignore_errors=True)
        client.folder.mkdir(parents=True)
        if client.language == "python":
            _install_python(client)
        else:
            _install_npm(client)
        stamp.write_text(wanted, "utf-8")
    if client.language == "python":
        return [str(_python_of(client)), str(HERE / "conversation.py")]
    # Packages are looked for beside the script.
    shutil.copyfile(HERE / "conversation.mjs", client.folder / "conversation.mjs")
    return ["node", str(client.folder / "conversation.mjs")]


def _python_of(client: Client) -> Path:
    return client.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _install_python(client: Client) -> None:
    venv.create(client.folder, with_pip=True)
    pins = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    constraints = client.folder / "constraints.txt"
    constraints.write_text("".join(f"{pin}\n" for pin in pins if not pin.startswith("openai==")), "utf-8")
    pip = [str(_python_of(client)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _install([*pip, "--constraint", str(constraints), f"{client.package}=={client.version}", *client.needs], client)


def _install_npm(client: Client) -> None:
    # Without a package.json of its own, npm would look for one further up.
    (client.folder / "package.json").write_text('{"private": true}\n', "utf-8")
    npm = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel", "error", "--save-exact"]
    _install([*npm, f"{client.package}@{client.version}"], client)


def _install(command: Sequence[str], client: Client) -> None:
    done = subprocess.run(command, cwd=client.folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotRunError(
            f"{client.package} {client.version} cannot be installed:\n{done.stdout}{done.stderr}".rstrip()
        )


# Running


@contextmanager
def running_server(options: Sequence[str] = SERVE) -> Iterator[str]:
    """A server with these options, by default as the conversation needs it; its base URL.

    Raises:
        CannotRunError: it does not start, or met errors of its own.
    """
    command = [sys.executable, "-m", "relaysim.scenarios", "serve", *options]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True, encoding="utf-8") as server,
    ):
        assert server.stdout is not None
        giving_up = threading.Timer(START_SECONDS, server.kill)
        giving_up.start()
        try:
            line = server.stdout.readline()
        finally:
            giving_up.cancel()
        try:
            if not line:
                server.wait(START_SECONDS)
                raise CannotRunError(f"relaysim serve does not start:\n{_end_of(said)}")
            base_url = json.loads(line)["base_url"]
            yield base_url
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(base_url.removesuffix("/v1") + "/healthz", timeout=10) as health:
                errors = json.load(health)["errors"]
        finally:
            server.terminate()
            server.communicate(timeout=START_SECONDS)
        if errors:
            raise CannotRunError(f"the server met {errors} errors of its own, the last of them:\n{_end_of(said)}")


def _end_of(said: IO[str]) -> str:
    said.seek(0)
    return "".join(said.readlines()[-LINES_TOLD:]).rstrip()


def hold_conversation(command: Sequence[str], version: str) -> list[Step]:
    """Run a client against a server of its own; the steps of its transcript, ids replaced by placeholders.

    Args:
        command: what runs the conversation, without its arguments.
        version: of `openai`, as the client must say it has.

    Raises:
        CannotRunError: the conversation ended early, or was held with another version.
    """
    said = said_to_a_server(command, environment={"PYTHONWARNINGS": "ignore::DeprecationWarning"})
    transcript = json.loads(with_placeholders(said))
    if transcript["version"] != version:
        raise CannotRunError(f"the conversation was held with openai {transcript['version']}, not {version}")
    steps: list[Step] = transcript["steps"]
    return steps


def said_to_a_server(
    command: Sequence[str],
    *arguments: str,
    options: Sequence[str] = SERVE,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a program writes that talks to a server of its own.

    Args:
        command: the program; it gets the server's base URL, the key, and these arguments.
        arguments: see there.
        options: of the server.
        environment: what it has besides this process's own, of which neither a proxy nor settings of somebody's own clients
            may get between.

    Raises:
        CannotRunError: the server does not start, or the program ended early, or not in time.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("OPENAI_") and not name.lower().endswith("_proxy")
    }
    with running_server(options) as base_url:
        try:
            done = subprocess.run(
                [*command, base_url, KEY, *arguments],
                env={**kept, "NO_PROXY": "*", "PYTHONUTF8": "1", **(environment or {})},
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=CONVERSATION_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CannotRunError(f"the conversation did not end within {CONVERSATION_SECONDS:.0f} s") from None
    if done.returncode != 0:
        raise CannotRunError(f"the conversation ended with exit code {done.returncode}:\n{done.stderr}".rstrip())
    return done.stdout


def with_placeholders(text: str) -> str:
    """A text with its ids replaced by their kind and a number, in the order in which they appear."""
    seen: dict[str, dict[str, int]] = {}

    def placeholder(match: re.Match[str]) -> str:
        known = seen.setdefault(match[1], {})
        return f"<{match[1]} {known.setdefault(match[0], len(known) + 1)}>"

    return _IDS.sub(placeholder, text)


# Comparing


def compare(
    client: str, steps: Sequence[Step], expected: Sequence[Step], differences: Sequence[Difference]
) -> list[str]:
    """In which steps a client saw something else, a text of some lines for each, beginning with the step's name."""
    found = []
    mine = [difference for difference in differences if difference.concerns(client)]
    met: set[int] = set()
    for number in range(max(len(steps), len(expected))):
        if number >= len(steps):
            found.append(f"{expected[number]['step']}\n    is missing, with all that follows")
            break
        if number >= len(expected) or steps[number]["step"] != expected[number]["step"]:
            instead = f", where `{expected[number]['step']}` is expected" if number < len(expected) else ""
            found.append(f"{steps[number]['step']}\n    is step {number + 1}{instead}:\n    {_json(steps[number])}")
            break
        wanted = expected[number]
        for position, difference in enumerate(mine):
            adapted = difference.apply(wanted)
            if adapted != wanted:
                met.add(position)
            wanted = adapted
        seen = steps[number]
        unlike = [
            name for name in {**wanted, **seen} if name not in wanted or name not in seen or wanted[name] != seen[name]
        ]
        if unlike:
            lines = [f"    {name}: {_said(seen, name)}\n      expected {_said(wanted, name)}" for name in unlike]
            found.append("\n".join([seen["step"], *lines]))
    for position, difference in enumerate(mine):
        if position not in met:
            found.append(
                f"{', '.join(difference.steps)}\n    differences.toml says {_json(difference.see)}, which changes nothing"
            )
    return found


def _said(step: Mapping[str, Any], name: str) -> str:
    return _json(step[name]) if name in step else "nothing"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def write_transcript(steps: Sequence[Step]) -> None:
    """Make these steps the expected ones, one per line."""
    TRANSCRIPT.write_text("[\n" + ",\n".join(_json(step) for step in steps) + "\n]\n", "utf-8")


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description="Hold the scripted conversation with every official client.")
    parser.add_argument("--only", action="append", metavar="PATTERN", help="only clients of that name, such as npm-*")
    parser.add_argument("--list", action="store_true", help="list the clients and whether they are installed")
    parser.add_argument("--record", action="store_true", help=f"write transcript.json anew, from {REFERENCE}")
    given = parser.parse_args(arguments)
    patterns = [REFERENCE] if given.record else given.only or ["*"]
    everybody = read_clients()
    clients = [each for each in everybody if any(fnmatchcase(each.name, pattern) for pattern in patterns)]
    if not clients:
        parser.error(f"no client is called {' or '.join(patterns)}; there are {', '.join(c.name for c in everybody)}")
    if given.list:
        for client in clients:
            state = "installed" if (client.folder / ".installed").exists() else "not installed yet"
            print(f"{client.name:<10}  openai {client.version:<9}  {client.language:<6}  {state}")
        return 0
    if given.record:
        write_transcript(hold_conversation(install(clients[0]), clients[0].version))
        print(f"{TRANSCRIPT.relative_to(ROOT)} written, from {clients[0].name}")
        return 0
    return _run(clients)


def _run(clients: Sequence[Client]) -> int:
    expected, differences = read_transcript(), read_differences()
    outcome = 0
    told: dict[str, list[str]] = {}
    print(f"{'client':<10}  {'openai':<9}  {'steps ok':>9}  {'seconds':>7}")
    for client in clients:
        print(f"{client.name:<10}  {client.version:<9}  ", end="", flush=True)
        try:
            command = install(client)
            begun = time.monotonic()
            steps = hold_conversation(command, client.version)
        except CannotRunError as error:
            print(f"not run: {error}")
            outcome = 2
            continue
        unlike = compare(client.name, steps, expected, differences)
        print(f"{max(len(expected) - len(unlike), 0):>4}/{len(expected):<4}  {time.monotonic() - begun:>7.1f}")
        for each in unlike:
            told.setdefault(each, []).append(client.name)
    for each, names in told.items():
        print(f"\n{', '.join(names)}: {each}")
    if told:
        return max(outcome, 1)
    if outcome == 0:
        print("every client saw what it was expected to see")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
