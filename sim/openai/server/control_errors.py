"""Errors of the control API: one shape, and words that say what is wrong and how to put it right.

    {"error": {"code": "invalid", "message": "...", "problems": [{"where": "speed", "message": "...", "fix": "..."}],
               "possible": []}}

pydantic finds the mistakes in a request; its words speak of inputs and instances. `problems_of` says the same in the words
of somebody who wrote JSON.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

Code = Literal[
    "invalid",
    "not_json",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "impossible",
    "too_large",
    "simulator_error",
]

STATUS: Final[Mapping[Code, int]] = {
    "not_json": 400,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "impossible": 409,
    "too_large": 413,
    "invalid": 422,
    "simulator_error": 500,
}

_SHOWN_MAX: Final = 60
_TABLE: Final = ConfigDict(extra="forbid", frozen=True)

Step = str | int


class Problem(BaseModel):
    """One mistake in a request."""

    model_config = _TABLE
    where: str = Field(
        description="place in the body, or query parameter; empty: the whole", examples=["faults[0].kind"]
    )
    message: str = Field(description="what is wrong there", examples=["unknown field"])
    fix: str = Field(
        description="how to put it right; empty if the message says it", examples=["did you mean `status`?"]
    )

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.message}" + (f"; {self.fix}" if self.fix else "")


class ErrorDetail(BaseModel):
    """What went wrong."""

    model_config = _TABLE
    code: Code = Field(description="for programs", examples=["invalid"])
    message: str = Field(description="for people: what is wrong and how to put it right")
    problems: list[Problem] = Field(description="every mistake in the request, where there are any")
    possible: list[str] = Field(description="what would have been possible instead, such as the moves of a run")


class ErrorAnswer(BaseModel):
    """Every error has this shape."""

    model_config = _TABLE
    error: ErrorDetail


class ControlError(Exception):
    """A request that cannot be done.

    Args:
        code: which error; its HTTP status is in `STATUS`.
        message: what is wrong and how to put it right.
        problems: every mistake in the request.
        possible: what would have been possible.
    """

    def __init__(
        self, code: Code, message: str, problems: Sequence[Problem] = (), possible: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.code: Code = code
        self.answer = ErrorAnswer(
            error=ErrorDetail(code=code, message=message, problems=list(problems), possible=list(possible))
        )

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]


def invalid(problems: Sequence[Problem]) -> ControlError:
    """A request with mistakes in it."""
    if len(problems) == 1:
        return ControlError("invalid", str(problems[0]), problems)
    return ControlError("invalid", f"{len(problems)} problems: " + "; ".join(map(str, problems)), problems)


def problems_of(errors: Iterable[Mapping[str, Any]], root: Any, prefix: Sequence[Step] = ()) -> list[Problem]:
    """pydantic's errors as problems, one for each place and message.

    Args:
        errors: with locations that begin at `root`.
        root: the annotation that was validated against.
        prefix: where `root` stands in the request.
    """
    found: dict[Problem, None] = {}
    for error in errors:
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue  # pydantic counts only the entries that are right, and has told of the others
        steps, known = _walk(root, error["loc"])
        message, fix = _words(error, known)
        found.setdefault(Problem(where=format_place((*prefix, *steps)), message=message, fix=fix))
    return list(found)


def format_place(steps: Iterable[Step]) -> str:
    """A place as people write it: `faults[0].kind`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


# Inside


def _walk(annotation: Any, location: Sequence[Step]) -> tuple[list[Step], list[type[BaseModel]]]:
    """The place without the unions' tags that pydantic puts into it, and the models that hold its last step."""
    here = list(_models(annotation))
    steps: list[Step] = []
    for number, step in enumerate(location):
        last = number == len(location) - 1
        named = [model for model in here if step in model.model_fields]
        tagged = [model for model in here if step in _kinds(model)]
        if tagged and not named:
            here = tagged
            continue
        steps.append(step)
        if not last and isinstance(step, str):
            here = [inner for model in named for inner in _models(model.model_fields[step].annotation)]
    return steps, here


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation, through unions, tuples and lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _models(part)


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()


def _words(error: Mapping[str, Any], known: Sequence[type[BaseModel]]) -> tuple[str, str]:
    kind, context, location = error["type"], error.get("ctx", {}), error["loc"]
    match kind:
        case "extra_forbidden":
            names = list(dict.fromkeys(name for model in known for name in model.model_fields))
            return "unknown field", _did_you_mean(str(location[-1]), names)
        case "missing":
            fields = (model.model_fields.get(str(location[-1])) for model in known) if location else ()
            said = next((field.description for field in fields if field is not None and field.description), "")
            if not location:
                return "the request has no body", "send a JSON object, with curl by --json '{...}'"
            return "is missing", f"it says: {said}" if said else ""
        case "too_short":
            return f"must have at least {context['min_length']} of them", ""
        case "union_tag_not_found":
            kinds = [str(each) for model in known for each in _kinds(model)]
            return "`kind` is missing", f"allowed: {', '.join(kinds)}" if kinds else ""
        case "union_tag_invalid":
            return f"unknown kind {_shown(context['tag'])}", f"allowed: {context['expected_tags']}"
        case "value_error" | "assertion_error":
            return str(context.get("error", error["msg"])), ""
        case _ if kind.startswith("model_") or kind == "dict_type":
            return f"must be an object, not {_shown(error.get('input'))}", ""
    said = str(error["msg"]).partition(", unable")[0].removeprefix("Input should ")
    said = f"must {said}" if str(error["msg"]).startswith("Input should ") else said[:1].lower() + said[1:]
    return f"{said}, not {_shown(error.get('input'))}", ""


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{close[0]}`?" if close else f"allowed: {', '.join(known)}" if known else ""


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bytes):
        return "bytes"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
