"""Finding the relay under test: `package.module:function`."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import Any


class FactoryError(ValueError):
    """The named factory cannot be used; the message says why and what to do."""


def resolve(name: str) -> Callable[..., Any]:
    """The factory of that name.

    Raises:
        FactoryError: if the module cannot be imported, has no such name, or the name is no callable.
    """
    module_name, separator, attribute = name.partition(":")
    if not separator or not module_name or not attribute:
        raise FactoryError(
            f"factory {name!r}: write it as package.module:function, e.g. relaysim.relay:cancel_and_retry"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise FactoryError(
                f"factory {name!r}: there is no module {error.name!r}; run from the folder that holds it, or install it"
            ) from error
        raise FactoryError(f"factory {name!r}: importing {module_name} failed: {error}") from error
    except Exception as error:
        raise FactoryError(
            f"factory {name!r}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    factory = getattr(module, attribute, None)
    if factory is None:
        public = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        close = difflib.get_close_matches(attribute, public, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"it offers {', '.join(public) or 'nothing to call'}"
        raise FactoryError(f"factory {name!r}: {module_name} has no {attribute!r}; {hint}")
    if not callable(factory):
        raise FactoryError(f"factory {name!r}: {module_name}.{attribute} cannot be called; name a function or a class")
    made: Callable[..., Any] = factory
    return made
