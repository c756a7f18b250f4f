"""pydantic's validation errors in the words of somebody who wrote a TOML file, a JSON request or a test's settings.

pydantic finds the mistakes; its own messages speak of inputs, instances and tags. `translate` gives a `Finding` for each:
the place, what is wrong there, and how to put it right.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Step = str | int
"""A key of a table, or the index of a list's entry, from 0."""

MISSING: Final = "is missing"

NAMES_MAX: Final = 10
"""A message lists no more names than this."""

_NEAR: Final = 3
_PART_MIN: Final = 4
_HOLDING_MAX: Final = 3
_SHOWN_MAX: Final = 60
_ABSENT: Final = object()


class Finding(NamedTuple):
    """A mistake: where it stands, what is wrong, and how to put it right ("" if the message says it)."""

    steps: tuple[Step, ...]
    message: str
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a format calls its parts, and how it writes a constant number of seconds."""

    key: str
    table: str
    constant: str


TOML: Final = Terms("key", "a table", '{ kind = "constant", value = 2.0 }')
JSON: Final = Terms("field", "an object", '{"kind": "constant", "value": 2.0}')


def format_path(steps: Iterable[Step]) -> str:
    """Steps as people write them: keys with dots, list items in brackets, counted from 0: `faults[0].kind`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def did_you_mean(name: str, known: Sequence[str], *, what: str = "", everything: str = "the documents have all") -> str:
    """A suggestion: the names that are close, or else all of them, or of many those that are least far.

    Args:
        name: what was written.
        known: what there is.
        what: how a list of them begins.
        everything: where all of them are listed, for a list of more than `NAMES_MAX`.
    """
    known = list(dict.fromkeys(known))
    if close := closest(name, known):
        return f"did you mean {close}?"
    return listed(name, known, what=what, everything=everything)


def closest(name: str, known: Sequence[str]) -> str:
    """The one or two names that are close, or that hold what was written, as part of a sentence; "" if none does."""
    close = difflib.get_close_matches(name, known, n=2)
    if not close and len(name) >= _PART_MIN:
        holding = [each for each in known if name.casefold() in each.casefold()]
        close = holding if len(holding) <= _HOLDING_MAX else []
    return " or ".join(f"`{each}`" for each in close)


def listed(name: str, known: Sequence[str], *, what: str = "", everything: str = "the documents have all") -> str:
    """All the names there are, or of many how many, the least far ones, and where all are listed. As `did_you_mean`."""
    begin = what or "allowed"
    if len(known) <= NAMES_MAX:
        return f"{begin}: {', '.join(known)}" if known else ""
    near = difflib.get_close_matches(name, known, n=_NEAR, cutoff=0.0)
    return f"{begin} {len(known)}, such as {', '.join(near)}; {everything}"


def shown(value: Any, terms: Terms = TOML) -> str:
    """A value as it was written, cut off where it gets long."""
    if isinstance(value, (Mapping, list, tuple)):
        return terms.table if isinstance(value, Mapping) else "a list"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except TypeError:
        text = str(value)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"


def translate(
    errors: Iterable[Mapping[str, Any]],
    annotation: Any,
    document: Mapping[str, Any] | None = None,
    *,
    terms: Terms = TOML,
    hidden: frozenset[str] = frozenset(),
) -> list[Finding]:
    """pydantic's errors as findings, one for each place and message.

    Args:
        errors: as `ValidationError.errors()` gives them.
        annotation: the model, or the type, that was validated against.
        document: what was validated; without it places are taken from the annotation alone, which cannot know of a number
            that stood for a whole table.
        terms: what the format calls its parts.
        hidden: fields that are never suggested.
    """
    findings: dict[Finding, None] = {}
    for error in _of_one_branch(errors, annotation):
        if _said_by_another(error):
            continue
        location = error["loc"]
        steps = _without_tags(location, annotation) if document is None else _place_in(document, location)
        message, suggestion = _words(error, annotation, steps, terms, hidden)
        findings.setdefault(Finding(steps, message, suggestion))
    return list(findings)


T = TypeVar("T")


def checked_entries(entries: T, field: str, mistakes: Iterable[tuple[int, str]]) -> T:
    """A list in a validator that knows more than its entries do.

    Args:
        entries: the list.
        field: the field of its entries that may be wrong.
        mistakes: positions of wrong entries, and what is wrong with their field.

    Raises:
        pydantic.ValidationError: there are mistakes. pydantic takes each over, with its place in the list.
    """
    wrong = [
        InitErrorDetails(
            type=PydanticCustomError("value_error", "{error}", {"error": ValueError(message)}),
            loc=(position, field),
            input=None,
        )
        for position, message in mistakes
    ]
    if wrong:
        raise ValidationError.from_exception_data(field, wrong)
    return entries


def _said_by_another(error: Mapping[str, Any]) -> bool:
    """Whether a list is called too short only because pydantic counts the entries that are right."""
    value = error.get("input")
    return (
        error["type"] == "too_short"
        and isinstance(value, (list, tuple))
        and len(value) >= int(error["ctx"]["min_length"])
    )


# Fields of several types


_OF_NO_BRANCH: Final = "of_no_branch"


def _of_one_branch(errors: Iterable[Mapping[str, Any]], annotation: Any) -> list[Mapping[str, Any]]:
    """The errors, of each field of several types those of the type that was meant: pydantic tells what each of them misses.

    Where the value is of none of the types, one error has them all.
    """
    kept: list[Mapping[str, Any]] = []
    of_fields: dict[tuple[Step, ...], list[tuple[Step, Mapping[str, Any]]]] = {}
    for error in errors:
        location = error["loc"]
        at = _branch_at(annotation, location)
        if at is None:
            kept.append(error)
        else:
            told = {**error, "loc": (*location[:at], *location[at + 1 :])}
            of_fields.setdefault(location[:at], []).append((location[at], told))
    for place, told_by_branch in of_fields.items():
        others = [(branch, each) for branch, each in told_by_branch if each["loc"] == place and _is_of_type(each)]
        elsewhere = {branch for branch, _ in others}
        meant = [each for branch, each in told_by_branch if branch not in elsewhere]
        if not meant:
            types = [_TYPES.get(each["type"].partition("_")[0], "") for _, each in others]
            context = {"types": [each.removeprefix("must be ") for each in dict.fromkeys(types) if each]}
            meant = [{**others[0][1], "type": _OF_NO_BRANCH, "ctx": context}]
        kept += meant
    return kept


def _is_of_type(error: Mapping[str, Any]) -> bool:
    return str(error["type"]).endswith("_type") or error["type"] == "int_from_float"


def _branch_at(annotation: Any, location: Sequence[Step]) -> int | None:
    """Where in pydantic's location the type stands, of a field that may have several and none of them a table; else None."""
    for at in range(1, len(location)):
        for model in _models_at(annotation, location[: at - 1]):
            for name, field in model.model_fields.items():
                if location[at - 1] in (name, field.alias) and _has_plain_types(field.annotation):
                    return at
    return None


def _has_plain_types(annotation: Any) -> bool:
    types = [each for each in get_args(annotation) if each is not type(None)]
    return get_origin(annotation) in (Union, UnionType) and len(types) > 1 and not [*models_in(annotation)]


# Places


def _place_in(document: Mapping[str, Any], location: Sequence[Step]) -> tuple[Step, ...]:
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


def _without_tags(location: Sequence[Step], annotation: Any) -> tuple[Step, ...]:
    """pydantic's location without the tags of unions."""
    return tuple(step for at, step in enumerate(location) if not _is_tag(_models_at(annotation, location[:at]), step))


def _is_tag(models: Sequence[type[BaseModel]], step: Step) -> bool:
    named = any(step in model.model_fields for model in models)
    return not named and any(step in _kinds(model) for model in models)


def _models_at(annotation: Any, location: Sequence[Step]) -> list[type[BaseModel]]:
    """The models that may stand at a location of pydantic's."""
    here = list(models_in(annotation))
    for step in location:
        if isinstance(step, int):
            continue
        if _is_tag(here, step):
            here = [each for each in here if step in _kinds(each)]
            continue
        here = [
            inner
            for model in here
            for name, field in model.model_fields.items()
            if step in (name, field.alias)
            for inner in models_in(field.annotation)
        ]
    return here


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation, through Annotated, unions, tuples and lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from models_in(part)


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()


def _field_description(models: Sequence[type[BaseModel]], name: Step) -> str:
    for model in models:
        for key, field in model.model_fields.items():
            if name in (key, field.alias) and field.description:
                return f"it says: {field.description}"
    return ""


# Words


def _words(
    error: Mapping[str, Any], annotation: Any, steps: Sequence[Step], terms: Terms, hidden: frozenset[str]
) -> tuple[str, str]:
    kind, location, context = error["type"], error["loc"], error.get("ctx", {})
    value = error.get("input")
    given = f", not {shown(value, terms)}"
    holders = _models_at(annotation, location[:-1])
    match kind:
        case "extra_forbidden":
            keys = [field.alias or name for model in holders for name, field in model.model_fields.items()]
            return f"unknown {terms.key}", did_you_mean(str(location[-1]), [key for key in keys if key not in hidden])
        case "missing":
            if location and isinstance(location[-1], int):
                return "is missing: the list is too short", ""
            return MISSING, _field_description(holders, location[-1]) if location else ""
        case "union_tag_invalid":
            tags = [tag.strip("'") for tag in str(context["expected_tags"]).split(", ")]
            return f"unknown kind {shown(context['tag'], terms)}", did_you_mean(str(context["tag"]), tags)
        case "union_tag_not_found":
            tags = [str(tag) for model in _models_at(annotation, location) for tag in _kinds(model)]
            return "`kind` is missing", f"allowed: {', '.join(tags)}" if tags else ""
        case "literal_error":
            allowed = [part.strip("'\"") for part in str(context["expected"]).replace(" or ", ", ").split(", ")]
            close = difflib.get_close_matches(value, allowed, n=1) if isinstance(value, str) else []
            return f"must be {' or '.join(allowed)}{given}", f"did you mean `{close[0]}`?" if close else ""
        case "string_pattern_mismatch":
            suggestion = _field_description(holders, location[-1]) if location else ""
            return f"has not the right form: {shown(value, terms)}", suggestion
        case "string_too_short":
            return "must not be empty", ""
        case "too_short" | "too_long":
            bound = "at least" if kind == "too_short" else "at most"
            number = context.get("min_length" if kind == "too_short" else "max_length")
            return f"must have {bound} {number} entr{'y' if number == 1 else 'ies'}", ""
        case "value_error" | "assertion_error":
            return str(context.get("error", error["msg"])), ""
    if kind == _OF_NO_BRANCH:
        return f"must be {' or '.join(context['types'])}{given}", ""
    return _type_words(kind, context, _models_at(annotation, location), steps, terms) + given, ""


_TYPES: Final = {
    "int": "must be a whole number",
    "float": "must be a number",
    "string": "must be a text",
    "bool": "must be true or false",
    "finite": "must be a finite number",
    "tuple": "must be a list",
    "list": "must be a list",
}
_BOUNDS: Final = {
    "greater_than": ("gt", "must be above {}"),
    "greater_than_equal": ("ge", "must be {} or more"),
    "less_than": ("lt", "must be below {}"),
    "less_than_equal": ("le", "must be at most {}"),
}


def _type_words(
    kind: str, context: Mapping[str, Any], models: Sequence[type[BaseModel]], steps: Sequence[Step], terms: Terms
) -> str:
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        return text.format(f"{context[name]:.15g}")
    if kind.startswith(("model_", "dict_", "mapping_")):
        if any("constant" in _kinds(model) for model in models):
            number = "" if steps[:1] == ("parts",) else "a number of seconds or "
            return f"must be {number}{terms.table} such as {terms.constant}"
        return f"must be {terms.table}"
    return _TYPES.get(kind.partition("_")[0], f"is of the wrong type ({kind.replace('_', ' ')})")
