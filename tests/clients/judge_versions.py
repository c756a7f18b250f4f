"""Judge two bots, a plain and an asynchronous one, with each version of `openai` and of `redis`: the same verdicts. And two
of aiogram, which wants an older pydantic than the simulator: one with a flaw, and its mended twin.

    python tests/clients/judge_versions.py

Installs what is missing below `.clients/`, and runs `relaysim verify --libraries` with each. Run it with the Python of the
project's environment. Exit codes: 0 all verdicts are those with the simulator's own libraries, 1 some are not, 2 some bot
was not judged.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from run_clients import CLIENTS, HERE, ROOT, CannotRunError, Client, read_clients

REDIS = ("5.3.1", "8.1.0")
BOTS = ("plain_versions_bot", "async_versions_bot")
WORLDS = 10


AIOGRAM = "3.31.0"
STYLES = ROOT / "tests" / "bots" / "styles"
AIOGRAM_VERDICTS = {"aiogram_updates": 1, "aiogram_updates_mended": 0}
"""The bots, and the exit code of the verdict that each must get."""


def install(client: Client, redis: str) -> Path:
    """A folder with that version of `openai` and this one of `redis`, filled unless it is there.

    Raises:
        CannotRunError: the installation fails.
    """
    wanted = (f"openai=={client.version}", f"redis=={redis}", *client.needs)
    return fill(CLIENTS / f"libraries-{client.version}-{redis}", wanted, ("openai==", "redis=="))


def fill(folder: Path, wanted: Sequence[str], unpinned: tuple[str, ...]) -> Path:
    """A folder with these libraries, filled unless it is there; `unpinned` begins what the project's pins do not hold.

    Raises:
        CannotRunError: the installation fails.
    """
    stamp = folder / ".installed"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        pins = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        constraints = folder / "constraints.txt"
        others = [f"{pin}\n" for pin in pins if not pin.startswith(unpinned)]
        constraints.write_text("".join(others), "utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--target", str(folder), "--constraint", str(constraints), *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CannotRunError(f"{' '.join(wanted)} cannot be installed:\n{done.stdout}{done.stderr}".rstrip())
        stamp.touch()
    return folder


def judge(bot: str, versions: tuple[str, str], options: Sequence[str]) -> list[Any]:
    """What each claim came to: its id, verdict, count and trials.

    Raises:
        CannotRunError: the bot was not judged, or with other versions.
    """
    command = [sys.executable, "-m", "relaysim.scenarios", "verify", "rapid_pair", "--factory", f"{bot}:make", *options]
    out = CLIENTS / "judged"
    done = subprocess.run(
        [*command, "--replications", str(WORLDS), "--quiet", "--json", "--recheck", "1", "--out", str(out)],
        cwd=HERE,
        env={**os.environ, "EXPECTED_VERSIONS": " ".join(versions)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise CannotRunError(f"{bot} was not judged:\n{done.stdout[-2000:]}{done.stderr}".rstrip())
    (scenario,) = json.loads((out / "results.json").read_text("utf-8"))["scenarios"]
    return [[claim["id"], claim["verdict"], claim["count"], claim["n"]] for claim in scenario["claims"]]


def judge_aiogram() -> int:
    """Judge its bots; 0 if each gets the verdict that it must get, else 1.

    Raises:
        CannotRunError: one was not judged.
    """
    folder = fill(CLIENTS / f"libraries-aiogram-{AIOGRAM}", (f"aiogram=={AIOGRAM}",), ("pydantic",))
    outcome = 0
    for bot, expected in AIOGRAM_VERDICTS.items():
        command = [sys.executable, "-m", "relaysim.scenarios", "verify", "rapid.toml", "--app", f"{bot}:app"]
        options = ["--provider", "telegram", "--libraries", str(folder), "--replications", str(WORLDS)]
        out = ["--out", str(CLIENTS / "judged")]
        done = subprocess.run([*command, *options, *out], cwd=STYLES, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise CannotRunError(f"{bot} was not judged:\n{done.stdout[-2000:]}{done.stderr}".rstrip())
        is_right = done.returncode == expected and (expected == 0 or "while a run" in done.stdout)
        print(
            f"{bot}: {'as it must be' if is_right else f'differs: {done.stdout[-500:]}{done.stderr[-500:]}'}",
            flush=True,
        )
        outcome = max(outcome, int(not is_right))
    return outcome


def main() -> int:
    """The command; its exit code."""
    clients = [client for client in read_clients() if client.language == "python"]
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line)
    outcome = 0
    for bot in BOTS:
        expected = judge(bot, (pins["openai"], pins["redis"]), ())
        print(
            f"{bot}: {', '.join(f'{claim} {verdict} ({count})' for claim, verdict, count, _ in expected)}", flush=True
        )
        for client in clients:
            for redis in REDIS:
                print(f"  openai {client.version:<9} redis {redis:<6} ", end="", flush=True)
                try:
                    found = judge(bot, (client.version, redis), ("--libraries", str(install(client, redis))))
                except CannotRunError as error:
                    print(f"not run: {error}")
                    outcome = 2
                    continue
                print("the same" if found == expected else f"differs: {found}", flush=True)
                if found != expected:
                    outcome = max(outcome, 1)
    return max(outcome, judge_aiogram())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotRunError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
