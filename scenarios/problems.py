"""What is wrong with a scenario, one line for each problem: the file, the place in it, what is wrong, what to do.

pydantic finds the mistakes; its words speak of inputs, instances and tags. `translate` says the same in the words of
somebody who wrote a TOML file.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from relaysim.scenarios.document import Step, format_path, without_lists

_SHOWN_MAX = 60
_ABSENT = object()

MISSING = "is missing"


@dataclass(frozen=True, slots=True)
class Problem:
    """One line: `file` it stands in, `path` inside the file ("" for the whole), `message`, and `suggestion` if any."""

    file: str
    path: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.path}" if self.path else self.file
        return f"{where}: {self.message}" + (f"; {self.suggestion}" if self.suggestion else "")


class ScenarioError(ValueError):
    """A scenario that cannot be used. `problems` has them all; the message has one line for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[Sequence[Problem]]]:
        return type(self), (self.problems,)


class Finding(NamedTuple):
    """A problem whose file is not known yet."""

    steps: tuple[Step, ...]
    message: str
    suggestion: str = ""


def did_you_mean(name: str, known: Sequence[str], *, what: str = "") -> str:
    """A suggestion: the names that are close, or else all of them."""
    known = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, known, n=2)
    if close:
        return "did you mean " + " or ".join(f"`{each}`" for each in close) + "?"
    return f"{what or 'allowed'}: {', '.join(known)}" if known else ""


def shown(value: Any) -> str:
    """A value as its file has it, cut off where it gets long."""
    if isinstance(value, (Mapping, list, tuple)):
        return "a table" if isinstance(value, Mapping) else "a list"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except TypeError:
        text = str(value)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"


def unreadable(error: Exception) -> str:
    """Why a TOML file could not be read, in words."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return f"cannot be read: {(error.strerror or str(error)).lower()}"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8, as TOML must be"
    said = str(error)
    return f"is no TOML: {said[:1].lower()}{said[1:]}"


def findings_of(model: type[BaseModel], document: Mapping[str, Any]) -> list[Finding]:
    """What strict validation finds: a quoted number is a text, and a text is no number."""
    return [*not_finite(document), *errors_of(model, document, document)]


def errors_of(model: type[BaseModel], document: Mapping[str, Any], whole: Mapping[str, Any]) -> list[Finding]:
    """The same but for numbers that are not finite; `whole` is what words quote from."""
    try:
        model.model_validate(without_lists(document), strict=True)
    except ValidationError as error:
        return translate(error.errors(include_url=False), model, whole)
    return []


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


def translate(errors: Sequence[ErrorDetails], model: type[BaseModel], document: Mapping[str, Any]) -> list[Finding]:
    """pydantic's errors about a document as findings, one for each place and message."""
    findings: dict[Finding, None] = {}
    for error in errors:
        steps = _locate(error["loc"], document)
        if _already_said(error):
            continue
        message, suggestion = _words(error, model, steps)
        findings.setdefault(Finding(steps, message, suggestion))
    return list(findings)


def _already_said(error: ErrorDetails) -> bool:
    """Whether another error tells of the same mistake."""
    value = error["input"]
    if error["type"] == "too_short" and isinstance(value, (list, tuple)):
        # pydantic counts the entries that are right.
        return len(value) >= int(error["ctx"]["min_length"])
    return isinstance(value, float) and not math.isfinite(value)


def _locate(location: Sequence[Step], document: Mapping[str, Any]) -> tuple[Step, ...]:
    """The place in the document: pydantic's location without the tags of unions and what a validator has put in."""
    steps: list[Step] = []
    here: Any = document
    for step in location:
        if here is _ABSENT:
            steps.append(step)
        elif isinstance(here, Mapping):
            if step in here:
                here = here[step]
            elif here.get("kind") == step:
                continue
            else:
                here = _ABSENT
            steps.append(step)
        elif isinstance(here, (list, tuple)) and isinstance(step, int):
            here = here[step] if step < len(here) else _ABSENT
            steps.append(step)
        else:
            break  # a number that stood for a whole table
    return tuple(steps)


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation, through Annotated, unions, tuples and lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _tables(part)


def _tables_at(model: type[BaseModel], location: Sequence[Step]) -> list[type[BaseModel]]:
    """The models that may stand at a location of pydantic's."""
    here = [model]
    for step in location:
        if isinstance(step, int):
            continue
        tagged = [each for each in here if step in _kinds(each)]
        if tagged and not any(step in each.model_fields for each in here):
            here = tagged
            continue
        below: list[type[BaseModel]] = []
        for each in here:
            for name, field in each.model_fields.items():
                if step in (name, field.alias):
                    below += _tables(field.annotation)
        here = below
    return here


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()


def _keys(tables: Sequence[type[BaseModel]]) -> list[str]:
    names = [field.alias or name for table in tables for name, field in table.model_fields.items()]
    return list(dict.fromkeys(names))


def _describe(tables: Sequence[type[BaseModel]], name: Step) -> str:
    for table in tables:
        for key, field in table.model_fields.items():
            if name in (key, field.alias) and field.description:
                return f"it says: {field.description}"
    return ""


def _words(error: ErrorDetails, model: type[BaseModel], steps: tuple[Step, ...]) -> tuple[str, str]:
    kind, location, context = error["type"], error["loc"], error.get("ctx", {})
    value = error.get("input")
    given = f", not {shown(value)}"
    match kind:
        case "extra_forbidden":
            tables = _tables_at(model, location[:-1])
            keys = [key for key in _keys(tables) if key not in NOT_IN_FILES]
            return "unknown key", did_you_mean(str(location[-1]), keys)
        case "missing":
            if isinstance(location[-1], int):
                return "is missing: the list is too short", ""
            return MISSING, _describe(_tables_at(model, location[:-1]), location[-1])
        case "union_tag_invalid":
            tags = [tag.strip("'") for tag in str(context["expected_tags"]).split(", ")]
            return f"unknown kind {shown(context['tag'])}", did_you_mean(str(context["tag"]), tags)
        case "union_tag_not_found":
            tags = [str(tag) for table in _tables_at(model, location) for tag in _kinds(table)]
            return "`kind` is missing", f"allowed: {', '.join(tags)}"
        case "literal_error":
            allowed = [part.strip("'\"") for part in str(context["expected"]).replace(" or ", ", ").split(", ")]
            return f"must be {' or '.join(allowed)}{given}", _close_only(value, allowed)
        case "string_pattern_mismatch":
            suggestion = _describe(_tables_at(model, location[:-1]), location[-1]) if location else ""
            return f"has not the right form: {shown(value)}", suggestion
        case "string_too_short":
            return "must not be empty", ""
        case "too_short" | "too_long":
            bound = "at least" if kind == "too_short" else "at most"
            number = context.get("min_length" if kind == "too_short" else "max_length")
            return f"must have {bound} {number} entr{'y' if number == 1 else 'ies'}", ""
        case "value_error" | "assertion_error":
            return str(context.get("error", error["msg"])), ""
    return _type_words(kind, context, model, location, steps) + given, ""


def _close_only(value: Any, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(value, allowed, n=1) if isinstance(value, str) else []
    return f"did you mean `{close[0]}`?" if close else ""


_TYPES = {
    "int": "must be a whole number",
    "float": "must be a number",
    "string": "must be a text",
    "bool": "must be true or false",
    "finite": "must be a finite number",
    "tuple": "must be a list",
    "list": "must be a list",
    "dict": "must be a table",
    "mapping": "must be a table",
}
_BOUNDS = {
    "greater_than": ("gt", "must be above {}"),
    "greater_than_equal": ("ge", "must be {} or more"),
    "less_than": ("lt", "must be below {}"),
    "less_than_equal": ("le", "must be at most {}"),
}


def _type_words(
    kind: str, context: Mapping[str, Any], model: type[BaseModel], location: Sequence[Step], steps: Sequence[Step]
) -> str:
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        return text.format(f"{context[name]:g}")
    if kind.startswith("model_"):
        if any(_kinds(table) for table in _tables_at(model, location)):
            number = "" if steps[:1] == ("parts",) else "a number of seconds or "
            return f'must be {number}a table such as {{ kind = "constant", value = 2.0 }}'
        return "must be a table"
    return _TYPES.get(kind.partition("_")[0], f"is of the wrong type ({kind.replace('_', ' ')})")


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
