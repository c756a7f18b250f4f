"""What is wrong with a scenario, one line for each problem: the file, the place in it, what is wrong, what to do.

pydantic finds the mistakes; `relaysim.sim.validation_words` puts them into the words of a TOML file's author.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from relaysim.scenarios.docs_pages import joined
from relaysim.scenarios.document import without_lists
from relaysim.scenarios.system_errors import reason_of
from relaysim.sim.backends import BACKENDS, backend_named
from relaysim.sim.backends.profile import Profile
from relaysim.sim.validation_words import Finding, Step, format_path, translate


@dataclass(frozen=True, slots=True)
class Problem:
    """One line: `file` it stands in, `path` inside the file ("" for the whole), `message`, and `suggestion` if any."""

    file: str
    path: str
    message: str
    suggestion: str = ""
    page: str = ""
    """The page that tells how such a file is written (`docs_pages`)."""

    def __str__(self) -> str:
        where = f"{self.file}: {self.path}" if self.path else self.file
        return f"{where}: {self.message}" + (f"; {self.suggestion}" if self.suggestion else "")


class ScenarioError(ValueError):
    """A scenario that cannot be used. `problems` has them all; the message has one line for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    @property
    def page(self) -> str:
        """The pages that tell how such files are written; "" for none."""
        return joined(problem.page for problem in self.problems)

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[Sequence[Problem]]]:
        return type(self), (self.problems,)


def unreadable(error: Exception) -> str:
    """Why a TOML file could not be read, in words."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return f"cannot be read: {reason_of(error)}"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8, as TOML must be"
    message = str(error)
    return f"is no TOML: {message[:1].lower()}{message[1:]}"


def findings_of(model: type[BaseModel], document: Mapping[str, Any]) -> list[Finding]:
    """What strict validation finds: a quoted number is a text, and a text is no number."""
    return [*not_finite(document), *errors_of(model, document, document)]


def errors_of(model: type[BaseModel], document: Mapping[str, Any], quoted_from: Mapping[str, Any]) -> list[Finding]:
    """The same but for numbers that are not finite; `quoted_from` is what words quote from."""
    try:
        model.model_validate(without_lists(document), strict=True)
    except ValidationError as error:
        # `not_finite` tells of numbers that are not finite.
        errors = [each for each in error.errors(include_url=False) if _is_finite(each["input"])]
        return translate(errors, model, quoted_from, hidden=NOT_IN_FILES)
    return []


def told_with_their_api(findings: Sequence[Finding], profile: type[Profile]) -> list[Finding]:
    """What is wrong with a profile's numbers; one that only another API's profiles have is told with that API.

    Args:
        findings: of `profile`, whose keys are their first steps.
        profile: the model of the API's profiles.
    """
    told = []
    for finding in findings:
        key = finding.steps[0] if len(finding.steps) == 1 else ""
        if key not in profile.model_fields:
            owners = (name for name in BACKENDS if key in backend_named(name).profile.model_fields)
            if (api := next(owners, None)) is not None:
                suggestion = f'add --api {api}, or api = "{api}" to the scenario'
                finding = Finding(finding.steps, f"only profiles of another API have it, `{api}`", suggestion)
        told.append(finding)
    return told


def not_finite(document: Any, steps: tuple[Step, ...] = ()) -> Iterator[Finding]:
    """TOML can write `inf` and `nan`; no number of a scenario can be one."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield from not_finite(value, (*steps, key))
    elif isinstance(document, (list, tuple)):
        for index, value in enumerate(document):
            yield from not_finite(value, (*steps, index))
    elif isinstance(document, float) and not math.isfinite(document):
        yield Finding(steps, f"must be a finite number, not {document}")


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


#: Fields of the models that the loader fills in, and that no file may have.
NOT_IN_FILES = frozenset({"backend"})


def to_problems(
    findings: Sequence[Finding], file_of: Callable[[Sequence[Step]], tuple[str, Sequence[Step]]]
) -> list[Problem]:
    """Findings with their files: `file_of(steps)` gives the file's name and the place in that file."""
    problems = []
    for finding in findings:
        file, steps = file_of(finding.steps)
        problems.append(Problem(file, format_path(steps), finding.message, finding.suggestion))
    return problems
