"""How settings are checked: a rule per setting, and all that is wrong told at once."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final, Self, get_type_hints

Rule = Callable[[object], str | None]
"""What is wrong with a value, said as what it must be; None if nothing is."""


_NAMES_MAX: Final = 10
_NEAR: Final = 3


def name_meant(name: str, known: Sequence[str], everything: str) -> str:
    """Which name may have been meant by one that there is not; else all, or of many the least far ones.

    Args:
        name: what was written.
        known: what there is.
        everything: where a long list stands whole.
    """
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    if len(known) <= _NAMES_MAX:
        return f"only {', '.join(known)}"
    near = difflib.get_close_matches(name, known, n=_NEAR, cutoff=0.0)
    return f"there are {len(known)}, such as {', '.join(near)} ({everything})"


def whole_number(value: object) -> str | None:
    """1, 2, 3 and so on."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return None
    return "must be a whole number, 1 or more"


def is_finite(value: object) -> bool:
    """Whether it is a number, and neither infinite nor undefined."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(words: str, allowed: Callable[[float], bool]) -> Rule:
    """A finite number that is allowed; `words` say which."""

    def rule(value: object) -> str | None:
        if isinstance(value, int | float) and is_finite(value) and allowed(value):
            return None
        return f"must be {words}"

    return rule


def choice(*choices: str) -> Rule:
    """One of these texts."""
    words = "must be " + " or ".join(repr(choice) for choice in choices)
    return lambda value: None if isinstance(value, str) and value in choices else words


def flag(value: object) -> str | None:
    """True or False."""
    return None if isinstance(value, bool) else "must be true or false"


def name_rule(value: object) -> str | None:
    """A text that is not empty."""
    return None if isinstance(value, str) and value else "must be a text that is not empty"


SECONDS: Final = number("a number of seconds, 0 or more", lambda value: value >= 0)
PAUSE: Final = number("a number of seconds above 0", lambda value: value > 0)
LEASE: Final = number("a number of seconds, 0.001 or more (Redis counts milliseconds)", lambda value: value >= 0.001)
MEMORY: Final = number("0 (off), or a number of seconds of 0.001 or more", lambda value: value == 0 or value >= 0.001)
FACTOR: Final = number("a number above 0", lambda value: value > 0)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings whose every field is annotated with its rule, as `Annotated[float, SECONDS]`.

    Raises `ValueError` naming every setting that is out of its range.
    """

    def __post_init__(self) -> None:
        raise_if_any(self._problems())

    @classmethod
    @cache
    def rules(cls) -> Mapping[str, Rule]:
        """The rule of each setting, in the order of the fields."""
        hints = get_type_hints(cls, include_extras=True)
        return {field.name: hints[field.name].__metadata__[0] for field in fields(cls)}

    @classmethod
    def read(cls, policy: str, arguments: Mapping[str, Any]) -> Self:
        """Settings from the keyword arguments of the factory `policy`.

        Raises `ValueError` with all that is wrong, names that no setting has included.
        """
        raise_if_any(cls.problems_of(policy, arguments))
        return cls(**arguments)

    @classmethod
    def problems_of(cls, policy: str, arguments: Mapping[str, Any]) -> list[str]:
        """What is wrong with keyword arguments of the factory `policy`, each by itself: names, and values out of range."""
        known = cls.rules()
        unknown = [cls._unknown(policy, name, arguments[name], [*known]) for name in arguments if name not in known]
        return unknown + cls._out_of_range(arguments)

    @classmethod
    def _unknown(cls, policy: str, name: str, value: object, known: Sequence[str]) -> str:
        problem = f"{name} = {value!r}: {policy} has no such setting"
        return f"{problem}, {name_meant(name, sorted(known), f'{cls.__module__}.{cls.__qualname__} has all')}"

    @classmethod
    def _out_of_range(cls, values: Mapping[str, object]) -> list[str]:
        """What is wrong with those of these settings that have a rule, in the order of the fields."""
        problems = []
        for name, rule in cls.rules().items():
            if name in values and (remedy := rule(values[name])) is not None:
                problems.append(f"{name} = {values[name]!r}: {remedy}")
        return problems

    @classmethod
    @cache
    def _defaults(cls) -> Mapping[str, object]:
        return {field.name: field.default for field in fields(cls)}

    def _problems(self) -> list[str]:
        defaults = self._defaults()  # each of which is within its range
        return self._out_of_range({name: value for name, value in vars(self).items() if value is not defaults[name]})


def raise_if_any(problems: Iterable[str]) -> None:
    """Raise `ValueError` with all problems, if there is one."""
    text = "; ".join(problems)
    if text:
        raise ValueError(text)
