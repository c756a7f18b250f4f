"""relaysim: a chat relay over a conversation API, and the deterministic simulator that judges it.

    relaysim.check      a relay of your own judged in a test: `relaysim.check("bot:make", "rapid_pair", seeds=200)`

    relaysim.relay      the relay, for production; needs nothing of the rest
    relaysim.sim        the simulator: one world from one seed
    relaysim.scenarios  scenario files, and the command `relaysim`
    relaysim.reports    results as text, pages and figures

In the repository each of the four is a folder at the top, to which a link in this one leads; in an installed package
they are here. Importing `relaysim` imports none of them; `check`, and what it raises and returns, come with the first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relaysim.scenarios.testing.check_errors import Checked, CheckFailedError, NotShownError
    from relaysim.scenarios.testing.checking import check

    __version__: str

__all__ = ["CheckFailedError", "Checked", "NotShownError", "__version__", "check"]

_HOMES = {
    "check": "relaysim.scenarios.testing.checking",
    "Checked": "relaysim.scenarios.testing.check_errors",
    "CheckFailedError": "relaysim.scenarios.testing.check_errors",
    "NotShownError": "relaysim.scenarios.testing.check_errors",
}


def __getattr__(name: str) -> Any:
    """What takes longer to import than the whole package, when somebody asks for it."""
    if name == "__version__":
        from importlib.metadata import version

        return version("relaysim")
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
