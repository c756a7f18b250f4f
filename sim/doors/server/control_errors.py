"""Errors of the control API: one shape, and words that say what is wrong and how to put it right.

{"error": {"code": "invalid", "message": "...", "problems": [{"where": "speed", "message": "...", "fix": "..."}],
           "possible": []}}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from relaysim.sim.validation_words import JSON, Step, format_path, translate

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

_TABLE: Final = ConfigDict(extra="forbid", frozen=True)


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
    return [
        Problem(where=format_path((*prefix, *found.steps)), message=found.message, fix=found.suggestion)
        for found in translate(errors, root, terms=JSON)
    ]
