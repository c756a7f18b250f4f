"""Programs of Node in folders beside this one: where they are installed, with the packages of their `package.json`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "clients"))

from run_clients import CLIENTS, CannotRunError, Client, missing_tools  # noqa: E402

REQUIRED = os.environ.get("RELAYSIM_REQUIRE_NODE") == "1"
"""Whether a machine without Node is a failure, and no reason to leave its tests out."""


def lacking() -> str | None:
    """What this machine lacks, as a sentence; None if nothing."""
    return missing_tools(Client("programs", "node", ""))


def installed(name: str) -> Path:
    """The folder of a program, as its team has it: its files as they are here, and its packages.

    Raises:
        CannotRunError: a tool is missing, or the installation fails.
    """
    if (missing := lacking()) is not None:
        raise CannotRunError(missing)
    source, folder = HERE / name, CLIENTS / name
    wanted, stamp = (source / "package.json").read_text("utf-8"), folder / ".installed"
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copyfile(source / "package.json", folder / "package.json")
        npm = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel", "error"]
        done = subprocess.run(npm, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CannotRunError(f"{name} cannot be installed:\n{done.stdout}{done.stderr}".rstrip())
        stamp.write_text(wanted, "utf-8")
    for file in source.iterdir():
        shutil.copyfile(file, folder / file.name)
    return folder
