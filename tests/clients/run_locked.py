"""Meet a locked conversation of Responses with the official clients: what was measured of them comes out again.

    python tests/clients/run_locked.py [--only PATTERN]...

`locked.py` and `locked.mjs` are run by the official SDKs and by `openai-agents`, which `versions.toml` lists, each against a
server of its own, in real time and some at once: most of it is waiting between retries. Run it with the Python of the
project's environment. Exit codes: 0 all as expected, 1 something is not, 2 a client cannot be set up or run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

from run_clients import (
    HERE,
    KEY,
    CannotRunError,
    Client,
    install,
    read_clients,
    said_to_a_server,
)

PLAIN = ("python-2", "python-3", "npm-6", "npm-7")
"""The SDKs' rows of versions.toml that have conversations and are held against them here."""
SERVE = ("--port", "0", "--json", "--api", "responses", "--speed", "1", "--no-latency", "--seed", "1", "--key", KEY)
AT_ONCE = 3
"""How many clients, each with its server."""
LATE_SECONDS = 0.9
"""How much later than it waits by itself a client may ask on a busy machine."""
JITTER = 0.75
"""The SDKs draw each wait between this share of it and the whole."""

WAITS: dict[str, dict[str, list[float]]] = {
    "sdk": {"locked": [], "azure": [], "conflict": [0.5, 1.0]},
    "agents-python": {"locked": [1.0, 2.0, 4.0], "conflict": [0.5, 1.0]},
    "agents-npm": {"locked": [], "conflict": [0.5, 1.0]},
}
"""Seconds between the requests of one turn, without jitter (executed: with a server on this machine).

`openai-agents` for npm has no words for this lock (read in 0.20.0): its requests are those of the SDK below.
"""
MESSAGES = {
    "locked": "Another process is currently operating on this conversation. Please retry in a few seconds.",
    "conflict": "Conversation is locked — task is in_progress",
}
EXPECTED: dict[str, Any] = {
    "turn": {
        "status": "completed",
        "text": "Reply 1 to: Hello",
        "texts": ["Hello", "Reply 1 to: Hello"],
        "events": [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ],
    },
    "released": {"cancelled": "cancelled", "next": "queued"},
    "locked": {
        "error": "BadRequestError",
        "status": 400,
        "code": "conversation_locked",
        "param": "conversation",
        "message": MESSAGES["locked"],
    },
    "conflict": {
        "error": "ConflictError",
        "status": 409,
        "code": "conversation_locked",
        "param": None,
        "message": MESSAGES["conflict"],
    },
}
SESSION: dict[str, Any] = {
    "replies": ["Reply 1 to: Hello", "Reply 1 to: More", "Reply 1 to: And more"],
    "texts": ["Hello", "Reply 1 to: Hello", "More", "Reply 1 to: More", "And more", "Reply 1 to: And more"],
    # A session sends the whole history with each turn and adds the items afterwards: such turns are bound to no
    # conversation, and meet no lock.
    "bound": 1,
}


def clients() -> list[Client]:
    """The plain SDKs, and those that run agents."""
    agents = tomllib.loads((HERE / "versions.toml").read_text("utf-8"))["agents"]
    return [each for each in read_clients() if each.name in PLAIN] + [
        Client(row["name"], row["language"], row["version"], package=row["package"]) for row in agents
    ]


def hold(client: Client, command: Sequence[str] | None = None) -> dict[str, Any]:
    """What a client saw of a server of its own.

    Args:
        client: which.
        command: what runs it, without arguments; None: it is installed for that.

    Raises:
        CannotRunError: it cannot be set up, or ended early.
    """
    if command is None:
        interpreter = install(client)[0]
        script = HERE / "locked.py"
        if client.language == "node":
            script = client.folder / "locked.mjs"
            shutil.copyfile(HERE / "locked.mjs", script)
        command = [interpreter, str(script)]
    agents = ["agents"] if client.name.startswith("agents-") else []
    seen: dict[str, Any] = json.loads(said_to_a_server(command, *agents, options=SERVE))
    return seen


def unlike(client: Client, seen: dict[str, Any]) -> list[str]:
    """In what a client saw something else than is expected, a line for each."""
    kind = client.name if client.name.startswith("agents-") else "sdk"
    expected = {**EXPECTED, "version": client.version}
    if kind == "sdk":
        expected["azure"] = EXPECTED["locked"]
    else:
        expected["session"] = SESSION
    found = []
    for part, wanted in expected.items():
        of_part = seen.get(part)
        if isinstance(of_part, dict) and "asked" in of_part:
            of_part = {name: value for name, value in of_part.items() if name != "asked"}
        if of_part != wanted:
            found.append(f"{part}: {json.dumps(of_part)}, expected {json.dumps(wanted)}")
    for part, waits in WAITS[kind].items():
        times = seen[part]["asked"]
        jitter = 1.0 if kind == "agents-python" and part == "locked" else JITTER
        waited = [after - before for before, after in pairwise(times)]
        if len(waited) != len(waits) or not all(
            jitter * wait - 0.02 <= each <= wait + LATE_SECONDS for wait, each in zip(waits, waited, strict=True)
        ):
            found.append(f"{part}: asked at {times} s, expected waits of {waits} s")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description="Meet a locked conversation with the official clients.")
    parser.add_argument(
        "--only", action="append", metavar="PATTERN", help="only clients of that name, such as agents-*"
    )
    patterns = parser.parse_args(arguments).only or ["*"]
    chosen = [each for each in clients() if any(fnmatchcase(each.name, pattern) for pattern in patterns)]
    if not chosen:
        parser.error(f"no client is called {' or '.join(patterns)}; there are {', '.join(c.name for c in clients())}")
    outcome = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        held = [(client, pool.submit(hold, client)) for client in chosen]
        for client, holding in held:
            try:
                seen = holding.result()
            except CannotRunError as error:
                print(f"{client.name}: not run: {error}")
                outcome = 2
                continue
            asked = {part: [round(time, 1) for time in seen[part]["asked"]] for part in ("locked", "conflict")}
            said = f"on the lock at {asked['locked']} s, on a 409 at {asked['conflict']} s"
            print(f"{client.name:<13}  {client.version:<7}  {said}")
            for line in unlike(client, seen):
                print(f"    {line}")
                outcome = max(outcome, 1)
    if outcome == 0:
        print("every client asked as it was expected to")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
