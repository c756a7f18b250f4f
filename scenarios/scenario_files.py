"""A scenario on its way from files to a model: the shipped ones, what each extends, and which file says what."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from relaysim.reports.results import FactoryOption
from relaysim.scenarios.another_relay import is_somebodys_own, of_another_relay, with_what_is_owed
from relaysim.scenarios.docs_pages import scenario_page
from relaysim.scenarios.document import Document, claim_id, extend, parse_path
from relaysim.scenarios.problems import Problem, ScenarioError
from relaysim.scenarios.system_errors import reason_of
from relaysim.sim.toml_file import read_toml
from relaysim.sim.validation_words import Step, did_you_mean, shown

SHIPPED_FOLDER = Path(__file__).parent / "shipped"

#: The shipped scenarios in the order in which the incident is told.
INCIDENT = (
    "race",
    "stuck_run",
    "persistent_failure",
    "rapid_pair",
    "incident",
    "incident_typical",
    "peak_hour_before",
    "peak_hour",
    "peak_hour_one_key",
    "peak_hour_drain",
    "stuck_run_cancel_raises",
    "race_cancel_without_thread_id",
)

EXTENDS_MAX = 10


def shipped() -> tuple[str, ...]:
    """The names that `load` knows without a path: the incident's in their order, then any others by name."""
    names = {path.stem for path in SHIPPED_FOLDER.glob("*.toml")}
    return (*(name for name in INCIDENT if name in names), *sorted(names - set(INCIDENT)))


@dataclass(slots=True)
class SourceFile:
    """One file of an `extends` chain. `relay_key` is what it names its relay by: `factory`, or `app`."""

    shown: str
    path: Path
    document: Document
    relay_key: str = "factory"


@dataclass(slots=True)
class Reading:
    """A scenario on its way from files to a model, with what was found wrong so far."""

    given: str
    files: list[SourceFile] = field(default_factory=list)  # the one that was asked for first, then what it extends
    document: Document = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)  # path -> the setting as typed
    factory: str | None = None
    option: FactoryOption = "--factory"
    problems: list[Problem] = field(default_factory=list)
    complete: bool = True  # whether all that it extends could be read

    @property
    def shown(self) -> str:
        """The file that was asked for, as people read it."""
        return self.files[0].shown if self.files else self.given

    def refused(self) -> ScenarioError:
        """The error with all problems, each once, and with the page that tells of its place."""
        told = []
        for each in self.problems:
            of_option = each.file.startswith("--") and not each.file.startswith("--set ")
            told.append(each if each.page or of_option else replace(each, page=scenario_page(each.path)))
        return ScenarioError(list(dict.fromkeys(told)))

    def complain(self, message: str, suggestion: str = "", path: str = "") -> None:
        """Add a problem with the file that was asked for."""
        self.problems.append(Problem(self.shown, path, message, suggestion))

    def file_of(self, steps: Sequence[Step]) -> tuple[str, Sequence[Step]]:
        """Which file, or which option, says what lies at a place of the merged document; and the place there."""
        for path, typed in reversed(self.sets.items()):
            set_steps = parse_path(path)
            if list(steps[: len(set_steps)]) == set_steps:
                return f"--set {typed}", steps
        if self.factory is not None and tuple(steps) == ("relay", "factory"):
            return f"{self.option} {self.factory}", ()
        if tuple(steps) == ("name",):
            return self.shown, steps  # it is not inherited
        best: tuple[int, SourceFile, Sequence[Step]] | None = None
        for file in self.files:
            there = self._claim_steps(steps, file.document)
            depth = _depth(there, file.document)
            if best is None or depth > best[0]:
                best = (depth, file, there)
        assert best is not None
        _, file, there = best
        return file.shown, ("relay", file.relay_key) if tuple(there) == ("relay", "factory") else there

    @property
    def names_application(self) -> bool:
        """Whether the relay is named as a web application: by `--app`, or by the key `app`."""
        if self.factory is not None:
            return self.option == "--app"
        if "relay.factory" in self.sets:
            return False
        naming = (file for file in self.files if "factory" in (file.document.get("relay") or {}))
        return any(file.relay_key == "app" for file in islice(naming, 1))

    def _claim_steps(self, steps: Sequence[Step], document: Document) -> Sequence[Step]:
        """Claims are merged by their id, so their numbers differ between the files."""
        if len(self.files) == 1 or len(steps) < 2 or steps[0] != "claims" or not isinstance(steps[1], int):
            return steps
        merged, own = self.document["claims"], document.get("claims")
        if not isinstance(own, list) or not isinstance(merged[steps[1]], dict):
            return steps
        wanted = merged[steps[1]].get("id")
        for index, claim in enumerate(own):
            if isinstance(claim, dict) and claim.get("id") == wanted:
                return ("claims", index, *steps[2:])
        return ("", *steps)  # not in this file


def _depth(steps: Sequence[Step], document: Any) -> int:
    depth = 0
    for step in steps:
        known = step in document if isinstance(document, dict) else _has_item(document, step)
        if not known:
            break
        document = document[step]
        depth += 1
    return depth


def _has_item(value: Any, step: Step) -> bool:
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _find(name: str, extending: Path | None = None) -> Path:
    """The file that a name or path means; what is written in a file is relative to it."""
    if name.endswith(".toml") or "/" in name or "\\" in name:
        path = Path(name).expanduser()
        return path if extending is None or path.is_absolute() else extending.parent / path
    return SHIPPED_FOLDER / f"{name}.toml"


def shown_path(path: Path) -> str:
    """A path as people read it: below the current folder where it is there."""
    try:
        return str(real_path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def real_path(path: Path) -> Path:
    """Where a path leads in the end; also of a circle of links, and of a name that no file can have."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:
        return path


def read_chain(reading: Reading) -> None:
    """Read the scenario that was asked for and all that it extends; merged, they are the reading's `document`."""
    name: Any = reading.given
    extending: Path | None = None
    seen: list[Path] = []
    reading.complete = False
    while True:
        path = _find(name, extending)
        if real_path(path) in seen:
            chain = " -> ".join(each.stem for each in (*seen, path))
            reading.complain(f"extends itself: {chain}", path="extends")
            break
        file = _read_file(reading, name, path)
        if file is None:
            break
        reading.files.append(file)
        seen.append(real_path(path))
        if "extends" not in file.document:
            reading.complete = True
            break
        name, extending = file.document["extends"], path
        if not isinstance(name, str):
            reading.complain(f"must be the name or the path of a scenario, not {shown(name)}", path="extends")
            break
        if len(seen) >= EXTENDS_MAX:
            reading.complain(f"more than {EXTENDS_MAX} scenarios extend each other", path="extends")
            break
    document: Document = {}
    for file in reversed(reading.files):
        if document and _brings_its_own_relay(file.document, document):
            document = of_another_relay(document)
        document = extend(document, file.document)
    document.pop("extends", None)
    claims = document.get("claims")
    if claims and isinstance(claims, list) and _brings_its_own_relay(document, {}):
        document["claims"] = with_what_is_owed(claims, document, _dropped(reading.files))
    reading.document = document


def _dropped(files: Sequence[SourceFile]) -> list[str]:
    """The ids of claims that files leave out."""
    lists = [claims for file in files if isinstance(claims := file.document.get("claims"), list)]
    every = [claim for claims in lists for claim in claims if isinstance(claim, dict)]
    return [claim_id(claim) for claim in every if claim.get("drop") is True]


def _brings_its_own_relay(document: Document, extended: Document) -> bool:
    """Whether a file puts somebody's own relay in place of the one of the scenario that it extends."""
    own, its = (each.get("relay") for each in (document, extended))
    factory = own.get("factory") if isinstance(own, dict) else None
    replaced = its.get("factory") if isinstance(its, dict) else None
    return isinstance(factory, str) and factory != replaced and is_somebodys_own(factory)


def _read_file(reading: Reading, name: str, path: Path) -> SourceFile | None:
    def wrong(message: str, suggestion: str = "") -> None:
        if reading.files:
            parent = reading.files[-1]
            reading.problems.append(Problem(parent.shown, "extends", message, suggestion))
        else:
            reading.problems.append(Problem(name, "", message, suggestion))

    display = path.name if path.parent == SHIPPED_FOLDER else shown_path(path)
    try:
        document = read_toml(path)
    except FileNotFoundError:
        if path.parent == SHIPPED_FOLDER:
            sentence = did_you_mean(name, shipped(), what="shipped are", everything="`relaysim list` has all")
            wrong(f"there is no shipped scenario {name!r}", f"{sentence} (or give a path that ends in .toml)")
        else:
            wrong(f"there is no such file{f' ({shown_path(path)})' if reading.files else ''}")
        return None
    except OSError as error:
        wrong(f"cannot be read: {reason_of(error)}")
        return None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        reading.problems.append(Problem(display, "", f"line {line} is not UTF-8, as TOML must be"))
        return None
    except tomllib.TOMLDecodeError as error:
        reading.problems.append(Problem(display, "", f"is no TOML: {first_lower(str(error))}"))
        return None
    relay, relay_key = document.get("relay"), "factory"
    if isinstance(relay, dict) and "app" in relay:
        if "factory" in relay:
            wrong("relay: `factory` and `app` are two names of one key", "leave one out")
        relay["factory"], relay_key = relay.pop("app"), "app"
    profile = document.get("profile")
    if isinstance(profile, str) and profile.endswith(".toml"):
        # Relative to the file that says so, not to one that extends it.
        document["profile"] = str(path.parent / profile)
    return SourceFile(display, path, document, relay_key)


def first_lower(text: str) -> str:
    """With its first letter in lower case, to stand in a sentence."""
    return text[:1].lower() + text[1:]
