"""The results folder: what a run writes, and where.

`results.json` is a pure function of scenario, seeds and code, so it is written canonically: sorted keys, floats by
`repr`, no wall clock, a newline at the end. What may differ from run to run goes to `timing.json`. Both lie in the folder of
their run (`relaysim.reports.runs`).
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

SCHEMA = 1


class ResultsError(ValueError):
    """A results file that cannot be read: no JSON, another schema, or not a results file at all."""


def build_results(code_version: str, scenarios: Sequence[Mapping[str, Any]], **extra: Any) -> dict[str, Any]:
    """The content of `results.json`. `extra` adds top-level blocks, which must be as reproducible as the rest."""
    return {"schema": SCHEMA, "code_version": code_version, "scenarios": [dict(each) for each in scenarios], **extra}


def canonical(data: Any) -> str:
    """`data` as canonical JSON text: the same data is the same text, whatever order its keys were added in.

    Raises ValueError for a number that is not finite, and TypeError for what is no plain data.
    """
    return json.dumps(_plain(data), sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _plain(data: Any) -> Any:
    if data is None or isinstance(data, (str, bool)):
        return data
    if isinstance(data, int):
        return int(data)
    if isinstance(data, float):
        return float(data) + 0.0  # a negative zero is a zero
    if isinstance(data, Mapping):
        if not all(isinstance(key, str) for key in data):
            raise TypeError(f"keys of results must be strings: {[key for key in data if not isinstance(key, str)]!r}")
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    raise TypeError(f"not plain data: {data!r}")


def write_text(path: Path, text: str) -> None:
    """Write a file of text so that a reader sees either the old one or the whole new one."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file of any kind likewise."""
    passing = path.with_name(f".{path.name}.{os.getpid()}")
    passing.write_bytes(data)
    passing.replace(path)


def write_results(folder: Path, results: Mapping[str, Any]) -> Path:
    """Write `results.json` canonically and return its path. Creates the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    write_text(path, canonical(results))
    return path


def write_timing(folder: Path, timing: Mapping[str, Any]) -> Path:
    """Write `timing.json`: rates, memory, machine, versions, date. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "timing.json"
    write_text(path, canonical(timing))
    return path


def read_results(path: Path) -> dict[str, Any]:
    """Read a results file, or the one in a folder, of whichever command. Those of `verify` have no `kind`, and scenarios.

    Raises ResultsError, or OSError if it cannot be opened.
    """
    path = path / "results.json" if path.is_dir() else path
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{path} is no results file: {error}") from error
    if not isinstance(results, dict) or not (results.get("kind") or isinstance(results.get("scenarios"), list)):
        raise ResultsError(f"{path} is no results file: it has no list of scenarios")
    if results.get("schema") != SCHEMA:
        raise ResultsError(f"{path} has schema {results.get('schema')!r}; this version reads schema {SCHEMA}")
    return results


FactoryOption = Literal["--factory", "--app"]
"""By which name a relay was put in: both do the same, but a web application needs a provider."""


_QUOTES = "\"'"


def replay_template(
    scenario: str,
    *,
    settings: Mapping[str, Any] | None = None,
    factory: str | None = None,
    option: FactoryOption = "--factory",
) -> str:
    """The command that replays one seed, with `{seed}` for the seed, quoted for a POSIX shell."""
    return _command(f"relaysim replay {shlex.quote(scenario)} --seed {{seed}}", settings, factory, option)


def explore_command(
    scenario: str,
    *,
    settings: Mapping[str, Any] | None = None,
    factory: str | None = None,
    option: FactoryOption = "--factory",
) -> str:
    """The command that explores a scenario's worlds, likewise."""
    return _command(f"relaysim explore {shlex.quote(scenario)}", settings, factory, option)


def verify_command(
    *, settings: Mapping[str, Any] | None = None, factory: str | None = None, option: FactoryOption = "--factory"
) -> str:
    """The command that judges a relay in all scenarios that suit any, likewise."""
    return _command("relaysim verify", settings, factory, option)


def _command(begin: str, settings: Mapping[str, Any] | None, factory: str | None, option: FactoryOption) -> str:
    parts = [begin]
    parts += [_option(name, _setting(value)) for name, value in (settings or {}).items()]
    parts += [f"{option} {shlex.quote(factory)}"] if factory else []
    return " ".join(parts)


def _option(name: str, value: str) -> str:
    """A setting as an option: the API has one of its own, and its name may stand in a TOML text's quotes or without."""
    if name == "api":
        return f"--api {shlex.quote(value.strip().strip(_QUOTES))}"
    return f"--set {shlex.quote(f'{name}={value}')}"


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def replay_command(
    scenario: str, seed: int, *, settings: Mapping[str, Any] | None = None, factory: str | None = None
) -> str:
    """The command that replays one seed of a scenario."""
    return replay_template(scenario, settings=settings, factory=factory).replace("{seed}", str(seed))


PROGRAM: Final = " -- "
"""What stands between a command's options and a program's own command."""


def replay_of(template: str, seed: int, claim: str) -> str:
    """The command that replays one seed and shows what an example of a claim, or of an invariant, says of it.

    Args:
        template: as `replay_template` makes it; "" for no command.
        seed: the seed.
        claim: the claim's id or the invariant's name.
    """
    options, program, command = template.replace("{seed}", str(seed)).partition(PROGRAM)
    return template and f"{options} --claim {shlex.quote(claim)}{program}{command}"


def doctor_command(template: str, lane: str | None = None) -> str:
    """The command that finds out why a seed of a scenario gives two worlds; `template` as `replay_template` makes it."""
    command = template.replace(" --seed {seed}", "", 1)
    return command.replace("relaysim replay", "relaysim doctor", 1) + (f" --lane {lane}" if lane else "")


def claims_of(results: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Every (scenario, claim) of the results, in the order in which they stand."""
    for scenario in results["scenarios"]:
        for claim in scenario.get("claims", ()):
            yield scenario, claim
